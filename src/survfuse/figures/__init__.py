"""The figures of the report, drawn from its tables and from nothing else."""

from __future__ import annotations

from survfuse.figures.calibration_figures import (
    grouped_calibration,
    smooth_calibration,
)
from survfuse.figures.cohort_figures import MOST_PATTERNS, patterns, times
from survfuse.figures.curve_figures import decision, risk_groups, time_curves
from survfuse.figures.interval_figures import (
    MOST_LEVELS,
    forest,
    increments,
    robustness,
    subgroups,
)
from survfuse.figures.learning_figure import learning_curve
from survfuse.figures.weight_figures import weights

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
