from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

import survfuse
from running import QUICK, CohortFiles, Stopped, bits, loaded, quick, small
from survfuse._errors import CohortError, ConfigError, InputError, NotComputableError
from survfuse._storage import sha256_file
from survfuse.cohort import Cohort
from survfuse.config import PARAMETERS, CrossvalConfig, load_config
from survfuse.evaluation import Result, Watcher, cross_validate, crossval_plan
from survfuse.evaluation.assessment import cards
from survfuse.evaluation.crossval_splits import splits_of
from survfuse.evaluation.default_horizons import default_horizons, resolve_horizons
from survfuse.evaluation.fold_calibration import expected_events
from survfuse.evaluation.folds import select
from survfuse.evaluation.ranking import concordance
from survfuse.metrics import Estimate, harrell_c

HORIZONS = (400.0, 900.0)
EARLY = 3  # events up to the last horizon, which is tau
COLUMNS = [
    "patient_id",
    "repeat",
    "fold",
    "time",
    "event",
    "log_risk",
    "predicted_time",
    "survival_400",
    "survival_900",
    "risk_group",
]
BASELINES = [
    "km",
    "ridge:clinical",
    "ridge:expression",
    "ridge:slides",
    "ridge:clinical+expression",
    "late:clinical+expression",
    "late:all",
    "late:-clinical",
    "late:-expression",
]
NETWORKS = [
    "network:clinical",
    "network:expression",
    "network:slides",
    "network:-clinical",
    "network:-expression",
    "network:-slides",
]
METRICS = {card.name(horizon) for card in cards() for horizon in (400, 900)}
ROBUSTNESS = {"uno_c", "isbs", "calibration_slope", "observed_expected"}
PERMUTED = ["permuted:clinical", "permuted:expression", "permuted:slides"]
LOST = [
    f"{kind}:{name}"
    for kind in ("removed", "only")
    for name in ("clinical", "expression", "slides")
]
LOST += ["missing:25", "missing:50", "missing:75"]
OTHERS = [*BASELINES, *NETWORKS, *PERMUTED, *LOST]


def with_folds(root: Path, **fields: Any) -> CohortFiles:
    files = small(root, **fields)
    files.spec["folds"] = {"table": "patients.csv", "column": "fold"}
    return files


