"""Matrices of numbers with named rows and columns: text, Parquet, AnnData, a folder of JSON."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from survfuse._errors import InputError, listed
from survfuse._gate import boundary, refuse_claim, regular_file
from survfuse._storage import read_json
from survfuse._types import AnyArray, FloatArray
from survfuse.readers.genes import is_description
from survfuse.readers.h5ad import read_h5ad
from survfuse.readers.quick_numbers import quick_numbers
from survfuse.readers.table_files import parquet_texts, read_parquet
from survfuse.readers.table_rows import PARQUET, TableRows, check_choices, rows_of

MISSING = ("", "NA", "N/A", "#N/A", "nan", "NaN", "null", "NULL")
"""Cells that mean "not known", where nothing else is declared."""

_COMMA = re.compile(r"[+-]?\d+,\d+")


@dataclass(frozen=True, eq=False)
class NamedMatrix:
    """Numbers as they lie in a file.

    Attributes
    ----------
    rows, columns : list of str
    values : ndarray, (rows, columns), float64
        NaN where missing.
    notes : tuple of str
        What was left out, and what was taken for what.
    """

    rows: list[str]
    columns: list[str]
    values: AnyArray
    notes: tuple[str, ...] = ()


def read_matrix(
    source: Path,
    id_column: str | None,
    missing: Collection[str],
    suffix: str | None = None,
    *,
    unnamed: bool = False,
    sheet: str | None = None,
    encoding: str | None = None,
    layer: str | None = None,
) -> NamedMatrix:
    """Read a matrix; columns that describe genes (``gene_name``) are left out and noted.

    Parameters
    ----------
    source : Path
    id_column : str or None
        The column that names the rows; null takes the first, or the index.
    missing : collection of str
        Cells that mean "not known"; an empty one always does.
    suffix : str or None
        Of a table, read only columns that end so, if any does; the others may be words.
    unnamed : bool
        Let rows of a table have no name.
    sheet : str or None
        Of a workbook; None takes the only one that has cells.
    encoding : str or None
        Of a text; None reads UTF-8 and UTF-16.
    layer : str or None
        Of an ``.h5ad``; None reads X.

    Raises
    ------
    InputError
        On a cell that is not a finite number, naming its row and column.
    """
    unknown = frozenset(missing) | {""}
    kind = "folder" if source.is_dir() else source.suffix.lower()
    if layer is not None and kind != ".h5ad":
        refuse_choices(source, layer=layer)
    if kind in ("folder", ".json", ".h5ad"):
        refuse_choices(source, sheet=sheet, encoding=encoding)
    if kind in ("folder", ".json"):
        matrix = _json(source, id_column, unknown)
    elif kind == ".h5ad":
        regular_file(source)
        matrix = _h5ad(source, id_column, layer)
    else:
        regular_file(source)
        if check_choices(source, sheet, encoding) == PARQUET:
            matrix = _parquet(source, id_column, unknown, suffix)
        else:
            table = rows_of(source, sheet=sheet, encoding=encoding)
            choices = TextChoices(id_column, unknown, suffix, unnamed, encoding)
            matrix = text_matrix(source, table, choices)
    numbers = [float(cell) for cell in missing if _is_number(cell)]
    if numbers:
        matrix.values[np.isin(matrix.values, numbers)] = np.nan
    return matrix


def _is_number(cell: str) -> bool:
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False


def refuse_choices(source: Path, **choices: str | None) -> None:
    """Refuse choices that a source does not have, by their names in a cohort file."""
    for name, value in choices.items():
        if value is not None:
            raise InputError(
                f"{source}: is read without `{name}` ({value!r} is declared); remove it",
            )


# -- text


@dataclass(frozen=True)
class TextChoices:
    """How a text is read; see :func:`read_matrix`."""

    id_column: str | None
    missing: frozenset[str]
    suffix: str | None = None
    unnamed: bool = False
    encoding: str | None = None


def text_matrix(
    source: Path,
    table: TableRows,
    choices: TextChoices,
) -> NamedMatrix:
    """Turn the rows of a text or a workbook into a matrix.

    Raises
    ------
    InputError
        As :func:`read_matrix`.
    """
    lines = table.rows
    _, header = next(lines)
    names = [name.strip() for name in header]
    sizes = len(names) == 2 and names[0].isdigit() and names[1].isdigit()
    if names[0] in ("#1.2", "#1.3") or sizes:
        raise InputError(
            f"{source}: begins as a GCT file; remove the lines before its header (#1.2 and the "
            "two sizes)",
        )
    place = _id_place(source, names, choices.id_column)
    used, notes = _numeric_places(names, place, choices.suffix)
    columns = [names[column] for column in used]
    notes = (*table.notes, *notes)
    quick = table.layout and quick_numbers(
        source,
        table.layout,
        header,
        place,
        used,
        missing=choices.missing,
        encoding=choices.encoding,
    )
    if quick:
        return NamedMatrix(quick[0], columns, quick[1], notes)
    ids: list[str] = []
    rows: list[AnyArray] = []
    for line, cells in lines:
        row_id = cells[place].strip()
        if not (row_id or choices.unnamed):
            raise InputError(
                f"{source}: line {line}: the id in column {names[place]!r} is empty",
            )
        ids.append(row_id)
        numbers = [cells[column] for column in used]
        rows.append(_numbers(numbers, row_id, columns, source, choices.missing))
    refuse_claim(source, len(rows) * len(columns) * np.dtype(np.float64).itemsize)
    values = np.stack(rows) if rows else np.zeros((0, len(columns)))
    return NamedMatrix(ids, columns, values, notes)


def _id_place(
    source: Path,
    names: Sequence[str],
    id_column: str | None,
) -> int:
    if id_column is None:
        return 0
    if id_column not in names:
        raise InputError(
            f"{source}: no column {id_column!r}; it has {listed(map(repr, names), 10)}",
        )
    return names.index(id_column)


def _numeric_places(
    names: Sequence[str],
    id_place: int,
    suffix: str | None,
) -> tuple[list[int], tuple[str, ...]]:
    """Places of the columns of numbers, and a note on the columns that are left out."""
    columns = pd.Series(names).drop(id_place)
    chosen = columns[columns.str.endswith(suffix)] if suffix else columns[:0]
    if len(chosen):
        return chosen.index.tolist(), ()
    left_out = columns.map(is_description).astype(bool)
    if not names[0] and id_place != 0:
        left_out[0] = True
    if not left_out.any():
        return columns.index.tolist(), ()
    named = listed(map(repr, columns[left_out]))
    note = f"columns that are neither genes nor patients left out: {named}"
    return columns.index[~left_out].tolist(), (note,)


def _numbers(
    cells: Sequence[str],
    row_id: str,
    columns: Sequence[str],
    source: Path,
    missing: frozenset[str],
) -> FloatArray:
    """Turn one row into numbers: at once if every cell is one, else cell by cell."""
    try:
        row = np.array([float(cell) for cell in cells])
        if np.isfinite(row).all() and "_" not in "".join(cells):
            return row
    except ValueError:
        pass
    pairs = zip(cells, columns, strict=True)
    return np.array(
        [_number(cell, row_id, name, source, missing) for cell, name in pairs],
    )


def _number(
    cell: str,
    row_id: str,
    name: str,
    source: Path,
    missing: frozenset[str],
) -> float:
    if cell.strip() in missing:
        return math.nan
    # Python reads 1_000 as a number; nobody else does
    if _is_number(cell) and "_" not in cell:
        return float(cell)
    advice = (
        f"if it means 'not known', add it to `missing`; if {name!r} or {row_id!r} has no values, "
        "remove it"
    )
    if _COMMA.fullmatch(cell.strip()):
        advice = "write numbers with a decimal point and without thousands separators"
    raise InputError(
        f"{source}: {row_id!r}, {name!r}: {cell[:40]!r} is not a finite number; {advice}",
    )


# -- Parquet


def _parquet(
    source: Path,
    id_column: str | None,
    missing: frozenset[str],
    suffix: str | None,
) -> NamedMatrix:
    import pyarrow as pa

    table = read_parquet(source)
    names = [str(name).strip() for name in table.column_names]
    if id_column is None:
        with boundary(source, "the notes of pandas on its columns"):
            id_column = _pandas_index(table, names)
    place = _id_place(source, names, id_column)
    ids = [cell.strip() for cell in _cells(source, names[place], table.column(place))]
    used, notes = _numeric_places(names, place, suffix)
    values = np.empty((table.num_rows, len(used)))
    for column, original in enumerate(used):
        name, stored = names[original], table.column(original)
        is_type = pa.types.is_floating, pa.types.is_integer, pa.types.is_null
        if any(check(stored.type) for check in is_type):
            with boundary(f"{source}: column {name!r}", "numbers that fit a double"):
                values[:, column] = stored.cast(pa.float64()).to_numpy()
        else:
            values[:, column] = _text_numbers(stored, name, ids, source, missing)
    columns = [names[column] for column in used]
    _refuse_infinite(values, ids, columns, source)
    return NamedMatrix(ids, columns, values, notes)


def _pandas_index(
    table: Any,
    names: Sequence[str],
) -> str | None:
    """Name the column in which pandas writes its row index, if it wrote one."""
    index = (table.schema.pandas_metadata or {}).get("index_columns", [])
    written = [name for name in names if name in index]
    return written[0] if len(written) == 1 else None


def _text_numbers(
    column: Any,
    name: str,
    ids: Sequence[str],
    source: Path,
    missing: frozenset[str],
) -> FloatArray:
    """Numbers of a column of texts, some of which are numbers and all others mean "not known"."""
    cells = _cells(source, name, column)
    if not any(map(_is_number, cells)):
        kind = getattr(column.type, "value_type", column.type)
        raise InputError(
            f"{source}: column {name!r} has type {kind}, expected numbers; remove it",
        )
    pairs = zip(cells, ids, strict=True)
    return np.array(
        [_number(cell, row_id, name, source, missing) for cell, row_id in pairs],
    )


def _cells(
    source: Path,
    name: str,
    column: Any,
) -> list[str]:
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        return parquet_texts(source, name, column)
    return ["" if cell is None else str(cell) for cell in column.to_pylist()]


def _refuse_infinite(
    values: AnyArray,
    ids: Sequence[str],
    columns: Sequence[str],
    source: Path,
) -> None:
    infinite = np.argwhere(np.isinf(values))
    if len(infinite):
        row, column = infinite[0]
        raise InputError(
            f"{source}: {ids[row]!r}, {columns[column]!r}: infinite ({len(infinite)} such values); "
            "leave the cell empty if it is missing",
        )


# -- JSON


def _json(
    source: Path,
    id_column: str | None,
    missing: frozenset[str],
) -> NamedMatrix:
    if id_column is not None:
        raise InputError(
            f"{source}: JSON files are named after their patients; leave `patient_column` out",
        )
    files = sorted(source.glob("*.json")) if source.is_dir() else [source]
    if not files:
        raise InputError(
            f"{source}: no .json file in this folder, expected one per patient",
        )
    places: dict[str, int] = {}
    rows: list[tuple[AnyArray, AnyArray]] = []
    genes: list[str] = []
    for file in files:
        content = read_json(file)
        if not isinstance(content, dict) or not content:
            raise InputError(
                f"{file}: expected an object {{gene: value}}, got {type(content).__name__} of "
                f"nothing usable",
            )
        if list(content) != genes:  # most files have the genes of the one before
            genes = list(content)
            columns = np.array([places.setdefault(gene, len(places)) for gene in genes])
        rows.append((columns, _json_numbers(content, file, missing)))
    refuse_claim(source, len(files) * len(places) * np.dtype(np.float64).itemsize)
    values = np.full((len(files), len(places)), np.nan)
    for place, (columns, numbers) in enumerate(rows):
        values[place, columns] = numbers
    patients = [file.stem.removesuffix("_RNA") for file in files]
    return NamedMatrix(patients, list(places), values)


def _json_numbers(
    content: dict[str, Any],
    file: Path,
    missing: frozenset[str],
) -> FloatArray:
    if not {type(value) for value in content.values()} <= {float, int, type(None)}:
        for gene, value in content.items():
            if isinstance(value, str) and value.strip() in missing:
                content[gene] = None
            elif value is not None and type(value) not in (float, int):
                raise InputError(
                    f"{file}: {gene!r}: {str(value)[:40]!r} is not a number; use null if it is "
                    "missing",
                )
    return np.array(list(content.values()), dtype=np.float64)  # null is NaN


# -- AnnData


def _h5ad(
    source: Path,
    id_column: str | None,
    layer: str | None,
) -> NamedMatrix:
    rows, columns, values = read_h5ad(source, id_column, layer)
    rows = [name.strip() for name in rows]
    _refuse_infinite(values, rows, columns, source)
    return NamedMatrix(rows, columns, values)
