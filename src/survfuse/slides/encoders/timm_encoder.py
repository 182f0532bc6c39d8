"""Networks as tile encoders: normalisation, autocast and batches in one place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from survfuse._errors import ConfigError
from survfuse.slides.encoders.encoder import (
    Encoded,
    EncoderCard,
    TileEncoder,
    Tiles,
    to_float16,
)
from survfuse.slides.encoders.encoder_networks import PooledNetwork

CODE_VERSION = 1
"""Raised whenever this module would give other features for the same weights."""
_AUTOCAST = {"fp16": torch.float16, "bf16": torch.bfloat16}


class TimmEncoder(TileEncoder):
    """A network that sees tiles normalised as its card says.

    On the CPU a tile's features change in the last bits of float32 with the number of
    tiles computed together, because other matrix kernels are chosen: below 0.0001 of a
    feature's size at full precision (tested). One call at a time.

    Parameters
    ----------
    card : EncoderCard
        What it is.
    network : PooledNetwork
        With its weights.
    origin : mapping
        Where the weights come from, as :meth:`identity` tells it.
    name : str
        As written into bags.
    device : torch.device
        Where it runs.
    precision : {"fp32", "bf16", "fp16"}
        Of the arithmetic; features are float16 in any case.
    batch : int
        Tiles computed together.
    """

    def __init__(
        self,
        card: EncoderCard,
        network: PooledNetwork,
        *,
        origin: Mapping[str, Any],
        name: str,
        device: torch.device,
        precision: str,
        batch: int,
    ) -> None:
        self.card = card
        self.name = name
        self.device = device
        self.precision = precision
        self.batch = batch
        self._origin = dict(origin)
        self._network = network.eval().requires_grad_(False).to(device)
        if card.pooling == "avg":
            self._network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        # On the scale of bytes, so that tiles travel as bytes and are scaled where they arrive.
        mean, std = (255 * torch.tensor([card.mean, card.std])).view(2, 1, 3, 1, 1)
        self._mean, self._scale = mean.to(device), std.reciprocal().to(device)

    def encode(self, tiles: Tiles) -> Encoded:  # (n, px, px, 3) -> (n, dim)
        """Encode tiles; see :meth:`TileEncoder.encode`."""
        whole = self.checked(tiles)
        features = np.empty((len(whole), self.dim), np.float16)
        for start in range(0, len(whole), self.batch):
            part = slice(start, start + self.batch)
            values = self._forward(whole[part]).cpu().numpy()
            features[part] = to_float16(values, self.name)
        return features

    @torch.inference_mode()
    def _forward(self, tiles: Tiles) -> Tensor:
        try:
            bytes_ = torch.from_numpy(np.ascontiguousarray(tiles)).to(self.device)
            images = (bytes_.permute(0, 3, 1, 2).float() - self._mean) * self._scale
            dtype = _AUTOCAST.get(self.precision)
            with torch.autocast(self.device.type, dtype, enabled=dtype is not None):
                return self._network(images).float()  # type: ignore[no-any-return]
        except torch.OutOfMemoryError:
            raise ConfigError(
                f"encoder {self.name!r}: {len(tiles)} tiles of {tiles.shape[1]} px do not fit "
                "the memory of "
                f"{self.device}; ask for a smaller batch than {self.batch}",
            ) from None

    def identity(self) -> dict[str, Any]:
        """Everything that decides the features, JSON-ready; see :meth:`TileEncoder.identity`."""
        card = self.card
        return {
            "name": self.name,
            "arch": card.arch,
            "arguments": dict(card.arguments),
            "pooling": card.pooling,
            "mean": list(card.mean),
            "std": list(card.std),
            "dim": card.dim,
            "precision": self.precision,
            "code": CODE_VERSION,
            **self._origin,
        }