def crossed(cohort: Cohort, out: Path | None = None, **fields: Any) -> Result:
    """Cross-validate quickly on two folds."""
    how: dict[str, Any] = {
        "folds": 2,
        "horizons": HORIZONS,
        "networks": False,
        "controls": False,
        "bootstrap": 0,
    }
    how |= {
        name: fields.pop(name)
        for name in tuple(fields)
        if name not in {"fusion", *PARAMETERS}
    }
    if "splits" in how:
        how["seed"] = how.pop("splits")
    return cross_validate(quick(epochs=2, **fields), cohort, out=out, **how)


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the baselines out where a test is not about them; they take most of the time."""
    monkeypatch.setattr(crossval_plan, "comparators", lambda *_, **__: [])


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return loaded(small(tmp_path_factory.mktemp("cohort")))


@pytest.fixture(scope="module")
def result(cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Result:
    """A whole run with two repeats, written."""
    return crossed(
        cohort,
        tmp_path_factory.mktemp("run"),
        networks=True,
        controls=True,
        repeats=2,
    )


# -- what is written


@pytest.mark.slow
def test_every_file_of_a_run_is_there(result: Result) -> None:
    assert result.out is not None
    assert sorted(file.name for file in result.out.iterdir()) == [
        "cells",
        "characteristics.csv",
        "checks.json",
        "clinical_hazards.csv",
        "cohort.json",
        "comparators.csv",
        "config.yaml",
        "metrics.json",
        "performance.json",
        "predictions.csv",
        "run.json",
        "terms.csv",
    ]
    assert sorted({file.suffix for file in (result.out / "cells").iterdir()}) == [
        ".json",
    ]


def test_predictions_have_the_documented_columns(result: Result) -> None:
    assert result.out is not None
    frame = pd.read_csv(
        result.out / "predictions.csv",
        dtype={"patient_id": str},
        float_precision="round_trip",
    )
    assert list(frame) == COLUMNS
    assert len(frame) == 48
    assert not frame.duplicated(["patient_id", "repeat"]).any()
    assert set(frame["repeat"]) == set(frame["fold"]) == {0, 1}
    assert set(frame["event"]) == {0, 1}
    assert set(frame["risk_group"]) <= {0, 1, 2}
    assert frame["log_risk"].notna().all()
    for column in ("survival_400", "survival_900"):
        assert frame[column].dropna().between(0, 1).all()
    pd.testing.assert_frame_equal(
        frame,
        result.predictions,
        check_dtype=False,
        check_exact=True,
    )


def test_comparators_stand_on_the_same_folds(result: Result) -> None:
    assert result.out is not None
    frame = pd.read_csv(
        result.out / "comparators.csv",
        dtype={"patient_id": str},
        float_precision="round_trip",
    )
    assert list(frame) == ["model", *COLUMNS]
    assert list(dict.fromkeys(frame["model"])) == OTHERS
    keys = ["patient_id", "repeat", "fold", "time", "event"]
    ours = result.predictions[keys].sort_values(keys, ignore_index=True)
    for _, part in frame.groupby("model"):
        pd.testing.assert_frame_equal(
            part[keys].sort_values(keys, ignore_index=True),
            ours,
            check_dtype=False,
        )


def test_metrics_have_the_documented_keys(result: Result) -> None:
    assert result.out is not None
    metrics = json.loads((result.out / "metrics.json").read_text())
    assert set(metrics) == {"default:concat", *OTHERS}
    for name, table in metrics.items():
        assert set(table) - {"delta_uno_c_vs_clinical"} == (
            ROBUSTNESS if name in LOST else METRICS
        )
        assert ("delta_uno_c_vs_clinical" in table) == (
            name not in {"ridge:clinical", *LOST}
        )
        for entry in table.values():
            assert set(entry) == {
                "value",
                "low",
                "high",
                "se",
                "n",
                "events",
                "note",
                "assumptions",
            }
            assert entry["value"] is not None or entry["note"]
            assert (
                entry["low"] is None or entry["low"] <= entry["value"] <= entry["high"]
            )
            assert entry["n"] == 24
        assert table["uno_c"]["events"] == EARLY
        assert name in LOST or table["harrell_c"]["events"] == 12
    assert metrics == result.metrics_dict()


def test_the_metrics_are_those_of_the_predictions(result: Result) -> None:
    frame = result.predictions
    values = [
        harrell_c(part.time, part.event, part.log_risk).value
        for _, part in frame.groupby(["repeat", "fold"])
    ]
    assert result.estimates[result.name]["harrell_c"].value == pytest.approx(
        np.mean(values),
        abs=1e-12,
    )  # type: ignore[arg-type]


def test_the_metrics_frame_has_a_row_per_model_and_metric(result: Result) -> None:
    frame = result.metrics
    assert list(frame) == [
        "model",
        "metric",
        *(field.name for field in dataclasses.fields(Estimate)),
    ]
    whole = 1 + len(OTHERS) - len(LOST)
    assert len(frame) == whole * (len(METRICS) + 1) - 1 + len(LOST) * len(ROBUSTNESS)
    assert frame["model"].iloc[0] == result.name == "default:concat"


def test_the_record_tells_how_the_numbers_were_made(result: Result) -> None:
    assert result.out is not None
    record = json.loads((result.out / "run.json").read_text())
    assert set(record) == {
        "model",
        "clinical",
        "started",
        "finished",
        "seconds",
        "versions",
        "seeds",
        "hashes",
        "files",
        "format",
        "version",
        "command",
        "executor",
        "threads",
        "notes",
    }
    assert (record["model"], record["clinical"]) == ("default:concat", "ridge:clinical")
    assert record["seeds"] == {"splits": 0, "model": 2021}
    assert set(record["hashes"]) == {"cohort", "config", "predictions"}
    assert (record["format"], record["version"]) == ("survfuse-run", 1)
    written = {path.name for path in result.out.iterdir() if path.is_file()} - {
        "run.json",
    }
    assert (
        written
        >= record["files"].keys()
        >= {"predictions.csv", "comparators.csv", "metrics.json"}
    )
    assert all(
        record["files"][name] == sha256_file(result.out / name)
        for name in record["files"]
    )
    assert record["versions"]["survfuse"] == survfuse.__version__


def test_the_cohort_is_described(result: Result) -> None:
    assert result.out is not None
    about = json.loads((result.out / "cohort.json").read_text())
    assert set(about) == {
        "name",
        "endpoint",
        "unit",
        "patients",
        "events",
        "flow",
        "labels",
        "modalities",
        "priors",
        "patterns",
        "follow_up_median",
        "horizons",
        "tau",
        "problems",
    }
    assert (about["patients"], about["events"], about["unit"]) == (24, 12, "days")
    assert (about["horizons"], about["tau"]) == ([400, 900], 900)
    (pattern,) = about["patterns"]
    assert pattern == {
        "modalities": ["clinical", "expression", "slides"],
        "patients": 24,
        "events": 12,
        "follow_up_median": about["follow_up_median"],
    }
    assert [one["name"] for one in about["modalities"]] == [
        "clinical",
        "expression",
        "slides",
    ]


def test_the_written_configuration_repeats_the_run(
    result: Result,
    cohort: Cohort,
    tmp_path: Path,
) -> None:
    assert result.out is not None
    config = load_config(result.out / "config.yaml")
    assert config == result.config
    assert config.horizons == HORIZONS
    assert (
        yaml.safe_load((result.out / "config.yaml").read_text())["model"]["training"][
            "epochs"
        ]
        == 2
    )


@pytest.mark.slow
def test_a_report_is_drawn_from_the_files(
    result: Result,
    cohort: Cohort,
    tmp_path: Path,
) -> None:
    page = result.report()
    assert result.out is not None
    assert page == result.out / "report.html"
    assert "default:concat" in page.read_text()
    page.unlink()
    homeless = Result(**{**result.__dict__, "out": None})
    with pytest.raises(
        ConfigError,
        match=r"^this run has no folder: call report\(FOLDER\), or cross_validate",
    ):
        homeless.report()
    elsewhere = homeless.report(tmp_path / "elsewhere")
    assert elsewhere == tmp_path / "elsewhere" / "report.html"
    for file in (
        "predictions.csv",
        "comparators.csv",
        "metrics.json",
        "cohort.json",
        "config.yaml",
        "run.json",
    ):
        assert (elsewhere.parent / file).read_bytes() == (
            result.out / file
        ).read_bytes()


@pytest.mark.usefixtures("alone")
def test_without_a_folder_nothing_is_written_and_the_numbers_are_the_same(
    cohort: Cohort,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept = crossed(cohort, tmp_path / "run")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    again = crossed(cohort)
    assert list(Path().iterdir()) == []
    pd.testing.assert_frame_equal(again.predictions, kept.predictions, check_exact=True)
    assert again.metrics_dict() == kept.metrics_dict()


# -- leakage laws


@pytest.mark.slow
def test_a_folds_predictions_do_not_depend_on_its_own_outcomes(tmp_path: Path) -> None:
    check_outcomes_stay_out(tmp_path, {})


@pytest.mark.parametrize(
    "fields",
    [{"selection": "holdout"}, {"calibration": "km_rank"}, {"members": 2}],
)
@pytest.mark.usefixtures("alone")
def test_however_the_epoch_is_chosen(tmp_path: Path, fields: dict[str, Any]) -> None:
    check_outcomes_stay_out(tmp_path, fields)


def check_outcomes_stay_out(tmp_path: Path, fields: dict[str, Any]) -> None:
    tables = []
    for permuted in (False, True):
        files = with_folds(tmp_path / str(permuted))
        if permuted:
            rows = files.patients["fold"] == 1
            turned = files.patients.loc[rows, ["os_days", "os_event"]].to_numpy()[::-1]
            files.patients.loc[rows, ["os_days", "os_event"]] = turned
        tables.append(crossed(loaded(files), **fields).models)
    learned = [
        "patient_id",
        "log_risk",
        "predicted_time",
        "survival_400",
        "survival_900",
        "risk_group",
    ]
    for name in tables[0].keys() - {"km"}:  # it has one risk for everyone
        first, second = (table[name].query("fold == 1") for table in tables)
        assert not first["time"].reset_index().equals(second["time"].reset_index())
        pd.testing.assert_frame_equal(first[learned], second[learned], check_exact=True)
        other, changed = (
            table[name].query("fold == 0")["log_risk"] for table in tables
        )
        assert not other.equals(changed), (
            "the other fold was trained on them and must have noticed"
        )


@pytest.mark.slow
def test_a_folds_features_do_not_reach_its_own_model(tmp_path: Path) -> None:
    """Changing one test patient's inputs moves nobody else of the fold."""
    risks = []
    for changed in (False, True):
        files = with_folds(tmp_path / str(changed))
        assert files.patients["fold"][2] == 1
        if changed:
            assert files.expression is not None
            files.set("003", "age", 95)
            files.set("003", "sex", "unheard of")
            files.expression.loc["003"] += 4
            files.bags["003_2"] = files.bags["003_2"] * 5
        risks.append(
            {
                name: table.query("fold == 1")
                for name, table in crossed(loaded(files)).models.items()
            },
        )
    blind = {"km", *PERMUTED}  # no risk of its own, or somebody else's inputs
    silent = {
        name for name, table in risks[0].items() if np.ptp(table["log_risk"]) == 0
    }
    assert len(risks[0].keys() - blind - silent) > len(risks[0]) / 2
    for name in risks[0].keys() - blind - silent:
        first, second = risks[0][name], risks[1][name]
        mine = first["patient_id"] == "003"
        np.testing.assert_allclose(
            first["log_risk"][~mine],
            second["log_risk"][~mine],
            rtol=0,
            atol=1e-6,
        )
        assert first["log_risk"][mine].item() != second["log_risk"][mine].item()


