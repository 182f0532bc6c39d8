"""Tables as their author wrote them: every cell a string, no value guessed or repaired."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd

from survfuse._errors import InputError, listed
from survfuse.readers.delimited import DELIMITERS, MARKS, format_of_text, layout_of, text_rows
from survfuse.readers.words import composed, only_difference

ROW_NAMES = "row.names"
"""Name of a first column that has none: R and pandas write row names so."""

FLAGS = {
    "0": 0.0,
    "0.0": 0.0,
    "1": 1.0,
    "1.0": 1.0,
    "false": 0.0,
    "true": 1.0,
}
"""Words of a cell that says yes or no, in lower case."""


def read_table(path: Path | str, *, id_column: str | None = None) -> pd.DataFrame:
    r"""Read a table of raw strings.

    Values stay as written: leading zeros survive, missing cells are ``""``; only letters are
    composed and invisible characters taken out. Column names lose surrounding blanks, and so do the
    ids in `id_column`. ``.csv`` is split at commas, ``.tsv`` and ``.txt`` at tabs, each also as
    ``.gz``, or at the one other mark at which rows split evenly (semicolons, then with decimal
    commas); ``.parquet`` is turned into strings. Comments (``#``) before the header, rows without
    any filled cell and unnamed empty columns are skipped. A first column without a name is called
    ``row.names``. ``frame.attrs["notes"]`` says what was not as the suffix promises.

    Parameters
    ----------
    path : path
        UTF-8 or UTF-16 text (a byte order mark is dropped) or Parquet.
    id_column : str or None
        Must exist and be filled in every row. Repeated ids are left to the caller
        (see :func:`repeated`).

    Returns
    -------
    DataFrame
        Object columns of str, a plain row index.

    Raises
    ------
    InputError
        When the file is absent, not UTF-8, ragged (naming the line), repeats a column or its header, or lacks
        `id_column` (naming the columns it has).

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
    if format_of(source) == ".parquet":
        names, columns, lines = _parquet(source)
    else:
        names, columns, lines, notes = _delimited(source)
    refuse_repeated(source, names)
    if id_column is not None:
        columns = _with_ids(source, names, columns, lines, id_column)
    frame = pd.DataFrame(
        {name: pd.Series(column, dtype=object) for name, column in zip(names, columns, strict=True)},
        columns=names,
    )
    frame.attrs["source"] = str(source)
    frame.attrs["notes"] = notes
    return frame


def repeated(frame: pd.DataFrame, column: str) -> tuple[str, ...]:
    """Name the values that stand in more than one row of a column, sorted."""
    if column not in frame:
        raise InputError(f"no column {column!r}; the table has {listed(map(repr, frame.columns), 20)}")
    counts = Counter(frame[column])
    return tuple(sorted(value for value, n in counts.items() if n > 1))


def format_of(path: Path) -> str:
    """Return the suffix that says the format, without ``.gz``."""
    suffix = format_of_text(path)
    if suffix in {".xlsx", ".xls", ".xlsm", ".ods"}:
        raise InputError(
            f"{path}: is a workbook ({suffix}); save its sheet as CSV (UTF-8), and name that file here"
        )
    if suffix not in (*DELIMITERS, ".parquet"):
        known = ", ".join((*DELIMITERS, ".parquet"))
        raise InputError(f"{path}: expected a table ({known}, text also .gz), got {suffix or 'no suffix'!r}")
    return suffix


def refuse_repeated(path: Path, names: list[str]) -> None:
    """Refuse a header in which a name stands twice."""
    twice = sorted(name for name, n in Counter(names).items() if n > 1)
    if twice:
        raise InputError(
            f"{path}: column names appear twice: {listed(map(repr, twice))}; rename or remove one"
        )


def _delimited(path: Path) -> tuple[list[str], list[list[str]], list[int], tuple[str, ...]]:
    layout = layout_of(path)
    rows = text_rows(path, layout)
    _, header = next(rows)
    names = [name.strip() for name in header]
    names[0] = names[0] or ROW_NAMES
    body, lines = [], []
    for line, cells in rows:
        body.append(cells)
        lines.append(line)
    columns = [list(column) for column in zip(*body, strict=True)] if body else [[] for _ in names]
    return names, columns, lines, layout.notes(path)


def _parquet(path: Path) -> tuple[list[str], list[list[str]], list[int]]:
    table = read_parquet(path)
    names = [composed(str(name)).strip() for name in table.column_names]
    columns = [_texts(path, name, column) for name, column in zip(names, table.columns, strict=True)]
    return names, columns, list(range(1, table.num_rows + 1))


def _texts(path: Path, name: str, column: Any) -> list[str]:
    """Cells of a Parquet column as text."""
    import pyarrow as pa

    if pa.types.is_duration(column.type):  # a bare count of nanoseconds would pass for a time
        return ["" if value is None else str(pd.Timedelta(value)) for value in column.to_pylist()]
    try:
        values = column.cast(pa.string()).to_pylist()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise InputError(f"{path}: column {name!r} has type {column.type}, expected plain values") from None
    floating = pa.types.is_floating(column.type)
    return ["" if v is None or (floating and v == "nan") else composed(v) for v in values]


def read_parquet(path: Path) -> Any:
    """Read a Parquet file as an Arrow table, or say why not."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        return pq.read_table(path, partitioning=None)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise InputError(f"{path}: not a whole Parquet file ({error})") from None


def _unsplit(name: str, names: list[str]) -> str:
    """Say what separates the cells, where a wanted name stands in one header cell with others."""
    for mark, word in MARKS.items():
        if any(name in given.split(mark) for given in names):
            return f"{word} seem to separate its cells"
    return ""


def _with_ids(
    path: Path, names: list[str], columns: list[list[str]], lines: list[int], id_column: str
) -> list[list[str]]:
    if id_column not in names:
        trivial = only_difference([id_column], names) or _unsplit(id_column, names)
        hint = f"; {trivial}" if trivial else ""
        if not hint and ROW_NAMES in names:
            hint = f"; if the ids are the row names, whose column has no name, say `patient: {ROW_NAMES}`"
        raise InputError(f"{path}: no column {id_column!r}; it has {listed(map(repr, names), 20)}{hint}")
    place = names.index(id_column)
    ids = [value.strip() for value in columns[place]]
    blank = [str(line) for value, line in zip(ids, lines, strict=True) if not value]
    if blank:
        unit = "row" if format_of(path) == ".parquet" else "line"
        raise InputError(f"{path}: {unit} {listed(blank)}: {id_column!r} is empty, expected an id")
    return [*columns[:place], ids, *columns[place + 1 :]]
