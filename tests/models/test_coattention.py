"""Queries to tiles: against a loop over patients, in chunks, and in the network."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from survfuse._types import Batch
from survfuse.models import FusionNetwork
from survfuse.models.branches import BagBranch
from survfuse.models.fusion import FusionSizes
from survfuse.models.fusions.coattention import CoAttention
from survfuse.models.pooling import TileReader

OFFSETS = torch.tensor([0, 4, 4, 9, 10])  # the second patient has no tiles


def data() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    tiles = torch.randn(10, 3, generator=generator, dtype=torch.float64)
    return tiles, 3 * torch.randn(4, 2, 3, generator=generator, dtype=torch.float64)


def loop(tiles: Tensor, queries: Tensor) -> Tensor:
    """Softmax attention of each query over the tiles of its own patient, one patient at a time."""
    bounds = OFFSETS.tolist()
    return torch.stack(
        [
            torch.softmax(q @ tiles[a:b].T, 1) @ tiles[a:b]
            for (a, b), q in zip(itertools.pairwise(bounds), queries, strict=True)
        ],
    )


def in_chunks(tiles: Tensor, size: int) -> TileReader:
    def chunks() -> Iterator[tuple[int, Tensor]]:
        for start in range(0, len(tiles), size):
            yield start, tiles[start : start + size]

    return TileReader(OFFSETS, chunks)


def test_answers_and_gradients_equal_a_loop_over_patients() -> None:
    grads = []
    for method in (lambda t, q: in_chunks(t, 10).attend(q), loop):
        tiles, queries = (values.requires_grad_() for values in data())
        answers = method(tiles, queries)
        answers.square().sum().backward()
        grads.append((answers.detach(), tiles.grad, queries.grad))
    for ours, slow in zip(*grads, strict=True):
        torch.testing.assert_close(ours, slow)


def test_gradients_are_those_of_finite_differences() -> None:
    tiles, queries = (values.requires_grad_() for values in data())
    assert torch.autograd.gradcheck(
        lambda t, q: in_chunks(t, 10).attend(q),
        (tiles, queries),
    )


@pytest.mark.parametrize("size", [1, 3, 4, 10])
def test_chunks_change_nothing(size: int) -> None:
    tiles, queries = data()
    with torch.no_grad():
        torch.testing.assert_close(
            in_chunks(tiles, size).attend(queries),
            loop(tiles, queries),
        )


@pytest.mark.parametrize("counts", [(0,), (0, 0), (0, 2)])
def test_no_tiles_answer_zeros_with_and_without_gradients(
    counts: tuple[int, ...],
) -> None:
    offsets = torch.tensor([0, *counts]).cumsum(0)
    reader = TileReader(offsets, lambda: [(0, torch.ones(sum(counts), 3))])
    queries = torch.ones(len(counts), 2, 3)
    with torch.no_grad():
        streamed = reader.attend(queries)
    assert torch.equal(streamed, reader.attend(queries))
    assert not streamed[torch.tensor(counts) == 0].any()


def test_fusion_is_the_formula() -> None:
    torch.manual_seed(0)
    fusion = CoAttention(
        {"slides": 3, "rna": 5},
        (),
        FusionSizes(rank=4, query_tokens=2),
        ("slides",),
    ).double()
    assert fusion.parts == {"slides": 3, "rna": 5, "rna*slides": 3}
    tiles, _ = data()
    given = {"slides": torch.randn(4, 3).double(), "rna": torch.randn(4, 5).double()}
    present = {
        "slides": OFFSETS.diff() > 0,
        "rna": torch.tensor([True, True, True, False]),
    }
    fused = fusion(given, present, {"slides": in_chunks(tiles, 10)})
    layer, gated = fusion.queries["rna*slides"], fusion.pools["rna*slides"]
    for i, (a, b) in enumerate(itertools.pairwise(OFFSETS.tolist())):
        q = layer(given["rna"][i]).view(2, 3)
        y = (
            torch.softmax(q @ tiles[a:b].T / 3**0.5, dim=1) @ tiles[a:b]
        )  # (tokens, width)
        scores = gated.score(
            torch.tanh(gated.signal(y)) * torch.sigmoid(gated.gate(y)),
        ).squeeze(1)
        found = torch.softmax(scores, 0) @ y if i in (0, 2) else torch.zeros(3).double()
        torch.testing.assert_close(fused[i, 8:], found)


def test_without_a_bag_it_is_concatenation() -> None:
    fusion = CoAttention({"rna": 5, "clinical": 2}, (), FusionSizes())
    assert fusion.parts == {"rna": 5, "clinical": 2}
    assert not list(fusion.parameters())


def test_the_branch_shows_what_it_pooled_in_one_piece_and_in_chunks() -> None:
    torch.manual_seed(0)
    branch = BagBranch(6, 5, 4, "mean", dropout=0.5)
    tiles, offsets = torch.randn(10, 6), OFFSETS
    embedding, _, reader = branch.read(
        tiles,
        offsets,
    )  # training: the same dropout for both readers
    nobody_asks = torch.zeros(4, 1, 5)  # equal attention: the mean of the tiles
    torch.testing.assert_close(reader.attend(nobody_asks).squeeze(1), embedding)
    branch.eval()
    branch.chunk_tiles = 3
    queries = torch.randn(4, 2, 5)
    whole = branch.read(tiles, offsets)[2].attend(queries)
    with torch.no_grad():
        chunked = branch.read(tiles, offsets)[2]
        assert [len(part) for _, part in chunked.chunks()] == [3, 3, 3, 1]
        torch.testing.assert_close(chunked.attend(queries), whole)


def test_the_network_streams_tiles_where_no_gradient_is_asked(
    network_of: Callable[..., FusionNetwork],
    batch: Batch,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network = network_of("coattention")
    assert "expression*slides" in network.fusion.parts
    longest = []
    project = BagBranch._project
    monkeypatch.setattr(
        BagBranch,
        "_project",
        lambda self, tiles: longest.append(len(tiles)) or project(self, tiles),
    )
    whole = network(batch).log_risk
    assert longest == [17]
    network.branches["slides"].chunk_tiles = 4
    with torch.no_grad():
        torch.testing.assert_close(network(batch).log_risk, whole, rtol=1e-6, atol=1e-6)
    assert max(longest[1:]) == 4


def test_every_weight_learns_and_the_tile_projection_hears_the_queries(
    network_of: Callable[..., FusionNetwork],
    batch: Batch,
) -> None:
    network = network_of("coattention", query_tokens=3)
    network(batch).log_risk.square().sum().backward()
    silent = [
        name
        for name, p in network.named_parameters()
        if p.grad is None or not p.grad.any()
    ]
    # a constant added to all scores cancels in a softmax
    assert all(name.endswith("score.bias") for name in silent), silent
