"""Files of `torch.save`: tensors, NumPy arrays and dictionaries of them.

torch does not read them: it reserves the memory that a file claims, reads members of an archive
that another program packed as if they were its own, and verifies no checksum. Classes of our own
stand for those of torch and NumPy: each stores what the file says, and reads values on demand.
"""

from __future__ import annotations

import io
import math
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from survfuse._errors import FeatureFileError, InputError
from survfuse._gate import boundary, refuse_claim, regular_file
from survfuse._types import AnyArray, ByteArray
from survfuse.readers.archives import open_archive, read_member
from survfuse.readers.array_checks import BYTES_LIMIT, swap_bytes
from survfuse.readers.pickles import read_pickle
from survfuse.readers.slide_features import COORD_KEYS, ReadOptions, no_features

if TYPE_CHECKING:
    import torch

_REMEDY = (
    "objects are never unpickled: save the tensor or the NumPy array itself, or a dict of "
    "`features` and `coords`, with torch.save and its default pickle_protocol; copy a damaged "
    "file again"
)
_MOST_AXES = 8
_LEGACY = (0x1950A86A20F9469CFC6C, 1001)
"""Magic number and version of the format before torch 1.6."""


def open_torch(
    path: Path,
    options: ReadOptions,
) -> dict[str, AnyArray]:
    """Read the arrays of features and coordinates from a file of `torch.save`.

    Raises
    ------
    FeatureFileError
        On pickled objects, a cut or changed file, or a dict without features.
    """
    regular_file(
        path,
        limit=BYTES_LIMIT,
        error=FeatureFileError,
    )
    with _open(path, "plain tensors or arrays", _REMEDY, FeatureFileError) as (
        saved,
        storages,
    ):
        if not isinstance(saved, dict):
            return {"features": _array(saved, "features", storages, path)}
        arrays: dict[str, AnyArray] = {}
        for key in (*options.feature_keys, *COORD_KEYS):
            if saved.get(key) is not None:
                arrays[key] = _array(saved[key], key, storages, path)
        if set(arrays).isdisjoint(options.feature_keys):
            names = [f"{str(key)[:80]} {_shape(value)}" for key, value in saved.items()]
            raise FeatureFileError(no_features(path, options, names))
        return arrays


def read_checkpoint(
    path: Path,
    *,
    remedy: str,
    error: type[InputError] = InputError,
) -> Any:
    """Read a checkpoint of `torch.save`, without running anything in it.

    Parameters
    ----------
    path : Path
    remedy : str
        What to do about a file that cannot be read.
    error : type of InputError
        What to raise.

    Returns
    -------
    object
        What was saved, with torch tensors on the CPU in its dictionaries. Tensors elsewhere, and
        values that are neither tensors nor plain, are not read.

    Raises
    ------
    InputError
        When it is no regular file, was cut or changed, claims memory that it does not fill, or
        names what cannot be read without running code.
    """
    with _open(path, "a checkpoint that is safe to read", remedy, error) as opened:
        saved, storages = opened
        tables, known = [saved], set()
        while tables:
            table = tables.pop()
            if not isinstance(table, dict) or id(table) in known:
                continue
            known.add(id(table))
            for key, value in table.items():
                if isinstance(value, SavedTensor):
                    table[key] = value.tensor(str(key), storages)
                elif isinstance(value, SavedArray):
                    table[key] = value.array(str(key), storages, path)
            tables += table.values()
        return saved.tensor("it", storages) if isinstance(saved, SavedTensor) else saved


# -- the two layouts of a file


@contextmanager
def _open(
    path: Path,
    what: str,
    remedy: str,
    error: type[InputError],
) -> Iterator[tuple[Any, Storages]]:
    """Yield what was saved, its tensors without their values, and what reads those."""
    size = regular_file(path, error=error)
    refuse_claim(path, size, size, error=error)
    with path.open("rb") as file:
        zipped = file.read(4) == b"PK\x03\x04"
    if zipped:
        with open_archive(path, what, remedy, error=error) as archive:
            yield _read_zipped(archive)
    else:
        with boundary(
            path,
            what,
            error=error,
            remedy=remedy,
        ):
            yield _read_legacy(path.read_bytes())


