"""One curve per patient as a function that can be called, as scikit-survival gives them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from survfuse._errors import InputError
from survfuse._types import FloatArray
from survfuse.survival.curves import StepFunction, SurvivalCurves


@dataclass(frozen=True, eq=False)
class PatientFunction(StepFunction):
    """A step function of time that is known up to the longest training follow-up.

    Attributes
    ----------
    x : array, (steps,)
        Times at which it steps, in the unit of the model.
    y : array, (steps,)
        Its value from each step on.
    before : float
        Its value left of the first step.
    domain : (float, float)
        From 0 to the last time that it is known for.

    Examples
    --------
    >>> f = PatientFunction([1.0, 3.0], [0.5, 0.2], 1.0, (0.0, 4.0))
    >>> f([0, 2, 4]).tolist()
    [1.0, 0.5, 0.2]
    >>> f(5)
    Traceback (most recent call last):
    survfuse._errors.InputError: times must lie within [0, 4], got 5
    """

    domain: tuple[float, float]

    def __call__(self, t: npt.ArrayLike) -> FloatArray:
        """Value at `t`, any shape.

        Raises
        ------
        InputError
            For a time outside the domain.
        """
        times = np.asarray(t, dtype=np.float64)
        low, high = self.domain
        outside = times[~((times >= low) & (times <= high))]
        if outside.size:
            raise InputError(
                f"times must lie within [{low:g}, {high:g}], got {outside.flat[0]:g}",
            )
        return super().__call__(times)


def survival_functions(curves: SurvivalCurves) -> list[PatientFunction]:
    """Survival of each patient."""
    return _functions(curves, curves.survival, 1.0)


def hazard_functions(curves: SurvivalCurves) -> list[PatientFunction]:
    """Cumulative hazard −log S of each patient; infinite where a curve has reached 0."""
    return _functions(curves, cumulative_hazard(curves), 0.0)


def cumulative_hazard(curves: SurvivalCurves) -> FloatArray:
    """Cumulative hazard −log S at the steps of the curves; (patients, steps)."""
    with np.errstate(divide="ignore"):
        return np.asarray(-np.log(curves.survival))


def _functions(
    curves: SurvivalCurves,
    values: FloatArray,
    before: float,
) -> list[PatientFunction]:
    domain = (0.0, curves.last)
    return [PatientFunction(curves.times, row, before, domain) for row in values]
