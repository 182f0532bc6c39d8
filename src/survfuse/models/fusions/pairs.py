"""Fusions of pairs of modalities, and of pairs of pairs."""

from __future__ import annotations

import itertools
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from survfuse._types import FloatArray
from survfuse.decomposition.parts import Part, Product
from survfuse.decomposition.rectified import MOST_MODALITIES, RectifiedSum
from survfuse.models.fusions.fusion_base import (
    FUSIONS,
    Fusion,
    FusionSizes,
    Tensors,
    affine_side,
    weights_of,
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

    def __init__(
        self,
        left: int,
        right: int,
        rank: int,
        out: int,
    ) -> None:
        super().__init__()
        self.left = nn.Linear(left, rank)
        self.right = nn.Linear(right, rank)
        self.out = nn.Linear(rank, out)

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        """Combine (patients, left) and (patients, right) -> (patients, out)."""
        return cast(Tensor, self.out(self.left(left) * self.right(right)))

    def product(
        self,
        names: tuple[str, str],
        head: FloatArray,
    ) -> Product:
        """Write the block under head weights (out,) as a product; ``d`` belongs to both present.

        Parameters
        ----------
        names : tuple of str
            Of the two modalities.
        head : array, (out,)
        """
        weight, bias = weights_of(self.out)
        sides = {}
        for name, layer in zip(names, (self.left, self.right), strict=True):
            side = affine_side(layer)
            presence = np.zeros((len(side), 1))
            presence[1] = 1.0
            sides[name] = np.concatenate([side, presence], axis=1)
        return Product(sides, np.append(head @ weight, head @ bias))


@FUSIONS.register(
    "pairwise",
    summary="a low-rank bilinear block `W_o[(U x_a + b) * (V x_b + c)] + d` per pair of modalities",
    source="arXiv 2605.13897, variant pg",
)
class Pairwise(Fusion):
    """One bilinear block per pair, side by side."""

    def build_layers(self, sizes: FusionSizes) -> dict[str, int]:
        """`pair_width` columns per pair, `raw_pair_width` where a modality has no encoder."""
        self.pairs = nn.ModuleDict()
        parts = {}
        for left, right in itertools.combinations(self.widths, 2):
            part = f"{left}*{right}"
            parts[part] = sizes.pair(encoded={left, right} <= self.encoded)
            inputs = self.widths[left], self.widths[right]
            self.pairs[part] = BilinearPair(*inputs, sizes.rank, parts[part])
        return parts

    def blocks(
        self,
        embeddings: Tensors,
        present: Tensors,
    ) -> Tensors:
        """One block (patients, out) per pair."""
        blocks = {}
        for part, pair in self.pairs.items():
            left, right = part.split("*")
            blocks[part] = pair(embeddings[left], embeddings[right])
        return blocks

    def terms(self, head: FloatArray) -> tuple[Part, ...] | None:
        """One product per pair."""
        parts, start = [], 0
        for part, pair in self.pairs.items():
            left, right = part.split("*")
            own = head[start : start + self.parts[part]]
            product = cast(BilinearPair, pair).product((left, right), own)
            parts.append(product)
            start += self.parts[part]
        return tuple(parts)


@FUSIONS.register(
    "pairwise_residual",
    summary="`pairwise`, and a ReLU layer over all embeddings",
    source="arXiv 2605.13897, variant pg_res",
)
class PairwiseResidual(Pairwise):
    """Pairs, and ``ReLU(R [x_1, x_2, ...] + r)`` over the concatenated embeddings."""

    shared_part = "residual"

    def build_layers(self, sizes: FusionSizes) -> dict[str, int]:
        """Columns of the pairs, then `residual_width` more."""
        parts = super().build_layers(sizes)
        self.residual = nn.Linear(sum(self.widths.values()), sizes.residual_width)
        return parts | {"residual": sizes.residual_width}

    def blocks(
        self,
        embeddings: Tensors,
        present: Tensors,
    ) -> Tensors:
        """Blocks of the pairs, and the residual (patients, residual_width)."""
        joined = torch.cat(list(embeddings.values()), dim=1)
        residual = torch.relu(self.residual(joined))
        return {**super().blocks(embeddings, present), "residual": residual}

    def terms(self, head: FloatArray) -> tuple[Part, ...] | None:
        """Products of the pairs, and the rectified sums, which are 0 without any modality."""
        if len(self.widths) > MOST_MODALITIES:
            return None
        pairs, own = super().terms(head), head[-self.parts["residual"] :]
        weight, bias = weights_of(self.residual)
        sides, start = {}, 0
        for number, (name, width) in enumerate(self.widths.items()):
            rows = weight[:, start : start + width].T
            first = bias if number == 0 else np.zeros_like(bias)
            sides[name] = np.concatenate([first[None], np.zeros_like(bias)[None], rows])
            start += width
        alone = float(own @ np.maximum(bias, 0.0))
        empty = Product.without_any(self.widths, -alone)
        return (*(pairs or ()), RectifiedSum(sides, own), empty)


class BilinearTriple(nn.Module):
    """The three pairs of a triple, multiplied two by two: ``W_o[p * q + p * s + q * s] + d``.

    ``p = P y_ab + a``, ``q = Q y_ac + b`` and ``s = S y_bc + c`` are the pair embeddings of the
    first level, brought to one rank.

    Parameters
    ----------
    pairs : tuple of three int
        Widths of the pair embeddings.
    rank : int
        Width of the elementwise products.
    out : int
        Width of the result.
    """

    def __init__(
        self,
        pairs: list[int],
        rank: int,
        out: int,
    ) -> None:
        super().__init__()
        self.sides = nn.ModuleList(nn.Linear(width, rank) for width in pairs)
        self.out = nn.Linear(rank, out)

    def forward(self, pairs: list[Tensor]) -> Tensor:
        """Combine three (patients, pair) -> (patients, out)."""
        p, q, s = (side(values) for side, values in zip(self.sides, pairs, strict=True))
        return cast(Tensor, self.out(p * q + p * s + q * s))


@FUSIONS.register(
    "hierarchical",
    summary="`pairwise`, and for every triple `W_o[p * q + p * s + q * s] + d` of its pairs",
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

    def build_layers(self, sizes: FusionSizes) -> dict[str, int]:
        """Columns of the pairs, then `pair_width` per triple."""
        parts = super().build_layers(sizes)
        self.triples = nn.ModuleDict()
        for names in itertools.combinations(self.widths, 3):
            widths = [parts[pair] for pair in pairs_of(names)]
            triple = BilinearTriple(widths, sizes.rank, sizes.pair_width)
            self.triples["*".join(names)] = triple
        return parts | dict.fromkeys(self.triples, sizes.pair_width)

    def blocks(
        self,
        embeddings: Tensors,
        present: Tensors,
    ) -> Tensors:
        """Blocks of the pairs and of the triples, (patients, pair_width) each."""
        blocks = dict(super().blocks(embeddings, present))
        for part, triple in self.triples.items():
            pairs = pairs_of(part.split("*"))
            blocks[part] = triple([blocks[pair] for pair in pairs])
        return blocks

    def terms(self, head: FloatArray) -> tuple[Part, ...] | None:
        """None: a triple multiplies two pairs of one modality. Two modalities have no triple."""
        return None if self.triples else super().terms(head)


def pairs_of(names: list[str] | tuple[str, ...]) -> list[str]:
    """Names of the pairs of some modalities.

    >>> pairs_of(["a", "b", "c"])
    ['a*b', 'a*c', 'b*c']
    """
    return ["*".join(pair) for pair in itertools.combinations(names, 2)]
