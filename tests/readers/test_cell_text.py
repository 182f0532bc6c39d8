from __future__ import annotations

import unicodedata

import pytest

from survfuse.readers.cell_text import (
    as_text,
    composed,
    from_text,
    instead_of_number,
    is_number,
    only_difference,
    whole,
)


def test_letters_are_composed_and_invisible_characters_go() -> None:
    apart = unicodedata.normalize("NFD", "Müller")
    assert apart != "Müller"
    assert composed(apart + "\ufeff\u200b") == "Müller"
    assert composed("\u22121\u00a0mm") == "-1 mm"
    assert composed("plain, ASCII") == "plain, ASCII"


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("1.0", "1"),
        ("-1.00", "-1"),
        ("007.0", "007"),
        ("1.5", "1.5"),
        ("1.", "1."),
        ("v1.0", "v1.0"),
        ("", ""),
    ],
)
def test_whole_numbers_lose_their_decimals(text: str, plain: str) -> None:
    assert whole(text) == plain


@pytest.mark.parametrize(
    ("given", "known", "says"),
    [
        (
            ["101.0", "102.0"],
            ["101", "102"],
            "'101.0' stands there as '101': the ending .0",
        ),
        (["7"], ["007"], "leading zeros"),
        (["p1"], ["P1"], "letter case"),
        (["P-1"], ["P1"], "spaces, points, dashes"),
        (["P  1"], ["P 1"], "spaces around or inside them is"),
        (
            ["TCGA-AA-0001-01A"],
            ["TCGA-AA-0001"],
            "the sample after the patient of a TCGA barcode",
        ),
        (["p-07"], ["P7"], "letter case, spaces, leading zeros or .0"),
        (["p1", "Q2"], ["P1", "P2"], "letter case is all that differs (of 1 out of 2)"),
        (["P10"], ["P1"], ""),
        (["P1"], ["P1"], ""),
        ([], ["P1"], ""),
    ],
)
def test_a_trivial_difference_is_named(
    given: list[str],
    known: list[str],
    says: str,
) -> None:
    found = only_difference(given, known)
    assert bool(found) == bool(says)
    assert says in found


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        ("400 days 00:00:00", "a pandas Timedelta"),
        ("400 days", "a pandas Timedelta"),
        ("2020-01-31", "this is a date"),
        ("31.12.2020", "this is a date"),
        ("3/4/21", "this is a date"),
        ("2020-01-31 00:00:00", "this is a date"),
        ("1,234", "thousands are marked off, or this comma is a decimal one"),
        ("1.234,5", "thousands are marked off"),
        ("1 234", "thousands are marked off"),
        ("12,5", "a decimal comma"),
        (">90", "this is a bound"),
        ("90+", "this is a bound"),
        ("50 %", "a percentage"),
        ("12 months", "a unit or letter"),
        ("#DIV/0!", "an error of the spreadsheet"),
        ("sixty", ""),
    ],
)
def test_what_stands_where_a_number_was_expected(cell: str, says: str) -> None:
    assert not is_number(cell)
    found = instead_of_number(cell)
    assert bool(found) == bool(says)
    assert says in found


def test_long_digits_are_judged_in_linear_time() -> None:
    assert not is_number("1" * 200_000 + "x")
    assert is_number("1" * 200_000)
    assert instead_of_number("1" * 200_000 + "!") == ""
    assert [
        is_number(text) for text in ("1", "-1.", ".5", "+1.5e3", "1.2.3", ".", "")
    ] == [True] * 4 + [False] * 3


@pytest.mark.parametrize(
    "text",
    ["-1", "=1+1", "@a", "+5", "'-1", "''=x", "P1", "'s", "", "-"],
)
def test_a_text_comes_back_from_a_spreadsheet_safe_form(text: str) -> None:
    assert from_text(as_text(text)) == text
    assert as_text(text)[:1] not in ("=", "+", "-", "@")
