from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from running import loaded, small
from survfuse._errors import CohortError, InputError
from survfuse.cohort import Cohort
from survfuse.config import FitConfig
from survfuse.explanations.half_models import Halves, Pair, draw_halves, fitted_pairs


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    folder = tmp_path_factory.mktemp("halves")
    spec = {"groups": {"site": {"column": "site"}}}
    return loaded(small(folder, 60, modalities=("clinical",), spec=spec))


def test_nobody_is_on_two_sides_and_everyone_on_one(cohort: Cohort) -> None:
    drawn = draw_halves(cohort, None, 7)
    assert len(drawn) == 7
    for one in drawn:
        parts = [set(one.first), set(one.second), set(one.held)]
        assert sum(map(len, parts)) == len(set.union(*parts)) == 60
        assert [len(part) for part in parts] == [24, 24, 12]
        assert one.size == 24


def test_events_are_spread_evenly(cohort: Cohort) -> None:
    assert cohort.outcome is not None
    for one in draw_halves(cohort, None, 3):
        events = [
            int(cohort.outcome.loc[list(part), "event"].sum())
            for part in (one.first, one.second, one.held)
        ]
        assert events == [12, 12, 6]


def test_everyone_is_held_out_before_anyone_is_again(cohort: Cohort) -> None:
    held = [one.held for one in draw_halves(cohort, None, 5)]
    assert sorted(patient for part in held for patient in part) == list(cohort.patients)


def test_the_seed_and_not_the_order_decides(cohort: Cohort) -> None:
    drawn = draw_halves(cohort, cohort.patients[::-1], 2, seed=1)
    assert drawn == draw_halves(cohort, None, 2, seed=1)
    assert drawn != draw_halves(cohort, None, 2, seed=2)


def test_patients_of_a_group_stay_together(cohort: Cohort) -> None:
    sites = cohort.groups.copy()
    sites["site"] = [f"site {number // 6}" for number in range(60)]
    grouped = cohort.subset(cohort.patients)
    object.__setattr__(grouped, "groups", sites)
    for one in draw_halves(grouped, None, 3, groups="site"):
        found = [
            set(sites.loc[list(part), "site"])
            for part in (one.first, one.second, one.held)
        ]
        assert sum(map(len, found)) == len(set.union(*found)) == 10


@pytest.mark.parametrize("held", [0, 0.6, np.nan, "x", None])
def test_an_impossible_share_is_refused(cohort: Cohort, held: Any) -> None:
    with pytest.raises(InputError, match="held"):
        draw_halves(cohort, None, 1, held=held)


def test_too_few_events_are_refused(cohort: Cohort) -> None:
    with pytest.raises(CohortError, match="5 folds need at least 5 events"):
        draw_halves(cohort, cohort.patients[:6], 1)


def test_both_models_explain_the_held_out_patients(cohort: Cohort) -> None:
    told: list[str] = []
    drawn = draw_halves(cohort, None, 1)
    config = FitConfig.of(fusion="ridge_cox", selection_folds=2)
    ((halves, pair),) = fitted_pairs(cohort, config, drawn, told.append)
    assert isinstance(pair, Pair)
    assert halves is drawn[0]
    assert told == ["half 1 of 2", "half 2 of 2"]
    for one, half in zip(pair.both, (halves.first, halves.second), strict=True):
        assert one.ids == halves.held
        assert one.fitted.trained is not None
        assert one.fitted.trained.among(half).all()
        assert not one.fitted.trained.among(halves.held).any()


def test_a_half_that_cannot_be_fitted_is_said(cohort: Cohort) -> None:
    assert cohort.outcome is not None
    event = cohort.outcome["event"]
    without = tuple(event.index[~event][:20])
    drawn = [Halves(tuple(event.index[:20]), without, tuple(event.index[40:]))]
    config = FitConfig.of(fusion="ridge_cox", selection_folds=2)
    ((_, pair),) = fitted_pairs(cohort, config, drawn)
    assert (
        pair == "none of the 20 training patients has an event; nothing can be learned"
    )
