"""Matrices of numbers with named rows and columns: text, Parquet, AnnData, a folder of JSON."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from survfuse._errors import InputError, listed
from survfuse._gate import boundary, refuse_claim, regular_file
from survfuse._storage import read_json
from survfuse.readers.array_checks import AnyArray
from survfuse.readers.delimited import layout_of, text_rows
from survfuse.readers.genes import is_description
from survfuse.readers.h5ad import read_h5ad
from survfuse.readers.table_files import format_of, parquet_texts, read_parquet

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
) -> NamedMatrix:
    """Read a matrix; columns that describe genes (``gene_name``, ``Length``) are left out and noted.

    Parameters
    ----------
    source : Path
    id_column : str or None
        The column that names the rows; null takes the first, or the index.
    missing : collection of str
        Cells that mean "not known"; an empty one always does.
    suffix : str or None
        Of a table, read only columns that end so, if any does; the others may be words.

    Raises
    ------
    InputError
        On a cell that is not a finite number, naming its row and column.
    """
    if not source.is_dir():
        regular_file(source)
    matrix = _reader(source)(source, id_column, frozenset(missing) | {""}, suffix)
    numbers = [float(cell) for cell in missing if _is_number(cell)]
    if numbers:
        matrix.values[np.isin(matrix.values, numbers)] = np.nan
    return matrix


_Reader = Callable[[Path, str | None, frozenset[str], str | None], NamedMatrix]


def _reader(source: Path) -> _Reader:
    if source.is_dir() or source.suffix.lower() == ".json":
        return _json
    if source.suffix.lower() == ".h5ad":
        return _h5ad
    return _parquet if format_of(source) == ".parquet" else _delimited


def _is_number(cell: str) -> bool:
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False


# -- text


def _delimited(
    source: Path,
    id_column: str | None,
    missing: frozenset[str],
    suffix: str | None,
) -> NamedMatrix:
    layout = layout_of(source)
    lines = text_rows(source, layout)
    _, header = next(lines)
    names = [name.strip() for name in header]
    _refuse_gct(source, names)
    place = _id_place(source, names, id_column)
    read, notes = _numeric_places(names, place, suffix)
    columns = [names[column] for column in read]
    ids: list[str] = []
    rows: list[AnyArray] = []
    for line, cells in lines:
        who = cells[place].strip()
        if not who:
            raise InputError(
                f"{source}: line {line}: the id in column {names[place]!r} is empty",
            )
        ids.append(who)
        rows.append(
            _numbers([cells[column] for column in read], who, columns, source, missing),
        )
    refuse_claim(source, len(rows) * len(columns) * np.dtype(np.float64).itemsize)
    values = np.stack(rows) if rows else np.zeros((0, len(columns)))
    return NamedMatrix(ids, columns, values, (*layout.notes(source), *notes))


def _refuse_gct(source: Path, names: Sequence[str]) -> None:
    if names[0] in ("#1.2", "#1.3") or (
        len(names) == 2 and all(name.isdigit() for name in names)
    ):
        raise InputError(
            f"{source}: begins as a GCT file; remove the lines before its header (#1.2 and the two sizes)",
        )


def _id_place(source: Path, names: Sequence[str], id_column: str | None) -> int:
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
    """Places of the columns of numbers, and what is said of those that describe genes or number rows."""
    others = [column for column in range(len(names)) if column != id_place]
    chosen = [column for column in others if suffix and names[column].endswith(suffix)]
    if chosen:
        return chosen, ()
    left_out = [column for column in others if is_description(names[column])]
    if not names[0] and id_place != 0:
        left_out.insert(0, 0)
    if not left_out:
        return others, ()
    named = listed(repr(names[column]) for column in left_out)
    read = [column for column in others if column not in left_out]
    return read, (f"columns that are neither genes nor patients left out: {named}",)


def _numbers(
    cells: Sequence[str],
    who: str,
    columns: Sequence[str],
    source: Path,
    missing: frozenset[str],
) -> npt.NDArray[np.float64]:
    """Turn one row into numbers: at once if every cell is one, else cell by cell."""
    try:
        row = np.array([float(cell) for cell in cells])
        if np.isfinite(row).all() and "_" not in "".join(cells):
            return row
    except ValueError:
        pass
    return np.array(
        [
            _number(cell, who, name, source, missing)
            for cell, name in zip(cells, columns, strict=True)
        ],
    )


def _number(
    cell: str,
    who: str,
    name: str,
    source: Path,
    missing: frozenset[str],
) -> float:
    if cell.strip() in missing:
        return math.nan
    if (
        _is_number(cell) and "_" not in cell
    ):  # Python reads 1_000 as a number; nobody else does
        return float(cell)
    advice = f"if it means 'not known', add it to `missing`; if {name!r} or {who!r} has no values, remove it"
    if _COMMA.fullmatch(cell.strip()):
        advice = "write numbers with a decimal point and without thousands separators"
    raise InputError(
        f"{source}: {who!r}, {name!r}: {cell[:40]!r} is not a finite number; {advice}",
    )


# -- Parquet


def _parquet(
    source: Path,
    id_column: str | None,
    missing: frozenset[str],
    suffix: str | None,
) -> NamedMatrix:
    table = read_parquet(source)
    names = [str(name).strip() for name in table.column_names]
    with boundary(source, "the notes of pandas on its columns"):
        index = _pandas_index(table, names)
    place = _id_place(source, names, id_column or index)
    ids = [cell.strip() for cell in _cells(source, names[place], table.column(place))]
    read, notes = _numeric_places(names, place, suffix)
    columns = [names[column] for column in read]
    values = np.empty((table.num_rows, len(read)))
    for column, original in enumerate(read):
        values[:, column] = _column(
            table.column(original),
            columns[column],
            ids,
            source,
            missing,
        )
    _refuse_infinite(values, ids, columns, source)
    return NamedMatrix(ids, columns, values, notes)


def _column(
    column: Any,
    name: str,
    ids: Sequence[str],
    source: Path,
    missing: frozenset[str],
) -> npt.NDArray[np.float64]:
    """One Parquet column as numbers; text only where it is numbers and words for "not known"."""
    import pyarrow as pa

    kind = column.type
    if (
        pa.types.is_floating(kind)
        or pa.types.is_integer(kind)
        or pa.types.is_null(kind)
    ):
        with boundary(f"{source}: column {name!r}", "numbers that fit a double"):
            return np.asarray(column.cast(pa.float64()).to_numpy())
    cells = _cells(source, name, column)
    if not any(_is_number(cell) for cell in cells):
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        raise InputError(
            f"{source}: column {name!r} has type {kind}, expected numbers; remove it",
        )
    pairs = zip(cells, ids, strict=True)
    return np.array([_number(cell, who, name, source, missing) for cell, who in pairs])


def _cells(source: Path, name: str, column: Any) -> list[str]:
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        return parquet_texts(source, name, column)
    return ["" if cell is None else str(cell) for cell in column.to_pylist()]


def _pandas_index(table: Any, names: Sequence[str]) -> str | None:
    """Name the column in which pandas keeps its row index, if it wrote one."""
    said = table.schema.pandas_metadata or {}
    index = [
        column
        for column in said.get("index_columns", [])
        if isinstance(column, str) and column in names
    ]
    return index[0] if len(index) == 1 else None


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
    _: str | None,
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
    rows: list[tuple[tuple[str, ...], AnyArray]] = []
    shared: tuple[str, ...] = ()
    for file in files:
        genes, row = _json_row(file, missing)
        genes = shared if genes == shared else genes
        shared = shared or genes
        if genes is not shared or not places:
            for gene in genes:
                places.setdefault(gene, len(places))
        rows.append((genes, row))
    refuse_claim(source, len(files) * len(places) * np.dtype(np.float64).itemsize)
    values = np.full((len(files), len(places)), np.nan)
    for place, (genes, row) in enumerate(rows):
        if genes is shared:
            values[place, : len(genes)] = row
        else:
            values[place, [places[gene] for gene in genes]] = row
    return NamedMatrix(
        [file.stem.removesuffix("_RNA") for file in files],
        list(places),
        values,
    )


def _json_row(
    file: Path,
    missing: frozenset[str],
) -> tuple[tuple[str, ...], npt.NDArray[np.float64]]:
    said = read_json(file)
    if not isinstance(said, dict) or not said:
        raise InputError(
            f"{file}: expected an object {{gene: value}}, got {type(said).__name__} of nothing usable",
        )
    values = list(said.values())
    if not {type(value) for value in values} <= {float, int, type(None)}:
        values = [
            _json_number(value, gene, file, missing) for gene, value in said.items()
        ]
    return tuple(said), np.array(
        [math.nan if v is None else v for v in values],
        dtype=np.float64,
    )


def _json_number(
    value: Any,
    gene: str,
    file: Path,
    missing: frozenset[str],
) -> float | int | None:
    if value is None or (isinstance(value, str) and value.strip() in missing):
        return None
    if isinstance(value, (float, int)) and not isinstance(value, bool):
        return value
    raise InputError(
        f"{file}: {gene!r}: {str(value)[:40]!r} is not a number; use null if it is missing",
    )


# -- AnnData


def _h5ad(
    source: Path,
    id_column: str | None,
    missing: frozenset[str],
    _: str | None,
) -> NamedMatrix:
    rows, columns, values = read_h5ad(source, id_column)
    rows = [name.strip() for name in rows]
    _refuse_infinite(values, rows, columns, source)
    return NamedMatrix(rows, columns, values)
