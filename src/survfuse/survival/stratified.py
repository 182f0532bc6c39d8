"""The Cox partial likelihood of several strata: patients are compared within their own only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from survfuse._types import FloatArray, IntArray
from survfuse.survival._partial import RiskSets
from survfuse.survival.right_censored import Outcome


@dataclass(frozen=True, eq=False)
class StratifiedRiskSets:
    """Risk sets of strata that share their coefficients, each with a baseline of its own.

    It has the methods of :class:`~survfuse.survival._partial.RiskSets`; values are sums over
    the strata.

    Attributes
    ----------
    parts : sequence of (array, RiskSets)
        Rows of each stratum, and the risk sets of these rows.
    """

    parts: Sequence[tuple[IntArray, RiskSets]]

    @classmethod
    def of(
        cls,
        outcome: Outcome,
        stratum: IntArray | None = None,
        ties: str = "efron",
    ) -> StratifiedRiskSets:
        """Compute the risk sets of each stratum; of all patients together without strata.

        Parameters
        ----------
        outcome : Outcome
        stratum : array of int, (patients,), optional
        ties : {"efron", "breslow"}
        """
        member = np.zeros(len(outcome)) if stratum is None else np.asarray(stratum)
        parts = []
        for number in np.unique(member):
            rows = np.flatnonzero(member == number)
            parts.append((rows, RiskSets.of(outcome[rows], ties)))
        return cls(parts)

    @property
    def event(self) -> IntArray:
        """Rows of the patients with the event, stratum by stratum; (events,)."""
        rows = [own[sets.order[sets.event]] for own, sets in self.parts]
        return np.concatenate([np.zeros(0, np.int64), *rows])

    def log_likelihood(self, log_risk: FloatArray) -> float:
        """Log partial likelihood; finite for any finite risks.

        Parameters
        ----------
        log_risk : array, (patients,)
        """
        return sum(sets.log_likelihood(log_risk[rows]) for rows, sets in self.parts)

    def derivatives(
        self,
        x: FloatArray,
        log_risk: FloatArray,
    ) -> tuple[FloatArray, FloatArray]:
        """Gradient and negative Hessian of the log-likelihood for log-risk = x · coef + offset.

        Parameters
        ----------
        x : array, (patients, features)
        log_risk : array, (patients,)

        Returns
        -------
        gradient : array, (features,)
        information : array, (features, features)
        """
        gradient = np.zeros(x.shape[1])
        information = np.zeros((x.shape[1],) * 2)
        for rows, sets in self.parts:
            own_gradient, own_information = sets.derivatives(x[rows], log_risk[rows])
            gradient += own_gradient
            information += own_information
        return gradient, information

    def residuals(self, log_risk: FloatArray) -> FloatArray:
        """Derivative by each patient's log-risk, the martingale residual; (patients,).

        NaN in a stratum whose risks span more than a double holds.

        Parameters
        ----------
        log_risk : array, (patients,)
        """
        residuals = np.zeros(len(log_risk))
        for rows, sets in self.parts:
            residuals[rows] = sets.residuals(log_risk[rows])
        return residuals
