"""Workbooks as cells of text, read in the separate process of `_child_script`.

calamine returns an error (`#N/A`) and a formula that was never computed as an empty cell, so both
are looked for in the file itself.
"""

from __future__ import annotations

import datetime
import json
import re
import zipfile
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

ROWS = 1000
"""Rows that are sent at once."""
_WHOLE = 10**15
"""Below it every whole number is a float of its own, and is written with its digits alone."""
_SUSPECT = {
    ".xlsx": re.compile(rb"""\bt=["']e["']|<(\w+:)?f[\s>/]"""),
    ".ods": re.compile(rb"""value-type=["']error["']|:formula="""),
}
_SUSPECT[".xlsm"] = _SUSPECT[".xlsx"]
_DIGITS = re.compile(r"([A-Z]+)(\d+)")

Place = tuple[int, int]  # row and column, counted from 0


def answers(question: dict[str, Any]) -> Iterator[tuple[dict[str, Any], bytes]]:
    """Describe the workbook and the sheet that is read, then send its rows as JSON.

    A name of a sheet is looked up as it stands; without a name, the only sheet with cells is read.
    """
    import python_calamine

    with python_calamine.load_workbook(question["path"]) as book:
        names = [
            about.name
            for about in book.sheets_metadata
            if about.typ == python_calamine.SheetTypeEnum.WorkSheet
        ]
        sheet = _sheet(book, names, question["sheet"])
        about = {"sheets": names, "name": sheet.name if sheet else None}
        if sheet is None:
            yield about, b""
            return
        about |= _shape(sheet)
        rows = sheet.to_python()
    errors, plain = _faults(question["path"], question["format"], sheet.name)
    yield about | {"bare": [_cell(*place) for place in plain[:1000]]}, b""
    top, left = sheet.start or (0, 0)
    for start in range(0, len(rows), ROWS):
        texts = [list(map(_text, row)) for row in rows[start : start + ROWS]]
        for (row, column), error in errors.items():
            if 0 <= row - top - start < len(texts) and 0 <= column - left < len(
                rows[0]
            ):
                texts[row - top - start][column - left] = error
        block = json.dumps(texts).encode()
        yield {"bytes": len(block)}, block
    yield {"bytes": 0}, b""


def _sheet(
    book: Any,
    names: list[str],
    wanted: str | None,
) -> Any:
    """Find the sheet that is read; None where it is absent or not the only one."""
    if wanted is not None:
        return book.get_sheet_by_name(wanted) if wanted in names else None
    if len(names) == 1:
        return book.get_sheet_by_name(names[0])
    filled = [sheet for sheet in map(book.get_sheet_by_name, names) if sheet.height]
    return filled[0] if len(filled) == 1 else None


def _shape(sheet: Any) -> dict[str, Any]:
    return {
        "rows": sheet.height,
        "columns": sheet.width,
        "start": sheet.start,
        "merged": (sheet.merged_cell_ranges or [])[:1000],
    }


