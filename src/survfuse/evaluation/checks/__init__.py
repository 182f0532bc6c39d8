"""Numbered doubts about a cohort and a run on it; each can say that it does not apply.

The pages are in ``docs/checks``.
"""

from survfuse.evaluation.checks.check_cards import CHECKS, Card
from survfuse.evaluation.checks.evidence import Evidence, Verdict
from survfuse.evaluation.checks.running import (
    later_knowledge,
    refuse_later_knowledge,
    run_checks,
    run_data_checks,
)

__all__ = [
    "CHECKS",
    "Card",
    "Evidence",
    "Verdict",
    "later_knowledge",
    "refuse_later_knowledge",
    "run_checks",
    "run_data_checks",
]
