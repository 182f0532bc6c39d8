"""The sentences of a plan: what it assumes, what to buy next."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, sqrt
from typing import TYPE_CHECKING

from survfuse.figures.formatting import count
from survfuse.survival.estimate import Z, rounded

if TYPE_CHECKING:
    from survfuse.evaluation.study_plan import IncrementPlan

OWN = "the whole model"
ASSUMPTIONS = (
    "The further patients come from the same population as those of the pilot: same inclusion, "
    "same event rate, same length of follow-up and censoring.",
    "The same models are fitted in the same way, with as many folds and repeats.",
    "Values stay as they are in the pilot; the slope and observed / expected are taken as 1, so "
    "that their widths are those of a well calibrated model.",
)
FAR = (
    "{what}: more than {times} times as many patients as the pilot had. So far away a plan tells "
    "the order of magnitude."
)


def repeats_sentence(repeats: int) -> str:
    """Why the plan is on the safe side."""
    if repeats > 1:
        return (
            "The run's intervals are not widened by what training changes; the plan scales them "
            "as they are, as 1/sqrt(n)."
        )
    return (
        "The run has one repeat, which leaves unknown how much of a risk is due to who trained "
        "the model: all of it is taken to be, so widths are up to 1.4 times too wide and patients "
        "up to twice too many. Run the pilot with --repeats 3."
    )


def curve_sentence(curve: Sequence[tuple[float, float]]) -> str:
    """Whether the increment grows with the number of patients."""
    counted = "The increment itself may grow with more patients; that is not counted"
    if not curve:
        return f"{counted} (`crossval --learning-curve` measures it)."
    points = ", ".join(
        f"{rounded(value, signed=True)} with {count(patients)}"
        for patients, value in curve
    )
    return (
        f"{counted}. The pilot's learning curve: the model minus the clinical variables, Uno C, "
        f"is {points} training patients."
    )


def buying(rows: Sequence[IncrementPlan], power: float) -> str:
    """Name the modality whose increment needs the fewest patients, or say why none can be named."""
    if not rows:
        return "What to buy next cannot be told: the pilot has no modality beside clinical tables."
    gains = [one for one in rows if one.for_estimate is not None]
    if not gains:
        return "Nothing to buy by the pilot's numbers: no modality improved the predictions there."
    gains.sort(key=lambda one: one.for_estimate or 0.0)
    best = gains[0]
    needed = count(ceil(best.for_estimate or 0))
    claim = (
        f"{best.what} ({best.kind}) needs the fewest patients: {needed} show an increment of "
        f"{_with_interval(best)}, as the pilot found it, with a power of {100 * power:g} %."
    )
    assert best.estimate is not None
    if best.estimate.low is None or best.estimate.low <= 0:
        return f"{claim} But that interval holds 0: the pilot is too small to tell what to buy."
    close = [one for one in gains[1:] if _overlap(best, one)]
    if close:
        names = ", ".join(f"{one.what} ({_with_interval(one)})" for one in close)
        return f"{claim} The pilot does not tell it from {names}."
    return f"{claim} No other modality comes close in the pilot."


def _with_interval(one: IncrementPlan) -> str:
    estimate = one.estimate
    assert estimate is not None
    assert estimate.value is not None
    value = rounded(estimate.value, signed=True)
    if estimate.low is None or estimate.high is None:
        return value
    low, high = rounded(estimate.low, signed=True), rounded(estimate.high, signed=True)
    return f"{value} [{low}, {high}]"


def _overlap(a: IncrementPlan, b: IncrementPlan) -> bool:
    """Whether two increments differ by less than their intervals, taken as independent, allow."""
    assert a.estimate is not None
    assert b.estimate is not None
    difference = (a.estimate.value or 0.0) - (b.estimate.value or 0.0)
    return difference < Z * sqrt(
        (a.estimate.se or 0.0) ** 2 + (b.estimate.se or 0.0) ** 2
    )