@pytest.mark.usefixtures("alone")
def test_a_cell_is_the_model_fitted_on_the_other_folds(tmp_path: Path) -> None:
    files = with_folds(tmp_path)
    cohort = loaded(files)
    whole = crossed(cohort)
    train = sorted(files.patients["patient_id"][files.patients["fold"] == 0])
    test = sorted(files.patients["patient_id"][files.patients["fold"] == 1])
    model = quick(epochs=2).fit(cohort, train)
    frame = whole.predictions.query("fold == 1")
    assert frame["patient_id"].tolist() == test
    np.testing.assert_array_equal(
        frame["log_risk"],
        model.predict(cohort, test).log_risk,
    )


@pytest.mark.slow
@pytest.mark.usefixtures("alone")
def test_row_order_in_the_files_changes_no_byte(tmp_path: Path) -> None:
    pages = []
    for turned in (False, True):
        files = small(tmp_path / str(turned))
        if turned:
            assert files.expression is not None
            files.patients = files.patients.sample(frac=1, random_state=3)
            files.expression = files.expression.sample(frac=1, random_state=4)
        crossed(loaded(files), tmp_path / str(turned) / "run")
        pages.append((tmp_path / str(turned) / "run" / "predictions.csv").read_bytes())
    assert pages[0] == pages[1]


