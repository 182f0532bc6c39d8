from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sksurv.ensemble import RandomSurvivalForest

from running import loaded, quick, small
from survfuse._errors import ConfigError, InputError, LeakageError
from survfuse.cohort import Cohort
from survfuse.estimator import SurvivalFusion
from survfuse.estimators.other_model import OtherModel
from survfuse.evaluation import Result, cross_validate
from survfuse.evaluation.compared_models import ComparedModels
from survfuse.executors import make_executor

LITTLE: dict[str, Any] = {
    "folds": 2,
    "networks": False,
    "controls": False,
    "robustness": False,
    "horizons": (400, 900),
    "halves": 0,
}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return loaded(small(tmp_path_factory.mktemp("cohort"), patients=40))


def forest(**fields: Any) -> RandomSurvivalForest:
    return RandomSurvivalForest(**{"n_estimators": 10, "random_state": 0, **fields})


def ridge(**fields: Any) -> SurvivalFusion:
    return SurvivalFusion(fusion="ridge_cox", device="cpu", **fields)


@pytest.fixture(scope="module")
def run(cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Result:
    models = {
        "ours": ridge(),
        "forest": forest(),
        "clinical forest": OtherModel(forest(), modalities=("clinical",)),
        "late": SurvivalFusion(fusion="late_cox", device="cpu"),
    }
    return cross_validate(
        models, cohort, out=tmp_path_factory.mktemp("run") / "r", **LITTLE
    )


def test_all_models_are_scored_on_the_same_folds(run: Result) -> None:
    assert run.name == "ours"
    for name in ("forest", "clinical forest", "late"):
        table = run.models[name]
        keys = ["patient_id", "repeat", "fold", "time", "event"]
        np.testing.assert_array_equal(table[keys], run.predictions[keys])
        assert np.isfinite(table["log_risk"]).all()
        assert table["survival_400"].between(0, 1).all()
        assert run.estimates[name]["uno_c"].value is not None
        assert run.estimates[name]["observed_expected"].value is not None


def test_the_comparison_names_each(run: Result) -> None:
    names = [row["reference"] for row in run.performance["comparisons"]]
    assert {"forest", "clinical forest", "late"} <= set(names)
    pairs = {
        row[key] for row in run.performance["increment"] for key in ("with", "without")
    }
    assert not pairs & {"forest", "clinical forest", "late"}


def test_what_was_compared_is_noted(run: Result) -> None:
    notes = run.record["notes"]
    assert any(
        note.startswith("on the same folds: forest: OtherModel(") for note in notes
    )
    assert (
        "on the same folds: late: SurvivalFusion(fusion='late_cox', device='cpu')"
        in notes
    )


def test_late_fusion_of_ours_is_the_baseline(run: Result) -> None:
    np.testing.assert_array_equal(
        run.models["late"]["log_risk"],
        run.models["late:all"]["log_risk"],
    )


def test_a_finished_run_is_read_again_and_another_is_refused(
    cohort: Cohort,
    tmp_path: Path,
) -> None:
    class Counted(RandomSurvivalForest):
        fits = 0

        def fit(self, X: Any, y: Any) -> Any:
            Counted.fits += 1
            return super().fit(X, y)

    model = {"ours": ridge(), "forest": Counted(n_estimators=5, random_state=0)}
    first = cross_validate(model, cohort, out=tmp_path / "run", **LITTLE)
    fits = Counted.fits
    assert fits > 0
    again = cross_validate(model, cohort, out=tmp_path / "run", **LITTLE)
    assert Counted.fits == fits
    assert again.estimates["forest"] == first.estimates["forest"]
    model["forest"] = Counted(n_estimators=6, random_state=0)
    with pytest.raises(InputError, match="a result of another run"):
        cross_validate(model, cohort, out=tmp_path / "run", **LITTLE)


@pytest.mark.slow
def test_workers_compute_the_same(cohort: Cohort, run: Result) -> None:
    models = {"ours": ridge(), "forest": forest()}
    executor = make_executor("process", workers=2)
    other = cross_validate(models, cohort, executor=executor, **LITTLE)
    np.testing.assert_allclose(
        other.models["forest"]["log_risk"],
        run.models["forest"]["log_risk"],
    )


def test_the_report_names_it(run: Result) -> None:
    page = run.report()
    assert "clinical forest" in page.read_text()
    assert "clinical forest" in Result.read(page.parent).estimates


# -- how models are given


def test_a_sequence_takes_the_names_of_the_classes() -> None:
    models = ComparedModels.of([forest(), quick(), ridge()])
    assert models.name == "default:concat"
    assert list(models.others) == ["RandomSurvivalForest", "default:ridge_cox"]
    assert models.notes()[0].startswith("on the same folds: RandomSurvivalForest: ")
    assert ComparedModels.of(quick(), "mine").name == "mine"


def test_inputs_that_leak_are_allowed_to_all_or_none() -> None:
    models = ComparedModels.of([ridge(allow_followup=("doses",)), forest(), quick()])
    for one in models.candidates():
        assert one.config.inputs.allow_followup == ("doses",)


def test_a_random_model_is_noted() -> None:
    models = ComparedModels.of([ridge(), RandomSurvivalForest()])
    assert models.notes()[1] == (
        "RandomSurvivalForest: random_state is None, so its numbers differ from run to run"
    )


@pytest.mark.parametrize(
    ("models", "match"),
    [
        (
            [forest()],
            r"^expected a SurvivalFusion among the models, got RandomSurvivalForest",
        ),
        (
            [ridge(), ridge(seed=3)],
            r"^two models are called 'default:ridge_cox'; give names: ",
        ),
        (
            [ridge(), "forest"],
            r"^expected an estimator with fit\(X, y\) and predict\(X\)",
        ),
        ({}, r"^expected a SurvivalFusion"),
        ({"": ridge()}, r"^a model has an empty name"),
    ],
)
def test_models_that_cannot_be_compared_are_refused(models: Any, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        ComparedModels.of(models)


def test_the_name_of_a_baseline_is_taken(cohort: Cohort) -> None:
    with pytest.raises(ConfigError, match=r"can be called 'km': a baseline or"):
        cross_validate({"ours": ridge(), "km": forest()}, cohort, **LITTLE)


@pytest.mark.parametrize("name", ["permuted:clinical", "removed:slides", "missing:25"])
def test_the_name_of_predictions_with_other_inputs_is_taken(
    cohort: Cohort,
    name: str,
) -> None:
    with pytest.raises(ConfigError, match=f"^no model can be called '{name}': "):
        cross_validate({"ours": ridge(), name: forest()}, cohort, **LITTLE)


@pytest.mark.parametrize(
    "other",
    [ridge(allow_followup=("dose",)), OtherModel(forest(), allow_followup=("dose",))],
)
def test_what_leaks_is_allowed_to_all_models_or_to_none(other: Any) -> None:
    match = r"^other: allow_followup names 'dose', which 'ours' does not allow; .*give it to 'ours'"
    with pytest.raises(ConfigError, match=match):
        ComparedModels.of({"ours": ridge(), "other": other})


def test_a_followup_column_is_refused_for_each_model(tmp_path: Path) -> None:
    files = small(tmp_path)
    files.patients["doses"] = range(24)
    files.spec["clinical"]["columns"]["doses"] = {
        "kind": "numeric",
        "known": "followup",
    }
    models = [ridge(modalities=("slides",), allow_followup=()), forest()]
    with pytest.raises(LeakageError, match=r"'doses' accrue during follow-up"):
        cross_validate(models, loaded(files), **LITTLE)
