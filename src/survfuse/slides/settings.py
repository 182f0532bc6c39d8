"""How slides become features, as one frozen object."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from survfuse.config import Frozen
from survfuse.slides.slide_list import SlideItem

TissueMethod = Literal["auto", "given", "otsu", "lazyslide", "everything"]


class ExtractConfig(Frozen):
    """How slides are cut into tiles and what encodes them."""

    # -- the encoder
    encoder: str = "stain_texture"
    """Tile encoder, by the name of its card (docs/encoders.md)."""
    weights: Path | None = None
    """Its weights: safetensors, or a torch file read with `weights_only`; nothing is fetched."""
    sha256: str | None = None
    """What the weights file must hash to."""
    random_weights: int | None = Field(default=None, ge=0)
    """Seed of random weights instead, to try a pipeline; the encoder is then called NAME_random."""
    device: str = "auto"
    """Where networks compute; `auto` takes a GPU if there is one."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Of the encoder; `auto` is the card's on a GPU and fp32 elsewhere."""

    # -- tiles
    tile_px: int | None = Field(default=None, ge=16, le=4096)
    """Side of a tile in pixels, as the encoder sees it; null takes the card's."""
    mpp: float | None = Field(default=None, gt=0)
    """µm per pixel of the tiles; null takes the card's. Slides of other spacing are resampled to it."""
    overlap: float = Field(default=0.0, ge=0, lt=0.95)
    """Share of a tile that it has in common with its neighbour."""
    slide_mpp: float | None = Field(default=None, gt=0)
    """µm per pixel of level 0, for slides whose file and table do not say it."""
    objective_power: float | None = Field(default=None, gt=0)
    """Power of the objective, likewise: 20 means 0.5 µm/px, 40 means 0.25."""

    # -- tissue
    tissue: TissueMethod = "auto"
    """Where tiles are taken: `given` masks, found by `otsu` or `lazyslide`, or `everything`; `auto` takes the
    mask where there is one and `otsu` elsewhere."""
    min_cover: float = Field(default=0.25, gt=0, le=1)
    """Smallest share of tissue in a tile; a chip that fits in no tile so keeps its best one."""
    min_area_mm2: float = Field(default=0.02, ge=0)
    """Tissue found smaller than this is dust."""
    max_hole_mm2: float = Field(default=0.1, ge=0)
    """Holes in found tissue up to this size are filled."""
    max_background: float = Field(default=0.9, gt=0, le=1)
    """Tiles with a larger share of blank pixels are left out."""
    max_pen: float = Field(default=0.3, gt=0, le=1)
    """Tiles with a larger share of pen marks are left out."""
    max_unreadable: float = Field(default=0.05, ge=0, le=1)
    """Slides with a larger share of tiles that cannot be read fail; up to it, those tiles are left out."""

    # -- how it runs: changes no feature
    batch: int = Field(default=64, ge=1)
    """Tiles encoded at once."""
    threads: int = Field(default=1, ge=1)
    """Threads that read tiles beside the one that encodes, per worker."""

    @model_validator(mode="after")
    def _check(self) -> ExtractConfig:
        if self.weights is not None and self.random_weights is not None:
            raise ValueError("weights and random_weights exclude each other")
        if self.sha256 is not None and self.weights is None:
            raise ValueError("sha256 is the checksum of `weights`, which are not given")
        return self

    def method_for(self, item: SlideItem) -> str:
        """Where the tiles of one slide are taken: given, otsu, lazyslide or everything."""
        if self.tissue != "auto":
            return self.tissue
        return "otsu" if item.mask is None else "given"


REVISION = 2
"""Raised when a change of this program gives other tiles for the same settings."""

_TISSUE = ("min_cover", "min_area_mm2", "max_hole_mm2", "max_background", "max_pen")


def settings_of(config: ExtractConfig, encoder: Any) -> dict[str, Any]:
    """Everything that all bags of one folder share.

    Parameters
    ----------
    config : ExtractConfig
    encoder : TileEncoder
        Gives the tile size and scale where `config` leaves them to the card.

    Returns
    -------
    dict
        `revision`, `tile_px`, `mpp`, `overlap`, `tissue` with its limits, and the encoder's `identity()`.

    Raises
    ------
    ConfigError
        When the encoder cannot take tiles of `tile_px`.
    """
    if config.tile_px is not None:
        encoder.card.check_px(config.tile_px)
    return {
        "revision": REVISION,
        "tile_px": encoder.px if config.tile_px is None else config.tile_px,
        "mpp": encoder.card.mpp if config.mpp is None else config.mpp,
        "overlap": config.overlap,
        "tissue": config.tissue,
        **{name: getattr(config, name) for name in _TISSUE},
        "encoder": dict(encoder.identity()),
    }