@pytest.mark.usefixtures("alone")
def test_cross_validation_leaves_the_given_model_alone(cohort: Cohort) -> None:
    model = quick().fit(cohort)
    before = bits(model)
    cross_validate(model, cohort, folds=2, networks=False, horizons=HORIZONS)
    assert bits(model) == before


# -- resuming


class Kill(Watcher):
    """Ends the run after some cells."""

    def __init__(self, after: int) -> None:
        self.after = after

    def on_cell(self, name: str, done: int, resumed: bool) -> None:
        if done == self.after:
            raise Stopped


class Heard(Watcher):
    """Remembers cells."""

    def __init__(self) -> None:
        self.cells: list[tuple[str, bool]] = []
        self.total = 0

    def on_cells(self, total: int) -> None:
        self.total = total

    def on_cell(self, name: str, done: int, resumed: bool) -> None:
        self.cells.append((name, resumed))


@pytest.mark.slow
def test_a_stopped_run_recalls_its_cells_and_ends_with_the_same_bytes(
    cohort: Cohort,
    tmp_path: Path,
) -> None:
    crossed(cohort, tmp_path / "straight")
    with pytest.raises(Stopped, match=r"^$"):
        crossed(cohort, tmp_path / "stopped", watcher=Kill(3))
    heard = Heard()
    crossed(cohort, tmp_path / "stopped", watcher=heard)
    assert heard.total == 2 * (1 + len(BASELINES))
    assert [resumed for _, resumed in heard.cells] == [True] * 3 + [False] * (
        heard.total - 3
    )
    assert heard.cells[0][0] == "default:concat, repeat 0, fold 0"
    for name in (
        "predictions.csv",
        "comparators.csv",
        "metrics.json",
        "checks.json",
        "cohort.json",
        "characteristics.csv",
        "clinical_hazards.csv",
    ):
        assert (tmp_path / "stopped" / name).read_bytes() == (
            tmp_path / "straight" / name
        ).read_bytes()


