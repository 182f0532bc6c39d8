"""Fusions by outer products of ``[z; 1]``: the full product, its low-rank form, and with gates.

The product over all modalities of ``[z_m; 1]`` has one block for every set of modalities: the outer
product of their ``z``, the others giving their 1. The block of the empty set is the constant 1,
which the head has as its bias, so it is left out. Every block is a part of the fused vector; a
missing modality's ``z`` is zero and its 1 stays: exactly the blocks that hold it vanish, and the
blocks of the others are what they are without it.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import cast

import numpy as np
import torch
from torch import nn

from survfuse._errors import ConfigError
from survfuse._types import FloatArray
from survfuse.decomposition.parts import Part, Product
from survfuse.models.fusions.fusion_base import (
    FUSIONS,
    Fusion,
    FusionSizes,
    Tensors,
    affine_side,
    linear_layers,
    weights_of,
)

MOST_COLUMNS = 2**16
"""Longest fused vector of an outer product that is built; no cohort feeds more weights."""


def subset_widths(widths: Mapping[str, int]) -> dict[str, int]:
    """Lengths of the outer products over every non-empty set of modalities.

    >>> subset_widths({"a": 2, "b": 3})
    {'a': 2, 'b': 3, 'a*b': 6}
    """
    products: dict[str, int] = {}
    for name, width in widths.items():
        longer = {f"{key}*{name}": other * width for key, other in products.items()}
        products |= {name: width} | longer
    return products


def subset_products(blocks: Tensors) -> Tensors:
    """Outer products (patients, product of widths), ordered as in :func:`subset_widths`."""
    products: Tensors = {}
    for name, block in blocks.items():
        longer = {}
        for key, other in products.items():
            outer = other.unsqueeze(2) * block.unsqueeze(1)
            longer[f"{key}*{name}"] = outer.flatten(1)
        products = {**products, name: block, **longer}
    return products


def checked_widths(
    fusion: str,
    widths: Mapping[str, int],
    sizes: FusionSizes,
) -> dict[str, int]:
    """Refuse an outer product that fits no memory; return the widths of its blocks."""
    columns = math.prod(width + 1 for width in widths.values()) - 1
    if columns > MOST_COLUMNS:
        raise ConfigError(
            f"fusion {fusion!r}: the outer product of {len(widths)} modalities has {columns:,} "
            f"columns, more than {MOST_COLUMNS:,}; lower tensor_width (now {sizes.tensor_width}) "
            "or take 'lowrank_tensor'",
        )
    return subset_widths(widths)


@FUSIONS.register(
    "tensor",
    summary="outer product of `[z; 1]` over all modalities, embeddings first reduced "
    "to `tensor_width`",
    source="TFN, Zadeh 2017 (arXiv 1707.07250) section 4.2",
)
class TensorFusion(Fusion):
    """``[z_1; 1] x [z_2; 1] x ... x [z_M; 1]``, flattened, without its constant.

    ``z_m = R_m x_m + r_m`` (patients, tensor_width) where the embedding is wider than
    `tensor_width`, else ``z_m = x_m``. There is one block per set of modalities, so the columns are
    the paper's in another order: ``(t + 1)^M - 1`` of them, 80 for two modalities of t = 8, 728
    for three.

    Where modality c is missing, ``z_c = 0``, bias ``r_c`` included, and its 1 stays: blocks with c
    are zero, all others unchanged.

    Raises
    ------
    ConfigError
        Above 65,536 columns.
    """

    def build_layers(self, sizes: FusionSizes) -> dict[str, int]:
        """One part for every set of modalities."""
        limit = sizes.tensor_width
        reduced = {name: min(width, limit) for name, width in self.widths.items()}
        parts = checked_widths("tensor", reduced, sizes)
        wide = {name: width for name, width in self.widths.items() if width > limit}
        self.reduce = linear_layers(wide, limit)
        return parts

    def blocks(
        self,
        embeddings: Tensors,
        present: Tensors,
    ) -> Tensors:
        """Outer products of the reduced embeddings."""
        reduced = {name: layer(embeddings[name]) for name, layer in self.reduce.items()}
        return subset_products({**embeddings, **reduced})

    def terms(self, head: FloatArray) -> tuple[Part, ...]:
        """One product for every set of modalities, a column for each product of coordinates."""
        sides = {}
        for name, width in self.widths.items():
            if name in self.reduce:
                sides[name] = affine_side(cast(nn.Linear, self.reduce[name]))
            else:
                sides[name] = np.concatenate([np.zeros((2, width)), np.eye(width)])
        parts, start = [], 0
        for part, width in self.parts.items():
            names = part.split("*")
            shape = [sides[name].shape[1] for name in names]
            places = np.unravel_index(np.arange(width), shape)
            own = {n: sides[n][:, at] for n, at in zip(names, places, strict=True)}
            parts.append(Product(own, head[start : start + width]))
            start += width
        return tuple(parts)


@FUSIONS.register(
    "lowrank_tensor",
    summary="`tensor` under a weight of low rank: products of linear maps of `[x; 1]`",
    source="LMF, Liu 2018 (arXiv 1806.00064) sections 3.2 and 3.3",
)
class LowRankTensor(Fusion):
    """``h = W_1 [x_1; 1] * W_2 [x_2; 1] * ... * W_M [x_M; 1]``, elementwise, one column per rank.

    With the weights ``v`` of a linear head, ``sum_r v_r h_r = <W, [x_1; 1] x ... x [x_M; 1]>`` for
    the tensor ``W = sum_r v_r  w_1r x w_2r x ... x w_Mr``, which is never built: the paper's form,
    its weights of the rank sum and its bias being the head's. Several outputs share the ``W_m``,
    where the paper has some for each. ``W_m`` is (rank, d_m + 1), ``h`` is (patients, rank).

    Where modality c is missing, ``x_c = 0`` and its 1 stays, so its factor is the last column of
    ``W_c``. That column belongs not to c but to the products without c: it weighs them whether c is
    there or not, as in the full tensor. The neutral element is therefore ``[0; 1]``, not a factor
    of 1. One part, "product": sets of modalities do not stay apart here. Without any modality it
    is zero.
    """

    shared_part = "product"

    def build_layers(self, sizes: FusionSizes) -> dict[str, int]:
        """`rank` columns."""
        widths = {name: width + 1 for name, width in self.widths.items()}
        self.factors = linear_layers(widths, sizes.rank, bias=False)
        return {"product": sizes.rank}

    def blocks(
        self,
        embeddings: Tensors,
        present: Tensors,
    ) -> Tensors:
        """Elementwise product (patients, rank) of the factors."""
        factors = []
        for name, layer in self.factors.items():
            with_one = nn.functional.pad(embeddings[name], (0, 1), value=1.0)
            factors.append(layer(with_one))
        return {"product": functools.reduce(torch.mul, factors)}

    def terms(self, head: FloatArray) -> tuple[Part, ...]:
        """The product of the factors, less what it would be without any modality."""
        sides, last = {}, head
        for name, layer in self.factors.items():
            weight, _ = weights_of(cast(nn.Linear, layer))
            own = weight[:, -1]
            sides[name] = np.concatenate(
                [own[None], np.zeros_like(own)[None], weight[:, :-1].T],
            )
            last = last * own
        return Product(sides, head), Product.without_any(
            self.widths, -float(last.sum())
        )


@FUSIONS.register(
    "gated_kronecker",
    summary="each modality gated by all, then the outer product of `[h; 1]`",
    source="Pathomic Fusion, Chen 2020 (arXiv 1912.08937)",
)
class GatedKronecker(Fusion):
    """Gating-based attention, then ``[h_1; 1] x ... x [h_M; 1]``, without its constant.

    ::

        g_m = sigmoid(G_m [x_1, ..., x_M] + c_m)       (patients, t), t = tensor_width
        h_m = g_m * ReLU(W_m x_m + b_m)                (patients, t)

    The gate is the paper's concatenated form, which it gives for three modalities; for two its code
    offers ``x_1' G_m x_2`` too, which is not built here. Two modalities make the bilinear, three
    the trilinear form; more go on likewise, to ``(t + 1)^M - 1`` columns. The layers that the
    paper's code puts between gate and product and after the product, and their dropout, are left
    out.

    Where modality c is missing, ``h_c`` is zero and its 1 stays: blocks with c vanish. In the gates
    of the others ``x_c`` is zero, so they open by what is there.

    Raises
    ------
    ConfigError
        Above 65,536 columns.
    """

    def build_layers(self, sizes: FusionSizes) -> dict[str, int]:
        """One part for every set of modalities."""
        reduced = dict.fromkeys(self.widths, sizes.tensor_width)
        parts = checked_widths("gated_kronecker", reduced, sizes)
        total = sum(self.widths.values())
        self.signal = linear_layers(self.widths, sizes.tensor_width)
        self.gate = linear_layers(dict.fromkeys(self.widths, total), sizes.tensor_width)
        return parts

    def blocks(
        self,
        embeddings: Tensors,
        present: Tensors,
    ) -> Tensors:
        """Outer products of the gated embeddings."""
        joined = torch.cat(list(embeddings.values()), dim=1)
        gated = {}
        for name, layer in self.signal.items():
            signal = torch.relu(layer(embeddings[name]))
            gated[name] = torch.sigmoid(self.gate[name](joined)) * signal
        return subset_products(gated)
