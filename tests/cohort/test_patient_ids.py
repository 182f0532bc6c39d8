from __future__ import annotations

import pandas as pd
import pytest

from survfuse.cohort.patient_ids import normal_samples, patients_of, sample_kinds
from survfuse.cohort.problems import Problems
from survfuse.cohort.spec import PatientColumn

TCGA = PatientColumn(column="sample", match="tcga")


def cut(*ids: str, rule: PatientColumn = TCGA) -> list[str] | str:
    """Patients of some ids, or the problem."""
    problems = Problems()
    found = patients_of(pd.Series(ids, dtype=object), rule, problems.at("clinical"))
    return str(problems.errors[0]) if found is None else found.tolist()


@pytest.mark.parametrize(
    "barcode",
    [
        "TCGA-AA-3489",
        "tcga-aa-3489-01a",
        "TCGA.AA.3489.01A.21R.1839.07",
        " TCGA-AA-3489-11A-01-TS1",
        "TCGA-AA-3489-01Z-00-DX1.1A2B.svs",
        "TCGA-AA-3489_rna",
    ],
)
def test_a_barcode_is_cut_to_its_participant(barcode: str) -> None:
    assert cut(barcode) == ["TCGA-AA-3489"]


def test_ids_that_are_no_barcodes_are_named() -> None:
    text = cut("TCGA-AA-3489", "P7", "TCGA-AA-34891", "P7")
    assert (
        "3 of 4 ids are no TCGA barcodes: 'P7', 'TCGA-AA-34891'; expected TCGA-AA-1234"
        in text
    )


def test_a_start_of_each_id_is_taken() -> None:
    assert cut("P001-a", "P002-b", rule=PatientColumn(take=4)) == ["P001", "P002"]
    assert cut("p.1", rule=PatientColumn(column="id")) == ["p.1"]


def test_normal_samples_are_those_of_types_10_to_29() -> None:
    types = ["01A", "06A", "10A", "11A", "20A", "29", "30", "1"]
    ids = pd.Series([f"TCGA-AA-3489-{one}" for one in types])
    expected = [False, False, True, True, True, True, False, False]
    assert normal_samples(ids, TCGA).tolist() == expected
    assert not normal_samples(ids, PatientColumn(take=12)).any()
    assert sample_kinds(ids) == "4 of 8 are normal samples"
    assert sample_kinds(["a"]) == ""
