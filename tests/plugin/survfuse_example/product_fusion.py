"""A fusion of another package: embeddings are projected and multiplied, entry by entry."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
from torch import Tensor, nn

from survfuse.models.fusion import FUSIONS, Fusion, FusionSizes, mask


@FUSIONS.register(
    "product",
    summary="the entry-wise product of projected embeddings, and each of them",
    source="an example",
)
class Product(Fusion):
    """Product of all projections ``P_m x_m``; zero for a patient who lacks a modality."""

    def __init__(
        self,
        widths: Mapping[str, int],
        encoded: Collection[str],
        sizes: FusionSizes,
    ) -> None:
        super().__init__(widths, encoded, sizes)
        self.projections = nn.ModuleDict()
        for name, width in widths.items():
            self.projections[name] = nn.Linear(width, sizes.pair_width)
        self.parts = {**widths, "*".join(widths): sizes.pair_width}

    def forward(
        self,
        embeddings: Mapping[str, Tensor],
        present: Mapping[str, Tensor],
    ) -> Tensor:
        """Fuse (patients, width) embeddings under (patients,) bool masks -> (patients, fused)."""
        columns, product = [], None
        for name, project in self.projections.items():
            embedding = mask(embeddings[name], present[name])
            columns.append(embedding)
            factor = mask(project(embedding), present[name])
            product = factor if product is None else product * factor
        return torch.cat([*columns, product], dim=1)
