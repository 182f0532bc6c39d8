"""A smooth calibration curve at one horizon, and the same curve in resampled patients.

The observed risk of patients with a predicted risk p is 1 − exp(−H(t) exp(f(c))),
c = log(−log(1 − p)), where f is a restricted cubic spline and f and H are those of a
Cox model of the outcome on c alone (Austin, Harrell and van Klaveren 2020): censoring
is handled by that model. Efron ties, baseline included. Resamples keep the knots.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from survfuse._errors import NotComputableError
from survfuse._types import FloatArray, IntArray
from survfuse.survival._newton import climb
from survfuse.survival._partial import RiskSets
from survfuse.survival._resampled import resampled_cox, resampled_risk
from survfuse.survival.argument_checks import as_whole
from survfuse.survival.curves import breslow
from survfuse.survival.estimate import joined
from survfuse.survival.kaplan_meier_at import KaplanMeierAt
from survfuse.survival.right_censored import Outcome
from survfuse.survival.splines import knots_of, spline_basis

EDGE = 1e-6  # no cohort can tell a risk nearer to 0 or 1 from this one
AT_ONCE = 120_000  # patients × resamples
SAME = 1e-12  # predictions this close are one


@dataclass(frozen=True, eq=False)
class SmoothCurve:
    """Observed risk as a smooth function of predicted risk; a constant without columns.

    Attributes
    ----------
    outcome : Outcome
    risk : array, (patients,), predicted at the horizon
    horizon : float
    knots : array, (knots,), of the spline; empty for a straight line
    center, unit, coef : array, (columns,)
        Of the spline's columns, in the Cox model.
    hazard : float
        Cumulative hazard at the horizon of a patient whose columns are all average.
    events : int
        Up to the horizon.
    form, note : str
        What was fitted, and what had to be done.
    """

    outcome: Outcome
    risk: FloatArray
    horizon: float
    knots: FloatArray
    center: FloatArray
    unit: FloatArray
    coef: FloatArray
    hazard: float
    events: int
    form: str
    note: str

    @classmethod
    def of(
        cls,
        outcome: Outcome,
        risk: FloatArray,
        horizon: float,
        knots: int,
    ) -> SmoothCurve:
        """Fit the curve of `risk` (patients,), predicted at `horizon`.

        Raises
        ------
        NotComputableError
            Without an event up to the horizon, when follow-up ends before it, or when
            the predictions order every event.
        InputError
            For another number of knots than 3, 4 or 5.
        """
        place = _place(risk)
        places = knots_of(place, knots)
        at = KaplanMeierAt.of(outcome, horizon)
        if at.events == 0:
            raise NotComputableError(
                f"no event up to {horizon:g}, so there is no observed risk to compare with",
            )
        outside = int(((risk < EDGE) | (risk > 1 - EDGE)).sum())
        clipped = f"{outside} predicted risks within {EDGE:g} of 0 or 1 placed there on the curve"
        note = clipped if outside else ""
        if not np.ptp(place) > SAME * np.abs(place).max():
            fit, form = (
                _Fit.constant(len(risk)),
                "all predictions are one: observed risk by Kaplan-Meier",
            )
            with np.errstate(divide="ignore"):
                hazard = float(-np.log(at.survival))
        else:
            fit, why = _fit_or_straight(outcome, place, places, knots)
            form, note = fit.form, joined(note, why)
            hazard = float(
                breslow(outcome.time, outcome.event, fit.log_risk, ties="efron")(
                    horizon,
                ),
            )
        return cls(
            outcome=outcome,
            risk=risk,
            horizon=horizon,
            knots=fit.knots,
            center=fit.center,
            unit=fit.unit,
            coef=fit.coef,
            hazard=hazard,
            events=at.events,
            form=form,
            note=note,
        )

    def columns(self, risk: FloatArray) -> FloatArray:
        """Give the columns of the Cox model, (patients, columns), for predicted risks (patients,)."""
        if len(self.coef) == 0:
            return np.zeros((len(risk), 0))
        return (spline_basis(_place(risk), self.knots) - self.center) / self.unit

    def __call__(self, risk: FloatArray) -> FloatArray:
        """Observed risk of patients with predicted risks (patients,)."""
        with np.errstate(over="ignore"):
            observed: FloatArray = -np.expm1(
                -self.hazard * np.exp(self.columns(risk) @ self.coef),
            )
        return observed

    def resampled(self, drawn: IntArray, risk: FloatArray) -> FloatArray:
        """Read the curve of each resample at some predicted risks.

        Parameters
        ----------
        drawn : array, (resamples, patients), rows drawn
        risk : array, (points,), predicted

        Returns
        -------
        array, (resamples, points), observed risks; NaN where a resample has no finite curve
        """
        weight = counts(drawn)
        if len(self.coef) == 0:
            return np.repeat(
                resampled_risk(self.outcome, weight, self.horizon)[:, None],
                len(risk),
                axis=1,
            )
        fits = resampled_cox(
            self.outcome,
            self.columns(self.risk),
            weight,
            self.coef,
            self.horizon,
        )
        with np.errstate(over="ignore", invalid="ignore"):
            relative = np.exp(fits.coef @ self.columns(risk).T)
            observed = -np.expm1(-fits.hazard[:, None] * relative)
        return np.where(fits.converged[:, None], observed, np.nan)


def _place(risk: FloatArray) -> FloatArray:
    """Complementary log-log of the predicted risk, finite."""
    place: FloatArray = np.log(-np.log1p(-np.clip(risk, EDGE, 1 - EDGE)))
    return place


@dataclass(frozen=True, eq=False)
class _Fit:
    knots: FloatArray
    center: FloatArray
    unit: FloatArray
    coef: FloatArray
    log_risk: FloatArray  # (patients,)

    @classmethod
    def of(cls, outcome: Outcome, place: FloatArray, knots: FloatArray) -> _Fit | None:
        """Fit the Cox model of the spline's columns; None where no finite coefficients fit best."""
        basis = spline_basis(place, knots)
        center, unit = basis.mean(axis=0), basis.std(axis=0)
        if not (unit > 0).all():
            return None
        columns = (basis - center) / unit
        sets, nothing = RiskSets.of(outcome, "efron"), np.zeros(len(place))
        found = climb(sets, columns, nothing, 0.0, np.zeros(columns.shape[1]))
        if not found.converged:
            return None
        return cls(knots, center, unit, found.coef, columns @ found.coef)

    @classmethod
    def constant(cls, patients: int) -> _Fit:
        """Fit nothing: no columns."""
        none = np.zeros(0)
        return cls(none, none, none, none, np.zeros(patients))

    @property
    def form(self) -> str:
        if len(self.knots):
            return f"restricted cubic spline, {len(self.knots)} knots"
        return "straight line in log(-log S)"


