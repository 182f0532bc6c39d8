"""A cohort written as a folder is the cohort."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from builders import CohortFiles
from frames import bags, expression, made, patients
from survfuse._errors import CohortError
from survfuse.cohort import Cohort, load_cohort
from survfuse.datasets import hancock, tcga_luad
from survfuse.readers.matrices import MISSING


def rewritten(cohort: Cohort, folder: Path, **how: Any) -> Cohort:
    return load_cohort(cohort.to_yaml(folder), **how)


def whole() -> Cohort:
    """Every kind of modality, groups, folds, labels and missing cells."""
    table = patients()
    blood = table[["patient_id"]].assign(Hb=np.arange(40.0), os_flag=np.arange(40))
    return made(
        table,
        clinical=table[["patient_id", "age", "sex", "asa", "stage"]],
        columns={
            "age": {"kind": "numeric", "label": "Age (years)"},
            "asa": {"kind": "nominal", "labels": {"1": "healthy"}, "missing": ["4"]},
            "os_flag": "numeric",
        },
        expression=expression(table),
        expression_unit="log2tpm",
        tables={"blood": blood},
        bags={"slides": bags(table), "cd8": bags(table.iloc[:30], 3)},
        encoder={"slides": "uni"},
        mpp=0.5,
        groups="site",
        folds="smoker",
        endpoint="overall survival",
        horizons=[12, 24],
        exclude=["P007"],
    )


def test_a_written_cohort_is_the_cohort(tmp_path: Path) -> None:
    cohort = whole()
    again = rewritten(cohort, tmp_path / "whole")
    assert again.fingerprint() == cohort.fingerprint()
    assert again.columns == cohort.columns
    assert (again.endpoint, again.unit) == ("overall survival", "months")
    assert again.spec.outcome is not None
    assert again.spec.outcome.horizons == (12, 24)
    half = again.subset(again.patients[::2])
    assert rewritten(half, tmp_path / "half").fingerprint() == half.fingerprint()


def test_censoring_keeps_its_polarity(tmp_path: Path) -> None:
    table = patients()
    table["alive"] = ~table["dead"].astype(bool)
    cohort = made(table, event=None, censored="alive", clinical=["age"])
    again = rewritten(cohort, tmp_path / "out")
    assert again.events == cohort.events == 19
    assert again.fingerprint() == cohort.fingerprint()
    assert "censored: alive" in (tmp_path / "out" / "cohort.yaml").read_text()


def test_a_time_made_of_two_columns_is_called_as_no_input(tmp_path: Path) -> None:
    table = patients()
    table["start"] = "2020-01-01"
    day = pd.to_datetime(table["start"]) + pd.to_timedelta(np.arange(1, 41), unit="D")
    table["end"] = day.dt.strftime("%Y-%m-%d")
    labs = table[["patient_id", "age"]].rename(columns={"age": "time"})
    cohort = made(
        table,
        time={"from": "start", "to": "end"},
        tables={"labs": labs},
        columns={"time": "numeric"},
    )
    again = load_cohort(cohort.to_yaml(tmp_path / "study"))
    assert again.fingerprint() == cohort.fingerprint()


def test_real_cohorts_are_written(tmp_path: Path, shared_data: Path) -> None:
    sources = {hancock: "hancock", tcga_luad: "tcga_luad"}
    for write, name in sources.items():
        cohort = load_cohort(write(tmp_path / name, source=shared_data / name))
        part = cohort.subset(cohort.patients[::3])
        assert (
            rewritten(part, tmp_path / f"{name}-part").fingerprint()
            == part.fingerprint()
        )


def test_a_cohort_of_files_is_written(tmp_path: Path, files: CohortFiles) -> None:
    cohort = load_cohort(files.write())
    assert rewritten(cohort, tmp_path / "out").fingerprint() == cohort.fingerprint()


def test_priors_are_written(tmp_path: Path) -> None:
    table = patients().assign(their_risk=np.linspace(-1, 1, 40))
    cohort = made(
        table,
        clinical=["age", "their_risk"],
        columns={"their_risk": {"role": "prior_risk", "kind": "numeric"}},
    )
    assert set(cohort.modalities) == {"clinical", "their_risk"}
    assert rewritten(cohort, tmp_path / "out").fingerprint() == cohort.fingerprint()


def test_a_cohort_without_outcome_is_written(tmp_path: Path) -> None:
    cohort = Cohort.from_frames(clinical=patients()[["patient_id", "age"]])
    again = rewritten(cohort, tmp_path / "out", need_outcome=False)
    assert again.fingerprint() == cohort.fingerprint()


def test_times_are_written_so_that_they_read_back(tmp_path: Path) -> None:
    table = patients(400, seed=5)
    table["months"] = np.random.default_rng(6).gamma(2, 31.7, 400)
    cohort = made(table, clinical=["age"])
    times = rewritten(cohort, tmp_path / "out").outcome
    assert times is not None
    assert cohort.outcome is not None
    pd.testing.assert_series_equal(
        times["time"], cohort.outcome["time"], check_exact=True
    )


def test_texts_that_mean_not_known_stay_declared(tmp_path: Path) -> None:
    table = patients()
    table["sex"] = table["sex"].mask(table.index < 5, "?")
    cohort = made(table, clinical=["age", "sex"], missing=[*MISSING, "?"])
    again = rewritten(cohort, tmp_path / "out")
    assert again.fingerprint() == cohort.fingerprint()
    assert again.modalities["clinical"].texts("sex").isna().sum() == 4  # type: ignore[union-attr]


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    cohort = made(patients(), clinical=["age"])
    folder = tmp_path / "out"
    cohort.to_yaml(folder)
    with pytest.raises(
        CohortError, match=r"holds clinical.csv, cohort.yaml.*force=True"
    ):
        cohort.to_yaml(folder)
    part = cohort.subset(cohort.patients[:20])
    assert (
        load_cohort(part.to_yaml(folder, force=True)).fingerprint()
        == part.fingerprint()
    )
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(
        CohortError, match=r"holds notes.txt, which this method did not write"
    ):
        cohort.to_yaml(folder, force=True)
    (tmp_path / "file").write_text("")
    with pytest.raises(CohortError, match="is a file"):
        cohort.to_yaml(tmp_path / "file")
    other = tmp_path / "other"
    other.mkdir()
    (other / "cohort.yaml").write_text("name: theirs\n")
    with pytest.raises(
        CohortError, match=r"holds cohort.yaml, which this method did not"
    ):
        cohort.to_yaml(other, force=True)
