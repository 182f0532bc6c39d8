"""Files of `torch.save`: tensors, NumPy arrays and dicts of them; nothing is unpickled but plain numbers."""

from __future__ import annotations

import re
import threading
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from survfuse._errors import FeatureFileError
from survfuse.readers.array_checks import BYTES_LIMIT, DEFLATE_LIMIT, AnyArray
from survfuse.readers.record import COORD_KEYS, ReadOptions, no_features

_LOADING = threading.Lock()  # torch keeps its list of safe names for the whole process


def open_torch(path: Path, options: ReadOptions) -> dict[str, AnyArray]:
    """Read the arrays of features and coordinates from a file of `torch.save`.

    Raises
    ------
    FeatureFileError
        On pickled objects, a cut file, or a dict without features.
    """
    loaded = _load(path)
    if not isinstance(loaded, Mapping):
        return {"features": as_array(loaded, "features", path)}
    arrays: dict[str, AnyArray] = {}
    for key in (*options.feature_keys, *COORD_KEYS):
        if loaded.get(key) is not None:
            arrays[key] = as_array(loaded[key], key, path)
    if set(arrays).isdisjoint(options.feature_keys):
        names = [f"{key} {_shape(value)}" for key, value in loaded.items()]
        raise FeatureFileError(no_features(path, options, names))
    return arrays


def _shape(value: Any) -> str:
    return str(tuple(value.shape)) if hasattr(value, "shape") else f"({type(value).__name__})"


def _load(path: Path) -> Any:
    import torch

    zipped = zipfile.is_zipfile(path)
    if zipped:
        refuse_zip_bomb(path)
    elif path.is_file() and path.stat().st_size > BYTES_LIMIT:
        raise FeatureFileError(f"{path}: larger than {BYTES_LIMIT / 2**30:.0f} GiB")
    try:
        with _LOADING, warnings.catch_warnings(), torch.serialization.safe_globals(list(_NUMPY_NAMES)):
            warnings.simplefilter("ignore")  # of pickle protocols: what cannot be read is an error
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except FileNotFoundError:
        raise FeatureFileError(f"{path}: no such file") from None
    except FeatureFileError:
        raise
    except Exception as error:  # noqa: BLE001  a hostile stream may raise anything at all
        raise FeatureFileError(f"{path}: not a file of plain tensors or arrays {_reason(error)}") from None


def _reason(error: Exception) -> str:
    """Say what stopped the loader; torch's own advice, to trust the file, is not passed on."""
    said = str(error).rpartition("WeightsUnpickler error:")[2].strip() or type(error).__name__
    named = re.search(r"GLOBAL ([\w.]+)", said)
    if named is not None:
        return (
            f"(it holds {named[1]}); objects are never unpickled: save the tensor or the NumPy array "
            "itself, or a dict of `features` and `coords`"
        )
    return (
        f"({said.splitlines()[0][:200]}); objects are never unpickled: write the file again with "
        "torch.save and its default pickle_protocol"
    )


def as_array(value: Any, key: str, path: Path) -> AnyArray:
    """Turn a dense tensor of real numbers into an array; types that NumPy lacks become float32.

    Raises
    ------
    FeatureFileError
        For anything else, and for a shape that claims more than is stored.
    """
    import torch

    if isinstance(value, _SavedArray):
        return value.array(key, path)
    if not isinstance(value, torch.Tensor) or value.layout != torch.strided or value.device.type != "cpu":
        raise FeatureFileError(
            f"{path}: {key!r} is {type(value).__name__}, expected a dense tensor (tiles, dim)"
        )
    if value.is_quantized or value.is_complex() or value.dtype == torch.bool:
        raise FeatureFileError(f"{path}: {key!r} has dtype {value.dtype}, expected floats")
    tensor = value.detach()
    claimed = tensor.numel() * tensor.element_size()
    if claimed > tensor.untyped_storage().nbytes() or claimed > BYTES_LIMIT:
        raise FeatureFileError(
            f"{path}: {key!r} claims shape {tuple(tensor.shape)} ({claimed} bytes), "
            "more than the file stores or than is read from one file"
        )
    if tensor.is_floating_point() and tensor.dtype not in (torch.float16, torch.float32, torch.float64):
        tensor = tensor.float()
    array: AnyArray = tensor.numpy()
    return array


def refuse_zip_bomb(path: Path) -> None:
    """Refuse an archive that unpacks to more than it can hold."""
    try:
        with zipfile.ZipFile(path) as archive:
            stored = sum(item.compress_size for item in archive.infolist())
            claimed = sum(item.file_size for item in archive.infolist())
    except FileNotFoundError:
        raise FeatureFileError(f"{path}: no such file") from None
    except (zipfile.BadZipFile, OSError) as error:
        raise FeatureFileError(f"{path}: not a whole archive ({error}); write it again") from None
    if stored > path.stat().st_size or claimed > BYTES_LIMIT or claimed > max(stored, 1) * DEFLATE_LIMIT:
        raise FeatureFileError(
            f"{path}: {path.stat().st_size} bytes claim to unpack to {claimed}; refused unread"
        )


# -- NumPy arrays inside a pickle: our own classes stand for NumPy's, so that no code of NumPy
# -- sees a state that a stranger wrote


class _SavedType:
    """A dtype as it is pickled: its name, and the byte order in its state."""

    def __init__(self, name: str, *_: Any) -> None:
        self.name = name
        self.order = "="

    def __setstate__(self, state: Any) -> None:
        if state[1] in ("<", ">"):
            self.order = state[1]

    def plain(self) -> np.dtype[Any]:
        """The type, where it is one of floats or integers."""
        if re.fullmatch(r"[fiu][1248]", self.name) is None:
            raise ValueError(f"a NumPy array of dtype {self.name!r}, expected floats or integers")
        return np.dtype(self.order + self.name)


class _SavedArray:
    """An array as it is pickled; nothing is read before :meth:`array`."""

    state: tuple[Any, ...] = ()

    def __setstate__(self, state: Any) -> None:
        self.state = state

    @property
    def shape(self) -> tuple[int, ...]:
        """As the file claims."""
        return tuple(self.state[1]) if len(self.state) == 5 else ()

    def array(self, key: str, path: Path) -> AnyArray:
        """Make the array from its bytes."""
        try:
            _, shape, saved, by_columns, raw = self.state
            return np.frombuffer(raw, saved.plain()).reshape(shape, order="F" if by_columns else "C")
        except (TypeError, ValueError, AttributeError) as error:
            raise FeatureFileError(f"{path}: {key!r} is no plain NumPy array ({error})") from None


def _new_array(*_: Any) -> _SavedArray:
    return _SavedArray()


def _scalar(saved: Any, raw: Any) -> Any:
    return np.frombuffer(raw, saved.plain())[0].item()


def _encode(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise ValueError(f"bytes written as {encoding!r}")
    return text.encode("latin1")


def _no_bytes() -> bytes:
    return b""


class _ArrayClass:
    """Stands for the name numpy.ndarray; never made."""


_NUMPY_NAMES: tuple[tuple[Callable[..., Any], str], ...] = (
    (_ArrayClass, "numpy.ndarray"),
    (_SavedType, "numpy.dtype"),
    (_SavedArray, "survfuse.readers.torch_files._SavedArray"),
    (_encode, "_codecs.encode"),
    (_no_bytes, "builtins.bytes"),
    (_no_bytes, "__builtin__.bytes"),
    *((_new_array, f"numpy.{core}.multiarray._reconstruct") for core in ("core", "_core")),
    *((_scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
)
