"""One modality in, one embedding per patient out."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from survfuse.models.layers import Dropout, Linear
from survfuse.models.pooling import (
    POOLINGS,
    GatedAttention,
    Pooling,
    RunningPool,
    TileReader,
    pool,
)
from survfuse.models.tile_attention import How, Weights, attend, bytes_per_tile

CHUNK_TILES = 16_384
"""Tiles projected at a time where no gradient is asked for; bounds memory, not the result."""
SMALL_TILE = 2**15
"""Multiplications a tile from which chunks that stay in the processor's cache pay while training."""


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

    Attributes
    ----------
    compute_dtype : torch.dtype
        Of the matrix products of attention while training (`survfuse.models.tile_attention`).
    keep_bytes : int or None
        Most memory for what such a training pass keeps for its gradient; beyond it is made again. None: any.
    """

    def __init__(
        self,
        input_dim: int,
        width: int,
        attention_width: int,
        pooling: str,
        dropout: float,
    ) -> None:
        super().__init__()
        self.width = width
        self.chunk_tiles = CHUNK_TILES
        self.compute_dtype = torch.float32
        self.keep_bytes: int | None = None
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

    def train_step(
        self,
        tiles: Tensor,
        offsets: Tensor,
    ) -> tuple[Tensor, Tensor] | None:
        """Embed patients while training, chunk by chunk; None where that is not possible.

        The same network, dropout rates and gradients of the weights; tiles and attention get no
        gradient, and dropout masks are drawn in another order.
        """
        pooling = self.pooling
        if (
            not (self.training and isinstance(pooling, GatedAttention))
            or tiles.requires_grad
        ):
            return None
        if not self._by_chunks(pooling):
            return None
        cost = len(tiles) * self.bytes_per_tile
        how = How(
            dropout=self.dropout.p,
            score_dropout=pooling.dropout.p,
            dtype=self.compute_dtype,
            keep=torch.is_grad_enabled()
            and (self.keep_bytes is None or cost <= self.keep_bytes),
            seed=int(torch.randint(2**62, (), dtype=torch.int64)),
        )
        return attend(tiles, offsets, self._weights(pooling), how)

    @property
    def bytes_per_tile(self) -> int:
        """What a training step keeps of each tile, beside the tile, where nothing is made again."""
        pooling = self.pooling
        attention = (
            pooling.signal.out_features if isinstance(pooling, GatedAttention) else 0
        )
        if isinstance(pooling, GatedAttention) and self._by_chunks(pooling):
            return bytes_per_tile(self.width, attention, self.compute_dtype)
        # Step by step: ReLU, mask and product; tanh, sigmoid, product, mask and product; scores and indices.
        return 4 * (3 * self.width + 5 * attention) + 40

    def _by_chunks(self, pooling: GatedAttention) -> bool:
        """Whether chunks pay, are asked for by their precision, or are all that fits."""
        products = self.width * (
            self.project.in_features + 2 * pooling.signal.out_features
        )
        return (
            products >= SMALL_TILE
            or self.compute_dtype != torch.float32
            or self.keep_bytes == 0
        )

    def _weights(self, pooling: GatedAttention) -> Weights:
        layers = (self.project, pooling.signal, pooling.gate, pooling.score)
        return Weights(
            *(part for layer in layers for part in (layer.weight, layer.bias)),
        )

    def read(self, tiles: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor, TileReader]:
        """Embed patients, and keep a door to the projected tiles for a fusion that asks them.

        What the door shows is what was pooled, dropout included; where that went through in chunks,
        chunks are projected again.
        """
        if self.training or torch.is_grad_enabled() or len(tiles) <= self.chunk_tiles:
            hidden, scores = self._score(tiles)
            return *pool(hidden, scores, offsets), TileReader(
                offsets,
                lambda: [(0, hidden)],
            )
        running = RunningPool(offsets, self.width, like=self.project.weight)
        for start in range(0, len(tiles), self.chunk_tiles):
            running.add(start, *self._score(tiles[start : start + self.chunk_tiles]))
        return *running.finish(), TileReader(offsets, lambda: self._chunks(tiles))

    def _chunks(self, tiles: Tensor) -> Iterator[tuple[int, Tensor]]:
        for start in range(0, len(tiles), self.chunk_tiles):
            yield start, self._project(tiles[start : start + self.chunk_tiles])

    def _project(self, tiles: Tensor) -> Tensor:
        hidden: Tensor = self.dropout(
            torch.relu_(self.project(tiles.to(self.project.weight.dtype))),
        )
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
        self,
        input_dim: int,
        hidden: Sequence[int],
        dropout: float,
        input_dropout: float = 0.0,
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
