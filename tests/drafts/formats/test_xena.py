"""Downloads from UCSC Xena."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from layouts import DAYS, PATIENTS, people, write_xena, write_xena_gdc
from survfuse._errors import ConfigError
from survfuse.cohort import load_cohort
from survfuse.drafts import Given, format_card

Study = Callable[..., Path]


def test_samples_of_the_tcga_hub_become_patients(study: Study, tmp_path: Path) -> None:
    path = study("xena", outcome=write_xena(tmp_path / "xena"))
    cohort = load_cohort(path, endpoint="os")
    table = people().table.loc[list(cohort.patients)]
    np.testing.assert_array_equal(cohort.outcome.time, (table["months"] * DAYS).round())
    expression = cohort.modalities["expression"].expression
    assert expression.unit == "log2counts"
    # normal tissue of three patients is left out, not averaged in
    own = np.log2(people().counts.loc[list(expression.patients)] + 1)
    np.testing.assert_allclose(expression.values, own, atol=1e-4)
    assert (
        load_cohort(path, endpoint="pfi").outcome.event.sum()
        == table["progressed"].sum()
    )
    assert len(load_cohort(path, endpoint="dss")) == PATIENTS - 1


def test_of_two_tumours_the_primary_is_taken(study: Study, tmp_path: Path) -> None:
    root = write_xena(tmp_path / "xena")
    matrix = pd.read_csv(root / "HiSeqV2.gz", sep="\t", index_col=0)
    patient = people().ids[5]
    matrix.insert(0, f"{patient}-06", 9.0 + matrix[f"{patient}-01"])
    matrix.to_csv(root / "HiSeqV2.gz", sep="\t")
    path = study("xena", outcome=root)
    assert "rows: first" in path.read_text()
    expression = load_cohort(path, endpoint="os").modalities["expression"].expression
    row = expression.patients.index(patient)
    own = np.log2(people().counts.loc[patient] + 1)
    np.testing.assert_allclose(expression.values[row], own, atol=1e-4)


def test_hindsight_of_the_clinical_matrix_is_no_input(
    study: Study, tmp_path: Path
) -> None:
    path = study("xena", outcome=write_xena(tmp_path / "xena"))
    assert load_cohort(path, endpoint="os").modalities["clinical"].features == 3
    assert (
        "vital_status: {kind: nominal, known: followup, use: false}" in path.read_text()
    )


def test_the_gdc_hub_has_ensembl_ids(study: Study, tmp_path: Path) -> None:
    cohort = load_cohort(study("xena", outcome=write_xena_gdc(tmp_path / "xena")))
    expression = cohort.modalities["expression"].expression
    assert (expression.gene_ids, expression.unit) == ("ensembl", "log2counts")
    assert len(expression.patients) == PATIENTS


def test_a_matrix_of_another_name_leaves_the_unit_blank(tmp_path: Path) -> None:
    root = write_xena_gdc(tmp_path / "xena")
    other = (root / "TCGA-LUAD.star_counts.tsv.gz").rename(root / "mine.tsv.gz")
    draft = format_card("xena").draft(Given(outcome=root, expression=other))
    assert list(draft.blanks()) == ["expression.unit"]


def test_what_is_absent_is_said(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match="phenotype, survival data, of a cohort's page"
    ):
        format_card("xena").draft(Given(outcome=tmp_path))
    (tmp_path / "x.survival.tsv").write_text("sample\tTIME\nTCGA-05-4200-01\t5\n")
    with pytest.raises(ConfigError, match=r"expected columns sample, OS and OS.time"):
        format_card("xena").draft(Given(outcome=tmp_path))
