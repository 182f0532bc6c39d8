"""The expression section of a cohort file."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from builders import CohortFiles, cohort_files
from survfuse._errors import CohortError
from survfuse.cohort import load_cohort


@pytest.fixture
def files(tmp_path: object) -> CohortFiles:
    return cohort_files(tmp_path, modalities=("expression",))  # type: ignore[arg-type]


def test_missing_values_are_read_and_counted(files: CohortFiles) -> None:
    assert files.expression is not None
    files.expression = files.expression.astype(object)
    files.expression.iloc[0, :2] = "NA"
    files.expression.iloc[1, 0] = "not done"
    files.expression.iloc[2] = "NA"
    files.spec["expression"]["missing"] = ["NA", "not done"]
    data = load_cohort(files.write()).modalities["expression"]
    assert data.note() == (
        "log2tpm, symbol; 1 patient(s) without any value count as absent; "
        "3 value(s) missing, in 2 gene(s) and 2 patient(s)"
    )
    assert "003" not in data.patients
    assert np.isnan(data.values()).sum() == 3
    del files.spec["expression"]["missing"]
    with pytest.raises(
        CohortError,
        match=r"'002', 'GENE1': 'not done' is not .* add it to `missing`",
    ):
        load_cohort(files.write())


def test_versions_are_noted_and_what_is_no_gene_is_a_warning(
    files: CohortFiles,
) -> None:
    assert files.expression is not None
    files.expression.columns = pd.Index(
        [f"ENSG{number:011d}.4" for number in range(12)],
    )
    files.expression["N_unmapped"] = 5.5
    files.spec["expression"]["genes"] = "ensembl"
    cohort = load_cohort(files.write())
    assert cohort.modalities["expression"].note() == (
        "log2tpm, ensembl; the version is no part of an Ensembl id (12 ids, such as ENSG00000000000.4)"
    )
    assert [problem.severity for problem in cohort.problems] == ["warning"]
    assert (
        "1 name(s) are no gene and are left out, of library sizes too: N_unmapped"
        in str(cohort.problems[0])
    )
    assert cohort.modalities["expression"].features == 12


@pytest.mark.parametrize("declared", ["patients_by_genes", "genes_by_patients"])
@pytest.mark.parametrize(
    ("prefix", "said"),
    [
        (
            "P",
            r"\(patients \(P001, P002, P003.*\) stand where genes should: declare `orientation: {}`\)",
        ),
        (
            "",
            r"only 0 of 20 ids look so \(not '001'\); correct `genes`, or declare orientation '{}' if",
        ),
    ],
)
def test_a_wrong_orientation_is_refused_and_its_hint_works(
    files: CohortFiles,
    declared: str,
    prefix: str,
    said: str,
) -> None:
    other = {
        "patients_by_genes": "genes_by_patients",
        "genes_by_patients": "patients_by_genes",
    }[declared]
    assert files.expression is not None
    files.patients["patient_id"] = prefix + files.patients["patient_id"]
    files.expression.index = prefix + files.expression.index
    if declared == "patients_by_genes":
        files.expression = files.expression.T
    files.spec["expression"]["orientation"] = declared
    with pytest.raises(CohortError, match=said.format(other)):
        load_cohort(files.write())
    files.spec["expression"]["orientation"] = other
    assert len(load_cohort(files.write()).modalities["expression"].patients) == 20


def test_the_outcome_is_no_gene(files: CohortFiles) -> None:
    assert files.expression is not None
    files.expression["os_days"] = files.patients["os_days"].to_numpy() / 1000
    with pytest.raises(
        CohortError,
        match=r"column 'os_days': this column is the outcome; it cannot be an input",
    ):
        load_cohort(files.write())


def test_a_sample_without_reads_is_refused(files: CohortFiles) -> None:
    assert files.expression is not None
    files.expression = (files.expression * 100).round().astype(int)
    files.spec["expression"]["unit"] = "counts"
    files.expression.iloc[2] = 0
    with pytest.raises(
        CohortError,
        match=r"003: every count is 0, so nothing was measured; remove them, leave",
    ):
        load_cohort(files.write())
    files.expression = files.expression.astype(object)
    files.expression.iloc[2] = ""
    assert "003" not in load_cohort(files.write()).modalities["expression"].patients
