"""Fusions: how the embeddings of a patient's modalities are combined, whichever are present.

Every fusion takes embeddings by name and a presence mask by name. What a missing
modality would add to the fused vector is exactly zero, biases included, and so is
its gradient. A network of one modality needs no fusion: its embedding is the fused
vector.

A fusion is one file in `survfuse.models.fusions` (or in another package, see
``docs/extending.md``): a subclass of
:class:`~survfuse.models.fusions.fusion_base.Fusion` with its card. ``docs/fusions.md``
prints the cards and the counts of this module.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Collection, Mapping
from importlib import import_module

import torch

from survfuse.models import fusions
from survfuse.models.fusions.fusion_base import FUSIONS, Fusion, FusionSizes, mask
from survfuse.models.fusions.sums import Concat

__all__ = [
    "FUSIONS",
    "Fusion",
    "FusionSizes",
    "build_fusion",
    "card_table",
    "mask",
    "parameter_table",
]

for module in pkgutil.iter_modules(fusions.__path__):
    import_module(f"{fusions.__name__}.{module.name}")


def build_fusion(
    name: str,
    widths: Mapping[str, int],
    encoded: Collection[str],
    sizes: FusionSizes,
    bags: Collection[str] = (),
) -> Fusion:
    """Make the fusion called `name`; of a single modality it is that modality's embedding.

    Parameters
    ----------
    name : str
        A name in :data:`FUSIONS`.
    widths, encoded, sizes, bags
        See :class:`Fusion`.
    """
    build = FUSIONS[name].build
    if len(widths) == 1:
        return Concat(widths, encoded, sizes)
    return build(widths, encoded, sizes, bags)


def card_table() -> str:
    """Name, summary and source of every fusion, as a Markdown table."""
    rows = ["| fusion | the fused vector | source |", "|---|---|---|"]
    for name, card in sorted(FUSIONS.items()):
        rows.append(f"| `{name}` | {card.summary} | {card.source} |")
    return "\n".join(rows)


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
        A row per fusion: columns of the fused vector, parameters of the fusion, and with a Cox
        head.
    """
    rows = [
        "| fusion | fused columns | parameters | with the Cox head |",
        "|---|---:|---:|---:|",
    ]
    for name in sorted(FUSIONS):
        with torch.device("meta"):
            fusion = build_fusion(name, widths, encoded, sizes or FusionSizes(), bags)
        own = sum(parameter.numel() for parameter in fusion.parameters())
        total = own + fusion.width + 1
        rows.append(f"| `{name}` | {fusion.width:,} | {own:,} | {total:,} |")
    return "\n".join(rows)
