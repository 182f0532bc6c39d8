"""Columns that are the outcome by content are written out, whichever status is the event."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from survfuse.drafts import Draft, Given, draft_of
from survfuse.drafts.guess import Guess
from survfuse.drafts.leaks import put_leaks


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rng = np.random.default_rng(1)
    status = np.arange(60) % 2
    months = rng.uniform(1, 90, 60).round(1)
    frame = pd.DataFrame(
        {
            "patient_id": [f"P{i}" for i in range(60)],
            "months": months,
            "status": status,
            "age": rng.integers(40, 90, 60),
            "group_code": np.where(status, 7.5, 3.5),
            "visits": (months * 10).astype(int),
        },
    )
    path = tmp_path / "p.csv"
    frame.to_csv(path, index=False)
    return path


def columns_of(draft: Draft) -> dict[str, Guess[object]]:
    items = draft.section("clinical").section("columns").items
    return {name: item for name, item in items.items() if isinstance(item, Guess)}


def test_leaks_are_found_though_the_polarity_is_open(table: Path) -> None:
    draft = draft_of(Given(outcome=table))
    assert "outcome.event" in draft.blanks()
    columns = columns_of(draft)
    assert columns["age"].value == {"kind": "numeric"}
    for name in ("group_code", "visits"):
        assert columns[name].value == {
            "kind": "numeric",
            "known": "followup",
            "use": False,
        }
        assert columns[name].evidence.startswith("the outcome under another name: it ")


def test_what_was_not_searched_is_said(table: Path) -> None:
    frame = pd.read_csv(table).drop(columns="status")
    frame.to_csv(table, index=False)
    draft = draft_of(Given(outcome=table))
    assert draft.notes[-1].startswith("columns not searched for the outcome's content:")


def test_a_wide_table_is_searched_without_its_genes(table: Path) -> None:
    frame = pd.read_csv(table)
    for number in range(20):
        frame[f"G{number}_cnv"] = number
    frame.to_csv(table, index=False)
    draft = draft_of(Given(outcome=table))
    assert columns_of(draft)["visits"].value == {
        "kind": "numeric",
        "known": "followup",
        "use": False,
    }
    assert not any(name.endswith("_cnv") for name in columns_of(draft))


def test_tables_written_beside_the_cohort_file_are_searched(table: Path) -> None:
    draft = draft_of(Given(outcome=table))
    section = draft.section("clinical")
    section.section("columns").add("visits", {"kind": "numeric"})
    section.add("table", Path("beside.csv"))
    draft.tables["beside.csv"] = table.read_text()
    put_leaks(draft)
    assert "the outcome under another name" in columns_of(draft)["visits"].evidence
