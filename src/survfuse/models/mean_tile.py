"""The mean tile of a patient, with an attention branch before it where one is wanted."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from survfuse.models.branches import BagBranch
from survfuse.models.pooling import TileReader, segments

CHUNK_TILES = 65_536
"""Tiles added up at a time; bounds memory, not the result."""


class MeanTileBranch(nn.Module):
    """Tiles -> [attention embedding,] mean tile, for all patients at once.

    The mean has nothing to learn; its sums are taken in double precision.

    Parameters
    ----------
    input_dim : int
        Features of a tile.
    width, attention_width : int
        Of the attention branch (:class:`BagBranch`) whose embedding precedes the mean; 0: none.
    dropout : float
        Of the attention branch.
    """

    def __init__(
        self,
        input_dim: int,
        width: int = 0,
        attention_width: int = 0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.input_dim = input_dim
        self.width = width + input_dim
        self.attention = None
        if width:
            sizes = input_dim, width, attention_width
            self.attention = BagBranch(*sizes, "attention", dropout)

    def forward(self, tiles: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
        """Embed patients: (patients, width), zeros without tiles; every tile's share (tiles,)."""
        embedding, share, _ = self.read(tiles, offsets)
        return embedding, share

    def read(self, tiles: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor, TileReader]:
        """Embed patients; also return a reader of the tiles for a fusion."""
        owner = segments(offsets, len(tiles))
        shape = len(offsets) - 1, self.input_dim
        total = torch.zeros(shape, dtype=torch.float64, device=tiles.device)
        for start, chunk in _chunks(tiles):
            total.index_add_(0, owner[start : start + len(chunk)], chunk.double())
        counts = offsets.diff().clamp_min(1)
        mean = (total / counts.unsqueeze(1)).float()
        if self.attention is not None:
            embedding, share, reader = self.attention.read(tiles, offsets)
            return torch.cat([embedding, mean], dim=1), share, reader
        return mean, 1.0 / counts[owner], TileReader(offsets, lambda: _chunks(tiles))


def _chunks(tiles: Tensor) -> Iterator[tuple[int, Tensor]]:
    for start in range(0, len(tiles), CHUNK_TILES):
        yield start, tiles[start : start + CHUNK_TILES].float()
