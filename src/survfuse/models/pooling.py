"""From the tiles of many patients, in one matrix, to one vector per patient.

Patient ``i`` owns rows ``offsets[i]:offsets[i + 1]``. A pooling gives every tile a
score ``s``; its attention is the softmax of the scores within its patient, and the
patient's vector is the attention-weighted sum of the tiles::

    a_t = exp(s_t - max s) / sum exp(s - max s)        M_i = sum over t of patient i of a_t h_t

No step loops over patients. A patient without tiles gets the zero vector. The
weighted sum is `torch.nn.functional.embedding_bag`, which never writes the
(tiles, width) product down: fastest of the deterministic forms
(``benchmarks/pooling.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from survfuse._registry import Registry
from survfuse.models.layers import Dropout


class Pooling(nn.Module):
    """Base of all poolings: a score for every tile.

    Parameters
    ----------
    width : int
        Features of a projected tile.
    attention_width : int
        Hidden width of the score; unused where there is none.
    dropout : float
        Dropout inside the score.
    """

    def __init__(
        self,
        width: int,
        attention_width: int,
        dropout: float,
    ) -> None:
        super().__init__()

    def forward(self, tiles: Tensor) -> Tensor:
        """Score tiles (tiles, width) -> (tiles,)."""
        raise NotImplementedError


POOLINGS: Registry[Pooling] = Registry("pooling")


@POOLINGS.register(
    "attention",
    summary="gated attention: w.(tanh(V h) * sigmoid(U h)), softmax over the patient's tiles",
    source="Ilse 2018 (arXiv 1802.04712) eq. 9; arXiv 2605.13897",
)
class GatedAttention(Pooling):
    """Gated-attention score, dropout on both factors.

    Both factors stay with chance ``(1 - dropout)^2``, so one mask over their product is drawn
    instead of two.
    """

    def __init__(
        self,
        width: int,
        attention_width: int,
        dropout: float,
    ) -> None:
        super().__init__(width, attention_width, dropout)
        self.signal = nn.Linear(width, attention_width)
        self.gate = nn.Linear(width, attention_width)
        self.score = nn.Linear(attention_width, 1)
        self.dropout = Dropout(1 - (1 - dropout) ** 2)

    def forward(self, tiles: Tensor) -> Tensor:
        """Score tiles (tiles, width) -> (tiles,)."""
        signal = torch.tanh(self.signal(tiles))
        gate = torch.sigmoid(self.gate(tiles))
        score: Tensor = self.score(self.dropout(signal * gate))  # (tiles, 1)
        return score.squeeze(1)


@POOLINGS.register(
    "mean",
    summary="the mean of the patient's projected tiles",
    source="the plain baseline",
)
class MeanPooling(Pooling):
    """Equal scores: every tile of a patient counts the same."""

    def forward(self, tiles: Tensor) -> Tensor:
        """Score tiles (tiles, width) -> (tiles,), all zero."""
        return tiles.new_zeros(len(tiles))


def segments(offsets: Tensor, tiles: int) -> Tensor:
    """Patient of every tile: offsets (patients + 1,) -> (tiles,) int64.

    >>> segments(torch.tensor([0, 2, 2, 3]), 3).tolist()
    [0, 0, 2]
    """
    patients = torch.arange(len(offsets) - 1, device=offsets.device)
    return torch.repeat_interleave(patients, offsets.diff(), output_size=tiles)


def segment_peak(
    scores: Tensor,
    segment: Tensor,
    patients: int,
) -> Tensor:
    """Largest score of every patient, -inf where there is none: (patients,), no gradient."""
    peak = scores.new_full((patients,), -torch.inf)
    return peak.scatter_reduce_(0, segment, scores.detach(), "amax")


def segment_softmax(
    scores: Tensor,
    offsets: Tensor,
) -> Tensor:
    """Softmax of scores (tiles,) within each patient -> (tiles,)."""
    segment, patients = segments(offsets, len(scores)), len(offsets) - 1
    weights = torch.exp(scores - segment_peak(scores, segment, patients)[segment])
    mass = weights.new_zeros(patients).index_add(0, segment, weights)  # >= 1 with tiles
    return weights / mass[segment]


def segment_sum(
    tiles: Tensor,
    weights: Tensor,
    offsets: Tensor,
) -> Tensor:
    """Sum weighted tiles within each patient.

    Parameters
    ----------
    tiles : Tensor, (tiles, width)
        All patients' tiles, in the order of `offsets`.
    weights : Tensor, (tiles,)
        One weight per tile.
    offsets : Tensor, (patients + 1,) int64
        From 0 to the number of tiles.

    Returns
    -------
    Tensor, (patients, width)
        Zeros for a patient without tiles.
    """
    if len(tiles) == 0:
        return tiles.new_zeros(len(offsets) - 1, tiles.shape[1]) + 0.0 * tiles.sum()
    rows = torch.arange(len(tiles), device=tiles.device)
    return functional.embedding_bag(
        rows,
        tiles,
        offsets,
        mode="sum",
        per_sample_weights=weights,
        include_last_offset=True,
    )


def pool(
    tiles: Tensor,
    scores: Tensor,
    offsets: Tensor,
) -> tuple[Tensor, Tensor]:
    """Pool projected tiles by their scores.

    Parameters
    ----------
    tiles : Tensor, (tiles, width)
        Projected tiles of all patients.
    scores : Tensor, (tiles,)
        From a :class:`Pooling`.
    offsets : Tensor, (patients + 1,) int64
        First tile of each patient, and the number of tiles.

    Returns
    -------
    pooled : Tensor, (patients, width)
        One vector per patient.
    attention : Tensor, (tiles,)
        Weight of each tile within its patient.
    """
    attention = segment_softmax(scores, offsets)
    return segment_sum(tiles, attention, offsets), attention


class RunningPool:
    """The same pooling, exactly, over chunks of tiles that are seen once and dropped.

    Stores for every patient the largest score so far, the sum of ``exp(s - max)``
    and the weighted sum of tiles; both are rescaled when a larger score comes
    (the online softmax, arXiv 1805.02867).

    Parameters
    ----------
    offsets : Tensor, (patients + 1,) int64
        Of the whole matrix.
    width : int
        Features of a projected tile.
    like : Tensor
        Gives dtype and device.
    """

    def __init__(
        self,
        offsets: Tensor,
        width: int,
        like: Tensor,
    ) -> None:
        patients = len(offsets) - 1
        self.offsets = offsets
        self.scores = like.new_empty(int(offsets[-1]))
        self.peak = like.new_full((patients,), -torch.inf)
        self.mass = like.new_zeros(patients)
        self.total = like.new_zeros(patients, width)

    def add(
        self,
        start: int,
        tiles: Tensor,
        scores: Tensor,
    ) -> None:
        """Add projected tiles (chunk, width) from row `start` on, with scores (chunk,)."""
        stop = start + len(tiles)
        first = int(torch.searchsorted(self.offsets, start, right=True)) - 1
        last = int(torch.searchsorted(self.offsets, stop))
        own = slice(first, last)  # patients with tiles in this chunk
        offsets = self.offsets[first : last + 1].clamp(start, stop) - start
        segment = segments(offsets, len(tiles))
        highest = segment_peak(scores, segment, len(offsets) - 1)
        peak = torch.maximum(self.peak[own], highest)
        lowest = torch.finfo(peak.dtype).min
        fade = torch.exp(self.peak[own] - peak.clamp_min(lowest))
        weights = torch.exp(scores - peak[segment])
        total = segment_sum(tiles, weights, offsets)
        self.scores[start:stop] = scores
        self.peak[own] = peak
        self.mass[own] = (self.mass[own] * fade).index_add(0, segment, weights)
        self.total[own] = self.total[own] * fade[:, None] + total

    def finish(self) -> tuple[Tensor, Tensor]:
        """Return what :func:`pool` would: (patients, width) and (tiles,)."""
        segment = segments(self.offsets, len(self.scores))
        attention = torch.exp(self.scores - self.peak[segment]) / self.mass[segment]
        return self.total / self.mass.clamp_min(1.0)[:, None], attention


class _Attend(torch.autograd.Function):
    """Attention of every query over its own patient's tiles.

    With ``a = softmax(h . q)``, ``y = sum a h`` and the gradient ``g`` of ``y``, per patient::

        ds_t = a_t (h_t - y) . g        dq = sum_t ds_t h_t        dh_t = a_t g + ds_t q
    """

    @staticmethod
    def forward(
        ctx: Any,
        tiles: Tensor,
        queries: Tensor,
        offsets: Tensor,
    ) -> Tensor:
        segment = segments(offsets, len(tiles))
        answers, weights = torch.empty_like(queries), []
        for token, query in enumerate(queries.unbind(1)):
            scores = _scores(tiles, query, segment)
            answers[:, token], attention = pool(tiles, scores, offsets)
            weights.append(attention)
        ctx.save_for_backward(tiles, queries, offsets, answers, *weights)
        return answers

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any,
        upstream: Tensor,
    ) -> tuple[Tensor, Tensor, None]:
        tiles, queries, offsets, answers, *weights = ctx.saved_tensors
        segment = segments(offsets, len(tiles))
        mean_slope = (answers * upstream).sum(2)  # (patients, tokens)
        for_tiles, for_queries = torch.zeros_like(tiles), torch.empty_like(queries)
        for token, attention in enumerate(weights):
            gradient = upstream[:, token].index_select(0, segment)  # (tiles, width)
            query = queries[:, token].index_select(0, segment)
            slope = (tiles * gradient).sum(1) - mean_slope[:, token][segment]
            slope = attention * slope  # (tiles,)
            for_queries[:, token] = segment_sum(tiles, slope, offsets)
            for_tiles.addcmul_(gradient, attention.unsqueeze(1))
            for_tiles.addcmul_(query, slope.unsqueeze(1))
        return for_tiles, for_queries, None


@dataclass(frozen=True)
class TileReader:
    """Projected tiles that can be read again, in one piece or in chunks that are seen once.

    Attributes
    ----------
    offsets : Tensor, (patients + 1,) int64
        First tile of each patient, and the number of tiles.
    chunks : callable
        Gives (first row, projected tiles (chunk, width)), one after another, at each call.
    """

    offsets: Tensor
    chunks: Callable[[], Iterable[tuple[int, Tensor]]]

    def attend(self, queries: Tensor) -> Tensor:
        """Pool each patient's tiles once per query, attention ``softmax(h_t . q)``, no padding.

        Training stores one weight per tile and query. Under `torch.no_grad` nothing longer than a
        chunk is stored but one score per tile and query.

        Parameters
        ----------
        queries : Tensor, (patients, tokens, width)
            Of each patient, for its own tiles.

        Returns
        -------
        Tensor, (patients, tokens, width)
            Zeros for a patient without tiles.
        """
        if not torch.is_grad_enabled():
            return self._streamed(queries)
        ((_, tiles),) = self.chunks()
        function: Any = _Attend.apply
        return cast(Tensor, function(tiles, queries, self.offsets))

    def _streamed(self, queries: Tensor) -> Tensor:
        pools = [
            RunningPool(self.offsets, queries.shape[2], like=queries)
            for _ in range(queries.shape[1])
        ]
        segment = segments(self.offsets, int(self.offsets[-1]))
        for start, tiles in self.chunks():
            if len(tiles) == 0:
                continue
            own = segment[start : start + len(tiles)]
            for token, running in enumerate(pools):
                running.add(start, tiles, _scores(tiles, queries[:, token], own))
        return torch.stack([running.finish()[0] for running in pools], dim=1)


def _scores(
    tiles: Tensor,
    query: Tensor,
    segment: Tensor,
) -> Tensor:
    """``h_t . q`` of every tile with its own patient's query: (tiles,)."""
    return (tiles * query.index_select(0, segment)).sum(1)
