"""Inputs whose content is the outcome, whatever they are called.

A column leaks when it parts the patients with the event from those without it, or when
its order is that of the times. An honest column may do so by chance in a small cohort,
so a coincidence counts only where chance, over all columns of the cohort, makes it
rarer than `CHANCE`. A strong honest marker is no coincidence; but nothing that is
measured at time zero knows who will be censored, and that tells the two apart.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.special import gammaln

from survfuse._errors import LeakageError
from survfuse._types import BoolArray, FloatArray, IntArray
from survfuse.cohort.leak_rules import GRADES, PERHAPS, Column, Grade, Verdict, gravest
from survfuse.cohort.leak_screen import suspects
from survfuse.cohort.modalities import (
    ExpressionData,
    ModalityData,
    PriorData,
    TableData,
)
from survfuse.cohort.prior_section import learned_here
from survfuse.cohort.problems import Problem, allowing

if TYPE_CHECKING:
    from survfuse.cohort.cohort_data import Cohort

MOST_PAIRED = 100  # numeric columns of a clinical table whose differences are searched
MOST_TILES = 64  # of a patient: a column that leaks does so in every tile

REMEDY = {
    "clinical": "leave it out of `columns:`, or say `use: false`",
    "table": "leave it out of `columns:` (a list of the inputs), or say `use: false`",
    "expression": "take it out of the matrix",
    "bag": "take it out of the features",
    "prior": "leave the prior out",
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
        own = bool(self.column) and self.kind not in ("bag", "prior")
        return self.column if own else self.modality

    def allowed(self, names: Collection[str]) -> bool:
        """Whether the column, or its whole modality, is allowed by name."""
        return self.column in names or self.modality in names

    @property
    def label(self) -> str:
        """Modality and column."""
        column = f".{self.column}" if self.column else " (who has it)"
        return self.modality + column

    @property
    def remedy(self) -> str:
        """What to do about it."""
        away = REMEDY[self.kind] if self.column else "leave the modality out"
        return (
            f"{away}; or, if it really is known at time zero, allow it: "
            f"{allowing([self.name])} for train and crossval, "
            f"--allow-followup {shlex.quote(self.name)} for validate, "
            f"allow_followup=[{self.name!r}] for load_cohort"
        )

    @property
    def message(self) -> str:
        """What came, and what was expected."""
        what = "it" if self.column else "who has this modality"
        return (
            f"the outcome under another name: {what} {self.evidence}; expected what is known at "
            "time zero"
        )


def leak_problems(
    cohort: Cohort,
    allowed: Collection[str],
) -> list[Problem]:
    """Inputs that are the outcome itself and not allowed by name, as errors of the cohort file.

    So are priors that were learned from patients of the cohort, which nothing allows.

    Parameters
    ----------
    cohort : Cohort
    allowed : collection of str
        Names of columns, genes or whole modalities.
    """
    problems = []
    for leak in cohort.leaks:
        if leak.grade == "certain" and not leak.allowed(allowed):
            file = cohort.spec.file(leak.modality)
            where, column = leak.modality, leak.column
            problems.append(
                Problem("error", where, leak.message, "", file, column, leak.remedy),
            )
    for name, data in cohort.modalities.items():
        learned = learned_here(data, cohort.spec.file(name))
        if learned is not None and cohort.outcome is not None:
            problems.append(learned)
    return problems


def refuse_leaks(
    cohort: Cohort,
    allowed: Collection[str],
    where: str = "",
    only: Collection[str] = (),
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
    lines = []
    for problem in leak_problems(cohort, allowed):
        if not only or problem.where in only:
            lines.append(f"\n  - {problem}")
    if lines:
        start = where or f"cohort {cohort.name!r}"
        raise LeakageError(f"{start}: the outcome is among the inputs{''.join(lines)}")


def find_leaks(
    modalities: Mapping[str, ModalityData],
    outcome: pd.DataFrame | None,
) -> tuple[Leak, ...]:
    """Look at every input of every modality, and at who has the modality.

    Columns declared `use: false` or `known: followup` are no inputs.

    Parameters
    ----------
    modalities : mapping of str to modality
    outcome : DataFrame or None
        `time` and `event` by patient; those whose time is NaN are left out.
    """
    if outcome is None:
        return ()
    followed = outcome[outcome["time"].notna()]
    searched = []
    for data in modalities.values():
        # the genes of a prior are searched where they are
        if not isinstance(data, PriorData) or data.prior is None:
            searched.append(data)
    tests = sum(max(data.features, 1) for data in searched)
    worst: dict[tuple[str, str], Leak] = {}
    for data in searched:
        for leak in _leaks_of(data, followed, tests):
            known = worst.setdefault((leak.modality, leak.column), leak)
            if GRADES.index(leak.grade) < GRADES.index(known.grade):
                worst[leak.modality, leak.column] = leak
    return tuple(worst.values())


def _leaks_of(
    data: ModalityData,
    followed: pd.DataFrame,
    tests: int,
) -> list[Leak]:
    """Leaks of one modality: who has it, its columns, and differences of clinical columns."""
    has = followed.index.isin(data.patients)
    presence = _Search(data, followed, tests)
    presence.numbers([""], has[:, None].astype(np.float64))
    search = _Search(data, followed[has], tests)
    if not search.ids:
        return presence.leaks
    for names, values in _matrices(data, search.ids):
        search.numbers(names, values)
    if isinstance(data, TableData):
        for name in _columns(data, nominal=True):
            search.categories(name, data.texts(name, search.ids))
    leaks = [*presence.leaks, *search.leaks]
    if isinstance(data, TableData) and data.kind == "clinical":
        leaking = {leak.column for leak in leaks}
        leaks += _leaks_of_differences(data, leaking, followed[has], tests)
    return leaks


def _leaks_of_differences(
    data: TableData,
    leaking: Collection[str],
    followed: pd.DataFrame,
    tests: int,
) -> list[Leak]:
    """Leaks of differences: age at the last contact less age at diagnosis is the time."""
    names = []
    for name in _columns(data, nominal=False):
        if data.columns[name].kind == "numeric" and name not in leaking:
            names.append(name)
    if not 2 <= len(names) <= MOST_PAIRED:
        return []
    pairs = list(combinations(names, 2))
    search = _Search(data, followed, tests + len(pairs))
    own = {name: data.numbers(name, search.ids) for name in names}
    differences = [own[later] - own[earlier] for earlier, later in pairs]
    search.differences(pairs, np.column_stack(differences))
    return search.leaks


def _columns(data: TableData, *, nominal: bool) -> list[str]:
    """Columns that a model may read without being allowed to."""
    names = data.inputs("baseline")
    return [name for name in names if (data.columns[name].kind == "nominal") == nominal]


def _matrices(
    data: ModalityData,
    ids: list[str],
) -> Iterator[tuple[list[str], FloatArray]]:
    """Numeric inputs of a modality: names, and values (patients, columns)."""
    if isinstance(data, TableData):
        names = _columns(data, nominal=False)
        if names:
            yield names, np.column_stack([data.numbers(name, ids) for name in names])
    elif isinstance(data, PriorData):
        yield from _matrices(data.source, ids)
    elif isinstance(data, ExpressionData):
        yield list(data.expression.genes), data.values(ids)
    else:
        features = [f"feature {index}" for index in range(data.features)]
        means = []
        for patient in ids:
            step = 1 + int(data.store.counts([patient])[0]) // MOST_TILES
            parts = [data.store.features[r][::step] for r in data.store.rows(patient)]
            means.append(np.concatenate(parts).mean(axis=0, dtype=np.float64))
        # rounded so that equal features stay equal
        yield features, np.stack(means).astype(np.float32)
        yield ["number of tiles"], data.store.counts(ids)[:, None].astype(np.float64)


class _Search:
    """Compares columns of one modality with the outcome of its patients, and collects leaks.

    Parameters
    ----------
    data : modality
    outcome : DataFrame
        `time` and `event` of the patients, in their order.
    tests : int
        Columns of the whole cohort: so many coincidences had their chance.
    """

    def __init__(
        self,
        data: ModalityData,
        outcome: pd.DataFrame,
        tests: int,
    ) -> None:
        self.data = data
        self.ids = list(map(str, outcome.index))
        self.time = outcome["time"].to_numpy(np.float64)
        self.event = outcome["event"].to_numpy(bool)
        self.tests = float(np.log(tests))
        self.leaks: list[Leak] = []

    def numbers(
        self,
        names: Sequence[str],
        values: FloatArray,
    ) -> None:
        """Compare numeric columns, and which of their values are missing; (patients, columns)."""
        self._matrix(names, values, "")
        missing = np.isnan(values)
        holes = np.flatnonzero(missing.any(axis=0))
        if len(holes):
            known = missing[:, holes].astype(np.float64)
            self._matrix(
                [names[hole] for hole in holes.tolist()],
                known,
                "being known or not ",
            )

    def _matrix(
        self,
        names: Sequence[str],
        values: FloatArray,
        form: str,
    ) -> None:
        for index in self._suspects(values).tolist():
            column = np.asarray(values[:, index], np.float64)
            self._add(names[index], form, self.verdict(column))

    def _suspects(self, values: FloatArray) -> IntArray:
        return suspects(values, self.time, self.event, np.log(PERHAPS) - self.tests)

    def differences(
        self,
        pairs: list[tuple[str, str]],
        values: FloatArray,
    ) -> None:
        """Compare the second column of each pair less the first."""
        for index in self._suspects(values).tolist():
            verdict = self.verdict(values[:, index])
            if verdict is None or verdict[0] == "possible":
                continue
            known = np.isfinite(values[:, index])
            rises = np.corrcoef(values[known, index], self.time[known])[0, 1] > 0
            earlier, later = pairs[index] if rises else pairs[index][::-1]
            self._add(later, f"less {earlier!r} ", verdict)

    def categories(
        self,
        name: str,
        cells: pd.Series[str],
    ) -> None:
        """Compare a nominal column: as numbers or in the order of its texts, and by its levels."""
        known = cells.notna().to_numpy(bool)
        self.numbers([name], np.where(known, 1.0, np.nan)[:, None])
        codes = np.full(len(cells), np.nan)
        numbers = pd.to_numeric(cells[known], errors="coerce")
        if numbers.isna().any():
            codes[known] = pd.factorize(cells[known], sort=True)[0]
        else:
            codes[known] = numbers
        levels = len(np.unique(codes[known]))
        by_event = _mean_of_level(codes, self.event)
        by_time = _mean_of_level(codes, self.time)
        self._add(name, "", self.verdict(codes))
        self._add(name, "", self.verdict(by_event, levels * np.log(2)))
        self._add(name, "", self.verdict(by_time, float(gammaln(levels + 1))))

    def _add(
        self,
        name: str,
        form: str,
        verdict: Verdict | None,
    ) -> None:
        if verdict is not None:
            grade, evidence = verdict
            kind = self.data.kind
            self.leaks.append(Leak(self.data.name, name, kind, grade, form + evidence))

    def verdict(
        self,
        value: FloatArray,
        choices: float = 0.0,
    ) -> Verdict | None:
        """Verdict on one column; `choices` is the logarithm of the number of orders tried."""
        known = np.isfinite(value)
        if not known.any() or np.ptp(value[known]) == 0:
            return None
        tests = self.tests + choices
        column = Column(value[known], self.time[known], self.event[known], tests)
        return gravest([column.parting(), column.order()])


def _mean_of_level(
    codes: FloatArray,
    of: FloatArray | BoolArray,
) -> FloatArray:
    """Replace each level by the mean of its patients; NaN stays."""
    values = pd.Series(np.asarray(of, np.float64))
    means = values.groupby(codes).transform("mean").to_numpy()
    return np.where(np.isfinite(codes), means, np.nan)
