"""Ridge Cox regression of thousands of features over strata, and what it is worth left out.

The penalised log-likelihood is ``log L(b) − events · penalty/2 · |b|²``, as in
:mod:`survfuse.survival.cox`, with a baseline for each stratum. Features are rotated onto their
singular vectors, of which all or the leading ones are used. The maximum is found by L-BFGS-B with
each axis divided by its expected curvature: a dozen gradients, where Newton's method would invert
a matrix of all axes each time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from survfuse._errors import NotComputableError
from survfuse._types import FloatArray, IntArray
from survfuse.survival._newton import Axes
from survfuse.survival._penalty_path import falling
from survfuse.survival.right_censored import Outcome
from survfuse.survival.stratified import StratifiedRiskSets

SMALL_CHANGE = 1e-14  # of the penalised log-likelihood, relative
SMALL_GRADIENT = 1e-6  # of the penalised log-likelihood, per axis of unit curvature
MOST_STEPS = 500
PENALTIES = 17


@dataclass(frozen=True, eq=False)
class LeftOut:
    """Gains and risks of parts of the patients, fitted on all others.

    Attributes
    ----------
    penalties : array, (penalties,), falling
    gains : array, (penalties, parts)
        Log partial likelihood of each part at its risk and offset, above that at the offset.
    risks : array, (penalties, patients)
        Without the offset.
    """

    penalties: FloatArray
    gains: FloatArray
    risks: FloatArray

    @property
    def best(self) -> int:
        """Place of the penalty with the largest gain over all parts."""
        return int(self.gains.sum(axis=1).argmax())


@dataclass(frozen=True, eq=False)
class PooledCox:
    """Patients of several strata, their features on rotated axes, for fits at many penalties.

    Attributes
    ----------
    axes : Axes
        A ridge does not see rotations.
    sets : StratifiedRiskSets
    offset : array, (patients,)
        Log-risk that is added with coefficient 1.
    """

    axes: Axes
    sets: StratifiedRiskSets
    offset: FloatArray

    @classmethod
    def of(
        cls,
        x: FloatArray,
        outcome: Outcome,
        stratum: IntArray,
        offset: FloatArray,
        components: int | None = None,
    ) -> PooledCox:
        """Rotate the features.

        Parameters
        ----------
        x : array, (patients, features)
            Scaled as the ridge is to see them.
        outcome : Outcome
        stratum : array of int, (patients,)
        offset : array, (patients,)
        components : int, optional
            How many leading axes are used; all where not given.

        Raises
        ------
        NotComputableError
            Without an event.
        """
        sets = StratifiedRiskSets.of(outcome, stratum)
        if len(sets.event) == 0:
            raise NotComputableError("a Cox fit needs at least one event, got none")
        axes = Axes.of(x, scale=False)
        axes = axes if components is None else axes.leading(components)
        return cls(axes, sets, offset)

    def grid(self) -> FloatArray:
        """Penalties from 3 to 0.0003 x the largest variance along any axis; (penalties,)."""
        longest = self.axes.lengths.max(initial=0.0)
        largest = longest**2 / len(self.offset) or 1.0
        return falling(3 * largest, 3e-4 * largest, PENALTIES, 0.0)

    def fit(
        self,
        penalty: float,
        start: FloatArray | None = None,
    ) -> FloatArray:
        """Coefficients of the axes; (rank,).

        Parameters
        ----------
        penalty : float, > 0
            Per event.
        start : array, (rank,), optional
            Where the search begins.

        Raises
        ------
        NotComputableError
            Where no finite maximum is found.
        """
        z, events = self.axes.z, len(self.sets.event)
        ridge = penalty * events
        unit = (events * self.axes.lengths**2 / len(z) + ridge) ** -0.5

        def objective(scaled: FloatArray) -> tuple[float, FloatArray]:
            coef = scaled * unit
            risk = z @ coef + self.offset
            value = ridge / 2 * coef @ coef - self.sets.log_likelihood(risk)
            gradient = ridge * coef - z.T @ self.sets.residuals(risk)
            return float(value), gradient * unit

        end = minimize(
            objective,
            np.zeros(len(unit)) if start is None else start / unit,
            jac=True,
            method="L-BFGS-B",
            options={
                "ftol": SMALL_CHANGE,
                "gtol": SMALL_GRADIENT,
                "maxiter": MOST_STEPS,
            },
        )
        if not np.isfinite(end.x).all() or end.nit >= MOST_STEPS:
            raise NotComputableError(
                f"the pooled Cox fit did not converge at a penalty of {penalty:g} per event; "
                "give larger penalties",
            )
        return np.asarray(end.x * unit, np.float64)

    def weights(self, coef: FloatArray) -> FloatArray:
        """Weights of the features, (features,), from coefficients of the axes."""
        return self.axes.back(coef)

    def errors(self, coef: FloatArray, penalty: float) -> FloatArray:
        """Standard errors of the weights, (features,), from the inverse penalised information.

        The penalty and the offset count as known; axes that are not used as held by the penalty.
        """
        ridge = penalty * len(self.sets.event)
        risk = self.axes.z @ coef + self.offset
        information = self.sets.derivatives(self.axes.z, risk)[1]
        information[np.diag_indices_from(information)] += ridge
        return self.axes.errors(information, ridge)


def leave_out(
    x: FloatArray,
    outcome: Outcome,
    stratum: IntArray,
    offset: FloatArray,
    part: IntArray,
    penalties: FloatArray,
    *,
    components: int | None = None,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> LeftOut:
    """Fit without each part of the patients, and judge the risks of that part.

    Parameters
    ----------
    x, outcome, stratum, offset, components
        As in :meth:`PooledCox.of`.
    part : array of int, (patients,)
        Number of each patient's part, from 0.
    penalties : array, (penalties,), falling
    progress : callable, optional
        Receives parts done and parts in all.

    Raises
    ------
    NotComputableError
        When the other parts have no event.
    """
    parts = int(part.max()) + 1
    gains = np.zeros((len(penalties), parts))
    risks = np.zeros((len(penalties), len(part)))
    for number in range(parts):
        own, rest = part == number, part != number
        data = x[rest], outcome[rest], stratum[rest], offset[rest]
        others = PooledCox.of(*data, components=components)
        sets = StratifiedRiskSets.of(outcome[own], stratum[own])
        nothing = sets.log_likelihood(offset[own])
        coef = None
        for place, penalty in enumerate(penalties):
            coef = others.fit(penalty, coef)
            risk = x[own] @ others.weights(coef)
            risks[place, own] = risk
            gains[place, number] = sets.log_likelihood(risk + offset[own]) - nothing
        progress(number + 1, parts)
    return LeftOut(penalties, gains, risks)
