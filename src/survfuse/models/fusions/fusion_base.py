"""What all fusions share: sizes, contract, registry, and the mask of a missing modality."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from survfuse._registry import Registry
from survfuse._types import FloatArray
from survfuse.decomposition.parts import Part

Tensors = Mapping[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class FusionSizes:
    """The widths that a fusion may read; each fusion reads the ones that it needs.

    Attributes
    ----------
    rank : int
        Rank of each bilinear block and of the low-rank tensor; hidden width of attention over
        modalities and tokens.
    pair_width : int
        Output width of a pair of encoded modalities, of a triple, and of a modality weighted by
        attention.
    raw_pair_width : int or None
        Output width of a pair in which a modality has no encoder; None: `pair_width`.
    residual_width : int
        Width of the residual branch.
    tensor_width : int
        Embeddings wider than this are reduced to it before outer products are taken.
    query_tokens : int
        Queries to a patient's tiles that are made from a patient's vector.
    """

    rank: int = 16
    pair_width: int = 16
    raw_pair_width: int | None = None
    residual_width: int = 32
    tensor_width: int = 8
    query_tokens: int = 6

    def pair(self, encoded: bool) -> int:
        """Output width of a pair of two encoded modalities, or of one with a raw side."""
        if encoded or self.raw_pair_width is None:
            return self.pair_width
        return self.raw_pair_width


class Fusion(nn.Module):
    """Base of all fusions: a subclass writes :meth:`build_layers` and :meth:`blocks`.

    Parameters
    ----------
    widths : mapping of modality to int
        Embedding widths, in the order of the modalities.
    encoded : collection of str
        Modalities whose embedding comes from a trained encoder.
    sizes : FusionSizes
        Inner and outer widths.
    bags : collection of str
        Modalities that have tiles.

    Attributes
    ----------
    parts : dict of str to int
        Named blocks of the fused vector and their widths, in column order. A linear
        head over the fused vector therefore splits exactly into one term per part.
        A part named by one or several modalities, ``a*b``, is zero where any is missing.
    shared_part : str
        Name of a part that is zero only for a patient without any modality.
    needs_tiles : bool
        Whether :meth:`forward` receives the tiles of the bags as its third argument.
    """

    needs_tiles: ClassVar[bool] = False
    shared_part: ClassVar[str] = ""

    def __init__(
        self,
        widths: Mapping[str, int],
        encoded: Collection[str],
        sizes: FusionSizes,
        bags: Collection[str] = (),
    ) -> None:
        super().__init__()
        self.widths = dict(widths)
        self.encoded, self.bags = frozenset(encoded), frozenset(bags)
        self.parts = self.build_layers(sizes)

    @property
    def width(self) -> int:
        """Length of the fused vector."""
        return sum(self.parts.values())

    def build_layers(self, sizes: FusionSizes) -> dict[str, int]:
        """Make the layers; return the width of each part of the fused vector."""
        raise NotImplementedError

    def blocks(
        self,
        embeddings: Tensors,
        present: Tensors,
    ) -> Tensors:
        """Compute each part; :meth:`forward` masks the result.

        Parameters
        ----------
        embeddings : mapping of modality to Tensor, (patients, width)
            Zeros where the modality is missing.
        present : mapping of modality to Tensor, (patients,) bool

        Returns
        -------
        mapping of part to Tensor, (patients, width of the part)
            In the order of `parts`.
        """
        raise NotImplementedError

    def terms(self, head: FloatArray) -> tuple[Part, ...] | None:
        """Write a linear head's sum over the fused vector as parts that split exactly.

        Parameters
        ----------
        head : array, (fused,)
            Weights of one output.

        Returns
        -------
        tuple of Part, or None
            None where the fusion has no such form; its terms are then sampled.
        """
        return None

    def forward(
        self,
        embeddings: Tensors,
        present: Tensors,
    ) -> Tensor:
        """Fuse (patients, width) embeddings under (patients,) bool masks -> (patients, fused)."""
        given = {name: mask(embeddings[name], present[name]) for name in self.widths}
        parts = self.blocks(given, present)
        return torch.cat(
            [mask(block, self.has(part, present)) for part, block in parts.items()],
            dim=1,
        )

    def has(self, part: str, present: Tensors) -> Tensor:
        """Which patients have what a part is made of: (patients,) bool."""
        if part == self.shared_part:
            return torch.stack([present[name] for name in self.widths]).any(dim=0)
        return torch.stack([present[name] for name in part.split("*")]).all(dim=0)


FUSIONS: Registry[Fusion] = Registry("fusion", group="survfuse.fusions")
"""Name -> ``build(widths, encoded, sizes, bags)``: a :class:`Fusion`."""


def mask(values: Tensor, present: Tensor) -> Tensor:
    """Keep the rows of values (patients, width) where present (patients,), zeros elsewhere.

    The zeros do not depend on the values, not even on NaN, and pass no gradient.
    """
    return values.masked_fill(~present.unsqueeze(1), 0.0)


def linear_layers(
    widths: Mapping[str, int],
    out: int,
    **options: bool,
) -> nn.ModuleDict:
    """Make a linear layer of `out` columns for each modality."""
    return nn.ModuleDict(
        {name: nn.Linear(width, out, **options) for name, width in widths.items()},
    )


def affine_side(layer: nn.Linear) -> FloatArray:
    """Map readings ``[1, p, p x]`` to ``p (W x + b)``; (2 + width, out)."""
    weight, bias = weights_of(layer)
    return np.concatenate([np.zeros((1, len(bias))), bias[None], weight.T])


def weights_of(layer: nn.Linear) -> tuple[FloatArray, FloatArray]:
    """Weight (out, in) and bias (out,), zeros where there is none, in double precision."""
    weight = layer.weight.detach().cpu().double().numpy()
    if layer.bias is None:
        return weight, np.zeros(len(weight))
    return weight, layer.bias.detach().cpu().double().numpy()