def _read_zipped(archive: zipfile.ZipFile) -> tuple[Any, Storages]:
    """Read an archive of torch >= 1.6: ``<name>/data.pkl`` and ``<name>/data/<key>``."""
    members = set(archive.namelist())
    names = [name for name in members if re.fullmatch(r"([^/]*/)?data\.pkl", name)]
    if len(names) != 1:
        raise ValueError(f"{len(names)} members data.pkl in the archive, expected one")
    folder = names[0].removesuffix("data.pkl")
    order = b"little"
    if f"{folder}byteorder" in members:
        order = read_member(archive, archive.getinfo(f"{folder}byteorder")).tobytes()
    if order not in (b"little", b"big"):
        raise ValueError(f"bytes in the order {order!r}")
    pickled = read_member(archive, archive.getinfo(names[0])).tobytes()

    def read(storage: Storage) -> ByteArray:
        member = archive.getinfo(f"{folder}data/{storage.key}")
        if member.file_size != storage.size:
            raise ValueError(
                f"a storage claims {storage.size} bytes where {member.file_size} are stored",
            )
        values = read_member(archive, member)
        return values if order == b"little" else swap_bytes(values, storage.itemsize)

    return read_pickle(io.BytesIO(pickled), _stand_in, Storage.of), _Storages(read)


def _read_legacy(data: bytes) -> tuple[Any, Storages]:
    """Read a file of torch < 1.6: five pickles, then the storages in the order of their keys."""
    known: dict[str, Storage] = {}

    def remember(saved_id: Any) -> Storage:
        storage = Storage.of(saved_id)
        return known.setdefault(storage.key, storage)

    file = io.BytesIO(data)
    magic, version, _, saved, keys = (
        read_pickle(file, _stand_in, remember) for _ in range(5)
    )
    if (magic, version) != _LEGACY or not isinstance(keys, list):
        raise ValueError("not written by torch.save")
    places: dict[str, int] = {}
    end = file.tell()
    for key in keys:
        if not isinstance(key, str) or key not in known:
            raise ValueError("a storage that no tensor has")
        storage = known[key]
        count = int.from_bytes(data[end : end + 8], "little", signed=True)
        if count * storage.itemsize != storage.size:
            raise ValueError(
                f"storage {key!r} is not of the size that its tensors claim",
            )
        places[key] = end + 8
        end += 8 + storage.size
    if end != len(data):
        raise ValueError(f"{end} bytes expected, {len(data)} are in the file")

    def read(storage: Storage) -> ByteArray:
        return np.frombuffer(data, np.uint8, storage.size, places[storage.key]).copy()

    return saved, _Storages(read)


# -- what represents the classes of torch and NumPy


@dataclass(frozen=True)
class Kind:
    """A dtype of torch."""

    name: str


@dataclass(frozen=True)
class Storage:
    """Where the values of a tensor lie in the file: their key, type and size in bytes."""

    key: str
    kind: Kind
    size: int

    @property
    def itemsize(self) -> int:
        """ByteArray of one value."""
        return _itemsize(self.kind.name)

    @classmethod
    def of(cls, saved_id: Any) -> Storage:
        """Take it from a persistent id."""
        mark, kind, key, _, count = saved_id[:5]
        if mark != "storage" or not isinstance(kind, Kind) or not isinstance(key, str):
            raise ValueError("a storage without type or key")
        if any(view is not None for view in saved_id[5:]):
            raise ValueError("a storage that is part of another")
        if not isinstance(count, int) or count < 0:
            raise ValueError("a storage without a count of values")
        return cls(key, kind, count * _itemsize(kind.name))


Storages = Callable[[Storage], ByteArray]
"""Reads the bytes of a storage."""


class _Storages:
    """Reads each storage once, so that tensors that share values still do."""

    def __init__(self, read: Storages) -> None:
        self._read = read
        self._known: dict[str, ByteArray] = {}

    def __call__(self, storage: Storage) -> ByteArray:
        if storage.key not in self._known:
            self._known[storage.key] = self._read(storage)
        return self._known[storage.key]


@dataclass(frozen=True)
class Other:
    """Anything else that the file holds, or the function that makes it; only its name is read."""

    name: str

    def __call__(self, *_: Any) -> Other:
        """Represent the result of a function too."""
        return self


