from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd
import pytest

from report.conftest import Builder, edit
from survfuse._errors import InputError
from survfuse._storage import sha256_file
from survfuse.evaluation.external_predictions import read_foreign
from survfuse.evaluation.result import write_table
from survfuse.report.artefacts import read_run


def test_reads_a_whole_run(run_folder: Path) -> None:
    run = read_run(run_folder)
    assert run.model == "default:concat"
    assert len(run.predictions) == 150
    assert run.predictions["event"].dtype == bool
    assert run.comparators is not None
    assert set(run.comparators["model"]) == {"ridge:clinical", "ridge:rna"}
    assert run.horizon == 36.0
    assert run.config["crossval"]["folds"] == 5


def test_ids_and_names_stay_text(make_run: Builder) -> None:
    out = make_run(comparators={"NA": 1.0})
    text = (
        (out / "predictions.csv")
        .read_text()
        .replace("PAT-0007", "007")
        .replace("PAT-0008", "NA")
    )
    (out / "predictions.csv").write_text(text)
    run = read_run(out)
    assert {"007", "NA"} <= set(run.predictions["patient_id"])
    assert run.comparators is not None
    assert set(run.comparators["model"]) == {"NA"}


def test_middle_horizon_is_the_earlier_of_two(make_run: Builder) -> None:
    assert read_run(make_run(horizons=(60.0, 12.0))).horizon == 12.0
    assert read_run(make_run("none", horizons=())).horizon is None


def test_first_repeat_has_every_patient_once(make_run: Builder) -> None:
    run = read_run(make_run(repeats=3))
    assert len(run.predictions) == 450
    assert run.first_repeat["patient_id"].is_unique
    assert len(run.first_repeat) == 150


@pytest.mark.parametrize(
    "name",
    ["predictions.csv", "metrics.json", "cohort.json", "run.json"],
)
def test_a_missing_file_is_named(make_run: Builder, name: str) -> None:
    out = make_run()
    (out / name).unlink()
    with pytest.raises(InputError, match=f"{name}: no such file"):
        read_run(out)


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        read_run(tmp_path / "nowhere")


def test_optional_files_may_be_absent(make_run: Builder) -> None:
    out = make_run()
    for name in ("comparators.csv", "checks.json", "config.yaml"):
        (out / name).unlink()
    run = read_run(out)
    assert run.comparators is None
    assert run.checks is None
    assert run.config == {}


def test_files_that_are_not_as_the_run_wrote_them_are_named(make_run: Builder) -> None:
    out = make_run()
    assert read_run(out).changed == ()
    names = ("predictions.csv", "metrics.json", "checks.json", "external.csv")
    hashes = {name: sha256_file(out / name) for name in names[:3]}
    edit(
        out / "run.json",
        lambda run: run.update(files={**hashes, "external.csv": "ab"}),
    )
    assert read_run(out).changed == ("external.csv",)
    edit(
        out / "metrics.json",
        lambda metrics: metrics["default:concat"]["uno_c"].update(value=0.9),
    )
    assert read_run(out).changed == ("external.csv", "metrics.json")


def test_a_run_that_has_not_ended_is_refused(make_run: Builder) -> None:
    out = make_run()
    edit(out / "run.json", lambda run: run.update(state="unfinished"))
    with pytest.raises(
        InputError,
        match=r"run\.json: this run has not ended; .* survfuse crossval cohort",
    ):
        read_run(out)


def test_a_wrong_cell_is_found(make_run: Builder) -> None:
    out = make_run()
    lines = (out / "predictions.csv").read_text().splitlines()
    cells = lines[4].split(",")
    cells[3] = "soon"
    lines[4] = ",".join(cells)
    (out / "predictions.csv").write_text("\n".join(lines))
    with pytest.raises(
        InputError,
        match=r"column time, line 5: expected a number, got 'soon'",
    ):
        read_run(out)


