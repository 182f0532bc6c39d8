"""Gated attention over the tiles of many patients, forward and backward, chunk by chunk.

::

    h = drop(ReLU(W x + b))        z = tanh(V h) * sigmoid(U h)        s = w . drop(z) + c
    a = softmax(s) within each patient        M = sum a h

The same network as :class:`~survfuse.models.branches.BagBranch` step by step, but for some thousand
tiles after another, so that whatever is not a matrix product happens in the processor's cache: both
gates are one product, the scale of dropout is part of the weights, and no mask of `h` is stored
(what was dropped is zero, as behind a ReLU). With ``g`` the gradient of ``M``, that of every
tile follows from that tile and its patient alone::

    ds = a (h - M) . g        dh = a g + (dz V', dz U')        dx is not computed

so that the backward pass goes chunk by chunk too. The results of the forward pass are stored for
it, or computed again chunk by chunk from the same random numbers, which leaves one number a tile to
store: a bag of a million tiles then costs no more than its tiles.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from survfuse.models.layers import Masks
from survfuse.models.pooling import RunningPool, segments

CHUNK_TILES = 4096
aten = torch.ops.aten


class Weights(NamedTuple):
    """Weights and biases of the projection, both gates and the score."""

    project: Tensor  # (width, features)
    project_bias: Tensor  # (width,)
    gates: Tensor  # (2 attention, width), the rows of tanh, then of sigmoid
    gates_bias: Tensor  # (2 attention,)
    score: Tensor  # (attention,)
    score_bias: Tensor  # (1,)


@dataclass(frozen=True)
class AttentionSettings:
    """Settings of one pass.

    Attributes
    ----------
    dropout : float
        After the projection.
    score_dropout : float
        Over the product of the gates.
    dtype : torch.dtype
        Of the matrix products; sums over tiles, softmax and gradients of weights are float32.
    store : bool
        Store what the backward pass needs, ``(width + 2 attention)`` numbers a tile, or compute it
        again.
    seed : int
        Of the dropout masks; the same seed and tiles give the same masks, stored or drawn again.
    """

    dropout: float = 0.0
    score_dropout: float = 0.0
    dtype: torch.dtype = torch.float32
    store: bool = True
    seed: int = 0


def attend(
    tiles: Tensor,
    offsets: Tensor,
    weights: Weights,
    settings: AttentionSettings,
) -> tuple[Tensor, Tensor]:
    """Embed patients.

    Parameters
    ----------
    tiles : Tensor, (tiles, features)
        Any float type; cast chunk by chunk. Gets no gradient.
    offsets : Tensor, (patients + 1,) int64
        First tile of each patient, and the number of tiles.
    weights : Weights
    settings : AttentionSettings

    Returns
    -------
    embedding : Tensor, (patients, width) float32
        Zeros for a patient without tiles.
    attention : Tensor, (tiles,) float32
        Sums to 1 within each patient; not differentiable.
    """
    # ReLU(x / stay) = ReLU(x) / stay: the scale of dropout costs nothing inside the product.
    stay, score_stay = 1 - settings.dropout, 1 - settings.score_dropout
    scaled = weights._replace(
        project=weights.project / stay,
        project_bias=weights.project_bias / stay,
        score=weights.score / score_stay,
    )
    function: Any = _ChunkedAttention.apply
    return cast(tuple[Tensor, Tensor], function(tiles, offsets, settings, *scaled))


def bytes_per_tile(
    width: int,
    attention_width: int,
    dtype: torch.dtype,
) -> int:
    """Bytes that the backward pass needs of each tile, the tile not counted, where stored."""
    return (width + 2 * attention_width) * dtype.itemsize + attention_width + 8


class _Chunk(NamedTuple):
    """Results of one chunk's forward pass."""

    hidden: Tensor  # (chunk, width)
    gates: Tensor  # (chunk, 2 attention), tanh then sigmoid
    mask: Tensor | None  # (chunk, attention) uint8, dropout of their product
    scores: Tensor  # (chunk,) float32


