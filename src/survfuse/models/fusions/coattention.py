"""A fusion that reads tiles: a patient's vector asks, the patient's tiles answer."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from survfuse.models.fusions.fusion_base import (
    FUSIONS,
    Fusion,
    FusionSizes,
    clean,
    mask,
)
from survfuse.models.pooling import GatedAttention, TileReader


@FUSIONS.register(
    "coattention",
    summary="tokens made from each vector query the tiles of each bag; beside all embeddings",
    source="MCAT, Chen 2021 (10.1109/ICCV48922.2021.00398), genomic-guided co-attention",
)
class CoAttention(Fusion):
    """Embeddings side by side, and what each vector modality finds in the tiles of each bag.

    For a vector ``x`` (d_v) and a bag of projected tiles ``h_t`` (d_b)::

        q_g  = Q_g x + c_g                               (patients, G, d_b), G = query_tokens
        a_tg = softmax over the patient's tiles of  h_t . q_g / sqrt(d_b)
        y_g  = sum_t a_tg h_t                            (patients, G, d_b)
        y    = sum_g u_g y_g,   u = softmax over g of gated attention on y_g       (patients, d_b)

    The G token maps are learned groups of the vector; where the vector holds one score per gene set
    (`expression_gene_sets`) every token is a weighting of sets. MCAT's key and value matrices act next
    to ``Q_g`` and to the head and add nothing a linear map there does not have, so they are left out;
    so are its transformer layers over the tokens, which small cohorts do not feed.

    A pair is zero where the vector or the bag is missing. Without a bag, or without a vector, there is
    nobody to answer or to ask: this is then `concat`.

    Parameters
    ----------
    bags : collection of str
        Modalities that have tiles.
    """

    needs_tiles: ClassVar[bool] = True

    def __init__(
        self,
        widths: Mapping[str, int],
        encoded: Collection[str],
        sizes: FusionSizes,
        bags: Collection[str] = (),
    ) -> None:
        super().__init__(widths, encoded, sizes)
        self.alone = tuple(widths)
        self.tokens = sizes.query_tokens
        self.queries = nn.ModuleDict()
        self.pools = nn.ModuleDict()
        self.sides: dict[str, tuple[str, str]] = {}
        for vector in (name for name in widths if name not in bags):
            for bag in (name for name in widths if name in bags):
                key = f"{vector}*{bag}"
                self.queries[key] = nn.Linear(widths[vector], self.tokens * widths[bag])
                self.pools[key] = GatedAttention(widths[bag], sizes.rank, dropout=0.0)
                self.sides[key] = (vector, bag)
        self.parts = {
            **widths,
            **{key: widths[bag] for key, (_, bag) in self.sides.items()},
        }

    def forward(
        self,
        embeddings: Mapping[str, Tensor],
        present: Mapping[str, Tensor],
        tiles: Mapping[str, TileReader] | None = None,
    ) -> Tensor:
        """Fuse (patients, width) embeddings and tiles under (patients,) bool masks -> (patients, fused)."""
        given, tiles = clean(embeddings, present), tiles or {}
        columns = [given[name] for name in self.alone]
        for key, (vector, bag) in self.sides.items():
            found = self._ask(key, given[vector], tiles[bag])
            columns.append(mask(found, present[vector] & present[bag]))
        return torch.cat(columns, dim=1)

    def _ask(self, key: str, vector: Tensor, tiles: TileReader) -> Tensor:
        queries = self.queries[key](vector).unflatten(
            1,
            (self.tokens, -1),
        )  # (patients, G, d_b)
        answers = tiles.attend(queries / queries.shape[2] ** 0.5)
        weights = torch.softmax(
            self.pools[key](answers.flatten(0, 1)).view(-1, self.tokens),
            dim=1,
        )
        return (answers * weights.unsqueeze(2)).sum(dim=1)
