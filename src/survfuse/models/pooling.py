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
from survfuse.models.layers import Dropout, Linear


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

    def __init__(self, width: int, attention_width: int, dropout: float) -> None:
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

    Both factors stay with chance ``(1 - dropout)^2``, so one mask over their product is drawn instead of two.
    """

    def __init__(self, width: int, attention_width: int, dropout: float) -> None:
        super().__init__(width, attention_width, dropout)
        self.signal = Linear(width, attention_width)
        self.gate = Linear(width, attention_width)
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
    """Name the patient of every tile: offsets (patients + 1,) -> (tiles,) int64.

    >>> segments(torch.tensor([0, 2, 2, 3]), 3).tolist()
    [0, 0, 2]
    """
    patients = torch.arange(len(offsets) - 1, device=offsets.device)
    return torch.repeat_interleave(patients, offsets.diff(), output_size=tiles)


def segment_peak(scores: Tensor, segment: Tensor, patients: int) -> Tensor:
    """Take the largest score of every patient, -inf where there is none: (patients,), no gradient."""
    peak = scores.new_full((patients,), -torch.inf)
    return peak.scatter_reduce_(0, segment, scores.detach(), "amax")


def segment_softmax(scores: Tensor, offsets: Tensor) -> Tensor:
    """Softmax of scores (tiles,) within each patient -> (tiles,), summing to 1 per patient with tiles."""
    segment, patients = segments(offsets, len(scores)), len(offsets) - 1
    weights = torch.exp(scores - segment_peak(scores, segment, patients)[segment])
    mass = weights.new_zeros(patients).index_add(
        0,
        segment,
        weights,
    )  # >= 1 where there are tiles
    return weights / mass[segment]


def segment_sum(tiles: Tensor, weights: Tensor, offsets: Tensor) -> Tensor:
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


def pool(tiles: Tensor, scores: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
    """Pool projected tiles by their scores.

    Parameters
    ----------
    tiles : Tensor, (tiles, width)
        Projected tiles of all patients.
    scores : Tensor, (tiles,)
        From a :class:`Pooling`.
    offsets : Tensor, (patients + 1,) int64
        Whose tiles are whose.

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

    Keeps for every patient the largest score so far, the sum of ``exp(s - max)``
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

    def __init__(self, offsets: Tensor, width: int, like: Tensor) -> None:
        patients = len(offsets) - 1
        self.offsets = offsets
        self.bounds = offsets.tolist()
        self.scores = like.new_empty(self.bounds[-1])
        self.peak = like.new_full((patients,), -torch.inf)
        self.mass = like.new_zeros(patients)
        self.total = like.new_zeros(patients, width)

    def add(self, start: int, tiles: Tensor, scores: Tensor) -> None:
        """Take in projected tiles (chunk, width) that begin at row `start`, and their scores (chunk,)."""
        stop = start + len(tiles)
        touched = slice(
            int(torch.searchsorted(self.offsets, start, right=True)) - 1,
            int(torch.searchsorted(self.offsets, stop)),
        )
        offsets = (
            self.offsets[touched.start : touched.stop + 1].clamp(start, stop) - start
        )
        segment, patients = segments(offsets, len(tiles)), len(offsets) - 1
        peak = torch.maximum(
            self.peak[touched],
            segment_peak(scores, segment, patients),
        )
        fade = torch.exp(
            self.peak[touched] - peak.clamp_min(torch.finfo(peak.dtype).min),
        )
        weights = torch.exp(scores - peak[segment])
        self.scores[start:stop] = scores
        self.peak[touched] = peak
        self.mass[touched] = (self.mass[touched] * fade).index_add(0, segment, weights)
        self.total[touched] = self.total[touched] * fade[:, None] + segment_sum(
            tiles,
            weights,
            offsets,
        )

    def finish(self) -> tuple[Tensor, Tensor]:
        """Return what :func:`pool` would: (patients, width) and (tiles,)."""
        segment = segments(self.offsets, len(self.scores))
        attention = torch.exp(self.scores - self.peak[segment]) / self.mass[segment]
        return self.total / self.mass.clamp_min(1.0)[:, None], attention


