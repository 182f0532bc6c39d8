"""Files of `torch.save`: tensors, NumPy arrays and dicts of them.

torch is not asked to read them: it takes memory for what a file claims, reads members of an archive
that another program packed as if they were its own, and verifies no checksum.
"""

from __future__ import annotations

import math
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from survfuse._errors import FeatureFileError
from survfuse._gate import boundary, refuse_claim, regular_file
from survfuse.readers.archives import Bytes, open_archive, read_member
from survfuse.readers.array_checks import BYTES_LIMIT, AnyArray
from survfuse.readers.pickles import read_pickle
from survfuse.readers.record import COORD_KEYS, ReadOptions, no_features

_WHAT = "plain tensors or arrays"
_REMEDY = (
    "objects are never unpickled: save the tensor or the NumPy array itself, or a dict of `features` and "
    "`coords`, with torch.save and its default pickle_protocol"
)


def open_torch(path: Path, options: ReadOptions) -> dict[str, AnyArray]:
    """Read the arrays of features and coordinates from a file of `torch.save`.

    Raises
    ------
    FeatureFileError
        On pickled objects, a cut or changed file, or a dict without features.
    """
    with _open(path) as (saved, storages):
        if not isinstance(saved, dict):
            return {"features": _as_array(saved, "features", storages, path)}
        arrays: dict[str, AnyArray] = {}
        for key in (*options.feature_keys, *COORD_KEYS):
            if saved.get(key) is not None:
                arrays[key] = _as_array(saved[key], key, storages, path)
        if set(arrays).isdisjoint(options.feature_keys):
            names = [f"{str(key)[:80]} {_shape(value)}" for key, value in saved.items()]
            raise FeatureFileError(no_features(path, options, names))
        return arrays


def _shape(value: Any) -> str:
    if isinstance(value, _Tensor | _SavedArray):
        return str(value.shape)
    return f"({value.kind if isinstance(value, _Other) else type(value).__name__})"


_Storages = Callable[["_Storage"], Bytes]
"""Reads the bytes of a storage."""


@contextmanager
def _open(path: Path) -> Iterator[tuple[Any, _Storages]]:
    """Yield what was saved, its tensors without their values, and what reads those."""
    size = regular_file(path, limit=BYTES_LIMIT, error=FeatureFileError)
    with path.open("rb") as file:
        zipped = file.read(4) == b"PK\x03\x04"
    if zipped:
        with open_archive(path, _WHAT, _REMEDY) as archive:
            yield _read_zipped(archive)
    else:
        refuse_claim(path, size, size, error=FeatureFileError)
        with boundary(path, _WHAT, error=FeatureFileError, remedy=_REMEDY):
            yield _read_legacy(path.read_bytes())


def _read_zipped(archive: zipfile.ZipFile) -> tuple[Any, _Storages]:
    """Read the archives that torch has written since 1.6: ``<name>/data.pkl`` and ``<name>/data/<key>``."""
    names = [name for name in archive.namelist() if re.fullmatch(r"([^/]*/)?data\.pkl", name)]
    if len(names) != 1:
        raise ValueError(f"{len(names)} members data.pkl in the archive, expected one")
    folder = names[0].removesuffix("data.pkl")
    order = "little"
    if f"{folder}byteorder" in archive.namelist():
        order = read_member(archive, archive.getinfo(f"{folder}byteorder")).tobytes().decode()
    if order not in ("little", "big"):
        raise ValueError(f"bytes in the order {order!r}")
    saved, _ = read_pickle(read_member(archive, archive.getinfo(names[0])).tobytes(), _named, _Storage.of)

    def read(storage: _Storage) -> Bytes:
        member = archive.getinfo(f"{folder}data/{storage.key}")
        if member.file_size != storage.size:
            raise ValueError(f"a storage claims {storage.size} bytes where {member.file_size} are stored")
        values = read_member(archive, member)
        return values if order == "little" else _swapped(values, storage.kind.itemsize)

    return saved, read


def _read_legacy(data: bytes) -> tuple[Any, _Storages]:
    """Read what torch wrote before 1.6: five pickles, then the storages in the order of their keys."""
    known: dict[str, _Storage] = {}

    def remember(saved_id: Any) -> _Storage:
        storage = _Storage.of(saved_id)
        return known.setdefault(storage.key, storage)

    pickled = []
    end = 0
    for _ in range(5):
        value, end = read_pickle(data, _named, remember, end)
        pickled.append(value)
    magic, version, _, saved, keys = pickled
    if (magic, version) != _LEGACY or not isinstance(keys, list):
        raise ValueError("not written by torch.save")
    places: dict[str, int] = {}
    for key in keys:
        storage = known[key]
        places[key] = end + 8
        if int.from_bytes(data[end : end + 8], "little", signed=True) * storage.kind.itemsize != storage.size:
            raise ValueError(f"storage {key!r} is not of the size that its tensors claim")
        end += 8 + storage.size
    if end != len(data):
        raise ValueError(f"{end} bytes expected, {len(data)} are in the file")

    def read(storage: _Storage) -> Bytes:
        return np.frombuffer(data, np.uint8, storage.size, places[storage.key]).copy()

    return saved, read


