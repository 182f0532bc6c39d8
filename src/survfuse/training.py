"""The one training loop, and the doors through which it is watched.

An epoch draws everything random (order, tiles, dropout) from ``(seed, epoch)``, so
a run that was killed goes on from its last checkpoint as if nothing had happened.
"""

from __future__ import annotations

import json
import time as clock
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from survfuse._errors import InputError
from survfuse._storage import read_tensors, write_tensors
from survfuse._types import Batch, BoolArray, FloatArray, IntArray
from survfuse.config import FitConfig
from survfuse.losses import assign_bins, cox, cox_batch, discrete_nll
from survfuse.metrics import harrell_c
from survfuse.models.branches import BagBranch
from survfuse.models.layers import LARGE_WEIGHT
from survfuse.models.network import FusionNetwork

CHECKPOINT_FORMAT = "survfuse-checkpoint"
CHECKPOINT_VERSION = "1"
CHECKPOINT_SECONDS = 20.0
PREDICT_PATIENTS = 16  # patients per batch when no gradient is needed


class Source(Protocol):
    """Anything that can hand out batches of its patients (`cohort.batches.BatchSource`)."""

    def batch(self, rows: IntArray, *, max_tiles: int | None = None, seed: int | None = None) -> Batch:
        """Batch of the patients at `rows`; `max_tiles` of each bag, drawn with `seed`."""
        ...


@dataclass(frozen=True)
class Epoch:
    """What one epoch left behind.

    Attributes
    ----------
    number : int
        1-based.
    train_loss : float
        Mean over steps that had an event.
    score : float or None
        Inner validation score, smaller is better; None without validation patients.
    seconds : float
        Wall time.
    """

    number: int
    train_loss: float
    score: float | None
    seconds: float


@dataclass
class Run:
    """The state of one training run, as hooks see it.

    Attributes
    ----------
    label : str
        What is being trained, for people.
    epochs : int
        The most epochs it may take.
    history : list of Epoch
        One entry per finished epoch.
    validation_log_risk : list of array, each (validation patients,)
        Log-risks of the validation patients after each epoch.
    best_epoch : int
        Epoch of the best score so far; 0 before the first.
    """

    label: str
    epochs: int
    history: list[Epoch] = field(default_factory=list)
    validation_log_risk: list[FloatArray] = field(default_factory=list)
    best_epoch: int = 0

    @property
    def best_score(self) -> float:
        """Score of the best epoch; infinite before the first."""
        score = self.history[self.best_epoch - 1].score if self.best_epoch else None
        return float("inf") if score is None else score


class Hook:
    """Seven doors into the loop; each does nothing until overridden."""

    def on_start(self, run: Run) -> None:
        """Before the first epoch, or before the first after a resume."""

    def on_epoch_start(self, run: Run, epoch: int) -> None:
        """Before each epoch."""

    def on_loss(self, run: Run, loss: Tensor) -> None:
        """After each loss, before its gradient."""

    def on_gradient(self, run: Run, network: nn.Module) -> None:
        """After each gradient, before the step."""

    def on_epoch_end(self, run: Run, epoch: Epoch) -> None:
        """After each epoch and its validation."""

    def on_checkpoint(self, run: Run, path: Path) -> None:
        """After a checkpoint was written."""

    def on_end(self, run: Run) -> None:
        """After the last epoch, with the final weights in place."""


@dataclass(frozen=True)
class Task:
    """What a network is to learn from whom.

    Attributes
    ----------
    label : str
        What is being trained, for people.
    source : Source
        Hands out batches.
    train, validation : array of int
        Rows of `source`; `validation` may be empty.
    time : array, (patients of source,)
    event : array of bool, (patients of source,)
    epochs : int
        Most epochs.
    seed : int
        Of order, tiles and dropout.
    keep_best : bool
        End with the weights of the best validation epoch rather than the last.
    bin_edges : array or None
        Time bins of a discrete head.
    """

    label: str
    source: Source
    train: IntArray
    validation: IntArray
    time: FloatArray
    event: BoolArray
    epochs: int
    seed: int
    keep_best: bool = False
    bin_edges: FloatArray | None = None


