"""Clinical and further tables: every cell is what its column was declared to be, or is reported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
import pandas as pd

from survfuse._errors import listed
from survfuse.cohort.limits import LARGEST
from survfuse.cohort.modalities import TableData
from survfuse.cohort.problems import Problems
from survfuse.cohort.sources import Sources, near_name
from survfuse.cohort.spec import CohortSpec, ColumnSpec, TableSpec

NUMERIC = ColumnSpec(kind="numeric")


def read_modality_table(name: str, spec: TableSpec, cohort: CohortSpec, sources: Sources) -> TableData | None:
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
    id_column = spec.patient or (cohort.outcome.patient if cohort.outcome else "patient_id")
    cells = sources.by_patient(spec.table, id_column, name)
    if cells is None:
        return None
    columns = _declared(name, spec, cohort, cells, sources)
    if not columns:
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
    name: str, spec: TableSpec, cohort: CohortSpec, cells: pd.DataFrame, sources: Sources
) -> dict[str, ColumnSpec]:
    """Columns to read: those declared and there, or all as numbers; outcome columns are problems."""
    outcome = cohort.outcome
    answers = {outcome.time, outcome.status} if outcome is not None else set()
    same_file = outcome is not None and sources.path(spec.table) == sources.path(outcome.table)
    if spec.columns is None:
        if same_file:
            sources.problems.error(
                name,
                "this table also holds the outcome, so its inputs must be declared",
                file=spec.table,
                hint="list `columns:` of this modality",
            )
            return {}
        columns: Mapping[str, ColumnSpec] = {str(column): NUMERIC for column in cells}
    else:
        columns = spec.columns
    leaking = [c for c in columns if c in answers and (same_file or spec.columns is None)]
    for column in leaking:
        sources.problems.error(
            name,
            "this column is the outcome; it cannot be an input",
            file=spec.table,
            column=column,
            hint="remove it from the columns",
        )
    there = [c for c in columns if sources.column(cells, c, spec.table, name) is not None]
    return {column: columns[column] for column in there if column not in leaking}


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
        if spec.use and spec.known == "followup":
            problems.warning(
                data.name,
                "known only during follow-up: train and crossval refuse it as an input",
                file=file,
                column=column,
                hint="say `use: false`, or name it in model.allow_followup, which leaks",
            )
        if spec.use and cells.isna().all():
            problems.warning(data.name, "no patient has a value", file=file, column=column)
        if spec.kind == "nominal":
            _check_categories(data, column, cells, file, problems)
            continue
        values = data.numbers(column)
        wrong = cells.notna().to_numpy(bool) & ~(np.abs(values) <= LARGEST)
        for cell in sorted(set(cells[wrong])):
            patients = [str(i) for i in cells.index[wrong & (cells == cell).to_numpy(bool)]]
            expected, hint = _expected(spec, str(cell), data.name)
            problems.error(
                data.name, f"{expected}, got {cell!r}", patients=patients, file=file, column=column, hint=hint
            )


def _check_categories(
    data: TableData, column: str, cells: pd.Series[str], file: str, problems: Problems
) -> None:
    """Note categories that are one word in two spellings."""
    spellings: dict[str, set[str]] = {}
    for cell in cells.dropna().unique():
        spellings.setdefault(" ".join(cell.casefold().split()), set()).add(cell)
    for same in spellings.values():
        if len(same) > 1:
            problems.warning(
                data.name,
                f"categories {listed(map(repr, sorted(same)))} differ in letter case or spaces only; "
                "they are kept apart",
                file=file,
                column=column,
                hint="write them the same way",
            )


def _expected(spec: ColumnSpec, cell: str, section: str) -> tuple[str, str]:
    """Say what a cell should have been, and what to do."""
    token = f"if it means 'not known', add it to {section}.missing"
    if spec.levels is None:
        size = f" of at most {LARGEST:g} in size" if np.isfinite(pd.to_numeric(cell, errors="coerce")) else ""
        return f"expected a number{size}", token
    near = {level.strip().casefold(): level for level in spec.levels}.get(cell.strip().casefold())
    if near is not None:
        return (
            f"expected one of {list(spec.levels)}",
            f"write it as the level {near!r}: letter case and spaces count",
        )
    close = near_name(cell, spec.levels)
    return f"expected one of {list(spec.levels)}", " or ".join(part for part in (close, token) if part)
