"""Names of the metrics, which way each is better and what it measures."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache

from survfuse.evaluation import scoring
from survfuse.evaluation.assessment import cards
from survfuse.evaluation.metric_registry import FAMILIES, HIGHER, OTHER, RANKING
from survfuse.figures.formatting import duration
from survfuse.report.model_names import model_title as model_title

DELTA = scoring.DELTA
D_CALIBRATION = "d_calibration"
_NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e[+-]?\d+)?")


@dataclass(frozen=True)
class Metric:
    """Presentation of a metric.

    Attributes
    ----------
    title : str
        Its readable name, with the horizon where it has one.
    better : str
        "higher", "lower", "1 is best", or empty where it is not known.
    family : str
        The heading of its table.
    says : str
        What it measures, in one sentence; empty where it is not known.
    at_horizon : bool
        Whether it is computed at horizons.
    """

    title: str
    better: str = ""
    family: str = OTHER
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
    entry = _names().get(name)
    if entry is None or entry.at_horizon != (horizon is not None):
        return Metric(key, "", OTHER)
    if horizon is None:
        return entry
    return replace(entry, title=f"{entry.title} at {duration(horizon, unit)}")


def family_title(key: str) -> str:
    """Name of a metric without its horizon.

    >>> family_title("brier_36"), family_title("uno_c")
    ('Brier score', 'Uno C')
    """
    name, _ = split_horizon(key)
    entry = _names().get(name)
    return entry.title if entry else key


def split_horizon(key: str) -> tuple[str, float | None]:
    """Split the key of a metric at a horizon.

    >>> split_horizon("auc_36"), split_horizon("uno_c")
    (('auc', 36.0), ('uno_c', None))
    """
    name, _, horizon = key.rpartition("_")
    entry = _names().get(name)
    if entry is None or not entry.at_horizon or not _NUMBER.fullmatch(horizon):
        return key, None
    return name, float(horizon)


def order(key: str) -> tuple[int, int, float]:
    """Position of a metric on the page; horizons rise within a metric, unknown ones come last.

    >>> sorted(["mine", "brier_36", "brier_12", "uno_c"], key=order)
    ['uno_c', 'brier_12', 'brier_36', 'mine']
    """
    name, horizon = split_horizon(key)
    known = list(_names())
    if name not in known:
        return FAMILIES.index(OTHER), len(known), horizon or 0.0
    family = FAMILIES.index(_names()[name].family)
    return family, known.index(name), horizon or 0.0
