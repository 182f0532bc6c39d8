"""A fusion that reads tiles: queries made from a patient's vector attend to the patient's tiles."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from survfuse.models.fusions.fusion_base import FUSIONS, FusionSizes, Tensors, mask
from survfuse.models.fusions.sums import Concat
from survfuse.models.pooling import GatedAttention, TileReader


@FUSIONS.register(
    "coattention",
    summary="`concat`, and the answers of the tiles of each bag to `query_tokens` queries made "
    "from each vector",
    source="MCAT, Chen 2021 (10.1109/ICCV48922.2021.00398), genomic-guided co-attention",
)
class CoAttention(Concat):
    """Embeddings side by side, and the answer of the tiles of each bag to each vector.

    For a vector ``x`` (d_v) and a bag of projected tiles ``h_t`` (d_b)::

        q_g  = Q_g x + c_g                               (patients, G, d_b), G = query_tokens
        a_tg = softmax over the patient's tiles of  h_t . q_g / sqrt(d_b)
        y_g  = sum_t a_tg h_t                            (patients, G, d_b)
        y    = sum_g u_g y_g,   u = softmax over g of gated attention on y_g       (patients, d_b)

    The G token maps are learned groups of the vector; where the vector holds one score per gene set
    (`expression_gene_sets`) every token is a weighting of sets. MCAT's key and value matrices act
    next to ``Q_g`` and to the head and add nothing a linear map there does not have, so they are
    left out; so are its transformer layers over the tokens, which small cohorts do not feed.

    A pair is zero where the vector or the bag is missing. Without a bag, or without a vector, this
    is `concat`.
    """

    needs_tiles: ClassVar[bool] = True

    def build_layers(self, sizes: FusionSizes) -> dict[str, int]:
        """Columns of the embeddings, then one part per vector and bag, as wide as the bag's."""
        parts = super().build_layers(sizes)
        self.tokens = sizes.query_tokens
        self.queries, self.pools = nn.ModuleDict(), nn.ModuleDict()
        bags = [name for name in self.widths if name in self.bags]
        for vector, bag in [(v, b) for v in self.widths if v not in bags for b in bags]:
            width, part = self.widths[bag], f"{vector}*{bag}"
            self.queries[part] = nn.Linear(self.widths[vector], self.tokens * width)
            self.pools[part] = GatedAttention(width, sizes.rank, dropout=0.0)
            parts[part] = width
        return parts

    def forward(
        self,
        embeddings: Tensors,
        present: Tensors,
        tiles: dict[str, TileReader] | None = None,
    ) -> Tensor:
        """Fuse (patients, width) embeddings and tiles under (patients,) bool masks.

        Returns
        -------
        Tensor, (patients, fused)
        """
        columns = [super().forward(embeddings, present)]
        for part in self.queries:
            vector, bag = part.split("*")
            given = mask(embeddings[vector], present[vector])
            answer = self._answer(part, given, (tiles or {})[bag])
            columns.append(mask(answer, self.has(part, present)))
        return torch.cat(columns, dim=1)

    def _answer(
        self,
        part: str,
        vector: Tensor,
        tiles: TileReader,
    ) -> Tensor:
        flat = self.queries[part](vector)
        queries = flat.unflatten(1, (self.tokens, -1))  # (patients, G, d_b)
        answers = tiles.attend(queries / queries.shape[2] ** 0.5)
        scores = self.pools[part](answers.flatten(0, 1)).view(-1, self.tokens)
        return (answers * torch.softmax(scores, dim=1).unsqueeze(2)).sum(dim=1)
