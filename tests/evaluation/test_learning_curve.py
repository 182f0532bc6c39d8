from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from running import Stopped, loaded, quick, small
from survfuse import metrics
from survfuse._errors import ConfigError, NotComputableError
from survfuse.cohort import Cohort
from survfuse.cohort.splits import Split
from survfuse.estimators import FoldContext, fit_model, outcomes
from survfuse.evaluation import (
    Result,
    Watcher,
    cross_validate,
    crossval_plan,
    learning_curve_plan,
)
from survfuse.evaluation.candidates import Candidate, baseline
from survfuse.evaluation.learning_curve_plan import (
    subsample,
)
from survfuse.evaluation.training_variance import chance_share
from survfuse.results.run_tables import SCHEMA

SIZES = (10, 20)  # with 5 and 10 events
COLUMNS = [
    "model",
    "patients",
    "events",
    "metric",
    "value",
    "low",
    "high",
    "subsamples",
    "note",
]
MODELS = ["default:concat", "ridge:clinical"]
HORIZONS = (800.0, 1600.0)


class Heard(Watcher):
    """Remembers the cells that were computed; ends the run after some."""

    def __init__(self, stop: int | None = None) -> None:
        self.computed: list[str] = []
        self.stop = stop

    def on_cell(self, name: str, done: int, resumed: bool) -> None:
        if not resumed:
            self.computed.append(name)
        if len(self.computed) == self.stop:
            raise Stopped


