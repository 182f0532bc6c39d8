"""A log-risk per modality, added by trust, and low-rank products of pairs."""

from __future__ import annotations

import itertools
from typing import cast

from torch import Tensor, nn

from survfuse.models.fusions.fusion_base import FUSIONS, FusionSizes, Tensors
from survfuse.models.fusions.sums import Late


class Products(nn.Module):
    """``(L x + l) * (R y + r)``: products that a linear head adds up.

    Parameters
    ----------
    left, right : int
        Widths of the two embeddings.
    rank : int
        Number of products.
    """

    def __init__(self, left: int, right: int, rank: int) -> None:
        super().__init__()
        self.left = nn.Linear(left, rank)
        self.right = nn.Linear(right, rank)

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        """Combine (patients, left) and (patients, right) -> (patients, rank)."""
        return cast(Tensor, self.left(left) * self.right(right))


@FUSIONS.register(
    "anchored",
    summary="a convexly fitted log-risk per modality, weighted by out-of-fold risks, "
    "and low-rank pairs",
    source="stacking: Wolpert 1992, Breiman 1996 (10.1007/BF00117832); pairs: arXiv 2605.13897 without W_o",
)
class Anchored(Late):
    """Unimodal linear log-risks, and per pair the products ``(L x + l) * (R y + r)``.

    The head's weights are the trusts. Fitted by `survfuse.anchors` rather than by gradients: each
    modality's log-risk is its own ridge Cox, and what a modality lacks is the average patient's
    risk, 0. (patients, modalities + pairs * rank).
    """

    def build_layers(self, sizes: FusionSizes) -> dict[str, int]:
        """One column per modality, `rank` per pair."""
        parts = super().build_layers(sizes)
        self.pairs = nn.ModuleDict()
        for left, right in itertools.combinations(self.widths, 2):
            part = f"{left}*{right}"
            self.pairs[part] = Products(
                self.widths[left], self.widths[right], sizes.rank
            )
            parts[part] = sizes.rank
        return parts

    def blocks(self, embeddings: Tensors, present: Tensors) -> Tensors:
        """Log-risks, and products of pairs."""
        blocks = dict(super().blocks(embeddings, present))
        for part, pair in self.pairs.items():
            left, right = part.split("*")
            blocks[part] = pair(embeddings[left], embeddings[right])
        return blocks
