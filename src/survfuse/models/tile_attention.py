"""Gated attention over the tiles of many patients, forward and backward, without large intermediates.

::

    h = drop(ReLU(W x + b))        z = tanh(V h) * sigmoid(U h)        s = w . drop(z) + c
    a = softmax(s) within each patient        M = sum a h

What :class:`~survfuse.models.branches.BagBranch` computes step by step over all tiles is done here
for some thousand tiles after another, so that whatever is not a matrix product happens in the
processor's cache: ReLU belongs to the product, both gates are one product, the scale of dropout
stands in the weights, and no mask of `h` is kept (what was dropped is zero, as behind a ReLU). With
``g`` the gradient of ``M``, every tile's part in it follows from that tile and its patient alone::

    ds = a (h - M) . g        dh = a g + (dz V', dz U')        dx is not made

so that the backward pass goes chunk by chunk too. What the forward pass made is kept for it, or
made again chunk by chunk from the same random numbers, which leaves one number a tile to remember:
a bag of a million tiles then costs no more than its tiles.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from survfuse.models.layers import Masks, affine, outer_sum
from survfuse.models.pooling import RunningPool, segments

CHUNK_TILES = 4096


class Weights(NamedTuple):
    """Projection (width, features), both gates (attention, width), score (1, attention), each with bias."""

    project: Tensor
    project_bias: Tensor
    signal: Tensor
    signal_bias: Tensor
    gate: Tensor
    gate_bias: Tensor
    score: Tensor
    score_bias: Tensor


@dataclass(frozen=True)
class How:
    """How a pass is computed.

    Attributes
    ----------
    dropout : float
        After the projection.
    score_dropout : float
        Over the product of the gates.
    dtype : torch.dtype
        Of the matrix products; sums over tiles, softmax and gradients of weights are float32.
    keep : bool
        Keep what the backward pass needs, ``(width + 2 attention)`` numbers a tile, or make it again.
    seed : int
        Of the dropout masks; the same seed and tiles give the same masks, kept or made again.
    """

    dropout: float = 0.0
    score_dropout: float = 0.0
    dtype: torch.dtype = torch.float32
    keep: bool = True
    seed: int = 0


def attend(
    tiles: Tensor,
    offsets: Tensor,
    weights: Weights,
    how: How,
) -> tuple[Tensor, Tensor]:
    """Embed patients.

    Parameters
    ----------
    tiles : Tensor, (tiles, features)
        Any float type; cast chunk by chunk. Gets no gradient.
    offsets : Tensor, (patients + 1,) int64
        Whose tiles are whose.
    weights : Weights
    how : How

    Returns
    -------
    embedding : Tensor, (patients, width) float32
        Zeros for a patient without tiles.
    attention : Tensor, (tiles,) float32
        Sums to 1 within each patient; not differentiable.
    """
    pooled = _GatedAttention.apply(tiles, offsets, how, *weights)  # type: ignore[no-untyped-call]
    return cast(tuple[Tensor, Tensor], pooled)


def bytes_per_tile(width: int, attention_width: int, dtype: torch.dtype) -> int:
    """Bytes that the backward pass needs of each tile beside the tile itself, where they are kept."""
    return (width + 2 * attention_width) * dtype.itemsize + attention_width + 8


class _Made(NamedTuple):
    """What one chunk's forward pass made."""

    hidden: Tensor  # (chunk, width)
    gates: Tensor  # (chunk, 2 attention), tanh then sigmoid
    mask: Tensor | None  # (chunk, attention) uint8, what dropout kept of their product
    scores: Tensor  # (chunk,) float32


class _GatedAttention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        tiles: Tensor,
        offsets: Tensor,
        how: How,
        *given: Tensor,
    ) -> tuple[Tensor, Tensor]:
        work = _Work(tiles, how, Weights(*given))
        pool = RunningPool(offsets, len(given[0]), like=given[0])
        made = []
        for rows in work.chunks():
            one = work.forward(rows)
            pool.add(rows.start, one.hidden.float(), one.scores)
            if how.keep:
                made.append(one)
        embedding, attention = pool.finish()
        ctx.how, ctx.made = how, made
        ctx.save_for_backward(tiles, offsets, embedding, attention, *given)
        ctx.mark_non_differentiable(attention)
        return embedding, attention

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        tiles, offsets, embedding, attention, *given = ctx.saved_tensors
        work = _Work(tiles, ctx.how, Weights(*given))
        level = (embedding * upstream).sum(1)
        owner = segments(offsets, len(tiles))
        made: list[_Made] = ctx.made
        made.reverse()
        for rows in work.chunks():
            one = (
                made.pop() if made else work.forward(rows)
            )  # popped: freed as soon as it is used
            own = owner[rows]
            pull = upstream.to(ctx.how.dtype).index_select(0, own)
            slope = attention[rows] * (
                (one.hidden * pull).sum(1, dtype=torch.float32) - level[own]
            )
            work.backward(rows, one, pull, attention[rows], slope)
        return None, None, None, *work.gradients()


