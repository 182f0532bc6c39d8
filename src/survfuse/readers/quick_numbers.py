"""Large texts of plain numbers, parsed by Arrow; whatever is not plain is left to the slow reader.

The slow reader decides what a text means and which refusal is right. This one returns the same
numbers, bit by bit, or nothing: a cell that Arrow reads otherwise, or does not read, a row of
another width, a quote in an odd place or want of memory make it return None.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from survfuse._errors import InputError
from survfuse._gate import free_memory, regular_file
from survfuse._types import FloatArray
from survfuse.readers.cell_text import composed
from survfuse.readers.delimited import MOST_LINES, Layout
from survfuse.readers.text_files import check_encoding, open_bytes, refusals

SMALLEST = 2**18
"""Bytes of a file from which on it is worth while."""
_STEP = 2**22
_BLOCK = 2**25
"""Bytes that Arrow parses at once: in smaller blocks, a table of many columns takes long."""
_MEMORY = 4
"""Bytes of memory per byte of text: the text itself, Arrow's numbers and ours."""
_MOST_QUOTES = 2**18
_QUOTED = re.compile(rb'"[^"\r\n]*"')


def quick_numbers(
    path: Path,
    layout: Layout,
    header: Sequence[str],
    id_place: int,
    used: Sequence[int],
    *,
    missing: frozenset[str],
    encoding: str | None,
) -> tuple[list[str], FloatArray] | None:
    """Read ids and numbers of a delimited text; None where the slow reader has to.

    Parameters
    ----------
    path : Path
    layout : Layout
    header : sequence of str
        As the slow reader yields it.
    id_place : int
        Column of the ids.
    used : sequence of int
        Columns of numbers.
    missing : frozenset of str
        Cells that mean "not known".
    encoding : str or None

    Returns
    -------
    ids : list of str, (rows,)
    values : ndarray, (rows, used), float64
        NaN where missing.
    """
    if regular_file(path) < SMALLEST or len(header) < 2 or not used:
        return None
    if encoding is not None and check_encoding(path, encoding) != "utf-8":
        return None
    content = _content(path)
    if content is None:
        return None
    start = _body(content, layout, header)
    if start is None or not _is_plainly_quoted(content, start, layout.delimiter):
        return None
    if layout.decimal_comma and not _has_decimal(content, layout, len(header), used):
        return None
    return _parse(content, start, layout, header, id_place, used, missing)


def _content(path: Path) -> bytes | None:
    """Read a whole text; None where it is not plain, or would not fit."""
    blocks: list[bytes] = []
    size = 0
    try:
        with open_bytes(path) as (file, stream), refusals(path, lambda: 0):
            while block := file.read(_STEP):
                size += len(block)
                if stream.wide or _MEMORY * size > free_memory() + size:
                    return None
                blocks.append(block)
            if stream.packed_far:
                return None
    except InputError:
        return None
    content = b"".join(blocks)
    returns = content.count(b"\r")
    if returns and returns != content.count(b"\r\n"):
        return None
    return content if content.count(b"\n") < MOST_LINES else None


def _body(
    content: bytes,
    layout: Layout,
    header: Sequence[str],
) -> int | None:
    """Find where the rows begin; None where the header is not the line that it should be."""
    start = 3 if content.startswith(b"\xef\xbb\xbf") else 0
    for _ in range(layout.skipped):
        start = content.find(b"\n", start) + 1
        if not start:
            return None
    end = content.find(b"\n", start)
    if end < 0:
        return None
    cells = content[start:end].rstrip(b"\r").split(layout.delimiter.encode())
    names = [_unquoted(cell) for cell in cells]
    same = [""] * layout.row_names + names == list(header)
    return end + 1 if same else None


def _unquoted(cell: bytes) -> str:
    if len(cell) > 1 and cell.startswith(b'"') and cell.endswith(b'"'):
        cell = cell[1:-1]
    return composed(cell.decode("utf-8", "replace"))


def _is_plainly_quoted(
    content: bytes,
    start: int,
    delimiter: str,
) -> bool:
    """Whether every quote begins or ends a whole cell."""
    count = content.count(b'"', start)
    if not count:
        return True
    if count > _MOST_QUOTES:
        return False
    ends = {delimiter.encode(), b"\n", b"\r", b""}
    whole = 0
    for match in _QUOTED.finditer(content, start):
        before = content[match.start() - 1 : match.start()]
        after = content[match.end() : match.end() + 1]
        whole += before in ends and after in ends
    return 2 * whole == count


def _has_decimal(
    content: bytes,
    layout: Layout,
    width: int,
    used: Sequence[int],
) -> bool:
    """Whether the commas are decimal ones by the rule of the slow reader, which looks at all cells.

    One of them has other than three digits behind it, and there are no cells but ids and numbers.
    """
    mark = re.escape(layout.delimiter.encode())
    decimal = rb"[0-9],(?:[0-9]{1,2}|[0-9]{4,})(?:" + mark + rb"|\r?\n)"
    return len(used) == width - 1 and re.search(decimal, content) is not None


def _parse(
    content: bytes,
    start: int,
    layout: Layout,
    header: Sequence[str],
    id_place: int,
    used: Sequence[int],
    missing: frozenset[str],
) -> tuple[list[str], FloatArray] | None:
    import pyarrow as pa
    import pyarrow.csv

    names = list(map(str, range(len(header))))  # names of columns may stand twice
    kinds = {names[place]: pa.float64() for place in used}
    kinds[names[id_place]] = pa.string()
    try:
        table = pa.csv.read_csv(
            pa.BufferReader(pa.py_buffer(content).slice(start)),
            pa.csv.ReadOptions(column_names=names, block_size=_BLOCK),
            pa.csv.ParseOptions(delimiter=layout.delimiter),
            pa.csv.ConvertOptions(
                column_types=kinds,
                include_columns=[names[id_place], *(names[place] for place in used)],
                null_values=sorted(missing),
                decimal_point="," if layout.decimal_comma else ".",
            ),
        )
    except pa.ArrowException:
        return None
    ids = [composed(cell).strip() for cell in table.column(0).to_pylist()]
    if not all(ids) or header[id_place].strip() in ids:
        return None  # an empty row, an id that lacks, or the header again
    if layout.decimal_comma and any("," in one for one in ids):
        return None
    values = np.empty((table.num_rows, len(used)))
    unknown = 0
    for place, column in enumerate(table.columns[1:]):
        unknown += column.null_count
        values[:, place] = column.to_numpy()
    if np.isfinite(values).sum() != values.size - unknown:
        return None  # inf and nan are refused, where no declaration names them
    return ids, values
