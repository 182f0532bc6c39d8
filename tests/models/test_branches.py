"""Branches: shapes, dropout, and chunks that change nothing."""

from __future__ import annotations

import pytest
import torch

from survfuse.models.branches import BagBranch, VectorBranch

OFFSETS = torch.tensor([0, 40, 40, 95, 100])


@pytest.mark.parametrize("pooling", ["attention", "mean"])
@pytest.mark.parametrize("chunk", [1, 7, 64, 99])
def test_chunked_evaluation_equals_a_single_pass(pooling: str, chunk: int) -> None:
    torch.manual_seed(0)
    branch = BagBranch(6, 5, 4, pooling, 0.25).eval()
    tiles = torch.randn(100, 6)
    whole = [value.detach() for value in branch(tiles, OFFSETS)]
    branch.chunk_tiles = chunk
    with torch.no_grad():
        chunked = branch(tiles, OFFSETS)
    torch.testing.assert_close(list(chunked), whole, rtol=1e-5, atol=1e-6)


def test_half_precision_tiles_are_cast_on_use() -> None:
    branch = BagBranch(6, 5, 4, "attention", 0.0).eval()
    half = torch.randn(100, 6).half()
    torch.testing.assert_close(branch(half, OFFSETS), branch(half.float(), OFFSETS))


def test_vector_branch_ends_in_relu_and_is_the_identity_without_layers() -> None:
    vector = torch.randn(9, 4)
    assert VectorBranch(4, (), 0.5)(vector) is vector
    branch = VectorBranch(4, (8, 3), 0.5)
    assert branch.width == 3
    assert (branch(vector) >= 0).all()


def test_dropout_acts_between_layers_only() -> None:
    vector = torch.randn(9, 4)
    single, double = VectorBranch(4, (8,), 0.5), VectorBranch(4, (64, 8), 0.5)
    assert torch.equal(single(vector), single(vector))
    assert not torch.equal(double(vector), double(vector))
    double.eval()
    assert torch.equal(double(vector), double(vector))
