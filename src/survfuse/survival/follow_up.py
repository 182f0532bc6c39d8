"""Follow-up, horizons and the patients who give the censoring curve, read on one clock."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from survfuse._errors import InputError
from survfuse._types import FloatArray
from survfuse.survival.curves import StepFunction, censoring_survival
from survfuse.survival.right_censored import Outcome
from survfuse.survival.ties import tied

Train = tuple[npt.ArrayLike, npt.ArrayLike]


def as_train(train: Train) -> Outcome:
    """Convert (time, event) of the patients trained on, or say that it is theirs that is wrong."""
    try:
        time, event = train
    except (TypeError, ValueError):
        raise InputError(
            "train must be (time, event) of the patients trained on",
        ) from None
    try:
        return Outcome.of(time, event)
    except InputError as cause:
        raise type(cause)(f"train: {cause}") from None


def known_up_to(time: FloatArray, train: Train | None = None) -> float:
    """Last time at which censoring weights are known; 0 without patients.

    Parameters
    ----------
    time : array, (patients,)
        Follow-up.
    train : (time, event), optional
        Patients who give the censoring curve; these patients themselves otherwise.
    """
    return float(np.max(time if train is None else train[0], initial=0.0))


@dataclass(frozen=True, eq=False)
class Clock:
    """Follow-up, horizons and the censoring curve, on one clock: equal up to rounding is equal.

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
    def of(cls, outcome: Outcome, horizons: FloatArray, train: Train | None) -> Clock:
        """Estimate G from the training patients, from these patients where there are none.

        Raises
        ------
        InputError
            For training patients that are malformed, or none of them.
        """
        source = outcome if train is None else as_train(train)
        if train is not None and len(source) == 0:
            raise InputError("train must hold at least one patient")
        if len(outcome) == 0:
            return cls(outcome, horizons, None, 0.0)
        time, moved, given = tied(outcome.time, horizons, source.time)
        curve = censoring_survival(given, source.event)
        return cls(Outcome(time, outcome.event), moved, curve, known_up_to(given))
