"""A fusion: the largest of linear maps of the embeddings."""

import torch

from survfuse.models.fusions.fusion_base import (
    FUSIONS,
    Fusion,
    FusionSizes,
    Tensors,
    linear_layers,
)


@FUSIONS.register("maximum", summary="the largest of linear maps", source="an example")
class Maximum(Fusion):
    """Entry by entry, the largest of ``W_m x_m + b_m`` over the modalities of a patient."""

    shared_part = "maximum"  # zero only for a patient without any modality

    def build_layers(self, sizes: FusionSizes) -> dict[str, int]:
        """One part, made of all modalities."""
        self.project = linear_layers(self.widths, sizes.pair_width)
        return {"maximum": sizes.pair_width}

    def blocks(self, embeddings: Tensors, present: Tensors) -> Tensors:
        """The part, (patients, pair_width)."""
        values = []
        for name, layer in self.project.items():
            missing = ~present[name].unsqueeze(1)
            values.append(layer(embeddings[name]).masked_fill(missing, -torch.inf))
        return {"maximum": torch.stack(values).amax(dim=0)}
