"""Encoders of an expression vector: (patients, genes) -> (patients, width), by name.

`mlp` has as many parameters as its layers say, forty million at the paper's sizes; `linear` and
`gene_set` are for cohorts of some hundred events. A sparse choice of genes is convex and therefore
not an encoder here: it is a part of the stack `anchored`, fitted exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from survfuse._errors import ConfigError
from survfuse._registry import Registry
from survfuse.models.branches import VectorBranch
from survfuse.models.layers import Dropout


@dataclass(frozen=True)
class EncoderShape:
    """What an encoder is built from.

    Attributes
    ----------
    input_dim : int
        Length of the vector.
    hidden : tuple of int
        Layers of `mlp`.
    width : int
        Width of `linear`.
    members : tuple of tuple of int
        Inputs of each gene set of `gene_set`.
    dropout, input_dropout : float
        Between the layers of `mlp`; on the vector itself.
    """

    input_dim: int
    hidden: tuple[int, ...] = ()
    width: int = 0
    members: tuple[tuple[int, ...], ...] = ()
    dropout: float = 0.0
    input_dropout: float = 0.0


ENCODERS: Registry[nn.Module] = Registry("expression encoder")
"""Name -> ``build(EncoderShape)``: a module with a `width`."""


@ENCODERS.register(
    "mlp",
    summary="Linear and ReLU per layer; without layers the vector itself",
    source="arXiv 2605.13897",
)
def mlp(shape: EncoderShape) -> nn.Module:
    """Build the paper's encoder, of any layers."""
    rates = shape.dropout, shape.input_dropout
    return VectorBranch(shape.input_dim, shape.hidden, *rates)


@ENCODERS.register(
    "linear",
    summary="one linear layer, no ReLU",
    source="ours",
)
class LinearEncoder(nn.Module):
    """``W x + b``; ``(input_dim + 1) * width`` parameters."""

    def __init__(self, shape: EncoderShape) -> None:
        super().__init__()
        if shape.width < 1:
            raise ConfigError(f"a linear encoder needs a width >= 1, got {shape.width}")
        self.width = shape.width
        self.input_dropout = Dropout(shape.input_dropout)
        self.project = nn.Linear(shape.input_dim, shape.width)

    def forward(self, vector: Tensor) -> Tensor:
        """Embed (patients, input_dim) -> (patients, width)."""
        return cast(Tensor, self.project(self.input_dropout(vector)))


@ENCODERS.register(
    "gene_set",
    summary="a linear layer from genes to gene sets; weights inside sets alone",
    source="sparse layers of known pathways: P-NET, Elmarakeby 2021 (10.1038/s41586-021-03922-4)",
)
class GeneSetEncoder(nn.Module):
    """``out_s = sum of w_sg x_g over the genes g of set s``: as many parameters as memberships.

    Genes outside a set have no weight for it, not a weight of 0, and there is no bias: genes are
    z-scores, and the head has one.
    """

    def __init__(self, shape: EncoderShape) -> None:
        super().__init__()
        sizes = [len(genes) for genes in shape.members]
        genes = list(chain.from_iterable(shape.members))
        inside = min(genes, default=-1) >= 0 and max(genes) < shape.input_dim
        if not inside or 0 in sizes:
            raise ConfigError(
                f"a gene_set encoder needs gene sets of inputs 0 to {shape.input_dim - 1}, "
                f"got {len(sizes)} sets, the smallest of {min(sizes, default=0)} genes",
            )
        # Plain arrays: the network's shape names them, so that its weights need not.
        self._sets = np.repeat(np.arange(len(sizes)), sizes)
        self._genes = np.array(genes, np.int64)
        self.width = len(sizes)
        self.input_dropout = Dropout(shape.input_dropout)
        self.weight = nn.Parameter(torch.empty(len(genes)))

    def start(self, generator: torch.Generator | None) -> None:
        """Draw fresh weights so that sets of any size start with outputs of like variance."""
        sizes = torch.from_numpy(np.bincount(self._sets)[self._sets])
        with torch.no_grad():
            self.weight.normal_(generator=generator)
            self.weight.div_(sizes.to(self.weight.dtype).sqrt())

    def forward(self, vector: Tensor) -> Tensor:
        """Embed (patients, input_dim) -> (patients, sets)."""
        genes = torch.from_numpy(self._genes).to(vector.device)
        sets = torch.from_numpy(self._sets).to(vector.device)
        weighted = (
            self.input_dropout(vector)[:, genes] * self.weight
        )  # (patients, members)
        return vector.new_zeros(len(vector), self.width).index_add(1, sets, weighted)
