"""Who comes together in a step."""

from __future__ import annotations

import numpy as np
import pytest

from survfuse.config import FitConfig
from survfuse.training.batch_sampling import (
    COHORT_PATIENTS,
    POOLED_PATIENTS,
    resolved,
    steps_of_epoch,
)


def epoch(config: FitConfig, event: np.ndarray, seed: int = 0) -> list[np.ndarray]:
    return list(
        steps_of_epoch(
            np.arange(len(event)),
            event,
            config,
            np.random.default_rng(seed),
        ),
    )


def test_auto_is_the_cohort_up_to_its_limit_and_stratified_batches_above() -> None:
    small = resolved(FitConfig.of(), COHORT_PATIENTS)
    assert (small.training.batch, small.training.sampling) == ("cohort", "shuffle")
    large = resolved(FitConfig.of(), COHORT_PATIENTS + 1)
    assert (large.training.batch, large.training.sampling) == (
        POOLED_PATIENTS,
        "stratified",
    )
    told = FitConfig.of(batch=16)
    assert resolved(told, 10_000) is told


@pytest.mark.parametrize("events", [0, 1, 7, 300, 2001])
def test_stratified_steps_share_events_evenly_and_hold_everyone_once(
    events: int,
) -> None:
    event = np.zeros(2001, bool)
    event[np.random.default_rng(1).permutation(2001)[:events]] = True
    config = FitConfig.of(batch=256, sampling="stratified")
    steps = epoch(config, event)
    assert sorted(np.concatenate(steps)) == list(range(2001))
    assert {len(step) for step in steps} == {250, 251}
    counts = [int(event[step].sum()) for step in steps]
    assert max(counts) - min(counts) <= 2
    assert not np.array_equal(
        np.concatenate(epoch(config, event, seed=1)),
        np.concatenate(steps),
    )


def test_a_cohort_whose_tiles_are_all_taken_keeps_its_order() -> None:
    event = np.arange(9) % 2 == 0
    (step,) = epoch(FitConfig.of(batch="cohort", max_tiles=None), event)
    assert step.tolist() == list(range(9))
    (step,) = epoch(FitConfig.of(batch="cohort", max_tiles=5), event)
    assert step.tolist() != list(range(9))