class _ChunkedAttention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        tiles: Tensor,
        offsets: Tensor,
        settings: AttentionSettings,
        *weights: Tensor,
    ) -> tuple[Tensor, Tensor]:
        cast_weights = _cast(weights, settings.dtype)
        pool = RunningPool(offsets, len(weights[0]), like=weights[0])
        ctx.settings, ctx.chunks = settings, []
        for rows in _chunks(len(tiles)):
            chunk = _forward(tiles, rows, cast_weights, settings)
            pool.add(rows.start, chunk.hidden.float(), chunk.scores)
            if settings.store:
                ctx.chunks.append(chunk)
        embedding, attention = pool.finish()
        ctx.save_for_backward(tiles, offsets, embedding, attention, *weights)
        ctx.mark_non_differentiable(attention)
        return embedding, attention

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any,
        upstream: Tensor,
        _: Tensor,
    ) -> tuple[Tensor | None, ...]:
        tiles, offsets, embedding, attention, *weights = ctx.saved_tensors
        settings: AttentionSettings = ctx.settings
        cast_weights = _cast(weights, settings.dtype)
        totals = [torch.zeros_like(weight, dtype=torch.float32) for weight in weights]
        mean_slope = (embedding * upstream).sum(1)  # (patients,)
        owner = segments(offsets, len(tiles))
        ctx.chunks.reverse()
        for rows in _chunks(len(tiles)):
            # Popped, so that its memory is free as soon as it is used.
            stored = ctx.chunks.pop() if ctx.chunks else None
            chunk = stored or _forward(tiles, rows, cast_weights, settings)
            patients, weight = owner[rows], attention[rows]
            gradient = upstream.to(settings.dtype).index_select(0, patients)
            slope = (chunk.hidden * gradient).sum(1, dtype=torch.float32)
            slope = weight * (slope - mean_slope[patients])  # (chunk,), of the scores
            gradient.mul_(weight.to(gradient.dtype).unsqueeze(1))
            own = _tiles(tiles, rows, settings.dtype)
            _backward(chunk, own, cast_weights, gradient, slope, Weights(*totals))
        return None, None, None, *totals


def _cast(
    weights: tuple[Tensor, ...] | list[Tensor],
    dtype: torch.dtype,
) -> Weights:
    """Weights of the matrix products in their type; the score stays float32."""
    dtypes = [dtype] * 4 + [torch.float32] * 2
    return Weights(*map(Tensor.to, weights, dtypes))


def _chunks(tiles: int) -> Iterator[slice]:
    for start in range(0, tiles, CHUNK_TILES):
        yield slice(start, min(start + CHUNK_TILES, tiles))


def _tiles(
    tiles: Tensor,
    rows: slice,
    dtype: torch.dtype,
) -> Tensor:
    """Tiles in the type of the products, by way of float32: the fast way from float16."""
    return tiles[rows].float().to(dtype)


def _forward(
    tiles: Tensor,
    rows: slice,
    weights: Weights,
    settings: AttentionSettings,
) -> _Chunk:
    """Project and score the tiles of a chunk; the same at every call."""
    masks = Masks(settings.seed + rows.start, tiles.device)
    own = _tiles(tiles, rows, settings.dtype)
    hidden = functional.linear(own, weights.project, weights.project_bias).relu_()
    if settings.dropout:
        hidden.mul_(masks.draw(hidden.shape, settings.dropout))
    gates = functional.linear(hidden, weights.gates, weights.gates_bias)
    signal, gate = gates.chunk(2, dim=1)  # (chunk, attention) each
    product, mask = signal.tanh_() * gate.sigmoid_(), None
    if settings.score_dropout:
        mask = masks.draw(product.shape, settings.score_dropout)
        product.mul_(mask)
    scores = product.float() @ weights.score + weights.score_bias
    return _Chunk(hidden, gates, mask, scores)


def _backward(
    chunk: _Chunk,
    tiles: Tensor,
    weights: Weights,
    gradient: Tensor,
    slope: Tensor,
    totals: Weights,
) -> None:
    """Add a chunk's part to the gradients of the weights.

    Parameters
    ----------
    chunk : _Chunk
    tiles : Tensor, (chunk, features)
    weights : Weights
    gradient : Tensor, (chunk, width)
        Of the projected tiles, through the weighted sum; overwritten.
    slope : Tensor, (chunk,)
        Gradient of the scores.
    totals : Weights
        Gradients so far, float32.
    """
    signal, gate = chunk.gates.chunk(2, dim=1)
    product = signal * gate
    for_product = torch.outer(slope, weights.score).to(gradient.dtype)
    if chunk.mask is not None:
        product.mul_(chunk.mask)
        for_product.mul_(chunk.mask)
    totals.score.addmv_(product.float().t(), slope)
    totals.score_bias.add_(slope.sum())
    for_gates = torch.cat(
        [
            aten.tanh_backward(for_product * gate, signal),
            aten.sigmoid_backward(for_product * signal, gate),
        ],
        dim=1,
    )
    _add_product(totals.gates, for_gates, chunk.hidden)
    totals.gates_bias.add_(for_gates.sum(0, dtype=torch.float32))
    gradient.addmm_(for_gates, weights.gates)
    # Zero where a number was dropped, or not above zero.
    gradient = aten.threshold_backward(gradient, chunk.hidden, 0.0)
    _add_product(totals.project, gradient, tiles)
    totals.project_bias.add_(gradient.sum(0, dtype=torch.float32))


def _add_product(
    total: Tensor,
    left: Tensor,
    right: Tensor,
) -> None:
    """Add ``left^T right`` to `total` (a, b), float32: (rows, a) and (rows, b)."""
    if left.dtype == total.dtype:
        total.addmm_(left.t(), right)
    else:
        # Copied to rows first, bfloat16 takes half the time.
        total.add_(left.t().contiguous() @ right)
