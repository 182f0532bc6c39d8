"""The screen of whole matrices: nothing that a rule would name slips through it."""

from __future__ import annotations

from math import comb

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from survfuse.cohort.leak_rules import PERHAPS
from survfuse.cohort.leak_screen import by_chance, log_choose, log_pure, suspects
from survfuse.cohort.leakage import _Search


class Rna:
    """What a look asks of a modality."""

    name = "rna"
    kind = "expression"


def outcome(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    time = rng.exponential(30, count).round(1) + 0.1
    return time, rng.random(count) < 0.5


@pytest.mark.parametrize("seed", range(6))
def test_every_column_that_a_rule_names_is_suspected(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = (30, 60, 200)[seed % 3]
    time, event = outcome(count, rng)
    noise = rng.standard_normal(count)
    leaks = [
        event,
        ~event,
        event + 0.2 * noise.clip(-1, 1),
        2 * rng.integers(0, 4, count) + event,
        np.floor(time / 12),
        -time,
        np.where(event, time, np.nan),
        np.where(event, time, noise),
        time * np.exp(0.02 * noise),
        np.where(rng.random(count) < 0.1, np.nan, event),
    ]
    values = np.column_stack(
        [*np.asarray(leaks, float), rng.standard_normal((count, 30)).round(seed % 2)],
    )
    screened = set(suspects(values, time, event, np.log(PERHAPS / values.shape[1])))
    seen = pd.DataFrame({"time": time, "event": event})
    look = _Search(Rna(), seen, values.shape[1])  # type: ignore[arg-type]
    named = {
        column
        for column in range(values.shape[1])
        if look.verdict(values[:, column]) is not None
    }
    assert named >= set(range(len(leaks))) - ({9} if count == 30 else set())
    assert named <= screened
    assert len(screened) < len(leaks) + 5


def test_blocks_of_columns_give_what_one_block_gives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(3)
    time, event = outcome(80, rng)
    values = rng.standard_normal((80, 50))
    values[:, 33], values[:, 49] = event, time
    whole = suspects(values, time, event, -20.0)
    monkeypatch.setattr("survfuse.cohort.leak_screen.CELLS", 80 * 7)
    assert suspects(values, time, event, -20.0).tolist() == whole.tolist() == [33, 49]


def test_chances_are_those_of_counting() -> None:
    assert np.exp(log_choose(20, 8)) == pytest.approx(comb(20, 8))
    assert np.exp(log_pure(2, 0, 20, 8)) == pytest.approx(4 / comb(20, 8))
    assert np.exp(log_pure(1, 12, 20, 8)) == pytest.approx(
        2 * comb(12, 6) / comb(20, 8),
    )
    assert np.exp(by_chance(0.3, 40)) == pytest.approx(
        stats.kendalltau(*_with_tau(0.3, 40), method="asymptotic").pvalue,
        rel=0.3,
    )


def _with_tau(tau: float, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Two orders of `count` patients with about this Kendall's tau."""
    rng = np.random.default_rng(0)
    x = np.arange(count, dtype=float)
    for spread in np.linspace(1, 100, 2000):
        y = x + spread * rng.standard_normal(count)
        if abs(stats.kendalltau(x, y).statistic - tau) < 0.005:
            return x, y
    raise AssertionError("no such order")


def test_the_bound_on_pure_levels_holds() -> None:
    """Against a count of all ways: three levels of two patients and two alone, four events."""
    rng = np.random.default_rng(1)
    levels = np.array([0, 0, 1, 1, 2, 2, 3, 4])
    hits = 0
    for _ in range(4000):
        event = rng.permutation(np.arange(8) < 4)
        hits += all(len(set(event[levels == level])) == 1 for level in range(5))
    assert hits / 4000 <= np.exp(log_pure(3, 2, 8, 4))
