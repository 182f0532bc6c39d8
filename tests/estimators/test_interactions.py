from __future__ import annotations

import numpy as np
import pytest

from survfuse.estimators.interactions import RANK, Interaction

Arrays = tuple[np.ndarray, ...]


def study(strength: float, patients: int = 300, seed: int = 0) -> Arrays:
    """Two modalities whose product of first features is the risk; x, y, time, event, risk."""
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(patients, 5)), rng.normal(size=(patients, 4))
    x[:, 0] *= 2
    y[:, 0] *= 2
    risk = strength * x[:, 0] * y[:, 0] / 4
    time = rng.exponential(np.exp(-risk))
    return x, y, time, rng.random(patients) < 0.7, risk


def everyone(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return values, np.ones(len(values), bool)


def fitted(
    x: np.ndarray,
    y: np.ndarray,
    time: np.ndarray,
    event: np.ndarray,
    **how: np.ndarray,
) -> Interaction:
    offset = how.get("offset", np.zeros(len(time)))
    return Interaction.fit(everyone(x), everyone(y), time, event, offset)


def test_a_planted_product_is_found_and_told_of_new_patients() -> None:
    x, y, time, event, _ = study(1.0)
    pair = fitted(x, y, time, event)
    assert pair.note == ""
    assert 1 <= pair.rank <= RANK
    x2, y2, *_, truth = study(1.0, seed=1)
    assert np.corrcoef(pair.risk(everyone(x2), everyone(y2)), truth)[0, 1] > 0.85


def test_what_the_anchors_say_is_not_said_again() -> None:
    x, y, time, event, truth = study(1.0)
    alone = fitted(x, y, time, event).risk(everyone(x), everyone(y))
    beside = fitted(x, y, time, event, offset=truth).risk(everyone(x), everyone(y))
    assert beside.std() < 0.3 * alone.std()


def test_where_nothing_is_nothing_is_found() -> None:
    found = [fitted(*study(0.0, seed=seed)[:4]) for seed in range(6)]
    silent = [pair for pair in found if pair.rank == 0]
    assert (
        silent
    )  # what else is found has to earn its trust out of fold (test_stack.py)
    assert {pair.note for pair in silent} == {"no penalty beats the modalities alone"}
    x, y, *_ = study(0.0)
    assert not silent[0].risk(everyone(x), everyone(y)).any()


def test_who_lacks_a_modality_has_no_product_and_teaches_none() -> None:
    x, y, time, event, _ = study(1.0)
    has = np.arange(len(x)) % 3 > 0
    wild = np.where(has[:, None], x, 1e6)
    pair = Interaction.fit((wild, has), everyone(y), time, event, np.zeros(len(x)))
    same = Interaction.fit(
        everyone(x[has]),
        everyone(y[has]),
        time[has],
        event[has],
        np.zeros(has.sum()),
    )
    told = pair.risk((wild, has), everyone(y))
    assert not told[~has].any()
    np.testing.assert_allclose(
        told[has],
        same.risk(everyone(x[has]), everyone(y[has])),
        atol=1e-12,
    )


def test_sides_may_change_places() -> None:
    x, y, time, event, _ = study(1.0)
    one = fitted(x, y, time, event).risk(everyone(x), everyone(y))
    other = fitted(y, x, time, event).risk(everyone(y), everyone(x))
    np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.parametrize(
    ("events", "why"),
    [
        (9, "9 events among patients with both"),
        (0, "0 events among patients with both"),
    ],
)
def test_few_events_say_nothing_about_products(events: int, why: str) -> None:
    x, y, time, event, _ = study(1.0)
    event[:] = np.arange(len(event)) < events
    pair = fitted(x, y, time, event)
    assert (pair.rank, pair.note) == (0, why)
    assert np.isnan(pair.penalty)


def test_a_modality_that_never_varies_has_no_products() -> None:
    x, y, time, event, _ = study(1.0)
    pair = fitted(np.ones_like(x), y, time, event)
    assert pair.rank == 0
    assert "all equal" in pair.note
