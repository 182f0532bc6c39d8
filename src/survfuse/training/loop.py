"""The one training loop.

An epoch draws everything random (order, tiles, dropout) from ``(seed, epoch)``, so
a run that was killed goes on from its last checkpoint as if nothing had happened.
"""

from __future__ import annotations

import time as clock
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from survfuse._storage import sha256_text
from survfuse._types import IntArray
from survfuse.config import FitConfig
from survfuse.models.branches import BagBranch
from survfuse.models.network import FusionNetwork
from survfuse.training import training_state
from survfuse.training.batch_sampling import predict, resolved, steps_of_epoch
from survfuse.training.objective import validation_score
from survfuse.training.ranks import Ranks, pick_device
from survfuse.training.run import Epoch, Hook, Run, Task
from survfuse.training.steps import Stepper

CHECKPOINT_SECONDS = 20.0


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

    Where the process belongs to a process group
    (:func:`~survfuse.training.ranks.ranks_of_launcher`), all of its processes must call this with
    the same arguments; they share every step.

    Parameters
    ----------
    network : FusionNetwork
        Changed in place.
    task : Task
        Patients, outcome and how long.
    config : FitConfig
        Loss, optimiser, sampling, memory and patience.
    hooks : sequence of Hook
        Watchers.
    checkpoint : path, optional
        File that the run is saved to now and then, and resumed from when it is there.
    key : str
        Identity of the run; a checkpoint with another key is refused, a damaged one begun anew.

    Returns
    -------
    Run
        History, validation log-risks of every epoch and the best epoch.
    """
    return _Loop(network, task, config, hooks, checkpoint, key).run_all()


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
        self.ranks = Ranks.here()
        self.device = pick_device(config.training.device)
        self.network = network.to(self.device)
        self.task, self.hooks = task, tuple(hooks)
        self.config = resolved(config, len(task.train))
        self.checkpoint, self.key = checkpoint, key
        self.optimizer = _optimizer(network, config)
        self.stepper = Stepper(network, task, self.config, self.device, self.ranks)
        self.run = Run(task.label, task.epochs)
        self.best: training_state.State | None = None
        self.saved_at = clock.monotonic()

    def run_all(self) -> Run:
        self._resume()
        self._notify("on_start")
        while len(self.run.history) < self.task.epochs and not self._out_of_patience():
            self._epoch(len(self.run.history) + 1)
        self.optimizer.zero_grad(set_to_none=True)
        if self.task.keep_best and self.best is not None:
            self.network.load_state_dict(self.best)
        self._notify("on_end")
        return self.run

    def _resume(self) -> None:
        if self.checkpoint is not None:
            state = self.run, self.network, self.optimizer
            self.best = training_state.restore(self.checkpoint, self.key, *state)
            epochs = f"{self.checkpoint}: epochs trained so far"
            self.ranks.agree(len(self.run.history), epochs)
        identity = int(sha256_text(self.key)[:15], 16)
        self.ranks.agree(identity, f"{self.task.label}: patients and configuration")

    def _notify(self, event: str, *args: Any) -> None:
        for hook in self.hooks:
            getattr(hook, event)(self.run, *args)

    def _epoch(self, number: int) -> None:
        self._notify("on_epoch_start", number)
        started = clock.perf_counter()
        with flushed():
            loss = self._train_epoch(number)
            score = self._validate()
        epoch = Epoch(number, loss, score, clock.perf_counter() - started)
        self.run.history.append(epoch)
        if score is not None and score < self.run.best_score:
            self.run.best_epoch = number
            if self.task.keep_best:
                self.best = deepcopy(self.network.state_dict())
        self._notify("on_epoch_end", epoch)
        self._save_sometimes()

    def _train_epoch(self, number: int) -> float:
        rng = np.random.default_rng([self.task.seed, number])
        self.network.train()
        event = self.task.event[self.task.train].astype(bool)
        losses = []
        devices = [] if self.device.type == "cpu" else [self.device]
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(int(rng.integers(2**62)))
            for rows in steps_of_epoch(self.task.train, event, self.config, rng):
                loss = self._step(rows, int(rng.integers(2**62)))
                if self.task.event[rows].any():
                    losses.append(loss)
        return float(np.mean(losses)) if losses else 0.0

    def _step(self, rows: IntArray, seed: int) -> float:
        self.optimizer.zero_grad(set_to_none=True)
        if self.config.network.head == "cox" and not self.task.event[rows].any():
            loss = self._step_without_events()
        else:
            notify = partial(self._notify, "on_loss")
            loss = self.stepper.step(rows, seed, self._events_per_step(), notify)
        self._notify("on_gradient", self.network)
        if self.config.training.gradient_clip is not None:
            parameters = self.network.parameters()
            nn.utils.clip_grad_norm_(parameters, self.config.training.gradient_clip)
        self.optimizer.step()
        return loss

    def _events_per_step(self) -> float | None:
        """Events of a step of average size, which every step of the epoch is divided by.

        None for the whole cohort, and for draws without a fixed number of events.
        """
        size = self.config.training.batch
        if (
            not isinstance(size, int)
            or self.config.training.sampling == "event_balanced"
        ):
            return None
        steps = -(-len(self.task.train) // size)
        return float(self.task.event[self.task.train].sum()) / steps

    def _step_without_events(self) -> float:
        """Make a gradient of zeros: there are only weights to decay."""
        self._notify("on_loss", torch.zeros((), device=self.device))
        for parameter in self.network.parameters():
            parameter.grad = torch.zeros_like(parameter)
        return 0.0

    def _validate(self) -> float | None:
        task, rows = self.task, self.task.validation
        if len(rows) == 0:
            return None
        risks = predict(self.network, task.source, rows, self.device, self.ranks)
        self.run.validation_log_risk.append(risks)
        return validation_score(self.config, task.time[rows], task.event[rows], risks)

    def _out_of_patience(self) -> bool:
        done, least = len(self.run.history), self.config.training.min_epochs
        if len(self.task.validation) == 0 or done < least:
            return False
        return done - max(self.run.best_epoch, least) >= self.config.training.patience

    def _save_sometimes(self) -> None:
        waited = clock.monotonic() - self.saved_at
        if self.checkpoint is None or waited < CHECKPOINT_SECONDS:
            return
        if self.ranks.writes:
            state = self.run, self.network, self.best, self.optimizer
            training_state.save(self.checkpoint, self.key, *state)
            self._notify("on_checkpoint", self.checkpoint)
        self.saved_at = clock.monotonic()


@contextmanager
def flushed() -> Iterator[None]:
    """Count subnormal numbers (below 1e-38 in float32) as zero within, where the processor can.

    A network that strong weight decay drives to a constant multiplies one tiny number by another,
    and a product with subnormal operands takes ten times as long or more. The setting is one of the
    thread, and of threads that it starts; it is restored at the end.
    """
    flushes_already = torch.tensor([1e-38]).mul_(1e-2).item() == 0.0
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(flushes_already)


def _optimizer(
    network: FusionNetwork,
    config: FitConfig,
) -> torch.optim.Optimizer:
    kind = (
        torch.optim.Adam if config.training.optimizer == "adam" else torch.optim.AdamW
    )
    bags: list[nn.Parameter] = []
    for branch in network.branches.values():
        if isinstance(branch, BagBranch):
            bags.extend(branch.parameters())
    in_bags = set(bags)
    rest = [p for p in network.parameters() if p not in in_bags]
    groups = [
        {"params": rest, "lr": config.training.learning_rate},
        {
            "params": bags,
            "lr": config.training.learning_rate * config.training.bag_rate,
        },
    ]
    used = [group for group in groups if group["params"]]
    # The fused kernel reads each parameter once instead of a dozen times; 40 million are many.
    return kind(
        used,
        weight_decay=config.training.weight_decay,
        fused=True,
    )
