"""The search as part of a fit: nested, resumable, and blind to everyone but the training patients."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from running import Diary, StopAfter, Stopped, bits, commander, loaded, quick, small
from survfuse import training
from survfuse._storage import read_json
from survfuse.cohort import Cohort
from survfuse.evaluation.crossval import cross_validate
from survfuse.survival.stacking import gains

GRID: dict[str, Any] = {
    "search": "grid",
    "search_space": {"learning_rate": [0.003, 0.1]},
}
ANCHORED: dict[str, Any] = {
    "fusion": "anchored",
    "anchor_bags": "mean",
    "selection_folds": 3,
    "search": "grid",
    "search_space": {
        "expression_components": [2, 8],
        "anchor_bags": ["mean", "best"],
    },
}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return loaded(small(tmp_path_factory.mktemp("cohort"), 40))


def searched(cohort: Cohort, patients: Any = None, **fields: Any) -> Any:
    model = quick(**{**GRID, **fields}).fit(cohort, patients)
    assert model.fitted is not None
    return model


def values(log: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {k: v for k, v in trial.items() if k != "seconds"} for trial in log["trials"]
    ]


def test_the_fit_is_that_of_the_chosen_configuration(cohort: Cohort) -> None:
    model = searched(cohort)
    log = model.fitted.summary["search"]
    chosen = quick(**log["values"]).fit(cohort)
    assert bits(model) == bits(chosen)
    assert model.fitted.config == chosen.fitted.config  # type: ignore[union-attr]
    assert [trial["values"] for trial in log["trials"]] == [
        {"learning_rate": rate} for rate in (0.01, 0.003, 0.1)
    ]


def test_a_score_is_the_likelihood_of_out_of_fold_risks(
    cohort: Cohort,
    monkeypatch: Any,
) -> None:
    """By hand: fit with the same values, look at the risks that calibration reads."""
    from survfuse.estimators import fitted as fit

    log = searched(cohort).fitted.summary["search"]
    seen: list[Any] = []
    real = fit.fit_calibrator

    def spy(name: str, time: Any, event: Any, risk: Any, **more: Any) -> Any:
        seen.append((time, event, more["out_of_fold"], more["fold"]))
        return real(name, time, event, risk, **more)

    monkeypatch.setattr(fit, "fit_calibrator", spy)
    for trial in log["trials"]:
        model = quick(**trial["values"]).fit(cohort)
        time, event, risks, fold = seen[-1]
        wanted = gains(risks[:, None], time, event, fold=fold)[0] / event.sum()
        assert trial["score"] == pytest.approx(wanted, abs=1e-12)
        assert trial["epochs"] == model.fitted.summary["epochs"]  # type: ignore[union-attr]


def test_a_search_that_finds_nothing_better_changes_nothing(cohort: Cohort) -> None:
    model = searched(cohort, search_space={"learning_rate": [0.01]})
    assert bits(model) == bits(quick().fit(cohort))


@pytest.mark.slow
@pytest.mark.parametrize("fields", [GRID, ANCHORED], ids=["network", "anchored"])
def test_outcomes_of_test_patients_change_no_trial_and_no_choice(
    cohort: Cohort,
    fields: dict[str, Any],
) -> None:
    train, test = cohort.patients[:28], list(cohort.patients[28:])
    assert cohort.outcome is not None
    outcome = cohort.outcome.copy()
    outcome.loc[test] = outcome.loc[test[::-1]].to_numpy()
    outcome = outcome.astype(cohort.outcome.dtypes.to_dict())
    assert not outcome.equals(cohort.outcome)
    permuted = replace(cohort, outcome=outcome)
    first, second = (
        searched(cohort, train, **fields),
        searched(permuted, train, **fields),
    )
    alone = searched(cohort.subset(train), None, **fields)
    assert bits(first) == bits(second) == bits(alone)
    logs = [model.fitted.summary["search"] for model in (first, second, alone)]
    assert values(logs[0]) == values(logs[1]) == values(logs[2])


@pytest.mark.slow
def test_a_training_outcome_does_change_the_scores(cohort: Cohort) -> None:
    assert cohort.outcome is not None
    outcome = cohort.outcome.copy()
    outcome["time"] = outcome["time"].to_numpy()[::-1]
    first, second = searched(cohort), searched(replace(cohort, outcome=outcome))
    scores = [
        [t["score"] for t in m.fitted.summary["search"]["trials"]]
        for m in (first, second)
    ]
    assert (np.array(scores[0]) != np.array(scores[1])).all()


@pytest.mark.slow
def test_anchored_is_searched_through_the_same_door(cohort: Cohort) -> None:
    log = searched(cohort, **ANCHORED).fitted.summary["search"]
    assert len(log["trials"]) == 5
    assert len({trial["score"] for trial in log["trials"]}) > 2
    built_in = searched(
        cohort,
        fusion="anchored",
        anchor_bags="mean",
        search_space=None,
        search_trials=4,
    ).fitted.summary["search"]
    assert set(built_in["space"]) == {
        "expression_components",
        "anchor_vectors",
        "bag_components",
    }
    assert (len(built_in["trials"]), built_in["possible"]) == (4, 12)


@pytest.mark.parametrize("calibration", ["km", "km_rank", "breslow"])
def test_any_calibration_may_follow(cohort: Cohort, calibration: str) -> None:
    model = searched(cohort, calibration=calibration, selection="last", epochs=2)
    assert model.fitted.config.calibration.method == calibration
    assert len(model.fitted.summary["search"]["trials"]) == 3


def test_a_killed_fit_computes_no_finished_trial_again(
    cohort: Cohort,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(training.loop, "CHECKPOINT_SECONDS", 0.0)
    straight = searched(cohort)
    folder = tmp_path / "kept"
    with pytest.raises(Stopped, match=r"^$"):
        quick(**GRID).fit(
            cohort,
            hooks=[StopAfter("trial 2, member 1, inner fold 2", 2)],
            checkpoints=folder,
        )
    assert {file.name for file in folder.glob("trial-*.json")} == {
        "trial-0.json",
        "trial-1.json",
    }
    diary = Diary()
    again = quick(**GRID).fit(cohort, hooks=[diary], checkpoints=folder)
    labels = {label for label, _ in diary.epochs}
    assert not any(label.startswith(("trial 0", "trial 1")) for label in labels)
    assert any(label.startswith("trial 2") for label in labels)
    assert (
        min(
            number
            for label, number in diary.epochs
            if "trial 2, member 1, inner fold 2" in label
        )
        == 3
    )
    assert bits(again) == bits(straight)
    assert values(again.fitted.summary["search"]) == values(
        straight.fitted.summary["search"],
    )  # type: ignore[union-attr]
    assert not folder.exists()


def test_the_log_is_a_file_of_the_bundle(cohort: Cohort, tmp_path: Path) -> None:
    model = searched(cohort)
    again = type(model).load(model.save(tmp_path / "bundle"))
    log = read_json(tmp_path / "bundle" / "search.json")
    assert log["trials"] == again.fitted.summary["search"]["trials"]
    assert bits(model) == bits(again)
    quick().fit(cohort).save(tmp_path / "plain")
    assert not (tmp_path / "plain" / "search.json").exists()


@pytest.mark.slow
def test_every_outer_fold_searches_for_itself_and_the_report_says_how(
    cohort: Cohort,
    tmp_path: Path,
) -> None:
    result = cross_validate(
        quick(**GRID),
        cohort,
        folds=2,
        networks=False,
        controls=False,
        bootstrap=0,
        out=tmp_path / "run",
    )
    assert (
        "Hyper-parameters were searched in every fit (grid, 3 trials)"
        in result.record["search"]
    )
    cells = [read_json(path) for path in (tmp_path / "run" / "cells").glob("*.json")]
    logs = [cell["summary"]["search"] for cell in cells if "search" in cell["summary"]]
    assert len(logs) == 2
    assert values(logs[0]) != values(logs[1])
    page = result.report().read_text(encoding="utf-8")
    assert "Hyper-parameters were searched in every fit" in page
    assert "Events per effective parameter" in page


def test_train_prints_what_was_found(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    files = small(tmp_path / "cohort")
    place = files.write()
    run = commander(monkeypatch, capsys)
    sets = [
        f"--set=model.{k}={v}"
        for k, v in (("fusion", "concat"), ("epochs", 2), ("selection_folds", 2))
    ]
    done = run(
        *(
            "train",
            place,
            "-o",
            tmp_path / "bundle",
            "--quiet",
            *sets,
            "--set=model.search=grid",
        ),
        "--set=model.search_space={learning_rate: [0.01, 0.02]}",
    )
    assert done.code == 0, done.err
    assert "grid search, 2 trials on inner folds: learning_rate 0.0" in done.out
    assert "parameters" in done.out
    assert (tmp_path / "bundle" / "search.json").exists()
    assert not list((tmp_path).glob(".bundle.checkpoints*"))