class SavedTensor:
    """A dense tensor as it is pickled; its values are not read before they are needed."""

    def __init__(
        self,
        storage: Any,
        start: Any,
        sizes: Any,
        strides: Any,
        _grad: Any = None,
        _hooks: Any = None,
        flags: Any = None,
    ) -> None:
        self.storage, self.start, self.flags = storage, start, flags
        self.sizes, self.strides = sizes, strides
        self.kind: Any = getattr(storage, "kind", None)

    @classmethod
    def of_kind(cls, *arguments: Any) -> SavedTensor:
        """Make one whose type is not that of its storage."""
        tensor = cls(*arguments[:6], *arguments[7:])
        tensor.kind = arguments[6]
        return tensor

    @property
    def shape(self) -> tuple[int, ...]:
        """As the file claims."""
        return _whole_numbers(self.sizes)

    def array(
        self,
        key: str,
        storages: Storages,
        path: Path,
    ) -> AnyArray:
        """Read it as an array; types that NumPy lacks become float32."""
        start, strides = self._layout(key, path)
        if 0 in self.shape:
            none = as_numbers(np.zeros(0, np.uint8), self.kind.name, key, path)
            return np.zeros(self.shape, none.dtype)
        values = as_numbers(storages(self.storage), self.kind.name, key, path)
        steps = [step * values.itemsize for step in strides]
        return np.lib.stride_tricks.as_strided(values[start:], self.shape, steps)

    def tensor(
        self,
        key: str,
        storages: Storages,
    ) -> torch.Tensor:
        """Read it as a tensor of its own type."""
        import torch

        start, strides = self._layout(key)
        stored = torch.from_numpy(storages(self.storage))
        values = stored.view(getattr(torch, self.kind.name))
        return torch.as_strided(values, self.shape, strides, start)

    def _layout(
        self,
        key: str,
        path: Path | None = None,
    ) -> tuple[int, tuple[int, ...]]:
        """Return the first value and the strides, where all values lie in the storage."""
        stored, kind = self.storage, self.kind
        if not (isinstance(stored, Storage) and isinstance(kind, Kind)) or self.flags:
            raise ValueError(f"{key!r} is no dense tensor")
        shape, strides = self.shape, _whole_numbers(self.strides)
        (start,) = _whole_numbers((self.start,))
        if len(shape) != len(strides):
            raise ValueError(f"{key!r} has shape {shape} and strides {strides}")
        itemsize = _itemsize(kind.name)
        claimed = math.prod(shape) * itemsize
        if claimed > stored.size and path is not None:
            raise FeatureFileError(
                f"{path}: {key!r} claims shape {shape} ({claimed} bytes), where {stored.size} are "
                "stored; save it again with `.clone()`, which stores every value",
            )
        steps = zip(shape, strides, strict=True)
        last = start + sum((n - 1) * step for n, step in steps)
        if claimed and last >= stored.size // itemsize:
            raise ValueError(f"{key!r} reaches beyond its storage")
        return start, strides


class SavedType:
    """A dtype of NumPy as it is pickled: its name, and the byte order in its state."""

    def __init__(self, name: Any, *_: Any) -> None:
        self.name, self.order = name, "="

    def take_state(self, state: Any) -> None:
        """Take the byte order."""
        if state[1] in ("<", ">"):
            self.order = state[1]


class SavedArray:
    """An array of NumPy as it is pickled; it is not made before it is needed."""

    def __init__(self, *_: Any) -> None:
        self.state: Any = ()

    def take_state(self, state: Any) -> None:
        """Store what the file says of the array."""
        self.state = state

    @property
    def shape(self) -> tuple[int, ...]:
        """As the file claims."""
        return _whole_numbers(self.state[1])

    def array(
        self,
        key: str,
        _: Storages,
        path: Path,
    ) -> AnyArray:
        """Make the array from its bytes."""
        try:
            _, _, saved, by_columns, raw = self.state
            if re.fullmatch(r"[fiu][1248]", saved.name) is None:
                raise ValueError(
                    f"a NumPy array of dtype {saved.name!r}, expected floats or integers",
                )
            if raw.encoding != "latin1":
                raise ValueError("bytes that are not written as latin1")
            values = np.frombuffer(raw.text.encode("latin1"), saved.order + saved.name)
            return values.reshape(self.shape, order="F" if by_columns else "C")
        except (TypeError, ValueError, AttributeError, IndexError) as error:
            raise FeatureFileError(
                f"{path}: {key!r} is no plain NumPy array ({error}); write it again as floats or "
                "integers",
            ) from None


