"""A log-risk per modality, added by trust, and low-rank products of pairs beside them."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping
from typing import cast

import torch
from torch import Tensor, nn

from survfuse.models.fusions.fusion_base import FUSIONS, FusionSizes, clean, mask
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
    summary="a convexly fitted log-risk per modality, trusted as far as out-of-fold risks pay for it, "
    "and low-rank pairs",
    source="stacking: Wolpert 1992, Breiman 1996 (10.1007/BF00117832); pairs: arXiv 2605.13897 without W_o",
)
class Anchored(Late):
    """Unimodal linear log-risks, and per pair the products ``(L x + l) * (R y + r)``.

    ::

        out = [w_m . x_m + b_m for each m] + [(L x_m + l) * (R x_n + r) for each pair m, n]

    The head's weights are the trusts. Fitted by `survfuse.anchors` rather than by gradients: each
    modality's log-risk is its own ridge Cox, and what a modality lacks is the average patient's risk, 0.
    (patients, modalities + pairs * rank).
    """

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
            key = f"{left}*{right}"
            self.pairs[key] = Products(widths[left], widths[right], sizes.rank)
            self.sides[key] = (left, right)
            self.parts[key] = sizes.rank

    def forward(
        self,
        embeddings: Mapping[str, Tensor],
        present: Mapping[str, Tensor],
    ) -> Tensor:
        """Fuse (patients, width) embeddings under (patients,) bool masks -> (patients, fused)."""
        given = clean(embeddings, present)
        together = [
            mask(self.pairs[key](given[a], given[b]), present[a] & present[b])
            for key, (a, b) in self.sides.items()
        ]
        return torch.cat([super().forward(embeddings, present), *together], dim=1)
