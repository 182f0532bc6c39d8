"""One curve per patient as a function that can be called, as scikit-survival gives them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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


def survival_functions(curves: SurvivalCurves) -> np.ndarray[Any, Any]:
    """Survival of each patient; an array of functions, (patients,)."""
    return _functions(curves, curves.survival, 1.0)


def hazard_functions(curves: SurvivalCurves) -> np.ndarray[Any, Any]:
    """Cumulative hazard −log S of each patient, infinite where a curve has reached 0."""
    return _functions(curves, cumulative_hazard(curves), 0.0)


def cumulative_hazard(curves: SurvivalCurves) -> FloatArray:
    """Cumulative hazard −log S at the steps of the curves; (patients, steps)."""
    with np.errstate(divide="ignore"):
        return np.asarray(-np.log(curves.survival))


def _functions(
    curves: SurvivalCurves,
    values: FloatArray,
    before: float,
) -> np.ndarray[Any, Any]:
    functions = np.empty(len(values), dtype=object)
    for row, own in enumerate(values):
        functions[row] = PatientFunction(curves.times, own, before, (0.0, curves.last))
    return functions


class PredictsCurves:
    """The curves of a fitted model under the names of scikit-survival.

    A subclass has `predict`, whose predictions have `curves`, and `fitted`.
    """

    fitted: Any
    predict: Any

    def predict_survival_function(
        self,
        X: Any,
        return_array: bool = False,
    ) -> np.ndarray[Any, Any]:
        """Survival curve of each patient, as scikit-survival gives it.

        Parameters
        ----------
        X : Cohort, CohortRows, DataFrame or array (patients, columns)
        return_array : bool
            Survival at :attr:`unique_times_` in place of functions.

        Returns
        -------
        array of PatientFunction, (patients,), or array, (patients, times)
            Each function has `x`, `y` and `domain` and is called with times.

        Raises
        ------
        NotComputableError
            Under a calibration that gives no curve (`km_rank`).
        """
        curves: SurvivalCurves = self.predict(X).curves
        return curves.survival if return_array else survival_functions(curves)

    def predict_cumulative_hazard_function(
        self,
        X: Any,
        return_array: bool = False,
    ) -> np.ndarray[Any, Any]:
        """Cumulative hazard −log S of each patient, as scikit-survival gives it.

        Parameters, return value and errors are those of :meth:`predict_survival_function`.
        """
        curves: SurvivalCurves = self.predict(X).curves
        return cumulative_hazard(curves) if return_array else hazard_functions(curves)

    @property
    def unique_times_(self) -> FloatArray:
        """Times at which the curves step, in the unit of the training cohort; (times,).

        Raises
        ------
        AttributeError
            Before the fit, and under a calibration that gives no curve.
        """
        if self.fitted is None or not self.fitted.calibrator.has_curves:
            raise AttributeError("unique_times_: this model has no survival curves")
        times: FloatArray = self.fitted.calibrator.curves([0.0]).times
        return times

    @property
    def event_times_(self) -> FloatArray:
        """The same as :attr:`unique_times_`: curves step at the times of events."""
        return self.unique_times_
