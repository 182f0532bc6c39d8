"""Wrong numbers are doubted, honest skewed ones are not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from survfuse.cohort.outliers import copy_number_columns, doubtful

Draw = Callable[[np.random.Generator, int], np.ndarray]

HONEST: dict[str, tuple[Draw, float]] = {
    "ages": (lambda rng, n: rng.normal(60, 10, n).round(), 0.001),
    "lognormal": (lambda rng, n: np.exp(rng.normal(0, 1, n)), 0.001),
    "tumour marker": (lambda rng, n: np.exp(rng.normal(3, 2, n)), 0.001),
    "waiting time": (lambda rng, n: rng.exponential(1, n), 0.001),
    "nearly nothing": (lambda rng, n: rng.gamma(0.3, 1, n), 0.001),
    "counts": (lambda rng, n: rng.negative_binomial(0.5, 0.1, n).astype(float), 0.001),
    "few counts": (lambda rng, n: rng.poisson(0.5, n).astype(float), 0.003),
    "half zeros": (
        lambda rng, n: np.where(rng.random(n) < 0.5, 0, np.exp(rng.normal(0, 1, n))),
        0.001,
    ),
    "most zeros": (
        lambda rng, n: np.where(rng.random(n) < 0.9, 0, np.exp(rng.normal(0, 1, n))),
        0.002,
    ),
    "flags": (lambda rng, n: (rng.random(n) < 0.1).astype(float), 0.0),
    "below zero": (lambda rng, n: -np.exp(rng.normal(0, 1, n)), 0.001),
    "log-ratios": (lambda rng, n: rng.standard_t(3, n), 0.005),
}


@pytest.mark.parametrize("name", HONEST)
@pytest.mark.parametrize("patients", [60, 600])
def test_honest_columns_are_left_alone(name: str, patients: int) -> None:
    draw, share = HONEST[name]
    rng = np.random.default_rng(0)
    doubted = [doubtful(draw(rng, patients)).mean() for _ in range(30)]
    assert np.mean(doubted) <= share


SCORES: dict[str, tuple[list[float], list[float]]] = {
    "ASA": ([1, 2, 3, 4], [0.1, 0.7, 0.15, 0.05]),
    "Gleason": ([6, 7, 8, 9, 10], [0.15, 0.6, 0.1, 0.13, 0.02]),
    "grade": ([1, 2, 3, 4], [0.03, 0.12, 0.8, 0.05]),
}


@pytest.mark.parametrize("name", SCORES)
@pytest.mark.parametrize("patients", [12, 20, 60, 200])
def test_the_rare_step_of_a_score_is_left_alone(name: str, patients: int) -> None:
    levels, shares = SCORES[name]
    rng = np.random.default_rng(0)
    for _ in range(100):
        assert not doubtful(rng.choice(levels, patients, p=shares)).any()


@pytest.mark.parametrize("patients", [60, 176])
@pytest.mark.parametrize(
    ("value", "share"),
    [
        (7000, 0),
        (600, 0),
        (1e29, 0),
        (-60, 0),
        (999, 1 / 6),
        (9999, 1 / 6),
        (-1, 1 / 6),
        (-9, 0.03),
        (7000, 1 / 6),
    ],
)
def test_wrong_ages_are_doubted_and_no_others(
    value: float,
    share: float,
    patients: int,
) -> None:
    rng = np.random.default_rng(0)
    ages = rng.normal(60, 8, patients).round()
    count = max(1, int(share * patients))
    ages[:count] = value
    wrong = doubtful(ages)
    assert wrong[:count].all()
    assert not wrong[count:].any()


def test_a_code_that_may_be_an_age_needs_a_gap_and_company() -> None:
    ages = np.arange(40.0, 80)
    assert doubtful(np.append(ages, [99, 99]))[-2:].all()
    assert not doubtful(np.append(ages, [99]))[-1]
    assert not doubtful(np.append(np.arange(40.0, 99), [99, 99])).any()
    assert doubtful(np.append(ages, [88.8] * 3 + [99.9] * 3))[-3:].all()


def test_a_mistyped_flag_is_doubted() -> None:
    flags = np.append(np.tile([0.0, 0, 1], 20), 7000)
    assert doubtful(flags).tolist() == [False] * 60 + [True]


def test_a_few_numbers_say_nothing() -> None:
    assert not doubtful(np.array([1.0, 2, 3, 1e9])).any()
    assert not doubtful(np.array([5.0] * 20 + [999.0])).any()  # no spread to measure by


def test_one_gene_does_not_tell_copy_numbers_but_a_table_does() -> None:
    kept, gained = np.array([0.0, -1, 0, 1, 0, np.nan]), np.array([-2.0, 0, 0, 2, 0, 0])
    flag = np.array([0.0, 1, 0, 1, 0, 0])
    dose = np.array([-2.0, -1, 0, 1, 2, 2.5])
    assert copy_number_columns({"kept": kept, "gained": gained, "flag": flag}) == {
        "kept",
        "gained",
        "flag",
    }
    assert copy_number_columns({"kept": kept, "flag": flag}) == frozenset()
    assert copy_number_columns({"kept": kept, "dose": dose}) == frozenset()
