"""Ragged pooling against a loop over patients, and its laws."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from survfuse._errors import ConfigError
from survfuse.models.pooling import (
    POOLINGS,
    RunningPool,
    pool,
    segment_softmax,
    segments,
)

OFFSETS = torch.tensor([0, 4, 4, 9, 10])  # the second patient has no tiles


def data(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    tiles = torch.randn(10, 3, generator=generator, dtype=dtype)
    return tiles, 5 * torch.randn(10, generator=generator, dtype=dtype)


def loop(tiles: Tensor, scores: Tensor, offsets: Tensor) -> Tensor:
    bounds = offsets.tolist()
    rows = [
        torch.softmax(scores[a:b], 0) @ tiles[a:b]
        for a, b in itertools.pairwise(bounds)
    ]
    return torch.stack(rows)


def test_pool_equals_a_loop_over_patients() -> None:
    tiles, scores = data()
    pooled, attention = pool(tiles, scores, OFFSETS)
    torch.testing.assert_close(pooled, loop(tiles, scores, OFFSETS))
    sums = torch.zeros(4, dtype=torch.float64).index_add(
        0,
        segments(OFFSETS, 10),
        attention,
    )
    torch.testing.assert_close(
        sums,
        torch.tensor([1.0, 0.0, 1.0, 1.0], dtype=torch.float64),
    )


def test_gradients_are_those_of_the_loop_and_of_finite_differences() -> None:
    tiles, scores = data()
    grads = []
    for method in (lambda *given: pool(*given)[0], loop):
        leaves = tiles.clone().requires_grad_(), scores.clone().requires_grad_()
        method(*leaves, OFFSETS).square().sum().backward()
        grads.append([leaf.grad for leaf in leaves])
    torch.testing.assert_close(grads[0], grads[1])
    assert torch.autograd.gradcheck(
        lambda h, s: pool(h, s, OFFSETS)[0],
        (tiles.requires_grad_(), scores.requires_grad_()),
    )


@pytest.mark.parametrize("shift", [-1e30, -1e4, 1e4, 1e30])
def test_softmax_is_stable_for_any_size_of_score(shift: float) -> None:
    weights = segment_softmax(torch.full((10,), shift), OFFSETS)
    torch.testing.assert_close(weights, torch.tensor([0.25] * 4 + [0.2] * 5 + [1.0]))


@pytest.mark.parametrize("counts", [(0,), (0, 0), (0, 3), (3, 0)])
def test_empty_bags_give_zeros_and_no_nan_backward(counts: tuple[int, ...]) -> None:
    offsets = torch.tensor([0, *counts]).cumsum(0)
    tiles = torch.randn(sum(counts), 2, requires_grad=True)
    scores = torch.randn(sum(counts), requires_grad=True)
    pooled, _ = pool(tiles, scores, offsets)
    pooled.square().sum().backward()
    assert torch.equal(
        pooled[torch.tensor(counts) == 0],
        torch.zeros(counts.count(0), 2),
    )
    assert tiles.grad is not None
    assert torch.isfinite(pooled).all()
    assert torch.isfinite(tiles.grad).all()
    assert scores.grad is None or torch.isfinite(scores.grad).all()


def test_the_same_bits_every_time() -> None:
    generator = torch.Generator().manual_seed(0)
    offsets = torch.tensor(
        [0, *torch.randint(0, 400, (50,), generator=generator).tolist()],
    ).cumsum(0)
    tiles = torch.randn(int(offsets[-1]), 64, generator=generator)
    scores = torch.randn(len(tiles), generator=generator)

    def once() -> tuple[Tensor | None, ...]:
        leaves = tiles.clone().requires_grad_(), scores.clone().requires_grad_()
        pooled, _ = pool(*leaves, offsets)
        pooled.square().sum().backward()
        return pooled.detach(), leaves[0].grad, leaves[1].grad

    first = once()
    for _ in range(3):
        assert all(torch.equal(a, b) for a, b in zip(first, once(), strict=True))  # type: ignore[arg-type]


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 10])
@pytest.mark.parametrize("shift", [0.0, 500.0, -500.0])
def test_running_pool_equals_pool_for_every_chunk_size(
    chunk: int,
    shift: float,
) -> None:
    tiles, scores = data()
    scores = scores + shift * torch.arange(
        10,
    )  # the largest score keeps moving, or never comes again
    offsets = torch.tensor([0, 0, 4, 4, 9, 10, 10])
    running = RunningPool(offsets, 3, like=tiles)
    for start in range(0, 10, chunk):
        running.add(start, tiles[start : start + chunk], scores[start : start + chunk])
    torch.testing.assert_close(running.finish(), pool(tiles, scores, offsets))


@pytest.mark.parametrize("name", POOLINGS)
def test_contract_of_every_pooling(name: str) -> None:
    card = POOLINGS[name]
    assert card.summary
    assert card.source
    module = card.build(3, 2, 0.5).eval()
    tiles = torch.randn(10, 3)
    scores = module(tiles)
    assert scores.shape == (10,)
    order = torch.randperm(10)
    torch.testing.assert_close(module(tiles[order]), scores[order])


def test_mean_pooling_is_the_mean() -> None:
    tiles = torch.randn(10, 3)
    pooled, attention = pool(tiles, POOLINGS.build("mean", 3, 2, 0.0)(tiles), OFFSETS)
    torch.testing.assert_close(pooled[2], tiles[4:9].mean(0))
    torch.testing.assert_close(attention[:4], torch.full((4,), 0.25))


def test_poolings_are_complete_and_unknown_ones_refused() -> None:
    assert set(POOLINGS) == {"attention", "mean"}
    with pytest.raises(
        ConfigError,
        match="unknown pooling 'max'; known: attention, mean",
    ):
        POOLINGS["max"]
