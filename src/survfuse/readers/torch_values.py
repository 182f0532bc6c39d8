"""What a pickle of torch may hold; our own classes stand for those of torch and NumPy.

Each keeps what the file says of it, and makes an array only when it is asked for one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from survfuse._errors import FeatureFileError
from survfuse.readers.archives import Bytes
from survfuse.readers.array_checks import AnyArray

Storages = Callable[["Storage"], Bytes]
"""Reads the bytes of a storage."""


@dataclass(frozen=True)
class Kind:
    """A dtype of torch."""

    name: str

    @property
    def itemsize(self) -> int:
        """Bytes of one value."""
        bits = re.search(r"\d+", self.name)
        return 1 if bits is None else max(int(bits[0]) // 8, 1)


@dataclass(frozen=True)
class Storage:
    """Where the values of a tensor lie in the file, and how many bytes they are."""

    key: str
    kind: Kind
    size: int

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
        return cls(key, kind, count * kind.itemsize)


@dataclass(frozen=True)
class Other:
    """What the file may hold beside its arrays, or what makes it; only its kind is kept."""

    kind: str

    def __call__(self, *_: Any) -> Other:
        """Stand for what it would have made as well."""
        return self


@dataclass(frozen=True)
class Tensor:
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

    def array(self, key: str, storages: Storages, path: Path) -> AnyArray:
        """Read its values; types that NumPy lacks become float32."""
        if (
            not isinstance(self.storage, Storage)
            or not isinstance(self.kind, Kind)
            or self.flags
        ):
            raise ValueError(f"{key!r} is no dense tensor")
        shape, strides = self.shape, _whole_numbers(self.strides)
        (start,) = _whole_numbers((self.start,))
        if len(shape) != len(strides):
            raise ValueError(f"{key!r} has shape {shape} and strides {strides}")
        claimed = math.prod(shape) * self.kind.itemsize
        if claimed > self.storage.size:
            raise FeatureFileError(
                f"{path}: {key!r} claims shape {shape} ({claimed} bytes), where {self.storage.size} are "
                "stored; save it again with `.clone()`, which stores every value",
            )
        if claimed == 0:
            return np.zeros(
                shape,
                as_numbers(np.zeros(0, np.uint8), self.kind.name, key, path).dtype,
            )
        values = as_numbers(storages(self.storage), self.kind.name, key, path)
        last = start + sum(
            (n - 1) * step for n, step in zip(shape, strides, strict=True)
        )
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


def as_array(value: Any, key: str, storages: Storages, path: Path) -> AnyArray:
    """Read the values of a tensor or an array.

    Raises
    ------
    FeatureFileError
        For anything else, for types that hold no floats or integers, and for a shape that claims more
        than is stored.
    """
    if isinstance(value, Tensor):
        return value.array(key, storages, path)
    if isinstance(value, SavedArray):
        return value.array(key, path)
    raise FeatureFileError(
        f"{path}: {key!r} is {kind_of(value)}, expected a dense tensor (tiles, dim)",
    )


def shape_of(value: Any) -> str:
    """Write the shape of a tensor or an array, and the kind of anything else, for a message."""
    return (
        str(value.shape)
        if isinstance(value, Tensor | SavedArray)
        else f"({kind_of(value)})"
    )


def kind_of(value: Any) -> str:
    """Name what a value is."""
    return value.kind if isinstance(value, Other) else type(value).__name__


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
        if not isinstance(self.name, str):
            raise ValueError("a NumPy array without dtype")
        if re.fullmatch(r"[fiu][1248]", self.name) is None:
            raise ValueError(
                f"a NumPy array of dtype {self.name!r}, expected floats or integers",
            )
        return np.dtype(self.order + self.name)


class SavedArray:
    """An array of NumPy as it is pickled; nothing is made before :meth:`array`."""

    def __init__(self, *_: Any) -> None:
        self.state: Any = ()

    def take_state(self, state: Any) -> None:
        """Keep what the file says of it."""
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
            raise FeatureFileError(
                f"{path}: {key!r} is no plain NumPy array ({error}); write it again as floats or integers",
            ) from None


@dataclass(frozen=True)
class _Encoded:
    """Bytes, which protocol 2 writes as text; made once they are needed."""

    text: Any = ""
    encoding: Any = "latin1"

    def encoded(self) -> bytes:
        if self.encoding != "latin1" or not isinstance(self.text, str):
            raise ValueError("bytes that are not written as latin1")
        return self.text.encode("latin1")


def _tensor(
    storage: Any,
    start: Any,
    sizes: Any,
    strides: Any,
    _grad: Any = None,
    _hooks: Any = None,
    flags: Any = None,
) -> Tensor:
    return Tensor(storage, start, sizes, strides, getattr(storage, "kind", None), flags)


def _tensor_of_kind(
    storage: Any,
    start: Any,
    sizes: Any,
    strides: Any,
    _grad: Any,
    _hooks: Any,
    kind: Any,
    flags: Any = None,
) -> Tensor:
    return Tensor(storage, start, sizes, strides, kind, flags)


def _ordered() -> dict[Any, Any]:
    return {}


def _first(value: Any = (), *_: Any) -> Any:
    return value


def _with_attributes(function: Any, _kind: Any, values: Any, _state: Any) -> Any:
    """A tensor that had attributes of its own, which are not read."""
    return (
        function(*values)
        if function in (_tensor, _tensor_of_kind, _first)
        else Other("a tensor")
    )


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
    "numpy.core.multiarray._reconstruct": SavedArray,
    "numpy._core.multiarray._reconstruct": SavedArray,
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


def named(name: str) -> Any:
    """What stands for a name in a pickle; protocol 2 writes the names of Python 2."""
    name = re.sub(r"^__builtin__\.", "builtins.", name)
    if name in _NAMES:
        return _NAMES[name]
    storage = re.fullmatch(r"torch\.(?:storage\.)?(\w+)Storage", name)
    if storage is not None and storage[1] in _STORAGES:
        return Kind(_STORAGES[storage[1]])
    if (kind := _KINDS.fullmatch(name)) is not None:
        return Kind(kind[1])
    if name in _INERT or re.fullmatch(
        r"torch\._utils\._rebuild_\w+|torch\.(\w*Tensor|per_\w+)",
        name,
    ):
        return Other(name)
    raise ValueError(f"it holds {name.removeprefix('builtins.')}")
