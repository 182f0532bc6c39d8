"""What each number is called, which way it is better and what it says."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache

from survfuse.evaluation import scoring
from survfuse.evaluation.assessment import cards
from survfuse.evaluation.metric_registry import FAMILIES, HIGHER, OTHER, RANKING
from survfuse.report.formatting import duration

DELTA = scoring.DELTA
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
    at_horizon : bool
        Whether it is computed at horizons.
    """

    title: str
    better: str
    family: str
    says: str = ""
    at_horizon: bool = False


_DELTA = Metric(
    "Uno C, difference to clinical-only",
    HIGHER,
    RANKING,
    "Paired on the same patients.",
)


@cache
def _names() -> dict[str, Metric]:
    """Names of all metrics by key: in each family those at horizons last."""
    names = {}
    for card in sorted(cards(), key=lambda card: card.at_horizon):
        names[card.key] = Metric(
            card.title,
            card.better,
            card.family,
            card.summary,
            card.at_horizon,
        )
        if card.key == "harrell_c":
            names[DELTA] = _DELTA
    return names


def metric(key: str, unit: str) -> Metric:
    """Describe a metric by its key; an unknown key is its own name.

    >>> metric("brier_36", "months").title, metric("uno_c", "months").better
    ('Brier score at 36 months (3 years)', 'higher')
    >>> metric("mine", "months").family
    'Other'
    """
    name, horizon = split_horizon(key)
    found = _names().get(name)
    if found is None or found.at_horizon != (horizon is not None):
        return Metric(key, "", OTHER)
    if horizon is None:
        return found
    return replace(found, title=f"{found.title} at {duration(horizon, unit)}")


def family_title(key: str) -> str:
    """Name of a metric without its horizon.

    >>> family_title("brier_36"), family_title("uno_c")
    ('Brier score', 'Uno C')
    """
    name, _ = split_horizon(key)
    found = _names().get(name)
    return found.title if found else key


def split_horizon(key: str) -> tuple[str, float | None]:
    """Split the key of a metric at a horizon.

    >>> split_horizon("auc_36"), split_horizon("uno_c")
    (('auc', 36.0), ('uno_c', None))
    """
    found = re.fullmatch(r"([a-z0-9_]+)_(\d+(?:\.\d+)?(?:e[+-]?\d+)?)", key)
    if found is None or found[1] not in _names() or not _names()[found[1]].at_horizon:
        return key, None
    return found[1], float(found[2])


def order(key: str) -> tuple[int, int, float]:
    """Sort metrics as they stand above; horizons rise within a metric, unknown ones come last.

    >>> sorted(["mine", "brier_36", "brier_12", "uno_c"], key=order)
    ['uno_c', 'brier_12', 'brier_36', 'mine']
    """
    name, horizon = split_horizon(key)
    known = list(_names())
    family = _names()[name].family if name in known else OTHER
    return (
        FAMILIES.index(family),
        known.index(name) if name in known else len(known),
        horizon or 0.0,
    )
