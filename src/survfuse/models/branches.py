"""One modality in, one embedding per patient out."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from survfuse.models.layers import Dropout, Linear
from survfuse.models.pooling import POOLINGS, Pooling, RunningPool, TileReader, pool

CHUNK_TILES = 16_384
"""Tiles projected at a time where no gradient is asked for; bounds memory, not the result."""


class BagBranch(nn.Module):
    """Tiles -> Linear -> ReLU -> Dropout -> pooling, for all patients at once.

    Parameters
    ----------
    input_dim : int
        Features of a tile.
    width : int
        Width of the projection and of the embedding.
    attention_width : int
        Hidden width of the attention.
    pooling : str
        A name in :data:`~survfuse.models.pooling.POOLINGS`.
    dropout : float
        After the projection and inside the attention.
    """

    def __init__(
        self, input_dim: int, width: int, attention_width: int, pooling: str, dropout: float
    ) -> None:
        super().__init__()
        self.width = width
        self.chunk_tiles = CHUNK_TILES
        self.project = Linear(input_dim, width)
        self.dropout = Dropout(dropout)
        self.pooling: Pooling = POOLINGS.build(pooling, width, attention_width, dropout)

    def forward(self, tiles: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
        """Embed patients.

        Without gradients (evaluation under `torch.no_grad`) large matrices go
        through in chunks of tiles, with the same result and little memory.

        Parameters
        ----------
        tiles : Tensor, (tiles, input_dim)
            Half precision is cast on use.
        offsets : Tensor, (patients + 1,) int64
            Whose tiles are whose.

        Returns
        -------
        embedding : Tensor, (patients, width)
            Zeros for a patient without tiles.
        attention : Tensor, (tiles,)
            Sums to 1 within each patient.
        """
        embedding, attention, _ = self.read(tiles, offsets)
        return embedding, attention

    def read(self, tiles: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor, TileReader]:
        """Embed patients, and keep a door to the projected tiles for a fusion that asks them.

        What the door shows is what was pooled, dropout included; where that went through in chunks,
        chunks are projected again.
        """
        if self.training or torch.is_grad_enabled() or len(tiles) <= self.chunk_tiles:
            hidden, scores = self._score(tiles)
            return *pool(hidden, scores, offsets), TileReader(offsets, lambda: [(0, hidden)])
        running = RunningPool(offsets, self.width, like=self.project.weight)
        for start in range(0, len(tiles), self.chunk_tiles):
            running.add(start, *self._score(tiles[start : start + self.chunk_tiles]))
        return *running.finish(), TileReader(offsets, lambda: self._chunks(tiles))

    def _chunks(self, tiles: Tensor) -> Iterator[tuple[int, Tensor]]:
        for start in range(0, len(tiles), self.chunk_tiles):
            yield start, self._project(tiles[start : start + self.chunk_tiles])

    def _project(self, tiles: Tensor) -> Tensor:
        hidden: Tensor = self.dropout(torch.relu_(self.project(tiles.to(self.project.weight.dtype))))
        return hidden

    def _score(self, tiles: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self._project(tiles)
        return hidden, self.pooling(hidden)


class VectorBranch(nn.Module):
    """A vector -> (Linear -> ReLU) per layer, dropout between layers; no layers: the vector as it is.

    Parameters
    ----------
    input_dim : int
        Length of the vector.
    hidden : sequence of int
        Widths of the layers.
    dropout : float
        Between layers, not after the last.
    input_dropout : float
        On the vector itself.
    """

    def __init__(
        self, input_dim: int, hidden: Sequence[int], dropout: float, input_dropout: float = 0.0
    ) -> None:
        super().__init__()
        widths = [input_dim, *hidden]
        self.width = widths[-1]
        self.layers = nn.ModuleList(Linear(a, b) for a, b in itertools.pairwise(widths))
        self.dropout = Dropout(dropout)
        self.input_dropout = Dropout(input_dropout)

    def forward(self, vector: Tensor) -> Tensor:
        """Embed (patients, input_dim) -> (patients, width)."""
        vector = self.input_dropout(vector)
        for number, layer in enumerate(self.layers):
            if number:
                vector = self.dropout(vector)
            vector = torch.relu(cast(Tensor, layer(vector)))
        return vector
