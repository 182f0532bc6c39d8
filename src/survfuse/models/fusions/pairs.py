"""Fusions of pairs of modalities, and of pairs of pairs."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping
from typing import cast

import torch
from torch import Tensor, nn

from survfuse.models.fusions.fusion_base import (
    FUSIONS,
    Fusion,
    FusionSizes,
    anyone,
    clean,
    everything,
    mask,
)


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

    def __init__(
        self,
        widths: Mapping[str, int],
        encoded: Collection[str],
        sizes: FusionSizes,
    ) -> None:
        super().__init__(widths, encoded, sizes)
        self.pairs = nn.ModuleDict()
        self.sides: dict[str, tuple[str, str]] = {}
        for left, right in itertools.combinations(widths, 2):
            out = sizes.pair(encoded=left in encoded and right in encoded)
            key = f"{left}*{right}"
            self.pairs[key] = BilinearPair(widths[left], widths[right], sizes.rank, out)
            self.sides[key] = (left, right)
            self.parts[key] = out

    def forward(
        self,
        embeddings: Mapping[str, Tensor],
        present: Mapping[str, Tensor],
    ) -> Tensor:
        """Fuse (patients, width) embeddings under (patients,) bool masks -> (patients, fused)."""
        return torch.cat(self.blocks(embeddings, present), dim=1)

    def blocks(
        self,
        embeddings: Mapping[str, Tensor],
        present: Mapping[str, Tensor],
    ) -> list[Tensor]:
        """One masked block (patients, out) per pair, in the order of `sides`."""
        given = clean(embeddings, present)
        return [
            mask(
                self.pairs[key](given[left], given[right]),
                present[left] & present[right],
            )
            for key, (left, right) in self.sides.items()
        ]


@FUSIONS.register(
    "pairwise_residual",
    summary="pairwise, beside a ReLU layer over all embeddings",
    source="arXiv 2605.13897, variant pg_res",
)
class PairwiseResidual(Pairwise):
    """Pairs, and ``ReLU(R [x_1, x_2, ...] + r)`` over the concatenated embeddings."""

    def __init__(
        self,
        widths: Mapping[str, int],
        encoded: Collection[str],
        sizes: FusionSizes,
    ) -> None:
        super().__init__(widths, encoded, sizes)
        self.residual = nn.Linear(sum(widths.values()), sizes.residual_width)
        self.names = tuple(widths)
        self.parts["residual"] = sizes.residual_width

    def forward(
        self,
        embeddings: Mapping[str, Tensor],
        present: Mapping[str, Tensor],
    ) -> Tensor:
        """Fuse (patients, width) embeddings under (patients,) bool masks -> (patients, fused)."""
        given = clean(embeddings, present)
        beside = torch.cat([given[name] for name in self.names], dim=1)
        residual = mask(torch.relu(self.residual(beside)), anyone(present, self.names))
        return torch.cat([*self.blocks(embeddings, present), residual], dim=1)


class BilinearTriple(nn.Module):
    """The three pairs of a triple, each multiplied with each: ``W_o[p * q + p * s + q * s] + d``.

    ``p = P y_ab + a``, ``q = Q y_ac + b`` and ``s = S y_bc + c`` are the pair embeddings of the first
    level, brought to one rank.

    Parameters
    ----------
    pairs : tuple of three int
        Widths of the pair embeddings.
    rank : int
        Width of the elementwise products.
    out : int
        Width of the result.
    """

    def __init__(self, pairs: tuple[int, int, int], rank: int, out: int) -> None:
        super().__init__()
        self.sides = nn.ModuleList(nn.Linear(width, rank) for width in pairs)
        self.out = nn.Linear(rank, out)

    def forward(self, pairs: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        """Combine three (patients, pair) -> (patients, out)."""
        p, q, s = (side(values) for side, values in zip(self.sides, pairs, strict=True))
        return cast(Tensor, self.out(p * q + p * s + q * s))


@FUSIONS.register(
    "hierarchical",
    summary="pairs first, then a second level over the pair embeddings of each triple",
    source="after HFBSurv, Li 2022 (10.1093/bioinformatics/btac113)",
)
class Hierarchical(Pairwise):
    """Pairs, and above them the pairs of pairs of every three modalities.

    ::

        level 1, per pair:    y_ab  = W_o[(U x_a + b) * (V x_b + c)] + d      as `pairwise`
        level 2, per triple:  y_abc = W_o[p * q + p * s + q * s] + d
                              p, q, s (patients, rank), linear in y_ab, y_ac, y_bc
        out = [y_ab, y_ac, ..., y_abc, ...]      (patients, (pairs + triples) * pair_width)

    Both levels reach the head, as in HFBSurv; its attention over modalities and its products of a
    modality with itself are left out. Two modalities have no second level; four have four triples,
    ``n`` have ``n (n - 1) (n - 2) / 6``. A missing modality takes its pairs and triples with it.
    """

    def __init__(
        self,
        widths: Mapping[str, int],
        encoded: Collection[str],
        sizes: FusionSizes,
    ) -> None:
        super().__init__(widths, encoded, sizes)
        self.triples = nn.ModuleDict()
        self.below: dict[str, tuple[str, str, str]] = {}
        for a, b, c in itertools.combinations(widths, 3):
            below = (f"{a}*{b}", f"{a}*{c}", f"{b}*{c}")
            pairs = (self.parts[below[0]], self.parts[below[1]], self.parts[below[2]])
            key = f"{a}*{b}*{c}"
            self.triples[key] = BilinearTriple(pairs, sizes.rank, sizes.pair_width)
            self.below[key] = below
        self.parts.update(dict.fromkeys(self.triples, sizes.pair_width))

    def forward(
        self,
        embeddings: Mapping[str, Tensor],
        present: Mapping[str, Tensor],
    ) -> Tensor:
        """Fuse (patients, width) embeddings under (patients,) bool masks -> (patients, fused)."""
        pairs = dict(zip(self.sides, self.blocks(embeddings, present), strict=True))
        triples = [
            mask(
                triple(tuple(pairs[p] for p in self.below[key])),
                everything(present, key.split("*")),
            )
            for key, triple in self.triples.items()
        ]
        return torch.cat([*pairs.values(), *triples], dim=1)