class _Work:
    """Chunks of one pass over the tiles, and the gradients that backward chunks add up."""

    def __init__(self, tiles: Tensor, how: How, weights: Weights) -> None:
        self.tiles, self.how, self.weights = tiles, how, weights
        self.width, self.half = len(weights.project), len(weights.signal)
        self.stay, self.score_stay = 1 - how.dropout, 1 - how.score_dropout
        # ReLU(x / stay) = ReLU(x) / stay: the scale of dropout costs nothing inside the product.
        self.project = (weights.project / self.stay).to(how.dtype)
        self.project_bias = (weights.project_bias / self.stay).to(how.dtype)
        self.gates = torch.cat([weights.signal, weights.gate]).to(how.dtype)
        self.gates_bias = torch.cat([weights.signal_bias, weights.gate_bias]).to(
            how.dtype,
        )
        self.score = weights.score[0].float() / self.score_stay
        self.for_project = torch.zeros_like(weights.project, dtype=torch.float32)
        self.for_project_bias = torch.zeros_like(
            weights.project_bias,
            dtype=torch.float32,
        )
        self.for_gates = torch.zeros_like(self.gates, dtype=torch.float32)
        self.for_gates_bias = torch.zeros_like(self.gates_bias, dtype=torch.float32)
        self.for_score = torch.zeros_like(self.score)
        self.for_score_bias = torch.zeros_like(weights.score_bias, dtype=torch.float32)

    def chunks(self) -> Iterator[slice]:
        """Rows of each chunk."""
        for start in range(0, len(self.tiles), CHUNK_TILES):
            yield slice(start, min(start + CHUNK_TILES, len(self.tiles)))

    def _tiles(self, rows: slice) -> Tensor:
        """Tiles of a chunk in the type of the products, by way of float32: the fast way from float16."""
        return self.tiles[rows].float().to(self.how.dtype)

    def forward(self, rows: slice) -> _Made:
        """Project and score the tiles of a chunk; the same whenever it is asked."""
        masks = Masks(self.how.seed + rows.start, self.tiles.device)
        hidden = affine(self._tiles(rows), self.project, self.project_bias, relu=True)
        if self.how.dropout:
            hidden.mul_(masks.kept(hidden.shape, self.how.dropout))
        gates = affine(hidden, self.gates, self.gates_bias)
        signal, gate = gates[:, : self.half].tanh_(), gates[:, self.half :].sigmoid_()
        product, mask = signal * gate, None
        if self.how.score_dropout:
            mask = masks.kept(product.shape, self.how.score_dropout)
            product.mul_(mask)
        return _Made(
            hidden,
            gates,
            mask,
            product.float() @ self.score + self.weights.score_bias.float(),
        )

    def backward(
        self,
        rows: slice,
        made: _Made,
        pull: Tensor,
        attention: Tensor,
        slope: Tensor,
    ) -> None:
        """Add the part of a chunk to the gradients.

        Parameters
        ----------
        rows : slice
        made : _Made
        pull : Tensor, (chunk, width)
            Gradient of each tile's patient's embedding.
        attention, slope : Tensor, (chunk,)
            Weight of each tile, and gradient of its score.
        """
        signal, gate = made.gates[:, : self.half], made.gates[:, self.half :]
        product = (
            signal * gate if made.mask is None else (signal * gate).mul_(made.mask)
        )
        self.for_score.addmv_(product.float().t(), slope)
        self.for_score_bias.add_(slope.sum())
        reach = torch.outer(slope, self.score).to(self.how.dtype)
        if made.mask is not None:
            reach.mul_(made.mask)
        inner = torch.empty_like(made.gates)
        inner[:, : self.half] = torch.ops.aten.tanh_backward(reach * gate, signal)
        inner[:, self.half :] = torch.ops.aten.sigmoid_backward(reach * signal, gate)
        outer_sum(self.for_gates, inner, made.hidden)
        self.for_gates_bias.add_(inner.sum(0, dtype=torch.float32))
        outer = inner @ self.gates
        outer.addcmul_(pull, attention.to(outer.dtype).unsqueeze(1))
        outer = torch.ops.aten.threshold_backward(
            outer,
            made.hidden,
            0.0,
        )  # not kept, or not above zero
        outer_sum(self.for_project, outer, self._tiles(rows))
        self.for_project_bias.add_(outer.sum(0, dtype=torch.float32))

    def gradients(self) -> Weights:
        """Of the weights, in their types."""
        found = (
            self.for_project.div_(self.stay),
            self.for_project_bias.div_(self.stay),
            self.for_gates[: self.half],
            self.for_gates_bias[: self.half],
            self.for_gates[self.half :],
            self.for_gates_bias[self.half :],
            self.for_score.div_(self.score_stay).unsqueeze(0),
            self.for_score_bias,
        )
        return Weights(
            *(
                one.to(like.dtype)
                for one, like in zip(found, self.weights, strict=True)
            ),
        )
