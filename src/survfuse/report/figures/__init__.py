"""The figures of the report, drawn from its tables and from nothing else."""

from __future__ import annotations

from survfuse.report.figures.calibration_figures import (
    grouped_calibration,
    smooth_calibration,
)
from survfuse.report.figures.cohort_figures import MOST_PATTERNS, patterns, times
from survfuse.report.figures.curve_figures import decision, risk_groups, time_curves
from survfuse.report.figures.interval_figures import (
    MOST_LEVELS,
    forest,
    increments,
    robustness,
    subgroups,
)
from survfuse.report.figures.learning_figure import learning_curve
from survfuse.report.figures.weight_figures import weights

__all__ = [
    "MOST_LEVELS",
    "MOST_PATTERNS",
    "decision",
    "forest",
    "grouped_calibration",
    "increments",
    "learning_curve",
    "patterns",
    "risk_groups",
    "robustness",
    "smooth_calibration",
    "subgroups",
    "time_curves",
    "times",
    "weights",
]
