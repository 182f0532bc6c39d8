"""A row per slide, censorship, genes as columns."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from layouts import PATIENTS, people, slide_names, write_mcat
from survfuse._errors import ConfigError
from survfuse.cohort import load_cohort
from survfuse.drafts import Given, format_card

Study = Callable[..., Path]


def test_everything_in_the_table_is_found(study: Study, tmp_path: Path) -> None:
    cohort = load_cohort(study("mcat", outcome=write_mcat(tmp_path / "mcat")))
    assert len(cohort) == PATIENTS
    assert list(cohort.modalities) == ["clinical", "expression", "cnv", "mut", "slides"]
    assert {name: data.features for name, data in cohort.modalities.items()} == {
        "clinical": 2,
        "expression": 60,
        "cnv": 4,
        "mut": 2,
        "slides": 16,
    }
    table = people().table.loc[list(cohort.patients)]
    assert cohort.outcome.event.tolist() == table["dead"].tolist()
    assert cohort.outcome.time.tolist() == table["months"].tolist()
    assert len(cohort.modalities["slides"].store.slides) == len(slide_names())


def test_the_table_of_survpath_has_another_endpoint(
    study: Study, tmp_path: Path
) -> None:
    folder = write_mcat(tmp_path / "survpath", suffix="_dss", zipped=False)
    file = folder / "tcga_luad_all_clean.csv"
    path = study("mcat", outcome=file, features=folder / "tcga_luad_20x_features")
    assert "censored: censorship_dss" in path.read_text()
    assert load_cohort(path).endpoint == "disease-specific survival"


def test_two_endpoints_of_one_table_are_both_written(
    study: Study, tmp_path: Path
) -> None:
    folder = write_mcat(tmp_path / "two", zipped=False)
    file = folder / "tcga_luad_all_clean.csv"
    table = pd.read_csv(file)
    table["survival_months_pfi"] = table["survival_months"] / 2
    table["censorship_pfi"] = 0.0
    table.loc[table.index[-1], "censorship_pfi"] = 1.0
    table.to_csv(file, index=False)
    path = study("mcat", outcome=folder)
    own = load_cohort(path, endpoint="pfi")
    assert own.outcome.event.sum() == PATIENTS - 1
    assert (
        load_cohort(path, endpoint="os").outcome.event.sum()
        == people().table["dead"].sum()
    )


def test_values_that_are_no_z_scores_leave_a_blank(tmp_path: Path) -> None:
    folder = write_mcat(tmp_path / "log", zipped=False)
    file = folder / "tcga_luad_all_clean.csv"
    table = pd.read_csv(file)
    genes = [name for name in table if name.endswith("_rnaseq")]
    table[genes] = table[genes].abs()
    table.to_csv(file, index=False)
    draft = format_card("mcat").draft(Given(outcome=folder))
    assert list(draft.blanks()) == ["expression.unit"]


def test_another_table_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("case_id,age\nA,5\nB,6\n")
    with pytest.raises(ConfigError, match=r"censorship .*; looked at t.csv"):
        format_card("mcat").draft(Given(outcome=tmp_path))
    with pytest.raises(ConfigError, match="expected --outcome FILE_OR_FOLDER"):
        format_card("mcat").draft(Given())


def test_the_matrix_of_survpath_takes_the_place_of_columns(
    study: Study, tmp_path: Path
) -> None:
    folder = write_mcat(tmp_path / "mcat")
    patients = people().table
    values = np.random.default_rng(0).normal(size=(len(patients), 30))
    genes = [f"GENE{number}" for number in range(30)]
    matrix = tmp_path / "rna_clean.csv"
    pd.DataFrame(values, index=patients.index, columns=genes).to_csv(matrix)
    path = study("mcat", outcome=folder, expression=matrix)
    assert "gene_suffix" not in path.read_text()
    expression = load_cohort(path).modalities["expression"]
    assert expression.features == 30


def test_files_that_a_format_does_not_look_at_are_refused(tmp_path: Path) -> None:
    given = Given(outcome=tmp_path, clinical=tmp_path, tables=(tmp_path,))
    card = format_card("mcat")
    with pytest.raises(
        ConfigError, match="does not look at --clinical and --table; it takes --outc"
    ):
        card.refuse_unused(given)
    card.refuse_unused(Given(outcome=tmp_path, expression=tmp_path))