@pytest.mark.usefixtures("alone")
def test_checkpoints_of_a_finished_cell_are_removed(
    cohort: Cohort,
    tmp_path: Path,
) -> None:
    crossed(cohort, tmp_path)
    left = (
        tmp_path / "cells" / "default-concat-r0-f1"
    )  # by a kill right after the cell was written
    left.mkdir()
    (left / "final.safetensors").touch()
    crossed(cohort, tmp_path)
    assert {path.suffix for path in (tmp_path / "cells").iterdir()} == {".json"}


@pytest.mark.usefixtures("alone")
def test_a_finished_run_is_recalled_whole(cohort: Cohort, tmp_path: Path) -> None:
    first = crossed(cohort, tmp_path)
    heard = Heard()
    again = crossed(cohort, tmp_path, watcher=heard)
    assert all(resumed for _, resumed in heard.cells)
    pd.testing.assert_frame_equal(
        first.predictions,
        again.predictions,
        check_exact=True,
    )
    assert first.checks == again.checks


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"splits": 1},
        {"learning_rate": 0.02},
        {"horizons": (500.0,)},
        {"folds": 3},
    ],
)
@pytest.mark.usefixtures("alone")
def test_a_folder_of_another_run_is_refused(
    cohort: Cohort,
    tmp_path: Path,
    change: dict[str, Any],
) -> None:
    crossed(cohort, tmp_path)
    kept = (tmp_path / "predictions.csv").read_bytes()
    with pytest.raises(
        InputError,
        match=re.escape(
            "a result of another run (configuration, data or version differ); "
            "choose a new output folder, or delete this one",
        ),
    ):
        crossed(cohort, tmp_path, **change)
    assert (tmp_path / "predictions.csv").read_bytes() == kept


@pytest.mark.usefixtures("alone")
def test_a_model_of_another_name_is_another_run(cohort: Cohort, tmp_path: Path) -> None:
    crossed(cohort, tmp_path)
    kept = (tmp_path / "predictions.csv").read_bytes()
    with pytest.raises(InputError, match=r"model\.fusion.*: a result of another run"):
        crossed(cohort, tmp_path, fusion="late_cox")
    assert (tmp_path / "predictions.csv").read_bytes() == kept


@pytest.mark.usefixtures("alone")
def test_other_data_are_another_run(tmp_path: Path) -> None:
    files = small(tmp_path / "cohort")
    crossed(loaded(files), tmp_path / "run")
    files.set("002", "age", 50)
    with pytest.raises(
        InputError,
        match=r"default-concat-r0-f0\.json: a result of another run",
    ):
        crossed(loaded(files), tmp_path / "run")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            {"folds": 1},
            r"^cross_validate\.crossval\.folds: .*greater than or equal to 2, got 1$",
        ),
        (
            {"repeats": 0},
            r"^cross_validate\.crossval\.repeats: .*greater than or equal to 1, got 0$",
        ),
        ({"tau": -3}, r"^cross_validate\.tau: .*greater than 0, got -3$"),
        (
            {"horizons": (float("nan"),)},
            r"^cross_validate\.horizons\.0: .*finite number, got nan$",
        ),
    ],
)
def test_a_wrong_argument_is_named(
    cohort: Cohort,
    wrong: dict[str, Any],
    message: str,
) -> None:
    with pytest.raises(ConfigError, match=message):
        crossed(cohort, **wrong)


# -- names


@pytest.mark.parametrize("name", ["ridge:clinical", "ridge-slides"])
def test_a_name_that_a_baseline_has_is_refused(cohort: Cohort, name: str) -> None:
    with pytest.raises(ConfigError, match=f"'{name}'"):
        crossed(cohort, name=name)


