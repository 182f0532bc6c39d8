"""Files that are whole or absent, say what they are, and can be read without us.

JSON and safetensors only; nothing here can execute what it reads.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from survfuse._errors import InputError, context
from survfuse._gate import boundary, format_bytes, read_text, refuse_claim, regular_file
from survfuse._places import refuse_others, sweep_once, temporary_path
from survfuse._types import AnyArray

JSON_SIZE_LIMIT = 64 * 2**20  # bytes
JSON_DEPTH_LIMIT = 32
HEADER_LIMIT = 8 * 2**20
"""Largest header of a safetensors file that is read, in bytes: some 50,000 tensors."""
_BYTES_OF_VALUE = (
    32  # of JSON; a file of the largest size may have as many values as this makes
)
_BRACKET_OR_STRING = re.compile(r'[\[\]{}]|"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_AS_ZERO = bytes.maketrans(b"123456789", b"000000000")
_HUGE = (b"e000", b"E000", b"e+000", b"E+000", b"0" * 309)


@contextmanager
def atomic_path(
    path: Path | str,
    *,
    durable: bool = True,
) -> Iterator[Path]:
    """Yield a temporary path beside `path` that replaces it when the block succeeds.

    A reader sees the old file or the new one, never half of one. A link to a file stays: the
    file that it leads to is replaced. What killed processes left of earlier ones is removed.

    Parameters
    ----------
    path : path
        Where the finished file shall lie; its folder is created.
    durable : bool
        Wait until the bytes are on the disk. Without it a power cut may leave an empty
        file: right only for what can be made again.

    Raises
    ------
    InputError
        When something other than a regular file is there (:func:`survfuse._places.refuse_others`).
    """
    target = Path(path)
    refuse_others(target)
    if target.is_symlink():
        target = target.resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    sweep_once(target.parent)
    temporary = temporary_path(target)
    temporary.touch(exist_ok=False)
    try:
        yield temporary
        if durable:
            with temporary.open("rb+") as written:
                os.fsync(written.fileno())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path | str, text: str) -> None:
    """Write UTF-8 text atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(
            text,
            encoding="utf-8",
            newline="\n",
        )


def to_json(value: Any) -> str:
    """Render JSON with sorted keys; NaN and infinities are refused, numpy scalars are not.

    A file name that is no UTF-8 cannot be written as it is; the text then has escapes.
    """
    render = partial(
        json.dumps,
        value,
        indent=2,
        sort_keys=True,
        allow_nan=False,
        default=_plain,
    )
    text = render(ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        return render()
    return text


def write_json(path: Path | str, value: Any) -> None:
    """Write `value` as JSON atomically (see :func:`to_json`)."""
    write_text(path, to_json(value) + "\n")


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Path):
        return value.as_posix()
    raise TypeError(f"{type(value).__name__} has no place in a JSON file")


