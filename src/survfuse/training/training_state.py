"""Where a run keeps its place: weights, optimiser, history, in one file that appears whole."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from survfuse._digests import Header, read_cached_tensors, recall, write_cached_tensors
from survfuse._gate import boundary
from survfuse.models.network import FusionNetwork
from survfuse.training.run import Epoch, Run

FORMAT = "survfuse-checkpoint"
VERSION = "2"
OTHER = "a checkpoint of another run (config, patients or data differ); delete it"

State = Mapping[str, Tensor]
Arrays = Mapping[str, npt.NDArray[Any]]


def save(
    path: Path,
    key: str,
    run: Run,
    network: FusionNetwork,
    best: State | None,
    optimizer: torch.optim.Optimizer,
) -> None:
    """Write a run's state.

    Parameters
    ----------
    path : path
    key : str
        Identity of the run.
    run, network, optimizer
        As they are after an epoch.
    best : mapping of name to Tensor, optional
        Weights of the best epoch, where they are kept.
    """
    tensors = {
        f"network.{name}": tensor for name, tensor in network.state_dict().items()
    }
    tensors |= {f"best.{name}": tensor for name, tensor in (best or {}).items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {
            f"optimizer.{index}.{name}": torch.as_tensor(value)
            for name, value in state.items()
        }
    arrays = {name: tensor.detach().cpu().numpy() for name, tensor in tensors.items()}
    if run.validation_log_risk:
        arrays["validation_log_risk"] = np.stack(run.validation_log_risk)
    meta = {
        "history": [asdict(epoch) for epoch in run.history],
        "best_epoch": run.best_epoch,
    }
    write_cached_tensors(path, {**_header(key), "run": json.dumps(meta)}, arrays)


def restore(
    path: Path,
    key: str,
    run: Run,
    network: FusionNetwork,
    optimizer: torch.optim.Optimizer,
) -> State | None:
    """Put a run where its file says, and return the best weights that it kept.

    Without a file, or with a damaged one, of which a note tells, the run stays at its start.

    Raises
    ------
    InputError
        For a file of another version or of another run.
    """

    def read(place: Path) -> tuple[Header, tuple[Arrays, dict[str, str]]]:
        arrays, header = read_cached_tensors(place, _header(key))
        return {name: header.get(name) for name in _header(key)}, (arrays, header)

    kept = recall(path, _header(key), read, OTHER)
    if kept is None:
        return None
    with boundary(
        path,
        "the checkpoint of this network",
        remedy="delete it to start over",
    ):
        return _resume(*kept, run, network, optimizer)


def _header(key: str) -> dict[str, str]:
    return {"format": FORMAT, "version": VERSION, "key": key}


def _resume(
    arrays: Arrays,
    header: Mapping[str, str],
    run: Run,
    network: FusionNetwork,
    optimizer: torch.optim.Optimizer,
) -> State | None:
    groups: dict[str, dict[str, Tensor]] = {"network": {}, "best": {}, "optimizer": {}}
    for name, array in arrays.items():
        group, _, rest = name.partition(".")
        if group in groups:
            groups[group][rest] = torch.from_numpy(array)
    network.load_state_dict(groups["network"])
    _restore_optimizer(optimizer, groups["optimizer"])
    meta = json.loads(header["run"])
    run.history = [Epoch(**entry) for entry in meta["history"]]
    run.best_epoch = meta["best_epoch"]
    run.validation_log_risk = list(arrays.get("validation_log_risk", ()))
    return groups["best"] or None


def _restore_optimizer(optimizer: torch.optim.Optimizer, flat: State) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in flat.items():
        index, _, slot = name.partition(".")
        state.setdefault(int(index), {})[slot] = tensor
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
