"""Delimited text as other tools write it: rows of cells, and how they were split."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, zip_longest
from pathlib import Path

from survfuse._errors import InputError
from survfuse.readers.cell_text import composed
from survfuse.readers.text_files import (
    Limited,
    begins_as_utf8,
    format_of_text,
    open_text,
    refusals,
)

MOST_LINES, MOST_COLUMNS = 5_000_000, 2**21
"""What no table has more of."""
DELIMITERS = {".csv": ",", ".tsv": "\t", ".txt": "\t", ".tab": "\t"}
MARKS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars", " ": "blanks"}
_FIELD_LIMIT = 2**20
_SAMPLE = 30  # lines from which the layout is judged
_SAMPLE_SIZE = 2**24  # characters in them
_BLANK = ',;|\t \r\n"'
_WINDOW, _ALIKE = (
    2**16,
    2**7,
)  # so many lines of a text that is packed so far are more than so many texts
_COMMA = re.compile(r"[+-]?\d+,\d+([eE][+-]?\d+)?")
_POINT = re.compile(r"[+-]?\d+\.\d+([eE][+-]?\d+)?")
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")


@dataclass(frozen=True)
class Layout:
    """How the cells of a text lie in it.

    Attributes
    ----------
    delimiter : str
    skipped : int
        Lines before the header: comments that begin with ``#``, or ``sep=;``.
    row_names : bool
        Rows have one cell more than the header has names, as R writes row names.
    decimal_comma : bool
        Numbers have a decimal comma, and are read with a point.
    encoding : str
        Declared encoding of a text whose beginning is UTF-8 with letters beyond ASCII; else empty.
    """

    delimiter: str
    skipped: int
    row_names: bool
    decimal_comma: bool = False
    encoding: str = ""

    def notes(self, path: Path) -> tuple[str, ...]:
        """Say what was not as the suffix promises."""
        notes, marks = [], []
        usual = DELIMITERS[format_of_text(path)]
        if self.delimiter != usual:
            marks.append(
                f"{MARKS[self.delimiter]} separate the cells, not {MARKS[usual]}"
            )
        if self.decimal_comma:
            marks.append("numbers with a decimal comma are read with a point")
        if marks:
            notes.append("; ".join(marks))
        if self.skipped:
            notes.append(
                f"{self.skipped} line(s) before the header were skipped (comments with #, or sep=)",
            )
        if self.row_names:
            notes.append(
                "rows have one cell more than the header: the first is read as 'row.names'",
            )
        if self.encoding:
            notes.append(
                f"its letters are UTF-8, and are read as {self.encoding}, as declared: é becomes "
                "Ã©; take `encoding` out, unless they are right so",
            )
        return tuple(notes)


def layout_of(path: Path, encoding: str | None = None) -> Layout:
    """Judge from the first lines how a text is laid out.

    The delimiter is the suffix's where rows split evenly at it; otherwise the one other at
    which they do.

    Raises
    ------
    InputError
        As :func:`text_rows`.
    """
    with (
        open_text(path, encoding, errors="replace") as (text, _),
        refusals(path, lambda: 0),
    ):
        lines = _sample(text)
    skipped = _comments(lines)
    usual = DELIMITERS[format_of_text(path)]
    doubted = encoding if encoding and begins_as_utf8(path, encoding) else ""
    if skipped and lines[0].startswith("sep="):
        mark = lines[0].rstrip("\r\n")[4:]
        return Layout(mark, skipped, False, mark == ";", doubted)
    delimiter = _delimiter(lines[skipped:], usual)
    header, *rows = _split(lines[skipped:], delimiter) or [[]]
    longer = {len(row) - len(header) for row in rows} == {1} and any(
        row[-1] for row in rows
    )
    commas = delimiter == ";" or (delimiter != "," and _decimal_commas(rows))
    row_names = longer and len(rows) > 1
    return Layout(delimiter, skipped, row_names, commas, doubted)


def _decimal_commas(rows: list[list[str]]) -> bool:
    """Whether some column is of numbers with decimal commas, and no cell has a point."""
    if any(_POINT.fullmatch(cell.strip()) for row in rows for cell in row):
        return False
    columns = zip_longest(*rows, fillvalue="")
    return any(map(_has_decimal_commas, columns))


def _has_decimal_commas(column: Sequence[str]) -> bool:
    cells = [cell.strip() for cell in column if "," in cell]
    decimal = [cell for cell in cells if _THOUSANDS.fullmatch(cell) is None]
    return bool(decimal) and all(map(_COMMA.fullmatch, cells))


def text_rows(
    path: Path,
    layout: Layout | None = None,
    encoding: str | None = None,
) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number, cells) of a delimited text, header first, all of one width.

    Letters are composed and invisible characters taken out (:func:`composed`). Rows without any
    filled cell are skipped, and so are cells and names that are empty in every row on the right.

    Raises
    ------
    InputError
        On a ragged row, a repeated header, bytes that are no UTF-8 or UTF-16, NUL characters,
        stray quotes, numbers with both kinds of decimal mark, or excessive size.
    """
    layout = layout or layout_of(path, encoding)
    with open_text(path, encoding) as (text, stream):
        reader = csv.reader(
            _lines(text, stream, layout),
            delimiter=layout.delimiter,
            strict=True,
        )
        previous = csv.field_size_limit(_FIELD_LIMIT)
        try:
            with refusals(path, lambda: reader.line_num + layout.skipped, encoding):
                numbered = (
                    (reader.line_num + layout.skipped, cells) for cells in reader
                )
                rows = even_rows(numbered, layout)
                if layout.decimal_comma:
                    yield next(rows)
                    rows = _with_points(rows)
                yield from rows
        finally:
            csv.field_size_limit(previous)


