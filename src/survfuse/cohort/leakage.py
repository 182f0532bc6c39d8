"""Inputs whose content is the outcome, whatever they are called.

A column leaks when it parts the patients with the event from those without it, or when
its order is that of the times. An honest column may do so by chance in a small cohort,
so a coincidence counts only where chance, over all columns of the cohort, makes it
rarer than `CHANCE`. A strong honest marker is no coincidence; but nothing that is
measured at time zero knows who will be censored, and that tells the two apart.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.special import gammaln

from survfuse._errors import LeakageError
from survfuse._types import BoolArray, FloatArray
from survfuse.cohort.leak_rules import GRADES, PERHAPS, Column, Grade, Verdict, gravest
from survfuse.cohort.leak_screen import suspects
from survfuse.cohort.modalities import BagData, ExpressionData, ModalityData, TableData
from survfuse.cohort.problems import Problem, allowing

if TYPE_CHECKING:
    from survfuse.cohort.cohort_data import Cohort

MOST_PAIRED = 100  # numeric columns of a clinical table whose differences are looked at
MOST_TILES = 64  # of a patient: a column that leaks does so in every tile

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
        return (
            f"{self.modality}.{self.column}"
            if self.column
            else f"{self.modality} (who has it)"
        )

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
    problems = [
        one for one in leak_problems(cohort, allowed) if not only or one.where in only
    ]
    if problems:
        lines = "\n".join(f"  - {problem}" for problem in problems)
        raise LeakageError(
            f"{where or f'cohort {cohort.name!r}'}: the outcome is among the inputs\n{lines}",
        )


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
        `time` and `event` by patient; those whose time is NaN are not looked at.
    """
    if outcome is None:
        return ()
    followed = outcome[outcome["time"].notna()]
    tests = sum(max(data.features, 1) for data in modalities.values())
    best: dict[tuple[str, str], Leak] = {}
    for data in modalities.values():
        alone = list(_leaks_of(data, followed, tests))
        for leak in [
            *alone,
            *_leaks_of_differences(
                data,
                followed,
                tests,
                {one.column for one in alone},
            ),
        ]:
            known = best.setdefault((leak.modality, leak.column), leak)
            if GRADES.index(leak.grade) < GRADES.index(known.grade):
                best[leak.modality, leak.column] = leak
    return tuple(best.values())


def _leaks_of(data: ModalityData, followed: pd.DataFrame, tests: int) -> Iterator[Leak]:
    has = followed.index.isin(data.patients)
    yield from _Look(data, followed, tests).numbers(
        [""],
        has[:, None].astype(np.float64),
    )
    look = _Look(data, followed[has], tests)
    if not look.ids:
        return
    for names, values in _numbers(data, look.ids):
        yield from look.numbers(names, values)
    if isinstance(data, TableData):
        for name in _inputs(data, nominal=True):
            yield from look.words(name, data.texts(name, look.ids))


def _leaks_of_differences(
    data: ModalityData,
    followed: pd.DataFrame,
    tests: int,
    alone: Collection[str],
) -> Iterator[Leak]:
    """Look at differences of clinical numbers: age at the last contact less age at diagnosis is the time."""
    if not isinstance(data, TableData) or data.kind != "clinical":
        return
    names = [
        name
        for name in _inputs(data, nominal=False)
        if data.columns[name].kind == "numeric" and name not in alone
    ]
    pairs = list(combinations(names, 2)) if len(names) <= MOST_PAIRED else []
    known = followed[followed.index.isin(data.patients)]
    if pairs and len(known):
        yield from _Look(data, known, tests + len(pairs)).differences(pairs)


def _inputs(data: TableData, *, nominal: bool) -> list[str]:
    """Columns that a model may read without being allowed to."""
    return [
        name
        for name, column in data.columns.items()
        if column.use
        and column.known == "baseline"
        and (column.kind == "nominal") == nominal
    ]


def _numbers(
    data: ModalityData,
    ids: list[str],
) -> Iterator[tuple[list[str], FloatArray]]:
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
            forms.append(
                ("being known or not ", holes, missing[:, holes].astype(np.float64)),
            )
        for form, where, matrix in forms:
            for index in suspects(
                matrix,
                self.time,
                self.event,
                np.log(PERHAPS) - self.tests,
            ):
                column = np.asarray(matrix[:, index], np.float64)
                yield from self.leak(names[where[index]], form, self.judge(column))

    def differences(self, pairs: list[tuple[str, str]]) -> Iterator[Leak]:
        """Judge the second column of each pair less the first."""
        assert isinstance(self.data, TableData)
        own = {
            name: self.data.numbers(name, self.ids)
            for name in {name for pair in pairs for name in pair}
        }
        matrix = np.column_stack(
            [own[later] - own[earlier] for earlier, later in pairs],
        )
        for index in suspects(
            matrix,
            self.time,
            self.event,
            np.log(PERHAPS) - self.tests,
        ):
            verdict = self.judge(matrix[:, index])
            if verdict is None or verdict[0] == "possible":
                continue
            known = np.isfinite(matrix[:, index])
            rises = np.corrcoef(matrix[known, index], self.time[known])[0, 1] > 0
            earlier, later = pairs[index] if rises else pairs[index][::-1]
            yield from self.leak(later, f"less {earlier!r} ", verdict)

    def words(self, name: str, cells: pd.Series[str]) -> Iterator[Leak]:
        """Judge a nominal column: as numbers or in the order of its words, and by its levels."""
        known = cells.notna().to_numpy(bool)
        yield from self.numbers([name], np.where(known, 1.0, np.nan)[:, None])
        codes = np.full(len(cells), np.nan)
        numbers = pd.to_numeric(cells[known], errors="coerce")
        codes[known] = (
            pd.factorize(cells[known], sort=True)[0]
            if numbers.isna().any()
            else numbers
        )
        levels = len(np.unique(codes[known]))
        by_event = self.judge(_mean_of_level(codes, self.event), levels * np.log(2))
        by_time = self.judge(
            _mean_of_level(codes, self.time),
            float(gammaln(levels + 1)),
        )
        for verdict in (self.judge(codes), by_event, by_time):
            yield from self.leak(name, "", verdict)

    def leak(self, name: str, form: str, verdict: Verdict | None) -> Iterator[Leak]:
        """Name the column of a verdict."""
        if verdict is not None:
            yield Leak(
                self.data.name,
                name,
                self.data.kind,
                verdict[0],
                form + verdict[1],
            )

    def judge(self, value: FloatArray, choices: float = 0.0) -> Verdict | None:
        """Judge one column; `choices` is the logarithm of the number of orders that were tried."""
        known = np.isfinite(value)
        if not known.any() or np.ptp(value[known]) == 0:
            return None
        column = Column(
            value[known],
            self.time[known],
            self.event[known],
            self.tests + choices,
        )
        return gravest([column.parting(), column.order()])


def _mean_of_level(codes: FloatArray, of: FloatArray | BoolArray) -> FloatArray:
    """Replace each level by the mean of its patients; NaN stays."""
    known = np.isfinite(codes)
    level = pd.Series(codes[known])
    means = np.full(len(codes), np.nan)
    means[known] = (
        pd.Series(np.asarray(of, np.float64)[known])
        .groupby(level.to_numpy())
        .transform("mean")
    )
    return means
