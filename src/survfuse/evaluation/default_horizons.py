"""Times at which survival is predicted and assessed, chosen without any prediction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from survfuse._errors import ConfigError
from survfuse.survival.ties import at_or_after

if TYPE_CHECKING:
    from survfuse.cohort.cohort import Cohort

YEARS = {"days": 365.0, "months": 12.0, "years": 1.0}
DEFAULT_YEARS = (1, 3, 5)
MIN_AT_RISK = 0.1  # horizons later than this share of patients is followed are dropped
FEWER = f"fewer than {MIN_AT_RISK:.0%} of"


def resolve_horizons(
    given: Sequence[float] | None,
    cohort: Cohort,
) -> tuple[tuple[float, ...], list[str]]:
    """Horizons of a run, and what a reader should know of the choice.

    Given ones are kept. Otherwise 1, 3 and 5 years, less those at which fewer
    than a tenth of the patients are still under observation (which does not look
    at who had an event, nor at any prediction).

    Raises
    ------
    ConfigError
        When no default horizon is left.
    """
    spec = cohort.spec.outcome
    assert cohort.outcome is not None
    assert spec is not None
    stated = given if given is not None else spec.horizons
    if stated:
        return _stated(stated), []
    time = cohort.outcome["time"].to_numpy(float)
    horizons, notes = [], []
    for n in DEFAULT_YEARS:
        horizon = n * YEARS[spec.unit]
        if np.mean(at_or_after(time, horizon)) >= MIN_AT_RISK:
            horizons.append(horizon)
        else:
            notes.append(
                f"{n}-year horizon left out: {FEWER} patients are followed so long",
            )
    if not horizons:
        raise ConfigError(
            f"{FEWER} the patients are followed for a year; state horizons, in {spec.unit},"
            " in the cohort file or with --set horizons=[…]",
        )
    return tuple(horizons), notes


def _stated(horizons: Sequence[float]) -> tuple[float, ...]:
    """Check horizons that were given, and sort them."""
    if not all(np.isfinite(h) and h > 0 for h in horizons):
        raise ConfigError(
            f"horizons must be > 0, got {list(horizons)}; each a finite number",
        )
    if len({f"{h:g}" for h in horizons}) < len(horizons):  # they name columns
        raise ConfigError(
            f"horizons must differ in their first 6 digits, got {list(horizons)}",
        )
    return tuple(sorted(float(h) for h in horizons))


def default_horizons(
    unit: str,
    longest: float,
) -> tuple[float, ...]:
    """1, 3 and 5 years in `unit`, as far as the training patients were followed."""
    horizons = np.array(DEFAULT_YEARS) * YEARS[unit]
    return tuple(horizons[horizons <= longest].tolist())


def model_horizons(summary: Mapping[str, Any]) -> tuple[float, ...]:
    """Default horizons of a trained model, of whose fit `summary` tells.

    They reach as far as the patients were followed on whom it was last calibrated.
    """
    return default_horizons(str(summary["unit"]), _longest(summary))


def main_horizon(summary: Mapping[str, Any]) -> float:
    """The one horizon where only one is shown: 3 years, the nearest default, or the last time."""
    usual = model_horizons(summary)
    return usual[len(usual) // 2] if usual else _longest(summary)


def _longest(summary: Mapping[str, Any]) -> float:
    return float(summary.get("calibration_cohort", summary)["longest_time"])
