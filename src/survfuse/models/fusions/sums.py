"""Fusions that let modalities stand side by side: concatenation, late fusion, attention."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
from torch import Tensor, nn

from survfuse.models.fusions.fusion_base import (
    FUSIONS,
    Fusion,
    FusionSizes,
    clean,
    mask,
)


@FUSIONS.register(
    "concat",
    summary="embeddings side by side, zeros for a missing one",
    source="arXiv 2605.13897, variant abmil",
)
class Concat(Fusion):
    """Embeddings side by side."""

    def __init__(
        self,
        widths: Mapping[str, int],
        encoded: Collection[str],
        sizes: FusionSizes,
    ) -> None:
        super().__init__(widths, encoded, sizes)
        self.parts = dict(widths)

    def forward(
        self,
        embeddings: Mapping[str, Tensor],
        present: Mapping[str, Tensor],
    ) -> Tensor:
        """Fuse (patients, width) embeddings under (patients,) bool masks -> (patients, fused)."""
        return torch.cat(
            [mask(embeddings[name], present[name]) for name in self.parts],
            dim=1,
        )


@FUSIONS.register(
    "late",
    summary="one linear log-risk per modality; the head weighs and adds them",
    source="the plain baseline",
)
class Late(Fusion):
    """Sum of unimodal linear log-risks, ``r_m = w_m . x_m + b_m``, one column each.

    A linear head over the columns is ``sum_m v_m r_m + v_0``: the weights ``v_m`` of the sum are
    learned with the rest. The bias ``b_m`` says how patients who have the modality differ, on the
    whole, from those who lack it; a missing modality's column is zero, ``b_m`` included.

    ``x_m`` (patients, d_m) -> ``r`` (patients, modalities).
    """

    def __init__(
        self,
        widths: Mapping[str, int],
        encoded: Collection[str],
        sizes: FusionSizes,
    ) -> None:
        super().__init__(widths, encoded, sizes)
        self.risks = nn.ModuleDict(
            {name: nn.Linear(width, 1) for name, width in widths.items()},
        )
        self.parts = dict.fromkeys(widths, 1)

    def forward(
        self,
        embeddings: Mapping[str, Tensor],
        present: Mapping[str, Tensor],
    ) -> Tensor:
        """Fuse (patients, width) embeddings under (patients,) bool masks -> (patients, modalities)."""
        given = clean(embeddings, present)
        return torch.cat(
            [mask(risk(given[m]), present[m]) for m, risk in self.risks.items()],
            dim=1,
        )


@FUSIONS.register(
    "gated",
    summary="attention over the modalities a patient has, one score for each",
    source="Ilse 2018 (arXiv 1802.04712) eq. 9 over modalities; masked as Vanguri 2022 "
    "(10.1038/s43018-022-00416-8); Arevalo 2017 (arXiv 1702.01992)",
)
class Gated(Fusion):
    """Gated attention over modalities, softmax over those present.

    ::

        v_m = ReLU(V_m x_m + c_m)                          (patients, k), k = pair_width
        s_m = w . (tanh(A v_m + a) * sigmoid(B v_m + b))   (patients,), A and B (rank, k) shared
        p_m = exp(s_m) / sum over present n of exp(s_n)
        out = [p_1 v_1, p_2 v_2, ...]                      (patients, modalities * k)

    Columns stay apart by modality, so that a linear head splits into one term each; the customary sum
    ``sum_m p_m v_m`` is the case of equal head weights. A missing modality has no attention: its
    columns are zero and the others share what it would have had. The score is one function for all
    modalities, so their order only orders columns.
    """

    def __init__(
        self,
        widths: Mapping[str, int],
        encoded: Collection[str],
        sizes: FusionSizes,
    ) -> None:
        super().__init__(widths, encoded, sizes)
        self.project = nn.ModuleDict(
            {m: nn.Linear(width, sizes.pair_width) for m, width in widths.items()},
        )
        self.signal = nn.Linear(sizes.pair_width, sizes.rank)
        self.gate = nn.Linear(sizes.pair_width, sizes.rank)
        self.score = nn.Linear(
            sizes.rank,
            1,
            bias=False,
        )  # a bias would cancel in the softmax
        self.parts = dict.fromkeys(widths, sizes.pair_width)

    def forward(
        self,
        embeddings: Mapping[str, Tensor],
        present: Mapping[str, Tensor],
    ) -> Tensor:
        """Fuse (patients, width) embeddings under (patients,) bool masks -> (patients, modalities * k)."""
        given = clean(embeddings, present)
        values = torch.stack(
            [torch.relu(layer(given[m])) for m, layer in self.project.items()],
            dim=1,
        )
        there = torch.stack(
            [present[m] for m in self.parts],
            dim=1,
        )  # (patients, modalities)
        scores = self.score(
            torch.tanh(self.signal(values)) * torch.sigmoid(self.gate(values)),
        ).squeeze(2)
        weights = masked_softmax(scores, there)
        return (values * weights.unsqueeze(2)).flatten(1)


def masked_softmax(scores: Tensor, there: Tensor) -> Tensor:
    """Softmax along the last axis over what is there, zeros elsewhere, also where nothing is.

    >>> masked_softmax(torch.tensor([[3.0, 3.0, 9.0]]), torch.tensor([[True, True, False]])).tolist()
    [[0.5, 0.5, 0.0]]
    """
    lowest = torch.finfo(scores.dtype).min
    return torch.softmax(scores.masked_fill(~there, lowest), dim=-1).masked_fill(
        ~there,
        0.0,
    )