@pytest.mark.parametrize("name", ["../elsewhere", "a/b", "{tmp}/x", "..", "."])
@pytest.mark.usefixtures("alone")
def test_a_name_is_no_path(cohort: Cohort, tmp_path: Path, name: str) -> None:
    out = tmp_path / "deep" / "run"
    crossed(cohort, out, name=name.format(tmp=tmp_path))
    assert len(list((out / "cells").iterdir())) == 2
    assert [
        file
        for file in tmp_path.rglob("*")
        if file.is_file() and out not in file.parents
    ] == []


@pytest.mark.usefixtures("alone")
def test_a_name_is_told_everywhere(cohort: Cohort, tmp_path: Path) -> None:
    result = crossed(cohort, tmp_path, name="unser Modell ü")
    assert result.name == "unser Modell ü"
    assert next(iter(result.models)) == "unser Modell ü"
    assert "unser Modell ü" in json.loads((tmp_path / "metrics.json").read_text())


# -- comparing runs


@pytest.mark.usefixtures("alone")
def test_two_runs_on_the_same_folds_are_compared_in_pairs(
    cohort: Cohort,
    result: Result,
) -> None:
    other = crossed(cohort, repeats=2, modalities=("clinical",))
    delta = result.compare(other)
    ours, theirs = (one.estimates[one.name]["uno_c"].value for one in (result, other))
    assert delta.value == pytest.approx(ours - theirs, abs=1e-12)  # type: ignore[operator]
    assert result.compare(result).value == 0
    with pytest.raises(NotComputableError, match=r"same patients in the same folds"):
        result.compare(crossed(cohort, repeats=2, splits=5))


# -- splits and horizons


def test_given_folds_are_the_first_repeat(tmp_path: Path) -> None:
    files = with_folds(tmp_path)
    cohort = loaded(files)
    expected = dict(
        zip(files.patients["patient_id"], files.patients["fold"], strict=True),
    )
    splits, notes = splits_of(cohort, CrossvalConfig(folds=3, repeats=3))
    assert notes == []
    assert {
        patient: one.fold for one in splits if one.repeat == 0 for patient in one.test
    } == expected
    assert [(one.repeat, one.fold) for one in splits] == [(0, 0), (0, 1)] + [
        (repeat, fold) for repeat in (1, 2) for fold in range(3)
    ]
    for one in splits:
        assert sorted([*one.train, *one.test]) == list(cohort.patients)
    made, _ = splits_of(cohort, CrossvalConfig(folds=3, given_folds=False))
    assert len(made) == 3


def test_too_few_events_for_the_folds_are_told(cohort: Cohort) -> None:
    with pytest.raises(
        CohortError,
        match=r"^13 folds need at least 13 events, got 12; use fewer folds$",
    ):
        crossed(cohort, folds=13)


def test_a_cohort_without_outcome_cannot_be_evaluated(tmp_path: Path) -> None:
    files = small(tmp_path)
    del files.spec["outcome"]
    with pytest.raises(
        CohortError,
        match=r"^cohort 'tiny' has no outcome; cross-validation needs one$",
    ):
        crossed(loaded(files, need_outcome=False))


def followed(tmp_path: Path, days: list[int], **outcome: Any) -> Cohort:
    files = small(tmp_path, patients=len(days), modalities=("clinical",))
    files.patients["os_days"] = days
    files.spec["outcome"] |= outcome
    return loaded(files)


def test_given_horizons_are_kept_and_sorted(tmp_path: Path) -> None:
    cohort = followed(tmp_path, [1000] * 20, horizons=[800, 200])
    assert resolve_horizons(None, cohort) == ((200.0, 800.0), [])
    assert resolve_horizons((900, 100), cohort) == ((100.0, 900.0), [])
    for wrong in ((0.0,), (-5.0, 100.0)):
        with pytest.raises(ConfigError, match=r"^horizons must be > 0, got \["):
            resolve_horizons(wrong, cohort)


@pytest.mark.parametrize("horizons", [(400.0, 400.0), (1e6, 1e6 + 1)])
def test_horizons_that_would_share_a_column_are_refused(
    cohort: Cohort,
    horizons: tuple[float, ...],
) -> None:
    with pytest.raises(
        ConfigError,
        match=r"^horizons must differ in their first 6 digits, got \[",
    ):
        resolve_horizons(horizons, cohort)


