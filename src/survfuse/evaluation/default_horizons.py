"""The times at which survival is told and judged, chosen before any prediction is looked at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from survfuse._errors import ConfigError
from survfuse.survival.ties import at_or_after

if TYPE_CHECKING:
    from survfuse.cohort.cohort import Cohort

YEARS = {"days": 365.0, "months": 12.0, "years": 1.0}
TOLD_YEARS = (1, 3, 5)
MIN_AT_RISK = 0.1  # horizons later than this share of patients is followed are dropped


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
    assert cohort.outcome is not None
    assert cohort.spec.outcome is not None
    stated = given if given is not None else cohort.spec.outcome.horizons
    if stated:
        if not all(np.isfinite(h) and h > 0 for h in stated):
            raise ConfigError(
                f"horizons must be > 0, got {list(stated)}; each a finite number",
            )
        if len({f"{h:g}" for h in stated}) < len(stated):  # they name columns
            raise ConfigError(
                f"horizons must differ in their first 6 digits, got {list(stated)}",
            )
        return tuple(sorted(float(h) for h in stated)), []
    year = YEARS[cohort.spec.outcome.unit]
    time = cohort.outcome["time"].to_numpy(float)
    kept = tuple(
        n * year
        for n in TOLD_YEARS
        if np.mean(at_or_after(time, n * year)) >= MIN_AT_RISK
    )
    if not kept:
        raise ConfigError(
            f"fewer than {MIN_AT_RISK:.0%} of the patients are followed for a year; "
            f"state horizons, in {cohort.spec.outcome.unit}, in the cohort file or with --set horizons=[…]",
        )
    dropped = [n for n in TOLD_YEARS if n * year not in kept]
    note = [
        f"{n}-year horizon left out: fewer than {MIN_AT_RISK:.0%} of patients are followed so long"
        for n in dropped
    ]
    return kept, note


def default_horizons(unit: str, longest: float) -> tuple[float, ...]:
    """1, 3 and 5 years in `unit`, as far as the training patients were followed."""
    return tuple(n * YEARS[unit] for n in TOLD_YEARS if n * YEARS[unit] <= longest)
