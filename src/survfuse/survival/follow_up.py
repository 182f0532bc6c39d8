"""Follow-up, horizons and the patients who give the censoring curve, with ties resolved."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from survfuse._errors import InputError
from survfuse._types import FloatArray
from survfuse.survival.curves import StepFunction
from survfuse.survival.right_censored import Outcome, Tally
from survfuse.survival.ties import tied

Train = tuple[npt.ArrayLike, npt.ArrayLike]


def as_train(train: Train | None) -> Outcome | None:
    """Convert (time, event) of the training patients; None stays None.

    Raises
    ------
    InputError
        For patients that are malformed, or none of them; its message begins with "train".
    """
    if train is None:
        return None
    try:
        time, event = train
    except (TypeError, ValueError):
        raise InputError(
            "train must be (time, event) of the patients trained on",
        ) from None
    try:
        outcome = Outcome.of(time, event)
    except InputError as cause:
        raise type(cause)(f"train: {cause}") from None
    if len(outcome) == 0:
        raise InputError("train must hold at least one patient")
    return outcome


@dataclass(frozen=True, eq=False)
class Clock:
    """Follow-up, horizons and the censoring curve; times equal up to rounding are equal.

    Attributes
    ----------
    outcome : Outcome
    horizons : array, (times,)
    censoring : StepFunction or None
        G; None without patients.
    last : float
        Last time it is known for.
    """

    outcome: Outcome
    horizons: FloatArray
    censoring: StepFunction | None
    last: float

    @classmethod
    def of(
        cls,
        outcome: Outcome,
        horizons: FloatArray,
        training: Outcome | None,
    ) -> Clock:
        """Estimate G from the training patients, from these patients where there are none."""
        if len(outcome) == 0:
            return cls(outcome, horizons, None, 0.0)
        source = outcome if training is None else training
        time, moved, source_time = tied(outcome.time, horizons, source.time)
        tally = Tally.of(Outcome(source_time, source.event))
        lost = np.divide(
            tally.censored,
            tally.staying,
            out=np.zeros(len(tally.time)),
            where=tally.staying > 0,
        )
        censoring = StepFunction(tally.time, np.cumprod(1 - lost), 1.0)
        last = float(tally.time[-1])
        return cls(Outcome(time, outcome.event), moved, censoring, last)
