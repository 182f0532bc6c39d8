"""What stands several times is never dropped in silence: the rule is asked."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from survfuse.drafts.draft import Section
from survfuse.drafts.guess import Blank
from survfuse.drafts.repeats import ask_duplicates, ask_rows, ask_samples
from survfuse.drafts.tables import GivenTable


def blank_of(section: Section, key: str) -> Blank | None:
    item = section.items.get(key)
    assert item is None or isinstance(item, Blank)
    return item


@pytest.mark.parametrize(
    ("ages", "asked"),
    [(["61", "61", "70"], False), (["61", "62", "70"], True)],
)
def test_rows_that_differ_in_a_used_column_are_asked(
    ages: list[str], asked: bool
) -> None:
    frame = pd.DataFrame(
        {"id": ["P1", "P1", "P2"], "age": ages, "visits": ["1", "2", "3"]}
    )
    section = Section()
    section.section("columns").add("age", {"kind": "numeric"})
    section.section("columns").add("visits", {"kind": "numeric", "use": False})
    ask_rows(section, GivenTable(Path("t.csv"), frame), "id")
    blank = blank_of(section, "rows")
    assert (blank is not None) is asked
    if blank is not None:
        assert blank.evidence == "rows of 1 patients differ, such as P1"


def test_a_table_without_used_columns_asks_nothing() -> None:
    section = Section()
    ask_rows(
        section, GivenTable(Path("t.csv"), pd.DataFrame({"id": ["P1", "P1"]})), "id"
    )
    assert "rows" not in section.items


def test_samples_of_one_participant_are_asked() -> None:
    section = Section()
    ask_samples(section, ["TCGA-05-4249-01A", "TCGA-05-4249-06A", "TCGA-05-4250-01A"])
    blank = blank_of(section, "rows")
    assert blank is not None
    assert [choice.value for choice in blank.choices] == ["mean", "first"]


def test_versions_of_one_gene_are_asked() -> None:
    section = Section()
    ask_duplicates(section, ["ENSG00000141510.1", "ENSG00000141510.2"], "ensembl")
    blank = blank_of(section, "duplicates")
    assert blank is not None
    assert "ENSG00000141510" in blank.evidence
    ask_duplicates(once := Section(), ["TP53", "MYC"], "symbol")
    assert not once.items


def test_normal_tissue_is_no_second_sample() -> None:
    section = Section()
    ask_samples(section, ["TCGA-05-4249-01A", "TCGA.05.4249.11A", "TCGA-05-4250-01A"])
    assert not section.items
