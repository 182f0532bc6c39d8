"""The Cox partial likelihood and its derivatives, over risk sets found once.

With S the sum of exp(η) over everyone followed as long as an event e, and D the
sum over the events at its time, the term of e is η_e − log(S − f D): f = 0 for
every event (Breslow), or 0, 1/d, …, (d−1)/d for the d events at one time (Efron).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from survfuse._errors import InputError
from survfuse._types import FloatArray
from survfuse.survival.right_censored import Outcome

Rows = npt.NDArray[np.int64]
TIES = ("efron", "breslow")
SMALLEST = 1e-280  # of the largest relative risk: the hazards 1/size of a million events still add up


@dataclass(frozen=True, eq=False)
class RiskSets:
    """Who is at risk at each event; patients in order of time, events in that same order.

    Attributes
    ----------
    order : array, (patients,), rows by increasing time
    event : array, (events,), place in `order` of each event
    first : array, (events,), first place in `order` that is still at risk
    tied : array, (events,), number of the event time, from 0
    share : array, (events,), Efron's fraction f; zeros for Breslow
    until : array, (patients,), how many events lie at or before each patient's time
    """

    order: Rows
    event: Rows
    first: Rows
    tied: Rows
    share: FloatArray
    until: Rows

    @classmethod
    def of(cls, outcome: Outcome, ties: str) -> RiskSets:
        """Find the risk sets once; nothing here depends on the risks."""
        if ties not in TIES:
            raise InputError(f"unknown ties {ties!r}; known: {', '.join(TIES)}")
        order = np.argsort(outcome.time, kind="stable")
        time = outcome.time[order]
        event = np.flatnonzero(outcome.event[order])
        first = np.searchsorted(time, time[event], side="left")
        _, start, tied, count = np.unique(
            time[event],
            return_index=True,
            return_inverse=True,
            return_counts=True,
        )
        nth = np.arange(len(event)) - start[tied]
        share = nth / count[tied] if ties == "efron" else np.zeros(len(event))
        return cls(
            order,
            event,
            first,
            tied,
            share,
            np.searchsorted(time[event], time, side="right"),
        )

    def log_likelihood(self, log_risk: FloatArray) -> float:
        """Log partial likelihood; finite for any finite risks.

        Parameters
        ----------
        log_risk : array, (patients,)
        """
        if len(self.event) == 0:
            return 0.0
        risk = log_risk[self.order]
        log_sum = np.logaddexp.accumulate(risk[::-1])[::-1][self.first]
        own = risk[self.event]
        top = np.full(self.tied[-1] + 1, -np.inf)
        np.maximum.at(top, self.tied, own)
        log_tied = top + np.log(
            np.bincount(self.tied, weights=np.exp(own - top[self.tied])),
        )
        part = self.share * np.exp(np.minimum(log_tied[self.tied] - log_sum, 0.0))
        return float((own - log_sum - np.log1p(-part)).sum())

    def derivatives(
        self,
        x: FloatArray,
        log_risk: FloatArray,
    ) -> tuple[FloatArray, FloatArray]:
        """Gradient (features,) and negative Hessian (features, features) for log-risk = x · coef + offset.

        NaN where a risk set is so much smaller than the largest that a double
        loses it (a span of log-risks beyond about 640).

        Parameters
        ----------
        x : array, (patients, features)
        log_risk : array, (patients,)
        """
        x, risk = x[self.order], log_risk[self.order]
        w = np.exp(risk - risk.max())
        wx = w[:, None] * x
        share = self.share
        size = self._sizes(w)
        if size is None:
            return np.full(x.shape[1], np.nan), np.full((x.shape[1],) * 2, np.nan)
        mean = _from_here_on(wx)[self.first]
        if share.any():
            mean = mean - share[:, None] * self._over_ties(wx)
        mean /= size[:, None]
        residual, mass = self._residual(w, size)
        return residual @ x, (x * mass[:, None]).T @ x - mean.T @ mean

    def residuals(self, log_risk: FloatArray) -> FloatArray:
        """Derivative by each patient's log-risk, the martingale residual; (patients,).

        NaN where :meth:`derivatives` gives NaN.

        Parameters
        ----------
        log_risk : array, (patients,)
        """
        risk = log_risk[self.order]
        w = np.exp(risk - risk.max())
        size = self._sizes(w)
        found = np.full(len(risk), np.nan)
        if size is not None:
            found[self.order] = self._residual(w, size)[0]
        return found

    def _sizes(self, w: FloatArray) -> FloatArray | None:
        """Risk set of each event, less Efron's share; None where a double loses one; (events,)."""
        size = _from_here_on(w)[self.first] - self.share * self._over_ties(w)
        return size if (size > SMALLEST).all() else None

    def _residual(
        self,
        w: FloatArray,
        size: FloatArray,
    ) -> tuple[FloatArray, FloatArray]:
        """Event less expected events, and expected events, in order of time; (patients,) each."""
        hazard = np.concatenate([[0.0], np.cumsum(1 / size)])[self.until]
        hazard[self.event] -= np.bincount(self.tied, weights=self.share / size)[
            self.tied
        ]
        mass = w * hazard
        residual = -mass
        residual[self.event] += 1
        return residual, mass

    def _over_ties(
        self,
        values: npt.NDArray[Any],
    ) -> npt.NDArray[Any]:  # (patients, ...) -> (events, ...)
        own = values[self.event]
        starts = np.flatnonzero(np.diff(self.tied, prepend=-1))
        return np.add.reduceat(own, starts, axis=0)[self.tied]


def _from_here_on(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.cumsum(values[::-1], axis=0)[::-1]