def _fit_or_straight(
    outcome: Outcome,
    place: FloatArray,
    places: FloatArray,
    knots: int,
) -> tuple[_Fit, str]:
    """Fit the spline, or a straight line and why."""
    why = f"predictions take too few distinct values for {knots} knots: a straight line instead"
    if len(places):
        spline = _Fit.of(outcome, place, places)
        if spline is not None:
            return spline, ""
        why = "no finite spline fits best: a straight line instead"
    straight = _Fit.of(outcome, place, np.zeros(0))
    if straight is None:
        raise NotComputableError(
            "no finite calibration curve fits best: the predicted risks order every event, or those at risk"
            " together had one",
        )
    return straight, why


def draws(patients: int, resamples: int, seed: int) -> Iterator[IntArray]:
    """Rows drawn with replacement, (resamples, patients) in all, a part at a time."""
    return _draws(
        patients,
        as_whole(resamples, "bootstrap", 0),
        as_whole(seed, "seed", 0),
    )


def _draws(patients: int, resamples: int, seed: int) -> Iterator[IntArray]:
    rng = np.random.default_rng(seed)
    size = max(AT_ONCE // max(patients, 1), 1)
    for begin in range(0, resamples, size):
        yield rng.integers(patients, size=(min(size, resamples - begin), patients))


def counts(drawn: IntArray) -> FloatArray:
    """How often each patient was drawn, (resamples, patients)."""
    resamples, patients = drawn.shape
    cell = np.arange(resamples)[:, None] * patients + drawn
    return (
        np.bincount(cell.ravel(), minlength=drawn.size)
        .reshape(resamples, patients)
        .astype(np.float64)
    )