def pick_device(name: str) -> torch.device:
    """Resolve ``auto``, ``cpu`` or ``cuda``."""
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("device: 'cuda' was asked for, but torch sees no GPU; use 'cpu' or 'auto'")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def train(
    network: FusionNetwork,
    task: Task,
    config: FitConfig,
    *,
    hooks: Sequence[Hook] = (),
    checkpoint: Path | None = None,
    key: str = "",
) -> Run:
    """Train `network` in place.

    Parameters
    ----------
    network : FusionNetwork
        Changed in place.
    task : Task
        Patients, outcome and how long.
    config : FitConfig
        Loss, optimiser, sampling and patience.
    hooks : sequence of Hook
        Watchers.
    checkpoint : path, optional
        File that the run is saved to now and then, and resumed from when it is there.
    key : str
        Identity of the run; a checkpoint with another key is refused.

    Returns
    -------
    Run
        History, validation log-risks of every epoch and the best epoch.
    """
    loop = _Loop(network, task, config, hooks, checkpoint, key)
    return loop.run_all()


def predict(network: FusionNetwork, source: Source, rows: IntArray, device: torch.device) -> FloatArray:
    """Log-risk of each patient at `rows`, every tile used, no dropout.

    Returns
    -------
    array, (rows,) float64
    """
    network.to(device).eval()
    risks = np.empty(len(rows), dtype=np.float64)
    with torch.inference_mode():
        for start in range(0, len(rows), PREDICT_PATIENTS):
            part = slice(start, start + PREDICT_PATIENTS)
            output = network(to_device(source.batch(rows[part]), device))
            risks[part] = output.log_risk.double().cpu().numpy()
    return risks


def to_device(batch: Batch, device: torch.device) -> Batch:
    """Move every tensor of a batch."""
    if device.type == "cpu":
        return batch

    def moved(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: tensor.to(device, non_blocking=True) for name, tensor in tensors.items()}

    return Batch(
        bags=moved(batch.bags),
        offsets=moved(batch.offsets),
        vectors=moved(batch.vectors),
        present=moved(batch.present),
        time=batch.time.to(device),
        event=batch.event.to(device),
        patient_id=batch.patient_id,
    )


def objective(output: Any, batch: Batch, config: FitConfig, bin_edges: FloatArray | None) -> Tensor:
    """Training loss of one batch.

    Parameters
    ----------
    output : NetworkOutput
    batch : Batch
    config : FitConfig
        `head` and `loss`.
    bin_edges : array or None
        Right edges of the discrete head's bins.

    Returns
    -------
    Tensor, scalar
        Zero, with a gradient graph, where a Cox batch has no event.
    """
    if config.head == "discrete":
        if bin_edges is None:
            raise ValueError("a discrete head needs bin_edges")
        index, happened = assign_bins(batch.time, batch.event, torch.as_tensor(bin_edges))
        return discrete_nll(output.output, happened, index)
    if config.loss == "paper":
        return cox_batch(output.log_risk, batch.event, batch.time)
    return cox(output.log_risk, batch.event, batch.time, ties=config.loss)


def validation_score(
    config: FitConfig, time: FloatArray, event: BoolArray, log_risk: FloatArray
) -> float | None:
    """Score of validation patients, smaller is better; None when they cannot be scored.

    Returns
    -------
    float or None
        Efron partial likelihood per event, or minus Harrell's C, by `config.select_by`.
    """
    if not np.isfinite(log_risk).all():
        return float("inf")
    if config.select_by == "harrell_c":
        value = harrell_c(time, event, log_risk).value
        return None if value is None else -value
    if not event.any():
        return None
    return float(cox(torch.from_numpy(log_risk), torch.from_numpy(event), torch.from_numpy(time)))


