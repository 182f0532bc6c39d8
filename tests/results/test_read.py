from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from report.conftest import Builder, edit
from report.performed import add_performance
from survfuse._errors import InputError
from survfuse._storage import sha256_file
from survfuse.evaluation.external_predictions import read_external
from survfuse.results import Result
from survfuse.results.csv_files import write_table


def test_reads_a_whole_run(make_run: Builder) -> None:
    run = Result.read(make_run())
    assert run.name == "default:concat"
    assert len(run.predictions) == 150
    assert run.predictions["event"].dtype == bool
    assert set(run.models) == {run.name, "ridge:clinical", "ridge:rna"}
    assert run.horizon == 36.0
    assert run.settings["crossval"]["folds"] == 5


def test_ids_and_names_stay_text(make_run: Builder) -> None:
    out = make_run(comparators={"NA": 1.0})
    text = (
        (out / "predictions.csv")
        .read_text()
        .replace("PAT-0007", "007")
        .replace("PAT-0008", "NA")
    )
    (out / "predictions.csv").write_text(text)
    run = Result.read(out)
    assert {"007", "NA"} <= set(run.predictions["patient_id"])
    assert set(run.models) == {run.name, "NA"}


def test_middle_horizon_is_the_earlier_of_two(make_run: Builder) -> None:
    assert Result.read(make_run(horizons=(60.0, 12.0))).horizon == 12.0
    assert Result.read(make_run("none", horizons=())).horizon is None


def test_first_repeat_has_every_patient_once(make_run: Builder) -> None:
    run = Result.read(make_run(repeats=3))
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
        Result.read(out)


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        Result.read(tmp_path / "nowhere")


def test_optional_files_may_be_absent(make_run: Builder) -> None:
    out = make_run()
    for name in ("comparators.csv", "checks.json", "config.yaml"):
        (out / name).unlink()
    run = Result.read(out)
    assert list(run.models) == [run.name]
    assert run.checks is None
    assert run.settings == {}
    assert run.performance == {}


def test_files_that_are_not_as_the_run_wrote_them_are_named(make_run: Builder) -> None:
    out = make_run()
    assert Result.read(out).changed() == ()
    names = ("predictions.csv", "metrics.json", "checks.json", "external.csv")
    hashes = {name: sha256_file(out / name) for name in names[:3]}
    edit(
        out / "run.json",
        lambda run: run.update(files={**hashes, "external.csv": "ab"}),
    )
    assert Result.read(out).changed() == ("external.csv",)
    edit(
        out / "metrics.json",
        lambda metrics: metrics["default:concat"]["uno_c"].update(value=0.9),
    )
    assert Result.read(out).changed() == ("external.csv", "metrics.json")


def test_a_run_that_has_not_ended_is_refused(make_run: Builder) -> None:
    out = make_run()
    edit(out / "run.json", lambda run: run.update(state="unfinished"))
    with pytest.raises(
        InputError,
        match=r"run\.json: this run has not ended; .* survfuse crossval cohort",
    ):
        Result.read(out)


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
        Result.read(out)


def test_a_missing_outcome_is_refused(make_run: Builder) -> None:
    out = make_run()
    lines = (out / "predictions.csv").read_text().splitlines()
    cells = lines[2].split(",")
    cells[4] = ""
    lines[2] = ",".join(cells)
    (out / "predictions.csv").write_text("\n".join(lines))
    with pytest.raises(InputError, match="column event, line 3: expected a value"):
        Result.read(out)


def test_a_missing_column_is_named(make_run: Builder) -> None:
    out = make_run()
    text = (out / "predictions.csv").read_text().replace("log_risk", "risk", 1)
    (out / "predictions.csv").write_text(text)
    with pytest.raises(InputError, match=r"expected column\(s\) log_risk"):
        Result.read(out)


def test_metrics_must_know_the_model(make_run: Builder) -> None:
    out = make_run()
    edit(out / "run.json", lambda run: run.update(model="another"))
    with pytest.raises(InputError, match=r"metrics.json: expected key\(s\) another"):
        Result.read(out)


@pytest.mark.parametrize(
    ("name", "text", "match"),
    [
        (
            "metrics.json",
            '{"default:concat": {"uno_c": 0.6}}',
            "default:concat: uno_c: expected an object, got float",
        ),
        ("checks.json", '{"id": 1}', "expected a list, got dict"),
        ("config.yaml", "a: [", "not YAML"),
        ("config.yaml", "- a", "expected a mapping of sections, got list"),
        ("run.json", "[]", "expected an object, got list"),
        (
            "run.json",
            '{"model": "default:concat", "hashes": [1]}',
            "hashes: expected an object, got list",
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
        Result.read(out)


@pytest.mark.parametrize(
    ("name", "rows", "match"),
    [
        ("flow", [1, 2], "flow, row 1: expected an object, got int"),
        (
            "modalities",
            [{"modality": "rna", "patients": 3}],
            r"modalities, row 1: expected key\(s\) name, got modality, patients",
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
        Result.read(out)


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
        Result.read(out)


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
    assert set(table["patient_id"]) == set(Result.read(out).predictions["patient_id"])
    assert set(table["patient_id"]) == set(
        read_external(out / "predictions.csv").table["patient_id"],
    )


def test_a_result_is_described_in_a_few_lines(make_run: Builder) -> None:
    text = repr(Result.read(make_run()))
    assert text.startswith("Result of 'default:concat'")
    assert "ridge:clinical" in text
    assert len(text) < 1000
    page = Result.read(make_run())._repr_html_()
    assert "ridge:clinical" in page
    assert "Uno&#x27;s C" in page
    assert len(page) < 20_000


def test_the_page_of_a_result_is_escaped(make_run: Builder) -> None:
    run = Result.read(make_run())
    record: Any = {**run.record, "notes": ["<script>"]}
    page = dataclasses.replace(run, name="<b>", record=record)._repr_html_()
    assert "<script>" not in page
    assert "<b>" not in page


@pytest.mark.slow
def test_a_run_that_is_read_and_written_again_is_the_same(make_run: Builder) -> None:
    out = add_performance(make_run())
    run = Result.read(out)
    again = Result.read(run.write(out.parent / "again"))
    for name in ("performance.json", "cohort.json", "checks.json", "config.yaml"):
        texts = [(folder / name).read_text() for folder in (out, out.parent / "again")]
        contents = [yaml.safe_load(text) for text in texts]
        assert contents[0] == contents[1]
    assert again.estimates == run.estimates
    assert list(again.models) == list(run.models)
    for name, table in run.models.items():
        pd.testing.assert_frame_equal(again.models[name], table, rtol=1e-12)
