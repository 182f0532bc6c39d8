"""Kinds of clinical columns, and what is no input."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from survfuse.drafts.columns import fold_columns, group_columns, guess_column
from survfuse.drafts.tables import GivenTable

AGES = [str(40 + i) for i in range(30)]


def cells(*texts: str) -> pd.Series[str]:
    """Thirty cells, the texts in turn."""
    return pd.Series([texts[i % len(texts)] for i in range(30)], dtype=object)


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("age", pd.Series(AGES, dtype=object), {"kind": "numeric"}),
        ("sex", cells("male", "female"), {"kind": "nominal"}),
        ("is_female", cells("0.0", "1.0"), {"kind": "nominal"}),
        ("stage", cells("T2", "T1"), {"kind": "ordinal", "levels": ["T1", "T2"]}),
        ("code", cells("1", "2", "3"), {"kind": "nominal"}),
        ("number_of_nodes", cells("0", "1", "2"), {"kind": "numeric"}),
        ("lvi", cells("Yes", "No", "-1"), {"kind": "nominal", "missing": ["-1"]}),
        ("doses", pd.Series(AGES, dtype=object),
         {"kind": "numeric", "known": "followup", "use": False}),
        ("months", pd.Series(AGES, dtype=object),
         {"kind": "numeric", "known": "followup", "use": False}),
        ("disease_free", cells("yes", "no"),
         {"kind": "nominal", "known": "followup", "use": False}),
        ("Vital Status", cells("a", "b"), {"kind": "nominal", "known": "followup", "use": False}),
    ],
)  # fmt: skip
def test_kinds(name: str, given: pd.Series[str], expected: dict[str, object]) -> None:
    assert guess_column(name, given).spec == expected


def test_a_code_for_not_known_is_declared_with_its_evidence() -> None:
    guess = guess_column("score", pd.Series([*AGES, "-1", "-1"], dtype=object))
    assert guess.spec == {"kind": "numeric", "missing": ["-1"]}
    assert guess.evidence == "40 to 69; 2 are -1, far from all others: not known?"
    assert not guess.certain


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (cells(""), "empty"),
        (cells("LUAD", "NA"), "one value"),
        (cells("2011-02-03", "2012-05-06"), "dates"),
        (pd.Series([f"note {i}" for i in range(30)], dtype=object),
         "differs in every row: an id or free text"),
        (pd.Series([*AGES[:29], "old"], dtype=object),
         "numbers with words among them; correct the words"),
    ],
)  # fmt: skip
def test_what_is_no_input_is_left_out_with_the_reason(
    given: pd.Series[str], reason: str
) -> None:
    guess = guess_column("column", given)
    assert guess.spec is None
    assert guess.evidence == reason


def test_sites_and_folds_have_their_own_sections() -> None:
    frame = pd.DataFrame(
        {"site": cells("A", "B"), "fold": cells("0", "1"), "age": AGES}
    )
    table = GivenTable(Path("p.csv"), frame)
    assert group_columns(table, ()) == ["site"]
    assert fold_columns(table, ()) == ["fold"]
    assert fold_columns(table, {"fold"}) == []
