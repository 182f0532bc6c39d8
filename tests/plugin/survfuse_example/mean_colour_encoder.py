"""A tile encoder: mean red, green and blue."""

from typing import Any

import numpy as np

from survfuse.slides.encoders import EncoderCard, TileEncoder, register_encoder
from survfuse.slides.encoders.encoder import Encoded, Tiles

CARD = EncoderCard(
    name="mean_colour",
    arch="measured",
    arguments={},
    weights="",
    licence="none needed",
    gated=False,
    px=224,
    px_step=1,
    mpp=0.5,
    mean=(0, 0, 0),
    std=(1, 1, 1),
    dim=3,
    pooling="measured",
    summary="mean red, green and blue",
    source="an example",
)


@register_encoder(CARD)
class MeanColour(TileEncoder):
    """Means over the pixels of a tile."""

    card = CARD
    name = CARD.name

    def encode(self, tiles: Tiles) -> Encoded:
        """Encode tiles (n, px, px, 3) as (n, 3)."""
        return np.asarray(self.checked(tiles).mean(axis=(1, 2)), np.float16)

    def identity(self) -> dict[str, Any]:
        """What must be equal for two runs to give the same features."""
        return {"name": self.name, "version": 1}
