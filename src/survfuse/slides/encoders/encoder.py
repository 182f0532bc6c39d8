"""The card of a tile encoder and the base class of all of them. Needs neither torch nor timm."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from survfuse._errors import ConfigError, SlideError
from survfuse._types import ByteArray

Tiles = ByteArray
Encoded = npt.NDArray[np.float16]
Colours = tuple[float, float, float]

LEAST_PX = 32
"""Smallest side of a tile."""
FLOAT16_MAX = float(np.finfo(np.float16).max)


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class EncoderCard:
    """Everything about one tile encoder; validated when it is made.

    Attributes
    ----------
    name : str
        As in configurations and in the ``encoder`` attribute of a bag.
    arch : str
        timm architecture, or ``measured`` for an encoder without weights.
    weights : str
        Where the weights come from; empty where there are none.
    licence : str
        Of the weights, as the publisher names it.
    gated : bool
        Whether the publisher gives the weights only after a request.
    px : int
        Side of the input tile, in pixels.
    mpp : float, µm per pixel
        Scale at which tiles are cut unless another is asked for.
    mean, std : tuple of three floats
        Of red, green and blue on the scale 0 to 1.
    dim : int
        Features per tile.
    pooling : {"cls", "cls+mean", "avg", "attention", "measured"}
        How patch tokens or maps become one vector.
    summary, source : str
        One line for tables; the paper.
    arguments : mapping
        Given to ``timm.create_model``; layers are named by strings (`SwiGLUPacked`, `SiLU`).
    file : str
        The file to download from `weights`.
    basis : {"stated", "magnification", "convention"}
        How `mpp` is known: printed by the publisher; converted from a stated
        magnification (20x is 0.5 µm/px); or custom of the field only.
    px_step : int or None
        Other tile sides accepted: multiples of this; None when `px` alone is.
    precision : {"fp16", "bf16", "fp32"}
        Autocast on a GPU unless asked otherwise.
    layout : {"timm", "hf_dinov2", "conch"}
        How the published file names its tensors.
    unused : tuple of str
        Prefixes of tensors in the published file that features do not need.
    unverified : tuple of str
        What could not be checked against the publisher's own page.
    """

    name: str
    arch: str
    weights: str
    licence: str
    gated: bool
    px: int
    mpp: float
    mean: Colours
    std: Colours
    dim: int
    pooling: Literal["cls", "cls+mean", "avg", "attention", "measured"]
    summary: str
    source: str
    arguments: Mapping[str, Any]
    file: str = ""
    basis: Literal["stated", "magnification", "convention"] = "convention"
    px_step: int | None = None
    precision: Literal["fp16", "bf16", "fp32"] = "fp16"
    layout: Literal["timm", "hf_dinov2", "conch"] = "timm"
    unused: tuple[str, ...] = ()
    unverified: tuple[str, ...] = ()

    @property
    def needs_weights(self) -> bool:
        """Whether anything must be downloaded before it can be used."""
        return self.pooling != "measured"

    def check_px(self, px: int) -> None:
        """Refuse a tile side this encoder cannot take.

        Raises
        ------
        ConfigError
            Naming the sides it can take.
        """
        if px == self.px:
            return
        takes = f"encoder {self.name!r} takes tiles of {self.px} px"
        if self.px_step is None:
            raise ConfigError(
                f"{takes}, not {px}; "
                "leave tile_px out, and choose the field of view with mpp",
            )
        if px < LEAST_PX or px % self.px_step:
            raise ConfigError(
                f"{takes}, or of any multiple of {self.px_step} px "
                f"from {LEAST_PX} up, not {px}",
            )


class TileEncoder(ABC):
    """Turns tiles into features; the same object serves training and prediction.

    Attributes
    ----------
    card : EncoderCard
        What it is.
    name : str
        As written into bags: the card's name, with ``_random`` behind it where
        the weights are random.
    dim, px : int
        Features per tile; side of the tiles it expects.
    """

    card: EncoderCard
    name: str

    @property
    def dim(self) -> int:
        """Features per tile."""
        return self.card.dim

    @property
    def px(self) -> int:
        """Side of a tile in pixels, unless another accepted side is chosen."""
        return self.card.px

    @abstractmethod
    def encode(self, tiles: Tiles) -> Encoded:
        """Encode tiles; a tile's features do not depend on its neighbours in the call.

        Parameters
        ----------
        tiles : ndarray, (n, px, px, 3), uint8
            RGB; `n` may be 0.

        Returns
        -------
        ndarray, (n, dim), float16
            Finite.

        Raises
        ------
        ConfigError
            When the encoder cannot take tiles of this side.
        SlideError
            When a feature is not finite or does not fit float16.
        """

    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """What must be equal for two runs to give the same features.

        JSON-ready; part of the content key of every bag. Versions of libraries are
        left to the run's record: a patch release must not make a finished store stale.
        """

    def checked(self, tiles: Tiles) -> Tiles:
        """Return the tiles where they are what this encoder takes.

        Raises
        ------
        ValueError
            When they are not (n, px, px, 3) of uint8.
        ConfigError
            See :meth:`EncoderCard.check_px`.
        """
        shape = np.shape(tiles)
        square = len(shape) == 4 and shape[3] == 3 and shape[1] == shape[2]
        if not square or tiles.dtype != np.uint8:
            raise ValueError(
                f"expected tiles (n, px, px, 3) of uint8, got {shape} of {tiles.dtype}",
            )
        self.card.check_px(shape[1])
        return tiles


def to_float16(
    values: npt.NDArray[np.floating[Any]],
    encoder: str,
) -> Encoded:
    """Round features to float16; what does not fit is refused, never stored as infinity.

    Raises
    ------
    SlideError
        Counting the tiles concerned and naming the largest value.
    """
    bad = ~(np.abs(values) <= FLOAT16_MAX)  # catches NaN too
    if bad.any():
        tiles = int(bad.any(axis=1).sum())
        columns = np.flatnonzero(bad.any(axis=0))
        finite = np.abs(values[np.isfinite(values)])
        largest = f"{finite.max():.3g}" if finite.size else "none finite"
        raise SlideError(
            f"encoder {encoder!r} gave values that float16 cannot hold in {tiles} of "
            f"{len(values)} tiles ({len(columns)} features, the first is number {columns[0]}; "
            f"largest finite value {largest}, limit {FLOAT16_MAX:.0f}); check that the weights "
            "fit the encoder, or try precision fp32",
        )
    return values.astype(np.float16)
