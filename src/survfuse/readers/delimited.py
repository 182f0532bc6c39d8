"""Delimited text as other tools write it: rows of cells, and how they were split."""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO

from survfuse._errors import InputError, context
from survfuse._gate import boundary, format_bytes, free_memory, regular_file
from survfuse.readers.cell_text import composed

SIZE_LIMIT = 4 * 2**30
"""Largest table read, in bytes of text after decompression."""
LARGEST_PACKED, PACKED_RATIO = 2**29, 200
"""Text of so many bytes may not be more than so many times as large as the file it is packed in."""
MOST_LINES, MOST_COLUMNS, LONGEST_LINE = 5_000_000, 2**21, 2**25
"""What no table has more of; the last in bytes."""
DELIMITERS = {".csv": ",", ".tsv": "\t", ".txt": "\t", ".tab": "\t"}
MARKS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars", " ": "blanks"}
_FIELD_LIMIT = 2**20
_SAMPLE = 30  # lines from which the layout is judged
_SAMPLE_SIZE = 2**24  # characters in them
_STEP = 2**23  # bytes of text after which the free memory is looked at again
_RESERVE = 2**29  # bytes that the objects of one step can take
_BLANK = ',;|\t \r\n"'
_WINDOW, _ALIKE = (
    2**16,
    2**7,
)  # so many lines of a text that is packed so far are more than so many texts
_COMMA = re.compile(r"[+-]?\d+,\d+([eE][+-]?\d+)?")
_POINT = re.compile(r"[+-]?\d+\.\d+([eE][+-]?\d+)?")
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")
_STARTS = {
    b"PK\x03\x04": "is an Excel workbook (or another zip); save the sheet as CSV (UTF-8)",
    b"\xd0\xcf\x11\xe0": "is an old Excel workbook; save the sheet as CSV (UTF-8)",
    b"PAR1": "is Parquet; let its name end in .parquet",
    b"\x1f\x8b": "is packed by gzip; let its name end in .gz",
    b"<!DOC": "is a web page; download the table itself",
    b"<html": "is a web page; download the table itself",
    b"version https://git-lfs": "is a pointer of Git LFS; fetch the file itself (git lfs pull)",
}


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
    """

    delimiter: str
    skipped: int
    row_names: bool

    def notes(self, path: Path) -> tuple[str, ...]:
        """Say what was not as the suffix promises."""
        notes = []
        usual = DELIMITERS[format_of_text(path)]
        if self.delimiter != usual:
            marks = f"{MARKS[self.delimiter]} separate the cells, not {MARKS[usual]}"
            if self.delimiter == ";":
                marks += "; numbers with a decimal comma are read with a point"
            notes.append(marks)
        if self.skipped:
            notes.append(
                f"{self.skipped} line(s) before the header were skipped (comments with #, or sep=)",
            )
        if self.row_names:
            notes.append(
                "rows have one cell more than the header: the first is read as 'row.names'",
            )
        return tuple(notes)


def format_of_text(path: Path) -> str:
    """Return the suffix without ``.gz``, in lower case."""
    return Path(path.name.lower().removesuffix(".gz")).suffix


def layout_of(path: Path) -> Layout:
    """Judge from the first lines how a text is laid out.

    The delimiter is the suffix's where rows split evenly at it; otherwise the one other at
    which they do.

    Raises
    ------
    InputError
        As :func:`text_rows`.
    """
    with _open_text(path, errors="replace") as (text, _), _refusals(path, lambda: 0):
        lines = _sample(text)
    skipped = _comments(lines)
    usual = DELIMITERS[format_of_text(path)]
    if skipped and lines[0].startswith("sep="):
        return Layout(lines[0].rstrip("\r\n")[4:], skipped, row_names=False)
    delimiter = _delimiter(lines[skipped:], usual)
    header, *rows = _split(lines[skipped:], delimiter) or [[]]
    longer = {len(row) - len(header) for row in rows} == {1} and any(
        row[-1] for row in rows
    )
    return Layout(delimiter, skipped, row_names=longer and len(rows) > 1)


def text_rows(
    path: Path,
    layout: Layout | None = None,
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
    layout = layout or layout_of(path)
    with _open_text(path) as (text, stream):
        reader = csv.reader(
            _lines(text, stream, layout),
            delimiter=layout.delimiter,
            strict=True,
        )
        previous = csv.field_size_limit(_FIELD_LIMIT)
        try:
            with _refusals(path, lambda: reader.line_num + layout.skipped):
                numbered = (
                    (reader.line_num + layout.skipped, cells) for cells in reader
                )
                rows = _even(numbered, layout)
                if layout.delimiter == ";":
                    yield next(rows)
                    rows = _with_points(rows)
                yield from rows
        finally:
            csv.field_size_limit(previous)


def _lines(
    text: Iterable[str],
    stream: _Limited,
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


def _even(
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


@contextmanager
def _refusals(
    path: Path,
    line: Callable[[], int],
) -> Iterator[None]:
    """Say in which file, and after which line, reading failed."""
    with boundary(path, "a table of text"), context(str(path)):
        try:
            yield
        except UnicodeError as error:
            why = getattr(error, "reason", str(error))
            raise InputError(
                f"expected UTF-8 text ({why}, in line {line() + 1} or after it); save it as UTF-8 "
                "(Excel: 'CSV UTF-8', not plain CSV)",
            ) from None
        except csv.Error as error:
            raise InputError(f"line {line()}: {error}; is a quote left open?") from None
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise InputError(
                f"cut off or not what its suffix says ({error}); get it again",
            ) from None


@contextmanager
def _open_text(
    path: Path,
    errors: str = "strict",
) -> Iterator[tuple[IO[str], _Limited]]:
    regular_file(path)
    with boundary(path, "a file that can be read"):
        raw = path.open("rb")
    with raw:
        stream = _Limited(raw, packed=path.suffix.lower() == ".gz")
        buffered = io.BufferedReader(stream, 2**16)
        with _refusals(path, lambda: 0):
            start = buffered.peek(32).lstrip().lower()
        for known, what in _STARTS.items():
            if start.startswith(known.lower()):
                raise InputError(f"{path}: {what}")
        encoding = "utf-16" if stream.wide else "utf-8-sig"
        with io.TextIOWrapper(
            buffered,
            encoding=encoding,
            errors=errors,
            newline="",
        ) as text:
            yield text, stream


class _Limited(io.RawIOBase):
    """A byte stream that refuses NUL bytes (but of UTF-16), endless lines, and too many bytes."""

    def __init__(
        self,
        raw: IO[bytes],
        *,
        packed: bool,
    ) -> None:
        self._raw = raw
        self._inner: IO[bytes] | gzip.GzipFile = (
            gzip.GzipFile(fileobj=raw) if packed else raw
        )
        self._read = self._line = 0  # bytes so far, and since the last line began
        self._next_step = _STEP
        self._begun = self.wide = False

    @property
    def packed_far(self) -> bool:
        """Whether the text is larger than its file by more than a real table ever is."""
        return self._read > PACKED_RATIO * max(self._raw.tell(), 1)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._inner.read(len(buffer))
        if not self._begun:
            self._begun, self.wide = True, data.startswith((b"\xff\xfe", b"\xfe\xff"))
        self._read += len(data)
        if b"\0" in data and not self.wide and not data.startswith(tuple(_STARTS)):
            raise InputError(
                "holds NUL bytes, expected UTF-8 text (is it UTF-16? save it as UTF-8)",
            )
        self._refuse_long_line(data)
        if self._read > self._next_step:
            self._next_step += _STEP
            self._refuse_large()
        buffer[: len(data)] = data
        return len(data)

    def _refuse_long_line(self, data: bytes) -> None:
        last = max(data.rfind(b"\n"), data.rfind(b"\r"))
        self._line = self._line + len(data) if last < 0 else len(data) - last
        if self._line > LONGEST_LINE:
            raise InputError(
                f"a line of more than {format_bytes(LONGEST_LINE)}, of a table no more are read",
            )

    def _refuse_large(self) -> None:
        if self._read > SIZE_LIMIT:
            raise InputError(
                f"more than {format_bytes(SIZE_LIMIT)} of text, of a table no more are read",
            )
        if self._read > LARGEST_PACKED and self.packed_far:
            raise InputError(
                f"more than {format_bytes(self._read)} of text are packed into "
                f"{format_bytes(self._raw.tell())}; "
                "where you trust it, unpack it (gunzip) and name that file",
            )
        free = free_memory()
        if free < _RESERVE:
            raise InputError(
                f"takes more memory than this machine has free ({format_bytes(free)}) after "
                f"{format_bytes(self._read)} of text; use a larger machine, or a smaller file",
            )