def test_default_horizons_need_a_tenth_of_the_patients(tmp_path: Path) -> None:
    days = [500] * 18 + [1095] * 2  # a tenth is followed for exactly three years
    horizons, notes = resolve_horizons(None, followed(tmp_path, days))
    assert horizons == (365.0, 1095.0)
    assert notes == [
        "5-year horizon left out: fewer than 10% of patients are followed so long",
    ]


@pytest.mark.parametrize(
    ("unit", "year"),
    [("days", 365.0), ("months", 12.0), ("years", 1.0)],
)
def test_default_horizons_are_in_the_cohorts_unit(
    tmp_path: Path,
    unit: str,
    year: float,
) -> None:
    cohort = followed(tmp_path, [round(6 * year)] * 20, unit=unit)
    assert resolve_horizons(None, cohort)[0] == (year, 3 * year, 5 * year)
    assert default_horizons(unit, 4 * year) == (year, 3 * year)
    assert default_horizons(unit, year / 2) == ()


def test_a_cohort_followed_for_less_than_a_year_must_say_its_horizons(
    tmp_path: Path,
) -> None:
    with pytest.raises(
        ConfigError,
        match=r"^fewer than 10% of the patients are followed for a year; state horizons, in days, "
        r"in the cohort file or with --set horizons=\[…\]$",
    ):
        resolve_horizons(None, followed(tmp_path, [200] * 20))


@pytest.mark.usefixtures("alone")
def test_tau_is_the_last_horizon_unless_given(cohort: Cohort) -> None:
    assert crossed(cohort).config.tau == 900
    assert crossed(cohort, tau=700).config.tau == 700


# -- what a model may lack


@pytest.mark.slow
def test_patients_may_lack_modalities(tmp_path: Path) -> None:
    files = small(tmp_path)
    assert files.expression is not None
    assert files.slides is not None
    files.expression = files.expression.drop(index=["001", "002"])
    files.slides = files.slides[~files.slides["patient_id"].isin(["002", "003"])]
    files.bags = {slide: files.bags[slide] for slide in files.slides["slide_id"]}
    result = crossed(loaded(files), tmp_path / "run", networks=True)
    for table in result.models.values():
        assert np.isfinite(table["log_risk"]).all()
        assert len(table) == 24
    notes = json.loads((tmp_path / "run" / "run.json").read_text())["notes"]
    assert any("002: expression: absent" in note for note in notes)
    assert any(
        "no modality at all" in note for note in notes if "network:slides" in note
    )


@pytest.mark.slow
def test_the_model_is_judged_within_each_availability_pattern(tmp_path: Path) -> None:
    files = small(tmp_path, patients=40)
    assert files.expression is not None
    lacking = {f"{number:03d}" for number in range(1, 15)}
    files.expression = files.expression.drop(index=sorted(lacking))
    files.slides = files.slides[files.slides["patient_id"] != "040"]
    files.bags = {slide: files.bags[slide] for slide in files.slides["slide_id"]}
    result = crossed(loaded(files), tmp_path / "run", robustness=False)
    rows = {
        (tuple(row["modalities"]), row["metric"]): row
        for row in result.performance["availability"]
    }
    everything, fewer, single = (
        ("clinical", "expression", "slides"),
        ("clinical", "slides"),
        ("clinical", "expression"),
    )
    assert list(dict.fromkeys(key for key, _ in rows)) == [everything, fewer, single]
    assert [rows[key, "uno_c"]["patients"] for key in (everything, fewer, single)] == [
        25,
        14,
        1,
    ]
    part = select(result.folds[result.name], lacking)
    assert rows[fewer, "observed_expected"]["value"] == expected_events(part).value
    assert rows[fewer, "uno_c"]["value"] == concordance(part, "uno", 900).value
    assert rows[single, "uno_c"]["value"] is None
    assert rows[single, "uno_c"]["note"].startswith(
        "1 patient, 1 event: fewer than 10 patients",
    )


@pytest.mark.usefixtures("alone")
def test_without_robustness_nothing_else_changes(
    cohort: Cohort,
    result: Result,
) -> None:
    plain, whole = (crossed(cohort, repeats=2, robustness=on) for on in (False, True))
    assert plain.performance["robustness"] is None
    assert list(plain.models) == ["default:concat", *PERMUTED]
    assert list(whole.models) == ["default:concat", *PERMUTED, *LOST]
    assert {
        name: whole.metrics_dict()[name] for name in plain.models
    } == plain.metrics_dict()
    assert whole.checks == plain.checks


