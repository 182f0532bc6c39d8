"""The one training loop.

An epoch draws everything random (order, tiles, dropout) from ``(seed, epoch)``, so
a run that was killed goes on from its last checkpoint as if nothing had happened.
"""

from __future__ import annotations

import time as clock
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from survfuse._storage import sha256_text
from survfuse.config import FitConfig
from survfuse.models.branches import BagBranch
from survfuse.models.layers import LARGE_WEIGHT
from survfuse.models.network import FusionNetwork
from survfuse.training import training_state
from survfuse.training.batch_sampling import predict, resolved, steps_of_epoch
from survfuse.training.denormals import flushed
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

    Where the process belongs to a process group (:func:`~survfuse.training.ranks.ranks_of_launcher`),
    all of its processes must call this with the same arguments; they share every step.

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
        self.device = pick_device(config.device)
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
        if self.checkpoint is not None:
            self.best = training_state.restore(
                self.checkpoint,
                self.key,
                self.run,
                self.network,
                self.optimizer,
            )
            self.ranks.agree(
                len(self.run.history),
                f"{self.checkpoint}: epochs trained so far",
            )
        self.ranks.agree(
            int(sha256_text(self.key)[:15], 16),
            f"{self.task.label}: patients and configuration",
        )
        self._tell("on_start")
        while len(self.run.history) < self.task.epochs and not self._out_of_patience():
            number = len(self.run.history) + 1
            self._tell("on_epoch_start", number)
            started = clock.perf_counter()
            loss = self._train_epoch(number)
            score = self._validate()
            self.run.history.append(
                Epoch(number, loss, score, clock.perf_counter() - started),
            )
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

    # -- an epoch

    def _train_epoch(self, number: int) -> float:
        rng = np.random.default_rng([self.task.seed, number])
        self.network.train()
        event = self.task.event[self.task.train].astype(bool)
        losses = []
        with (
            flushed(),
            torch.random.fork_rng(
                devices=[] if self.device.type == "cpu" else [self.device],
            ),
        ):
            torch.manual_seed(int(rng.integers(2**62)))
            for rows in steps_of_epoch(self.task.train, event, self.config, rng):
                loss = self._step(rows, rng)
                if self.task.event[rows].any():
                    losses.append(loss)
        return float(np.mean(losses)) if losses else 0.0

    def _step(self, rows: np.ndarray[Any, Any], rng: np.random.Generator) -> float:
        seed = int(rng.integers(2**62))
        self._forget_gradients()
        if self.config.head == "cox" and not self.task.event[rows].any():
            loss = self._nothing()
        else:
            loss = self.stepper.step(
                rows,
                seed,
                self._events(),
                lambda loss: self._tell("on_loss", loss),
            )
        self._tell("on_gradient", self.network)
        if self.config.gradient_clip is not None:
            nn.utils.clip_grad_norm_(
                self.network.parameters(),
                self.config.gradient_clip,
            )
        self.optimizer.step()
        return loss

    def _events(self) -> float | None:
        """Events of a step of average size, which every step of the epoch is divided by."""
        size = self.config.batch
        if not isinstance(size, int) or self.config.sampling == "event_balanced":
            return (
                None  # the whole cohort; or draws that have no fixed number of events
            )
        steps = -(-len(self.task.train) // size)
        return float(self.task.event[self.task.train].sum()) / steps

    def _nothing(self) -> float:
        """Give a step without events a gradient of zeros: there are only weights to decay."""
        self._tell("on_loss", torch.zeros((), device=self.device))
        for parameter in self.network.parameters():
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        return 0.0

    def _forget_gradients(self) -> None:
        """Large gradients become zero where they lie, because fresh memory costs page faults; others go."""
        for parameter in self.network.parameters():
            if parameter.numel() < LARGE_WEIGHT:
                parameter.grad = None
            elif parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            else:
                parameter.grad.zero_()

    # -- validation

    def _validate(self) -> float | None:
        rows = self.task.validation
        if len(rows) == 0:
            return None
        with flushed():
            risks = predict(
                self.network,
                self.task.source,
                rows,
                self.device,
                self.ranks,
            )
        self.run.validation_log_risk.append(risks)
        return validation_score(
            self.config,
            self.task.time[rows],
            self.task.event[rows],
            risks,
        )

    def _note_best(self, number: int, score: float | None) -> None:
        if score is not None and score < self.run.best_score:
            self.run.best_epoch = number
            if self.task.keep_best:
                self.best = {
                    name: tensor.detach().clone()
                    for name, tensor in self.network.state_dict().items()
                }

    def _out_of_patience(self) -> bool:
        done = len(self.run.history)
        if len(self.task.validation) == 0 or done < self.config.training.min_epochs:
            return False
        return (
            done - max(self.run.best_epoch, self.config.training.min_epochs)
            >= self.config.training.patience
        )

    def _save_sometimes(self) -> None:
        if (
            self.checkpoint is None
            or clock.monotonic() - self.saved_at < CHECKPOINT_SECONDS
        ):
            return
        if self.ranks.writes:
            training_state.save(
                self.checkpoint,
                self.key,
                self.run,
                self.network,
                self.best,
                self.optimizer,
            )
            self._tell("on_checkpoint", self.checkpoint)
        self.saved_at = clock.monotonic()


def _optimizer(network: FusionNetwork, config: FitConfig) -> torch.optim.Optimizer:
    kind = torch.optim.Adam if config.optimizer == "adam" else torch.optim.AdamW
    slow = [
        p
        for branch in network.branches.values()
        if isinstance(branch, BagBranch)
        for p in branch.parameters()
    ]
    known = {id(parameter) for parameter in slow}
    rest = [
        parameter for parameter in network.parameters() if id(parameter) not in known
    ]
    groups = [
        {"params": rest, "lr": config.learning_rate},
        {"params": slow, "lr": config.learning_rate * config.bag_rate},
    ]
    # The fused kernel walks each parameter once instead of a dozen times; 40 million of them notice.
    return kind(
        [group for group in groups if group["params"]],
        weight_decay=config.weight_decay,
        fused=True,
    )
