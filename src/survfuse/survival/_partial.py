"""The Cox partial likelihood and its derivatives, over risk sets that are computed once.

With S the sum of exp(η) over everyone followed as long as an event e, and D the
sum over the events at its time, the term of e is η_e − log(S − f D): f = 0 for
every event (Breslow), or 0, 1/d, …, (d−1)/d for the d events at one time (Efron).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from survfuse._errors import InputError
from survfuse._types import FloatArray, IntArray
from survfuse.survival.right_censored import Outcome

Rows = IntArray
TIES = ("efron", "breslow")
SMALLEST = (
    1e-280  # of the largest relative risk: hazards 1/size of a million events add up
)


@dataclass(frozen=True, eq=False)
class RiskSets:
    """Patients at risk at each event; patients in order of time, events in the same order.

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
        """Compute the risk sets; nothing here depends on the risks."""
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
        until = np.searchsorted(time[event], time, side="right")
        return cls(order, event, first, tied, share, until)

    def log_sums(self, risk: FloatArray) -> FloatArray:
        """Log of the sum of exp(risk) over the risk set of each event, (events,).

        Parameters
        ----------
        risk : array, (patients,), in the order of time
        """
        sums: FloatArray = np.logaddexp.accumulate(risk[::-1])[::-1]
        return sums[self.first]

    def log_likelihood(self, log_risk: FloatArray) -> float:
        """Log partial likelihood; finite for any finite risks.

        Parameters
        ----------
        log_risk : array, (patients,)
        """
        if len(self.event) == 0:
            return 0.0
        risk = log_risk[self.order]
        log_sum, own = self.log_sums(risk), risk[self.event]
        top = np.full(self.tied[-1] + 1, -np.inf)
        np.maximum.at(top, self.tied, own)
        relative = np.exp(own - top[self.tied])
        log_tied = top + np.log(np.bincount(self.tied, weights=relative))
        part = self.share * np.exp(np.minimum(log_tied[self.tied] - log_sum, 0.0))
        return float((own - log_sum - np.log1p(-part)).sum())

    def derivatives(
        self,
        x: FloatArray,
        log_risk: FloatArray,
    ) -> tuple[FloatArray, FloatArray]:
        """Gradient and negative Hessian of the log-likelihood for log-risk = x · coef + offset.

        NaN where a risk set is so much smaller than the largest that a double
        loses it (a span of log-risks beyond about 640).

        Parameters
        ----------
        x : array, (patients, features)
        log_risk : array, (patients,)

        Returns
        -------
        gradient : array, (features,)
        information : array, (features, features)
        """
        x, weight = x[self.order], self._weights(log_risk)
        size = self._sizes(weight)
        if size is None:
            return np.full(x.shape[1], np.nan), np.full((x.shape[1],) * 2, np.nan)
        mean = self._sizes_of(weight[:, None] * x) / size[:, None]
        residual, mass = self._residual(weight, size)
        return residual @ x, (x * mass[:, None]).T @ x - mean.T @ mean

    def residuals(self, log_risk: FloatArray) -> FloatArray:
        """Derivative by each patient's log-risk, the martingale residual; (patients,).

        NaN where :meth:`derivatives` gives NaN.

        Parameters
        ----------
        log_risk : array, (patients,)
        """
        weight = self._weights(log_risk)
        size = self._sizes(weight)
        if size is None:
            return np.full(len(weight), np.nan)
        return self._unsorted(self._residual(weight, size)[0])

    def curvature(
        self,
        log_risk: FloatArray,
    ) -> tuple[FloatArray, Callable[[FloatArray], FloatArray]] | None:
        """First and second derivatives by each patient's log-risk, without a matrix.

        Parameters
        ----------
        log_risk : array, (patients,)

        Returns
        -------
        residual : array, (patients,)
            See :meth:`residuals`.
        product : callable
            The negative matrix of second derivatives times a vector, (patients,) both.

        None where :meth:`derivatives` gives NaN.
        """
        weight = self._weights(log_risk)
        size = self._sizes(weight)
        if size is None:
            return None
        sorted_residual, mass = self._residual(weight, size)

        def product(change: FloatArray) -> FloatArray:
            own = change[self.order]
            mean = self._sizes_of(weight * own) / size
            moved = mass * own - weight * self._sum_of_sets(mean / size)
            return self._unsorted(moved)

        return self._unsorted(sorted_residual), product

    def _unsorted(self, values: FloatArray) -> FloatArray:
        """Values in the order of time put back; (patients,)."""
        back = np.empty_like(values)
        back[self.order] = values
        return back

    def _weights(self, log_risk: FloatArray) -> FloatArray:
        """Relative risks in order of time, the largest 1; (patients,)."""
        risk = log_risk[self.order]
        return np.asarray(np.exp(risk - risk.max()))

    def _sizes(self, weight: FloatArray) -> FloatArray | None:
        """Risk set of each event, less Efron's share; None where a double loses one; (events,)."""
        size = self._sizes_of(weight)
        return size if (size > SMALLEST).all() else None

    def _sizes_of(self, values: FloatArray) -> FloatArray:
        """Sum over each risk set, less Efron's share: (patients, ...) -> (events, ...)."""
        sums: FloatArray = np.cumsum(values[::-1], axis=0)[::-1][self.first]
        if not self.share.any():
            return sums
        starts = np.flatnonzero(np.diff(self.tied, prepend=-1))
        ties = np.add.reduceat(values[self.event], starts, axis=0)[self.tied]
        share = self.share.reshape(-1, *[1] * (values.ndim - 1))
        return np.asarray(sums - share * ties)

    def _residual(
        self,
        weight: FloatArray,
        size: FloatArray,
    ) -> tuple[FloatArray, FloatArray]:
        """Event less expected events, and expected events, in order of time; (patients,) each."""
        expected = weight * self._sum_of_sets(1 / size)
        residual = -expected
        residual[self.event] += 1
        return residual, expected

    def _sum_of_sets(self, values: FloatArray) -> FloatArray:
        """Sum of the events' values over the risk sets of each patient, less Efron's share.

        The transpose of :meth:`_sizes_of`: (events,) -> (patients,), in order of time.
        """
        sums = np.append(0.0, np.cumsum(values))[self.until]
        shared = np.bincount(self.tied, weights=self.share * values)
        sums[self.event] -= shared[self.tied]
        return np.asarray(sums)
