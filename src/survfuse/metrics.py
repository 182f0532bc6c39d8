"""How good predictions are: arrays in, an ``Estimate`` out.

The public door to :mod:`survfuse.survival`: ranking, error, calibration, benefit, and the
curves and tests that go with them. Where `times` is given, a list comes out, one
estimate per horizon.

Columns are lists, arrays, pandas columns or detached tensors of any precision, and are
read by position: the index of a pandas column is not looked at. Text, dates, durations,
masked entries, complex numbers and tensors that carry a gradient are refused, as are
curves that rise with time. Times that are equal up to rounding are one time, at horizons
and in `train` too, by the rule of R's survival (1.5e-8, absolute or relative to the mean).
Weighted metrics are known up to the last follow-up: where everyone's ends at a horizon,
patients followed to it count as free of the event there, and `note` says so.
"""

from survfuse.survival.brier import (
    brier,
    brier_influence,
    integrated_brier,
    integrated_brier_influence,
    integrated_ipa,
    integrated_ipa_influence,
    ipa,
    ipa_influence,
)
from survfuse.survival.calibration_slope import (
    calibration_slope,
    observed_expected,
    observed_expected_at,
)
from survfuse.survival.concordance import (
    compare_c,
    concordance_influence,
    harrell_c,
    uno_c,
)
from survfuse.survival.curves import follow_up_median, kaplan_meier, kaplan_meier_table
from survfuse.survival.d_calibration import d_calibration
from survfuse.survival.discrimination import auc, auc_influence
from survfuse.survival.estimate import Estimate
from survfuse.survival.explained_variation import kent_oquigley_r2, royston_r2
from survfuse.survival.groups import LogRank, log_rank
from survfuse.survival.likelihood import log_likelihood, log_likelihood_influence
from survfuse.survival.net_benefit import (
    net_benefit,
    net_benefit_all,
    net_benefit_influence,
)
from survfuse.survival.rmst import rmst, rmst_difference
from survfuse.survival.smooth_calibration import (
    CalibrationCurve,
    calibration_curve,
    calibration_errors,
    e50,
    e90,
    ici,
)

__all__ = [
    "CalibrationCurve",
    "Estimate",
    "LogRank",
    "auc",
    "auc_influence",
    "brier",
    "brier_influence",
    "calibration_curve",
    "calibration_errors",
    "calibration_slope",
    "compare_c",
    "concordance_influence",
    "d_calibration",
    "e50",
    "e90",
    "follow_up_median",
    "harrell_c",
    "ici",
    "integrated_brier",
    "integrated_brier_influence",
    "integrated_ipa",
    "integrated_ipa_influence",
    "ipa",
    "ipa_influence",
    "kaplan_meier",
    "kaplan_meier_table",
    "kent_oquigley_r2",
    "log_likelihood",
    "log_likelihood_influence",
    "log_rank",
    "net_benefit",
    "net_benefit_all",
    "net_benefit_influence",
    "observed_expected",
    "observed_expected_at",
    "rmst",
    "rmst_difference",
    "royston_r2",
    "uno_c",
]
