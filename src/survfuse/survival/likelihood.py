"""Right-censored log-likelihood of predicted survival curves.

A curve given at some times is read as straight between them, from S(0) = 1. An
event between a and b then has the density (S(a) − S(b)) / (b − a); a patient
censored at T has the probability S(T). This is a proper score without censoring
weights, but it belongs to the given times: compare models on the same ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from survfuse._errors import NotComputableError
from survfuse._types import FloatArray
from survfuse.survival.argument_checks import as_horizons, as_survival
from survfuse.survival.estimate import Estimate, not_computable, wald
from survfuse.survival.right_censored import Outcome

ASSUMES = "censoring is independent of the event times, given the predictions"


def log_likelihood(
    time: npt.ArrayLike,
    event: npt.ArrayLike,
    survival: npt.ArrayLike,
    times: npt.ArrayLike,
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
    terms = _Terms.of(time, event, survival, times)
    try:
        value, influence = terms.mean()
    except NotComputableError as why:
        return not_computable(str(why), len(terms.each), terms.events, ASSUMES)
    return wald(
        value,
        influence,
        len(terms.each),
        terms.events,
        note=terms.note,
        assumptions=ASSUMES,
    )


def log_likelihood_influence(
    time: npt.ArrayLike,
    event: npt.ArrayLike,
    survival: npt.ArrayLike,
    times: npt.ArrayLike,
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
    return _Terms.of(time, event, survival, times).mean()


@dataclass(frozen=True, eq=False)
class _Terms:
    """Log-likelihood of each patient; minus infinity where it is."""

    each: FloatArray  # (patients,)
    seen: npt.NDArray[np.bool_]  # (patients,), whose event lies within the times
    note: str

    @classmethod
    def of(
        cls,
        time: npt.ArrayLike,
        event: npt.ArrayLike,
        survival: npt.ArrayLike,
        times: npt.ArrayLike,
    ) -> _Terms:
        outcome, grid = Outcome.of(time, event).with_horizons(
            as_horizons(times, increasing=True),
        )
        curves = as_survival(survival, len(outcome), grid)
        grid, curves = (
            np.append(0.0, grid),
            np.hstack([np.ones((len(outcome), 1)), curves]),
        )
        falls = -np.diff(curves, axis=1)
        later = outcome.time > grid[-1]
        end, seen = np.minimum(outcome.time, grid[-1]), outcome.event & ~later
        row, after = (
            np.arange(len(outcome)),
            np.searchsorted(grid, end, side="left"),
        )  # in (after − 1, after]
        density = np.maximum(falls[row, after - 1], 0.0) / np.diff(grid)[after - 1]
        still = curves[row, after] + density * (grid[after] - end)
        with np.errstate(divide="ignore"):
            each = np.log(np.where(seen, density, still))
        beyond = f"followed beyond t = {grid[-1]:g}, where the curves end: taken as censored there"
        return cls(
            each,
            seen,
            f"{later.sum()} patients {beyond}" if later.any() else "",
        )

    @property
    def events(self) -> int:
        return int(self.seen.sum())

    def mean(self) -> tuple[float, FloatArray]:
        """Mean over patients, and each patient's influence on it."""
        if len(self.each) == 0:
            raise NotComputableError("there are no patients")
        lost = np.isneginf(self.each)
        if lost.any():
            raise NotComputableError(
                _impossible(
                    int((lost & self.seen).sum()),
                    int((lost & ~self.seen).sum()),
                ),
            )
        value = float(self.each.mean())
        return value, (self.each - value) / len(self.each)


def _impossible(events: int, censored: int) -> str:
    parts = [f"{events} events probability 0"] if events else []
    parts += (
        [f"{censored} patients no chance to live as long as they did"]
        if censored
        else []
    )
    return (
        f"the curves give {' and '.join(parts)}: the log-likelihood is minus infinity"
    )
