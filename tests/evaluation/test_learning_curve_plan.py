from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np

from survfuse.cohort.splits import Split
from survfuse.config import CrossvalConfig, FitConfig
from survfuse.evaluation.candidates import Candidate, baseline
from survfuse.evaluation.learning_curve_plan import (
    CurvePlan,
    curve_candidates,
    subsample,
)


def test_a_subsample_keeps_the_share_of_events_and_is_nested() -> None:
    ids = tuple(f"P{i:03d}" for i in range(90))
    event = np.arange(90) % 3 == 0
    of = dict(zip(ids, event, strict=True))
    split = Split(1, 2, ids, ("Q",))
    seen = set()
    for sample in range(3):
        last: set[str] = set()
        for size in (10, 31, 60, 89):
            drawn = subsample(split, event, size, sample, 7)
            assert (drawn.repeat, drawn.fold, drawn.test) == (1, 2, ("Q",))
            assert len(set(drawn.train)) == size
            assert list(drawn.train) == sorted(drawn.train)
            assert abs(sum(of[one] for one in drawn.train) - size / 3) < 1
            assert last < set(drawn.train)
            last = set(drawn.train)
            assert drawn == subsample(split, event, size, sample, 7)
        seen.add(subsample(split, event, 31, sample, 7).train)
        seen.add(subsample(replace(split, fold=3), event, 31, sample, 7).train)
        seen.add(subsample(split, event, 31, sample, 8).train)
    assert len(seen) == 9


def test_patients_of_one_kind_can_be_drawn_too() -> None:
    ids = tuple("ABCDEFGHIJKL")
    drawn = subsample(Split(0, 0, ids, ()), np.ones(12, bool), 10, 0, 0)
    assert len(set(drawn.train)) == 10


def test_sizes_by_default_are_those_below_the_training_sets() -> None:
    splits = [
        Split(0, i, tuple(f"P{j:03d}" for j in range(101 - i)), ()) for i in range(2)
    ]
    splits.append(Split(1, 0, ("P000",), ()))
    cohort: Any = SimpleNamespace(modalities={})
    model = Candidate("model", FitConfig())

    def plan(**fields: Any) -> CurvePlan | None:
        settings = CrossvalConfig(**fields)
        return CurvePlan.of(settings, splits, [model], None, cohort)

    assert plan() is None
    planned = plan(learning_curve=True)
    assert planned is not None
    assert (planned.sizes, planned.samples) == ((50,), 10)
    assert [split.repeat for split in planned.splits] == [0, 0]
    given = plan(learning_curve=True, curve_sizes=[90, 40, 90], curve_repeats=3)
    assert given is not None
    assert (given.sizes, given.samples) == ((40, 90), 3)


def stub(**kinds: str) -> Any:
    """As much of a cohort as the choice of models reads."""
    modalities = {name: SimpleNamespace(kind=kind) for name, kind in kinds.items()}
    return SimpleNamespace(modalities=modalities)


def test_the_model_without_its_priors_is_compared_where_there_are_any() -> None:
    cohort = stub(clinical="clinical", expression="expression", atlas="prior")
    config = FitConfig()
    names = ("clinical", "expression", "atlas")
    late = baseline("late:all", "late_cox", names, config)
    ridge = baseline("ridge:clinical", "ridge_cox", ("clinical",), config)
    less = baseline("late:-atlas", "late_cox", names[:2], config, "increment")
    run = [Candidate("model", config), ridge, late, less]
    chosen = curve_candidates(run, "ridge:clinical", cohort)
    assert [one.name for one in chosen] == [
        "model",
        "ridge:clinical",
        "late:all",
        "network:-atlas",
    ]
    assert chosen[-1].modalities == ("clinical", "expression")
    # Where the run trains it anyway, that candidate is taken.
    other = replace(chosen[-1], name="network:known")
    assert curve_candidates([*run, other], "ridge:clinical", cohort)[-1] is other
    without = curve_candidates(
        run, None, stub(clinical="clinical", expression="expression")
    )
    assert [one.name for one in without] == ["model", "late:all"]
    alone = curve_candidates(run[:2], "ridge:clinical", stub(atlas="prior"))
    assert [one.name for one in alone] == ["model", "ridge:clinical"]
