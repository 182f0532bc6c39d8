"""Weights from a local file, read without running anything in it and held against the network."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from survfuse._errors import InputError, listed
from survfuse._gate import boundary, is_system_error, regular_file
from survfuse._storage import check_tensors, sha256_file
from survfuse.readers.checkpoint_files import read_checkpoint
from survfuse.slides.encoders.card import ENCODERS
from survfuse.slides.encoders.encoder import EncoderCard
from survfuse.slides.encoders.encoder_networks import PooledNetwork, build_network
from survfuse.slides.encoders.layouts import to_network

_INSIDE = ("state_dict", "model", "teacher", "model_state_dict")
_AGAIN = "download the file again"
_IN_A_FOLDER = ("model.safetensors", "pytorch_model.bin")


@dataclass(frozen=True)
class Weights:
    """Tensors of one file, as named there.

    Attributes
    ----------
    tensors : mapping of str to Tensor
        On the CPU.
    sha256 : str
        Of the file's bytes.
    path : Path
        The file itself, also where a folder was given.
    """

    tensors: Mapping[str, Tensor] = field(repr=False)
    sha256: str
    path: Path


def read_weights(path: Path, sha256: str | None = None) -> Weights:
    """Read a safetensors file or a torch checkpoint; nothing in it is executed.

    Parameters
    ----------
    path : Path
        A file, or a folder that holds ``model.safetensors`` or ``pytorch_model.bin``.
    sha256 : str, optional
        Verified before the file is opened.

    Raises
    ------
    InputError
        When the file is absent, has another checksum, or is not a table of tensors.
    """
    file = _locate(path)
    digest = sha256_file(file)
    if sha256 is not None and digest != sha256.strip().lower():
        raise InputError(
            f"{file}: sha256 is {digest}, but {sha256.strip().lower()} was asked for; the file is another "
            "one or was damaged on the way: download it again, or correct --sha256",
        )
    tensors = _unpacked(_read(file), file)
    return Weights(tensors, digest, file)


def _locate(path: Path) -> Path:
    if path.is_dir():
        inside = [path / name for name in _IN_A_FOLDER if (path / name).is_file()]
        if inside:
            return inside[0]
        raise InputError(
            f"{path}: no {' or '.join(_IN_A_FOLDER)} in this folder; name the file of weights itself",
        )
    regular_file(path)
    return path


def _read(file: Path) -> Any:
    with file.open("rb") as opened:
        head = opened.read(9)
    if head[8:9] == b"{":  # a safetensors header follows its length
        from safetensors.torch import load_file

        check_tensors(file)
        with boundary(file, "a whole safetensors file", remedy=_AGAIN):
            return load_file(file)
    return _read_checkpoint(file)


def _read_checkpoint(file: Path) -> Any:
    try:
        return read_checkpoint(file, remedy=_AGAIN)
    except InputError as error:
        if error.__cause__ is None or is_system_error(error.__cause__):
            raise
        # without torch's advice to run the code after all
        told = re.split(
            r"trusted source\.|WeightsUnpickler error:",
            str(error.__cause__),
        )[-1].strip()
        raise InputError(
            f"{file}: neither safetensors nor a torch checkpoint that can be read without running its code "
            f"({type(error.__cause__).__name__}: {told.splitlines()[0][:160] if told else 'no message'})",
        ) from None


def _unpacked(found: Any, file: Path) -> dict[str, Tensor]:
    for name in _INSIDE:
        if isinstance(found, dict) and isinstance(found.get(name), dict):
            found = found[name]
    if not isinstance(found, dict) or not found:
        raise InputError(
            f"{file}: expected a table of named tensors, found {type(found).__name__}",
        )
    others = [
        str(name) for name, value in found.items() if not isinstance(value, Tensor)
    ]
    if others:
        raise InputError(
            f"{file}: expected named tensors only, but these are none: {listed(others)}",
        )
    hollow = [str(name) for name, value in found.items() if not _is_stored(value)]
    if hollow:
        raise InputError(
            f"{file}: not every value of these tensors is stored: {listed(hollow)}; {_AGAIN}",
        )
    return {str(name): value for name, value in found.items()}


def _is_stored(tensor: Tensor) -> bool:
    """Whether a tensor is a plain one with as many stored values as it has."""
    if (
        tensor.layout is not torch.strided
        or tensor.is_quantized
        or tensor.device.type != "cpu"
    ):
        return False
    return tensor.numel() * tensor.element_size() <= tensor.untyped_storage().nbytes()


@dataclass(frozen=True)
class Misfit:
    """How a file's tensors differ from a network's.

    Attributes
    ----------
    missing, unexpected : tuple of str
        Names that only the network has, and that only the file has.
    shapes : tuple of str
        Names in both whose shapes differ, with both shapes.
    """

    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    shapes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.missing) + len(self.unexpected) + len(self.shapes)

    def __str__(self) -> str:
        parts = (
            ("missing in the file", self.missing),
            ("unknown to the encoder", self.unexpected),
            ("of another shape", self.shapes),
        )
        return "; ".join(
            f"{len(names)} {told} ({_named(names)})" for told, names in parts if names
        )


def _named(names: tuple[str, ...]) -> str:
    return listed((name.removeprefix("trunk.") for name in names), 3)


def compare(tensors: Mapping[str, Tensor], network: Mapping[str, Tensor]) -> Misfit:
    """Hold renamed tensors against a network's state.

    Counters of batch normalisation may be absent: they play no part in inference.
    """
    missing = [
        n for n in network if n not in tensors and not n.endswith("num_batches_tracked")
    ]
    shapes = [
        f"{name}: {tuple(tensors[name].shape)} in the file, {tuple(wanted.shape)} in the encoder"
        for name, wanted in network.items()
        if name in tensors and tensors[name].shape != wanted.shape
    ]
    return Misfit(
        tuple(missing),
        tuple(n for n in tensors if n not in network),
        tuple(shapes),
    )


def fill(card: EncoderCard, weights: Weights) -> PooledNetwork:
    """Build a card's network around a file's tensors; they are not copied.

    Raises
    ------
    InputError
        When names or shapes differ: says which, and which other encoder they fit.
    """
    network = build_network(card, device="meta")
    state = network.state_dict()
    with boundary(weights.path, f"weights of encoder {card.name!r}", remedy=_AGAIN):
        tensors = to_network(weights.tensors, card)
    misfit = compare(tensors, state)
    if len(misfit):
        raise InputError(_refusal(card, weights, misfit))
    whole = {
        name: tensors[name].to(wanted.dtype)
        if name in tensors
        else torch.zeros(wanted.shape, dtype=wanted.dtype)
        for name, wanted in state.items()
    }
    network.load_state_dict(whole, assign=True)
    return network


def _refusal(card: EncoderCard, weights: Weights, misfit: Misfit) -> str:
    better = _better(card, weights, len(misfit))
    advice = (
        f"they fit encoder {better!r}"
        if better
        else f"expected {card.file} from {card.weights}"
    )
    return f"{weights.path}: these weights do not fit encoder {card.name!r}: {misfit}; {advice}"


def _better(card: EncoderCard, weights: Weights, problems: int) -> str | None:
    """Name the encoder that the tensors fit entirely, if there is one."""
    for other in ENCODERS.values():
        if other.name == card.name or not other.needs_weights:
            continue
        state = build_network(other, device="meta").state_dict()
        with suppress(RuntimeError):  # parts that torch cannot put together
            if not len(compare(to_network(weights.tensors, other), state)):
                return other.name
    return None
