"""Tables as their author wrote them: every cell a string, nothing guessed, nothing repaired."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pandas as pd

from survfuse._errors import InputError, listed

SIZE_LIMIT = 4 * 2**30
"""Largest table read, in bytes of text after decompression."""
_DELIMITERS = {".csv": ",", ".tsv": "\t", ".txt": "\t", ".tab": "\t"}
_FIELD_LIMIT = 2**20

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

    Values stay as written: leading zeros survive, missing cells are ``""``. Column names lose
    surrounding blanks, and so do the ids in `id_column`. ``.csv`` is split at commas, ``.tsv`` and
    ``.txt`` at tabs, each also as ``.gz``; ``.parquet`` is turned into strings. Lines without any
    character are skipped.

    Parameters
    ----------
    path : path
        UTF-8 text (a byte order mark is dropped) or Parquet.
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
        When the file is absent, not UTF-8, ragged (naming the line), repeats a column, or lacks
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
    if format_of(source) == ".parquet":
        names, columns, lines = _parquet(source)
    else:
        names, columns, lines = _delimited(source)
    refuse_repeated(source, names)
    if id_column is not None:
        columns = _with_ids(source, names, columns, lines, id_column)
    frame = pd.DataFrame(
        {name: pd.Series(column, dtype=object) for name, column in zip(names, columns, strict=True)},
        columns=names,
    )
    frame.attrs["source"] = str(source)
    return frame


def repeated(frame: pd.DataFrame, column: str) -> tuple[str, ...]:
    """Name the values that stand in more than one row of a column, sorted."""
    if column not in frame:
        raise InputError(f"no column {column!r}; the table has {listed(map(repr, frame.columns), 20)}")
    counts = Counter(frame[column])
    return tuple(sorted(value for value, n in counts.items() if n > 1))


def format_of(path: Path) -> str:
    """Return the suffix that says the format, without ``.gz``."""
    name = path.name.lower().removesuffix(".gz")
    suffix = Path(name).suffix
    if suffix not in (*_DELIMITERS, ".parquet"):
        known = ", ".join((*_DELIMITERS, ".parquet"))
        raise InputError(f"{path}: expected a table ({known}, text also .gz), got {suffix or 'no suffix'!r}")
    return suffix


def refuse_repeated(path: Path, names: list[str]) -> None:
    """Refuse a header in which a name stands twice."""
    twice = sorted(name for name, n in Counter(names).items() if n > 1)
    if twice:
        raise InputError(
            f"{path}: column names appear twice: {listed(map(repr, twice))}; rename or remove one"
        )


def text_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number, cells) of a delimited text, header first; every row as wide as the header.

    Raises
    ------
    InputError
        On a ragged row, bytes that are not UTF-8, NUL characters, stray quotes or excessive size.
    """
    delimiter = _DELIMITERS[format_of(path)]
    with _open_text(path) as text:
        rows = csv.reader(text, delimiter=delimiter, strict=True)
        previous = csv.field_size_limit(_FIELD_LIMIT)
        width = 0
        try:
            for cells in rows:
                if not cells:
                    continue
                width = width or len(cells)
                if len(cells) != width:
                    raise InputError(
                        f"{path}: line {rows.line_num} has {len(cells)} cells, the header has {width}; "
                        "quote cells that contain the delimiter"
                    )
                yield rows.line_num, cells
        except UnicodeDecodeError as error:
            raise InputError(
                f"{path}: expected UTF-8 text ({error.reason}, after line {rows.line_num}); save it as UTF-8"
            ) from None
        except csv.Error as error:
            raise InputError(f"{path}: line {rows.line_num}: {error}") from None
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(f"{path}: cut off or not what its suffix says ({error})") from None
        finally:
            csv.field_size_limit(previous)
    if not width:
        raise InputError(f"{path}: empty, expected a header line")


@contextmanager
def _open_text(path: Path) -> Iterator[IO[str]]:
    try:
        raw = path.open("rb")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    with raw:
        if path.suffix.lower() == ".gz":
            stream: IO[bytes] = _Limited(gzip.GzipFile(fileobj=raw), path)  # type: ignore[assignment]
        else:
            stream = _Limited(raw, path)  # type: ignore[assignment]
        with io.TextIOWrapper(io.BufferedReader(stream, 2**16), encoding="utf-8-sig", newline="") as text:  # type: ignore[type-var]
            yield text


class _Limited(io.RawIOBase):
    """A byte stream that refuses NUL bytes and to go on past the size limit."""

    def __init__(self, inner: IO[bytes] | gzip.GzipFile, path: Path) -> None:
        self._inner, self._path, self._left = inner, path, SIZE_LIMIT

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._inner.read(len(buffer))
        self._left -= len(data)
        if self._left < 0:
            raise InputError(f"{self._path}: more than {SIZE_LIMIT} bytes of text")
        if b"\0" in data:
            raise InputError(f"{self._path}: holds NUL bytes, expected UTF-8 text (UTF-16? save it as UTF-8)")
        buffer[: len(data)] = data
        return len(data)


def _delimited(path: Path) -> tuple[list[str], list[list[str]], list[int]]:
    rows = text_rows(path)
    _, header = next(rows)
    names = [name.strip() for name in header]
    body, lines = [], []
    for line, cells in rows:
        body.append(cells)
        lines.append(line)
    columns = [list(column) for column in zip(*body, strict=True)] if body else [[] for _ in names]
    return names, columns, lines


def _parquet(path: Path) -> tuple[list[str], list[list[str]], list[int]]:
    import pyarrow as pa

    table = read_parquet(path)
    names = [str(name).strip() for name in table.column_names]
    columns = []
    for name, column in zip(names, table.columns, strict=True):
        try:
            values = column.cast(pa.string()).to_pylist()
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            raise InputError(
                f"{path}: column {name!r} has type {column.type}, expected plain values"
            ) from None
        floating = pa.types.is_floating(column.type)
        columns.append(["" if v is None or (floating and v == "nan") else v for v in values])
    return names, columns, list(range(1, table.num_rows + 1))


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


def _with_ids(
    path: Path, names: list[str], columns: list[list[str]], lines: list[int], id_column: str
) -> list[list[str]]:
    if id_column not in names:
        raise InputError(f"{path}: no column {id_column!r}; it has {listed(map(repr, names), 20)}")
    place = names.index(id_column)
    ids = [value.strip() for value in columns[place]]
    blank = [str(line) for value, line in zip(ids, lines, strict=True) if not value]
    if blank:
        unit = "row" if format_of(path) == ".parquet" else "line"
        raise InputError(f"{path}: {unit} {listed(blank)}: {id_column!r} is empty, expected an id")
    return [*columns[:place], ids, *columns[place + 1 :]]