class _Attend(torch.autograd.Function):
    """Attention of every query over its own patient's tiles; only one weight per tile and query is kept.

    With ``a = softmax(h . q)``, ``y = sum a h`` and the gradient ``g`` of ``y``, within each patient::

        ds_t = a_t (h_t - y) . g        dq = sum_t ds_t h_t        dh_t = a_t g + ds_t q
    """

    @staticmethod
    def forward(ctx: Any, tiles: Tensor, queries: Tensor, offsets: Tensor) -> Tensor:
        segment = segments(offsets, len(tiles))
        pooled = [
            pool(tiles, _dot(tiles, query, segment), offsets)
            for query in queries.unbind(1)
        ]
        answers = torch.stack(
            [answer for answer, _ in pooled],
            dim=1,
        )  # (patients, tokens, width)
        ctx.save_for_backward(
            tiles,
            queries,
            offsets,
            answers,
            *(attention for _, attention in pooled),
        )
        return answers

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, Tensor, None]:
        tiles, queries, offsets, answers, *attentions = ctx.saved_tensors
        segment, level = segments(offsets, len(tiles)), (answers * upstream).sum(2)
        for_tiles, for_queries = torch.zeros_like(tiles), torch.empty_like(queries)
        for token, attention in enumerate(attentions):
            gradient = upstream[:, token].index_select(0, segment)
            slope = attention * ((tiles * gradient).sum(1) - level[:, token][segment])
            for_queries[:, token] = segment_sum(tiles, slope, offsets)
            for_tiles.addcmul_(gradient, attention.unsqueeze(1))
            for_tiles.addcmul_(
                queries[:, token].index_select(0, segment),
                slope.unsqueeze(1),
            )
        return for_tiles, for_queries, None


def _dot(tiles: Tensor, query: Tensor, segment: Tensor) -> Tensor:
    """``h_t . q`` of every tile with its own patient's query: (tiles,)."""
    return (tiles * query.index_select(0, segment)).sum(1)


@dataclass(frozen=True)
class TileReader:
    """Projected tiles that can be asked again, in one piece or in chunks that are seen once and dropped.

    Attributes
    ----------
    offsets : Tensor, (patients + 1,) int64
        Whose tiles are whose.
    chunks : callable
        Gives (first row, projected tiles (chunk, width)), one after another, each time it is called.
    """

    offsets: Tensor
    chunks: Callable[[], Iterable[tuple[int, Tensor]]]

    def attend(self, queries: Tensor) -> Tensor:
        """Pool each patient's tiles once per query, attention ``softmax(h_t . q)``, no padding.

        Under `torch.no_grad` nothing longer than a chunk is kept but one score per tile and query.

        Parameters
        ----------
        queries : Tensor, (patients, tokens, width)
            Of each patient, for its own tiles.

        Returns
        -------
        Tensor, (patients, tokens, width)
            Zeros for a patient without tiles.
        """
        if torch.is_grad_enabled():
            ((_, tiles),) = self.chunks()
            return cast(Tensor, _Attend.apply(tiles, queries, self.offsets))  # type: ignore[no-untyped-call]
        tokens, segment = (
            queries.unbind(1),
            segments(self.offsets, int(self.offsets[-1])),
        )
        running = [
            RunningPool(self.offsets, queries.shape[2], like=queries) for _ in tokens
        ]
        for start, tiles in self.chunks():
            if len(tiles) == 0:
                continue
            own = segment[start : start + len(tiles)]
            for answer, query in zip(running, tokens, strict=True):
                answer.add(start, tiles, _dot(tiles, query, own))
        return torch.stack([answer.finish()[0] for answer in running], dim=1)
