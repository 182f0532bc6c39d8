from __future__ import annotations

import pytest

from survfuse.decomposition.measured_agreement import Agreement, AgreementRow
from survfuse.explanations.agreement_tables import (
    agreement_frame,
    check_frame,
    growth_frame,
    selection_frame,
    sentence,
    status,
)

MEASURED = Agreement(
    rows=(
        AgreementRow("term", "", "clinical", 0.7, 0.6, 0.8, 4),
        AgreementRow("term", "", "slides", None, None, None, 0),
        AgreementRow("genes", "expression", "", 0.1, -0.1, 0.2, 4),
        AgreementRow("top genes", "expression", "", 0.1, 0.0, 0.2, 4),
    ),
    patients=100,
    half=40,
    splits=4,
    selected={"expression": {"A": 0.25, "B": 1.0}},
)


@pytest.mark.parametrize(
    ("value", "judged"),
    [
        (None, "not used"),
        (-0.2, "grey"),
        (0.5, "partly"),
        (0.79, "partly"),
        (0.8, "reproduces"),
    ],
)
def test_thresholds(value: float | None, judged: str) -> None:
    assert status(value) == judged


def test_sentences() -> None:
    assert (
        sentence(0.2, "genes") == "another cohort of this size would give other genes"
    )
    assert sentence(0.9, "genes").endswith("would give nearly the same genes")
    assert sentence(None, "genes").startswith("too few half models use it")


def test_a_row_is_judged_by_what_is_expected_of_whole_cohorts() -> None:
    table = agreement_frame(MEASURED)
    clinical = table.iloc[0]
    assert clinical["expected"] == pytest.approx(2.5 * 0.7 / (1 + 1.5 * 0.7))
    assert (clinical["agreement"], clinical["low"], clinical["high"]) == (0.7, 0.6, 0.8)
    assert table["status"].tolist() == ["reproduces", "not used", "grey", "grey"]
    assert table["says"].iloc[3] == "another cohort of this size would give other genes"
    assert table["expected"].isna().tolist() == [False, True, False, True]


def test_nothing_is_said_where_nothing_was_measured() -> None:
    table = agreement_frame(None)
    assert table.empty
    assert list(table) == list(agreement_frame(MEASURED))
    check = check_frame(None, ["clinical", "slides"])
    assert check["status"].tolist() == ["not measured"] * 2
    assert check["reason"].str.contains("--halves 4").all()


def test_the_check_greys_what_does_not_reproduce() -> None:
    check = check_frame(MEASURED, ())
    assert check["check"].unique().tolist() == ["SRV025"]
    assert check["status"].tolist() == ["pass", "not used", "grey", "grey"]
    assert check["reason"].tolist() == [
        "agreement of halves 0.70, 0.85 expected at this size: another cohort of this size would "
        "give nearly the same values of this term",
        "too few half models use it",
        "agreement of halves 0.10, 0.22 expected at this size: another cohort of this size would "
        "give other weights of genes",
        "agreement of halves 0.10: another cohort of this size would give other genes",
    ]


def test_growth() -> None:
    table = growth_frame(MEASURED)
    clinical = table[table["name"] == "clinical"]
    assert clinical["patients"].tolist() == [40, 100, 200, 400]
    assert clinical["expected"].iloc[0] == pytest.approx(0.7)
    assert clinical["expected"].is_monotonic_increasing
    assert set(table["level"]) == {
        "term",
        "genes",
    }  # neither lists nor what is not used
    assert growth_frame(MEASURED, [40])["expected"].tolist() == pytest.approx(
        [0.7, 0.1]
    )


def test_selection_shares_are_sorted() -> None:
    table = selection_frame(MEASURED)
    assert table.to_numpy().tolist() == [
        ["expression", "B", 1.0],
        ["expression", "A", 0.25],
    ]
    assert selection_frame(None).empty
