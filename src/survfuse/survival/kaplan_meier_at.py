"""Kaplan–Meier at a horizon, with its influence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from survfuse._errors import NotComputableError
from survfuse._types import FloatArray
from survfuse.survival.right_censored import Outcome, Tally


@dataclass(frozen=True, eq=False)
class KaplanMeierAt:
    """Kaplan–Meier survival at one horizon.

    Attributes
    ----------
    survival : float
    influence : array, (patients,)
        Derivative by each patient's weight; sums to 0, its squares to Greenwood's
        variance.
    events : int
        Events up to the horizon.
    """

    survival: float
    influence: FloatArray
    events: int

    @classmethod
    def of(
        cls,
        outcome: Outcome,
        horizon: float,
    ) -> KaplanMeierAt:
        """Estimate S(horizon).

        Raises
        ------
        NotComputableError
            Without patients, or when nobody was followed to the horizon and the curve
            has not reached 0.
        """
        if len(outcome) == 0:
            raise NotComputableError("there are no patients")
        tally = Tally.of(outcome)
        tally.require_reach(horizon)
        hazard = np.where(tally.time <= horizon, tally.events / tally.at_risk, 0.0)
        survival = float(np.prod(1 - hazard))
        events = outcome.events_by(horizon)
        if survival == 0:  # everyone left had the event: no patient's weight moves it
            return cls(0.0, np.zeros(len(outcome)), events)
        staying = np.where(hazard > 0, tally.staying, 1.0)
        own = np.searchsorted(tally.time, outcome.time)
        had = np.where(outcome.event & (outcome.time <= horizon), 1 / staying[own], 0.0)
        influence = survival * (np.cumsum(hazard / staying)[own] - had)
        return cls(survival, influence, events)
