from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from report.conftest import Builder
from survfuse.report.report_tables import SCHEMA, compute_tables
from survfuse.results import Result


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"comparators": {}},
        {"horizons": ()},
        {"curves": False},
        {"patients": 12, "folds": 2},
        {"repeats": 2},
    ],
    ids=["whole", "alone", "no-horizon", "no-curve", "small", "repeats"],
)
def test_every_table_has_its_schema(make_run: Builder, options: dict[str, Any]) -> None:
    frames = compute_tables(Result.read(make_run(**options))).frames
    assert frames.keys() == SCHEMA.keys()
    for name, frame in frames.items():
        assert tuple(frame.columns) == SCHEMA[name], name


def test_model_numbers_are_those_of_the_file(run_folder: Path) -> None:
    tables = compute_tables(Result.read(run_folder))
    metrics = json.loads((run_folder / "metrics.json").read_text())
    assert len(tables["models"]) == sum(
        len(estimates) for estimates in metrics.values()
    )
    for row in tables["models"].to_dict("records"):
        told = metrics[row["model"]][row["metric"]]
        assert {key: row[key] for key in told} == told


def test_cohort_numbers_are_those_of_the_file(run_folder: Path) -> None:
    tables = compute_tables(Result.read(run_folder))
    cohort = json.loads((run_folder / "cohort.json").read_text())
    assert tables["flow"]["patients"].tolist() == [
        step["patients"] for step in cohort["flow"]
    ]
    assert tables["flow"]["left_out"].tolist()[1:] == [8, 4]
    assert tables["modalities"]["name"].tolist() == ["clinical", "slides", "rna"]
    assert tables["modalities"]["share"].tolist() == [1.0, 132 / 150, 113 / 150]
    assert tables["patterns"]["patients"].sum() == cohort["patients"]
    assert tables["problems"]["patient"].tolist() == ["PAT-0101"]


def test_main_model_and_baseline_come_first(make_run: Builder) -> None:
    tables = compute_tables(
        Result.read(make_run(comparators={"a": 1.0, "ridge:clinical": 2.0})),
    )
    assert list(dict.fromkeys(tables["models"]["model"])) == [
        "default:concat",
        "ridge:clinical",
        "a",
    ]
    assert tables["models"].drop_duplicates("model")["role"].tolist() == [
        "model",
        "clinical only",
        "comparator",
    ]


def test_folds_count_every_prediction(make_run: Builder) -> None:
    run = Result.read(make_run(repeats=2))
    folds = compute_tables(run)["folds"]
    assert len(folds) == 10
    assert folds["patients"].sum() == len(run.predictions)
    assert folds["events"].sum() == run.predictions["event"].sum()
