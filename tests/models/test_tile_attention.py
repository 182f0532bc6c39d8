"""Attention chunk by chunk: the network it replaces, kept or made again, and its gradients."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from survfuse.models import branches, tile_attention
from survfuse.models.branches import BagBranch
from survfuse.models.layers import Masks
from survfuse.models.pooling import pool
from survfuse.models.tile_attention import AttentionSettings, Weights, attend

OFFSETS = torch.tensor(
    [0, 30, 30, 31, 83, 100],
)  # a patient without tiles, one with a single one
Made = tuple[Tensor, Tensor, list[Tensor]]


@pytest.fixture(params=[7, 64, 4096], autouse=True)
def chunk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Chunks that cut patients, and one that holds them all."""
    monkeypatch.setattr(tile_attention, "CHUNK_TILES", request.param)
    return int(request.param)


@pytest.fixture
def branch() -> BagBranch:
    torch.manual_seed(0)
    made = BagBranch(6, 5, 4, "attention", 0.0).train()
    for parameter in made.parameters():  # biases too
        torch.nn.init.normal_(parameter, std=0.5)
    return made


def weights_of(branch: BagBranch) -> Weights:
    return branch._weights(branch.pooling)  # type: ignore[arg-type]


def made_by(
    forward: Callable[[], tuple[Tensor, Tensor]],
    branch: BagBranch,
    upstream: Tensor,
) -> Made:
    """Embedding, attention and the gradient of every weight."""
    branch.zero_grad()
    embedding, attention = forward()
    embedding.backward(upstream)
    return (
        embedding.detach(),
        attention.detach(),
        [p.grad.clone() for p in branch.parameters() if p.grad is not None],
    )


