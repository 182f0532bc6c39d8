from __future__ import annotations

import json
from typing import Any

import pytest

from survfuse._errors import InputError
from survfuse.decomposition.measured_agreement import Agreement, AgreementRow


def test_splits_are_averaged_and_those_without_a_number_left_out() -> None:
    row = AgreementRow.of(("term", "", "a"), [0.1, None, 0.9], 3)
    assert (row.value, row.low, row.high, row.splits) == (0.5, 0.1, 0.9, 2)
    nothing = AgreementRow.of(("term", "", "a"), [None, None], 2)
    assert (nothing.value, nothing.low, nothing.high, nothing.splits) == (None,) * 3 + (
        0,
    )


def test_nothing_is_said_of_what_few_splits_compare() -> None:
    few = AgreementRow.of(("term", "", "a"), [0.6, None], 4)
    assert (few.value, few.low, few.high, few.splits) == (None, None, None, 1)
    assert AgreementRow.of(("term", "", "a"), [0.6, 0.4], 4).value == 0.5


def measured(**fields: Any) -> Agreement:
    rows = (
        AgreementRow("term", "", "clinical", 0.5, 0.4, 0.6, 4),
        AgreementRow("top genes", "expression", "", 0.1, 0.0, 0.2, 4),
        AgreementRow("term", "", "slides", None, None, None, 0),
    )
    known: dict[str, Any] = {"rows": rows, "patients": 100, "half": 40.0, "splits": 4}
    selected = {"expression": {"TP53": 0.5}}
    return Agreement(**{**known, "selected": selected, "notes": ("one",), **fields})


def test_what_is_expected_of_whole_cohorts() -> None:
    found = measured()
    row = found.row("term", "", "clinical")
    assert row is not None
    assert found.expected(row) == pytest.approx(2.5 * 0.5 / (1 + 1.5 * 0.5))
    assert found.expected(row, 40) == 0.5
    for other in found.rows[1:]:
        assert found.expected(other) is None
    assert found.row("term", "", "blood") is None


def test_it_survives_json() -> None:
    found = measured(risk_difference=0.4)
    assert found.expected_difference == pytest.approx(0.4 * 0.4**0.5)
    assert Agreement.from_dict(json.loads(json.dumps(found.to_dict()))) == found


def test_older_bundles_know_no_difference_of_risks() -> None:
    state = measured().to_dict()
    del state["risk_difference"]
    assert Agreement.from_dict(state).expected_difference is None


BROKEN: dict[str, tuple[Any, str]] = {
    "no mapping": ([], "expected a mapping with a list of rows"),
    "no rows": ({"rows": None}, "expected a mapping with a list of rows"),
    "no patients": ({"patients": None}, "patients: expected a finite number, got None"),
    "negative": ({"risk_difference": -1.0}, "expected a number >= 0"),
    "nobody": ({"half": 0}, "expected one patient and split or more"),
    "genes": ({"selected": []}, "selected: expected a mapping of modalities"),
    "share": (
        {"selected": {"rna": {"TP53": "x"}}},
        "selected: rna: TP53: expected a finite",
    ),
    "notes": ({"notes": "one"}, "notes: expected a list of texts"),
    "row": (
        {"rows": [{"level": "term"}]},
        "a row: expected the keys level, modality, name",
    ),
}


@pytest.mark.parametrize(("change", "says"), BROKEN.values(), ids=BROKEN)
def test_a_damaged_one_is_refused(change: Any, says: str) -> None:
    state = {**measured().to_dict(), **change} if isinstance(change, dict) else change
    with pytest.raises(InputError, match=says):
        Agreement.from_dict(state)


@pytest.mark.parametrize(
    "change",
    [{"level": "feeling"}, {"value": 1.5}, {"low": -2}, {"splits": -1}],
    ids=str,
)
def test_an_impossible_row_is_refused(change: dict[str, Any]) -> None:
    state = measured().to_dict()
    state["rows"][0] |= change
    with pytest.raises(InputError, match="expected a level of prediction, term"):
        Agreement.from_dict(state)
