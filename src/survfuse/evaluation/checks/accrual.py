"""Does a column grow while a patient is followed? A decision rule from its values and the outcome.

A count of doses or visits is bounded by the time in which they could happen. Whoever
leaves early, by an event or otherwise, cannot have a high value; the column then looks
protective, most of all early on, and stops doing so among those who are still followed
when it has stopped growing. An honest covariate, however strong, lets some patients
with high values leave early, and keeps its effect later on; one that merely goes with
the calendar has no effect on the hazard at all.

The rule has three parts, all of which must hold (:meth:`Signs.accrues`):

1. *protective*: the hazard falls with the rank of the value up to the landmark;
2. *ceiling*: among those who leave in some first part of the follow-up, values rise with
   the time they stayed, and nine in ten of them lie below the median of those who stay;
3. *vanishing*: past the landmark the effect is gone, or much smaller.

Or the value simply rides along: it rises with follow-up steeply, among the events and
among the censored alike. A clear case (:meth:`Signs.clear`) has steeper signs, in enough
patients, and is refused as an input; any other is a doubt. Thresholds were chosen on
simulated cohorts; their rates are printed by ``studies/followup_columns.py``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from survfuse._errors import NotComputableError
from survfuse._types import BoolArray, FloatArray
from survfuse.survival.cox import CoxFit, fit_cox
from survfuse.survival.right_censored import Outcome

MIN_EVENTS = 20
MIN_LEAVERS = 8  # in an early part, and of those who stay beyond it
EARLY_PARTS = (1 / 3, 1 / 2, 2 / 3)  # of the events
LANDMARK = 3 / 4  # of the events lie at or before it
PROTECTIVE = -2.0  # z of the early effect
RISES = 0.45  # Kendall's tau of value and time among early leavers
BELOW = 0.5  # place among those who stay, under which nine in ten early leavers lie
GONE = 0.7  # late effect over early effect
DROPS = -2.0  # z of their difference
ALONG = 0.6  # Kendall's tau of value and time among events and among censored
CLEAR_PATIENTS = (
    100  # from here on a strong honest marker is not seen to look like a clear case
)
CLEAR_RISES = 0.55  # as RISES and BELOW, for a clear case
CLEAR_BELOW = 0.35
# Of tau among the censored: the date of entry orders those followed to the end of a study.
CALENDAR = 0.99
SHRINK = 0.01  # ridge per event: keeps a separated fit finite


@dataclass(frozen=True)
class Signs:
    """What a column does with follow-up.

    Attributes
    ----------
    patients : int
        With a known value.
    tau_events, tau_censored : float
        Kendall's tau of value and time; NaN where it has none.
    early, late : float
        Log hazard ratio per deviation of the value's rank, up to the landmark, and past
        it among those still followed there (`late` is NaN where they are too few).
    z_early, z_difference : float
        The early effect, and early minus late, over their standard errors.
    rises, place : float
        Of the early part in which both are strongest: Kendall's tau of value and time
        among those who leave in it; and the place among those who stay, between 0 and 1,
        below which nine in ten of them lie. NaN where there is no such part.
    ceiling : bool
        Whether some early part has both.
    landmark : float
        In the unit of time.
    """

    patients: int
    tau_events: float
    tau_censored: float
    early: float
    late: float
    z_early: float
    z_difference: float
    rises: float
    place: float
    ceiling: bool
    landmark: float

    @property
    def vanishes(self) -> bool:
        """Whether the effect is gone past the landmark; True where nobody can tell."""
        if np.isnan(self.late):
            return True
        return abs(self.late) <= GONE * abs(self.early) or self.z_difference <= DROPS

    @property
    def rides_along(self) -> bool:
        """Whether the value rises with follow-up among events and censored alike."""
        return self.tau_events >= ALONG and self.tau_censored >= ALONG

    @property
    def accrues(self) -> bool:
        """Whether a protective column has a ceiling and its effect vanishes, or it rides along."""
        return self.z_early <= PROTECTIVE and (
            self.rides_along or (self.ceiling and self.vanishes)
        )

    @property
    def clear(self) -> bool:
        """Whether the column accrues so clearly that no honest one is seen to do it."""
        steep = self.rises >= CLEAR_RISES and self.place <= CLEAR_BELOW
        calendar = abs(self.tau_censored) >= CALENDAR
        enough = self.patients >= CLEAR_PATIENTS
        return self.accrues and enough and not calendar and (steep or self.rides_along)


def signs_of_accrual(
    value: npt.ArrayLike,
    time: npt.ArrayLike,
    event: npt.ArrayLike,
) -> Signs:
    """Look at one column; patients without a value are left out.

    Parameters
    ----------
    value : array-like, (patients,)
        NaN where not known. Only its order is used.
    time, event : array-like, (patients,)

    Raises
    ------
    NotComputableError
        With too few events, or when the value does not vary.
    """
    raw, outcome = np.asarray(value, np.float64), Outcome.of(time, event)
    known = np.isfinite(raw)
    raw, outcome = raw[known], outcome[known]
    if outcome.events < MIN_EVENTS:
        raise NotComputableError(
            f"{outcome.events} events among known values; {MIN_EVENTS} are needed",
        )
    if np.ptp(raw) == 0:
        raise NotComputableError("all known values are the same")
    landmark = float(np.quantile(outcome.time[outcome.event], LANDMARK))
    early, late = _effects(_ranks(raw), outcome, landmark)
    rises, place, ceiling = _ceiling(raw, outcome)
    return Signs(
        patients=len(raw),
        tau_events=_tau(raw, outcome.time, outcome.event),
        tau_censored=_tau(raw, outcome.time, ~outcome.event),
        early=float(early.coef[0]),
        late=float("nan") if late is None else float(late.coef[0]),
        z_early=float(early.coef[0] / early.se[0]),
        z_difference=float("nan") if late is None else _difference(early, late),
        rises=rises,
        place=place,
        ceiling=ceiling,
        landmark=landmark,
    )


def _ranks(value: FloatArray) -> FloatArray:
    ranks = np.asarray(stats.rankdata(value), np.float64)
    return np.asarray((ranks - ranks.mean()) / ranks.std())


def _effects(
    ranks: FloatArray,
    outcome: Outcome,
    landmark: float,
) -> tuple[CoxFit, CoxFit | None]:
    """Cox effect of events up to the landmark, and of those past it."""
    time, event = outcome.time, outcome.event
    early = fit_cox(ranks, time, event & (time <= landmark), penalty=SHRINK)
    stay = time > landmark
    if event[stay].sum() < 3 or np.ptp(ranks[stay]) == 0:
        return early, None
    return early, fit_cox(ranks[stay], time[stay], event[stay], penalty=SHRINK)


def _difference(early: CoxFit, late: CoxFit) -> float:
    """Early minus late over its standard error: events of different times are independent terms."""
    return float((early.coef[0] - late.coef[0]) / np.hypot(early.se[0], late.se[0]))


def _tau(
    value: FloatArray,
    time: FloatArray,
    rows: BoolArray,
) -> float:
    if rows.sum() < MIN_LEAVERS or np.ptp(value[rows]) == 0 or np.ptp(time[rows]) == 0:
        return float("nan")
    return float(stats.kendalltau(value[rows], time[rows]).statistic)


def _ceiling(
    value: FloatArray,
    outcome: Outcome,
) -> tuple[float, float, bool]:
    """Rise and place of the early part with the strongest signs; whether any shows a ceiling."""
    parts: list[tuple[float, float]] = []  # rise and place of each early part
    for share in EARLY_PARTS:
        leave = outcome.time <= np.quantile(outcome.time[outcome.event], share)
        if min(leave.sum(), (~leave).sum()) < MIN_LEAVERS:
            continue
        taus = [
            _tau(value, outcome.time, rows) for rows in (leave, leave & outcome.event)
        ]
        rises = max((tau for tau in taus if not np.isnan(tau)), default=float("nan"))
        place = np.quantile(_places(value[leave], value[~leave]), 0.9)
        parts.append((rises, float(place)))
    ceilings = [part for part in parts if part[0] >= RISES and part[1] <= BELOW]
    strongest = max(
        ceilings or parts,
        key=lambda part: part[0] - part[1],
        default=(np.nan, np.nan),
    )
    return *strongest, bool(ceilings)


def _places(
    value: FloatArray,
    among: FloatArray,
) -> FloatArray:
    """Share of `among` that lies below each value, ties counting half."""
    ordered = np.sort(among)
    below = np.searchsorted(ordered, value, side="left")
    upto = np.searchsorted(ordered, value, side="right")
    return np.asarray((below + upto) / (2 * len(ordered)))
