from __future__ import annotations

import numpy as np
import pytest

from survfuse._errors import NotComputableError
from survfuse.explanations.tile_sums import TileSums, softmax


def drawn(tiles: int, poolings: int = 2, seed: int = 0) -> TileSums:
    rng = np.random.default_rng(seed)
    risks, scores = rng.normal(size=(2, tiles, poolings))
    value = 0.3 + (softmax(scores) * risks).sum()
    return TileSums(risks, scores, None, float(value), 0.3)


def test_weights_add_up_and_contributions_with_them() -> None:
    sums = drawn(9)
    np.testing.assert_allclose(sums.weights.sum(axis=0), 1)
    assert sums.share.sum() == pytest.approx(1)
    assert sums.contribution.sum() == pytest.approx(sums.value - 0.3)
    assert sums.remainder == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(sums.tile_risk, sums.risks.sum(axis=1))


def test_poolings_share_by_what_they_add() -> None:
    scores = np.array([[0.0, 5.0], [0.0, 0.0]])
    alone = TileSums(np.array([[2.0, 0.0], [-2.0, 0.0]]), scores, None, 0.0, 0.0)
    np.testing.assert_allclose(alone.share, [0.5, 0.5])
    both = TileSums(np.array([[2.0, 2.0], [2.0, 2.0]]), scores, None, 0.0, 0.0)
    np.testing.assert_allclose(both.share, both.weights.mean(axis=1))
    nothing = TileSums(np.zeros((2, 2)), scores, None, 0.0, 0.0)
    np.testing.assert_allclose(nothing.share, both.share)


def test_a_tile_with_all_the_attention_is_removed_exactly() -> None:
    scores = np.array([[900.0], [0.0], [-np.log(3)]])
    without = TileSums.pooled_without(np.array([[5.0], [1.0], [2.0]]), scores)
    np.testing.assert_allclose(without[:, 0], [0.75 * 1 + 0.25 * 2, 5.0, 5.0])


def test_removal_is_the_mean_of_the_others() -> None:
    sums, others = drawn(5), [0, 1, 3, 4]
    again = TileSums(sums.risks[others], sums.scores[others], None, 0.0, 0.0)
    change = again.contribution.sum() - sums.contribution.sum()
    assert sums.removed_linearly()[2] == pytest.approx(change)


def test_a_deletion_curve_is_the_sum_over_what_is_left() -> None:
    sums = drawn(6)
    order = np.array([3, 1, 0, 5, 2, 4])
    expected = []
    for gone in range(6):
        left = order[gone:]
        own = softmax(sums.scores[left]) * sums.risks[left]
        expected.append(0.3 + own.sum())
    np.testing.assert_allclose(sums.removed(order), expected)


def test_a_term_that_is_not_linear_has_no_deletion_curve() -> None:
    sums = drawn(3)
    bent = TileSums(sums.risks, sums.scores, None, 0.0, 0.0, linear=False)
    with pytest.raises(
        NotComputableError, match="not linear in what is read of the bag"
    ):
        bent.removed(np.arange(3))


def test_nobody_without_tiles_has_any_share() -> None:
    nothing = TileSums.none(0.7)
    assert len(nothing) == len(nothing.contribution) == len(nothing.share) == 0
    assert (nothing.value, nothing.presence, nothing.remainder) == (0.7, 0.7, 0.0)
