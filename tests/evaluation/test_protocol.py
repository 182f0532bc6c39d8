from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from running import loaded, quick, small
from survfuse import metrics
from survfuse._errors import CohortError, ConfigError
from survfuse.cohort import Cohort
from survfuse.evaluation import Result, cross_validate
from survfuse.evaluation.candidates import (
    PERMUTED_OUTCOME,
    SELECTED_ON_TEST,
    Candidate,
    comparators,
)
from survfuse.evaluation.combine import WAYS
from survfuse.evaluation.protocol import subgroups, wanted_increments


def crossed(cohort: Cohort, **how: Any) -> Result:
    fixed: dict[str, Any] = {
        "folds": 2,
        "horizons": (400.0, 900.0),
        "networks": False,
        "controls": False,
    }
    return cross_validate(quick(epochs=2), cohort, bootstrap=0, **{**fixed, **how})


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    files = small(tmp_path_factory.mktemp("cohort"), modalities=("clinical",))
    files.spec["groups"] = {"site": "site"}
    return loaded(files)


@pytest.fixture(scope="module")
def controlled(cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Result:
    return crossed(cohort, controls=True, repeats=2, out=tmp_path_factory.mktemp("run"))


# -- splits


@pytest.mark.slow
def test_whole_sites_share_a_fold(cohort: Cohort) -> None:
    frame = crossed(cohort, split="whole_sites").predictions
    site = frame["patient_id"].map(cohort.groups["site"])
    assert (frame.groupby(site)["fold"].nunique() == 1).all()
    assert set(frame["fold"]) == {0, 1}


@pytest.mark.slow
def test_each_site_is_left_out(cohort: Cohort) -> None:
    result = crossed(cohort, split="leave_one_site_out")
    site = result.predictions["patient_id"].map(cohort.groups["site"])
    assert set(zip(result.predictions["fold"], site, strict=True)) == {
        (0, "north"),
        (1, "south"),
    }
    assert "site left out in each fold: north, south" in result.record["notes"]
    with pytest.raises(ConfigError, match="leave_one_site_out has one repeat"):
        crossed(cohort, split="leave_one_site_out", repeats=2)
    with pytest.raises(CohortError, match="hospital"):
        crossed(cohort, split="leave_one_site_out", site="hospital")


def test_fixed_splits_are_kept(cohort: Cohort, tmp_path: Path) -> None:
    path = tmp_path / "splits_0.csv"
    ids = list(cohort.patients)
    rows = [
        f"{i},{train},{test}"
        for i, (train, test) in enumerate(zip(ids[:12], ids[12:], strict=True))
    ]
    path.write_text("\n".join([",train,test", *rows]) + "\n")
    result = crossed(cohort, splits_file=path)
    assert sorted(result.predictions["patient_id"]) == ids[12:]
    (fold,) = result.folds[result.name]
    assert cohort.outcome is not None
    assert fold.train is not None
    np.testing.assert_array_equal(
        np.sort(fold.train[0]),
        np.sort(cohort.outcome.loc[ids[:12], "time"]),
    )
    expected = metrics.harrell_c(fold.time, fold.event, fold.risk)
    assert result.estimates[result.name]["harrell_c"].se == pytest.approx(expected.se)


# -- intervals


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["nadeau_bengio", "bootstrap"])
def test_intervals_are_made_as_asked(
    cohort: Cohort,
    controlled: Result,
    kind: str,
) -> None:
    result = cross_validate(
        quick(epochs=2), cohort, folds=2, repeats=2, horizons=(400.0, 900.0), networks=False, controls=False,
        interval=kind, bootstrap=8,
    )  # fmt: skip
    assert result.performance["interval"] == WAYS[kind]  # type: ignore[index]
    ours, other = (
        each.estimates[each.name]["harrell_c"] for each in (result, controlled)
    )
    assert ours.value == other.value
    assert ours.se != other.se


# -- controls


def test_controls_are_told(controlled: Result) -> None:
    assert controlled.out is not None
    told = json.loads((controlled.out / "performance.json").read_text())
    assert set(told["optimism"]) == {"metric", "honest", "selected_on_test"}
    assert "this is not a result" in told["optimism"]["selected_on_test"]["note"]
    first = [fold for fold in controlled.folds[controlled.name] if fold.repeat == 0]
    honest = np.mean([metrics.harrell_c(f.time, f.event, f.risk).value for f in first])  # type: ignore[arg-type]
    assert told["optimism"]["honest"]["value"] == pytest.approx(honest)
    assert len(told["seeds"]["values"]) == 3
    assert told["seeds"]["sd"] == pytest.approx(np.std(told["seeds"]["values"], ddof=1))
    assert set(told["permuted_outcome"]) == {"uno_c", "difference"}
    assert told["permuted_outcome"]["uno_c"]["value"] is not None


def test_controls_are_no_models(controlled: Result) -> None:
    control = {SELECTED_ON_TEST, PERMUTED_OUTCOME}
    assert not [
        name
        for name in controlled.models
        if name in control or name.startswith("seed:")
    ]


def test_without_controls_nothing_is_told_of_them(cohort: Cohort) -> None:
    told = crossed(cohort).performance
    assert (
        told["optimism"]
        is told["seeds"]
        is told["permuted_outcome"]
        is told["external"]
        is None
    )


# -- what differs by a modality


def test_increments_differ_by_one_modality(tmp_path: Path) -> None:
    cohort = loaded(small(tmp_path))
    config = quick().config
    main = Candidate("mine", config, permute=True)
    learners = [main, *comparators(cohort, config, networks=True)]
    found = wanted_increments(learners, "mine", cohort)
    own = {each.name: set(each.modalities or cohort.modalities) for each in learners}
    for each in found:
        if each.kind == "permuted at prediction":
            assert (each.with_it, each.without) == ("mine", f"permuted:{each.modality}")
        else:
            assert own[each.with_it] - own[each.without] == {each.modality}
    kinds = [(each.kind, each.modality) for each in found]
    assert kinds == [
        (k, m)
        for k in ("network", "late fusion", "permuted at prediction")
        for m in cohort.modalities
    ]


def test_a_stack_is_not_called_a_network(tmp_path: Path) -> None:
    cohort = loaded(small(tmp_path))
    config = quick(fusion="anchored").config
    learners = [Candidate("mine", config), *comparators(cohort, config, networks=True)]
    kinds = {each.kind for each in wanted_increments(learners, "mine", cohort)}
    assert kinds == {"anchored", "late fusion", "permuted at prediction"}


def test_one_modality_has_no_increment(cohort: Cohort) -> None:
    main = Candidate("mine", quick().config, permute=True)
    assert (
        wanted_increments(
            [main, *comparators(cohort, quick().config, networks=True)],
            "mine",
            cohort,
        )
        == []
    )


def test_sites_and_clinical_columns_make_subgroups(
    cohort: Cohort,
    controlled: Result,
) -> None:
    groups = subgroups(cohort)
    assert {"site", "stage", "sex", "age"} <= set(groups.columns)
    assert sorted(groups.index) == sorted(cohort.patients)
    rows = controlled.performance["subgroups"]
    found = {(row["group"], row["level"]): row for row in rows}
    assert found["site", "north"]["patients"] == int(
        (cohort.groups["site"] == "north").sum(),
    )
    assert sum(
        row["patients"] for (group, _), row in found.items() if group == "sex"
    ) == len(cohort.patients)
    ages = [row for (group, _), row in found.items() if group == "age"]
    assert len(ages) == 2
    assert sum(row["patients"] for row in ages) == len(cohort.patients)
