from __future__ import annotations

import itertools
import json
import math

import numpy as np

from brute_force import mean_with, random_readings
from decomposition import shapiq_numbers as numbers
from survfuse.decomposition import (
    Product,
    Readings,
    RectifiedSum,
    Reference,
    Sampled,
    decompose,
    shapley_values,
)

WIDTHS = {"a": 3, "b": 2, "c": 4}


def parts(rng: np.random.Generator) -> tuple[Product | RectifiedSum, ...]:
    sides = {name: rng.normal(size=(2 + width, 4)) for name, width in WIDTHS.items()}
    pair = {name: sides[name] for name in ("c", "a")}
    return (
        Product({}, np.array([0.7])),
        Product(pair, rng.normal(size=4)),
        RectifiedSum(sides, rng.normal(size=4)),
    )


def compared(seed: int) -> tuple[np.random.Generator, Readings, Reference]:
    rng = np.random.default_rng(seed)
    others = random_readings(rng, WIDTHS, 12)
    return rng, random_readings(rng, WIDTHS, 6), Reference.of(others)


def total(
    readings: Readings, *members: tuple[Product | RectifiedSum, ...]
) -> np.ndarray:
    sums = [sum(part.value(readings) for part in own) for own in members]
    return np.mean(sums, axis=0)


def test_the_constant_comes_first_then_main_effects_then_pairs() -> None:
    rng, patients, reference = compared(0)
    found = decompose([parts(rng)], patients, reference)
    pairs = [("a", "b"), ("a", "c"), ("b", "c")]
    expected = [(), ("a",), ("b",), ("c",), *pairs, ("a", "b", "c")]
    assert list(found.effects) == expected
    assert found.errors == {}
    assert found.spread == {}


def test_terms_of_several_members_are_the_mean_of_theirs() -> None:
    rng, patients, reference = compared(1)
    members = [parts(rng), parts(rng), parts(rng)]
    found = decompose(members, patients, reference)
    alone = [decompose([own], patients, reference).effects for own in members]
    for term, effect in found.effects.items():
        values = np.stack([own[term] for own in alone])
        np.testing.assert_allclose(effect, values.mean(axis=0), atol=1e-12)
        deviation = values.std(axis=0, ddof=1)
        np.testing.assert_allclose(found.spread[term], deviation, atol=1e-12)
    sums = np.sum(list(found.effects.values()), axis=0)
    np.testing.assert_allclose(sums, total(patients, *members), atol=1e-10)


def test_errors_of_members_do_not_cancel_since_they_share_their_draws() -> None:
    _, patients, reference = compared(2)

    def square(readings: Readings) -> np.ndarray:
        return np.asarray(readings.values["a"][:, 2] ** 2 * readings.values["b"][:, 2])

    def slope(readings: Readings, name: str) -> np.ndarray:
        raise NotImplementedError

    part = Sampled(("a", "b"), square, slope, WIDTHS)
    one = decompose([[part]], patients, reference).errors
    four = decompose([[part]] * 4, patients, reference).errors
    for term, error in one.items():
        np.testing.assert_allclose(four[term], error)


def test_shapley_values_are_the_mean_over_all_orders_of_the_modalities() -> None:
    """Against the definition: what a modality adds to those before it, over all orders."""
    rng, patients, reference = compared(3)
    own = parts(rng)
    terms = decompose(
        [own], patients, Reference.of(reference.background, from_background=True)
    )
    found = shapley_values(terms.effects)

    def value(readings: Readings) -> np.ndarray:
        return total(readings, own)

    means = {}
    for size in range(4):
        for kept in itertools.combinations("abc", size):
            means[kept] = mean_with(value, patients, reference.background, kept)
    for name in WIDTHS:
        expected = np.zeros(len(patients))
        for order in itertools.permutations("abc"):
            before = tuple(sorted(order[: order.index(name)]))
            after = tuple(sorted((*before, name)))
            expected += (means[after] - means[before]) / math.factorial(3)
        np.testing.assert_allclose(found[name], expected, rtol=0, atol=1e-10)


def test_terms_and_shapley_values_are_those_of_shapiq() -> None:
    background, patients = numbers.readings(30, 0.1), numbers.readings(5, 4.2)
    reference = Reference.of(background, from_background=True)
    found = decompose([numbers.parts()], patients, reference)
    shapley = shapley_values(found.effects)
    for row, expected in enumerate(json.loads(numbers.GOLDEN.read_text())):
        for term, effect in found.effects.items():
            assert abs(effect[row] - expected["*".join(term)]) < 1e-10
        for name, value in shapley.items():
            assert abs(value[row] - expected[f"shapley {name}"]) < 1e-10
