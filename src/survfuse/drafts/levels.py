"""Scales of medicine whose levels have an order: T, N, M, stage, grade, ECOG, and low to high."""

from __future__ import annotations

import re
from collections.abc import Iterable

_ROMAN = {"0": 0, "i": 1, "ii": 2, "iii": 3, "iv": 4, "v": 5}
_WORDS = (
    ("none", "mild", "moderate", "severe"),
    ("negative", "weak", "moderate", "strong"),
    ("absent", "focal", "extensive"),
    ("well", "moderately", "poorly", "undifferentiated"),
    ("well differentiated", "moderately differentiated", "poorly differentiated",
     "undifferentiated"),
    ("very low", "low", "low intermediate", "intermediate", "intermediate high", "high",
     "very high"),
    ("low", "moderate", "high"),
    ("low risk", "intermediate risk", "high risk", "highest risk"),
    ("never", "former", "current"),
    ("small", "medium", "large"),
)  # fmt: skip
_PATTERNS = (
    (
        "T",
        re.compile(r"(?:[cpy]{0,2})t(is|a|x|\d)([a-e]?)(\d?)(?:hg|lg)?", re.IGNORECASE),
    ),
    (
        "N",
        re.compile(r"(?:[cpy]{0,2})n(x|\d)([a-c]?)(\d?)(?:mi|\(.*\))?", re.IGNORECASE),
    ),
    ("M", re.compile(r"(?:[cpy]{0,2})m(x|\d)([a-c]?)(\d?)", re.IGNORECASE)),
    ("grade", re.compile(r"(?:g|grade ?)(x|\d)()()", re.IGNORECASE)),
    ("ECOG", re.compile(r"(?:ecog|ps) ?(\d)()()", re.IGNORECASE)),
    ("stage", re.compile(r"(?:stage ?)?(0|iv|iii|ii|i|x)([a-e]?)(\d?)", re.IGNORECASE)),
    ("stage", re.compile(r"stage ?(x|\d)([a-e]?)(\d?)", re.IGNORECASE)),
    (
        "grade group",
        re.compile(r"(?:brs|ggg?|class|group|level|tier) ?(\d)()()", re.IGNORECASE),
    ),
)
_TUMOUR = {"a": -2.0, "is": -1.0}
NOT_ASSESSED = -100.0
Order = tuple[float, str, str]


def ordered_levels(values: Iterable[str]) -> tuple[str, list[str], list[str]] | None:
    """Order the levels of a known scale, lowest first.

    Parameters
    ----------
    values : iterable of str
        Known values of a column.

    Returns
    -------
    tuple of str, list of str, list of str; or None
        Name of the scale, its levels, and values that mean "not assessed" (TX); None where not all
        values are of one scale, or two have the same place.

    Examples
    --------
    >>> ordered_levels(["T2", "T1b", "T1a", "TX", "Tis"])
    ('T', ['Tis', 'T1a', 'T1b', 'T2'], ['TX'])
    """
    texts = sorted(set(values))
    if not texts:
        return None
    for scale, pattern in _PATTERNS:
        matches = [pattern.fullmatch(text.strip()) for text in texts]
        places = [_place(match) for match in matches if match is not None]
        if len(places) == len(texts):
            result = _sorted(texts, places)
            return None if result is None else (scale, *result)
    levels = _by_words(texts)
    return None if levels is None else ("words", levels, [])


def _by_words(texts: list[str]) -> list[str] | None:
    """Order levels that are words, such as low and high; None where not all are of one scale."""
    by_name = {re.sub(r"[\s_-]+", " ", text).strip().casefold(): text for text in texts}
    if len(by_name) < max(2, len(texts)):
        return None
    for scale_words in _WORDS:
        if by_name.keys() <= {*scale_words}:
            return [by_name[name] for name in scale_words if name in by_name]
    return None


def _sorted(
    texts: list[str], places: list[Order]
) -> tuple[list[str], list[str]] | None:
    assessed = {}
    for text, place in zip(texts, places, strict=True):
        if place[0] != NOT_ASSESSED:
            if place in assessed:
                return None
            assessed[place] = text
    unknown = [
        text
        for text, place in zip(texts, places, strict=True)
        if place[0] == NOT_ASSESSED
    ]
    levels = [assessed[place] for place in sorted(assessed)]
    return (levels, unknown) if len(levels) > 1 else None


def _place(match: re.Match[str]) -> Order:
    """Number, letter and further digit of a level."""
    main = match[1].casefold()
    if main == "x":
        return NOT_ASSESSED, "", ""
    number = _TUMOUR.get(main, _ROMAN.get(main))
    return (
        float(main) if number is None else float(number),
        match[2].casefold(),
        match[3],
    )
