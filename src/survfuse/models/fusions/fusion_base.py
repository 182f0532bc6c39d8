"""What all fusions share: their sizes, their contract, their registry, and the mask."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from survfuse._registry import Registry


@dataclass(frozen=True)
class FusionSizes:
    """Widths that fusions draw on.

    Attributes
    ----------
    rank : int
        Rank of each bilinear block and of the low-rank tensor; hidden width of attention over modalities
        and tokens.
    pair_width : int
        Output width of a pair of encoded modalities, of a triple, and of a modality weighted by attention.
    raw_pair_width : int or None
        Output width of a pair in which a modality has no encoder; None: `pair_width`.
    residual_width : int
        Width of the residual branch.
    tensor_width : int
        Embeddings wider than this are reduced to it before outer products are taken.
    query_tokens : int
        Queries that a patient's vector puts to a patient's tiles.
    """

    rank: int = 16
    pair_width: int = 16
    raw_pair_width: int | None = None
    residual_width: int = 32
    tensor_width: int = 8
    query_tokens: int = 6

    def pair(self, encoded: bool) -> int:
        """Output width of a pair of two encoded modalities, or of one with a raw side."""
        return (
            self.pair_width
            if encoded or self.raw_pair_width is None
            else self.raw_pair_width
        )


class Fusion(nn.Module):
    """Base of all fusions.

    Parameters
    ----------
    widths : mapping of modality to int
        Embedding widths, in the order in which modalities meet.
    encoded : collection of str
        Modalities whose embedding comes from a trained encoder.
    sizes : FusionSizes
        Inner and outer widths.

    Attributes
    ----------
    parts : dict of str to int
        Named blocks of the fused vector and their widths, in column order. A linear
        head over the fused vector therefore splits exactly into one term per part.
        A part named by one or several modalities, ``a*b``, is zero where any is missing.
    needs_tiles : bool
        Whether, besides widths, it is told which modalities are `bags`, and receives their tiles.
    """

    needs_tiles: ClassVar[bool] = False

    def __init__(
        self,
        widths: Mapping[str, int],
        encoded: Collection[str],
        sizes: FusionSizes,
    ) -> None:
        super().__init__()
        self.parts: dict[str, int] = {}

    @property
    def width(self) -> int:
        """Length of the fused vector."""
        return sum(self.parts.values())

    def forward(
        self,
        embeddings: Mapping[str, Tensor],
        present: Mapping[str, Tensor],
    ) -> Tensor:
        """Fuse (patients, width) embeddings under (patients,) bool masks -> (patients, fused)."""
        raise NotImplementedError


FUSIONS: Registry[Fusion] = Registry("fusion", group="survfuse.fusions")


def mask(values: Tensor, present: Tensor) -> Tensor:
    """Keep the rows of values (patients, width) where present (patients,), zeros elsewhere.

    The zeros do not depend on the values, not even on NaN, and pass no gradient.
    """
    return values.masked_fill(~present.unsqueeze(1), 0.0)


def clean(
    embeddings: Mapping[str, Tensor],
    present: Mapping[str, Tensor],
) -> dict[str, Tensor]:
    """Zero the rows of every missing modality."""
    return {name: mask(values, present[name]) for name, values in embeddings.items()}


def anyone(present: Mapping[str, Tensor], names: Collection[str]) -> Tensor:
    """Tell who has at least one of the modalities: (patients,) bool."""
    return torch.stack([present[name] for name in names]).any(dim=0)


def everything(present: Mapping[str, Tensor], names: Collection[str]) -> Tensor:
    """Tell who has all of the modalities: (patients,) bool."""
    return torch.stack([present[name] for name in names]).all(dim=0)
