"""The state of a run - weights, optimiser, history - in one file that is written as a whole."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from survfuse._digests import Header, read_cached_tensors, recall, write_cached_tensors
from survfuse._gate import boundary
from survfuse._types import AnyArray
from survfuse.models.network import FusionNetwork
from survfuse.training.run import Epoch, Run

FORMAT = "survfuse-checkpoint"
VERSION = "2"
OTHER = "a checkpoint of another run (config, patients or data differ); delete it"

State = Mapping[str, Tensor]
Arrays = Mapping[str, AnyArray]


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
        Weights of the best epoch, where they are needed.
    """
    arrays = {}
    for group, state in (("network", network.state_dict()), ("best", best or {})):
        for name, tensor in state.items():
            arrays[f"{group}.{name}"] = tensor.detach().cpu().numpy()
    for index, slots in optimizer.state_dict()["state"].items():
        for name, value in slots.items():
            array = torch.as_tensor(value).cpu().numpy()
            arrays[f"optimizer.{index}.{name}"] = array
    if run.validation_log_risk:
        arrays["validation_log_risk"] = np.stack(run.validation_log_risk)
    history = [asdict(epoch) for epoch in run.history]
    meta = json.dumps({"history": history, "best_epoch": run.best_epoch})
    write_cached_tensors(path, {**_header(key), "run": meta}, arrays)


def restore(
    path: Path,
    key: str,
    run: Run,
    network: FusionNetwork,
    optimizer: torch.optim.Optimizer,
) -> State | None:
    """Restore a run from its file, and return the best weights in it.

    Without a file, or with a damaged one, which is noted, the run stays at its start.

    Raises
    ------
    InputError
        For a file of another version or of another run.
    """

    def read(place: Path) -> tuple[Header, tuple[Arrays, dict[str, str]]]:
        arrays, header = read_cached_tensors(place, _header(key))
        return {name: header.get(name) for name in _header(key)}, (arrays, header)

    state = recall(path, _header(key), read, OTHER)
    if state is None:
        return None
    with boundary(
        path,
        "the checkpoint of this network",
        remedy="delete it to start over",
    ):
        return _resume(*state, run, network, optimizer)


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
    slots: dict[int, dict[str, Tensor]] = {}
    for name, tensor in groups["optimizer"].items():
        index, _, slot = name.partition(".")
        slots.setdefault(int(index), {})[slot] = tensor
    optimizer.load_state_dict({**optimizer.state_dict(), "state": slots})
    meta = json.loads(header["run"])
    run.history = [Epoch(**entry) for entry in meta["history"]]
    run.best_epoch = meta["best_epoch"]
    run.validation_log_risk = list(arrays.get("validation_log_risk", ()))
    return groups["best"] or None
