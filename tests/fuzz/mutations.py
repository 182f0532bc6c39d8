"""Changes of a valid file that a disk, a careless program or a liar could make."""

from __future__ import annotations

import gzip
import io
import json
import re
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import PurePath
from random import Random
from typing import Any

NUMBERS = (
    0,
    1,
    -1,
    2,
    127,
    128,
    255,
    256,
    2**15,
    2**16,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**53,
    2**63 - 1,
    -(2**63),
)
WORDS = (
    "",
    "nan",
    "inf",
    "-inf",
    "1e999",
    "1e308",
    "null",
    "[]",
    "{}",
    "..",
    "/dev/zero",
    "\0",
    "\ud800",
    "=1+1",
)
VALUES: tuple[Any, ...] = (
    *NUMBERS,
    *WORDS,
    10**400,
    0.5,
    1e308,
    True,
    None,
    [],
    {},
    [[]],
    {"a": {}},
    ["a"],
    "x" * 10_000,
)
UNPACKED = (
    *(OSError, EOFError, ValueError, KeyError, RuntimeError, NotImplementedError),
    *(zipfile.BadZipFile, zlib.error, struct.error),
)
TEXT = (
    ".csv",
    ".tsv",
    ".json",
    ".yaml",
    ".txt",
    ".gmt",
    ".zgroup",
    ".zarray",
    ".zattrs",
)


def mutate(name: str, data: bytes, random: Random) -> bytes:
    """Change one to three things in the content of the file `name`; its container often stays whole."""
    for _ in range(random.randint(1, 3)):
        data = random.choice(_kinds(name))(data, random)
    return data


def _kinds(name: str) -> list[Callable[[bytes, Random], bytes]]:
    suffix = PurePath(name).suffix.lower() or PurePath(name).name
    kinds = [flip, overwrite, number, cut, insert, repeat, swap]
    if suffix in (".pt", ".npz"):
        kinds += [in_zip] * 7
    if suffix == ".gz":
        kinds += [in_gzip] * 7
    if suffix in (".json", ".zgroup", ".zarray", ".zattrs"):
        kinds += [in_json] * 10
    if suffix in TEXT:
        kinds += [word] * 7
    return kinds


def flip(data: bytes, random: Random) -> bytes:
    """Flip a bit."""
    if not data:
        return data
    place = random.randrange(len(data))
    return (
        data[:place]
        + bytes([data[place] ^ 1 << random.randrange(8)])
        + data[place + 1 :]
    )


def overwrite(data: bytes, random: Random) -> bytes:
    """Overwrite some bytes, with noise or with one value."""
    place, length = random.randrange(len(data) + 1), random.choice((1, 2, 4, 8, 64))
    value = random.choice((random.randbytes(length), bytes(length), b"\xff" * length))
    return data[:place] + value + data[place + length :]


def number(data: bytes, random: Random) -> bytes:
    """Overwrite a binary integer with one at the edge of its range."""
    size = random.choice((1, 2, 4, 8))
    place = random.randrange(len(data) + 1)
    value = random.choice(NUMBERS) % 2 ** (8 * size)
    return (
        data[:place]
        + value.to_bytes(size, random.choice(("little", "big")))
        + data[place + size :]
    )


def cut(data: bytes, random: Random) -> bytes:
    """Cut the end off, or a piece out."""
    start = random.randrange(len(data) + 1)
    return (
        data[:start]
        if random.random() < 0.5
        else data[:start] + data[start + random.randint(1, 64) :]
    )


def insert(data: bytes, random: Random) -> bytes:
    """Insert some bytes."""
    place = random.randrange(len(data) + 1)
    return data[:place] + random.randbytes(random.choice((1, 4, 16))) + data[place:]


def repeat(data: bytes, random: Random) -> bytes:
    """Repeat a piece, now and then often."""
    start = random.randrange(len(data) + 1)
    piece = data[start : start + random.choice((1, 8, 64, 512))]
    return data[:start] + piece * random.choice((2, 2, 3, 100)) + data[start:]


def swap(data: bytes, random: Random) -> bytes:
    """Copy a piece to another place."""
    length = random.choice((1, 4, 8, 32))
    source, target = (random.randrange(len(data) + 1) for _ in range(2))
    return data[:target] + data[source : source + length] + data[target + length :]


def word(data: bytes, random: Random) -> bytes:
    """Replace a word or number of a text."""
    text = data.decode("utf-8", "surrogateescape")
    words = list(re.finditer(r"[\w.+-]+", text))
    if not words:
        return data
    old = random.choice(words)
    new = random.choice(
        [*WORDS, *map(str, NUMBERS), random.choice(words)[0], old[0] * 2],
    )
    return (text[: old.start()] + new + text[old.end() :]).encode(
        "utf-8",
        "surrogatepass" if "\ud800" in new else "surrogateescape",
    )


def in_json(data: bytes, random: Random) -> bytes:
    """Replace, remove or add one value of a JSON document, wherever it lies."""
    try:
        document = json.loads(data)
        holders = list(_holders(document))
    except (ValueError, RecursionError):
        return data
    if not holders:
        return json.dumps(random.choice(VALUES)).encode()
    holder, key = random.choice(holders)
    if random.random() < 0.15:
        del holder[key]
    elif random.random() < 0.1 and isinstance(holder, list):
        holder.insert(key, holder[key])
    else:
        holder[key] = random.choice(VALUES)
    return json.dumps(document).encode()


def _holders(value: Any) -> Any:
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, inner in items:
        yield value, key
        yield from _holders(inner)


def in_gzip(data: bytes, random: Random) -> bytes:
    """Change what is packed, and pack it again."""
    try:
        return gzip.compress(mutate("a.csv", gzip.decompress(data), random), mtime=0)
    except UNPACKED:  # changed before: no archive any more
        return data


def in_zip(data: bytes, random: Random) -> bytes:
    """Change one member of an archive, and pack it again with right checksums."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [(item, archive.read(item)) for item in archive.infolist()]
    except UNPACKED:
        return data
    changed = random.randrange(len(members)) if members else 0
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for place, (item, content) in enumerate(members):
            how = (
                random.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
                if place == changed
                else item.compress_type
            )
            archive.writestr(
                item.filename,
                mutate("member", content, random) if place == changed else content,
                how,
            )
    return packed.getvalue()
