"""Figures drawn from tables and from nothing else.

A function ``plot_…(ax, …)`` draws on matplotlib axes and returns them, in the user's style; the
function without ``plot_`` draws the same for a page, as SVG.
"""

from __future__ import annotations

from survfuse.figures.calibration_figures import (
    grouped_calibration,
    plot_calibration,
    plot_grouped_calibration,
    smooth_calibration,
)
from survfuse.figures.cohort_figures import (
    MOST_PATTERNS,
    patterns,
    plot_times,
    times,
)
from survfuse.figures.contribution_figures import plot_contributions
from survfuse.figures.curve_figures import (
    decision,
    plot_decision,
    plot_time_curve,
    time_curves,
)
from survfuse.figures.interval_figures import (
    EVERYONE,
    FEWEST_EVENTS,
    MOST_LEVELS,
    forest,
    increments,
    listed_subgroups,
    plot_forest,
    plot_increments,
    plot_robustness,
    plot_subgroups,
    robustness,
    subgroups,
)
from survfuse.figures.kaplan_meier_figure import (
    FEW_AT_RISK,
    plot_kaplan_meier,
    risk_groups,
)
from survfuse.figures.learning_figure import learning_curve, plot_learning_curve
from survfuse.figures.plan_figure import plot_plan_power, plot_plan_width
from survfuse.figures.survival_figure import plot_survival
from survfuse.figures.svg import COLOURS, STYLE_SHEET, draw, draw_both
from survfuse.figures.weight_figures import plot_weights, weights

__all__ = [
    "COLOURS",
    "EVERYONE",
    "FEWEST_EVENTS",
    "FEW_AT_RISK",
    "MOST_LEVELS",
    "MOST_PATTERNS",
    "STYLE_SHEET",
    "decision",
    "draw",
    "draw_both",
    "forest",
    "grouped_calibration",
    "increments",
    "learning_curve",
    "listed_subgroups",
    "patterns",
    "plot_calibration",
    "plot_contributions",
    "plot_decision",
    "plot_forest",
    "plot_grouped_calibration",
    "plot_increments",
    "plot_kaplan_meier",
    "plot_learning_curve",
    "plot_plan_power",
    "plot_plan_width",
    "plot_robustness",
    "plot_subgroups",
    "plot_survival",
    "plot_time_curve",
    "plot_times",
    "plot_weights",
    "risk_groups",
    "robustness",
    "smooth_calibration",
    "subgroups",
    "time_curves",
    "times",
    "weights",
]
