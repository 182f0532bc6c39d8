"""Names of the metrics, which way each is better and what it measures."""

from __future__ import annotations

import re
from dataclasses import replace

from pydantic import TypeAdapter
from pydantic.dataclasses import dataclass

from survfuse.report.formatting import duration
from survfuse.report.wording import load

DELTA = "delta_uno_c_vs_clinical"
D_CALIBRATION = "d_calibration"
OTHER = "Other"


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
        Whether its key ends with a horizon.
    """

    title: str
    better: str = ""
    family: str = OTHER
    says: str = ""
    at_horizon: bool = False


METRICS = TypeAdapter(dict[str, Metric]).validate_python(load("metrics.yaml"))


def metric(key: str, unit: str) -> Metric:
    """Describe a metric by its key; an unknown key is its own name.

    >>> metric("brier_36", "months").title, metric("uno_c", "months").better
    ('Brier score at 36 months (3 years)', 'higher')
    >>> metric("mine", "months").family
    'Other'
    """
    name, horizon = split_horizon(key)
    entry = METRICS.get(name, Metric(key))
    if horizon is None:
        return entry
    return replace(entry, title=f"{entry.title} at {duration(horizon, unit)}")


def family_title(key: str) -> str:
    """Name of a metric without its horizon.

    >>> family_title("brier_36"), family_title("uno_c")
    ('Brier score', 'Uno C')
    """
    return METRICS.get(split_horizon(key)[0], Metric(key)).title


def split_horizon(key: str) -> tuple[str, float | None]:
    """Split the key of a metric at a horizon.

    >>> split_horizon("auc_36"), split_horizon("uno_c")
    (('auc', 36.0), ('uno_c', None))
    """
    name, _, horizon = key.rpartition("_")
    known = name in METRICS and METRICS[name].at_horizon
    if known and re.fullmatch(r"\d+(?:\.\d+)?(?:e[+-]?\d+)?", horizon):
        return name, float(horizon)
    return key, None


def order(key: str) -> tuple[int, float]:
    """Position of a metric on the page; horizons rise within a metric, unknown ones come last.

    >>> sorted(["mine", "brier_36", "brier_12", "uno_c"], key=order)
    ['uno_c', 'brier_12', 'brier_36', 'mine']
    """
    name, horizon = split_horizon(key)
    position = [*METRICS].index(name) if name in METRICS else len(METRICS)
    return position, horizon or 0.0
