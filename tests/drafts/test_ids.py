"""The column of patients is guessed from names, cells and what tables share."""

from __future__ import annotations

import pandas as pd
import pytest

from survfuse.drafts.ids import are_samples, id_column, participant

IDS = ["P1", "P2", "P3", "P4"]


def test_a_slide_table_is_named_by_its_patients() -> None:
    frame = pd.DataFrame(
        {"slide_id": ["a", "b", "c", "d"], "case_id": ["P1", "P1", "P2", "P3"]}
    )
    guess = id_column(frame)
    assert guess is not None
    assert guess.value == "case_id"


def test_what_other_tables_share_counts_more_than_a_name() -> None:
    frame = pd.DataFrame({"id": ["1", "2", "3", "4"], "pseudonym": IDS})
    other = pd.DataFrame({"pseudonym": IDS, "age": ["61", "62", "63", "64"]})
    guess = id_column(frame, [other])
    assert guess is not None
    assert (guess.value, guess.certain) == ("pseudonym", True)
    assert "100% are in the other table" in guess.evidence


def test_columns_with_decimals_or_blanks_are_no_ids() -> None:
    frame = pd.DataFrame({"weight": ["1.5", "2.5", "3.5"], "code": ["a", "", "c"]})
    assert id_column(frame) is None


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (["TCGA-05-4249-01", "TCGA-05-4250-01A"], True),
        (["TCGA-05-4249", "TCGA-05-4250"], False),
        (["TCGA.05.4249", "TCGA.05.4250"], True),
        (["tcga-05-4249", "tcga-05-4250"], True),
        (["P1-01", "P2-01"], False),
    ],
)
def test_samples_of_tcga_are_longer_than_participants(
    ids: list[str], expected: bool
) -> None:
    assert are_samples(ids) is expected


def test_only_barcodes_are_cut() -> None:
    assert participant("TCGA-05-4249-01Z-00-DX1") == "TCGA-05-4249"
    assert participant("tcga.05.4249.11A") == "TCGA-05-4249"
    assert participant("TCGAX-05-4249-01Z") == "TCGAX-05-4249-01Z"


def test_a_table_without_ids_has_no_column_of_patients() -> None:
    frame = pd.DataFrame(
        {
            "days": ["100", "200", "300"],
            "age": ["61", "62", "63"],
            "nodes": ["0", "1", "0"],
        }
    )
    assert id_column(frame) is None
