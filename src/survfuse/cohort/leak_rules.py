"""When one column is the outcome: rules that separate a leak from a marker and from chance."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import numpy as np
from scipy import stats
from scipy.special import gammaln

from survfuse._types import BoolArray, FloatArray
from survfuse.cohort.leak_screen import by_chance, log_choose, log_pure

CHANCE = 1e-6  # of a coincidence, over all columns of the cohort
PERHAPS = 1e-2  # a coincidence rarer than this is reported as possible
RARE = 1e-2  # of what an honest column does that agrees with the outcome
STRONGEST = 25.0  # hazard ratio of the two groups of an honest marker
NEAR_AUC = 0.97
NEAR_TAU = 0.9
ALIKE_TAU = (
    0.5  # of the events, less two standard errors, where all patients have NEAR_TAU
)
CALENDAR = 1e-5  # of events that fit into the order of the others by chance
MIN_EVENTS = 8

Grade = Literal["certain", "near", "possible"]
GRADES: tuple[Grade, ...] = ("certain", "near", "possible")
Verdict = tuple[Grade, str]


class Column:
    """Known values of one column with the outcome of their patients, and the rules.

    Parameters
    ----------
    value, time, event : array, (patients,)
    tests : float
        Logarithm of the number of coincidences that had their chance.
    """

    def __init__(
        self,
        value: FloatArray,
        time: FloatArray,
        event: BoolArray,
        tests: float,
    ) -> None:
        self.value, self.time, self.event, self.tests = value, time, event, tests
        self.patients, self.events = len(value), int(event.sum())
        self.others = self.patients - self.events

    def parting(self) -> Verdict | None:
        """Whether the column parts the patients with the event from those without it."""
        if not self.events or not self.others:
            return None
        text = (
            f"parts the {self.events} with the event from the {self.others} without it"
        )
        area = _area(self.value, self.event)
        size = max(area, 1 - area)
        log_chance = self.exactly(size)
        if log_chance is not None:
            grade = self.grade(log_chance, sure=self.beyond_a_marker(self.event))
            return None if grade is None else (grade, text)
        if size < NEAR_AUC or self.of_area(size) + self.tests > np.log(CHANCE):
            return None
        group = _best_group(self.value if area >= 0.5 else -self.value, self.event)
        if not self.beyond_a_marker(group):
            return None
        return "near", f"{text} nearly (area under the curve {size:.3f})"

    def exactly(self, size: float) -> float | None:
        """Logarithm of the chance of a perfect parting; None where it is not, or likely."""
        _, level, count = np.unique(
            self.value,
            return_inverse=True,
            return_counts=True,
        )
        events = np.bincount(level, self.event)
        best = 0.0
        if size == 1:
            best = np.log(2) - float(log_choose(self.patients, self.events))
        if ((events == 0) | (events == count)).all():
            alone = int((count == 1).sum())
            several = len(count) - alone
            pure = log_pure(several, alone, self.patients, self.events)
            best = min(best, float(pure))
        return best if best + self.tests <= np.log(PERHAPS) else None

    def order(self) -> Verdict | None:
        """Whether values have the order of the times, of all patients or of the events."""
        everyone = np.ones(self.patients, bool)
        verdicts = [self.ordered(everyone, f"all {self.patients} patients")]
        if self.events >= MIN_EVENTS and self.others:
            among = f"the {self.events} with the event"
            verdicts.append(self.ordered(self.event, among))
        return gravest(verdicts)

    def ordered(
        self,
        rows: BoolArray,
        among: str,
    ) -> Verdict | None:
        """Whether values and times of these patients have one order."""
        value, time = self.value[rows], self.time[rows]
        if np.ptp(value) == 0 or np.ptp(time) == 0:
            return None
        order = f"the order of the times of {among}"
        if _monotone(value, time):
            log_ties = _log_ties(value) + _log_ties(time)
            log_chance = np.log(2) + log_ties - float(gammaln(len(value) + 1))
            grade = self.grade(log_chance, sure=self.beyond_calendar())
            return None if grade is None else (grade, f"has {order}")
        tau = float(stats.kendalltau(value, time).statistic)
        chance = by_chance(tau, len(value)) + self.tests
        if abs(tau) < NEAR_TAU or chance > np.log(CHANCE) or not self.alike(tau):
            return None
        return "near", f"has nearly {order} (Kendall's tau {tau:.2f})"

    def grade(
        self,
        log_chance: float,
        *,
        sure: bool,
    ) -> Grade | None:
        """What an agreement without exception is, by the logarithm of its chance."""
        chance = log_chance + self.tests
        if sure and chance <= np.log(CHANCE):
            return "certain"
        return "possible" if chance <= np.log(PERHAPS) else None

    def alike(self, tau: float) -> bool:
        """Whether the events alone have that order too: the date of entry orders the censored."""
        value, time, count = self.value[self.event], self.time[self.event], self.events
        if count < MIN_EVENTS or np.ptp(value) == 0 or np.ptp(time) == 0:
            return False
        # standard error of a tau without order
        error = np.sqrt(2 * (2 * count + 5) / (9 * count * (count - 1)))
        own = np.sign(tau) * stats.kendalltau(value, time).statistic
        return bool(own - 2 * error >= ALIKE_TAU)

    def beyond_calendar(self) -> bool:
        """Whether the events fit in too well where the date of entry orders those who are censored.

        An event comes at any time before the end of follow-up, so each falls into the
        level of its own value by chance only.
        """
        _, level, count = np.unique(
            self.value,
            return_inverse=True,
            return_counts=True,
        )
        log_chances = np.log(count[level[self.event]] / self.patients)
        return bool(log_chances.sum() <= np.log(CALENDAR))

    def beyond_a_marker(self, group: BoolArray) -> bool:
        """Whether the group separates events from censoring better than a marker could.

        Given who is still followed, an event falls into the group of a marker with
        `STRONGEST` hazard ratio with a known chance, and so does a censoring, which no
        marker changes.
        """
        share = _share_followed(group, self.time)
        drawn = STRONGEST * share / (STRONGEST * share + 1 - share)
        outside = _at_most((self.event & ~group).sum(), 1 - drawn[self.event])
        censored = _at_most((group & ~self.event).sum(), share[~self.event])
        return outside * censored <= RARE

    def of_area(self, size: float) -> float:
        """Logarithm of the chance of such an area under the curve, by the normal approximation."""
        _, count = np.unique(self.value, return_counts=True)
        cubes = (count.astype(np.float64) ** 3 - count).sum()
        ties = cubes / (self.patients * (self.patients - 1))
        variance = (self.patients + 1 - ties) / (12 * self.events * self.others)
        return float(np.log(2) + stats.norm.logsf((size - 0.5) / np.sqrt(variance)))


def gravest(verdicts: Iterable[Verdict | None]) -> Verdict | None:
    """The verdict of the gravest grade; None where there is none."""
    there = [verdict for verdict in verdicts if verdict is not None]
    return min(
        there,
        key=lambda verdict: GRADES.index(verdict[0]),
        default=None,
    )


def _area(value: FloatArray, event: BoolArray) -> float:
    """Area under the curve of the value against the event."""
    events = int(event.sum())
    above = stats.rankdata(value)[event].sum() - events * (events + 1) / 2
    return float(above / (events * (len(value) - events)))


def _best_group(
    value: FloatArray,
    event: BoolArray,
) -> BoolArray:
    """High values, cut where they separate the events best (Youden's index)."""
    levels, level = np.unique(-value, return_inverse=True)
    events, others = np.bincount(level, event), np.bincount(level, ~event)
    gain = np.cumsum(events) / events.sum() - np.cumsum(others) / others.sum()
    return np.asarray(-value <= levels[gain.argmax()])


def _monotone(value: FloatArray, time: FloatArray) -> bool:
    """Whether no two patients contradict one order of values and times, rising or falling."""
    for signed in (time, -time):
        order = np.lexsort((signed, value))
        levels = np.flatnonzero(np.diff(value[order], prepend=-np.inf))
        ordered = signed[order]
        highest = np.maximum.reduceat(ordered, levels)
        lowest = ordered[levels]  # the lowest of a level comes first
        if (highest[:-1] <= lowest[1:]).all():
            return True
    return False


def _log_ties(value: FloatArray) -> float:
    """Logarithm of the number of orders that ties leave open."""
    _, count = np.unique(value, return_counts=True)
    return float(gammaln(count + 1).sum())


def _share_followed(
    group: BoolArray,
    time: FloatArray,
) -> FloatArray:
    """Share of the group among those followed up to the time of each patient; (patients,)."""
    order = np.sort(time)
    whole = len(time) - np.searchsorted(order, time)
    own = np.sort(time[group])
    return np.asarray((len(own) - np.searchsorted(own, time)) / whole)


def _at_most(count: int, chances: FloatArray) -> float:
    """Chance of at most `count` successes of independent draws with these chances."""
    upto = np.zeros(count + 1)
    upto[0] = 1.0
    for chance in chances:
        upto[1:] = upto[1:] * (1 - chance) + upto[:-1] * chance
        upto[0] *= 1 - chance
    return float(upto.sum())
