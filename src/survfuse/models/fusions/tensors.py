"""Fusions by outer products of ``[z; 1]``: all of it, its low-rank form, and with gates.

The product over all modalities of ``[z_m; 1]`` has one block for every set of modalities: the outer
product of their ``z``, the others giving their 1. The block of the empty set is the constant 1, which
the head has as its bias, so it is left out. Every block is a part of the fused vector; a missing
modality's ``z`` is zero and its 1 stays: exactly the blocks that hold it vanish, and those of the
others are what they are without it.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Collection, Mapping

import torch
from torch import Tensor, nn

from survfuse._errors import ConfigError
from survfuse.models.fusions.fusion_base import (
    FUSIONS,
    Fusion,
    FusionSizes,
    anyone,
    clean,
    mask,
)

MOST_COLUMNS = 2**16
"""Longest fused vector of an outer product that is built; no cohort feeds more weights."""


def subset_widths(widths: Mapping[str, int]) -> dict[str, int]:
    """Lengths of the outer products over every non-empty set of modalities.

    >>> subset_widths({"a": 2, "b": 3})
    {'a': 2, 'b': 3, 'a*b': 6}
    """
    found: dict[str, int] = {}
    for name, width in widths.items():
        found |= {name: width} | {
            f"{key}*{name}": before * width for key, before in found.items()
        }
    return found


def subset_products(blocks: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Outer products (patients, product of widths) over every non-empty set, ordered as `subset_widths`."""
    found: dict[str, Tensor] = {}
    for name, block in blocks.items():
        longer = {
            f"{key}*{name}": (before.unsqueeze(2) * block.unsqueeze(1)).flatten(1)
            for key, before in found.items()
        }
        found |= {name: block} | longer
    return found


def refuse_too_wide(name: str, widths: Mapping[str, int], sizes: FusionSizes) -> None:
    """Refuse an outer product that fits no memory, before it is built."""
    columns = math.prod(width + 1 for width in widths.values()) - 1
    if columns > MOST_COLUMNS:
        raise ConfigError(
            f"fusion {name!r}: the outer product of {len(widths)} modalities has {columns:,} columns, more "
            f"than {MOST_COLUMNS:,}; lower tensor_width (now {sizes.tensor_width}) or take 'lowrank_tensor'",
        )


@FUSIONS.register(
    "tensor",
    summary="outer product of [z; 1] over all modalities, embeddings reduced first",
    source="TFN, Zadeh 2017 (arXiv 1707.07250) section 4.2",
)
class TensorFusion(Fusion):
    """``[z_1; 1] x [z_2; 1] x ... x [z_M; 1]``, flattened, without its constant.

    ``z_m = R_m x_m + r_m`` (patients, tensor_width) where the embedding is wider than `tensor_width`,
    else ``z_m = x_m``. Blocks are kept per set of modalities, so the columns are those of the paper
    in another order: ``(t + 1)^M - 1`` of them, 80 for two modalities of t = 8, 728 for three.

    Where modality c is missing, ``z_c = 0``, bias ``r_c`` included, and its 1 stays: blocks with c are
    zero, all others unchanged.

    Raises
    ------
    ConfigError
        Above 65,536 columns.
    """

    def __init__(
        self,
        widths: Mapping[str, int],
        encoded: Collection[str],
        sizes: FusionSizes,
    ) -> None:
        super().__init__(widths, encoded, sizes)
        reduced = {
            name: min(width, sizes.tensor_width) for name, width in widths.items()
        }
        refuse_too_wide("tensor", reduced, sizes)
        self.reduce = nn.ModuleDict(
            {
                m: nn.Linear(width, reduced[m])
                for m, width in widths.items()
                if width > reduced[m]
            },
        )
        self.names = tuple(widths)
        self.parts = subset_widths(reduced)

    def forward(
        self,
        embeddings: Mapping[str, Tensor],
        present: Mapping[str, Tensor],
    ) -> Tensor:
        """Fuse (patients, width) embeddings under (patients,) bool masks -> (patients, fused)."""
        given = clean(embeddings, present)
        for name, layer in self.reduce.items():
            given[name] = mask(layer(given[name]), present[name])
        return torch.cat(
            list(subset_products({m: given[m] for m in self.names}).values()),
            dim=1,
        )


