"""Whether follow-up times fit their declared unit: by their length and their decimals."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from survfuse._types import BoolArray, FloatArray

MIN_PATIENTS = 20
SHARE = 0.95  # of the times that lie on a grid
YEAR = 365.25
DAYS = {"days": 1.0, "weeks": 7.0, "months": YEAR / 12, "years": YEAR}
"""Days in each unit; weeks cannot be declared, but times are written in them."""
LONGEST, MEDIAN = 40 * YEAR, 15 * YEAR
"""Days; follow-up beyond these is not of a patient cohort."""
SHORTEST: Mapping[str, float] = {
    "days": 360.0,
    "months": 18 * YEAR / 12,
    "years": 1.01 * YEAR,
}
"""Days that the longest follow-up reaches at least, by declared unit. In days, a study of one year
is met; in years, times scaled to 0 to 1 are not; who counts in months follows for years (of the
public cohorts that the tests read, the shortest, of pancreatic cancer, reaches 90 months)."""
_CALENDAR: Mapping[str, tuple[float, ...]] = {
    "weeks": (7.0,),
    "months": (30.4375, 30.0, 30.4, 30.42, 30.44, 30.5),
    "years": (365.25, 365.0, 365.2425, 360.0, 12.0),
}
"""What whole days (for years also months) were divided by."""
EARLY = (36.0, 2.5)
"""Longest and median time in months below which it may be years, where the decimals are not those
of months."""
INFORMATIVE = 0.2  # share of a step that rounding may take a time from the grid
WHOLE_YEARS = 24  # whole numbers up to here, twenty of them different, are no years
FAR = 5.0
"""Times the next longest time; at most 2 % of cohorts of 20 to 300 lognormal times (deviation 1)
reach it, and none of 2,000 once censoring ends follow-up."""
MOST_FAR = 3  # patients
TYPICAL = 8 * YEAR  # longest follow-up of a cohort; the nearest unit is named first


def doubted_unit(time: FloatArray, unit: str) -> str:
    """Say why times hardly have their declared unit, and which is likely; empty where they fit.

    Two things are compared: the longest and the median time, in days; and, where the times have
    decimals, whether they are whole days when counted in another unit but not in the declared one.

    Parameters
    ----------
    time : array, (patients,)
        All > 0.
    unit : "days", "months" or "years"

    Examples
    --------
    >>> doubted_unit(np.array([0.4, 2.5, 7.1]), "months")
    'unit is declared as months, but the longest time is 7.1: looks like years'
    """
    time = time[~far_times(time)]
    doubt = _doubted_length(time, unit)
    if not doubt and len(np.unique(time)) >= MIN_PATIENTS:
        doubt = _doubted_calendar(time, unit)
    return f"unit is declared as {unit}, but {doubt}" if doubt else ""


def _doubted_length(time: FloatArray, unit: str) -> str:
    """Doubt a unit by the longest and the median time."""
    longest, median = float(time.max()), float(np.median(time))
    if not SHORTEST[unit] <= longest * DAYS[unit] <= LONGEST:
        return f"the longest time is {longest:g}: looks like {_likely(time, unit)}"
    if median * DAYS[unit] > MEDIAN:
        likely = _likely(time, unit)
        return f"half of the times are beyond {median:g}: looks like {likely}"
    return ""


def far_times(
    time: FloatArray,
    factor: float = FAR,
) -> BoolArray:
    """Which of the three longest times are more than `factor` times all others (mistyped?).

    Examples
    --------
    >>> far_times(np.array([*range(1, 61), 480.0])).sum()
    np.int64(1)
    """
    order = np.sort(time)
    for count in range(1, MOST_FAR + 1):
        if len(time) >= MIN_PATIENTS and order[-count] > factor * order[-count - 1]:
            return np.asarray(time >= order[-count], dtype=bool)
    return np.zeros(len(time), dtype=bool)


def _doubted_calendar(time: FloatArray, unit: str) -> str:
    """Doubt a unit by the decimals of its times, and by what they would be in others."""
    longest, median = float(time.max()), float(np.median(time))
    broken = np.mean(time != np.round(time)) > 0.5
    if unit == "years" and not broken and longest >= WHOLE_YEARS:
        likely = _likely(time, unit)
        return f"all are whole numbers up to {longest:g}: looks like {likely}"
    if not broken or on_calendar(time, unit):
        return ""
    if unit == "months" and longest < EARLY[0] and median < EARLY[1]:
        return (
            f"half of the times are below {median:g}, the longest is {longest:g}: "
            "looks like years"
        )
    for other in _fitting(time, unit):
        if other != "days" and on_calendar(time, other):
            return f"the times are whole days only if counted in {other}: looks like {other}"
    return ""


def _likely(time: FloatArray, unit: str) -> str:
    fits = _fitting(time, unit)
    if fits:
        return " or ".join(fits)
    if float(time.max()) > 1e9:
        return "nanoseconds or seconds (a pandas Timedelta as a number?)"
    return "no unit that is known here (scaled to 0 to 1? dates?)"


def _fitting(time: FloatArray, unit: str) -> list[str]:
    """Units in which the times would be those of a cohort, the likeliest first."""
    longest, median = float(time.max()), float(np.median(time))
    fits = []
    for other, days in DAYS.items():
        is_long = SHORTEST.get(other, YEAR) <= longest * days <= LONGEST
        if other != unit and is_long and median * days <= MEDIAN:
            distance = abs(np.log(longest * days / TYPICAL))
            fits.append((not on_calendar(time, other), distance, other))
    return [other for *_, other in sorted(fits)]


def on_calendar(time: FloatArray, unit: str) -> bool:
    """Whether nearly all times are whole days (or months of a year) if counted in `unit`.

    Only decimals count: a grid on which rounding alone puts every third time says nothing.
    """
    if unit == "days":
        return bool(np.mean(time == np.round(time)) >= SHARE)
    decimals = 0
    while decimals < 8 and not np.allclose(
        time,
        np.round(time, decimals),
        rtol=0,
        atol=1e-9,
    ):
        decimals += 1
    half = 0.5 * 10.0**-decimals
    quarters = len(np.unique(np.round(time % 1, 6))) <= 4
    for steps in _CALENDAR[unit]:
        slack = (half + 1e-6) * steps
        off = np.abs(time * steps - np.round(time * steps))
        if slack < INFORMATIVE and not quarters and np.mean(off <= slack) >= SHARE:
            return True
    return False
