from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from report.performed import estimate, performance
from survfuse._errors import InputError
from survfuse._storage import read_json
from survfuse.results.run_tables import (
    CHOSEN_ON_TEST,
    CHOSEN_ON_TRAINING,
    LISTS,
    SCHEMA,
    tables,
)
from survfuse.results.schema import Performance, validate

Told = dict[str, Any]


@pytest.fixture
def told() -> Told:
    return json.loads(json.dumps(performance("default:concat", (12.0, 36.0))))


def read_performance(path: Path) -> Any:
    return validate(Performance, read_json(path), path)


def write(folder: Path, told: Any) -> Path:
    path = folder / "performance.json"
    path.write_text(json.dumps(told), encoding="utf-8")
    return path


def test_every_table_has_its_schema_whole_or_absent(tmp_path: Path, told: Told) -> None:
    for source in (told, {}, dict.fromkeys(told), {key: [] for key in LISTS}):
        found = tables(read_performance(write(tmp_path, source)))
        assert found.keys() == SCHEMA.keys()
        for name, frame in found.items():
            assert tuple(frame.columns) == SCHEMA[name], name
            assert frame.empty == (source is not told), name


def test_numbers_are_those_of_the_file(tmp_path: Path, told: Told) -> None:
    found = tables(read_performance(write(tmp_path, told)))
    for key, name in LISTS.items():
        assert len(found[name]) == len(told[key]), name
    for row, source in zip(
        found["increments"].to_dict("records"),
        told["increment"],
        strict=True,
    ):
        assert (row["with"], row["without"]) == (source["with"], source["without"])
        for end in ("value", "low", "high"):
            wanted = [
                source["delta_uno_c"][end],
                source["delta_isbs"][end],
                source["p_holm"],
            ]
            got = [
                row[end],
                row["isbs" if end == "value" else f"isbs_{end}"],
                row["p_holm"],
            ]
            assert np.array_equal(
                np.array(wanted, float),
                np.array(got, float),
                equal_nan=True,
            )
    optimism = found["optimism"].set_index("score")["value"]
    assert optimism[CHOSEN_ON_TRAINING] == told["optimism"]["honest"]["value"]
    assert optimism[CHOSEN_ON_TEST] == told["optimism"]["selected_on_test"]["value"]
    assert found["external"].query("metric == 'observed_expected'")[
        "value"
    ].tolist() == [1.3]
    assert found["permuted_outcome"]["value"].tolist() == [0.507]


def test_seeds_are_summed_up(told: Told) -> None:
    row = tables({"seeds": {"metric": "uno_c", "values": [0.6, 0.7], "sd": 0.07}})[
        "seeds"
    ].iloc[0]
    assert (row["seeds"], row["lowest"], row["highest"]) == (2, 0.6, 0.7)
    assert row["mean"] == pytest.approx(0.65)
    assert tables({"seeds": {"values": []}})["seeds"].empty
    assert tables({"seeds": {"values": [None]}})["seeds"].empty
    some = tables({"seeds": {"values": [0.6, None], "sd": None}})["seeds"].iloc[0]
    assert (some["seeds"], some["lost"], some["mean"]) == (1, 1, 0.6)


def test_what_is_null_stays_unknown_and_keeps_its_reason(told: Told) -> None:
    row = tables(told)["increments"].query("modality == 'blood'").iloc[0]
    assert pd.isna(row["value"])
    assert row["note"] == "the network without it was not trained"
    assert pd.isna(row["p"])


def lose(*path: str | int) -> Callable[[Told], None]:
    def change(told: Told) -> None:
        for step in path[:-1]:
            told = told[step]  # type: ignore[index]
        told.pop(path[-1])  # type: ignore[arg-type]

    return change


def put(value: Any, *path: str | int) -> Callable[[Told], None]:
    def change(told: Told) -> None:
        for step in path[:-1]:
            told = told[step]  # type: ignore[index]
        told[path[-1]] = value  # type: ignore[index]

    return change


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (
            lose("increment", 1, "without"),
            r"increment, row 2: expected key\(s\) without",
        ),
        (lose("time_curves", 0, "time"), r"time_curves, row 1: expected key\(s\) time"),
        (
            put("0.7", "time_curves", 2, "value"),
            r"time_curves, row 3: value: expected a number",
        ),
        (
            put(True, "subgroups", 0, "patients"),
            r"subgroups, row 1: patients: expected a number",
        ),
        (put({}, "decision"), r"decision: expected a list, got dict"),
        (put([1], "calibration"), r"calibration, row 1: expected an object, got int"),
        (
            put(0.3, "increment", 0, "delta_isbs"),
            r"row 1: delta_isbs: expected an object, got float",
        ),
        (
            put("x", "comparisons", 0, "delta_uno_c", "low"),
            r"delta_uno_c: low: expected a number",
        ),
        (
            lose("optimism", "selected_on_test"),
            r"optimism: expected key\(s\) selected_on_test",
        ),
        (put([0.6], "optimism"), r"optimism: expected an object, got list"),
        (
            put({"auc": 1}, "permuted_outcome"),
            r"permuted_outcome: expected key\(s\) uno_c",
        ),
        (
            put([0.6, "x"], "seeds", "values"),
            r"seeds: values, row 2: expected a number, got 'x'",
        ),
        (put("all", "seeds", "values"), r"seeds: values: expected a list, got str"),
        (
            put("rna", "availability", 1, "modalities"),
            r"availability, row 2: modalities: expected a list, got str",
        ),
        (
            lose("availability", 0, "events"),
            r"availability, row 1: expected key\(s\) events",
        ),
        (put([1], "robustness"), r"robustness: expected an object, got list"),
        (lose("robustness", "left_out"), r"robustness: expected key\(s\) left_out"),
        (
            put("none", "robustness", "left_out"),
            r"robustness: left_out: expected a list, got str",
        ),
        (
            lose("robustness", "rows", 2, "kind"),
            r"robustness: rows, row 3: expected key\(s\) kind",
        ),
        (
            put("x", "robustness", "rows", 0, "value"),
            r"robustness: rows, row 1: value: expected a number",
        ),
        (
            lose("external", "robustness", "rows", 0, "model"),
            r"external: robustness: rows, row 1: expected key",
        ),
        (lose("external", "cohort"), r"external: expected key\(s\) cohort"),
        (
            put(0.6, "external", "metrics", "m"),
            r"external: metrics: m: expected an object, got float",
        ),
        (
            put({"uno_c": None}, "external", "metrics", "m"),
            r"external: metrics: m: uno_c: expected an object",
        ),
    ],
)
def test_a_broken_file_is_refused_with_its_place(
    tmp_path: Path,
    told: Told,
    change: Callable[[Told], None],
    match: str,
) -> None:
    change(told)
    with pytest.raises(InputError, match=match):
        read_performance(write(tmp_path, told))


def test_a_file_that_is_no_object_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        InputError,
        match=r"performance.json: expected an object, got list",
    ):
        read_performance(write(tmp_path, []))


def test_an_estimate_without_interval_is_kept(tmp_path: Path, told: Told) -> None:
    told["permuted_outcome"]["uno_c"] = {**estimate(0.5), "low": None, "high": None}
    row = tables(read_performance(write(tmp_path, told)))["permuted_outcome"].iloc[0]
    assert row["value"] == 0.5
    assert pd.isna(row["low"])
