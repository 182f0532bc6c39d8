from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from survfuse.estimators.blocks import Blocks
from survfuse.estimators.stack_terms import (
    BAG_MUST_ADD,
    MODALITY_PENALTY,
    PAIR_PENALTY,
    TermRisks,
    Terms,
)
from survfuse.survival.stacking import fit_weights

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
    return of(risks, inner, time, event, len(blocks))


def of(
    risks: np.ndarray,
    inner: np.ndarray,
    time: np.ndarray,
    event: np.ndarray,
    modalities: int,
) -> TermRisks:
    """One division into folds; modalities start at 1, pairs at 0."""
    single = np.arange(risks.shape[1]) < modalities
    start, penalty = single * 1.0, np.where(single, MODALITY_PENALTY, PAIR_PENALTY)
    return TermRisks(risks[None], inner[None], time, event, start, penalty)


def divided_twice(found: TermRisks) -> TermRisks:
    """The same division into folds, twice."""
    return replace(
        found,
        risks=np.repeat(found.risks, 2, axis=0),
        inner=np.repeat(found.inner, 2, axis=0),
    )


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
def test_noise_has_little_to_say_and_the_rest_keeps_its_weight() -> None:
    for seed in range(4):
        blocks, time, event = study(seed=seed)
        found = columns(blocks, time, event)
        weights = found.weights()
        assert weights.value.min() >= 0
        assert 0.7 < weights.value[0] < 1.4
        assert weights.value[3:].max() < 0.5  # pairs: nothing was planted
        share = weights.value * found.risks[0].std(axis=0)
        assert share[2] < 0.25 * share[0]
        np.testing.assert_array_equal(weights.start, [1, 1, 1, 0, 0, 0])
        assert (weights.errors > 0).all()


def test_a_bag_must_add_to_the_others_and_a_vector_need_not() -> None:
    """A noisy copy of what another modality says is worth something alone, and nothing beside it."""
    rng = np.random.default_rng(1)
    truth = rng.normal(size=400)
    copy = 0.5 * truth + rng.normal(scale=0.5, size=400)
    time, event = rng.exponential(np.exp(-truth)), rng.random(400) < 0.7
    found = of(np.stack([truth, copy], 1), np.arange(400) % 4, time, event, 2)
    as_bag = replace(found, must_add=(1,)).weights()
    assert found.weights().value[1] > 0.1
    assert as_bag.value[1] == as_bag.errors[1] == 0
    alone = of(truth[:, None], np.arange(400) % 4, time, event, 1).weights()
    np.testing.assert_allclose(as_bag.value[:1], alone.value)
    both = [truth[:, None], np.stack([truth, copy], 1)]
    likelihoods = []
    for risks in both:
        fit = fit_weights(
            risks, time, event, start=1, penalty=MODALITY_PENALTY, fold=found.inner[0]
        )
        likelihoods.append(fit.log_likelihood)
    assert as_bag.left_out == {1: pytest.approx(likelihoods[1] - likelihoods[0])}
    assert as_bag.left_out[1] < BAG_MUST_ADD


def test_a_bag_that_adds_is_kept_and_one_alone_needs_no_other() -> None:
    found = columns(*study())
    for kept in (
        found,
        of(found.risks[0][:, [1]], found.inner[0], found.time, found.event, 1),
    ):
        must = replace(kept, must_add=(0,)).weights()
        np.testing.assert_array_equal(must.value, kept.weights().value)
        assert must.value[0] > 0


def test_a_risk_that_is_too_large_is_made_smaller() -> None:
    rng = np.random.default_rng(2)
    truth = rng.normal(size=300)
    time, event = rng.exponential(np.exp(-0.5 * truth)), rng.random(300) < 0.7
    large = of(2.0 * truth[:, None], np.arange(300) % 4, time, event, 1)
    assert 0.1 < large.weights().value[0] < 0.6
    nobody = replace(large, event=np.zeros(300, bool)).weights()
    assert nobody.value[0] == nobody.effective == 0


def test_few_events_leave_weights_where_they_start() -> None:
    found = columns(*study(400))
    few = found.event & (np.cumsum(found.event) <= 8)
    moved = abs(found.weights().value - found.start)[:3]
    held = abs(replace(found, event=few).weights().value - found.start)[:3]
    assert (held < 0.3).all()
    assert held.max() < moved.max()


def test_divisions_into_folds_are_averaged() -> None:
    found = columns(*study())
    once, twice = found.weights(), divided_twice(found).weights()
    np.testing.assert_allclose(twice.value, once.value, atol=1e-4)
    np.testing.assert_allclose(twice.errors, once.errors, rtol=1e-3)
    assert twice.effective == pytest.approx(once.effective, rel=1e-3)
    np.testing.assert_allclose(divided_twice(found).out_of_fold(), found.out_of_fold())


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


def test_a_patients_risk_is_added_by_weights_of_the_others() -> None:
    found = columns(*study())
    before = found.out_of_fold()
    held = found.inner[0] == 1
    turned = replace(
        found,
        time=np.where(held, found.time[::-1], found.time),
        event=found.event & ~held,
    )
    np.testing.assert_array_equal(turned.out_of_fold()[held], before[held])
    assert not np.array_equal(turned.out_of_fold()[~held], before[~held])
    for number in range(4):
        assert before[found.inner[0] == number].mean() == pytest.approx(0, abs=1e-12)


def test_no_division_lets_a_patients_own_outcome_reach_its_risk() -> None:
    once = columns(*study())
    inner = np.stack(
        [once.inner[0], np.random.default_rng(1).permutation(once.inner[0])]
    )
    found = replace(once, risks=np.repeat(once.risks, 2, axis=0), inner=inner)
    before = found.out_of_fold()
    time, event = found.time.copy(), found.event.copy()
    time[7], event[7] = 100 * time[7] + 1, not event[7]
    after = replace(found, time=time, event=event).out_of_fold()
    assert after[7] == before[7]
    apart = (inner != inner[:, [7]]).all(axis=0)
    assert (after[apart] != before[apart]).any()