def _lines(
    text: Iterable[str],
    stream: Limited,
    layout: Layout,
) -> Iterator[str]:
    """Lines from the header on; refused if too many, too wide, or the same again and again."""
    different: set[int] = set()
    for number, line in enumerate(islice(text, layout.skipped, None)):
        different.add(hash(line))
        if number % _WINDOW == _WINDOW - 1:
            if number >= MOST_LINES:
                raise InputError(
                    f"more than {MOST_LINES} lines, of a table no more are read",
                )
            if len(different) < _ALIKE and line.strip(_BLANK) and stream.packed_far:
                raise InputError(
                    f"the same {len(different)} lines over and over; write the table again",
                )
            different.clear()
        if len(line) > MOST_COLUMNS and line.count(layout.delimiter) >= MOST_COLUMNS:
            raise InputError(
                f"a line has more than {MOST_COLUMNS} cells; of a table no more are read",
            )
        yield composed(line)


def even_rows(
    rows: Iterable[tuple[int, list[str]]],
    layout: Layout,
) -> Iterator[tuple[int, list[str]]]:
    """Make every row as wide as the header, or refuse it."""
    header: list[str] = []
    for line, cells in rows:
        if len(cells) != 1 and not any(map(str.strip, cells)):
            continue
        if header:
            yield line, _row(line, cells, header)
            continue
        header = ["", *cells] if layout.row_names else list(cells)
        while len(header) > 1 and not header[-1].strip():
            header.pop()
        yield line, header
    if not header:
        raise InputError("empty, expected a header line")


def _row(
    line: int,
    cells: list[str],
    header: list[str],
) -> list[str]:
    width = len(header)
    if len(cells) != width and (
        len(cells) < width or any(map(str.strip, cells[width:]))
    ):
        cause = "quote cells that contain the delimiter, and name every column"
        if width == 1:
            cause = f"remove a title above the header ({header[0]!r})"
        elif len(cells) < width:
            cause = (
                "remove a note below the table"
                if len(cells) == 1
                else "write empty cells too"
            )
        raise InputError(
            f"line {line} has {len(cells)} cells, the header has {width}; {cause}",
        )
    if width > 1 and cells == header:
        raise InputError(
            f"line {line} repeats the header; remove it (were files put together?)",
        )
    return cells[:width]


def _with_points(
    rows: Iterable[tuple[int, list[str]]],
) -> Iterator[tuple[int, list[str]]]:
    """Write decimal commas as points; refuse a text that has both, or may mark thousands."""
    comma = point = ""
    is_decimal = False  # one comma at least cannot mark thousands
    for line, cells in rows:
        for place, cell in enumerate(cells):
            text = cell.strip()
            if _COMMA.fullmatch(text):
                comma = text
                is_decimal = is_decimal or _THOUSANDS.fullmatch(text) is None
                cells[place] = text.replace(",", ".")
            elif _POINT.fullmatch(text):
                point = text
        if comma and point:
            raise InputError(
                f"up to line {line}, numbers are written with decimal commas "
                f"({comma!r}) and with points ({point!r}); write all with points",
            )
        yield line, cells
    if comma and not is_decimal:
        raise InputError(
            f"every comma in a number has three digits after it ({comma!r}): "
            "decimals or thousands? write decimals with a point and thousands without a mark",
        )


def _sample(text: Iterable[str]) -> list[str]:
    """Read comments, and enough lines after them to judge."""
    lines: list[str] = []
    comments = size = 0
    for line in text:
        lines.append(composed(line))
        comments += line.startswith("#")
        size += len(line)
        if len(lines) - comments == _SAMPLE or (
            size > _SAMPLE_SIZE and len(lines) > comments + 1
        ):
            break
    return lines


def _comments(lines: list[str]) -> int:
    """Count the lines before the header, which may itself begin with #."""
    if lines and re.fullmatch(r"sep=[,;\t|]", lines[0].rstrip("\r\n")):
        return 1
    count = 0
    while count < len(lines) and lines[count].startswith("#"):
        count += 1
    if count != 1 or len(lines) < 2:
        return count
    return (
        0
        if any(lines[0].count(mark) == lines[1].count(mark) > 0 for mark in MARKS)
        else 1
    )


def _delimiter(lines: list[str], usual: str) -> str:
    if not lines or _evenly(lines, usual):
        return usual
    fits = [mark for mark in MARKS if mark != usual and _evenly(lines, mark)]
    fits = [mark for mark in fits if lines[0].count(mark) > lines[0].count(usual)]
    if " " in fits and (
        len(fits) > 1 or usual != "\t"
    ):  # blanks only in a .txt, as R writes them
        fits.remove(" ")
    return fits[0] if len(fits) == 1 else usual


def _evenly(lines: list[str], mark: str) -> bool:
    """Whether all rows have the same number of cells, 2 or more; the header may have 1 less."""
    header, *rows = _split(lines, mark) or [[]]
    widths = {len(row) for row in rows} or {len(header)}
    return (
        len(widths) == 1
        and len(header) > 1
        and widths <= {len(header), len(header) + 1}
    )


def _split(lines: list[str], mark: str) -> list[list[str]]:
    if any(line.count(mark) >= MOST_COLUMNS for line in lines):
        return []
    try:
        rows = [row for row in csv.reader(lines, delimiter=mark) if any(row)]
    except csv.Error:
        return []
    return (
        rows[:-1] if len(lines) >= _SAMPLE else rows
    )  # the last may end within quotes
