from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from survfuse.estimators.blocks import Blocks
from survfuse.estimators.stack_terms import TermRisks, Terms
from survfuse.survival.stacking import gains

NONE: frozenset[str] = frozenset()


def study(patients: int = 240, seed: int = 0) -> tuple[Blocks, np.ndarray, np.ndarray]:
    """A modality that tells, one that tells less, one of noise; blocks, time, event."""
    rng = np.random.default_rng(seed)
    x = {"good": 3, "weak": 4, "noise": 20}
    blocks = {
        name: (rng.normal(size=(patients, width)), np.ones(patients, bool))
        for name, width in x.items()
    }
    risk = 1.2 * blocks["good"][0][:, 0] + 0.4 * blocks["weak"][0][:, 1]
    return blocks, rng.exponential(np.exp(-risk)), rng.random(patients) < 0.7


def rows(blocks: Blocks, kept: np.ndarray) -> Blocks:
    return {name: (x[kept], has[kept]) for name, (x, has) in blocks.items()}


def columns(
    blocks: Blocks,
    time: np.ndarray,
    event: np.ndarray,
    folds: int = 4,
) -> TermRisks:
    inner = np.arange(len(time)) % folds
    risks = np.empty((len(time), len(blocks) * (len(blocks) + 1) // 2))
    for fold in range(folds):
        held = inner == fold
        terms = Terms.fit(rows(blocks, ~held), time[~held], event[~held], bags=NONE)
        risks[held] = terms.risks(rows(blocks, held))
    return TermRisks(risks, inner, time, event, len(blocks))


def test_names_are_those_of_the_columns() -> None:
    blocks, time, event = study(80)
    terms = Terms.fit(blocks, time, event, bags=NONE)
    assert terms.names == (
        "good",
        "weak",
        "noise",
        "good*weak",
        "good*noise",
        "weak*noise",
    )
    assert terms.risks(blocks).shape == (80, 6)


@pytest.mark.slow
def test_noise_has_no_seat_and_the_rest_is_trusted() -> None:
    seats = []
    for seed in range(4):
        trust = columns(*study(seed=seed)).weights()[0]
        assert trust.min() >= 0
        assert 0.7 < trust[0] < 1.4
        assert trust[3:].max() < 0.5  # pairs: nothing was planted
        seats.append(trust[2])
    assert seats.count(0.0) >= 3


def test_a_bag_must_add_to_the_others_and_a_vector_need_not() -> None:
    """A noisy copy of what another modality says is worth something alone, and nothing beside it."""
    rng = np.random.default_rng(1)
    truth = rng.normal(size=400)
    copy = 0.5 * truth + rng.normal(scale=0.5, size=400)
    time, event = rng.exponential(np.exp(-truth)), rng.random(400) < 0.7
    found = TermRisks(
        np.stack([truth, copy], axis=1),
        np.arange(400) % 4,
        time,
        event,
        2,
    )
    as_vector, as_bag = (replace(found, bags=bags) for bags in ((), (1,)))
    assert gains(copy[:, None], time, event, fold=found.inner) > 5
    assert as_vector.weights()[0][1] > 0.1
    assert as_bag.weights()[0][1] == 0
    alone = replace(found, risks=truth[:, None], modalities=1)
    np.testing.assert_allclose(as_bag.weights()[0][:1], alone.weights()[0])


def test_a_bag_that_adds_keeps_its_seat_and_one_alone_needs_no_other() -> None:
    found = columns(*study())
    np.testing.assert_array_equal(
        replace(found, bags=(0,)).weights()[0],
        found.weights()[0],
    )
    weak = replace(found, risks=found.risks[:, [1]], modalities=1)
    assert weak.weights()[0][0] > 0
    np.testing.assert_array_equal(
        replace(weak, bags=(0,)).weights()[0],
        weak.weights()[0],
    )


def test_a_modality_alone_has_a_seat_where_among_others_it_has_none() -> None:
    """Four times too loud: at its word worse than nothing, and yet right."""
    rng = np.random.default_rng(2)
    truth = rng.normal(size=300)
    time, event = rng.exponential(np.exp(-0.5 * truth)), rng.random(300) < 0.7
    loud = TermRisks(2.0 * truth[:, None], np.arange(300) % 4, time, event, 1)
    assert gains(loud.risks, time, event, fold=loud.inner)[0] < 0
    assert 0.1 < loud.weights()[0][0] < 0.6
    beside = replace(
        loud,
        risks=np.stack([2.0 * truth, rng.normal(size=300)], axis=1),
        modalities=2,
    )
    assert beside.weights()[0][0] == 0
    nobody = replace(loud, event=np.zeros(300, bool))
    assert nobody.weights()[0][0] == 0


def test_a_missing_modality_adds_nothing() -> None:
    blocks, time, event = study()
    terms = Terms.fit(blocks, time, event, bags=NONE)
    lacking = dict(blocks)
    has = np.arange(len(time)) % 2 == 0
    lacking["good"] = (np.where(has[:, None], blocks["good"][0], np.nan), has)
    told, full = terms.risks(lacking), terms.risks(blocks)
    touched = [0, 3, 4]  # good, good*weak, good*noise
    assert not told[np.ix_(~has, touched)].any()
    np.testing.assert_array_equal(told[has], full[has])
    np.testing.assert_array_equal(told[:, [1, 2, 5]], full[:, [1, 2, 5]])


def test_a_modality_without_two_events_tells_nobody_apart_and_says_why() -> None:
    blocks, time, event = study(80)
    has = ~event | (np.cumsum(event) == 1)
    terms = Terms.fit(
        {**blocks, "weak": (blocks["weak"][0], has)},
        time,
        event,
        bags=NONE,
    )
    assert "two events" in terms.modalities["weak"].note
    assert not terms.risks(blocks)[:, 1].any()


def test_a_patients_risk_is_added_by_what_others_taught() -> None:
    found = columns(*study())
    before = found.out_of_fold()
    held = found.inner == 1
    turned = replace(
        found,
        time=np.where(held, found.time[::-1], found.time),
        event=found.event & ~held,
    )
    np.testing.assert_array_equal(turned.out_of_fold()[held], before[held])
    assert not np.array_equal(turned.out_of_fold()[~held], before[~held])


@pytest.mark.parametrize("kept", [np.zeros(240, bool), np.arange(240) < 1])
def test_without_events_nothing_is_trusted(kept: np.ndarray) -> None:
    found = columns(*study())
    assert not replace(found, event=found.event & False).weights(kept)[0].any()
