"""Products and rectified sums against enumeration, and by the laws that define terms."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from brute_force import (
    agree,
    difference_quotient,
    enumerated_terms,
    mean_with,
    random_readings,
)
from survfuse.decomposition import Part, Product, Readings, RectifiedSum, Reference
from survfuse.decomposition.readings import subsets

WIDTHS = {"a": 3, "b": 2, "c": 4}
KINDS = (Product, RectifiedSum)


def random_part(
    rng: np.random.Generator,
    kind: type[Product | RectifiedSum],
    names: tuple[str, ...],
    columns: int = 5,
) -> Product | RectifiedSum:
    sides = {}
    for name in names:
        sides[name] = rng.normal(size=(2 + WIDTHS[name], columns))
    return kind(sides, rng.normal(size=columns))


def compared(
    seed: int,
    names: tuple[str, ...] = ("a", "b", "c"),
    background: int = 30,
) -> tuple[np.random.Generator, Readings, Reference]:
    """Some patients, and a reference of 30 others."""
    rng = np.random.default_rng(seed)
    widths = {name: WIDTHS[name] for name in names}
    others = random_readings(rng, widths, background)
    reference = Reference.of(others, from_background=True)
    return rng, random_readings(rng, widths, 4), reference


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("names", [("a",), ("a", "b"), ("c", "a", "b")])
def test_terms_are_those_of_enumeration(
    kind: type[Product | RectifiedSum],
    names: tuple[str, ...],
) -> None:
    rng, patients, reference = compared(0, names)
    part = random_part(rng, kind, names)
    found, errors = part.effects(patients, reference)
    expected = enumerated_terms(part.value, patients, reference.background)
    agree(found, expected, 1e-10)
    assert errors == {}


@given(
    seed=st.integers(0, 2**32 - 1),
    kind=st.sampled_from(KINDS),
    names=st.sampled_from([("a",), ("b", "c"), ("a", "b", "c")]),
)
@settings(deadline=None, max_examples=25)
def test_terms_add_up_to_the_value(
    seed: int,
    kind: type[Product | RectifiedSum],
    names: tuple[str, ...],
) -> None:
    rng, patients, reference = compared(seed, names)
    part = random_part(rng, kind, names)
    found, _ = part.effects(patients, reference)
    total = np.sum(list(found.values()), axis=0)
    np.testing.assert_allclose(total, part.value(patients), rtol=0, atol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_every_term_averages_to_0_over_the_training_patients(
    kind: type[Product | RectifiedSum],
) -> None:
    """Whatever the other modalities of the term are fixed at."""
    rng, patients, reference = compared(1)
    part = random_part(rng, kind, ("a", "b", "c"))
    for term in subsets(("a", "b", "c")):
        for averaged in term:
            kept = tuple(name for name in patients.values if name != averaged)

            def value(readings: Readings, term: tuple[str, ...] = term) -> np.ndarray:
                return part.effects(readings, reference)[0][term]

            means = mean_with(value, patients, reference.background, kept)
            np.testing.assert_allclose(means, 0, rtol=0, atol=1e-9)


def test_a_pair_does_not_average_to_0_over_correlated_patients() -> None:
    """Its reference is the product of the modalities, not the cohort."""
    rng, _, reference = compared(2)
    part = random_part(rng, Product, ("a", "b"))
    effects, _ = part.effects(reference.background, reference)
    assert abs(effects["a", "b"].mean()) > 0.01
    assert abs(effects["a",].mean()) < 1e-12


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("term", [("a",), ("b",), ("a", "c"), ("a", "b", "c")])
def test_gradients_are_difference_quotients(
    kind: type[Product | RectifiedSum],
    term: tuple[str, ...],
) -> None:
    rng, patients, reference = compared(3)
    part = random_part(rng, kind, ("a", "b", "c"))

    def value(readings: Readings) -> np.ndarray:
        return part.effects(readings, reference)[0][term]

    for modality in term:
        found = part.gradient(term, modality, patients, reference)
        expected = difference_quotient(value, patients, modality, 1e-6)
        np.testing.assert_allclose(
            np.broadcast_to(found, expected.shape), expected, rtol=0, atol=1e-4
        )


def test_a_main_effect_of_a_product_is_its_gradient_times_the_deviation() -> None:
    rng, patients, reference = compared(4)
    part = random_part(rng, Product, ("a", "b", "c"))
    (slope,) = part.gradient(("b",), "b", patients, reference)
    expected = (patients.values["b"] - reference.mean["b"]) @ slope
    effects, _ = part.effects(patients, reference)
    np.testing.assert_allclose(effects["b",], expected, rtol=0, atol=1e-12)


def test_scaling_one_side_and_the_other_back_changes_nothing() -> None:
    rng, patients, reference = compared(5)
    part = random_part(rng, Product, ("a", "b"))
    scale = rng.uniform(0.2, 5, 5) * rng.choice([-1, 1], 5)
    sides = {"b": part.sides["b"] / scale, "a": part.sides["a"] * scale}
    found, _ = Product(sides, part.weights).effects(patients, reference)
    agree(found, part.effects(patients, reference)[0], 1e-9)


def test_a_constant_has_no_modality() -> None:
    _, patients, reference = compared(6)
    part: Part = Product({}, np.array([1.5, 2.0]))
    np.testing.assert_array_equal(part.value(patients), np.full(4, 3.5))
    effects, _ = part.effects(patients, reference)
    assert list(effects) == [()]
    np.testing.assert_array_equal(effects[()], np.full(4, 3.5))
