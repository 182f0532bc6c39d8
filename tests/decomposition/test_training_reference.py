from __future__ import annotations

import numpy as np
import pytest

from brute_force import random_readings
from survfuse._errors import InputError
from survfuse.decomposition import Readings, Reference
from survfuse.decomposition.training_reference import MOST_PATIENTS

WIDTHS = {"a": 3, "b": 2}


def readings(patients: int) -> Readings:
    return random_readings(np.random.default_rng(0), WIDTHS, patients)


def test_the_mean_is_that_of_presence_and_of_presence_times_what_is_read() -> None:
    values, has = (
        np.array([[2.0], [np.nan], [6.0], [1.0]]),
        np.array([1, 0, 1, 1], bool),
    )
    reference = Reference.of(Readings.of({"a": (values, has)}))
    np.testing.assert_allclose(reference.mean["a"], [1, 3 / 4, 9 / 4])
    assert reference.patients == 4
    np.testing.assert_allclose(reference.average("a"), [3])
    nobody = Reference.of(Readings.of({"a": (values, np.zeros(4, bool))}))
    np.testing.assert_array_equal(nobody.average("a"), [0])


def test_at_most_500_patients_are_kept_and_the_mean_is_of_all() -> None:
    everyone = readings(700)
    reference = Reference.of(everyone)
    kept = Reference.of(everyone, from_background=True)
    assert len(reference.background) == MOST_PATIENTS
    for name, value in everyone.values.items():
        np.testing.assert_allclose(reference.mean[name], value.mean(axis=0))
        background = kept.background.values[name]
        np.testing.assert_allclose(kept.mean[name], background.mean(axis=0))


def test_the_order_of_the_kept_patients_is_that_of_their_values() -> None:
    """A drawn order could be drawn again, and would lead back to that of the cohort's file."""
    everyone = readings(40)
    kept = Reference.of(everyone).background
    reverse = Reference.of(everyone.take(np.arange(40)[::-1])).background
    for name, values in kept.values.items():
        np.testing.assert_array_equal(values, reverse.values[name])
    rows = np.concatenate(list(kept.values.values()), axis=1).tolist()
    assert rows == sorted(rows)
    unsorted = np.concatenate(list(everyone.values.values()), axis=1).tolist()
    assert rows == sorted(unsorted)  # the values of a patient stay together


def test_what_is_written_is_read_again() -> None:
    reference = Reference.of(readings(30))
    state, arrays = reference.state()
    again = Reference.from_state(state, arrays, WIDTHS)
    assert again.patients == 30
    for name in WIDTHS:
        np.testing.assert_array_equal(again.mean[name], reference.mean[name])
        np.testing.assert_array_equal(
            again.background.values[name], reference.background.values[name]
        )


def test_a_reference_of_another_model_is_refused() -> None:
    state, arrays = Reference.of(readings(30)).state()
    with pytest.raises(InputError, match=r"^modalities: expected a, c, got a, b$"):
        Reference.from_state(state, arrays, {"a": 3, "c": 2})
    with pytest.raises(InputError, match=r"mean/b"):
        Reference.from_state(state, arrays, {"a": 3, "b": 4})
    shorter = {**arrays, "background/b": arrays["background/b"][:7]}
    with pytest.raises(InputError, match=r"background/b"):
        Reference.from_state(state, shorter, WIDTHS)
    for place, wrong in ((0, 0.0), (1, 0.5)):
        forged = arrays["background/a"].copy()
        forged[2, place] = wrong
        with pytest.raises(
            InputError, match=r"^background/a: expected 1, and presence"
        ):
            Reference.from_state(state, {**arrays, "background/a": forged}, WIDTHS)
    for place, wrong in ((0, 0.0), (1, -0.1), (1, 1.1)):
        forged = arrays["mean/a"].copy()
        forged[place] = wrong
        with pytest.raises(InputError, match=r"^mean/a: expected 1, and a share"):
            Reference.from_state(state, {**arrays, "mean/a": forged}, WIDTHS)
    with pytest.raises(
        InputError, match=r"^patients: expected a whole number from 30 on"
    ):
        Reference.from_state({**state, "patients": 12.0}, arrays, WIDTHS)