@FUSIONS.register(
    "lowrank_tensor",
    summary="the tensor fusion under a weight of low rank: products of linear maps of [z; 1]",
    source="LMF, Liu 2018 (arXiv 1806.00064) sections 3.2 and 3.3",
)
class LowRankTensor(Fusion):
    """``h = W_1 [x_1; 1] * W_2 [x_2; 1] * ... * W_M [x_M; 1]``, elementwise, one column per rank.

    With the weights ``v`` of a linear head, ``sum_r v_r h_r = <W, [x_1; 1] x ... x [x_M; 1]>`` for the
    tensor ``W = sum_r v_r  w_1r x w_2r x ... x w_Mr``, which is never built: the paper's form, its
    weights of the rank sum and its bias being the head's. Several outputs share the ``W_m``, where
    the paper has some for each. ``W_m`` is (rank, d_m + 1), ``h`` is (patients, rank).

    Where modality c is missing, ``x_c = 0`` and its 1 stays, so its factor is the last column of
    ``W_c``. That column belongs not to c but to the products without c: it weighs them whether c is
    there or not, as in the full tensor. The neutral element is therefore ``[0; 1]``, not a factor of 1.
    One part, "product": sets of modalities do not stay apart here. Nothing at all gives zeros.
    """

    def __init__(
        self,
        widths: Mapping[str, int],
        encoded: Collection[str],
        sizes: FusionSizes,
    ) -> None:
        super().__init__(widths, encoded, sizes)
        self.factors = nn.ModuleDict(
            {
                m: nn.Linear(width + 1, sizes.rank, bias=False)
                for m, width in widths.items()
            },
        )
        self.parts = {"product": sizes.rank}

    def forward(
        self,
        embeddings: Mapping[str, Tensor],
        present: Mapping[str, Tensor],
    ) -> Tensor:
        """Fuse (patients, width) embeddings under (patients,) bool masks -> (patients, rank)."""
        given = clean(embeddings, present)
        factors = [
            layer(nn.functional.pad(given[m], (0, 1), value=1.0))
            for m, layer in self.factors.items()
        ]
        return mask(
            functools.reduce(torch.mul, factors),
            anyone(present, self.factors.keys()),
        )


@FUSIONS.register(
    "gated_kronecker",
    summary="each modality gated by all, then the outer product of [h; 1]",
    source="Pathomic Fusion, Chen 2020 (arXiv 1912.08937)",
)
class GatedKronecker(Fusion):
    """Gating-based attention, then ``[h_1; 1] x ... x [h_M; 1]``, without its constant.

    ::

        g_m = sigmoid(G_m [x_1, ..., x_M] + c_m)       (patients, t), t = tensor_width
        h_m = g_m * ReLU(W_m x_m + b_m)                (patients, t)

    The gate is the paper's concatenated form, which it gives for three modalities; for two its code
    offers ``x_1' G_m x_2`` too, which is not built here. Two modalities make the bilinear, three the
    trilinear form; more go on likewise, to ``(t + 1)^M - 1`` columns. The layers that the paper's code
    puts between gate and product and after the product, and their dropout, are left out.

    Where modality c is missing, ``h_c`` is zero and its 1 stays: blocks with c vanish. In the gates of
    the others ``x_c`` is zero, so they open by what is there.

    Raises
    ------
    ConfigError
        Above 65,536 columns.
    """

    def __init__(
        self,
        widths: Mapping[str, int],
        encoded: Collection[str],
        sizes: FusionSizes,
    ) -> None:
        super().__init__(widths, encoded, sizes)
        reduced = dict.fromkeys(widths, sizes.tensor_width)
        refuse_too_wide("gated_kronecker", reduced, sizes)
        total = sum(widths.values())
        self.signal = nn.ModuleDict(
            {m: nn.Linear(width, reduced[m]) for m, width in widths.items()},
        )
        self.gate = nn.ModuleDict({m: nn.Linear(total, reduced[m]) for m in widths})
        self.parts = subset_widths(reduced)

    def forward(
        self,
        embeddings: Mapping[str, Tensor],
        present: Mapping[str, Tensor],
    ) -> Tensor:
        """Fuse (patients, width) embeddings under (patients,) bool masks -> (patients, fused)."""
        given = clean(embeddings, present)
        beside = torch.cat([given[m] for m in self.signal], dim=1)
        gated = {
            m: mask(
                torch.sigmoid(self.gate[m](beside)) * torch.relu(layer(given[m])),
                present[m],
            )
            for m, layer in self.signal.items()
        }
        return torch.cat(list(subset_products(gated).values()), dim=1)
