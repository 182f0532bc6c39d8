"""Columns that are the outcome by content are written out, whichever status is the event."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from survfuse.drafts import Draft, Given, draft_of
from survfuse.drafts.guess import Guess


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
