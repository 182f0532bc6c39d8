"""Tables of every format but Parquet as rows of text: delimited text, and sheets of workbooks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from survfuse._errors import InputError, context
from survfuse.readers.cell_text import composed
from survfuse.readers.delimited import (
    DELIMITERS,
    Layout,
    even_rows,
    layout_of,
    text_rows,
)
from survfuse.readers.text_files import format_of_text
from survfuse.readers.workbooks import SUFFIXES, workbook_rows

PARQUET = ".parquet"


@dataclass(frozen=True)
class TableRows:
    """The rows of a table, header first, all of one width.

    Attributes
    ----------
    rows : iterator of (int, list of str)
        Number of the line (of text) or row (of a workbook), and its cells.
    notes : tuple of str
        What was not as the suffix promises.
    layout : Layout or None
        Of a delimited text.
    """

    rows: Iterator[tuple[int, list[str]]]
    notes: tuple[str, ...]
    layout: Layout | None = None


def format_of(path: Path) -> str:
    """Return the suffix that says the format, without ``.gz`` or ``.zip``."""
    suffix = format_of_text(path)
    known = (*DELIMITERS, PARQUET, *SUFFIXES)
    is_packed = path.name.lower().endswith((".gz", ".zip"))
    if suffix not in known or (is_packed and suffix not in DELIMITERS):
        given = "".join(path.suffixes[-2:]) if is_packed else suffix
        advice = ""
        if path.suffix.lower() == ".zip":
            advice = (
                "; unpack it, or let its name end in .csv.zip where it holds one .csv"
            )
        raise InputError(
            f"{path}: expected a table ({', '.join(known)}, text also .gz or .zip), got "
            f"{given or 'no suffix'!r}{advice}",
        )
    return suffix


def check_choices(
    path: Path,
    sheet: str | None,
    encoding: str | None,
) -> str:
    """Return the format; refuse a sheet or an encoding where the file has none.

    Raises
    ------
    InputError
        As :func:`format_of` as well.
    """
    suffix = format_of(path)
    if sheet is not None and suffix not in SUFFIXES:
        raise InputError(
            f"{path}: has no sheets (sheet {sheet!r} is declared); remove `sheet`, or name the "
            "workbook",
        )
    if encoding is not None and suffix not in DELIMITERS:
        raise InputError(
            f"{path}: says its encoding itself (encoding {encoding!r} is declared); remove "
            "`encoding`",
        )
    return suffix


def rows_of(
    path: Path,
    *,
    sheet: str | None = None,
    encoding: str | None = None,
) -> TableRows:
    """Read a delimited text or a sheet of a workbook.

    Parameters
    ----------
    path : Path
    sheet : str or None
        Of a workbook; null takes the only one that has cells.
    encoding : str or None
        Of a text; null reads UTF-8 and UTF-16.

    Raises
    ------
    InputError
        As :func:`text_rows` and :func:`workbook_rows`.
    """
    if check_choices(path, sheet, encoding) in DELIMITERS:
        layout = layout_of(path, encoding)
        rows = text_rows(path, layout, encoding)
        return TableRows(rows, layout.notes(path), layout)
    numbered, notes = workbook_rows(path, sheet)
    layout = Layout(",", 0, row_names=False)
    cells = ((row, list(map(composed, texts))) for row, texts in numbered)
    return TableRows(_in_context(path, even_rows(cells, layout)), notes)


def _in_context(
    path: Path,
    rows: Iterator[tuple[int, list[str]]],
) -> Iterator[tuple[int, list[str]]]:
    with context(str(path)):
        yield from rows
