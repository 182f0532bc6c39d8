"""How the embeddings of a patient's modalities meet, whichever of them are there.

Every fusion takes embeddings by name and a presence mask by name. What a missing
modality would add to the fused vector is exactly zero, biases included, and so is
its gradient. A network of one modality needs no fusion: its embedding is the fused
vector. Equations, sources and parameter counts: ``docs/fusions.md``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch

from survfuse.models.fusions.coattention import CoAttention
from survfuse.models.fusions.fusion_base import FUSIONS, Fusion, FusionSizes, mask
from survfuse.models.fusions.pairs import (
    BilinearPair,
    Hierarchical,
    Pairwise,
    PairwiseResidual,
)
from survfuse.models.fusions.sums import Concat, Gated, Late
from survfuse.models.fusions.tensors import GatedKronecker, LowRankTensor, TensorFusion

__all__ = [
    "FUSIONS",
    "BilinearPair",
    "CoAttention",
    "Concat",
    "Fusion",
    "FusionSizes",
    "Gated",
    "GatedKronecker",
    "Hierarchical",
    "Late",
    "LowRankTensor",
    "Pairwise",
    "PairwiseResidual",
    "TensorFusion",
    "build_fusion",
    "mask",
    "parameter_table",
]


def build_fusion(
    name: str,
    widths: Mapping[str, int],
    encoded: Collection[str],
    sizes: FusionSizes,
    bags: Collection[str] = (),
) -> Fusion:
    """Make the fusion called `name`; over a single modality every fusion is that modality's embedding.

    Parameters
    ----------
    name : str
        A name in :data:`FUSIONS`.
    widths, encoded, sizes
        See :class:`Fusion`.
    bags : collection of str
        Modalities that have tiles, for a fusion that reads them.
    """
    card = FUSIONS[name]
    if len(widths) == 1:
        return Concat(widths, encoded, sizes)
    if getattr(card.build, "needs_tiles", False):
        return card.build(widths, encoded, sizes, bags)
    return card.build(widths, encoded, sizes)


def parameter_table(
    widths: Mapping[str, int],
    encoded: Collection[str] = (),
    sizes: FusionSizes | None = None,
    bags: Collection[str] = (),
) -> str:
    """Count columns and parameters of every fusion, as a Markdown table.

    Parameters
    ----------
    widths, encoded, sizes, bags
        As for :func:`build_fusion`; sizes: the defaults of :class:`FusionSizes`.

    Returns
    -------
    str
        A row per fusion: columns of the fused vector, parameters of the fusion, and with a Cox head.
    """
    rows = [
        "| fusion | fused columns | parameters | with the Cox head |",
        "|---|---:|---:|---:|",
    ]
    for name in sorted(FUSIONS):
        with torch.device("meta"):
            fusion = build_fusion(name, widths, encoded, sizes or FusionSizes(), bags)
        own = sum(parameter.numel() for parameter in fusion.parameters())
        rows.append(
            f"| `{name}` | {fusion.width:,} | {own:,} | {own + fusion.width + 1:,} |",
        )
    return "\n".join(rows)
