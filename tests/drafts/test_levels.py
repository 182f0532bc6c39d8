"""Levels of known scales are put in their order."""

from __future__ import annotations

import pytest

from survfuse.drafts.levels import ordered_levels


@pytest.mark.parametrize(
    "levels",
    [
        ["Tis", "T1a", "T1b", "T2", "T4"],
        ["TaHG", "T1HG", "T2HG"],
        ["pN0", "pN1mi", "pN2b", "pN3"],
        ["M0", "M1a", "M1b"],
        ["G1", "G2", "G3"],
        ["Grade 1", "Grade 2"],
        ["Stage I", "Stage IA", "Stage IIB", "Stage III", "Stage IV"],
        ["I", "II", "III", "IV"],
        ["BRS1", "BRS2", "BRS3"],
        ["low", "intermediate", "high"],
        ["Intermediate risk", "High risk", "Highest risk"],
        ["never", "former", "current"],
    ],
)
def test_levels_are_ordered(levels: list[str]) -> None:
    made = ordered_levels(sorted(levels, reverse=True))
    assert made is not None
    assert made[1] == levels


def test_what_was_not_assessed_is_no_level() -> None:
    assert ordered_levels(["N0", "NX", "N1"]) == ("N", ["N0", "N1"], ["NX"])


@pytest.mark.parametrize(
    "words",
    [["T1", "G2"], ["male", "female"], ["T1", "pT1"], ["T1"], [], ["high", "unclear"]],
)
def test_other_words_have_no_order(words: list[str]) -> None:
    assert ordered_levels(words) is None
