"""Tables as their author wrote them: every cell a string, no value guessed or repaired."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd

from survfuse._errors import InputError, listed
from survfuse._gate import boundary, refuse_claim, regular_file
from survfuse.readers.cell_text import composed, only_difference, refuse_strange
from survfuse.readers.delimited import DELIMITERS, MARKS, MOST_COLUMNS, MOST_LINES
from survfuse.readers.table_rows import PARQUET, check_choices, format_of, rows_of

ROW_NAMES = "row.names"
"""Name of a first column that has none: R and pandas write row names so."""

_ALWAYS = (
    2**28
)  # bytes of a Parquet file's values that need no proof; columns of one value pack well

FLAGS = {
    "0": 0.0,
    "0.0": 0.0,
    "1": 1.0,
    "1.0": 1.0,
    "false": 0.0,
    "true": 1.0,
}
"""Words of a cell that says yes or no, in lower case."""


def read_table(
    path: Path | str,
    *,
    id_column: str | None = None,
    sheet: str | None = None,
    encoding: str | None = None,
) -> pd.DataFrame:
    r"""Read a table of raw strings.

    Values stay as written: leading zeros survive, missing cells are ``""``; only letters are
    composed and invisible characters taken out. Column names lose surrounding blanks, and so do the
    ids in `id_column`. ``.csv`` is split at commas, ``.tsv`` and ``.txt`` at tabs, each also as
    ``.gz`` or ``.zip``, or at the one other mark at which rows split evenly (semicolons, then with
    decimal commas); ``.parquet`` and the cells of a workbook are turned into strings, as a person
    would type them. Comments (``#``) before the header, rows without any filled cell and unnamed
    empty columns are skipped. A first column without a name is called ``row.names``.
    ``frame.attrs["notes"]`` says what was not as the suffix promises.

    Parameters
    ----------
    path : path
        Text (a byte order mark is dropped), Parquet, or a workbook (``.xlsx``, ``.xlsm``,
        ``.xls``, ``.ods``).
    id_column : str or None
        Must exist and be filled in every row. Repeated ids are left to the caller
        (see :func:`repeated`).
    sheet : str or None
        Sheet of a workbook; None takes the only one that has cells.
    encoding : str or None
        Encoding of a text that is neither UTF-8 nor UTF-16, such as cp1252.

    Returns
    -------
    DataFrame
        Object columns of str, a plain row index.

    Raises
    ------
    InputError
        When the file is absent, not in the encoding, ragged (naming the line), repeats a column or
        its header, or lacks `id_column` (naming the columns it has).

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> path = Path(mkdtemp()) / "patients.csv"
    >>> _ = path.write_text("patient_id,age\n001,\n002,71\n")
    >>> read_table(path, id_column="patient_id").to_dict("list")
    {'patient_id': ['001', '002'], 'age': ['', '71']}
    """
    source = Path(path)
    notes: tuple[str, ...] = ()
    if check_choices(source, sheet, encoding) == PARQUET:
        names, columns, lines = _parquet(source)
    else:
        names, columns, lines, notes = _rows(source, sheet, encoding)
    refuse_repeated(source, names)
    refuse_strange(source, names, "name of column", lines=True)
    if id_column is not None:
        columns = _with_ids(source, names, columns, lines, id_column)
    frame = pd.DataFrame(
        {
            name: pd.Series(column, dtype=object)
            for name, column in zip(names, columns, strict=True)
        },
        columns=names,
    )
    frame.attrs["source"] = str(source)
    frame.attrs["notes"] = notes
    return frame


def repeated(
    frame: pd.DataFrame,
    column: str,
) -> tuple[str, ...]:
    """Name the values that stand in more than one row of a column, sorted."""
    if column not in frame:
        raise InputError(
            f"no column {column!r}; the table has {listed(map(repr, frame.columns), 20)}",
        )
    counts = Counter(frame[column])
    return tuple(sorted(value for value, n in counts.items() if n > 1))


def refuse_repeated(path: Path, names: list[str]) -> None:
    """Refuse a header in which a name stands twice."""
    twice = sorted(name for name, n in Counter(names).items() if n > 1)
    if twice:
        raise InputError(
            f"{path}: column names appear twice: {listed(map(repr, twice))}; rename or remove one",
        )


def _rows(
    path: Path,
    sheet: str | None,
    encoding: str | None,
) -> tuple[list[str], list[list[str]], list[int], tuple[str, ...]]:
    table = rows_of(path, sheet=sheet, encoding=encoding)
    _, header = next(table.rows)
    names = [name.strip() for name in header]
    names[0] = names[0] or ROW_NAMES
    body, lines = [], []
    for line, cells in table.rows:
        body.append(cells)
        lines.append(line)
    columns = (
        [list(column) for column in zip(*body, strict=True)]
        if body
        else [[] for _ in names]
    )
    return names, columns, lines, table.notes


def _parquet(path: Path) -> tuple[list[str], list[list[str]], list[int]]:
    table = read_parquet(path)
    names = [composed(str(name)).strip() for name in table.column_names]
    with boundary(path, "columns of plain values"):
        columns = [
            parquet_texts(path, name, column)
            for name, column in zip(names, table.columns, strict=True)
        ]
    return names, columns, list(range(1, table.num_rows + 1))


def parquet_texts(
    path: Path,
    name: str,
    column: Any,
) -> list[str]:
    """Cells of a Parquet column as text; words that stand several times are one object."""
    import pyarrow as pa

    if pa.types.is_duration(
        column.type,
    ):  # a bare count of nanoseconds would pass for a time
        return [
            "" if value is None else str(pd.Timedelta(value))
            for value in column.to_pylist()
        ]
    if not pa.types.is_dictionary(column.type):
        return _texts(path, name, column)
    cells: list[str] = []
    for chunk in column.chunks:
        texts = ["", *_texts(path, name, chunk.dictionary)]
        places = (chunk.indices.cast(pa.int64()).fill_null(-1).to_numpy() + 1).tolist()
        cells += map(texts.__getitem__, places)
    written_out = sum(map(len, cells))
    if written_out > _ALWAYS:
        refuse_claim(f"{path}: column {name!r}", written_out, regular_file(path))
    return cells


def _texts(
    path: Path,
    name: str,
    values: Any,
) -> list[str]:
    import pyarrow as pa

    try:
        texts = values.cast(pa.string()).to_pylist()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise InputError(
            f"{path}: column {name!r} has type {values.type}, expected plain values",
        ) from None
    floating = pa.types.is_floating(values.type)
    return [
        "" if v is None or (floating and v == "nan") else composed(v) for v in texts
    ]


def read_parquet(path: Path) -> Any:
    """Read a Parquet file as an Arrow table, or say why not; texts come as dictionaries.

    A dictionary of few long words can stand for any number of cells: it is never written out.
    """
    import pyarrow.parquet as pq

    size = regular_file(path)
    with boundary(path, "a whole Parquet file"):
        with pq.ParquetFile(path) as file:
            about, schema = file.metadata, file.schema_arrow
        _refuse_claims(path, about, schema, size)
        long = {kind for kind in set(schema.types) if _has_any_length(kind)}
        texts = [field.name for field in schema if field.type in long]
        with pq.ParquetFile(
            path,
            metadata=about,
            read_dictionary=texts,
            pre_buffer=True,
        ) as file:
            table = file.read()
            table.validate(full=True)  # places in dictionaries among others
            return table


def _refuse_claims(
    path: Path,
    about: Any,
    schema: Any,
    size: int,
) -> None:
    """Refuse sizes in a footer that no table has, or that cannot lie in the file."""
    if about.num_rows > MOST_LINES or len(schema) > MOST_COLUMNS:
        raise InputError(
            f"{path}: claims {about.num_rows} rows of {len(schema)} columns; of a table at most "
            f"{MOST_LINES} rows of {MOST_COLUMNS} columns are read",
        )
    widths = {kind: _width(kind) for kind in set(schema.types)}
    for field in schema:
        if widths[field.type] is None:
            raise InputError(
                f"{path}: column {field.name!r} has type {field.type}, expected plain values; "
                "remove it",
            )
    width = sum(widths[kind] or 0 for kind in schema.types)  # of one row
    groups = [
        about.row_group(place).total_byte_size for place in range(about.num_row_groups)
    ]
    claimed = max(about.num_rows * width, *groups, 0)
    refuse_claim(path, claimed, size if claimed > _ALWAYS else None)


def _width(kind: Any) -> int | None:
    """Bytes of a value (of a text: its place in a dictionary); None where values are nested."""
    import pyarrow as pa

    if pa.types.is_nested(kind):
        return None
    if _has_any_length(kind) or pa.types.is_null(kind):
        return 8
    return int(kind.bit_width) // 8 + 1


def _has_any_length(kind: Any) -> bool:
    import pyarrow as pa

    checks = (
        pa.types.is_string,
        pa.types.is_large_string,
        pa.types.is_binary,
        pa.types.is_large_binary,
    )
    return pa.types.is_dictionary(kind) or any(check(kind) for check in checks)


def _unsplit(name: str, names: list[str]) -> str:
    """Say what separates the cells, where a wanted name stands in one header cell with others."""
    for mark, plural in MARKS.items():
        if any(name in given.split(mark) for given in names):
            return f"{plural} seem to separate its cells"
    return ""


def _with_ids(
    path: Path,
    names: list[str],
    columns: list[list[str]],
    lines: list[int],
    id_column: str,
) -> list[list[str]]:
    if id_column not in names:
        trivial = only_difference([id_column], names) or _unsplit(id_column, names)
        hint = f"; {trivial}" if trivial else ""
        if not hint and ROW_NAMES in names:
            hint = (
                "; if the ids are the row names, whose column has no name, say `patient: "
                f"{ROW_NAMES}`"
            )
        raise InputError(
            f"{path}: no column {id_column!r}; it has {listed(map(repr, names), 20)}{hint}",
        )
    place = names.index(id_column)
    ids = [value.strip() for value in columns[place]]
    blank = [str(line) for value, line in zip(ids, lines, strict=True) if not value]
    if blank:
        unit = "line" if format_of(path) in DELIMITERS else "row"
        raise InputError(
            f"{path}: {unit} {listed(blank)}: {id_column!r} is empty, expected an id",
        )
    refuse_strange(path, ids, f"{id_column!r} in data row")
    return [*columns[:place], ids, *columns[place + 1 :]]
