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

EDGE = 1e-6  # no cohort can distinguish a risk nearer to 0 or 1 from this one
AT_ONCE = 120_000  # patients × resamples
SAME = 1e-12  # predictions this close are one


@dataclass(frozen=True, eq=False)
class SmoothCurve:
    """Observed risk as a smooth function of predicted risk.

    Attributes
    ----------
    outcome : Outcome
    risk : array, (patients,), predicted at the horizon
    horizon : float
    spline : Spline or None
        The Cox model; None where the observed risk is one for all predictions.
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
    spline: Spline | None
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
        scaled = _log_log(risk)
        places = knots_of(scaled, knots)
        observed = KaplanMeierAt.of(outcome, horizon)
        if observed.events == 0:
            raise NotComputableError(
                f"no event up to {horizon:g}, so there is no observed risk to compare with",
            )
        note = ""
        if outside := int(((risk < EDGE) | (risk > 1 - EDGE)).sum()):
            note = f"{outside} predicted risks within {EDGE:g} of 0 or 1 placed there on the curve"
        if np.ptp(scaled) > SAME * np.abs(scaled).max():
            spline, why = Spline.or_straight(outcome, scaled, places, knots)
            form, note = spline.form, joined(note, why)
            log_risk = spline.columns(scaled) @ spline.coef
            baseline = breslow(outcome.time, outcome.event, log_risk, ties="efron")
            hazard = float(baseline(horizon))
        else:
            spline, form = (
                None,
                "all predictions are one: observed risk by Kaplan-Meier",
            )
            with np.errstate(divide="ignore"):
                hazard = float(-np.log(observed.survival))
        return cls(outcome, risk, horizon, spline, hazard, observed.events, form, note)

    def __call__(self, risk: FloatArray) -> FloatArray:
        """Observed risk of patients with predicted risks (patients,)."""
        relative = np.ones(len(risk))
        with np.errstate(over="ignore"):
            if self.spline is not None:
                columns = self.spline.columns(_log_log(risk))
                relative = np.exp(columns @ self.spline.coef)
            observed: FloatArray = -np.expm1(-self.hazard * relative)
        return observed

    def resampled(
        self,
        drawn: IntArray,
        risk: FloatArray,
    ) -> FloatArray:
        """Read the curve of each resample at some predicted risks.

        Parameters
        ----------
        drawn : array, (resamples, patients), rows drawn
        risk : array, (points,), predicted

        Returns
        -------
        array, (resamples, points), observed risks; NaN where a resample has no finite curve
        """
        weight, spline = counts(drawn), self.spline
        if spline is None:
            constant = resampled_risk(self.outcome, weight, self.horizon)
            return np.repeat(constant[:, None], len(risk), axis=1)
        own, read = (spline.columns(_log_log(r)) for r in (self.risk, risk))
        fits = resampled_cox(self.outcome, own, weight, spline.coef, self.horizon)
        with np.errstate(over="ignore", invalid="ignore"):
            relative = np.exp(fits.coef @ read.T)
            observed = -np.expm1(-fits.hazard[:, None] * relative)
        return np.where(fits.converged[:, None], observed, np.nan)


@dataclass(frozen=True, eq=False)
class Spline:
    """A Cox model on the standardised columns of a restricted cubic spline.

    Attributes
    ----------
    knots : array, (knots,), empty for a straight line
    center, unit, coef : array, (columns,)
    """

    knots: FloatArray
    center: FloatArray
    unit: FloatArray
    coef: FloatArray

    @classmethod
    def fit(
        cls,
        outcome: Outcome,
        scaled: FloatArray,
        knots: FloatArray,
    ) -> Spline | None:
        """Fit to predictions (patients,); None where no finite coefficients fit best."""
        basis = spline_basis(scaled, knots)
        center, unit = basis.mean(axis=0), basis.std(axis=0)
        if not (unit > 0).all():
            return None
        columns = (basis - center) / unit
        sets, offset = RiskSets.of(outcome, "efron"), np.zeros(len(scaled))
        fit = climb(sets, columns, offset, 0.0, np.zeros(columns.shape[1]))
        return cls(knots, center, unit, fit.coef) if fit.converged else None

    @classmethod
    def or_straight(
        cls,
        outcome: Outcome,
        scaled: FloatArray,
        places: FloatArray,
        knots: int,
    ) -> tuple[Spline, str]:
        """Fit the spline with its knots at `places`, or a straight line and why."""
        why = f"predictions take too few distinct values for {knots} knots: a straight line instead"
        if len(places):
            spline = cls.fit(outcome, scaled, places)
            if spline is not None:
                return spline, ""
            why = "no finite spline fits best: a straight line instead"
        straight = cls.fit(outcome, scaled, np.zeros(0))
        if straight is None:
            raise NotComputableError(
                "no finite calibration curve fits best: the predicted risks order every event, or"
                " those at risk together had one",
            )
        return straight, why

    @property
    def form(self) -> str:
        """What was fitted."""
        if len(self.knots):
            return f"restricted cubic spline, {len(self.knots)} knots"
        return "straight line in log(-log S)"

    def columns(self, scaled: FloatArray) -> FloatArray:
        """Columns of the Cox model, (values, columns), at `scaled` (values,)."""
        return (spline_basis(scaled, self.knots) - self.center) / self.unit


def _log_log(risk: FloatArray) -> FloatArray:
    """Complementary log-log of the predicted risk, finite."""
    scaled: FloatArray = np.log(-np.log1p(-np.clip(risk, EDGE, 1 - EDGE)))
    return scaled


def draws(
    patients: int,
    resamples: int,
    seed: int,
) -> Iterator[IntArray]:
    """Rows drawn with replacement, (resamples, patients) in all, a part at a time."""
    resamples = as_whole(resamples, "bootstrap", 0)
    rng = np.random.default_rng(as_whole(seed, "seed", 0))
    size = max(AT_ONCE // max(patients, 1), 1)
    return (
        rng.integers(patients, size=(min(size, resamples - begin), patients))
        for begin in range(0, resamples, size)
    )


def counts(drawn: IntArray) -> FloatArray:
    """How often each patient was drawn, (resamples, patients)."""
    cell = np.arange(len(drawn))[:, None] * drawn.shape[1] + drawn
    times = np.bincount(cell.ravel(), minlength=drawn.size)
    return times.reshape(drawn.shape).astype(np.float64)