def test_the_model_is_told_with_less_and_paired_with_itself(result: Result) -> None:
    sweep = result.performance["robustness"]
    assert sweep["left_out"] == []
    assert list(dict.fromkeys(row["model"] for row in sweep["rows"])) == [
        "default:concat",
        *LOST,
    ]
    assert not set(LOST) & {
        row["reference"] for row in result.performance["comparisons"]
    }
    for row in sweep["rows"]:
        if row["metric"] in ROBUSTNESS:
            told = result.estimates[row["model"]][row["metric"]]
            assert (row["value"], row["low"], row["high"]) == (
                told.value,
                told.low,
                told.high,
            )
    moved = [
        name
        for name in LOST
        if not result.models[name]["log_risk"].equals(result.predictions["log_risk"])
    ]
    assert moved == LOST


@pytest.mark.slow
def test_another_cohort_is_predicted_with_less_too(
    cohort: Cohort,
    tmp_path: Path,
) -> None:
    files = small(
        tmp_path / "test",
        patients=30,
        seed=5,
        modalities=("clinical", "expression"),
    )
    names = {f"{number:03d}": f"other-{number:03d}" for number in range(1, 31)}
    files.patients["patient_id"] = files.patients["patient_id"].map(names)
    assert files.expression is not None
    files.expression = files.expression.rename(index=names)
    result = crossed(cohort, tmp_path / "run", test=loaded(files))
    outside = result.performance["external"]
    lost = [
        "removed:clinical",
        "removed:expression",
        "missing:25",
        "missing:50",
        "missing:75",
    ]
    assert list(
        dict.fromkeys(row["model"] for row in outside["robustness"]["rows"]),
    ) == [
        "default:concat",
        *lost,
    ]
    for name in lost:
        assert set(outside["metrics"][name]) == ROBUSTNESS
    assert not set(lost) & {row["reference"] for row in outside["comparisons"]}
    assert [row["modalities"] for row in outside["availability"]] == [
        ["clinical", "expression"],
    ] * 2
    page = result.report().read_text()
    assert "Where something is missing" in page[page.index('<section id="external">') :]


def test_one_modality_alone_has_no_networks_beside_it(tmp_path: Path) -> None:
    result = crossed(
        loaded(small(tmp_path, modalities=("expression",))),
        tmp_path / "run",
        networks=True,
    )
    assert list(result.models) == [
        "default:concat",
        "km",
        "ridge:expression",
        "permuted:expression",
    ]
    sweep = result.performance["robustness"]
    assert {row["model"] for row in sweep["rows"]} == {"default:concat"}
    assert sweep["left_out"] == [
        "modalities removed: there is one modality (expression), nothing to remove",
        "clinical values missing: the model reads no clinical table",
    ]
    assert (
        "there is one modality (expression), nothing to remove"
        in result.report().read_text()
    )
    assert result.record["clinical"] is None
    assert {check["id"]: check["status"] for check in result.checks}[
        "SRV002"
    ] == "not applicable"


@pytest.mark.slow
@pytest.mark.parametrize(
    "fields",
    [
        {"head": "discrete", "bins": 3},
        {"members": 2},
        {"calibration": "km_rank", "selection": "holdout"},
        {"fusion": "pairwise_residual", "rank": 2},
    ],
    ids=["discrete", "members", "km_rank", "residual"],
)
@pytest.mark.usefixtures("alone")
def test_other_models_go_all_the_way(
    cohort: Cohort,
    tmp_path: Path,
    fields: dict[str, Any],
) -> None:
    result = crossed(cohort, tmp_path, **fields)
    assert list(result.predictions) == COLUMNS
    assert np.isfinite(result.predictions["log_risk"]).all()
    empty = result.predictions["survival_400"].isna().all()
    assert empty == (fields.get("calibration") == "km_rank")
    assert result.report().is_file()


def test_the_quick_settings_are_in_the_run(result: Result) -> None:
    assert {
        name: result.config.model.parameters()[name]
        for name in QUICK
        if name != "epochs"
    } == {name: value for name, value in QUICK.items() if name != "epochs"}
