"""A study of cBioPortal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from layouts import PATIENTS, people, write_cbioportal, write_cbioportal_table
from survfuse._errors import ConfigError
from survfuse.cohort import load_cohort
from survfuse.drafts import Given, format_card

Study = Callable[..., Path]
MATRIX = "data_mrna_seq_v2_rsem.txt"


def _read(file: Path) -> pd.DataFrame:
    return pd.read_csv(file, sep="\t", comment="#", dtype=str, keep_default_na=False)


def test_both_endpoints_and_the_matrix(study: Study, tmp_path: Path) -> None:
    path = study("cbioportal", outcome=write_cbioportal(tmp_path / "luad"))
    cohort = load_cohort(path, endpoint="os")
    table = people().table.loc[list(cohort.patients)]
    assert cohort.outcome.event.tolist() == table["dead"].tolist()
    assert list(cohort.modalities) == ["clinical", "expression"]
    assert len(cohort.modalities["expression"].patients) == PATIENTS
    free = load_cohort(path, endpoint="pfs")
    assert free.endpoint == "progression-free survival"
    assert len(free) == PATIENTS - 1  # one has neither time nor status
    assert free.outcome.event.sum() == table["progressed"].drop(people().ids[3]).sum()


def test_samples_of_other_studies_become_patients(study: Study, tmp_path: Path) -> None:
    root = write_cbioportal(tmp_path / "msk")
    _rename_to_own_ids(root)
    path = study("cbioportal", outcome=root)
    assert "match" not in path.read_text()
    written = pd.read_csv(path.parent / "expression.csv", index_col=0)
    assert list(written.columns) == [f"P-{row:07d}" for row in range(PATIENTS)]
    cohort = load_cohort(path, endpoint="os")
    assert len(cohort.modalities["expression"].patients) == PATIENTS


def _rename_to_own_ids(root: Path) -> None:
    """Call patients P-0000001 and samples P-0000001-T01-IM6; the first has two."""
    names = {one: f"P-{row:07d}" for row, one in enumerate(people().ids)}
    for kind in ("patient", "sample"):
        frame = _read(root / f"data_clinical_{kind}.txt")
        frame["PATIENT_ID"] = frame["PATIENT_ID"].map(names)
        if kind == "sample":
            frame["SAMPLE_ID"] = frame["PATIENT_ID"] + "-T01-IM6"
            again = frame.head(1).assign(SAMPLE_ID="P-0000000-T02-IM6")
            frame = pd.concat([frame, again])
        write_cbioportal_table(root / f"data_clinical_{kind}.txt", frame)
    matrix = _read(root / MATRIX)
    samples = [f"{names[name[:12]]}-T01-IM6" for name in matrix.columns[2:]]
    matrix.columns = [*matrix.columns[:2], *samples]
    matrix["P-0000000-T02-IM6"] = matrix[samples[0]]
    matrix.to_csv(root / MATRIX, sep="\t", index=False)


def test_rows_without_a_symbol_are_left_out_and_said(
    study: Study, tmp_path: Path
) -> None:
    root = write_cbioportal(tmp_path / "luad")
    matrix = _read(root / MATRIX)
    matrix.loc[4, "Hugo_Symbol"] = ""
    matrix.to_csv(root / MATRIX, sep="\t", index=False)
    path = study("cbioportal", outcome=root)
    assert "1 rows have no symbol" in path.read_text()
    cohort = load_cohort(path, endpoint="os")
    assert cohort.modalities["expression"].features == 59


def test_a_symbol_that_stands_twice_is_declared(study: Study, tmp_path: Path) -> None:
    root = write_cbioportal(tmp_path / "luad")
    matrix = _read(root / MATRIX)
    matrix.loc[4, "Hugo_Symbol"] = matrix.loc[5, "Hugo_Symbol"]
    matrix.to_csv(root / MATRIX, sep="\t", index=False)
    assert "duplicates: sum" in study("cbioportal", outcome=root).read_text()


def test_negative_values_leave_the_unit_blank(tmp_path: Path) -> None:
    root = write_cbioportal(tmp_path / "luad")
    matrix = _read(root / MATRIX)
    matrix.iloc[:, 2] = "-1.5"
    matrix.to_csv(root / MATRIX, sep="\t", index=False)
    draft = format_card("cbioportal").draft(Given(outcome=root))
    assert "holds negative values" in draft.blanks()["expression.unit"].evidence


def test_what_is_absent_is_said_in_the_words_of_cbioportal(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"has no data_clinical_patient\.txt .*has no files"
    ):
        format_card("cbioportal").draft(Given(outcome=tmp_path))
    root = write_cbioportal(tmp_path / "luad")
    table = _read(root / "data_clinical_patient.txt")[["PATIENT_ID", "SEX"]]
    write_cbioportal_table(root / "data_clinical_patient.txt", table)
    with pytest.raises(ConfigError, match="no pair of columns X_MONTHS and X_STATUS"):
        format_card("cbioportal").draft(Given(outcome=root))
    with pytest.raises(ConfigError, match="got the file"):
        format_card("cbioportal").draft(Given(outcome=root / MATRIX))


def test_a_clinical_column_that_is_the_outcome_is_marked(
    study: Study, tmp_path: Path
) -> None:
    root = write_cbioportal(tmp_path / "luad")
    table = _read(root / "data_clinical_patient.txt")
    table["TUMOR_BOARD"] = table["OS_STATUS"].map({"1:DECEASED": "A", "0:LIVING": "B"})
    write_cbioportal_table(root / "data_clinical_patient.txt", table)
    path = study("cbioportal", outcome=root)
    assert (
        "TUMOR_BOARD: {kind: nominal, known: followup, use: false}" in path.read_text()
    )
    assert load_cohort(path, endpoint="os").modalities["clinical"].features == 3
