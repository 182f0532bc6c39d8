"""Terms and Shapley values of a fixed game by shapiq 1.4.1: the script that made ``shapiq.json``.

shapiq (MIT) brings numba and 700 MB with it, so tests compare with its numbers instead of calling it::

    pip install shapiq==1.4.1 && PYTHONPATH=tests python tests/decomposition/shapiq_numbers.py
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np

from brute_force import mean_with
from survfuse.decomposition import Part, Product, Readings, RectifiedSum

GOLDEN = Path(__file__).with_name("shapiq.json")
WIDTHS = {"a": 3, "b": 2, "c": 4}
NAMES = tuple(WIDTHS)


def waves(*shape: int, phase: float) -> np.ndarray:
    """Numbers that any machine makes alike."""
    count = int(np.prod(shape))
    return np.sin(1.7 * np.arange(count) + phase).reshape(shape)


def readings(patients: int, phase: float) -> Readings:
    blocks = {}
    for place, (name, width) in enumerate(WIDTHS.items()):
        has = np.arange(patients) % 4 != place
        blocks[name] = waves(patients, width, phase=phase + place), has
    return Readings.of(blocks)


def parts() -> tuple[Part, ...]:
    """A constant, a product of two modalities, and rectified sums of three."""
    sides = {}
    for place, (name, width) in enumerate(WIDTHS.items()):
        sides[name] = waves(2 + width, 4, phase=0.3 + place)
    pair = {name: sides[name] for name in ("c", "a")}
    return (
        Product({}, np.array([0.7])),
        Product(pair, waves(4, phase=2.0)),
        RectifiedSum(sides, waves(4, phase=5.0)),
    )


def numbers() -> list[dict[str, float]]:
    """Of each patient its terms and Shapley values."""
    import shapiq

    background, rows = readings(30, 0.1), []
    for row in range(5):
        one = readings(5, 4.2).take(np.array([row]))
        game = _Game(one, background)
        computer = shapiq.ExactComputer(n_players=3, game=game)
        terms, shapley = computer("Moebius", order=3), computer("SV", order=1)
        values = {"": game.means[()]}
        for size in (1, 2, 3):
            for own in itertools.combinations(range(3), size):
                values["*".join(NAMES[place] for place in own)] = float(terms[own])
        for place, name in enumerate(NAMES):
            values[f"shapley {name}"] = float(shapley[(place,)])
        rows.append(values)
    return rows


class _Game:
    """Mean over the background with the modalities of a coalition the patient's."""

    def __init__(self, patient: Readings, background: Readings) -> None:
        self.means: dict[tuple[int, ...], float] = {}
        for size in range(4):
            for own in itertools.combinations(range(3), size):
                kept = tuple(NAMES[place] for place in own)
                (value,) = mean_with(_value, patient, background, kept)
                self.means[own] = float(value)

    def __call__(self, coalitions: np.ndarray) -> np.ndarray:
        rows = np.atleast_2d(coalitions)
        keys = [tuple(np.flatnonzero(row).tolist()) for row in rows]
        return np.array([self.means[key] for key in keys])


def _value(mixed: Readings) -> np.ndarray:
    return np.asarray(sum(part.value(mixed) for part in parts()))


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(numbers(), indent=1) + "\n")