def assert_same(found: Made, expected: Made, tolerance: float) -> None:
    for mine, theirs in zip(
        (*found[:2], *found[2]),
        (*expected[:2], *expected[2]),
        strict=True,
    ):
        torch.testing.assert_close(mine, theirs, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("keep", [True, False], ids=["kept", "made again"])
def test_it_is_the_network_it_replaces(branch: BagBranch, keep: bool) -> None:
    tiles, upstream = torch.randn(100, 6), torch.randn(5, 5)
    plain = made_by(lambda: branch(tiles, OFFSETS), branch, upstream)
    ours = made_by(
        lambda: attend(
            tiles,
            OFFSETS,
            weights_of(branch),
            AttentionSettings(store=keep),
        ),
        branch,
        upstream,
    )
    assert_same(ours, plain, 2e-5)
    assert (ours[0][1] == 0).all()


def test_dropout_is_that_of_the_masks_it_draws(branch: BagBranch, chunk: int) -> None:
    """Against the same masks in plain torch, in double precision."""
    tiles, upstream, how = (
        torch.randn(100, 6),
        torch.randn(5, 5),
        AttentionSettings(0.25, 0.4375, seed=11),
    )

    def with_masks() -> tuple[Tensor, Tensor]:
        w = Weights(*(weight.double() for weight in weights_of(branch)))
        hidden, scores = [], []
        for start in range(0, 100, chunk):
            masks = Masks(how.seed + start, tiles.device)
            rows = tiles[start : start + chunk].double()
            h = torch.relu(rows @ w.project.t() + w.project_bias)
            h = h * masks.draw(h.shape, how.dropout) / (1 - how.dropout)
            signal, gate = (h @ w.gates.t() + w.gates_bias).chunk(2, dim=1)
            z = torch.tanh(signal) * torch.sigmoid(gate)
            z = z * masks.draw(z.shape, how.score_dropout) / (1 - how.score_dropout)
            hidden.append(h)
            scores.append(z @ w.score + w.score_bias)
        embedding, attention = pool(torch.cat(hidden), torch.cat(scores), OFFSETS)
        return embedding.float(), attention.float()

    plain = made_by(with_masks, branch, upstream)
    ours = made_by(
        lambda: attend(tiles, OFFSETS, weights_of(branch), how),
        branch,
        upstream,
    )
    assert_same(ours, plain, 2e-5)


def test_what_is_made_again_is_what_would_have_been_kept(branch: BagBranch) -> None:
    tiles, upstream = torch.randn(100, 6), torch.randn(5, 5)

    def by(keep: bool) -> Made:
        how = AttentionSettings(0.5, 0.75, store=keep, seed=3)
        return made_by(
            lambda: attend(tiles, OFFSETS, weights_of(branch), how),
            branch,
            upstream,
        )

    assert_same(by(False), by(True), 0.0)


def test_bfloat16_is_near(branch: BagBranch) -> None:
    tiles, upstream = torch.randn(100, 6), torch.randn(5, 5)
    exact = made_by(
        lambda: attend(tiles, OFFSETS, weights_of(branch), AttentionSettings()),
        branch,
        upstream,
    )
    how = AttentionSettings(dtype=torch.bfloat16)
    near = made_by(
        lambda: attend(tiles, OFFSETS, weights_of(branch), how),
        branch,
        upstream,
    )
    assert near[0].dtype == torch.float32
    for mine, theirs in ((near[0], exact[0]), (joined(near), joined(exact))):
        assert (
            0 < (mine - theirs).norm() < 0.02 * theirs.norm()
        )  # products of eight bits: 1 in 256 each


def joined(made: Made) -> Tensor:
    return torch.cat([gradient.flatten() for gradient in made[2]])


def test_half_precision_tiles_and_none_at_all(branch: BagBranch) -> None:
    half = torch.randn(100, 6).half()
    whole = attend(half.float(), OFFSETS, weights_of(branch), AttentionSettings())
    torch.testing.assert_close(
        attend(half, OFFSETS, weights_of(branch), AttentionSettings()),
        whole,
    )
    nothing, _ = attend(
        half[:0],
        torch.tensor([0, 0, 0]),
        weights_of(branch),
        AttentionSettings(0.25, 0.25),
    )
    nothing.sum().backward()
    assert (nothing == 0).all()
    assert all((p.grad == 0).all() for p in branch.parameters() if p.grad is not None)


def test_masks_have_their_rate_and_follow_their_seed(branch: BagBranch) -> None:
    tiles = torch.rand(100, 6) + 1
    torch.nn.init.ones_(branch.project.weight)  # nothing is cut by the ReLU
    torch.nn.init.zeros_(branch.project.bias)
    offsets = torch.arange(101)  # every tile a patient: its embedding is its projection
    many = torch.cat(
        [
            attend(
                tiles,
                offsets,
                weights_of(branch),
                AttentionSettings(0.25, seed=s * 1000),
            )[0]
            for s in range(40)
        ],
    )
    zero = (many == 0).float().mean().item()
    assert abs(zero - 0.25) < 4 * (0.25 * 0.75 / many.numel()) ** 0.5
    assert many.mean().item() == pytest.approx((tiles.sum(1)).mean().item(), rel=0.02)
    same = [
        attend(tiles, offsets, weights_of(branch), AttentionSettings(0.25, seed=s))[0]
        for s in (1, 1, 2)
    ]
    assert torch.equal(same[0], same[1])
    assert not torch.equal(same[0], same[2])


def test_a_branch_takes_it_for_wide_tiles_while_training_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(branches, "SMALL_TILE", 10)
    branch, tiles = BagBranch(6, 5, 4, "attention", 0.3), torch.randn(100, 6)
    assert branch.train().train_step(tiles, OFFSETS) is not None
    assert (
        branch.train_step(tiles.clone().requires_grad_(), OFFSETS) is None
    )  # wants a gradient for tiles
    assert branch.eval().train_step(tiles, OFFSETS) is None
    assert BagBranch(6, 5, 4, "mean", 0.3).train().train_step(tiles, OFFSETS) is None
    monkeypatch.setattr(branches, "SMALL_TILE", 10_000)
    assert branch.train().train_step(tiles, OFFSETS) is None
    branch.compute_dtype = torch.bfloat16
    assert branch.train_step(tiles, OFFSETS) is not None


@pytest.mark.parametrize(
    ("allowed", "kept"),
    [(None, True), (100 * 10_000, True), (100, False)],
)
def test_a_branch_keeps_what_it_may(
    monkeypatch: pytest.MonkeyPatch,
    allowed: int | None,
    kept: bool,
) -> None:
    monkeypatch.setattr(branches, "SMALL_TILE", 0)
    branch, seen = BagBranch(6, 5, 4, "attention", 0.3).train(), []
    monkeypatch.setattr(
        branches,
        "attend",
        lambda tiles, offsets, weights, how: seen.append(how) or (tiles, tiles),
    )
    branch.store_bytes = allowed
    branch.train_step(torch.randn(100, 6), OFFSETS)
    assert [how.store for how in seen] == [kept]
    assert seen[0].score_dropout == pytest.approx(1 - 0.7**2)
