"""A training task, the state of its run, and the hooks into the loop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from torch import Tensor, nn

from survfuse._types import Batch, BoolArray, FloatArray, IntArray


class Source(Protocol):
    """Anything that can hand out batches of its patients (`cohort.batch_source.BatchSource`)."""

    def batch(
        self,
        rows: IntArray,
        *,
        max_tiles: int | None = None,
        seed: int | None = None,
    ) -> Batch:
        """Batch of the patients at `rows`; `max_tiles` of each bag, drawn with `seed`."""
        ...

    def tile_counts(
        self,
        rows: IntArray,
        max_tiles: int | None = None,
    ) -> Mapping[str, IntArray]:
        """Tiles of each patient at `rows`, by bag modality."""
        ...


@dataclass(frozen=True)
class Epoch:
    """Result of one epoch.

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
    """Seven hooks into the loop; each does nothing until overridden."""

    def on_start(self, run: Run) -> None:
        """Before the first epoch, or before the first after a resume."""

    def on_epoch_start(self, run: Run, epoch: int) -> None:
        """Before each epoch."""

    def on_loss(self, run: Run, loss: Tensor) -> None:
        """After each loss, before its gradient."""

    def on_gradient(
        self,
        run: Run,
        network: nn.Module,
    ) -> None:
        """After each gradient, before the step."""

    def on_epoch_end(self, run: Run, epoch: Epoch) -> None:
        """After each epoch and its validation."""

    def on_checkpoint(self, run: Run, path: Path) -> None:
        """After a checkpoint was written."""

    def on_end(self, run: Run) -> None:
        """After the last epoch, with the final weights in place."""


@dataclass(frozen=True)
class Task:
    """Patients and outcome to train on, and for how long.

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
