"""Clinical and further tables: every cell is what its column was declared to be, or is reported."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Collection, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Literal

import numpy as np
import pandas as pd

from survfuse._errors import listed
from survfuse.cohort.modalities import ModalityData, TableData
from survfuse.cohort.outcome_names import named_like_outcome
from survfuse.cohort.outliers import LARGEST
from survfuse.cohort.problems import Problems, allowing
from survfuse.cohort.sources import Sources, near_name
from survfuse.cohort.spec import CohortSpec, ColumnSpec, TableSpec
from survfuse.cohort.status_column import as_list
from survfuse.readers.cell_text import (
    instead_of_number,
    only_difference,
    reads_unknown,
    spellings,
)
from survfuse.readers.matrices import MISSING

NUMERIC = ColumnSpec(kind="numeric")
NO_INPUT = "declare the inputs under `columns:`, or remove this section"
SUCH_AS = "columns: [TP53_cnv, MYC_cnv], or columns: {match: '*_cnv'}"


def read_modality_table(
    name: str,
    spec: TableSpec,
    cohort: CohortSpec,
    sources: Sources,
) -> TableData | None:
    """Read a vector modality; None (problems noted) when its table cannot be read.

    Parameters
    ----------
    name : str
        Name of the modality.
    spec : TableSpec
        Its section.
    cohort : CohortSpec
        The whole file: its outcome columns must not be inputs.
    sources : Sources
        Reads it and collects problems.
    """
    id_column = spec.patient or (
        cohort.outcome.patient if cohort.outcome else "patient_id"
    )
    cells = sources.by_patient(spec.table, id_column, name)
    if cells is None:
        return None
    columns = _declared(name, spec, cohort, cells, sources)
    if not columns:
        if not sources.problems.errors:
            sources.problems.error(
                name,
                "no column of it is an input",
                file=spec.table,
                hint=NO_INPUT,
            )
        return None
    kind: Literal["clinical", "table"] = "clinical" if name == "clinical" else "table"
    elsewhere = _used_elsewhere(cohort)
    ignored = tuple(str(c) for c in cells if c not in columns and c not in elsewhere)
    data = TableData(name, cells[list(columns)], columns, spec.missing, kind, ignored)
    return data.without_blank_rows()


def _used_elsewhere(cohort: CohortSpec) -> set[str]:
    """Columns that the outcome, the folds or the groups use."""
    used = {group.column for group in cohort.groups.values()}
    if cohort.outcome is not None:
        used |= {cohort.outcome.time, cohort.outcome.status}
    return used | ({cohort.folds.column} if cohort.folds is not None else set())


def _declared(
    name: str,
    spec: TableSpec,
    cohort: CohortSpec,
    cells: pd.DataFrame,
    sources: Sources,
) -> dict[str, ColumnSpec]:
    """Columns to read: those declared and there, or all as numbers; outcome columns are problems."""
    outcome = cohort.outcome
    answers = {outcome.time, outcome.status} if outcome is not None else set()
    same_file = outcome is not None and sources.path(spec.table) == sources.path(
        outcome.table,
    )
    if spec.columns is None and not spec.match and same_file:
        sources.problems.error(
            name,
            "this table also holds the outcome, so its inputs must be declared",
            file=spec.table,
            hint=f"list `columns:` of this modality, such as {SUCH_AS}",
        )
        return {}
    named = spec.columns or {}
    elsewhere = _used_elsewhere(cohort) if same_file else set()
    others = _unnamed(
        name,
        spec,
        [str(c) for c in cells if c not in elsewhere],
        answers,
        sources,
    )
    usable: dict[str, ColumnSpec] = {}
    for column, meaning in {**named, **dict.fromkeys(others, NUMERIC)}.items():
        there = sources.column(cells, column, spec.table, name) is not None
        if column in answers and (same_file or column not in named):
            way = f"declare the inputs, such as {SUCH_AS}"
            sources.problems.error(
                name,
                "this column is the outcome; it cannot be an input",
                file=spec.table,
                column=column,
                hint="remove it from the columns" if column in named else way,
            )
        elif there:
            usable[column] = meaning
    return usable


def _unnamed(
    name: str,
    spec: TableSpec,
    there: list[str],
    answers: set[str],
    sources: Sources,
) -> list[str]:
    """Columns that are inputs without being named: those of the patterns, or all of an undeclared table."""
    others = [column for column in there if column not in (spec.columns or {})]
    if spec.columns is not None or spec.match:
        others = _matching(name, spec, others, sources)
    _check_names(
        name,
        spec,
        [column for column in others if column not in answers],
        sources,
    )
    return others


def _matching(
    name: str,
    spec: TableSpec,
    others: list[str],
    sources: Sources,
) -> list[str]:
    """Columns of the patterns; a pattern without any is a problem."""
    chosen: list[str] = []
    for pattern in spec.match:
        columns = [column for column in others if fnmatchcase(column, pattern)]
        chosen += columns
        if not columns:
            sources.problems.error(
                name,
                f"no column is like {pattern!r}; the table has {listed(map(repr, others), 12)}",
                file=spec.table,
                hint="`*` stands for any letters, and letter case counts",
            )
    return list(dict.fromkeys(chosen))


def _check_names(
    name: str,
    spec: TableSpec,
    columns: Iterable[str],
    sources: Sources,
) -> None:
    """Note columns that nobody declared by name and that are called as outcomes are."""
    suspects = [column for column in columns if named_like_outcome(column)]
    if not suspects:
        return
    out = ", ".join(
        f"{_quoted(column)}: {{kind: numeric, use: false}}" for column in suspects
    )
    pattern = f"[{', '.join(map(_quoted, spec.match))}]" if spec.match else "'*'"
    sources.problems.error(
        name,
        f"no column is declared by name, and {listed(map(repr, suspects), 20)} is called as outcomes are",
        file=spec.table,
        column=suspects[0],
        hint=f"declare the inputs, such as {SUCH_AS}; to take all but these, "
        f"columns: {{match: {pattern}, {out}}}; a column that is known at time zero is listed by name",
    )


def _quoted(text: str) -> str:
    """Text as it stands in a YAML file, whatever letters it has."""
    return json.dumps(text, ensure_ascii=False)


def check_cells(data: TableData, file: str, problems: Problems) -> None:
    """Note every cell that is not what its column was declared to be.

    Parameters
    ----------
    data : TableData
        Already limited to the patients of the cohort.
    file : str
        Name of the table, for the messages.
    problems : Problems
        Where problems go.
    """
    for column, spec in data.columns.items():
        cells = data.texts(column)
        if spec.use and len(cells) and cells.isna().all():
            problems.warning(
                data.name,
                "no patient has a value",
                file=file,
                column=column,
            )
        if spec.kind == "nominal":
            _check_categories(data, column, cells, file, problems)
            _check_unknown(data, column, cells, file, problems)
            continue
        values = data.numbers(column)
        wrong = cells.notna().to_numpy(bool) & ~(np.abs(values) <= LARGEST)
        for cell in sorted(set(cells[wrong])):
            patients = [
                str(i) for i in cells.index[wrong & (cells == cell).to_numpy(bool)]
            ]
            expected, hint = _expected(data, column, str(cell))
            problems.error(
                data.name,
                f"{expected}, got {cell!r}",
                patients=patients,
                file=file,
                column=column,
                hint=hint,
            )


def _late_columns(data: TableData) -> list[str]:
    """Columns that are known only during follow-up."""
    return [column for column, spec in data.columns.items() if spec.known == "followup"]


def note_followup(
    modalities: Mapping[str, ModalityData],
    file_of: Callable[[str], str],
    allowed: Collection[str],
    problems: Problems,
    *,
    refuse: bool,
) -> None:
    """Note inputs that are known only during follow-up.

    Parameters
    ----------
    modalities : mapping of str to ModalityData
    file_of : callable
        Gives the table of a modality.
    allowed : collection of str
        Columns that may be inputs.
    problems : Problems
        Where problems go.
    refuse : bool
        Whether any other is an error; a warning otherwise.
    """
    tables = {
        name: data for name, data in modalities.items() if isinstance(data, TableData)
    }
    late: dict[tuple[str, str], str] = {}
    for name, data in tables.items():
        late |= {(file_of(name), column): name for column in _late_columns(data)}
    note = problems.error if refuse else problems.warning
    for name, data in tables.items():
        for column, spec in data.columns.items():
            section = late.get((file_of(name), column))
            if section is None or not spec.use:
                continue
            if spec.known == "baseline":
                problems.error(
                    name,
                    f"{section} declares this column of the same table `known: followup`, not so here",
                    file=file_of(name),
                    column=column,
                    hint="declare it alike in both",
                )
            elif column not in allowed:
                note(
                    name,
                    "known only during follow-up: train and crossval refuse it as an input",
                    file=file_of(name),
                    column=column,
                    hint="say `use: false` of it, or allow it, which leaks: "
                    f"`--allow-followup {shlex.quote(column)}` of validate, "
                    f"`{allowing([column])}` of crossval and train",
                )


def _check_categories(
    data: TableData,
    column: str,
    cells: pd.Series[str],
    file: str,
    problems: Problems,
) -> None:
    """Note categories that are one word in two spellings."""
    for same in spellings(cells.dropna().unique()):
        problems.warning(
            data.name,
            f"categories {listed(map(repr, same))} differ in letter case or spaces only; they are kept apart",
            file=file,
            column=column,
            hint="write them the same way",
        )


def _check_unknown(
    data: TableData,
    column: str,
    cells: pd.Series[str],
    file: str,
    problems: Problems,
) -> None:
    """Ask about words that mean "not known" by default, where the declared `missing` left them out."""
    words = [word for word in MISSING if cells.eq(word).any()]
    if not words:
        return
    note = problems.error if "" in words else problems.warning
    shown = [repr(word) if word else "an empty cell" for word in words]
    note(
        data.name,
        f"{', '.join(shown)}: a category like any other, for `missing` does not list it",
        patients=map(str, cells.index[cells.isin(words)]),
        file=file,
        column=column,
        hint=_missing_hint(data, words),
    )


def _missing_hint(data: TableData, words: Iterable[str]) -> str:
    """Give the whole list that would also have these words: a declared list replaces the default one."""
    section = "clinical" if data.kind == "clinical" else f"modalities.{data.name}"
    return f"if it means 'not known', add it to {section}.missing: {as_list((*data.missing, *words))}"


def _expected(data: TableData, column: str, cell: str) -> tuple[str, str]:
    """Say what a cell should have been, and what to do."""
    levels = data.columns[column].levels
    unknown = _missing_hint(data, [cell])
    if levels is None:
        instead = "" if reads_unknown(cell) else instead_of_number(cell)
        size = (
            f" of at most {LARGEST:g} in size"
            if np.isfinite(pd.to_numeric(cell, errors="coerce"))
            else ""
        )
        return f"expected a number{size}", instead or unknown
    expected = f"expected one of {list(levels)}"
    if reads_unknown(cell):
        return expected, unknown
    trivial = only_difference([cell], levels)
    if trivial:
        near = next(level for level in levels if f"as {level!r}:" in trivial)
        return (
            expected,
            f"write it as the level {near!r}: {trivial.rpartition(': ')[2]}",
        )
    declare = (
        f"if it is a level, list it in `levels` at its place, lowest first; {unknown}"
    )
    close = near_name(cell, levels)
    return expected, " or ".join(part for part in (close, declare) if part)
