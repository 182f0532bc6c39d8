"""Inputs whose content is the outcome, whatever they are called.

A column leaks when it parts the patients with the event from those without it, or when
its order is that of the times. An honest column may do so by chance in a small cohort,
so a coincidence counts only where chance, over all columns of the cohort, makes it
rarer than `CHANCE`. A strong honest marker is no coincidence; but nothing that is
measured at time zero knows who will be censored, and that tells the two apart.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from scipy import stats
from scipy.special import gammaln

from survfuse._errors import LeakageError
from survfuse._types import BoolArray, FloatArray
from survfuse.cohort.leak_screen import by_chance, log_choose, log_pure, suspects
from survfuse.cohort.modalities import BagData, ExpressionData, ModalityData, TableData
from survfuse.cohort.problems import Problem

if TYPE_CHECKING:
    from survfuse.cohort.data import Cohort

CHANCE = 1e-6  # of a coincidence, over all columns of the cohort
PERHAPS = 1e-2  # a coincidence rarer than this is worth a look
RARE = 1e-2  # of what an honest column does that agrees with the outcome
STRONGEST = 25.0  # hazard ratio of the two groups of an honest marker
NEAR_AUC = 0.97
NEAR_TAU = 0.9
ALIKE_TAU = 0.5  # of the events, less two standard errors, where all patients have NEAR_TAU
CALENDAR = 1e-5  # of events that fit into the order of the others by chance
MIN_EVENTS = 8
MOST_TILES = 64  # of a patient: a column that leaks does so in every tile

Grade = Literal["certain", "near", "possible"]
GRADES: tuple[Grade, ...] = ("certain", "near", "possible")
Verdict = tuple[Grade, str]

REMEDY = {
    "clinical": "leave it out of `columns:`, or say `use: false`",
    "table": "leave it out of `columns:` (a list of the inputs), or say `use: false`",
    "expression": "take it out of the matrix",
    "bag": "take it out of the features",
}


@dataclass(frozen=True)
class Leak:
    """An input that gives the outcome away.

    Attributes
    ----------
    modality : str
    column : str
        A column, gene or tile feature; empty where it is the presence of the modality.
    kind : str
        Kind of the modality.
    grade : "certain", "near" or "possible"
        The outcome itself; nearly the outcome; or what chance could also do.
    evidence : str
        What was seen, with its numbers.
    """

    modality: str
    column: str
    kind: str
    grade: Grade
    evidence: str

    @property
    def name(self) -> str:
        """What `allow_followup` calls it."""
        return self.column if self.column and self.kind != "bag" else self.modality

    def allowed(self, names: Collection[str]) -> bool:
        """Whether the column, or its whole modality, is allowed by name."""
        return self.column in names or self.modality in names

    @property
    def label(self) -> str:
        """Modality and column."""
        return f"{self.modality}.{self.column}" if self.column else f"{self.modality} (who has it)"

    @property
    def remedy(self) -> str:
        """What to do about it."""
        away = REMEDY[self.kind] if self.column else "leave the modality out"
        return (
            f"{away}; or, if it really is known at time zero, allow it: "
            f"model.allow_followup=[{self.name}] for train and crossval, "
            f"--allow-followup {shlex.quote(self.name)} for validate, "
            f"allow_followup=[{self.name!r}] for load_cohort"
        )

    @property
    def message(self) -> str:
        """What came, and what was expected."""
        what = "it" if self.column else "who has this modality"
        return f"the outcome under another name: {what} {self.evidence}; expected what is known at time zero"


def leak_problems(cohort: Cohort, allowed: Collection[str]) -> list[Problem]:
    """Inputs that are the outcome itself and are not allowed by name, as errors of the cohort file.

    Parameters
    ----------
    cohort : Cohort
    allowed : collection of str
        Names of columns, genes or whole modalities.
    """
    return [
        Problem(
            "error",
            leak.modality,
            leak.message,
            file=cohort.spec.file(leak.modality),
            column=leak.column,
            hint=leak.remedy,
        )
        for leak in cohort.leaks
        if leak.grade == "certain" and not leak.allowed(allowed)
    ]


def refuse_leaks(
    cohort: Cohort, allowed: Collection[str], where: str = "", only: Collection[str] = ()
) -> None:
    """Refuse inputs that are the outcome, unless each is allowed by name.

    Parameters
    ----------
    cohort : Cohort
    allowed : collection of str
        As in :func:`leak_problems`.
    where : str
        What the message begins with; the name of the cohort where not given.
    only : collection of str
        Modalities that are inputs; all where not given.

    Raises
    ------
    LeakageError
        Lists them all.
    """
    problems = [one for one in leak_problems(cohort, allowed) if not only or one.where in only]
    if problems:
        lines = "\n".join(f"  - {problem}" for problem in problems)
        raise LeakageError(f"{where or f'cohort {cohort.name!r}'}: the outcome is among the inputs\n{lines}")


def find_leaks(modalities: Mapping[str, ModalityData], outcome: pd.DataFrame | None) -> tuple[Leak, ...]:
    """Look at every input of every modality, and at who has the modality.

    Columns declared `use: false` or `known: followup` are no inputs.

    Parameters
    ----------
    modalities : mapping of str to modality
    outcome : DataFrame or None
        `time` and `event` by patient; those whose time is NaN are not looked at.
    """
    if outcome is None:
        return ()
    followed = outcome[outcome["time"].notna()]
    tests = sum(max(data.features, 1) for data in modalities.values())
    best: dict[tuple[str, str], Leak] = {}
    for data in modalities.values():
        for leak in _leaks_of(data, followed, tests):
            known = best.setdefault((leak.modality, leak.column), leak)
            if GRADES.index(leak.grade) < GRADES.index(known.grade):
                best[leak.modality, leak.column] = leak
    return tuple(best.values())


def _leaks_of(data: ModalityData, followed: pd.DataFrame, tests: int) -> Iterator[Leak]:
    has = followed.index.isin(data.patients)
    yield from _Look(data, followed, tests).numbers([""], has[:, None].astype(np.float64))
    look = _Look(data, followed[has], tests)
    if not look.ids:
        return
    for names, values in _numbers(data, look.ids):
        yield from look.numbers(names, values)
    if isinstance(data, TableData):
        for name in _inputs(data, nominal=True):
            yield from look.words(name, data.texts(name, look.ids))


def _inputs(data: TableData, *, nominal: bool) -> list[str]:
    """Columns that a model may read without being allowed to."""
    return [
        name
        for name, column in data.columns.items()
        if column.use and column.known == "baseline" and (column.kind == "nominal") == nominal
    ]


def _numbers(data: ModalityData, ids: list[str]) -> Iterator[tuple[list[str], FloatArray]]:
    """Numeric inputs of a modality: names, and values (patients, columns)."""
    if isinstance(data, TableData):
        names = _inputs(data, nominal=False)
        if names:
            yield names, np.column_stack([data.numbers(name, ids) for name in names])
    elif isinstance(data, ExpressionData):
        yield list(data.expression.genes), data.values(ids)
    else:
        features = [f"feature {index}" for index in range(data.features)]
        yield features, np.stack([_mean_tile(data, patient) for patient in ids])
        yield ["number of tiles"], data.store.counts(ids)[:, None].astype(np.float64)


def _mean_tile(data: BagData, patient: str) -> FloatArray:
    """Mean of a few tiles, rounded so that equal features stay equal."""
    step = 1 + int(data.store.counts([patient])[0]) // MOST_TILES
    tiles = [data.store.features[rows][::step] for rows in data.store.rows(patient)]
    return np.asarray(np.concatenate(tiles).mean(axis=0, dtype=np.float64), np.float32)


class _Look:
    """Judges columns of one modality against the outcome of its patients.

    Parameters
    ----------
    data : modality
    outcome : DataFrame
        `time` and `event` of the patients that are looked at, in their order.
    tests : int
        Columns of the whole cohort: so many coincidences had their chance.
    """

    def __init__(self, data: ModalityData, outcome: pd.DataFrame, tests: int) -> None:
        self.data = data
        self.ids = [str(patient) for patient in outcome.index]
        self.time = outcome["time"].to_numpy(np.float64)
        self.event = outcome["event"].to_numpy(bool)
        self.tests = float(np.log(tests))

    def numbers(self, names: list[str], values: FloatArray) -> Iterator[Leak]:
        """Judge numeric columns, and which of their values are missing; (patients, columns)."""
        missing = np.isnan(values)
        holes = np.flatnonzero(missing.any(axis=0))
        forms = [("", np.arange(len(names)), values)]
        if len(holes):
            forms.append(("being known or not ", holes, missing[:, holes].astype(np.float64)))
        for form, where, matrix in forms:
            for index in suspects(matrix, self.time, self.event, np.log(PERHAPS) - self.tests):
                column = np.asarray(matrix[:, index], np.float64)
                yield from self.leak(names[where[index]], form, self.judge(column))

    def words(self, name: str, cells: pd.Series[str]) -> Iterator[Leak]:
        """Judge a nominal column: as numbers or in the order of its words, and by its levels."""
        known = cells.notna().to_numpy(bool)
        yield from self.numbers([name], np.where(known, 1.0, np.nan)[:, None])
        codes = np.full(len(cells), np.nan)
        numbers = pd.to_numeric(cells[known], errors="coerce")
        codes[known] = pd.factorize(cells[known], sort=True)[0] if numbers.isna().any() else numbers
        levels = len(np.unique(codes[known]))
        by_event = self.judge(_mean_of_level(codes, self.event), levels * np.log(2))
        by_time = self.judge(_mean_of_level(codes, self.time), float(gammaln(levels + 1)))
        for verdict in (self.judge(codes), by_event, by_time):
            yield from self.leak(name, "", verdict)

    def leak(self, name: str, form: str, verdict: Verdict | None) -> Iterator[Leak]:
        """Name the column of a verdict."""
        if verdict is not None:
            yield Leak(self.data.name, name, self.data.kind, verdict[0], form + verdict[1])

    def judge(self, value: FloatArray, choices: float = 0.0) -> Verdict | None:
        """Judge one column; `choices` is the logarithm of the number of orders that were tried."""
        known = np.isfinite(value)
        if not known.any() or np.ptp(value[known]) == 0:
            return None
        column = _Column(value[known], self.time[known], self.event[known], self.tests + choices)
        return _gravest([column.parting(), column.order()])


def _mean_of_level(codes: FloatArray, of: FloatArray | BoolArray) -> FloatArray:
    """Replace each level by the mean of its patients; NaN stays."""
    known = np.isfinite(codes)
    level = pd.Series(codes[known])
    means = np.full(len(codes), np.nan)
    means[known] = pd.Series(np.asarray(of, np.float64)[known]).groupby(level.to_numpy()).transform("mean")
    return means


class _Column:
    """Known values of one column with the outcome of their patients, and the rules.

    Parameters
    ----------
    value, time, event : array, (patients,)
    tests : float
        Logarithm of the number of coincidences that had their chance.
    """

    def __init__(self, value: FloatArray, time: FloatArray, event: BoolArray, tests: float) -> None:
        self.value, self.time, self.event, self.tests = value, time, event, tests
        self.patients, self.events = len(value), int(event.sum())
        self.others = self.patients - self.events

    def parting(self) -> Verdict | None:
        """Whether the column parts the patients with the event from those without it."""
        if not self.events or not self.others:
            return None
        area = _area(self.value, self.event)
        size = max(area, 1 - area)
        told = f"parts the {self.events} with the event from the {self.others} without it"
        log_chance = self.exactly(size)
        if log_chance is not None:
            grade = self.grade(log_chance, sure=self.beyond_a_marker(self.event))
            return None if grade is None else (grade, told)
        if size < NEAR_AUC or self.of_area(size) + self.tests > np.log(CHANCE):
            return None
        if self.beyond_a_marker(_best_group(self.value if area >= 0.5 else -self.value, self.event)):
            return "near", f"{told} nearly (area under the curve {size:.3f})"
        return None

    def exactly(self, size: float) -> float | None:
        """Logarithm of the chance that the parting is perfect; None where it is not, or says nothing."""
        _, level, count = np.unique(self.value, return_inverse=True, return_counts=True)
        events = np.bincount(level, self.event)
        chances = []
        if size == 1:
            chances.append(np.log(2) - float(log_choose(self.patients, self.events)))
        if ((events == 0) | (events == count)).all():
            alone = int((count == 1).sum())
            chances.append(float(log_pure(len(count) - alone, alone, self.patients, self.events)))
        best = min(chances, default=0.0)
        return best if best + self.tests <= np.log(PERHAPS) else None

    def order(self) -> Verdict | None:
        """Whether the order of values is that of the times, of all patients or of those with the event."""
        everyone = np.ones(self.patients, bool)
        verdicts = [self.ordered(everyone, f"all {self.patients} patients")]
        if self.events >= MIN_EVENTS and self.others:
            verdicts.append(self.ordered(self.event, f"the {self.events} with the event"))
        return _gravest(verdicts)

    def ordered(self, rows: BoolArray, among: str) -> Verdict | None:
        """Whether values and times of these patients have one order."""
        value, time = self.value[rows], self.time[rows]
        if np.ptp(value) == 0 or np.ptp(time) == 0:
            return None
        if _monotone(value, time):
            log_chance = np.log(2) + _log_ties(value) + _log_ties(time) - float(gammaln(len(value) + 1))
            grade = self.grade(log_chance, sure=self.beyond_calendar())
            return None if grade is None else (grade, f"has the order of the times of {among}")
        tau = float(stats.kendalltau(value, time).statistic)
        if abs(tau) < NEAR_TAU or by_chance(tau, len(value)) + self.tests > np.log(CHANCE):
            return None
        if not self.alike(tau):
            return None
        return "near", f"has nearly the order of the times of {among} (Kendall's tau {tau:.2f})"

    def grade(self, log_chance: float, *, sure: bool) -> Grade | None:
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
        error = np.sqrt(2 * (2 * count + 5) / (9 * count * (count - 1)))  # of a tau without order
        own = np.sign(tau) * stats.kendalltau(value, time).statistic
        return bool(own - 2 * error >= ALIKE_TAU)

    def beyond_calendar(self) -> bool:
        """Whether the events fit in too well where the date of entry orders those who are censored.

        An event comes at any time before the end of follow-up, so each falls into the
        level of its own value by chance only.
        """
        _, level, count = np.unique(self.value, return_inverse=True, return_counts=True)
        return bool(np.log(count[level[self.event]] / self.patients).sum() <= np.log(CALENDAR))

    def beyond_a_marker(self, group: BoolArray) -> bool:
        """Whether events and censoring keep to the group, and out of it, more than a marker's could.

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
        ties = (count.astype(np.float64) ** 3 - count).sum() / (self.patients * (self.patients - 1))
        variance = (self.patients + 1 - ties) / (12 * self.events * self.others)
        return float(np.log(2) + stats.norm.logsf((size - 0.5) / np.sqrt(variance)))


def _gravest(verdicts: Iterable[Verdict | None]) -> Verdict | None:
    there = [verdict for verdict in verdicts if verdict is not None]
    return min(there, key=lambda verdict: GRADES.index(verdict[0]), default=None)


def _area(value: FloatArray, event: BoolArray) -> float:
    """Area under the curve of the value against the event."""
    events = int(event.sum())
    above = stats.rankdata(value)[event].sum() - events * (events + 1) / 2
    return float(above / (events * (len(value) - events)))


def _best_group(value: FloatArray, event: BoolArray) -> BoolArray:
    """High values, cut where they hold most of those with the event and fewest of the others (Youden)."""
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
        if (highest[:-1] <= ordered[levels[1:]]).all():  # the lowest of a level comes first
            return True
    return False


def _log_ties(value: FloatArray) -> float:
    """Logarithm of the number of orders that ties leave open."""
    _, count = np.unique(value, return_counts=True)
    return float(gammaln(count + 1).sum())


def _share_followed(group: BoolArray, time: FloatArray) -> FloatArray:
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
