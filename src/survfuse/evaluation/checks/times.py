"""Check that follow-up times are in the declared unit, and how finely they were written down."""

from __future__ import annotations

import numpy as np

from survfuse._types import FloatArray
from survfuse.cohort.time_units import DAYS, MIN_PATIENTS, SHARE, doubted_unit
from survfuse.evaluation.checks.check_cards import check
from survfuse.evaluation.checks.evidence import (
    Evidence,
    Verdict,
    doubt,
    not_applicable,
    ok,
)

STEPS = {
    "months": DAYS["months"],
    "months of 30 days": 30.0,
    "weeks": DAYS["weeks"],
    "years": DAYS["years"],
}
COARSER = {  # unit -> grid -> its step and how far rounding may take a time from it
    "days": {
        name: (step, 1.0 if name == "months" else 0.5) for name, step in STEPS.items()
    },
    "months": {"years": (12.0, 0.05)},
    "years": {},
}


@check("SRV013", "Times are in the declared unit, and written down in it.", "warning")
def times_fit_their_unit(evidence: Evidence) -> Verdict:
    """Compare the times with their unit, and with coarser units that they may be rounded to."""
    time, unit = evidence.outcome["time"].to_numpy(float), str(evidence.cohort.unit)
    other = doubted_unit(time, unit)
    grid = coarser_grid(time, unit)
    text = f"times from {time.min():g} to {time.max():g} {unit}, {len(np.unique(time))} different"
    if other:
        return doubt(
            f"{other} ({text})",
            "Correct `outcome.unit`, or the table; leave a right unit.",
        )
    if len(time) < MIN_PATIENTS:
        return not_applicable(f"{len(time)} times; {MIN_PATIENTS} are needed")
    if grid is None:
        return ok(text)
    return doubt(
        f"at least {SHARE:.0%} of the times are whole {grid}, but they are declared as {unit} "
        f"({text})",
        f"Take horizons on whole {grid}, and report how coarse times are: events and censorings "
        "share them.",
    )


def coarser_grid(time: FloatArray, unit: str) -> str | None:
    """Name of the coarsest step on which nearly all times lie; None for the unit itself.

    The grid must be met more often than chance would: only times of several steps count.
    """
    if len(time) < MIN_PATIENTS or np.ptp(time) == 0:
        return None
    met = []
    for name, (step, slack) in COARSER[unit].items():
        off = np.abs(time - step * np.round(time / step))
        if np.mean(off <= slack) >= SHARE:
            met.append((step, name))
    return max(met)[1] if met else None