def read_json(
    path: Path | str,
    *,
    size_limit: int = JSON_SIZE_LIMIT,
) -> Any:
    """Read JSON that a stranger may have written.

    Parameters
    ----------
    path : path
        The file, UTF-8.
    size_limit : int, bytes
        Larger files are refused unread.

    Raises
    ------
    InputError
        When it is no regular file, is too large or too deep, is not JSON, repeats a key, or holds
        NaN, an infinity (which are not JSON) or a number that fits no double.
    """
    text = read_text(path, limit=size_limit)
    hooks: dict[str, Any] = {
        "object_pairs_hook": _unique_keys,
        "parse_constant": _refuse_constant,
    }
    if _may_overflow(text):
        hooks |= {"parse_float": _finite, "parse_int": _whole}
    with boundary(path, "JSON"), context(str(path)):
        _refuse_bomb(text, most=size_limit // _BYTES_OF_VALUE)
        try:
            return json.loads(text, **hooks)
        except json.JSONDecodeError as error:
            raise InputError(
                f"not JSON: {error.msg} (line {error.lineno}, column {error.colno})",
            ) from None


def _refuse_bomb(text: str, most: int) -> None:
    """Refuse more values than such a file has, and nesting that no file of ours has."""
    opened = text.count("[") + text.count("{")
    if text.count(",") + opened > most:
        raise InputError(
            f"more than {most} values of JSON, of such a file no more are read",
        )
    if opened <= JSON_DEPTH_LIMIT:
        return
    depth = 0
    for mark in _BRACKET_OR_STRING.finditer(text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(mark[0], 0)
        if depth > JSON_DEPTH_LIMIT:
            raise InputError(f"JSON nested deeper than {JSON_DEPTH_LIMIT} levels")


def _may_overflow(text: str) -> bool:
    """Whether a number may be too large for a double: 309 digits, or three in its exponent."""
    plain = text.encode("utf-8", "surrogatepass").translate(_AS_ZERO)
    return any(part in plain for part in _HUGE)


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        counts = Counter(key for key, _ in pairs)
        key, _ = counts.most_common(1)[0]
        raise InputError(f"key {key[:100]!r} appears twice in one object")
    return result


def _refuse_constant(text: str) -> float:
    raise InputError(f"{text} is not a JSON number; leave the key out or use null")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise InputError(f"{text[:40]} does not fit a double")
    return number


def _whole(text: str) -> int:
    _finite(text)
    return int(text)


def write_tensors(
    path: Path | str,
    tensors: Mapping[str, AnyArray],
    metadata: Mapping[str, str],
) -> None:
    """Write arrays as one safetensors file, atomically; the same content gives the same bytes.

    The library's own writer shuffles the metadata. The layout is its: tensors by falling size of
    their numbers, then by name, so that each starts at a multiple of that size.

    Parameters
    ----------
    path : path
        Where the file shall lie.
    tensors : mapping of name to array
        Any shapes; made contiguous on the way.
    metadata : mapping of str to str
        Kept in the header; ``format`` and ``version`` belong here.
    """
    arrays = {name: _little_endian(array) for name, array in tensors.items()}
    order = sorted(arrays, key=lambda name: (-arrays[name].itemsize, name))
    header: dict[str, Any] = (
        {"__metadata__": dict(sorted(metadata.items()))} if metadata else {}
    )
    end = 0
    for name in order:
        start, end = end, end + arrays[name].nbytes
        kind = _TENSOR_KINDS[arrays[name].dtype.str[1:]]
        header[name] = {
            "dtype": kind,
            "shape": list(arrays[name].shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(
        header,
        ensure_ascii=False,
        separators=(",", ":"),
    ).encode()
    text += b" " * (-len(text) % 8)
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in order:
            file.write(arrays[name].reshape(-1).view(np.uint8).data)


_TENSOR_KINDS = {"b1": "BOOL"}
"""Name in safetensors of each NumPy type that has one."""
for _size in (1, 2, 4, 8):
    _TENSOR_KINDS |= {f"i{_size}": f"I{8 * _size}", f"u{_size}": f"U{8 * _size}"}
    if _size > 1:
        _TENSOR_KINDS[f"f{_size}"] = f"F{8 * _size}"


def _little_endian(array: AnyArray) -> AnyArray:
    return np.ascontiguousarray(array, array.dtype.newbyteorder("<"))


def read_tensors(
    path: Path | str,
) -> tuple[dict[str, AnyArray], dict[str, str]]:
    """Read a safetensors file: arrays by name, and the header's metadata.

    Raises
    ------
    InputError
        When the file is absent, is not a whole safetensors file, or holds types that NumPy lacks.
    """
    from safetensors import safe_open

    check_tensors(path)
    with (
        boundary(path, "a whole safetensors file"),
        safe_open(str(path), framework="numpy") as file,
    ):
        names = list(file.keys())
        return {name: file.get_tensor(name) for name in names}, dict(
            file.metadata() or {},
        )


def check_tensors(
    path: Path | str,
    *,
    error: type[InputError] = InputError,
) -> None:
    """Refuse a safetensors file by its size and that of its header, before it is opened.

    What the header claims of each tensor is held against the file by safetensors itself.

    Raises
    ------
    InputError
        Or `error`, when it is no regular file, or its header or its values do not fit into memory.
    """
    size = regular_file(path, error=error)
    with (
        boundary(path, "a safetensors file", error=error),
        open(path, "rb", buffering=0) as file,
    ):
        header = int.from_bytes(file.read(8), "little")
    if header > min(HEADER_LIMIT, size):
        raise error(
            f"{path}: expected a whole safetensors file, got a header of {format_bytes(header)} in "
            f"{format_bytes(size)}; write it again",
        )
    refuse_claim(path, size, size, error=error)


def stored_array(
    tensors: Mapping[str, AnyArray],
    name: str,
    shape: tuple[int | None, ...],
) -> AnyArray:
    """Take one array of finite floats out of a file's arrays.

    Parameters
    ----------
    tensors : mapping of name to array
    name : str
    shape : tuple of int or None
        What its shape must be; None: any length of at least 1.

    Raises
    ------
    InputError
        When the array is absent, of another shape or type, or holds NaN or an infinity.
    """
    wanted = "x".join("any" if length is None else str(length) for length in shape)
    if name not in tensors:
        raise InputError(f"array {name!r} is missing; expected {wanted} floats")
    array = tensors[name]
    fits = array.ndim == len(shape) and all(
        length >= 1 if want is None else length == want
        for length, want in zip(array.shape, shape, strict=True)
    )
    if not fits or array.dtype.kind != "f":
        raise InputError(
            f"array {name!r}: expected {wanted} floats, got {array.dtype} of shape {array.shape}",
        )
    if not np.isfinite(array).all():
        raise InputError(f"array {name!r} holds NaN or infinite numbers")
    return array


def stored_texts(values: Any, name: str) -> tuple[str, ...]:
    """Take a list of texts out of what JSON gave.

    Raises
    ------
    InputError
        When it is no list, or something in it is no text.
    """
    texts = isinstance(values, list) and all(isinstance(value, str) for value in values)
    if not texts:
        raise InputError(f"{name}: expected a list of texts")
    return tuple(values)


def stored_numbers(values: Any, name: str) -> dict[str, float]:
    """Take a mapping of names to finite numbers out of what JSON gave.

    Raises
    ------
    InputError
        When it is no mapping, or something in it is no finite number.
    """
    if not isinstance(values, Mapping):
        raise InputError(f"{name}: expected a mapping, got {str(values)[:60]!r}")
    for key, value in values.items():
        if type(value) not in (int, float) or not math.isfinite(value):
            raise InputError(f"{name}: {key}: expected a finite number, got {value!r}")
    return {key: float(value) for key, value in values.items()}


def sha256_file(path: Path | str) -> str:
    """Hash a file's bytes, hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_stamp(path: Path | str) -> list[int]:
    """Inode, size, and times of modification and of status change (ns) of a file.

    While all of them are the same, so is the content: whoever edits a file and sets back its time
    of modification cannot set back the time of its status change.
    """
    stat = Path(path).stat()
    return [stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]


def sha256_json(value: Any) -> str:
    """Hash a value as JSON of one spelling, however a file lays it out, hexadecimal."""
    return sha256_text(
        json.dumps(
            value,
            sort_keys=True,
            separators=(",", ":"),
            default=_plain,
        ),
    )


def sha256_text(text: str) -> str:
    """Hash a text's UTF-8 bytes, hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def sha256_array(array: AnyArray) -> str:
    """Hash an array's dtype, shape and values, hexadecimal."""
    digest = hashlib.sha256(f"{array.dtype.str}{array.shape}".encode())
    digest.update(np.ascontiguousarray(array).view(np.uint8).data)
    return digest.hexdigest()
