"""One step: the loss of some patients and its gradient, in one pass or, piece by piece, in two.

The Cox loss ties every patient to all others, but only through their log-risks. So a step whose
tiles and activations would not fit the memory limit goes through its patients twice: first without
a graph, which gives all outputs, the loss, and its gradient with respect to each patient's output;
then once more piece by piece, each piece's graph taking its part of that gradient. Every piece
draws its dropout masks and tiles from the same random numbers both times. The gradient is the same
as in one pass over the same pieces, to rounding, for any loss and any network without batch
normalisation; it costs one more forward pass.

Pieces are also what several processes share: outputs and gradients are added up over them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from survfuse._errors import InputError
from survfuse._types import Batch, IntArray
from survfuse.config import FitConfig
from survfuse.models.branches import BagBranch
from survfuse.models.network import FusionNetwork
from survfuse.models.network_config import VectorConfig
from survfuse.training.batch_sampling import always_the_same, to_device
from survfuse.training.objective import Target, objective
from survfuse.training.ranks import Ranks
from survfuse.training.run import Task

MEGABYTE = 2**20


@dataclass(frozen=True)
class Piece:
    """Patients that go through the network together.

    Attributes
    ----------
    rows : array of int, (patients,)
    fits : bool
        Whether their tiles and activations fit the memory limit; otherwise (a single patient with
        very many tiles) activations are computed again in the backward pass.
    """

    rows: IntArray
    fits: bool = True


class Stepper:
    """Computes losses and gradients.

    Parameters
    ----------
    network : FusionNetwork
        On `device`.
    task : Task
    config : FitConfig
        `memory_mb`, `pieces`, `max_tiles`, `precision`, and what the objective reads.
    device : torch.device
    ranks : Ranks
    """

    def __init__(
        self,
        network: FusionNetwork,
        task: Task,
        config: FitConfig,
        device: torch.device,
        ranks: Ranks,
    ) -> None:
        self.network, self.task, self.config = network, task, config
        self.device, self.ranks = device, ranks
        self._whole: Batch | None = None
        if ranks.count > config.training.pieces:
            raise InputError(
                f"{ranks.count} processes share the pieces of a step, and pieces is "
                f"{config.training.pieces}; set model.pieces to {ranks.count} or more, or start "
                "fewer processes",
            )
        self._bags = [b for b in network.branches.values() if isinstance(b, BagBranch)]
        for branch in self._bags:
            branch.compute_dtype = getattr(torch, config.training.precision)

    def pieces(self, rows: IntArray) -> list[Piece]:
        """Cut the patients of a step, in their order, so that each piece fits the memory limit."""
        sizes, limit = self._bytes(rows), self.config.training.memory_mb * MEGABYTE
        middle = np.cumsum(sizes) - sizes / 2
        count = min(self.config.training.pieces, len(rows))
        group = np.minimum(middle * count / max(1, sizes.sum()), count - 1).astype(int)
        if len(np.unique(group)) < count:  # a few patients have nearly all tiles
            group = np.arange(len(rows)) * count // len(rows)
        begins, filled = [0], 0
        for row, size in enumerate(sizes.tolist()):
            is_new = group[row] != group[row - 1] or filled + size > limit
            if row > begins[-1] and is_new:
                begins.append(row)
                filled = 0
            filled += size
        pieces = []
        for own in np.split(np.arange(len(rows)), begins[1:]):
            pieces.append(Piece(rows[own], int(sizes[own].sum()) <= limit))
        return pieces

    def _bytes(self, rows: IntArray) -> IntArray:
        """Bytes of each patient's tiles and activations while its gradient is made; (patients,)."""
        total = np.zeros(len(rows), np.int64)
        for shape in self.network.config.modalities:
            if isinstance(shape, VectorConfig):
                total += 4 * (shape.input_dim + sum(shape.hidden))
        counts = self.task.source.tile_counts(rows, self.config.training.max_tiles)
        for name, tiles in counts.items():
            branch = self.network.branches[name]
            if isinstance(branch, BagBranch):
                per_tile = 4 * branch.project.in_features + branch.bytes_per_tile
                total += tiles * per_tile
        return total

    def step(
        self,
        rows: IntArray,
        seed: int,
        events: float | None,
        on_loss: Callable[[Tensor], None],
    ) -> float:
        """Add the gradient of some patients' loss to the weights.

        Parameters
        ----------
        rows : array of int, (patients,)
        seed : int
            Of the tiles that are drawn.
        events : float or None
            See :class:`~survfuse.training.objective.Target`.
        on_loss : callable
            Receives the loss before its gradient is made.

        Returns
        -------
        float
            The loss.
        """
        pieces = self.pieces(rows)
        if len(pieces) == self.config.training.pieces == 1:
            output = self._output(pieces[0], seed)
            return self._backward(output, rows, events, on_loss)
        return self._two_passes(pieces, seed, events, on_loss)

    def _two_passes(
        self,
        pieces: Sequence[Piece],
        seed: int,
        events: float | None,
        on_loss: Callable[[Tensor], None],
    ) -> float:
        seeds = np.random.default_rng(seed).integers(2**62, size=len(pieces)).tolist()
        rows = np.concatenate([piece.rows for piece in pieces])
        sizes = [len(piece.rows) for piece in pieces]
        shape = len(rows), self.network.head.linear.out_features
        outputs = torch.zeros(shape, device=self.device)
        mine = range(len(pieces))[self.ranks.own :: self.ranks.count]
        parts = torch.split(outputs, sizes)
        for k in mine:
            with torch.no_grad():
                torch.manual_seed(seeds[k])
                parts[k].copy_(self._output(pieces[k], seed))
        self.ranks.add(outputs)
        outputs = outputs.detach().requires_grad_()
        loss = self._backward(outputs, rows, events, on_loss)
        assert outputs.grad is not None
        gradients = torch.split(outputs.grad, sizes)
        for k in mine:
            torch.manual_seed(seeds[k])
            self._output(pieces[k], seed).backward(gradients[k])  # type: ignore[no-untyped-call]
        if self.ranks.count > 1:
            for parameter in self.network.parameters():
                if parameter.grad is None:  # this process had no piece
                    parameter.grad = torch.zeros_like(parameter)
                self.ranks.add(parameter.grad)
        return loss

    def _output(self, piece: Piece, seed: int) -> Tensor:
        for branch in self._bags:
            branch.store_bytes = None if piece.fits else 0
        output: Tensor = self.network(self._batch(piece.rows, seed)).output
        return output

    def _batch(self, rows: IntArray, seed: int) -> Batch:
        source = self.task.source
        if not always_the_same(self.config) or len(rows) < len(self.task.train):
            batch = source.batch(
                rows,
                max_tiles=self.config.training.max_tiles,
                seed=seed,
            )
            return to_device(batch, self.device)
        if self._whole is None:
            self._whole = to_device(source.batch(rows), self.device)
        return self._whole

    def _backward(
        self,
        output: Tensor,
        rows: IntArray,
        events: float | None,
        on_loss: Callable[[Tensor], None],
    ) -> float:
        """Compute the loss of an output (patients, outputs), and its gradient."""
        loss = self._loss(output, rows, events)
        on_loss(loss)
        loss.backward()  # type: ignore[no-untyped-call]
        return float(loss.detach())

    def _loss(
        self,
        output: Tensor,
        rows: IntArray,
        events: float | None,
    ) -> Tensor:
        time = torch.from_numpy(self.task.time[rows]).to(self.device)
        event = torch.from_numpy(self.task.event[rows]).to(self.device)
        target, edges = Target(time, event, events), self.task.bin_edges
        return objective(output, self.network.head, target, self.config, edges)
