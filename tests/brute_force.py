"""Terms of a function of readings by enumeration: a slow oracle."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from survfuse.decomposition import Readings, Term
from survfuse.decomposition.readings import subsets

Function = Callable[[Readings], np.ndarray]


def random_readings(
    rng: np.random.Generator,
    widths: dict[str, int],
    patients: int,
    missing: float = 0.3,
) -> Readings:
    """Correlated modalities, each of which some patients lack."""
    factor = rng.normal(size=(patients, 1))
    blocks = {}
    for name, width in widths.items():
        values = 0.7 * factor + rng.normal(size=(patients, width))
        blocks[name] = values, rng.random(patients) >= missing
    return Readings.of(blocks)


def mean_with(
    function: Function,
    readings: Readings,
    background: Readings,
    own: Term,
) -> np.ndarray:
    """Mean over all combinations of background patients, `own` held at each patient's."""
    others = [name for name in readings.values if name not in own]
    if not others:
        return function(readings)
    sides = (len(background),) * len(others)
    combinations = np.indices(sides).reshape(len(others), -1)
    count = combinations.shape[1]
    means = []
    for row in range(len(readings)):
        values = {}
        for name, value in readings.values.items():
            if name in own:
                values[name] = np.repeat(value[row : row + 1], count, axis=0)
            else:
                place = combinations[others.index(name)]
                values[name] = background.values[name][place]
        means.append(function(Readings(values)).mean())
    return np.array(means)


def enumerated_terms(
    function: Function,
    readings: Readings,
    background: Readings,
) -> dict[Term, np.ndarray]:
    """Terms by the alternating sums of the means over all combinations."""
    names = tuple(readings.values)
    means = {s: mean_with(function, readings, background, s) for s in subsets(names)}
    terms = {}
    for term in subsets(names):
        terms[term] = np.zeros(len(readings))
        for own in subsets(term):
            terms[term] += (-1) ** (len(term) - len(own)) * means[own]
    return terms


def agree(
    found: dict[Term, np.ndarray],
    expected: dict[Term, np.ndarray],
    tolerance: float,
) -> None:
    """Compare terms by their modalities, whatever the order; one that is left out is 0."""
    by_set = {frozenset(term): effect for term, effect in found.items()}
    wanted = {frozenset(term) for term in expected}
    assert by_set.keys() <= wanted
    for term, effect in expected.items():
        own = by_set.get(frozenset(term), np.zeros(len(effect)))
        np.testing.assert_allclose(
            own, effect, rtol=0, atol=tolerance, err_msg=str(term)
        )


def difference_quotient(
    term: Callable[[Readings], np.ndarray],
    readings: Readings,
    modality: str,
    step: float = 1e-5,
) -> np.ndarray:
    """Gradient of a term by the readings of a modality; (patients, 2 + width)."""
    columns = []
    for place in range(readings.values[modality].shape[1]):
        ends = []
        for sign in (1, -1):
            value = readings.values[modality].copy()
            value[:, place] += sign * step
            ends.append(term(Readings({**readings.values, modality: value})))
        columns.append((ends[0] - ends[1]) / (2 * step))
    return np.stack(columns, axis=1)
