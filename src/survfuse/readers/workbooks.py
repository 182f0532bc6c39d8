"""Workbooks (``.xlsx``, ``.xlsm``, ``.xls``, ``.ods``): one sheet as rows of text.

They are read in the separate process of `child_process`, which has limits of time and memory: a
workbook of two cells that lie far apart makes the library take all there is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from survfuse._errors import InputError, listed
from survfuse._gate import format_bytes, refuse_claim, regular_file
from survfuse.readers.archives import open_archive
from survfuse.readers.child_process import Child, answers
from survfuse.readers.delimited import MOST_COLUMNS, MOST_LINES
from survfuse.readers.text_files import LARGEST_PACKED, PACKED_RATIO, SIZE_LIMIT

SUFFIXES = (".xlsx", ".xlsm", ".xls", ".ods")
_MEMORY = 2**28
"""Bytes that opening a workbook may take."""
_PER_BYTE = 24
"""Bytes of memory per byte of an unpacked workbook, of which a cell takes 14 or more."""
_SECONDS = 5
_SLOWEST = 2**20
"""Bytes of an unpacked workbook that the slowest processor reads in a second."""
_CELL = 60
"""Bytes that a short text takes."""

Row = tuple[int, list[str]]


def workbook_rows(
    path: Path,
    sheet: str | None,
) -> tuple[list[Row], tuple[str, ...]]:
    """Read one sheet: (row number as a spreadsheet counts, cells) of each row, and notes.

    Numbers are written as a person would type them (whole ones without ``.0``), dates as
    ``2021-03-04``, truth values as TRUE and FALSE, errors as they show (``#N/A``).

    Parameters
    ----------
    path : Path
    sheet : str or None
        Name of the sheet; null takes the only one that has cells.

    Raises
    ------
    InputError
        Where several sheets have cells and none is named, or the named one is not there; on
        merged cells, formulas without a value, a password, excessive size, and whatever makes the
        library fail.
    """
    about, rows = _read(path, sheet)
    _check(path, sheet, about)
    first = about["start"][0] + 1
    notes = []
    if path.suffix.lower() == ".xls":
        notes.append(
            "of an old workbook (.xls), cells with an error (#N/A) are read as empty; save it as "
            ".xlsx where it has such cells",
        )
    return list(enumerate(rows, first)), tuple(notes)


def sheet_names(path: Path) -> list[str]:
    """Names of the sheets of a workbook."""
    about, _ = _read(path, None)
    return [str(name) for name in about["sheets"]]


def _read(path: Path, sheet: str | None) -> tuple[Mapping[str, Any], list[list[str]]]:
    """What a workbook says about itself, and the rows of a sheet; none where it is not clear."""
    size = regular_file(path)
    if path.suffix.lower() != ".xls":
        size = _unpacked_size(path, size)
    question = {"sheet": sheet, "format": path.suffix.lower()}
    memory = _MEMORY + _PER_BYTE * size
    refuse_claim(path, memory)
    seconds = _SECONDS + size / _SLOWEST
    with answers(path, "workbook", seconds, memory, **question) as process:
        about = process.answer()
        rows = _receive(path, process, about, memory) if about["name"] else []
    return about, rows


def _unpacked_size(path: Path, size: int) -> int:
    """Add the sizes of the members up; refused, unread, where they cannot be a workbook's."""
    remedy = "save it again, or as CSV (UTF-8)"
    with open_archive(path, "a whole workbook", remedy, error=InputError) as archive:
        total = sum(member.file_size for member in archive.infolist())
    refuse_claim(path, total, size)
    if total > SIZE_LIMIT or (total > LARGEST_PACKED and total > PACKED_RATIO * size):
        raise InputError(
            f"{path}: unpacks from {format_bytes(size)} to {format_bytes(total)}, of a workbook "
            "no more are read; save its sheet as CSV (UTF-8)",
        )
    return total


def _receive(
    path: Path,
    process: Child,
    about: Mapping[str, Any],
    limit: int,
) -> list[list[str]]:
    rows, columns = about["rows"], about["columns"]
    if rows > MOST_LINES or columns > MOST_COLUMNS:
        raise InputError(
            f"{path}: has {rows} rows of {columns} columns; of a table at most {MOST_LINES} rows "
            f"of {MOST_COLUMNS} columns are read",
        )
    refuse_claim(path, rows * columns * _CELL)
    cells: list[list[str]] = []
    received = 0
    while count := int(process.answer()["bytes"]):
        received += count
        if received > limit:
            raise InputError(f"{path}: has more text than its size explains")
        block = bytearray(count)
        process.fill(memoryview(block))
        cells += json.loads(block)
    return cells


def _check(
    path: Path,
    sheet: str | None,
    about: Mapping[str, Any],
) -> None:
    names = about["sheets"]
    if about["name"] is None and sheet is not None:
        raise InputError(
            f"{path}: no sheet {sheet!r}; it has {listed(map(repr, names), 20)}",
        )
    if about["name"] is None:
        example = json.dumps(names[0], ensure_ascii=False) if names else "NAME"
        raise InputError(
            f"{path}: has the sheets {listed(map(repr, names), 20)}; say which one is the table: "
            f"`{{file: {path.name}, sheet: {example}}}` in place of the path",
        )
    where = f"{path}: sheet {about['name']!r}"
    if not about["start"]:
        raise InputError(f"{where}: is empty, expected a header")
    if about["bare"]:
        raise InputError(
            f"{where}: {listed(about['bare'])}: a formula without its value; open the workbook in "
            "a spreadsheet program and save it there, or write values in place of formulas",
        )
    for (top, left), (bottom, right) in about["merged"]:
        if (top, left) != (bottom, right):
            raise InputError(
                f"{where}: the cells from row {top + 1}, column "
                f"{left + 1} to row {bottom + 1}, column {right + 1} are merged, so that only the "
                "first has the value; unmerge them and fill each, or remove a title above the "
                "header",
            )
