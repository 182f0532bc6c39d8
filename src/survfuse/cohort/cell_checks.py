"""Cells of tables that are not what their column was declared to be."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from survfuse._errors import listed
from survfuse.cohort.column_names import near_name
from survfuse.cohort.modalities import TableData
from survfuse.cohort.outliers import LARGEST
from survfuse.cohort.problems import Place, Problems
from survfuse.cohort.spec import ColumnSpec
from survfuse.cohort.status_column import as_list
from survfuse.readers.cell_text import (
    instead_of_number,
    named_spellings,
    only_difference,
    reads_unknown,
    spellings,
)
from survfuse.readers.matrices import MISSING

UNKNOWN, LARGE, SPELLING, OTHER = "unknown", "large", "spelling", "other"
"""Kinds of wrong cells, besides those that :func:`instead_of_number` tells apart."""


def check_cells(
    data: TableData,
    file: str,
    problems: Problems,
) -> None:
    """Report every cell that is not what its column was declared to be.

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
        place = problems.at(data.name, file, column)
        cells = data.texts(column)
        if spec.use and len(cells) and cells.isna().all():
            place.warning("no patient has a value")
        if spec.kind == "nominal":
            _check_categories(data, cells, place)
            continue
        wrong = cells[cells.notna() & ~(np.abs(data.numbers(column)) <= LARGEST)]
        if wrong.empty:
            continue
        kinds = pd.Series([_kind(spec, str(cell)) for cell in wrong], wrong.index)
        for kind, same in wrong.groupby(kinds, sort=False):
            texts = sorted(map(str, same.unique()))
            expected, hint = _expected(data, column, str(kind), texts)
            place.error(
                f"{expected}, got {listed(map(repr, texts))}",
                patients=same.index,
                hint=hint,
            )


def _check_categories(
    data: TableData,
    cells: pd.Series[str],
    place: Place,
) -> None:
    """Report categories in two spellings, and those that mean "not known" by default."""
    same = spellings(cells.dropna().unique())
    if same:
        place.warning(
            f"categories {named_spellings(same)} differ in letter case or spaces only; they "
            "are kept apart",
            hint="write them the same way",
        )
    unknown = cells[cells.isin(MISSING)]
    if unknown.empty:
        return
    tokens = [token for token in MISSING if (unknown == token).any()]
    names = [repr(token) if token else "an empty cell" for token in tokens]
    place.report(
        "error" if "" in tokens else "warning",
        f"{', '.join(names)}: a category like any other, for `missing` does not list it",
        patients=unknown.index,
        hint=_missing_hint(data, tokens),
    )


def _missing_hint(
    data: TableData,
    tokens: Iterable[str],
) -> str:
    """The whole list with these cells: a declared list replaces the default."""
    section = "clinical" if data.kind == "clinical" else f"modalities.{data.name}"
    missing = as_list((*data.missing, *tokens))
    return f"if it means 'not known', add it to {section}.missing: {missing}"


def _kind(spec: ColumnSpec, cell: str) -> str:
    """What is wrong with a cell: cells of one kind are one problem."""
    if reads_unknown(cell):
        return UNKNOWN
    if spec.levels is not None:
        return SPELLING if _level_of(cell, spec.levels) else OTHER
    if np.isfinite(pd.to_numeric(cell, errors="coerce")):
        return LARGE
    return instead_of_number(cell) or OTHER


def _level_of(cell: str, levels: Sequence[str]) -> str:
    """Say as which level a cell is to be written, and why; empty where it is like none."""
    difference = only_difference([cell], levels)
    for level in levels:
        if f"as {level!r}:" in difference:
            reason = difference.rpartition(": ")[2]
            return f"as the level {level!r}: {reason}"
    return ""


def _expected(
    data: TableData,
    column: str,
    kind: str,
    cells: list[str],
) -> tuple[str, str]:
    """Say what cells of one kind should have been, and what to do."""
    levels = data.columns[column].levels
    unknown = _missing_hint(data, cells)
    if levels is None:
        size = f" of at most {LARGEST:g} in size" if kind == LARGE else ""
        plain = kind in (UNKNOWN, LARGE, OTHER)
        return f"expected a number{size}", unknown if plain else kind
    expected = f"expected one of {list(levels)}"
    if kind == UNKNOWN:
        return expected, unknown
    if kind == SPELLING:
        ways = [f"{cell!r} {_level_of(cell, levels)}" for cell in cells]
        if len(cells) == 1:
            ways = [f"it {_level_of(cells[0], levels)}"]
        return expected, f"write {listed(ways)}"
    hint = (
        f"if it is a level, list it in `levels` at its place, lowest first; {unknown}"
    )
    near = near_name(cells[0], levels) if len(cells) == 1 else ""
    return expected, f"{near} or {hint}" if near else hint
