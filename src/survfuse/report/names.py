"""What each number is called, which way it is better and what it says."""

from __future__ import annotations

import re
from dataclasses import dataclass

from survfuse.report.formatting import duration

HIGHER, LOWER, ONE = "higher", "lower", "1 is best"
RANKING, ERROR, AGREEMENT, EXPLAINED, OTHER = (
    "Ranking (discrimination)",
    "Error of the predicted curves",
    "Agreement of predicted and observed (calibration)",
    "Explained variation",
    "Other",
)
DELTA = "delta_uno_c_vs_clinical"
D_CALIBRATION = "d_calibration"


@dataclass(frozen=True)
class Metric:
    """How a metric is shown.

    Attributes
    ----------
    title : str
        Its readable name, with the horizon where it has one.
    better : str
        "higher", "lower", "1 is best", or empty where it is not known.
    family : str
        The heading under which it stands.
    says : str
        What it measures, in one sentence; empty where it is not known.
    """

    title: str
    better: str
    family: str
    says: str = ""


WHOLE = {
    "uno_c": Metric(
        "Uno C",
        HIGHER,
        RANKING,
        "Share of comparable pairs in the right order, whatever the censoring.",
    ),
    "harrell_c": Metric(
        "Harrell C",
        HIGHER,
        RANKING,
        "Share of comparable pairs in the right order; depends on the censoring.",
    ),
    DELTA: Metric(
        "Uno C, difference to clinical-only",
        HIGHER,
        RANKING,
        "Paired on the same patients.",
    ),
    "isbs": Metric(
        "Integrated Brier score",
        LOWER,
        ERROR,
        "Mean squared error of the predicted curve, over time.",
    ),
    "integrated_ipa": Metric(
        "Integrated IPA",
        HIGHER,
        ERROR,
        "Share of the null model's integrated Brier score that is taken away.",
    ),
    "log_likelihood": Metric(
        "Log-likelihood",
        HIGHER,
        ERROR,
        "How probable the observed times are under the predicted curves.",
    ),
    "observed_expected": Metric(
        "Observed / expected events",
        ONE,
        AGREEMENT,
        "Above 1: more events than predicted.",
    ),
    "calibration_slope": Metric(
        "Calibration slope",
        ONE,
        AGREEMENT,
        "Below 1: predictions too extreme.",
    ),
    D_CALIBRATION: Metric(
        "D-calibration, p-value",
        "",
        AGREEMENT,
        "A small value: not calibrated.",
    ),
    "royston_r2": Metric(
        "R² (Royston)",
        HIGHER,
        EXPLAINED,
        "Of the log-hazard, on the scale of time.",
    ),
    "kent_oquigley_r2": Metric(
        "R² (Kent and O'Quigley)",
        HIGHER,
        EXPLAINED,
        "From the information gained.",
    ),
}
AT_HORIZON = {
    "auc": Metric(
        "AUC",
        HIGHER,
        RANKING,
        "Cumulative/dynamic: those with the event by then against the rest.",
    ),
    "brier": Metric(
        "Brier score",
        LOWER,
        ERROR,
        "Mean squared error of the predicted probability.",
    ),
    "ipa": Metric(
        "IPA",
        HIGHER,
        ERROR,
        "Share of the null model's Brier score that is taken away.",
    ),
    "ici": Metric(
        "ICI",
        LOWER,
        AGREEMENT,
        "Mean distance of predicted from observed probability.",
    ),
    "e50": Metric(
        "E50",
        LOWER,
        AGREEMENT,
        "Median distance of predicted from observed probability.",
    ),
    "e90": Metric(
        "E90",
        LOWER,
        AGREEMENT,
        "Nine tenths of patients are closer than this.",
    ),
}
FAMILIES = (RANKING, ERROR, AGREEMENT, EXPLAINED, OTHER)


def metric(key: str, unit: str) -> Metric:
    """Describe a metric by its key; an unknown key is its own name.

    >>> metric("brier_36", "months").title, metric("uno_c", "months").better
    ('Brier score at 36 months (3 years)', 'higher')
    >>> metric("mine", "months").family
    'Other'
    """
    if key in WHOLE:
        return WHOLE[key]
    name, horizon = split_horizon(key)
    if horizon is None:
        return Metric(key, "", OTHER)
    at = AT_HORIZON[name]
    return Metric(
        f"{at.title} at {duration(horizon, unit)}",
        at.better,
        at.family,
        at.says,
    )


def family_title(key: str) -> str:
    """Name of a metric without its horizon.

    >>> family_title("brier_36"), family_title("uno_c")
    ('Brier score', 'Uno C')
    """
    name, _ = split_horizon(key)
    found = WHOLE.get(name) or AT_HORIZON.get(name)
    return found.title if found else key


def split_horizon(key: str) -> tuple[str, float | None]:
    """Split the key of a metric at a horizon.

    >>> split_horizon("auc_36"), split_horizon("uno_c")
    (('auc', 36.0), ('uno_c', None))
    """
    found = re.fullmatch(r"([a-z0-9]+)_(\d+(?:\.\d+)?(?:e[+-]?\d+)?)", key)
    if found is None or found[1] not in AT_HORIZON:
        return key, None
    return found[1], float(found[2])


def order(key: str) -> tuple[int, int, float]:
    """Sort metrics as they stand above; horizons rise within a metric, unknown ones come last.

    >>> sorted(["mine", "brier_36", "brier_12", "uno_c"], key=order)
    ['uno_c', 'brier_12', 'brier_36', 'mine']
    """
    name, horizon = split_horizon(key)
    known = [*WHOLE, *AT_HORIZON]
    family = (AT_HORIZON.get(name) or WHOLE.get(name) or Metric(key, "", OTHER)).family
    return (
        FAMILIES.index(family),
        known.index(name) if name in known else len(known),
        horizon or 0.0,
    )