def _text(value: Any) -> str:
    """Write a cell as a person would type it."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int | float):
        is_whole = abs(value) < _WHOLE and value == int(value)
        return str(int(value)) if is_whole else repr(value)
    if isinstance(value, datetime.datetime):
        is_day = value.time() == datetime.time()
        return value.date().isoformat() if is_day else value.isoformat(" ")
    if isinstance(value, datetime.timedelta):
        hours, seconds = divmod(value.seconds, 3600)
        return f"{value.days} days {hours:02}:{seconds // 60:02}:{seconds % 60:02}"
    return str(value)


# -- errors and formulas without a value


def _faults(
    path: str,
    suffix: str,
    name: str,
) -> tuple[dict[Place, str], list[Place]]:
    """Return errors of a sheet by their place, and the places of formulas without a value."""
    if suffix not in _SUSPECT:
        return {}, []
    with zipfile.ZipFile(path) as archive:
        member = "content.xml" if suffix == ".ods" else _member(archive, name)
        if not _SUSPECT[suffix].search(archive.read(member)):
            return {}, []
        with archive.open(member) as file:
            cells_read = dict(_ods(file, name) if suffix == ".ods" else _xlsx(file))
    errors = {place: error for place, error in cells_read.items() if error is not None}
    return errors, sorted(cells_read.keys() - errors)


def _member(archive: zipfile.ZipFile, name: str) -> str:
    """Find the part of an .xlsx in which a sheet lies."""
    book = ElementTree.fromstring(archive.read("xl/workbook.xml"))
    relations = ElementTree.fromstring(archive.read("xl/_rels/workbook.xml.rels"))
    targets = {one.get("Id"): one.get("Target", "") for one in relations}
    for sheet in book.iter():
        if _kind(sheet.tag) == "sheet" and sheet.get("name") == name:
            keys = [key for key in sheet.attrib if key.endswith("}id")]
            target = targets[sheet.attrib[keys[0]]]
            return target.lstrip("/") if target.startswith("/") else f"xl/{target}"
    raise ValueError(f"no part of the file is the sheet {name!r}")


def _kind(tag: str) -> str:
    return tag.rpartition("}")[2]


def _xlsx(file: Any) -> Iterator[tuple[Place, str | None]]:
    """Yield places of errors with their text, and of formulas without a value with None."""
    row = column = -1
    for event, element in ElementTree.iterparse(file, ("start", "end")):
        kind = _kind(element.tag)
        if event == "start":
            if kind == "row":
                row, column = int(element.get("r", row + 2)) - 1, -1
            elif kind == "c":
                column = (
                    _column(element.get("r", "")) if element.get("r") else column + 1
                )
            continue
        if kind == "c":
            parts = {_kind(part.tag): part.text for part in element}
            if element.get("t") == "e":
                yield (row, column), parts.get("v") or "#VALUE!"
            elif "f" in parts and not parts.get("v") and element.get("t") != "str":
                yield (row, column), None
        elif kind == "row":
            element.clear()


def _column(reference: str) -> int:
    match = _DIGITS.fullmatch(reference)
    if match is None:
        raise ValueError(f"{reference[:20]!r} is no place of a cell")
    place = 0
    for letter in match[1]:
        place = place * 26 + ord(letter) - 64
    return place - 1


def _cell(row: int, column: int) -> str:
    letters = ""
    column += 1
    while column:
        column, letter = divmod(column - 1, 26)
        letters = chr(65 + letter) + letters
    return f"{letters}{row + 1}"


def _ods(
    file: Any,
    name: str,
) -> Iterator[tuple[Place, str | None]]:
    """Yield as :func:`_xlsx`; a cell and a row may stand for several equal ones."""
    row = column = 0
    here = False
    for event, element in ElementTree.iterparse(file, ("start", "end")):
        kind = _kind(element.tag)
        about = {_kind(key): value for key, value in element.attrib.items()}
        if event == "start":
            if kind == "table":
                here, row = about.get("name") == name, 0
            elif kind == "table-row":
                column = 0
            continue
        if kind == "table-row":
            row += int(about.get("number-rows-repeated", 1))
            element.clear()
        elif kind in ("table-cell", "covered-table-cell"):
            if here and "formula" in about:
                fault = _ods_fault(element, about)
                if fault != "":
                    yield (row, column), fault
            column += int(about.get("number-columns-repeated", 1))


def _ods_fault(
    element: Any,
    about: dict[str, str],
) -> str | None:
    """Return the error in a cell with a formula, None where it has no value, else nothing."""
    displayed = "".join(element.itertext()).strip()
    is_error = any(
        key.endswith("value-type") and value == "error"
        for key, value in element.attrib.items()
    )
    if is_error or re.fullmatch(r"Err:\d+|#[A-Z0-9/]+[!?]?", displayed):
        return displayed or "#VALUE!"
    return "" if "value-type" in about else None
