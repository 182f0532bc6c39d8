"""Words of a table that are equal up to trivia, and what a cell that is no number may be instead."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping

import pandas as pd

_UNSEEN = dict.fromkeys((0xAD, 0x200B, 0x200C, 0x200D, 0x2060, 0xFEFF), "")
_BLANKS = dict.fromkeys((0xA0, 0x2007, 0x2009, 0x202F), " ")
_TRIVIA = {**_UNSEEN, **_BLANKS, 0x2212: "-"}  # the last is the minus sign of printed text
_WHOLE = r"^([+-]?\d+)\.0+$"
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_UNKNOWN = {
    *("", "?", "na", "n/a", "#n/a", "nan", "nd", "null", "missing", "unknown", "unk", "not known"),
    *("'--", "--", "<na>", "nat", "[unknown]", "[not applicable]", "not applicable", "not recorded"),
    *("not available", "[not available]", "not reported", "not evaluated"),
}


def composed(text: str) -> str:
    r"""Compose letters (NFC), take invisible characters out, and make every kind of blank and minus plain.

    >>> composed("Mu\u0308ller\u200b"), composed("\u22121\u00a0mm")
    ('Müller', '-1 mm')
    """
    return text if text.isascii() else unicodedata.normalize("NFC", text).translate(_TRIVIA)


def whole(text: str) -> str:
    """Write a whole number without the ``.0`` that a column of floats puts after it.

    >>> whole("1.0"), whole("-1.00"), whole("1.5"), whole("T1.0")
    ('1', '-1', '1.5', 'T1.0')
    """
    return re.sub(_WHOLE, r"\1", text)


def whole_cells(cells: pd.Series[str]) -> pd.Series[str]:
    """Apply :func:`whole` to a column."""
    return cells.str.replace(_WHOLE, r"\1", regex=True)


def is_number(text: str) -> bool:
    """Whether a text is a decimal number."""
    return _NUMBER.fullmatch(text) is not None


def reads_unknown(cell: str) -> bool:
    """Whether a cell is one of the words by which people say that a value is not known."""
    return cell.strip().casefold() in _UNKNOWN


def _spaced(text: str) -> str:
    return " ".join(text.split())


def _joined(text: str) -> str:
    return re.sub(r"[\s._/#-]", "", text)


def _unpadded(text: str) -> str:
    return re.sub(r"(?<!\d)0+(?=\d)", "", text)


def _participant(text: str) -> str:
    return text[:12] if text.upper().startswith("TCGA-") else text


_FORMS: Mapping[str, Callable[[str], str]] = {
    "the ending .0 of a number": whole,
    "spaces around or inside them": _spaced,
    "letter case": str.casefold,
    "leading zeros": _unpadded,
    "spaces, points, dashes, underscores or #": _joined,
    "the sample after the patient of a TCGA barcode": _participant,
}


def only_difference(given: Iterable[str], known: Iterable[str]) -> str:
    """Say by what trivial thing given words differ from known ones; empty where by more.

    >>> only_difference(["101.0", "102.0"], ["101", "102"])
    "'101.0' stands there as '101': the ending .0 of a number is all that differs"
    """
    words, others = list(given), list(known)
    best: tuple[str, list[tuple[str, str]]] = ("", [])
    for name, form in (*_FORMS.items(), ("letter case, spaces, leading zeros or .0", _every)):
        there = {form(word): word for word in others}
        same = [(word, there[form(word)]) for word in words if there.get(form(word), word) != word]
        if len(same) > len(best[1]):
            best = (name, same)
    name, same = best
    if not same:
        return ""
    some = f" (of {len(same)} out of {len(words)})" if len(same) < len(words) else ""
    return f"{same[0][0]!r} stands there as {same[0][1]!r}: {name} is all that differs{some}"


def spellings(words: Iterable[str]) -> list[tuple[str, ...]]:
    """Words that are one up to letter case, blanks, the ending .0, or a dot or underscore at the end.

    >>> spellings(["P1", "p1_", "P2", "P2"])
    [('P1', 'p1_')]
    """
    forms: dict[str, set[str]] = {}
    for word in words:
        forms.setdefault(whole(_spaced(word)).casefold().strip(" ._"), set()).add(word)
    return [tuple(sorted(same)) for same in forms.values() if len(same) > 1]


def _every(text: str) -> str:
    return _unpadded(_joined(whole(_spaced(text))).casefold())


_INSTEAD: tuple[tuple[str, str], ...] = (
    (
        r"-?\d+ days?( [+-]?\d\d:\d\d:\d\d(\.\d+)?)?",
        "this is a duration (a pandas Timedelta): write its number of days (`.dt.days`), unit days",
    ),
    (
        r"\d{4}-\d\d?-\d\d?([ T].*)?|\d{4}/\d\d?/\d\d?|\d\d?[./-]\d\d?[./-](\d{4}|\d\d)",
        "this is a date: write how long after time zero it is, as a number",
    ),
    (
        r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?|[+-]?\d{1,3}((\.\d{3})+,\d+|(\.\d{3}){2,}|([ ']\d{3})+)",
        "thousands are marked off, or this comma is a decimal one: write digits alone, "
        "with a point before decimals",
    ),
    (r"[+-]?\d*,\d+", "this is a decimal comma: write a point"),
    (r"[<>≤≥~]=? ?\d.*|\d+(\.\d+)? ?\+", "this is a bound: write the number that is to be used"),
    (r"[+-]?\d*\.?\d+ ?%", "this is a percentage: write the number alone"),
    (r"[+-]?\d*\.?\d+ ?[A-Za-z]+", "a unit or letter stands after the number: write the number alone"),
    (r"#[A-Z0-9/]+[!?]?", "this is an error of the spreadsheet: mend its formula"),
)


def instead_of_number(cell: str) -> str:
    """Say what a cell is that should have been a number; empty where nothing can be said.

    >>> instead_of_number("400 days 00:00:00")
    'this is a duration (a pandas Timedelta): write its number of days (`.dt.days`), unit days'
    """
    text = cell.strip()
    for pattern, meaning in _INSTEAD:
        if re.fullmatch(pattern, text):
            return meaning
    return ""
