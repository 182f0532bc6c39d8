"""Weights from a local file, read without running anything in it and compared with the network."""

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
from survfuse.readers.torch_files import read_checkpoint
from survfuse.slides.encoders.card import ENCODERS, find_card
from survfuse.slides.encoders.encoder import EncoderCard
from survfuse.slides.encoders.encoder_networks import PooledNetwork, build_network
from survfuse.slides.encoders.layouts import to_network

_AGAIN = "download the file again"
_FILE_NAMES = ("model.safetensors", "pytorch_model.bin")


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


def read_weights(
    path: Path,
    sha256: str | None = None,
) -> Weights:
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
    if path.is_dir():
        inside = [path / name for name in _FILE_NAMES if (path / name).is_file()]
        if not inside:
            raise InputError(
                f"{path}: no {' or '.join(_FILE_NAMES)} in this folder; "
                "name the file of weights itself",
            )
        path = inside[0]
    regular_file(path)
    digest = sha256_file(path)
    wanted = digest if sha256 is None else sha256.strip().lower()
    if digest != wanted:
        raise InputError(
            f"{path}: sha256 is {digest}, but {wanted} was asked for; the file is another one "
            "or was damaged on the way: download it again, or correct --sha256",
        )
    return Weights(_checked(_read(path), path), digest, path)


def _read(path: Path) -> Any:
    with path.open("rb") as opened:
        head = opened.read(9)
    if head[8:9] == b"{":  # a safetensors header follows its length
        from safetensors.torch import load_file

        check_tensors(path)
        with boundary(path, "a whole safetensors file", remedy=_AGAIN):
            return load_file(path)
    try:
        return read_checkpoint(path, remedy=_AGAIN)
    except InputError as error:
        cause = error.__cause__
        if cause is None or is_system_error(cause):
            raise
        # without torch's advice to run the code after all
        reason = re.split(r"trusted source\.|WeightsUnpickler error:", str(cause))[-1]
        line = (reason.strip().splitlines() or ["no message"])[0][:160]
        raise InputError(
            f"{path}: neither safetensors nor a torch checkpoint that can be read without "
            f"running its code ({type(cause).__name__}: {line})",
        ) from None


def _checked(content: Any, path: Path) -> dict[str, Tensor]:
    """Return the table of tensors in the content of a file."""
    for name in ("state_dict", "model", "teacher", "model_state_dict"):
        if isinstance(content, dict) and isinstance(content.get(name), dict):
            content = content[name]
    if not isinstance(content, dict) or not content:
        raise InputError(
            f"{path}: expected a table of named tensors, found {type(content).__name__}",
        )
    others, hollow = [], []
    for name, value in content.items():
        if not isinstance(value, Tensor):
            others.append(name)
        elif not _is_stored(value):
            hollow.append(name)
    if others:
        raise InputError(
            f"{path}: expected named tensors only, but these are none: {listed(others)}",
        )
    if hollow:
        raise InputError(
            f"{path}: not every value of these tensors is stored: {listed(hollow)}; {_AGAIN}",
        )
    return {str(name): value for name, value in content.items()}


def _is_stored(tensor: Tensor) -> bool:
    """Whether a tensor is a plain one with as many stored values as it has."""
    plain = tensor.layout is torch.strided and not tensor.is_quantized
    if not plain or tensor.device.type != "cpu":
        return False
    return tensor.nbytes <= tensor.untyped_storage().nbytes()


def fill(
    card: EncoderCard,
    weights: Weights,
) -> PooledNetwork:
    """Build a card's network around a file's tensors; they are not copied.

    Raises
    ------
    InputError
        When names or shapes differ: says which, and which other encoder they fit.
    """
    network = build_network(card, device="meta")
    with boundary(weights.path, f"weights of encoder {card.name!r}", remedy=_AGAIN):
        tensors = to_network(weights.tensors, card)
    state = network.state_dict()
    differences = _differences(tensors, state)
    if differences:
        better = _better_card(card, weights)
        advice = f"expected {card.file} from {card.weights}"
        raise InputError(
            f"{weights.path}: these weights do not fit encoder {card.name!r}: {differences}; "
            + (f"they fit encoder {better!r}" if better else advice),
        )
    for name, wanted in state.items():
        tensor = tensors.get(name)
        if tensor is None:  # a counter of batch normalisation
            tensor = torch.zeros(wanted.shape)
        state[name] = tensor.to(wanted.dtype)
    network.load_state_dict(state, assign=True)
    return network


def _differences(
    tensors: Mapping[str, Tensor],
    network: Mapping[str, Tensor],
) -> str:
    """Describe how renamed tensors differ from a network's state; empty when they fit.

    Counters of batch normalisation may be absent: they play no part in inference.
    """
    missing, shapes = [], []
    for name, wanted in network.items():
        short = name.removeprefix("trunk.")
        if name not in tensors:
            if not name.endswith("num_batches_tracked"):
                missing.append(short)
        elif tensors[name].shape != wanted.shape:
            has, needs = tuple(tensors[name].shape), tuple(wanted.shape)
            shapes.append(f"{short}: {has} in the file, {needs} in the encoder")
    unknown = [name.removeprefix("trunk.") for name in tensors if name not in network]
    parts = {
        "missing in the file": missing,
        "unknown to the encoder": unknown,
        "of another shape": shapes,
    }
    counted = []
    for text, names in parts.items():
        if names:
            counted.append(f"{len(names)} {text} ({listed(names, 3)})")
    return "; ".join(counted)


def _better_card(
    card: EncoderCard,
    weights: Weights,
) -> str | None:
    """Name of the encoder that the tensors fit entirely, if there is one."""
    for other in map(find_card, ENCODERS):
        if other.name == card.name or not other.needs_weights:
            continue
        with suppress(RuntimeError):  # parts that torch cannot put together
            state = build_network(other, device="meta").state_dict()
            if not _differences(to_network(weights.tensors, other), state):
                return other.name
    return None
