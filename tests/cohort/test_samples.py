from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from builders import CohortFiles, cohort_files
from survfuse._errors import CohortError
from survfuse.cohort import ExpressionData, load_cohort


@pytest.fixture
def tcga(tmp_path: Any) -> CohortFiles:
    """A cohort whose matrix has one tumour of each patient and some normal samples."""
    files = cohort_files(tmp_path, modalities=("expression",))
    ids = [f"TCGA-AA-{number:04d}" for number in range(20)]
    files.patients["patient_id"] = ids
    assert files.expression is not None
    tumour = files.expression.set_axis([f"{one}-01A" for one in ids])
    normal = (tumour.iloc[:4] + 5).set_axis([f"{one}-11A" for one in ids[:4]])
    files.expression = pd.concat([normal, tumour])
    files.spec["expression"]["patient"] = {"match": "tcga"}
    return files


def row(files: CohortFiles, patient: str = "TCGA-AA-0000") -> list[float]:
    data = load_cohort(files.write()).modalities["expression"]
    assert isinstance(data, ExpressionData)
    matrix = data.expression
    values = matrix.values[matrix.patients.index(patient)]
    return np.asarray(values, float).tolist()


def own(files: CohortFiles, sample: str) -> list[float]:
    assert files.expression is not None
    return files.expression.loc[sample].tolist()


def test_normal_samples_are_left_out_and_counted(tcga: CohortFiles) -> None:
    assert row(tcga) == pytest.approx(own(tcga, "TCGA-AA-0000-01A"), rel=1e-6)
    (problem,) = load_cohort(tcga.write()).problems
    assert "4 of 24 samples are normal" in problem.message
    assert problem.patient.startswith("TCGA-AA-0000, TCGA-AA-0001")


def test_columns_of_a_matrix_may_be_barcodes_as_r_writes_them(
    tcga: CohortFiles,
) -> None:
    assert tcga.expression is not None
    expected = own(tcga, "TCGA-AA-0003-01A")
    genes = tcga.expression.T.rename(columns=lambda name: name.replace("-", "."))
    path = tcga.write()
    genes.to_csv(path.with_name("rna.csv"), index_label="gene")
    text = path.read_text().replace(
        "path: rna.csv", "path: rna.csv\n  orientation: genes_by_patients"
    )
    path.write_text(text)
    data = load_cohort(path).modalities["expression"]
    assert isinstance(data, ExpressionData)
    matrix = data.expression
    values = matrix.values[matrix.patients.index("TCGA-AA-0003")]
    assert values == pytest.approx(expected, rel=1e-6)


def test_several_tumours_of_a_patient_are_refused_until_a_rule_is_given(
    tcga: CohortFiles,
) -> None:
    assert tcga.expression is not None
    extra = (tcga.expression.loc[["TCGA-AA-0000-01A"]] + 2).set_axis(
        ["TCGA-AA-0000-02A"]
    )
    tcga.expression = pd.concat([extra, tcga.expression])
    with pytest.raises(
        CohortError,
        match=r"TCGA-AA-0000: 1 patient\(s\) have several samples \('TCGA-AA-0000-01A', "
        r"'TCGA-AA-0000-02A'\) \(.*`rows: first` or `rows: mean`",
    ):
        load_cohort(tcga.write())
    tcga.spec["expression"]["rows"] = "first"
    first = own(tcga, "TCGA-AA-0000-01A")
    assert row(tcga) == pytest.approx(first, rel=1e-6)
    tcga.spec["expression"]["rows"] = "mean"
    assert row(tcga) == pytest.approx([one + 1 for one in first], rel=1e-6)


def test_cut_ids_say_how_many_samples_are_normal(tcga: CohortFiles) -> None:
    tcga.spec["expression"]["patient"] = {"take": 12}
    with pytest.raises(
        CohortError, match="4 of 8 are normal samples, which `match: tcga`"
    ):
        load_cohort(tcga.write())


def test_a_mean_is_of_the_samples_in_which_a_gene_is_known(tcga: CohortFiles) -> None:
    assert tcga.expression is not None
    tcga.spec["expression"] |= {"patient": {"take": 12}, "rows": "mean"}
    tcga.expression.loc["TCGA-AA-0000-11A", "GENE1"] = np.nan
    tumour = own(tcga, "TCGA-AA-0000-01A")
    assert row(tcga)[:2] == pytest.approx([tumour[0], tumour[1] + 2.5], rel=1e-6)


def test_rows_of_one_id_follow_the_rule_too(tcga: CohortFiles) -> None:
    assert tcga.expression is not None
    tcga.expression.index = tcga.expression.index.str[:12]
    with pytest.raises(CohortError, match=r"4 patient\(s\) have several samples"):
        load_cohort(tcga.write())
    tcga.spec["expression"]["rows"] = "mean"
    assert len(row(tcga)) == 12