class _Loop:
    def __init__(
        self,
        network: FusionNetwork,
        task: Task,
        config: FitConfig,
        hooks: Sequence[Hook],
        checkpoint: Path | None,
        key: str,
    ) -> None:
        self.device = pick_device(config.device)
        self.network = network.to(self.device)
        self.task, self.config, self.hooks = task, config, tuple(hooks)
        self.checkpoint, self.key = checkpoint, key
        self.optimizer = _optimizer(network, config)
        self.run = Run(task.label, task.epochs)
        self.best: dict[str, Tensor] | None = None
        self.saved_at = clock.monotonic()
        self.whole: Batch | None = None

    def run_all(self) -> Run:
        if self.checkpoint is not None and self.checkpoint.exists():
            self._resume(self.checkpoint)
        self._tell("on_start")
        while len(self.run.history) < self.task.epochs and not self._out_of_patience():
            number = len(self.run.history) + 1
            self._tell("on_epoch_start", number)
            started = clock.perf_counter()
            loss = self._train_epoch(number)
            score = self._validate(number)
            self.run.history.append(Epoch(number, loss, score, clock.perf_counter() - started))
            self._note_best(number, score)
            self._tell("on_epoch_end", self.run.history[-1])
            self._save_sometimes()
        self.optimizer.zero_grad(set_to_none=True)
        if self.task.keep_best and self.best is not None:
            self.network.load_state_dict(self.best)
        self._tell("on_end")
        return self.run

    def _tell(self, door: str, *args: Any) -> None:
        for hook in self.hooks:
            getattr(hook, door)(self.run, *args)

    def _train_epoch(self, number: int) -> float:
        rng = np.random.default_rng([self.task.seed, number])
        self.network.train()
        losses = []
        with torch.random.fork_rng(devices=[] if self.device.type == "cpu" else None):
            torch.manual_seed(int(rng.integers(2**62)))
            for batch in self._batches(rng):
                loss = self._step(batch)
                if bool(batch.event.any()):
                    losses.append(loss)
        return float(np.mean(losses)) if losses else 0.0

    def _step(self, batch: Batch) -> float:
        self._forget_gradients()
        if self.config.head == "cox" and not bool(batch.event.any()):
            loss = torch.zeros(
                (), device=self.device
            )  # and so is its gradient: there are only weights to decay
            self._tell("on_loss", loss)
            for parameter in self.network.parameters():
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
        else:
            loss = objective(self.network(batch), batch, self.config, self.task.bin_edges)
            self._tell("on_loss", loss)
            loss.backward()  # type: ignore[no-untyped-call]
        self._tell("on_gradient", self.network)
        if self.config.gradient_clip is not None:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.config.gradient_clip)
        self.optimizer.step()
        return float(loss.detach())

    def _forget_gradients(self) -> None:
        """Large gradients become zero where they lie, because fresh memory costs page faults; others go."""
        for parameter in self.network.parameters():
            if parameter.numel() < LARGE_WEIGHT:
                parameter.grad = None
            elif parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            else:
                parameter.grad.zero_()

    def _batches(self, rng: np.random.Generator) -> Iterator[Batch]:
        config, rows = self.config, self.task.train
        size = len(rows) if config.batch == "cohort" else config.batch
        if config.batch == "cohort" and config.max_tiles is None and config.sampling == "shuffle":
            if self.whole is None:
                self.whole = to_device(self.task.source.batch(rows), self.device)
            yield self.whole
            return
        order = self._draw(rows, rng)
        for start in range(0, len(order), size):
            seed = int(rng.integers(2**62))
            batch = self.task.source.batch(order[start : start + size], max_tiles=config.max_tiles, seed=seed)
            yield to_device(batch, self.device)

    def _draw(self, rows: IntArray, rng: np.random.Generator) -> IntArray:
        if self.config.sampling == "shuffle":
            return rng.permutation(rows)
        event = self.task.event[rows].astype(bool)
        counts = np.where(event, event.sum(), (~event).sum())
        return rng.choice(rows, size=len(rows), replace=True, p=(1 / counts) / (1 / counts).sum())

    def _validate(self, number: int) -> float | None:
        rows = self.task.validation
        if len(rows) == 0:
            return None
        risks = predict(self.network, self.task.source, rows, self.device)
        self.run.validation_log_risk.append(risks)
        return validation_score(self.config, self.task.time[rows], self.task.event[rows], risks)

    def _note_best(self, number: int, score: float | None) -> None:
        before = self.run.best_score if self.run.best_epoch != number else float("inf")
        if score is not None and score < before:
            self.run.best_epoch = number
            if self.task.keep_best:
                self.best = {
                    name: tensor.detach().clone() for name, tensor in self.network.state_dict().items()
                }

    def _out_of_patience(self) -> bool:
        done = len(self.run.history)
        if len(self.task.validation) == 0 or done < self.config.min_epochs:
            return False
        return done - max(self.run.best_epoch, self.config.min_epochs) >= self.config.patience

    # -- checkpoints

    def _save_sometimes(self) -> None:
        if self.checkpoint is None or clock.monotonic() - self.saved_at < CHECKPOINT_SECONDS:
            return
        tensors = {f"network.{name}": tensor for name, tensor in self.network.state_dict().items()}
        tensors |= {f"best.{name}": tensor for name, tensor in (self.best or {}).items()}
        for index, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{name}": torch.as_tensor(value) for name, value in state.items()}
        arrays = {name: tensor.detach().cpu().numpy() for name, tensor in tensors.items()}
        if self.run.validation_log_risk:
            arrays["validation_log_risk"] = np.stack(self.run.validation_log_risk)
        meta = {"history": [asdict(epoch) for epoch in self.run.history], "best_epoch": self.run.best_epoch}
        header = {"format": CHECKPOINT_FORMAT, "version": CHECKPOINT_VERSION, "key": self.key}
        write_tensors(self.checkpoint, arrays, {**header, "run": json.dumps(meta)})
        self.saved_at = clock.monotonic()
        self._tell("on_checkpoint", self.checkpoint)

    def _resume(self, path: Path) -> None:
        arrays, header = read_tensors(path)
        if header.get("format") != CHECKPOINT_FORMAT or header.get("version") != CHECKPOINT_VERSION:
            raise InputError(f"{path}: not a checkpoint that this version reads; delete it to start over")
        if header.get("key") != self.key:
            raise InputError(
                f"{path}: a checkpoint of another run (config, patients or data differ); delete it"
            )
        groups: dict[str, dict[str, Tensor]] = {"network": {}, "best": {}, "optimizer": {}}
        for name, array in arrays.items():
            group, _, rest = name.partition(".")
            if group in groups:
                groups[group][rest] = torch.from_numpy(array)
        self.network.load_state_dict(groups["network"])
        self.best = groups["best"] or None
        self._restore_optimizer(groups["optimizer"])
        meta = json.loads(header["run"])
        self.run.history = [Epoch(**entry) for entry in meta["history"]]
        self.run.best_epoch = meta["best_epoch"]
        self.run.validation_log_risk = list(arrays.get("validation_log_risk", ()))

    def _restore_optimizer(self, flat: Mapping[str, Tensor]) -> None:
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in flat.items():
            index, _, slot = name.partition(".")
            state.setdefault(int(index), {})[slot] = tensor
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": state})


def _optimizer(network: FusionNetwork, config: FitConfig) -> torch.optim.Optimizer:
    kind = torch.optim.Adam if config.optimizer == "adam" else torch.optim.AdamW
    slow = [
        p
        for branch in network.branches.values()
        if isinstance(branch, BagBranch)
        for p in branch.parameters()
    ]
    known = {id(parameter) for parameter in slow}
    rest = [parameter for parameter in network.parameters() if id(parameter) not in known]
    groups = [
        {"params": rest, "lr": config.learning_rate},
        {"params": slow, "lr": config.learning_rate * config.bag_rate},
    ]
    # The fused kernel walks each parameter once instead of a dozen times; 40 million of them notice.
    return kind([group for group in groups if group["params"]], weight_decay=config.weight_decay, fused=True)
