from __future__ import annotations

import numpy as np
import pytest

from survfuse._errors import InputError
from survfuse.decomposition.coefficients import (
    Products,
    compared,
    kuncheva,
    spearman_brown,
)


def test_agreement_is_a_correlation() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 50))
    expected = np.corrcoef(a, b)[0, 1]
    assert compared(a, b).correlation == pytest.approx(expected, abs=1e-12)
    assert compared(a, 3 * a + 3).correlation == pytest.approx(1)
    assert compared(a, -a).correlation == pytest.approx(-1)


def test_products_add_up_over_patients() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 4, 30)) + np.arange(4)[:, None]
    added = sum(map(compared, a, b), Products())
    centred = (one - one.mean(axis=1, keepdims=True) for one in (a, b))
    expected = np.corrcoef(*(one.ravel() for one in centred))[0, 1]
    assert added.correlation == pytest.approx(expected, abs=1e-12)


def test_nothing_is_compared_with_a_constant() -> None:
    a = np.arange(5.0)
    assert compared(a, np.zeros(5)).correlation is None
    assert compared(np.zeros(5), np.ones(5)).correlation is None
    assert compared(1e-12 * a, 1e-12 * a).correlation is None
    assert compared([], []).correlation is None


def test_weights_count_like_repeats() -> None:
    a, b = [1.0, 4.0, 2.0], [0.0, 1.0, 5.0]
    repeated = compared(np.repeat(a, [1, 2, 3]), np.repeat(b, [1, 2, 3]))
    weighted = compared(a, b, [1, 2, 3])
    assert weighted.correlation == pytest.approx(repeated.correlation)


def test_kuncheva_is_corrected_for_chance() -> None:
    genes = [f"g{number}" for number in range(100)]
    assert kuncheva(genes[:10], genes[:10], 100) == 1
    assert kuncheva(genes[:10], genes[9:19], 100) == pytest.approx(0)
    rng = np.random.default_rng(0)
    drawn = [
        kuncheva(*(rng.choice(genes, 20, False) for _ in "ab"), 100) for _ in range(400)
    ]
    assert abs(np.mean(drawn)) < 0.02


@pytest.mark.parametrize(("one", "other"), [("ab", "c"), ("", ""), ("abc", "abc")])
def test_lists_that_cannot_be_compared_are_refused(one: str, other: str) -> None:
    with pytest.raises(
        InputError, match="expected two lists of one length, shorter than 3"
    ):
        kuncheva(one, other, 3)


def test_agreement_grows_as_spearman_and_brown_say() -> None:
    rng = np.random.default_rng(0)
    signal = rng.normal(size=20_000)
    single = [signal + 2 * rng.normal(size=20_000) for _ in range(8)]
    low = compared(single[0], single[4]).correlation
    high = compared(
        np.mean(single[:4], axis=0), np.mean(single[4:], axis=0)
    ).correlation
    assert low is not None
    assert spearman_brown(low, 4) == pytest.approx(high, abs=0.02)
    assert spearman_brown(-0.3, 9) == 0
    assert spearman_brown(1, 9) == 1
