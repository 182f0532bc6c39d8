"""A blank cell moves nobody's risk further than its column does, whatever was missing in training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from survfuse._types import BoolArray, FloatArray
from survfuse.cohort import Cohort, TableData, load_cohort
from survfuse.cohort.spec import ColumnSpec
from survfuse.cohort.transform_tables import TableTransform
from survfuse.datasets import hancock, tcga_luad
from survfuse.estimators.linear_cox import LinearCox, limit_missing, without_missing

COLUMNS = {
    "age": ColumnSpec(kind="numeric"),
    "marker": ColumnSpec(kind="numeric"),
    "stage": ColumnSpec(kind="ordinal", levels=("I", "II", "III", "IV")),
    "grade": ColumnSpec(kind="nominal"),
    "site": ColumnSpec(kind="nominal"),
}


def study(seed: int, patients: int = 140) -> tuple[TableData, FloatArray, BoolArray]:
    """A table with every way to be missing: of two patients, of event-free ones, of those who die early."""
    rng = np.random.default_rng(seed)
    age = rng.normal(60, 10, patients)
    marker = np.exp(rng.normal(0, 1.5, patients))
    time = rng.exponential(np.exp(-0.04 * (age - 60))) + 0.01
    event = rng.random(patients) < 0.5
    order = np.argsort(time)
    cells = {
        "age": age.round(),
        "marker": marker.round(3),
        "stage": rng.choice(["I", "II", "III", "IV"], patients),
        "grade": rng.choice(["low", "high", "odd"], patients, p=[0.5, 0.45, 0.05]),
        "site": rng.choice(
            list("abcdefgh"),
            patients,
            p=[0.3, 0.3, 0.2, 0.05, 0.05, 0.05, 0.03, 0.02],
        ),
    }
    frame = pd.DataFrame(cells).astype(str).astype(object)
    frame.index = pd.Index([f"p{row:03d}" for row in range(patients)], dtype=object)
    frame.iloc[order[:25], frame.columns.get_loc("marker")] = (
        ""  # who dies early was not measured
    )
    frame.iloc[order[-25:], frame.columns.get_loc("stage")] = ""
    frame.iloc[np.flatnonzero(~event)[:2], frame.columns.get_loc("grade")] = ""
    frame.iloc[
        rng.choice(patients, 30, replace=False),
        frame.columns.get_loc("site"),
    ] = ""
    return TableData("clinical", frame, COLUMNS, ("",), "clinical"), time, event


def assert_law(
    data: TableData,
    train: Sequence[str],
    time: FloatArray,
    event: BoolArray,
) -> list[str]:
    """Fit on the training patients, blank each column of everyone; the columns that have an indicator."""
    transform = TableTransform.fit(data, train, event)
    blanks = {"clinical": transform.blanks}
    x = transform.apply(data, train)[0].astype(float)
    fitted = LinearCox.fit(
        {"clinical": (x, np.ones(len(x), bool))},
        time,
        event,
        bags=(),
        missing=blanks,
    )
    coef = fitted.coef["clinical"]
    whole = transform.apply(data, data.patients)[0].astype(float)
    start = 0
    for column in transform.columns:
        places = np.arange(start, start + len(column.values) + len(column.blank))
        start = int(places[-1]) + 1
        known = data.texts(column.name, list(train)).notna().to_numpy(bool)
        own = x[known] @ np.where(np.isin(np.arange(len(coef)), places), coef, 0)
        lost = replace(data, frame=data.frame.assign(**{column.name: ""}))
        moved = (transform.apply(lost, data.patients)[0] - whole) @ coef
        assert np.abs(moved).max() <= np.ptp(own) + 1e-6, column.name
    return [
        name for name in transform.features if name.endswith(("=missing", "=unknown"))
    ]


@pytest.mark.parametrize("seed", range(20))
def test_no_blank_moves_a_risk_further_than_its_column(seed: int) -> None:
    data, time, event = study(seed)
    train = data.patients[:100]
    told = assert_law(data, train, time[:100], event[:100])
    assert "grade=unknown" not in told  # two patients


def test_new_patients_with_wild_values_are_no_exception() -> None:
    data, time, event = study(1)
    data.frame.loc["p120", ["age", "marker", "site"]] = ["7000", "1e9", "elsewhere"]
    assert_law(data, data.patients[:100], time[:100], event[:100])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("convert", "folder"),
    [(hancock, "hancock"), (tcga_luad, "tcga_luad")],
)
def test_no_blank_does_on_real_cohorts(
    convert,
    folder,
    shared_data: Path,
    tmp_path: Path,
) -> None:  # type: ignore[no-untyped-def]
    assert_law_on_clinical(
        load_cohort(convert(tmp_path / folder, source=shared_data / folder)),
    )


CANCERS = ("brca", "coadread", "gbmlgg", "hnsc", "kirp", "lusc", "paad", "skcm")


@pytest.mark.parametrize("cancer", CANCERS)
def test_no_blank_does_with_age_and_sex_alone(
    cancer: str,
    shared_data: Path,
    tmp_path: Path,
) -> None:
    table = shared_data / "tcga_omics" / cancer / "patients.csv"
    spec = {
        "name": cancer,
        "outcome": {
            "table": str(table),
            "patient": "case_id",
            "time": "os_months",
            "unit": "months",
        },
        "clinical": {
            "table": str(table),
            "columns": {"age": "numeric", "is_female": "nominal"},
        },
    }
    spec["outcome"] |= {"event": "os_event", "exclude_invalid": "true"}
    file = tmp_path / "cohort.yaml"
    file.write_text(yaml.safe_dump(spec))
    assert_law_on_clinical(load_cohort(file))


def assert_law_on_clinical(cohort: Cohort) -> None:
    data = cohort.modalities["clinical"]
    assert isinstance(data, TableData)
    assert cohort.outcome is not None
    train = [patient for row, patient in enumerate(data.patients) if row % 5]
    outcome = cohort.outcome.loc[train]
    assert_law(
        data,
        train,
        outcome["time"].to_numpy(float),
        outcome["event"].to_numpy(bool),
    )


def test_a_weight_is_held_at_the_ends_of_what_known_values_contribute() -> None:
    x = np.array([[-1.0, 0], [2, 0], [0, 1], [9, 1]])
    has = np.array([True, True, True, False])
    held = [
        limit_missing((x, has), np.array([0.5, weight]), {1: (0,)})[1]
        for weight in (-3.0, 0.7, 4.0)
    ]
    assert held == [-0.5, 0.7, 1.0]


def test_without_it_early_deaths_would_make_a_blank_worse_than_any_value() -> None:
    """The law is not kept by luck: the free weight of a blank lies outside."""
    data, time, event = study(0)
    data = replace(data, columns={"marker": COLUMNS["marker"]})
    transform = TableTransform.fit(data, data.patients, event)
    x = transform.apply(data, data.patients)[0].astype(float)
    block = (x, np.ones(len(x), bool))
    free, held = (
        LinearCox.fit({"t": block}, time, event, bags=(), missing={"t": given}).coef[
            "t"
        ]
        for given in ({}, transform.blanks)
    )
    assert transform.features == ("marker", "marker=missing")
    assert free[1] > (x[:, 0] * free[0]).max() + 0.5
    assert held[1] == pytest.approx((x[:, 0] * held[0]).max())


def test_pairs_read_a_blank_as_the_mean() -> None:
    plain, _ = without_missing(
        (np.array([[1.0, 0], [0, 1]]), np.ones(2, bool)),
        {1: (0,)},
    )
    assert plain.tolist() == [[1, 0], [0, 0]]