_LEGACY = (0x1950A86A20F9469CFC6C, 1001)
"""Magic number and version of the format."""


# -- what a pickle of torch may hold; our own classes stand for those of torch and NumPy


@dataclass(frozen=True)
class _Kind:
    """A dtype of torch."""

    name: str

    @property
    def itemsize(self) -> int:
        """Bytes of one value."""
        bits = re.search(r"\d+", self.name)
        return 1 if bits is None else max(int(bits[0]) // 8, 1)


@dataclass(frozen=True)
class _Storage:
    """Where the values of a tensor lie in the file, and how many bytes they are."""

    key: str
    kind: _Kind
    size: int

    @classmethod
    def of(cls, saved_id: Any) -> _Storage:
        """Take it from a persistent id."""
        mark, kind, key, _, count = saved_id[:5]
        if mark != "storage" or not isinstance(kind, _Kind) or not isinstance(key, str):
            raise ValueError("a storage without type or key")
        if any(view is not None for view in saved_id[5:]):
            raise ValueError("a storage that is part of another")
        if not isinstance(count, int) or count < 0:
            raise ValueError(f"a storage of {count!r} values")
        return cls(key, kind, count * kind.itemsize)


@dataclass(frozen=True)
class _Other:
    """What the file may hold beside its arrays, or what makes it; only its kind is kept."""

    kind: str

    def __call__(self, *_: Any) -> _Other:
        return self


@dataclass(frozen=True)
class _Tensor:
    """A dense tensor as it is pickled; nothing is read before :meth:`array`."""

    storage: Any
    start: Any
    sizes: Any
    strides: Any
    kind: Any
    flags: Any

    @property
    def shape(self) -> tuple[int, ...]:
        """As the file claims."""
        return _whole_numbers(self.sizes)

    def array(self, key: str, storages: _Storages, path: Path) -> AnyArray:
        """Read its values; types that NumPy lacks become float32."""
        if not isinstance(self.storage, _Storage) or not isinstance(self.kind, _Kind) or self.flags:
            raise ValueError(f"{key!r} is no dense tensor")
        shape, strides = self.shape, _whole_numbers(self.strides)
        (start,) = _whole_numbers((self.start,))
        if len(shape) != len(strides):
            raise ValueError(f"{key!r} has shape {shape} and strides {strides}")
        claimed = math.prod(shape) * self.kind.itemsize
        if claimed > self.storage.size:
            raise FeatureFileError(
                f"{path}: {key!r} claims shape {shape} ({claimed} bytes), where {self.storage.size} are "
                "stored; save it again with `.clone()`, which stores every value"
            )
        if claimed == 0:
            return np.zeros(shape, as_numbers(np.zeros(0, np.uint8), self.kind.name, key, path).dtype)
        values = as_numbers(storages(self.storage), self.kind.name, key, path)
        last = start + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
        if last >= len(values):
            raise ValueError(f"{key!r} reaches beyond its storage")
        steps = [step * values.itemsize for step in strides]
        return np.lib.stride_tricks.as_strided(values[start:], shape, steps)


def _whole_numbers(values: Any) -> tuple[int, ...]:
    """Accept a tuple of a few numbers >= 0, such as a shape."""
    if not isinstance(values, tuple) or len(values) > _MOST_AXES:
        raise ValueError("a shape that is none")
    for value in values:
        if type(value) is not int or not 0 <= value < 2**62:
            raise ValueError("a shape that is none")
    return values


_MOST_AXES = 8


def as_numbers(stored: Bytes, kind: str, key: str, path: Path) -> AnyArray:
    """View bytes as numbers of a type that torch names so; those that NumPy lacks become float32.

    Raises
    ------
    FeatureFileError
        For types that hold no floats or integers.
    """
    if re.fullmatch(r"float(16|32|64)|u?int(8|16|32|64)", kind):
        return stored.view(np.dtype(kind).newbyteorder("<"))
    if kind == "bfloat16":
        return (stored.view("<u2").astype("<u4") << 16).view(np.float32)
    if re.fullmatch(r"float8_\w+", kind):
        import torch

        known = getattr(torch, kind, None)
        if isinstance(known, torch.dtype):
            every = torch.arange(256, dtype=torch.uint8).view(known).float().numpy()
            values: AnyArray = every[stored]
            return values
    raise FeatureFileError(f"{path}: {key!r} has dtype torch.{kind}, expected floats")


def _as_array(value: Any, key: str, storages: _Storages, path: Path) -> AnyArray:
    if isinstance(value, _Tensor):
        return value.array(key, storages, path)
    if isinstance(value, _SavedArray):
        return value.array(key, path)
    raise FeatureFileError(f"{path}: {key!r} is {_shape(value)[1:-1]}, expected a dense tensor (tiles, dim)")


class _SavedType:
    """A dtype of NumPy as it is pickled: its name, and the byte order in its state."""

    def __init__(self, name: Any, *_: Any) -> None:
        self.name = name
        self.order = "="

    def take_state(self, state: Any) -> None:
        if state[1] in ("<", ">"):
            self.order = state[1]

    def plain(self) -> np.dtype[Any]:
        """The type, where it is one of floats or integers."""
        if not isinstance(self.name, str) or re.fullmatch(r"[fiu][1248]", self.name) is None:
            raise ValueError(f"a NumPy array of dtype {self.name!r}, expected floats or integers")
        return np.dtype(self.order + self.name)


class _SavedArray:
    """An array of NumPy as it is pickled; nothing is made before :meth:`array`."""

    def __init__(self, *_: Any) -> None:
        self.state: Any = ()

    def take_state(self, state: Any) -> None:
        self.state = state

    @property
    def shape(self) -> tuple[int, ...]:
        """As the file claims."""
        return _whole_numbers(self.state[1])

    def array(self, key: str, path: Path) -> AnyArray:
        """Make the array from its bytes."""
        try:
            _, _, saved, by_columns, raw = self.state
            values = np.frombuffer(raw.encoded(), saved.plain())
            return values.reshape(self.shape, order="F" if by_columns else "C")
        except (TypeError, ValueError, AttributeError, IndexError) as error:
            raise FeatureFileError(f"{path}: {key!r} is no plain NumPy array ({error}); {_REMEDY}") from None


@dataclass(frozen=True)
class _Encoded:
    """Bytes, which protocol 2 writes as text; made once they are needed."""

    text: Any = ""
    encoding: Any = "latin1"

    def encoded(self) -> bytes:
        if self.encoding != "latin1" or not isinstance(self.text, str):
            raise ValueError(f"bytes written as {self.encoding!r}")
        return self.text.encode("latin1")


def _tensor(
    storage: Any,
    start: Any,
    sizes: Any,
    strides: Any,
    _grad: Any = None,
    _hooks: Any = None,
    flags: Any = None,
) -> _Tensor:
    return _Tensor(storage, start, sizes, strides, getattr(storage, "kind", None), flags)


def _tensor_of_kind(
    storage: Any, start: Any, sizes: Any, strides: Any, _grad: Any, _hooks: Any, kind: Any, flags: Any = None
) -> _Tensor:
    return _Tensor(storage, start, sizes, strides, kind, flags)


def _ordered() -> dict[Any, Any]:
    return {}


def _first(value: Any = (), *_: Any) -> Any:
    return value


def _with_attributes(function: Any, _kind: Any, values: Any, _state: Any) -> Any:
    """A tensor that had attributes of its own, which are not read."""
    return function(*values) if function in (_tensor, _tensor_of_kind, _first) else _Other("a tensor")


_STORAGES = {
    "Half": "float16", "BFloat16": "bfloat16", "Float": "float32", "Double": "float64",
    "Byte": "uint8", "Char": "int8", "Short": "int16", "Int": "int32", "Long": "int64", "Bool": "bool",
    "ComplexFloat": "complex64", "ComplexDouble": "complex128", "Untyped": "uint8",
    "QUInt8": "quint8", "QInt8": "qint8", "QInt32": "qint32",
}  # fmt: skip

_NAMES: Mapping[str, Any] = {
    "collections.OrderedDict": _ordered,
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor_v3": _tensor_of_kind,
    "torch._utils._rebuild_parameter": _first,
    "torch._utils._rebuild_parameter_with_state": _first,
    "torch._tensor._rebuild_from_type_v2": _with_attributes,
    "torch.Size": _first,
    "numpy.dtype": _SavedType,
    "numpy.core.multiarray._reconstruct": _SavedArray,
    "numpy._core.multiarray._reconstruct": _SavedArray,
    "_codecs.encode": _Encoded,
    "builtins.bytes": _Encoded,
}
_INERT = frozenset([
    "builtins.set", "builtins.complex", "builtins.bytearray", "collections.Counter",
    "torch.device", "torch.serialization._get_layout", "numpy.ndarray",
    "numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar", "torch.Tensor",
    "torch.nn.parameter.Parameter",
])  # fmt: skip
_KINDS = re.compile(r"torch\.(b?float\d+\w*|u?int\d+|bool|complex\d+|q?u?int\d+\w*)")


def _named(name: str) -> Any:
    """What stands for a name in a pickle; protocol 2 writes the names of Python 2."""
    name = re.sub(r"^__builtin__\.", "builtins.", name)
    if name in _NAMES:
        return _NAMES[name]
    storage = re.fullmatch(r"torch\.(?:storage\.)?(\w+)Storage", name)
    if storage is not None and storage[1] in _STORAGES:
        return _Kind(_STORAGES[storage[1]])
    if (kind := _KINDS.fullmatch(name)) is not None:
        return _Kind(kind[1])
    if name in _INERT or re.fullmatch(r"torch\._utils\._rebuild_\w+|torch\.(\w*Tensor|per_\w+)", name):
        return _Other(name)
    raise ValueError(f"it holds {name.removeprefix('builtins.')}")


def _swapped(values: Bytes, itemsize: int) -> Bytes:
    return np.ascontiguousarray(values.reshape(-1, itemsize)[:, ::-1]).reshape(-1)