@dataclass(frozen=True)
class SavedBytes:
    """ByteArray, which protocol 2 writes as text."""

    text: Any = ""
    encoding: Any = "latin1"


def _first(value: Any = (), *_: Any) -> Any:
    return value


def _with_attributes(
    function: Any,
    _type: Any,
    values: Any,
    _state: Any,
) -> Any:
    """Return a tensor without the attributes of its own, which are not read."""
    plain = function in (SavedTensor, SavedTensor.of_kind, _first)
    return function(*values) if plain else Other("a tensor")


_STORAGES = {
    "Half": "float16", "BFloat16": "bfloat16", "Float": "float32", "Double": "float64",
    "Byte": "uint8", "Char": "int8", "Short": "int16", "Int": "int32", "Long": "int64",
    "Bool": "bool",
    "ComplexFloat": "complex64", "ComplexDouble": "complex128", "Untyped": "uint8",
    "QUInt8": "quint8", "QInt8": "qint8", "QInt32": "qint32",
}  # fmt: skip
_STAND_INS: Mapping[str, Any] = {
    "collections.OrderedDict": dict,
    "torch._utils._rebuild_tensor": SavedTensor,
    "torch._utils._rebuild_tensor_v2": SavedTensor,
    "torch._utils._rebuild_tensor_v3": SavedTensor.of_kind,
    "torch._utils._rebuild_parameter": _first,
    "torch._utils._rebuild_parameter_with_state": _first,
    "torch._tensor._rebuild_from_type_v2": _with_attributes,
    "torch.Size": _first,
    "numpy.dtype": SavedType,
    "numpy.core.multiarray._reconstruct": SavedArray,
    "numpy._core.multiarray._reconstruct": SavedArray,
    "_codecs.encode": SavedBytes,
    "builtins.bytes": SavedBytes,
}
_OTHERS = re.compile(
    r"builtins\.(set|complex|bytearray)|collections\.Counter|numpy\.ndarray"
    r"|numpy\._?core\.multiarray\.scalar|torch\.(device|serialization\._get_layout)"
    r"|torch\.nn\.parameter\.Parameter|torch\._utils\._rebuild_\w+|torch\.(\w*Tensor|per_\w+)",
)
_KINDS = re.compile(r"torch\.(b?float\d+\w*|u?int\d+|bool|complex\d+|q?u?int\d+\w*)")


def _stand_in(name: str) -> Any:
    """Return what represents a name in a pickle; protocol 2 writes the names of Python 2."""
    name = re.sub(r"^__builtin__\.", "builtins.", name)
    if name in _STAND_INS:
        return _STAND_INS[name]
    storage = re.fullmatch(r"torch\.(?:storage\.)?(\w+)Storage", name)
    if storage is not None and storage[1] in _STORAGES:
        return Kind(_STORAGES[storage[1]])
    if (kind := _KINDS.fullmatch(name)) is not None:
        return Kind(kind[1])
    if _OTHERS.fullmatch(name):
        return Other(name)
    raise ValueError(f"it holds {name.removeprefix('builtins.')[:200]}")


# -- values


def as_numbers(
    stored: ByteArray,
    kind: str,
    key: str,
    path: Path,
) -> AnyArray:
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


def _array(
    value: Any,
    key: str,
    storages: Storages,
    path: Path,
) -> AnyArray:
    if isinstance(value, SavedTensor | SavedArray):
        return value.array(key, storages, path)
    raise FeatureFileError(
        f"{path}: {key!r} is {_type_name(value)}, expected a dense tensor (tiles, dim)",
    )


def _shape(value: Any) -> str:
    """Write the shape of a tensor or an array, and the type of anything else, for a message."""
    is_array = isinstance(value, SavedTensor | SavedArray)
    return str(value.shape) if is_array else f"({_type_name(value)})"


def _type_name(value: Any) -> str:
    return value.name if isinstance(value, Other) else type(value).__name__


def _itemsize(kind: str) -> int:
    bits = re.search(r"\d+", kind)
    return 1 if bits is None else max(int(bits[0]) // 8, 1)


def _whole_numbers(values: Any) -> tuple[int, ...]:
    """Accept a tuple of a few numbers >= 0, such as a shape."""
    if not isinstance(values, tuple) or len(values) > _MOST_AXES:
        raise ValueError("a shape that is none")
    for value in values:
        if type(value) is not int or not 0 <= value < 2**62:
            raise ValueError("a shape that is none")
    return values
