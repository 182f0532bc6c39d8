"""One step: the loss of some patients and its gradient, in one pass or, piece by piece, in two.

The Cox loss ties every patient to all others, but only through their log-risks. So a step whose
tiles and activations would not fit the memory given goes through its patients twice: first without
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
from survfuse.models.mean_tile import MeanTileBranch
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
        Whether their tiles and activations fit the memory given; otherwise (a single patient with
        very many tiles) activations are made again in the backward pass.
    """

    rows: IntArray
    fits: bool = True


class Stepper:
    """Makes losses and gradients.

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
        self.network, self.task, self.config, self.device, self.ranks = (
            network,
            task,
            config,
            device,
            ranks,
        )
        self._whole: Batch | None = None
        if ranks.count > config.pieces:
            raise InputError(
                f"{ranks.count} processes share the pieces of a step, and pieces is {config.pieces}; set "
                f"model.pieces to {ranks.count} or more, or start fewer processes",
            )
        for branch in network.branches.values():
            if isinstance(branch, BagBranch):
                branch.compute_dtype = getattr(torch, config.precision)

    def pieces(self, rows: IntArray) -> list[Piece]:
        """Cut the patients of a step, in their order, so that each piece fits the memory given."""
        each, most = self._bytes(rows), self.config.memory_mb * MEGABYTE
        middle = np.cumsum(each) - each / 2
        wanted = min(self.config.pieces, len(rows))
        group = np.minimum(middle * wanted / max(1, each.sum()), wanted - 1).astype(int)
        if len(np.unique(group)) < wanted:  # a few patients have nearly all tiles
            group = np.arange(len(rows)) * wanted // len(rows)
        begins, filled = [0], 0
        for row, size in enumerate(each.tolist()):
            if row > begins[-1] and (
                group[row] != group[row - 1] or filled + size > most
            ):
                begins.append(row)
                filled = 0
            filled += size
        ends = [*begins[1:], len(rows)]
        return [
            Piece(rows[a:b], int(each[a:b].sum()) <= most)
            for a, b in zip(begins, ends, strict=True)
        ]

    def _bytes(self, rows: IntArray) -> IntArray:
        """What each patient's tiles and activations take while its gradient is made; (patients,)."""
        shapes = [
            m for m in self.network.config.modalities if isinstance(m, VectorConfig)
        ]
        total = np.full(
            len(rows),
            4 * sum(m.input_dim + sum(m.hidden) for m in shapes),
            np.int64,
        )
        for name, counts in self.task.source.tile_counts(
            rows,
            self.config.max_tiles,
        ).items():
            branch = self.network.branches[name]
            if isinstance(branch, BagBranch):
                total += counts * (
                    4 * branch.project.in_features + branch.bytes_per_tile
                )
            elif isinstance(branch, MeanTileBranch):
                total += counts * 4 * branch.input_dim
        return total

    def step(
        self,
        rows: IntArray,
        seed: int,
        events: float | None,
        told: Callable[[Tensor], None],
    ) -> float:
        """Add the gradient of some patients' loss to the weights.

        Parameters
        ----------
        rows : array of int, (patients,)
        seed : int
            Of the tiles that are drawn.
        events : float or None
            See :class:`~survfuse.training.objective.Target`.
        told : callable
            Hears of the loss before its gradient is made.

        Returns
        -------
        float
            The loss.
        """
        pieces = self.pieces(rows)
        if len(pieces) == self.config.pieces == 1:
            return self._one_pass(pieces[0], seed, events, told)
        return self._two_passes(pieces, seed, events, told)

    def _one_pass(
        self,
        piece: Piece,
        seed: int,
        events: float | None,
        told: Callable[[Tensor], None],
    ) -> float:
        output = self._output(piece, seed)
        loss = self._loss(output, piece.rows, events)
        told(loss)
        loss.backward()  # type: ignore[no-untyped-call]
        return float(loss.detach())

    def _two_passes(
        self,
        pieces: Sequence[Piece],
        seed: int,
        events: float | None,
        told: Callable[[Tensor], None],
    ) -> float:
        seeds = np.random.default_rng(seed).integers(2**62, size=len(pieces)).tolist()
        bounds = np.cumsum([0, *(len(piece.rows) for piece in pieces)])
        mine = range(len(pieces))[self.ranks.own :: self.ranks.count]
        outputs = torch.zeros(
            (int(bounds[-1]), self.network.head.linear.out_features),
            device=self.device,
        )
        for k in mine:
            with torch.no_grad():
                torch.manual_seed(seeds[k])
                outputs[bounds[k] : bounds[k + 1]] = self._output(pieces[k], seed)
        self.ranks.add(outputs)
        outputs.requires_grad_()
        loss = self._loss(
            outputs,
            np.concatenate([piece.rows for piece in pieces]),
            events,
        )
        told(loss)
        loss.backward()  # type: ignore[no-untyped-call]
        assert outputs.grad is not None
        for k in mine:
            torch.manual_seed(seeds[k])
            self._output(pieces[k], seed).backward(
                outputs.grad[bounds[k] : bounds[k + 1]],
            )  # type: ignore[no-untyped-call]
        self._add_gradients()
        return float(loss.detach())

    def _output(self, piece: Piece, seed: int) -> Tensor:
        for branch in self.network.branches.values():
            if isinstance(branch, BagBranch):
                branch.store_bytes = None if piece.fits else 0
        output: Tensor = self.network(self._batch(piece.rows, seed)).output
        return output

    def _batch(self, rows: IntArray, seed: int) -> Batch:
        if not always_the_same(self.config) or len(rows) < len(self.task.train):
            drawn = self.task.source.batch(
                rows,
                max_tiles=self.config.max_tiles,
                seed=seed,
            )
            return to_device(drawn, self.device)
        if self._whole is None:
            self._whole = to_device(self.task.source.batch(rows), self.device)
        return self._whole

    def _loss(self, output: Tensor, rows: IntArray, events: float | None) -> Tensor:
        time = torch.from_numpy(self.task.time[rows]).to(self.device)
        event = torch.from_numpy(self.task.event[rows]).to(self.device)
        target = Target(time, event, events)
        return objective(
            output,
            self.network.head,
            target,
            self.config,
            self.task.bin_edges,
        )

    def _add_gradients(self) -> None:
        """Add up the gradients of all processes."""
        if self.ranks.count == 1:
            return
        for parameter in self.network.parameters():
            if parameter.grad is None:  # this process had no piece
                parameter.grad = torch.zeros_like(parameter)
            self.ranks.add(parameter.grad)
