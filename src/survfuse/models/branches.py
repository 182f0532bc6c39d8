"""One modality in, one embedding per patient out."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from survfuse.models.layers import Dropout
from survfuse.models.pooling import (
    POOLINGS,
    GatedAttention,
    Pooling,
    RunningPool,
    TileReader,
    pool,
)
from survfuse.models.tile_attention import (
    AttentionSettings,
    Weights,
    attend,
    bytes_per_tile,
)

CHUNK_TILES = 16_384
"""Tiles projected at a time where no gradient is needed; bounds memory, not the result."""
SMALL_TILE = 2**15
"""Multiplications a tile from which chunks in the processor's cache pay while training."""


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
    store_bytes : int or None
        Most memory for what such a training pass stores for its gradient; beyond it is computed
        again. None: any.
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
        self.store_bytes: int | None = None
        self.project = nn.Linear(input_dim, width)
        self.dropout = Dropout(dropout)
        self.pooling: Pooling = POOLINGS.build(pooling, width, attention_width, dropout)

    def forward(
        self,
        tiles: Tensor,
        offsets: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Embed patients.

        Without gradients (evaluation under `torch.no_grad`) large matrices go
        through in chunks of tiles, with the same result and little memory.

        Parameters
        ----------
        tiles : Tensor, (tiles, input_dim)
            Half precision is cast on use.
        offsets : Tensor, (patients + 1,) int64
            First tile of each patient, and the number of tiles.

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
        if not self.training or tiles.requires_grad or not self._by_chunks():
            return None
        pooling = cast(GatedAttention, self.pooling)
        cost = len(tiles) * self.bytes_per_tile
        fits = self.store_bytes is None or cost <= self.store_bytes
        settings = AttentionSettings(
            dropout=self.dropout.p,
            score_dropout=pooling.dropout.p,
            dtype=self.compute_dtype,
            store=torch.is_grad_enabled() and fits,
            seed=int(torch.randint(2**62, (), dtype=torch.int64)),
        )
        return attend(tiles, offsets, self._weights(pooling), settings)

    @property
    def bytes_per_tile(self) -> int:
        """Bytes that a training step stores of each tile besides the tile, without recomputing."""
        attention = self._attention_width
        if self._by_chunks():
            return bytes_per_tile(self.width, attention, self.compute_dtype)
        # Step by step: ReLU, mask and product; tanh, sigmoid, product, mask and product; scores
        # and indices.
        return 4 * (3 * self.width + 5 * attention) + 40

    @property
    def _attention_width(self) -> int:
        pooling = self.pooling
        return pooling.signal.out_features if isinstance(pooling, GatedAttention) else 0

    def _by_chunks(self) -> bool:
        """Whether attention in chunks pays, is needed for its precision, or is all that fits."""
        inputs = self.project.in_features + 2 * self._attention_width
        return self._attention_width > 0 and (
            self.width * inputs >= SMALL_TILE
            or self.compute_dtype != torch.float32
            or self.store_bytes == 0
        )

    def _weights(self, pooling: GatedAttention) -> Weights:
        signal, gate, score = pooling.signal, pooling.gate, pooling.score
        return Weights(
            self.project.weight,
            self.project.bias,
            torch.cat([signal.weight, gate.weight]),
            torch.cat([signal.bias, gate.bias]),
            score.weight[0],
            score.bias,
        )

    def read(
        self,
        tiles: Tensor,
        offsets: Tensor,
    ) -> tuple[Tensor, Tensor, TileReader]:
        """Embed patients; also return a reader of the projected tiles for a fusion.

        It reads what was pooled, dropout included; where that went through in chunks, chunks are
        projected again.
        """
        if self.training or torch.is_grad_enabled() or len(tiles) <= self.chunk_tiles:
            hidden = self._project(tiles)
            embedding, attention = pool(hidden, self.pooling(hidden), offsets)
            return embedding, attention, TileReader(offsets, lambda: [(0, hidden)])
        running = RunningPool(offsets, self.width, like=self.project.weight)
        for start, hidden in self._chunks(tiles):
            running.add(start, hidden, self.pooling(hidden))
        return *running.finish(), TileReader(offsets, lambda: self._chunks(tiles))

    def read_tiles(self, tiles: Tensor) -> tuple[Tensor, Tensor]:
        """Project tiles (tiles, input_dim) -> (tiles, width), and score them (tiles,)."""
        hidden = self._project(tiles)
        return hidden, self.pooling(hidden)

    def _chunks(self, tiles: Tensor) -> Iterator[tuple[int, Tensor]]:
        for start in range(0, len(tiles), self.chunk_tiles):
            yield start, self._project(tiles[start : start + self.chunk_tiles])

    def _project(self, tiles: Tensor) -> Tensor:
        projected = self.project(tiles.to(self.project.weight.dtype))
        return cast(Tensor, self.dropout(torch.relu_(projected)))


class VectorBranch(nn.Module):
    """A vector -> (Linear -> ReLU) per layer, dropout between layers; no layers: the vector itself.

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
        sizes = itertools.pairwise([input_dim, *hidden])
        self.width = hidden[-1] if hidden else input_dim
        self.layers = nn.ModuleList(nn.Linear(*size) for size in sizes)
        self.dropout = Dropout(dropout)
        self.input_dropout = Dropout(input_dropout)

    def forward(self, vector: Tensor) -> Tensor:
        """Embed (patients, input_dim) -> (patients, width)."""
        vector = self.input_dropout(vector)
        for number, layer in enumerate(self.layers):
            if number:
                vector = self.dropout(vector)
            vector = torch.relu(layer(vector))
        return vector
