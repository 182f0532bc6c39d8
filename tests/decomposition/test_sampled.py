from __future__ import annotations

import numpy as np
import pytest

from brute_force import difference_quotient, enumerated_terms, random_readings
from survfuse.decomposition import Readings, Reference, Sampled
from survfuse.decomposition import sampled as module

WIDTHS = {"a": 3, "b": 2, "c": 4}
NAMES = tuple(WIDTHS)


def function(readings: Readings) -> np.ndarray:
    a, b, c = (readings.values[name][:, 2:] for name in NAMES)
    present = readings.values["b"][:, 1]
    inner = a[:, 0] * b[:, 1] + 0.5 * c[:, 2] + present * a[:, 1]
    return np.asarray(np.tanh(inner) + b[:, 0] * c[:, 0] ** 2)


def slope(readings: Readings, name: str) -> np.ndarray:
    return difference_quotient(function, readings, name, 1e-6)


def compared(seed: int) -> tuple[Readings, Reference]:
    rng = np.random.default_rng(seed)
    others = random_readings(rng, WIDTHS, 30)
    return random_readings(rng, WIDTHS, 12), Reference.of(others, from_background=True)


def sampled(draws: int = 200) -> Sampled:
    return Sampled(NAMES, function, slope, WIDTHS, draws)


def test_terms_add_up_exactly_whatever_is_drawn() -> None:
    patients, reference = compared(0)
    for draws in (2, 200):
        effects, _ = sampled(draws).effects(patients, reference)
        total = np.sum(list(effects.values()), axis=0)
        np.testing.assert_allclose(total, function(patients), rtol=0, atol=1e-12)


def test_terms_lie_within_their_standard_errors_of_those_of_enumeration() -> None:
    patients, reference = compared(1)
    effects, errors = sampled().effects(patients, reference)
    expected = enumerated_terms(function, patients, reference.background)
    distances = []
    for term, effect in effects.items():
        assert (errors[term] > 0).all()
        distances.append(np.abs(effect - expected[term]) / errors[term])
    assert np.max(distances) < 4
    assert np.mean(distances) > 0.1  # errors are no larger than they need be


def test_the_error_falls_as_the_root_of_the_draws() -> None:
    patients, reference = compared(2)
    _, few = sampled(100).effects(patients, reference)
    _, many = sampled(1600).effects(patients, reference)
    ratio = few["a",].mean() / many["a",].mean()
    assert 3 < ratio < 5


@pytest.mark.parametrize("term", [("a",), ("a", "c"), NAMES])
def test_gradients_are_difference_quotients(term: tuple[str, ...]) -> None:
    patients, reference = compared(3)
    part = sampled(40)

    def value(readings: Readings) -> np.ndarray:
        return part.effects(readings, reference)[0][term]

    found = part.gradient(term, "a", patients, reference)
    expected = difference_quotient(value, patients, "a")
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


def test_patients_in_blocks_have_the_same_terms(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    patients, reference = compared(4)
    whole, _ = sampled().effects(patients, reference)
    monkeypatch.setattr(module, "ROWS", 500)
    blocks, _ = sampled().effects(patients, reference)
    one, _ = sampled().effects(patients.take(np.array([5])), reference)
    for term, effect in whole.items():
        np.testing.assert_allclose(blocks[term], effect, rtol=0, atol=1e-12)
        np.testing.assert_allclose(one[term], effect[5:6], rtol=0, atol=1e-12)


def test_fewer_patients_with_many_tiles_are_computed_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    patients, reference = compared(5)
    sizes: list[int] = []

    def counted(readings: Readings) -> np.ndarray:
        sizes.append(len(readings))
        return function(readings)

    def tiled(readings: Readings, tiles: int) -> Readings:
        own = [
            (np.zeros((tiles, 2)), np.zeros((tiles, 2))) for _ in range(len(readings))
        ]
        return Readings(readings.values, {"c": own})

    many = tiled(patients, 20)
    assert many.most_tiles == 20
    assert patients.most_tiles == 0
    background = tiled(reference.background, 30)
    known = Reference(reference.mean, background, reference.patients)
    monkeypatch.setattr(module, "TILES", 100)
    found, _ = Sampled(NAMES, counted, slope, WIDTHS, 40).effects(many, known)
    assert max(sizes) == 5  # own tiles alone; 3 of those drawn
    expected, _ = sampled(40).effects(patients, reference)
    for term, effect in expected.items():
        np.testing.assert_allclose(found[term], effect, rtol=0, atol=1e-12)