def crossed(cohort: Cohort, out: Path | None = None, **how: Any) -> Result:
    fixed: dict[str, Any] = {
        "folds": 2,
        "horizons": HORIZONS,
        "networks": False,
        "controls": False,
        "robustness": False,
        "bootstrap": 0,
        "learning_curve": True,
        "curve_sizes": SIZES,
        "curve_repeats": 2,
    }
    return cross_validate(quick(epochs=2), cohort, out=out, **{**fixed, **how})


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the baselines out where a test is not about them; they take most of the time."""
    monkeypatch.setattr(crossval_plan, "comparators", lambda *_, **__: [])


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    root = tmp_path_factory.mktemp("cohort")
    files = small(root, patients=60, modalities=("clinical", "expression"))
    return loaded(files)


@pytest.fixture(scope="module")
def result(cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Result:
    """A whole run, written, with one baseline, because fits of several tables take long."""
    choose = crossval_plan.comparators

    def few(*args: Any, **how: Any) -> list[Candidate]:
        return [one for one in choose(*args, **how) if one.name in MODELS]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(crossval_plan, "comparators", few)
        return crossed(cohort, tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def table(result: Result) -> pd.DataFrame:
    curve = result.learning_curve
    assert curve is not None
    return curve


def split_of(result: Result, fold: int) -> Split:
    parts = result.predictions
    tested = parts["fold"] == fold
    return Split(
        0,
        fold,
        tuple(sorted(parts["patient_id"][~tested])),
        tuple(sorted(parts["patient_id"][tested])),
    )


# -- the table


def test_the_table_has_its_schema(result: Result, table: pd.DataFrame) -> None:
    assert list(table) == COLUMNS
    assert tuple(COLUMNS) == SCHEMA["learning_curve"]
    assert list(dict.fromkeys(table["model"])) == MODELS
    assert result.out is not None
    written = pd.read_csv(
        result.out / "learning_curve.csv",
        keep_default_na=False,
        na_values={"value": "", "low": "", "high": ""},
        float_precision="round_trip",
    )
    pd.testing.assert_frame_equal(written, table, check_dtype=False, check_exact=True)
    again = Result.read(result.out).learning_curve
    assert again is not None
    pd.testing.assert_frame_equal(again, table, check_exact=True)
    assert (
        "learning_curve.csv"
        in json.loads((result.out / "run.json").read_text())["files"]
    )


def test_every_size_has_its_rows(table: pd.DataFrame) -> None:
    places = table.groupby(["model", "patients"])["metric"].apply(list).to_dict()
    for model in MODELS:
        assert places[model, 10] == ["uno_c", "isbs"]
        assert places[model, 20] == ["uno_c", "isbs"]
        assert places[model, 30] == ["uno_c", "delta_uno_c", "isbs", "delta_isbs"]
    assert (
        table["subsamples"].tolist()
        == table["patients"].map({10: 0, 20: 2, 30: 1}).tolist()
    )
    assert table["events"].tolist() == (table["patients"] / 2).tolist()


def test_a_size_with_few_events_is_left_out_with_the_reason(
    table: pd.DataFrame,
) -> None:
    small, rest = table[table["patients"] == 10], table[table["patients"] > 10]
    assert small[["value", "low", "high"]].isna().all(axis=None)
    assert set(small["note"]) == {"5 events among 10 training patients; 10 are needed"}
    assert rest[["value", "low", "high"]].notna().all(axis=None)
    assert (rest["low"] < rest["value"]).all()
    assert (rest["value"] < rest["high"]).all()


def test_the_whole_training_sets_are_those_of_the_main_table(
    result: Result,
    table: pd.DataFrame,
) -> None:
    whole = table[(table["patients"] == 30) & (table["metric"] == "uno_c")]
    for row in whole.to_dict("records"):
        main = result.estimates[row["model"]]["uno_c"]
        assert row["value"] == pytest.approx(main.value, abs=1e-12)
        assert (row["low"], row["high"]) == pytest.approx(
            (main.low, main.high), abs=1e-12
        )


def test_a_point_agrees_with_fits_made_by_hand(
    result: Result,
    cohort: Cohort,
    table: pd.DataFrame,
) -> None:
    config = quick(epochs=2).config
    configs = {
        "default:concat": config,
        "ridge:clinical": baseline("", "ridge_cox", ("clinical",), config).config,
    }
    values: dict[str, list[float]] = {model: [] for model in configs}
    for sample in range(2):
        for fold in range(2):
            split = split_of(result, fold)
            train = outcomes(cohort, split.train)
            drawn = subsample(split, train[1], 20, sample, 0)
            time, event = outcomes(cohort, split.test)
            for model, own in configs.items():
                fitted = fit_model(FoldContext.of(cohort, drawn.train), own)
                risk = fitted.predict(cohort, split.test).log_risk
                c = metrics.uno_c(time, event, risk, tau=1600.0, train=train).value
                assert c is not None
                values[model].append(c)
    sampled = table[(table["patients"] == 20) & (table["metric"] == "uno_c")]
    value = sampled.set_index("model")["value"]
    for model, own in values.items():
        assert value[model] == pytest.approx(np.mean(own), abs=1e-9)


def test_a_step_is_the_difference_of_its_sizes(table: pd.DataFrame) -> None:
    value = table.set_index(["model", "patients", "metric"])["value"]
    for model in MODELS:
        for metric in ("uno_c", "isbs"):
            step = value[model, 30, f"delta_{metric}"]
            gain = value[model, 30, metric] - value[model, 20, metric]
            assert step == pytest.approx(gain, abs=1e-12)


# -- cells


@pytest.mark.usefixtures("alone")
def test_the_same_run_gives_the_same_bytes_and_computes_nothing_again(
    cohort: Cohort,
    tmp_path: Path,
) -> None:
    crossed(cohort, tmp_path / "run")
    with pytest.raises(Stopped):
        crossed(cohort, tmp_path / "again", watcher=Heard(stop=3))
    rest = Heard()
    crossed(cohort, tmp_path / "again", watcher=rest)
    assert rest.computed == [
        "default:concat, 20 patients, sample 1, repeat 0, fold 1",
        "default:concat, 20 patients, sample 2, repeat 0, fold 0",
        "default:concat, 20 patients, sample 2, repeat 0, fold 1",
    ]
    for name in ("learning_curve.csv", "predictions.csv", "metrics.json"):
        wanted = (tmp_path / "run" / name).read_bytes()
        assert (tmp_path / "again" / name).read_bytes() == wanted


@pytest.mark.usefixtures("alone")
def test_another_size_computes_the_new_cells_alone(
    cohort: Cohort,
    tmp_path: Path,
) -> None:
    crossed(cohort, tmp_path, curve_sizes=(20,), curve_repeats=1)
    more = Heard()
    crossed(cohort, tmp_path, curve_sizes=(20, 24), curve_repeats=1, watcher=more)
    assert len(more.computed) == 2
    assert all(", 24 patients, " in name for name in more.computed)
    crossed(cohort, tmp_path, learning_curve=False, curve_sizes=None, curve_repeats=10)
    assert not (tmp_path / "learning_curve.csv").exists()


@pytest.mark.usefixtures("alone")
def test_without_a_curve_there_is_no_table(cohort: Cohort) -> None:
    told = crossed(cohort, learning_curve=False, curve_sizes=None, curve_repeats=10)
    assert told.learning_curve is None


@pytest.mark.usefixtures("alone")
def test_a_size_at_which_a_model_cannot_be_fitted_is_left_out(
    cohort: Cohort,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fit_predict = Candidate.fit_predict

    def failing(self: Candidate, fold: FoldContext, *rest: Any) -> Any:
        if len(fold.ids) == 20:
            raise NotComputableError("no step of the fit improves it")
        return fit_predict(self, fold, *rest)

    monkeypatch.setattr(Candidate, "fit_predict", failing)
    curve = crossed(cohort, curve_sizes=(20, 24), curve_repeats=1).learning_curve
    assert curve is not None
    notes = set(curve.loc[curve["patients"] == 20, "note"])
    assert len(notes) == 1
    assert (
        "default:concat, 20 patients, sample 1, repeat 0, fold 0: no step"
        in notes.pop()
    )
    steps = curve[curve["metric"] == "delta_uno_c"]
    assert set(steps["patients"]) == {30}


# -- options


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (
            {"curve_sizes": (9, 20)},
            r"curve_sizes\.0: .*greater than or equal to 10, got 9",
        ),
        ({"curve_sizes": ("many",)}, r"curve_sizes\.0: .*valid integer.*got 'many'"),
        ({"curve_sizes": ()}, r"curve_sizes: .*at least 1 item"),
        (
            {"curve_sizes": (20, 30)},
            r"curve_sizes: 30 must be smaller than .* 30 patients",
        ),
        ({"curve_repeats": 0}, r"curve_repeats: .*greater than or equal to 1, got 0"),
        ({"learning_curve": False}, r"also set learning_curve to true"),
    ],
)
def test_wrong_options_are_refused(
    cohort: Cohort,
    options: dict[str, Any],
    match: str,
) -> None:
    with pytest.raises(ConfigError, match=match):
        crossed(cohort, **options)


# -- models


@pytest.mark.usefixtures("alone")
def test_a_model_that_the_run_does_not_train_is_trained_on_whole_sets_too(
    cohort: Cohort,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    choose = learning_curve_plan.curve_candidates

    def more(candidates: Any, *rest: Any) -> list[Candidate]:
        chosen = choose(candidates, *rest)
        config = chosen[0].config.model_copy(update={"modalities": ("expression",)})
        return [*chosen, Candidate("network:-clinical", config, "increment")]

    monkeypatch.setattr(learning_curve_plan, "curve_candidates", more)
    heard = Heard()
    told = crossed(cohort, curve_sizes=(20,), curve_repeats=1, watcher=heard)
    assert told.learning_curve is not None
    own = told.learning_curve.query(
        "model == 'network:-clinical' and metric == 'uno_c'"
    )
    assert own["patients"].tolist() == [20, 30]
    assert own["value"].notna().all()
    assert "network:-clinical" not in told.estimates
    assert "network:-clinical, repeat 0, fold 1" in heard.computed


# -- intervals


def test_the_overlap_of_subsamples_decides_how_much_is_chance(result: Result) -> None:
    folds = result.folds["ridge:clinical"]
    other = [replace(fold, repeat=1, log_risk=np.roll(fold.risk, 1)) for fold in folds]
    # Repeats with the same folds train on the same patients, as far as folds tell.
    assert chance_share([*folds, *other]) == 1.0
    alike = [replace(fold, repeat=1) for fold in folds]
    assert chance_share([*folds, *alike], 0.5) == 0.0
    noisy = []
    for fold in alike:
        noise = 0.2 * fold.risk.std() * (-1.0) ** np.arange(len(fold))
        noisy.append(replace(fold, log_risk=fold.risk + noise))
    few = chance_share([*folds, *noisy], 0.0)
    assert 0 < few < 0.5
    assert chance_share([*folds, *noisy], 0.5) == pytest.approx(2 * few)
