"""Fusions that keep modalities apart: concatenation, late fusion, attention over modalities."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from survfuse._types import FloatArray
from survfuse.decomposition.parts import Part, Product
from survfuse.models.fusions.fusion_base import (
    FUSIONS,
    Fusion,
    FusionSizes,
    Tensors,
    affine_side,
    linear_layers,
)


@FUSIONS.register(
    "concat",
    summary="embeddings side by side, zeros for a missing one",
    source="arXiv 2605.13897, variant abmil",
)
class Concat(Fusion):
    """``[x_1, x_2, ...]``."""

    def build_layers(self, sizes: FusionSizes) -> dict[str, int]:
        """One part per modality, as wide as its embedding."""
        return dict(self.widths)

    def blocks(
        self,
        embeddings: Tensors,
        present: Tensors,
    ) -> Tensors:
        """Return the embeddings themselves."""
        return embeddings

    def terms(self, head: FloatArray) -> tuple[Part, ...] | None:
        """``p_m (h_m . x_m)`` of each modality."""
        if self.needs_tiles:
            return None
        parts, start = [], 0
        for name, width in self.widths.items():
            own = np.concatenate([[0.0, 0.0], head[start : start + width]])
            parts.append(Product({name: own[:, None]}, np.ones(1)))
            start += width
        return tuple(parts)


@FUSIONS.register(
    "late",
    summary="one linear log-risk `w_m . x_m + b_m` per modality; the head weighs and adds them",
    source="the plain baseline",
)
class Late(Fusion):
    """Sum of unimodal linear log-risks, ``r_m = w_m . x_m + b_m``, one column each.

    A linear head over the columns is ``sum_m v_m r_m + v_0``: the weights ``v_m`` of the sum are
    learned with the rest. The bias ``b_m`` says how patients who have the modality differ, on the
    whole, from patients who lack it; a missing modality's column is zero, ``b_m`` included.

    ``x_m`` (patients, d_m) -> ``r`` (patients, modalities).
    """

    def build_layers(self, sizes: FusionSizes) -> dict[str, int]:
        """One column per modality."""
        self.risks = linear_layers(self.widths, 1)
        return dict.fromkeys(self.widths, 1)

    def blocks(
        self,
        embeddings: Tensors,
        present: Tensors,
    ) -> Tensors:
        """Log-risk (patients, 1) of each modality."""
        return {name: risk(embeddings[name]) for name, risk in self.risks.items()}

    def terms(self, head: FloatArray) -> tuple[Part, ...]:
        """``v_m p_m (w_m . x_m + b_m)`` of each modality."""
        parts = []
        for weight, (name, risk) in zip(head, self.risks.items(), strict=True):
            parts.append(
                Product({name: affine_side(cast(nn.Linear, risk))}, np.array([weight]))
            )
        return tuple(parts)


@FUSIONS.register(
    "gated",
    summary="attention over the modalities a patient has, one score for each",
    source="Ilse 2018 (arXiv 1802.04712) eq. 9 over modalities; masked as Vanguri 2022 "
    "(10.1038/s43018-022-00416-8); Arevalo 2017 (arXiv 1702.01992)",
)
class Gated(Fusion):
    """Gated attention over modalities, softmax over the ones present.

    ::

        v_m = ReLU(V_m x_m + c_m)                          (patients, k), k = pair_width
        s_m = w . (tanh(A v_m + a) * sigmoid(B v_m + b))   (patients,), A and B (rank, k) shared
        p_m = exp(s_m) / sum over present n of exp(s_n)
        out = [p_1 v_1, p_2 v_2, ...]                      (patients, modalities * k)

    Columns stay apart by modality, so that a linear head splits into one term each; the customary
    sum ``sum_m p_m v_m`` is the case of equal head weights. A missing modality has no attention:
    its columns are zero and the others share its attention. The score is one function for all
    modalities, so their order only orders columns.
    """

    def build_layers(self, sizes: FusionSizes) -> dict[str, int]:
        """`pair_width` columns per modality."""
        self.project = linear_layers(self.widths, sizes.pair_width)
        self.signal = nn.Linear(sizes.pair_width, sizes.rank)
        self.gate = nn.Linear(sizes.pair_width, sizes.rank)
        # A bias would cancel in the softmax.
        self.score = nn.Linear(sizes.rank, 1, bias=False)
        return dict.fromkeys(self.widths, sizes.pair_width)

    def blocks(
        self,
        embeddings: Tensors,
        present: Tensors,
    ) -> Tensors:
        """Projected embeddings (patients, k), each weighted by its attention."""
        projected = [
            torch.relu(layer(embeddings[name])) for name, layer in self.project.items()
        ]
        values = torch.stack(projected, dim=1)  # (patients, modalities, k)
        there = torch.stack([present[name] for name in self.widths], dim=1)
        signal, gate = torch.tanh(self.signal(values)), torch.sigmoid(self.gate(values))
        scores = self.score(signal * gate).squeeze(2)  # (patients, modalities)
        weighted = values * masked_softmax(scores, there).unsqueeze(2)
        return dict(zip(self.widths, weighted.unbind(1), strict=True))


def masked_softmax(scores: Tensor, there: Tensor) -> Tensor:
    """Softmax along the last axis over what is there, zeros elsewhere, also where nothing is.

    >>> scores, there = torch.tensor([[3.0, 3.0, 9.0]]), torch.tensor([[True, True, False]])
    >>> masked_softmax(scores, there).tolist()
    [[0.5, 0.5, 0.0]]
    """
    lowest = torch.finfo(scores.dtype).min
    weights = torch.softmax(scores.masked_fill(~there, lowest), dim=-1)
    return weights.masked_fill(~there, 0.0)