def test_a_missing_outcome_is_refused(make_run: Builder) -> None:
    out = make_run()
    lines = (out / "predictions.csv").read_text().splitlines()
    cells = lines[2].split(",")
    cells[4] = ""
    lines[2] = ",".join(cells)
    (out / "predictions.csv").write_text("\n".join(lines))
    with pytest.raises(InputError, match="column event, line 3: expected a value"):
        read_run(out)


def test_a_missing_column_is_named(make_run: Builder) -> None:
    out = make_run()
    text = (out / "predictions.csv").read_text().replace("log_risk", "risk", 1)
    (out / "predictions.csv").write_text(text)
    with pytest.raises(InputError, match=r"expected column\(s\) log_risk"):
        read_run(out)


def test_metrics_must_know_the_model(make_run: Builder) -> None:
    out = make_run()
    edit(out / "run.json", lambda run: run.update(model="another"))
    with pytest.raises(InputError, match=r"metrics.json: expected key\(s\) another"):
        read_run(out)


@pytest.mark.parametrize(
    ("name", "text", "match"),
    [
        (
            "metrics.json",
            '{"default:concat": {"uno_c": 0.6}}',
            "expected {metric: {value, low, high}}",
        ),
        ("checks.json", '{"id": 1}', "expected a list of objects with id"),
        ("config.yaml", "a: [", "not YAML"),
        ("config.yaml", "- a", "expected a mapping of sections, got list"),
        ("run.json", "[]", "expected a JSON object, got list"),
        (
            "run.json",
            '{"model": "default:concat", "hashes": [1]}',
            "expected a JSON dict under 'hashes'",
        ),
        ("predictions.csv", "", "empty, expected a header line"),
    ],
)
def test_a_broken_file_is_refused(
    make_run: Builder,
    name: str,
    text: str,
    match: str,
) -> None:
    out = make_run()
    (out / name).write_text(text)
    with pytest.raises(InputError, match=match):
        read_run(out)


@pytest.mark.parametrize(
    ("name", "rows", "match"),
    [
        ("flow", [1, 2], "under 'flow', each with patients, step"),
        (
            "modalities",
            [{"modality": "rna", "patients": 3}],
            "under 'modalities', each with name, patients",
        ),
    ],
)
def test_cohort_lists_hold_objects(
    make_run: Builder,
    name: str,
    rows: list[object],
    match: str,
) -> None:
    out = make_run()
    edit(out / "cohort.json", lambda cohort: cohort.update({name: rows}))
    with pytest.raises(InputError, match=match):
        read_run(out)


@pytest.mark.parametrize(
    ("file", "key", "value"),
    [
        ("cohort.json", "unit", 3),
        ("cohort.json", "events", "many"),
        ("cohort.json", "horizons", ["soon"]),
        ("cohort.json", "flow", {"step": 1}),
        ("run.json", "model", ["a"]),
        ("run.json", "hashes", []),
        ("metrics.json", "default:concat", {"uno_c": {"value": "high"}}),
        ("metrics.json", "default:concat", {"uno_c": {"value": 0.7, "note": []}}),
    ],
)
def test_a_value_of_another_kind_is_refused_with_its_file(
    make_run: Builder,
    file: str,
    key: str,
    value: object,
) -> None:
    out = make_run()
    content = json.loads((out / file).read_text())
    (out / file).write_text(json.dumps({**content, key: value}))
    with pytest.raises(InputError, match=rf"{re.escape(file)}.*(expected|should)"):
        read_run(out)


def test_ids_like_formulas_come_back(make_run: Builder) -> None:
    out = make_run()
    table = pd.read_csv(out / "predictions.csv")
    table["patient_id"] = table["patient_id"].replace(
        {"PAT-0001": "-1", "PAT-0002": "=1+1", "PAT-0003": "'@x"},
    )
    write_table(out / "predictions.csv", table)
    text = (out / "predictions.csv").read_text()
    assert "\n'-1," in text
    assert "\n'=1+1," in text
    assert set(table["patient_id"]) == set(read_run(out).predictions["patient_id"])
    assert set(table["patient_id"]) == set(
        read_foreign(out / "predictions.csv").table["patient_id"],
    )
