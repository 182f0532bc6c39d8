"""Files of text, opened without trusting them: what they are, their encoding, and their size."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

from survfuse._errors import InputError, context, listed
from survfuse._gate import boundary, format_bytes, free_memory, regular_file
from survfuse.readers.archives import open_archive, open_member

SIZE_LIMIT = 4 * 2**30
"""Largest table read, in bytes of text after decompression."""
LARGEST_PACKED, PACKED_RATIO = 2**29, 200
"""Text of so many bytes may not be more than so many times as large as the file it is packed in."""
LONGEST_LINE = 2**25
"""Bytes of a line; no table has a longer one."""
_STEP = 2**23  # bytes of text after which the free memory is looked at again
_RESERVE = 2**29  # bytes that the objects of one step can take
_STARTS = {
    b"PK\x03\x04": "is an Excel workbook or another zip; let its name end in .xlsx, or .csv.zip",
    b"\xd0\xcf\x11\xe0": "is an old Excel workbook; let its name end in .xls",
    b"PAR1": "is Parquet; let its name end in .parquet",
    b"\x1f\x8b": "is packed by gzip; let its name end in .gz",
    b"<!DOC": "is a web page; download the table itself",
    b"<html": "is a web page; download the table itself",
    b"version https://git-lfs": "is a pointer of Git LFS; fetch the file itself (git lfs pull)",
}
_ESCAPES = {"idna", "punycode", "undefined", "unicode-escape", "raw-unicode-escape"}
"""Codecs of Python that are no encodings of files."""
_USUAL = ("cp1252", "latin-1", "cp1250", "mac-roman")
"""Encodings that Excel and other programs of one byte per letter write, most frequent first."""
_SHOWN = 40  # characters
_BEGINNING = 2**20  # bytes


_XENA = ("clinicalmatrix", "hiseqv2", "hiseqv2_pancan", "hiseqv2_percentile")
"""Ends of names under which UCSC Xena hands out tab-separated text without a suffix."""


def format_of_text(path: Path) -> str:
    """Return the suffix without ``.gz`` or ``.zip``, in lower case."""
    name = path.name.lower().removesuffix(".gz").removesuffix(".zip")
    return ".tsv" if name.endswith(_XENA) else Path(name).suffix


def check_encoding(path: Path, encoding: str) -> str:
    """Return Python's name of an encoding of text; refuse what is none.

    Raises
    ------
    InputError
        When the name is unknown, or of a codec that is no encoding of files (rot13).
    """
    try:
        codec = codecs.lookup(encoding)
    except (LookupError, ValueError):
        codec = None
    is_plain = codec is not None and getattr(codec, "_is_text_encoding", True)
    if codec is None or not is_plain or codec.name.replace("_", "-") in _ESCAPES:
        raise InputError(
            f"{path}: unknown encoding {encoding!r}; expected one such as cp1252 (Western "
            "Windows), latin-1, cp1250 (Central Europe), cp1251 (Cyrillic), mac-roman, shift_jis, "
            "gb18030, utf-8 or utf-16",
        )
    return codec.name


@contextmanager
def open_text(
    path: Path,
    encoding: str | None = None,
    *,
    errors: str = "strict",
) -> Iterator[tuple[IO[str], Limited]]:
    """Open a text file, also one that is packed (``.gz``, or the one member of a ``.zip``).

    Parameters
    ----------
    path : Path
    encoding : str or None
        Null reads UTF-8, or UTF-16 with a byte order mark.
    errors : str
        What is done about other bytes, as for :func:`open`.

    Raises
    ------
    InputError
        When this is another kind of file, or a ``.zip`` of several files (named).
    """
    codec = None if encoding is None else check_encoding(path, encoding)
    with open_bytes(path, wide=is_wide(codec)) as (file, stream):
        if codec in (None, "utf-8"):
            codec = "utf-16" if stream.wide else "utf-8-sig"
        with io.TextIOWrapper(file, codec, errors, newline="") as text:
            yield text, stream


@contextmanager
def open_bytes(
    path: Path,
    *,
    wide: bool = False,
) -> Iterator[tuple[io.BufferedReader[Limited], Limited]]:
    """Open the bytes of a text, unpacked; as :func:`open_text`."""
    regular_file(path)
    with ExitStack() as stack:
        stream = Limited(*_bytes(path, stack), wide=wide)
        buffered = io.BufferedReader(stream, 2**16)
        with refusals(path, lambda: 0):
            start = buffered.peek(32).lstrip().lower()
        for known, what in _STARTS.items():
            if start.startswith(known.lower()):
                raise InputError(f"{path}: {what}")
        yield buffered, stream


def begins_as_utf8(path: Path, encoding: str) -> bool:
    """Whether a text declared to be in another encoding begins as UTF-8 that is no ASCII."""
    codec = check_encoding(path, encoding)
    if codec.startswith("utf"):
        return False
    with open_bytes(path) as (file, _):
        start = file.read(_BEGINNING)
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(start)
    except UnicodeDecodeError:
        return False
    return not text.isascii()


def is_wide(codec: str | None) -> bool:
    """Whether letters of an encoding have several bytes, some of which are 0."""
    return codec is not None and codec.startswith(("utf-16", "utf-32"))


def _bytes(path: Path, stack: ExitStack) -> tuple[IO[bytes], IO[bytes] | gzip.GzipFile]:
    """Open the file, and what is packed in it, if anything is."""
    suffix = path.suffix.lower()
    if suffix == ".zip":
        return _only_member(path, stack)
    with boundary(path, "a file that can be read"):
        raw = stack.enter_context(path.open("rb"))
    return raw, gzip.GzipFile(fileobj=raw) if suffix == ".gz" else raw


def _only_member(path: Path, stack: ExitStack) -> tuple[IO[bytes], IO[bytes]]:
    archive = stack.enter_context(
        open_archive(path, "a whole zip archive", "get it again", error=InputError),
    )
    members = [one for one in archive.infolist() if _is_content(one)]
    if len(members) != 1:
        names = listed([repr(one.filename) for one in members], 10) or "nothing"
        raise InputError(
            f"{path}: expected one table in the archive, it holds {names}; unpack it, and name "
            "the file that is the table",
        )
    raw: Any = archive.fp
    return raw, stack.enter_context(open_member(archive, members[0]))


def _is_content(member: zipfile.ZipInfo) -> bool:
    """Whether a member is a file, and not what macOS adds to archives."""
    hidden = (
        member.filename.startswith("__MACOSX/")
        or Path(member.filename).name == ".DS_Store"
    )
    return not (member.is_dir() or hidden)


@contextmanager
def refusals(
    path: Path,
    line: Callable[[], int],
    encoding: str | None = None,
) -> Iterator[None]:
    """Say in which file, and after which line, reading failed."""
    with boundary(path, "a table of text"), context(str(path)):
        try:
            yield
        except UnicodeError as error:
            raise InputError(_undecoded(path, error, line(), encoding)) from None
        except csv.Error as error:
            raise InputError(f"line {line()}: {error}; is a quote left open?") from None
        except (gzip.BadGzipFile, zipfile.BadZipFile, EOFError, zlib.error) as error:
            raise InputError(
                f"cut off or not what its suffix says ({error}); get it again",
            ) from None


def _undecoded(
    path: Path,
    error: UnicodeError,
    lines: int,
    encoding: str | None,
) -> str:
    """Say what cannot be decoded, and how it reads in the encodings that it may be in."""
    why = getattr(error, "reason", str(error))
    remedy = "save it as UTF-8 (Excel: 'CSV UTF-8', not plain CSV)"
    if not isinstance(error, UnicodeDecodeError) or is_wide(error.encoding):
        return f"expected UTF-8 text ({why}, in line {lines + 1} or after it); {remedy}"
    number = lines + 1 + error.object.count(b"\n", 0, error.start)
    if encoding is not None:
        return (
            f"expected text in {encoding} ({why}, in line {number}); correct `encoding`"
        )
    start = error.object.rfind(b"\n", 0, error.start) + 1
    start = max(start, error.start - _SHOWN // 2)
    around = error.object[start : error.start + _SHOWN // 2].splitlines()[0]
    readings: dict[str, list[str]] = {}
    for name in _USUAL:
        with_errors = around.decode(name, "replace")
        if "\ufffd" not in with_errors and with_errors.isprintable():
            readings.setdefault(with_errors, []).append(name)
    shown = [f"{text!r} in {' and '.join(names)}" for text, names in readings.items()]
    first = next(iter(readings.values()), ["NAME"])[0]
    return (
        f"expected UTF-8 text ({why}, in line {number}"
        + (f", which reads {', '.join(shown)}" if shown else "")
        + f"); {remedy}, or name the encoding in which the letters are right: "
        f"`{{file: {path.name}, encoding: {first}}}` in place of the path"
    )


class Limited(io.RawIOBase):
    """A byte stream that refuses endless lines, too many bytes, and NUL bytes of narrow letters."""

    def __init__(
        self,
        raw: IO[bytes],
        inner: IO[bytes] | gzip.GzipFile,
        *,
        wide: bool,
    ) -> None:
        self._raw, self._inner = raw, inner
        self._read = self._line = 0  # bytes so far, and since the last line began
        self._next_step = _STEP
        self._begun, self.wide = False, wide

    @property
    def packed_far(self) -> bool:
        """Whether the text is larger than its file by more than a real table ever is."""
        return self._read > PACKED_RATIO * max(self._raw.tell(), 1)

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Read and judge the next bytes."""
        data = self._inner.read(len(buffer))
        if not self._begun:
            self._begun = True
            self.wide = self.wide or data.startswith((b"\xff\xfe", b"\xfe\xff"))
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
