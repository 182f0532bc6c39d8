"""Right-censored log-likelihood of predicted survival curves.

A curve given at some times is read as straight between them, from S(0) = 1. An
event between a and b then has the density (S(a) − S(b)) / (b − a); a patient
censored at T has the probability S(T). This is a proper score without censoring
weights, but it belongs to the given times: compare models on the same ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from survfuse._errors import NotComputableError
from survfuse._types import BoolArray, FloatArray
from survfuse.survival.argument_checks import as_horizons, as_survival
from survfuse.survival.estimate import Basis, Estimate
from survfuse.survival.right_censored import Outcome

ASSUMES = "censoring is independent of the event times, given the predictions"


def log_likelihood(
    time: ArrayLike,
    event: ArrayLike,
    survival: ArrayLike,
    times: ArrayLike,
) -> Estimate:
    """Mean right-censored log-likelihood per patient; larger is better.

    In a time unit k times as long it is larger by log(k) times the share of events.

    Parameters
    ----------
    time, event : array-like, (patients,)
    survival : array-like, (patients, times)
        Predicted probability of living beyond each time; never rising.
    times : array-like, (times,), strictly increasing
        In the unit of `time`. Whoever is followed beyond the last one is taken as
        censored there, and `note` says how many.

    Returns
    -------
    Estimate
        Without a value where a curve gives what happened the probability 0, which
        makes the likelihood minus infinity; `note` says for how many patients.

    Raises
    ------
    InputError
        For survival of a wrong shape, missing, outside [0, 1] or rising.
    """
    terms = _read(time, event, survival, times)
    basis = Basis(len(terms.values), int(terms.seen.sum()), ASSUMES)
    return basis.computed(lambda: basis.wald(*terms.mean(), note=terms.note))


def log_likelihood_influence(
    time: ArrayLike,
    event: ArrayLike,
    survival: ArrayLike,
    times: ArrayLike,
) -> tuple[float, FloatArray]:
    """Mean log-likelihood and each patient's influence on it (patients,), to combine folds.

    Parameters
    ----------
    time, event, survival, times
        As in :func:`log_likelihood`.

    Raises
    ------
    NotComputableError
        Without patients, or where a curve gives what happened the probability 0.
    """
    return _read(time, event, survival, times).mean()


def _read(
    time: ArrayLike,
    event: ArrayLike,
    survival: ArrayLike,
    times: ArrayLike,
) -> LikelihoodTerms:
    horizons = as_horizons(times, increasing=True)
    outcome, grid = Outcome.of(time, event).with_horizons(horizons)
    curves = as_survival(survival, len(outcome), grid)
    return LikelihoodTerms.of(outcome, curves, grid)


@dataclass(frozen=True, eq=False)
class LikelihoodTerms:
    """Log-likelihood of each patient.

    Attributes
    ----------
    values : array, (patients,)
        Minus infinity where what happened had probability 0.
    seen : array, (patients,)
        Whose event lies within the times.
    note : str
    """

    values: FloatArray
    seen: BoolArray
    note: str

    @classmethod
    def of(
        cls,
        outcome: Outcome,
        survival: FloatArray,
        times: FloatArray,
    ) -> LikelihoodTerms:
        """Read curves (patients, times) as straight between the times (times,), from S(0) = 1."""
        grid = np.append(0.0, times)
        curves = np.hstack([np.ones((len(outcome), 1)), survival])
        later = outcome.time > grid[-1]
        end, seen = np.minimum(outcome.time, grid[-1]), outcome.event & ~later
        row = np.arange(len(outcome))
        after = np.searchsorted(grid, end, side="left")  # in (after − 1, after]
        falls = -np.diff(curves, axis=1)[row, after - 1]
        density = np.maximum(falls, 0.0) / np.diff(grid)[after - 1]
        still = curves[row, after] + density * (grid[after] - end)
        with np.errstate(divide="ignore"):
            values = np.log(np.where(seen, density, still))
        note = (
            f"{later.sum()} patients followed beyond t = {grid[-1]:g}, where the curves end:"
            " taken as censored there"
        )
        return cls(values, seen, note if later.any() else "")

    def mean(self) -> tuple[float, FloatArray]:
        """Mean over patients, and each patient's influence on it."""
        if len(self.values) == 0:
            raise NotComputableError("there are no patients")
        impossible = np.isneginf(self.values)
        events = int((impossible & self.seen).sum())
        censored = int((impossible & ~self.seen).sum())
        parts = []
        if events:
            parts.append(f"{events} events probability 0")
        if censored:
            parts.append(
                f"{censored} patients no chance to live as long as they did",
            )
        if parts:
            raise NotComputableError(
                f"the curves give {' and '.join(parts)}: the log-likelihood is minus infinity",
            )
        value = float(self.values.mean())
        return value, (self.values - value) / len(self.values)
