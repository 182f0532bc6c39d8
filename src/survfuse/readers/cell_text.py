"""Texts of a table that are equal up to trivia, and what a cell is that is no number."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from survfuse._errors import InputError, listed

_UNSEEN = dict.fromkeys((0xAD, 0x200B, 0x200C, 0x200D, 0x2060, 0xFEFF), "")
_BLANKS = dict.fromkeys((0xA0, 0x2007, 0x2009, 0x202F), " ")
_TRIVIA = {
    **_UNSEEN,
    **_BLANKS,
    0x2212: "-",
}  # the last is the minus sign of printed text
_WHOLE = r"^([+-]?\d+)\.0+$"
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_UNWRITABLE = {"Cc", "Cf", "Zl", "Zp", "Cs"}
LONGEST_NAME = 1000  # characters
MOST_MARKS = 100
_MAYBE_MARKS = re.compile(rf"[^\w\x00-\x7f]{{{MOST_MARKS},}}")
_LONGEST_NUMBER = 100  # characters of a cell that is looked at as a number gone wrong
_UNKNOWN = {
    *(
        "",
        "?",
        "na",
        "n/a",
        "#n/a",
        "nan",
        "nd",
        "null",
        "missing",
        "unknown",
        "unk",
        "not known",
    ),
    *(
        "'--",
        "--",
        "<na>",
        "nat",
        "[unknown]",
        "[not applicable]",
        "not applicable",
        "not recorded",
    ),
    *("not available", "[not available]", "not reported", "not evaluated"),
}


def composed(text: str) -> str:
    r"""Compose letters (NFC), remove invisible characters, and make blanks and minus signs plain.

    >>> composed("Mu\u0308ller\u200b"), composed("\u22121\u00a0mm")
    ('Müller', '-1 mm')
    """
    if text.isascii():
        return text
    for run in _MAYBE_MARKS.finditer(
        text,
    ):  # their sorting takes the square of their number
        if all(map(unicodedata.combining, run[0])):
            raise InputError(
                f"more than {MOST_MARKS} marks stand on one letter; remove them",
            )
    return unicodedata.normalize("NFC", text).translate(_TRIVIA)


def refuse_strange(
    where: Path | str,
    names: Iterable[str],
    what: str,
    *,
    lines: bool = False,
) -> None:
    r"""Refuse names of patients, slides or columns with invisible or control characters.

    Parameters
    ----------
    where : path or str
        For messages.
    names : iterable of str
    what : str
        What each is: "id in row".
    lines : bool
        Let line breaks and tabs stand, as spreadsheets write them into long headers.

    Raises
    ------
    InputError
        Gives the place, counted from 1, and the escaped name: it holds a character of one of the
        Unicode
        categories Cc (control), Cf (format), Zl, Zp (separators of lines) or Cs (half a
        character), or is
        longer than 1,000 characters.

    Examples
    --------
    >>> refuse_strange("a.csv", ["P1", "P2\x1b"], "id in row")
    Traceback (most recent call last):
    survfuse._errors.InputError: a.csv: id in row 2: 'P2\x1b' holds the character U+001B; remove it
    """
    for place, name in enumerate(names, start=1):
        if len(name) > LONGEST_NAME:
            raise InputError(
                f"{where}: {what} {place}: {name[:40]!r}… has {len(name)} characters, expected "
                f"at most {LONGEST_NAME}; shorten it",
            )
        if name.isprintable():
            continue
        allowed = "\n\r\t" if lines else ""
        strange = [
            letter for letter in name if unicodedata.category(letter) in _UNWRITABLE
        ]
        strange = [letter for letter in strange if letter not in allowed]
        if strange:
            raise InputError(
                f"{where}: {what} {place}: {name[:100]!r} holds the character "
                f"U+{ord(strange[0]):04X}; remove it",
            )


def as_text(cell: str) -> str:
    """Write an apostrophe before = + - @, so that a spreadsheet reads no formula.

    What begins with apostrophes and such a mark gets one more, so that :func:`from_text` gives
    every text
    back.

    >>> as_text("-1"), as_text("'=1"), as_text("P1")
    ("'-1", "''=1", 'P1')
    """
    return f"'{cell}" if _FORMULA.match(cell) else cell


def from_text(cell: str) -> str:
    """Take the apostrophe of :func:`as_text` away.

    >>> from_text("'-1"), from_text("''=1"), from_text("-1"), from_text("'s")
    ('-1', "'=1", '-1', "'s")
    """
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


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


def _every(text: str) -> str:
    return _unpadded(_joined(whole(_spaced(text))).casefold())


_FORMS: Mapping[str, Callable[[str], str]] = {
    "the ending .0 of a number": whole,
    "spaces around or inside them": _spaced,
    "letter case": str.casefold,
    "leading zeros": _unpadded,
    "spaces, points, dashes, underscores or #": _joined,
    "the sample after the patient of a TCGA barcode": _participant,
    "letter case, spaces, leading zeros or .0": _every,
}


def only_difference(
    given: Iterable[str],
    known: Iterable[str],
) -> str:
    """Say by what trivial thing given words differ from known ones; empty where by more.

    >>> only_difference(["101.0", "102.0"], ["101", "102"])
    "'101.0' stands there as '101': the ending .0 of a number is all that differs"
    """
    names, others = list(given), list(known)
    best = ""
    same: dict[str, str] = {}
    for difference, form in _FORMS.items():
        by_form = {form(other): other for other in others}
        alike = {name: by_form.get(form(name), name) for name in names}
        alike = {name: other for name, other in alike.items() if name != other}
        if len(alike) > len(same):
            best, same = difference, alike
    if not same:
        return ""
    first, other = next(iter(same.items()))
    count = sum(name in same for name in names)
    some = f" (of {count} out of {len(names)})" if count < len(names) else ""
    return f"{first!r} stands there as {other!r}: {best} is all that differs{some}"


def spellings(texts: Iterable[str]) -> list[tuple[str, ...]]:
    """Texts that are one up to letter case, blanks, ending .0, or a final dot or underscore.

    >>> spellings(["P1", "p1_", "P2", "P2"])
    [('P1', 'p1_')]
    """
    forms: dict[str, set[str]] = {}
    for text in texts:
        form = whole(_spaced(text)).casefold().strip(" ._")
        forms.setdefault(form, set()).add(text)
    return [tuple(sorted(same)) for same in forms.values() if len(same) > 1]


def named_spellings(groups: Sequence[Sequence[str]]) -> str:
    """Name groups of texts that are nearly the same.

    >>> named_spellings([("P1", "p1_")]), named_spellings([("a", "A"), ("b", "B")])
    ("'P1', 'p1_'", "('a', 'A'), ('b', 'B')")
    """
    names = [listed(map(repr, same)) for same in groups]
    return names[0] if len(names) == 1 else listed(f"({name})" for name in names)


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
    (
        r"[<>≤≥~]=? ?\d.*|\d+(\.\d+)? ?\+",
        "this is a bound: write the number that is to be used",
    ),
    (r"[+-]?\d*\.?\d+ ?%", "this is a percentage: write the number alone"),
    (
        r"[+-]?\d*\.?\d+ ?[A-Za-z]+",
        "a unit or letter stands after the number: write the number alone",
    ),
    (r"#[A-Z0-9/]+[!?]?", "this is an error of the spreadsheet: fix its formula"),
)


def instead_of_number(cell: str) -> str:
    """Say what a cell is that should have been a number; empty where nothing can be said.

    >>> instead_of_number("400 days 00:00:00")
    'this is a duration (a pandas Timedelta): write its number of days (`.dt.days`), unit days'
    """
    text = cell.strip()
    if len(text) > _LONGEST_NUMBER:
        return ""
    for pattern, meaning in _INSTEAD:
        if re.fullmatch(pattern, text):
            return meaning
    return ""
