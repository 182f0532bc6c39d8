"""How good predictions are: arrays in, an :class:`Estimate` out.

The public door to :mod:`survfuse.survival` and the curves and tests that
go with it.
"""

from survfuse.survival.concordance import compare_c, concordance_influence, harrell_c, uno_c
from survfuse.survival.curves import follow_up_median, kaplan_meier, kaplan_meier_table
from survfuse.survival.estimate import Estimate
from survfuse.survival.groups import LogRank, log_rank

__all__ = [
    "Estimate",
    "LogRank",
    "compare_c",
    "concordance_influence",
    "follow_up_median",
    "harrell_c",
    "kaplan_meier",
    "kaplan_meier_table",
    "log_rank",
    "uno_c",
]
