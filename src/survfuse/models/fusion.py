"""How the embeddings of a patient's modalities meet, whichever of them are there.

Every fusion takes embeddings by name and a presence mask by name. What a missing
modality would add to the fused vector is exactly zero, biases included, and so is
its gradient. A network of one modality needs no fusion: its embedding is the fused
vector.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from survfuse._registry import Registry


@dataclass(frozen=True)
class FusionSizes:
    """Widths that fusions draw on.

    Attributes
    ----------
    rank : int
        Rank of each bilinear block.
    pair_width : int
        Output width of a pair of encoded modalities.
    raw_pair_width : int or None
        Output width of a pair in which a modality has no encoder; None: `pair_width`.
    residual_width : int
        Width of the residual branch.
    """

    rank: int = 16
    pair_width: int = 16
    raw_pair_width: int | None = None
    residual_width: int = 32

    def pair(self, encoded: bool) -> int:
        """Output width of a pair of two encoded modalities, or of one with a raw side."""
        return self.pair_width if encoded or self.raw_pair_width is None else self.raw_pair_width


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
    """

    def __init__(self, widths: Mapping[str, int], encoded: Collection[str], sizes: FusionSizes) -> None:
        super().__init__()
        self.parts: dict[str, int] = {}

    @property
    def width(self) -> int:
        """Length of the fused vector."""
        return sum(self.parts.values())

    def forward(self, embeddings: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> Tensor:
        """Fuse (patients, width) embeddings under (patients,) bool masks -> (patients, fused)."""
        raise NotImplementedError


FUSIONS: Registry[Fusion] = Registry("fusion")


def build_fusion(
    name: str, widths: Mapping[str, int], encoded: Collection[str], sizes: FusionSizes
) -> Fusion:
    """Make the fusion called `name`; over a single modality every fusion is that modality's embedding."""
    card = FUSIONS[name]
    return Concat(widths, encoded, sizes) if len(widths) == 1 else card.build(widths, encoded, sizes)


def mask(values: Tensor, present: Tensor) -> Tensor:
    """Keep the rows of values (patients, width) where present (patients,), zeros elsewhere.

    The zeros do not depend on the values, not even on NaN, and pass no gradient.
    """
    return values.masked_fill(~present.unsqueeze(1), 0.0)


@FUSIONS.register(
    "concat",
    summary="embeddings side by side, zeros for a missing one",
    source="arXiv 2605.13897, variant abmil",
)
class Concat(Fusion):
    """Embeddings side by side."""

    def __init__(self, widths: Mapping[str, int], encoded: Collection[str], sizes: FusionSizes) -> None:
        super().__init__(widths, encoded, sizes)
        self.parts = dict(widths)

    def forward(self, embeddings: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> Tensor:
        """Fuse (patients, width) embeddings under (patients,) bool masks -> (patients, fused)."""
        return torch.cat([mask(embeddings[name], present[name]) for name in self.parts], dim=1)


class BilinearPair(nn.Module):
    """Low-rank bilinear block ``W_o[(U x + b) * (V y + c)] + d`` (arXiv 2605.13897).

    Parameters
    ----------
    left, right : int
        Widths of the two embeddings.
    rank : int
        Width of the elementwise product.
    out : int
        Width of the result.
    """

    def __init__(self, left: int, right: int, rank: int, out: int) -> None:
        super().__init__()
        self.left = nn.Linear(left, rank)
        self.right = nn.Linear(right, rank)
        self.out = nn.Linear(rank, out)

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        """Combine (patients, left) and (patients, right) -> (patients, out)."""
        return cast(Tensor, self.out(self.left(left) * self.right(right)))


@FUSIONS.register(
    "pairwise",
    summary="one low-rank bilinear block per pair of modalities, gone where either is missing",
    source="arXiv 2605.13897, variant pg",
)
class Pairwise(Fusion):
    """One bilinear block per pair, side by side."""

    def __init__(self, widths: Mapping[str, int], encoded: Collection[str], sizes: FusionSizes) -> None:
        super().__init__(widths, encoded, sizes)
        self.pairs = nn.ModuleDict()
        self.sides: dict[str, tuple[str, str]] = {}
        for left, right in itertools.combinations(widths, 2):
            out = sizes.pair(encoded=left in encoded and right in encoded)
            key = f"{left}*{right}"
            self.pairs[key] = BilinearPair(widths[left], widths[right], sizes.rank, out)
            self.sides[key] = (left, right)
            self.parts[key] = out

    def forward(self, embeddings: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> Tensor:
        """Fuse (patients, width) embeddings under (patients,) bool masks -> (patients, fused)."""
        return torch.cat(self.blocks(embeddings, present), dim=1)

    def blocks(self, embeddings: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> list[Tensor]:
        """One masked block (patients, out) per pair, in the order of `sides`."""
        clean = {name: mask(values, present[name]) for name, values in embeddings.items()}
        return [
            mask(self.pairs[key](clean[left], clean[right]), present[left] & present[right])
            for key, (left, right) in self.sides.items()
        ]


@FUSIONS.register(
    "pairwise_residual",
    summary="pairwise, beside a ReLU layer over all embeddings",
    source="arXiv 2605.13897, variant pg_res",
)
class PairwiseResidual(Pairwise):
    """Pairs, and ``ReLU(R [x_1, x_2, ...] + r)`` over the concatenated embeddings."""

    def __init__(self, widths: Mapping[str, int], encoded: Collection[str], sizes: FusionSizes) -> None:
        super().__init__(widths, encoded, sizes)
        self.residual = nn.Linear(sum(widths.values()), sizes.residual_width)
        self.names = tuple(widths)
        self.parts["residual"] = sizes.residual_width

    def forward(self, embeddings: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> Tensor:
        """Fuse (patients, width) embeddings under (patients,) bool masks -> (patients, fused)."""
        beside = torch.cat([mask(embeddings[name], present[name]) for name in self.names], dim=1)
        anyone = torch.stack([present[name] for name in self.names]).any(dim=0)
        residual = mask(torch.relu(self.residual(beside)), anyone)
        return torch.cat([*self.blocks(embeddings, present), residual], dim=1)
