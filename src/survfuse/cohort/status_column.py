"""The words of a status column: the whole dictionary is declared, or 0, 1, true and false alone."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from survfuse.cohort.spec import OutcomeSpec
from survfuse.readers.cell_text import only_difference, reads_unknown, whole
from survfuse.readers.table_files import FLAGS

_HAPPENED = {
    *(
        "dead",
        "deceased",
        "died",
        "death",
        "expired",
        "event",
        "yes",
        "progressed",
        "progression",
    ),
    *(
        "recurred",
        "recurrence",
        "recurred/progressed",
        "relapse",
        "relapsed",
        "failure",
        "failed",
    ),
}
_CENSORED = {
    *("alive", "living", "censored", "censor", "no", "no event", "progression free"),
    *(
        "progression-free",
        "disease free",
        "disease-free",
        "diseasefree",
        "lost",
        "lost to follow-up",
    ),
}
_LETTERS = ({"y", "n"}, {"t", "f"})
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
ASKED = "0 or 1"
"""Stands where only the user can tell; taken literally it is refused, and asked for again."""
MIN_PATIENTS = 20
ONE_KIND = 0.95  # share of one status above which the polarity is doubted


def dictionary(spec: OutcomeSpec) -> dict[str, float]:
    """Return what each word means, as 0 or 1 of the column: as declared, or as built in."""
    if spec.event_values is None:
        return FLAGS
    return {whole(word): float(bit) for word, bit in spec.event_values.items()}


def meanings(spec: OutcomeSpec, cells: pd.Series[str]) -> pd.Series[float]:
    """0 or 1 of the column for each cell, NaN where the word is not in the dictionary."""
    plain = cells.map(whole) if spec.event_values is not None else cells.str.lower()
    return plain.map(dictionary(spec)).astype(float)


def hint(spec: OutcomeSpec, words: Iterable[str], unlisted: Iterable[str]) -> str:
    """Say how to declare the words of the column; taken literally it is right, or asks on.

    Parameters
    ----------
    spec : OutcomeSpec
    words : iterable of str
        All words of the column that are not missing.
    unlisted : iterable of str
        Those that have no meaning yet.
    """
    given = spec.event_values or {}
    new = dict.fromkeys(map(whole, unlisted))
    unknown = [word for word in new if reads_unknown(word)]
    missing = f"if it means 'not known', outcome.missing: {as_list((*spec.missing, *(unknown or new)))}"
    rest = [
        word
        for word in dict.fromkeys(map(whole, words))
        if word not in (*given, *unknown)
    ]
    if len(unknown) == len(new):
        return missing
    one = "censored" if spec.event is None else "the event"
    if not given and set(rest) == {"1", "2"}:
        return (
            f"if 2 is {one}, event_values: {{1: 0, 2: 1}}; if 1 is, event_values: {{1: 1, 2: 0}} "
            "(R's survival writes 1 for censored and 2 for the event)"
        )
    meant = _meant(spec, rest)
    start = "list every word of the column"
    trivial = only_difference(new, given)
    if trivial:
        start = f"{trivial}; write it so, or list it too"
    listing = f"{start}: event_values: {as_mapping(meant)}, where 1 is {one}"
    return f"{listing}; {missing}" if unknown or ASKED in meant.values() else listing


def _meant(spec: OutcomeSpec, rest: Sequence[str]) -> dict[str, object]:
    """Dictionary of what is declared, what words say by themselves, and what is to be asked."""
    given = spec.event_values or {}
    meant: dict[str, object] = {**given}
    for word in rest:
        meant[word] = _guess(word, spec)
    if len(given) == 1 and len(meant) == 2:
        meant[rest[0]] = 1 - next(iter(given.values()))
    if {word.casefold() for word in rest} in _LETTERS:
        for word in rest:
            meant[word] = _bit(spec, happened=word in "yYtT")
    return meant


def _guess(word: str, spec: OutcomeSpec) -> object:
    """0 or 1 where the word says it, otherwise a text that asks."""
    if spec.event_values is None and word.casefold() in FLAGS:
        return f"{FLAGS[word.casefold()]:g}"
    bit = _says(word, spec)
    if bit is None and re.match(
        "[01]:",
        word,
    ):  # cBioPortal: 1 stands before words for the event
        bit = _bit(spec, happened=word[0] == "1")
    return ASKED if bit is None else bit


def _says(word: str, spec: OutcomeSpec) -> int | None:
    """0 or 1 of the column as the word says it by itself, None where it says neither."""
    plain = re.sub(r"^[01]:", "", word).strip().casefold()
    if plain in _HAPPENED or plain in _CENSORED:
        return _bit(spec, happened=plain in _HAPPENED)
    return None


def _bit(spec: OutcomeSpec, *, happened: bool) -> int:
    """0 or 1 of the column, whose 1 is the event or censoring."""
    return int(happened == (spec.event is not None))


def as_mapping(values: Mapping[str, object]) -> str:
    """Write a mapping as YAML on one line."""
    return (
        "{"
        + ", ".join(f"{quoted(word)}: {value}" for word, value in values.items())
        + "}"
    )


def as_list(words: Iterable[str]) -> str:
    """Write a list of words as YAML on one line."""
    return "[" + ", ".join(map(quoted, dict.fromkeys(words))) + "]"


def quoted(word: str) -> str:
    """Write a text as it stands in a YAML file."""
    plain = _PLAIN.fullmatch(word) and word.casefold() != "null"
    return word if plain else json.dumps(word, ensure_ascii=False)


def doubt_of_shares(events: int, patients: int) -> str:
    """Doubt the polarity where nearly everybody, or nearly nobody, has the event; empty otherwise.

    The limit is 95 % of one kind. The ten public cohorts that the tests read have 10 to 60 % events; from 20
    patients on, a cohort with 80 % passes the limit by chance in less than 6 cases of 100.
    """
    if patients < MIN_PATIENTS or events == 0:
        return ""
    censored = patients - events
    if events > ONE_KIND * patients:
        return f"{censored or 'none'} of {patients} patients censored: nearly everybody has the event"
    if censored > ONE_KIND * patients:
        return f"only {events} of {patients} patients with the event"
    return ""


def doubt_of_words(spec: OutcomeSpec) -> str:
    """Doubt a dictionary in which a word means the opposite of what it says; empty otherwise."""
    one = "event" if spec.event is not None else "censored"
    for word, bit in (spec.event_values or {}).items():
        if _says(word, spec) == 1 - bit:
            means = (
                "the event" if (bit == 1) == (spec.event is not None) else "censored"
            )
            return (
                f"event_values declares {as_mapping({word: bit})}, and 1 is {one} with "
                f"`{one}: {spec.status}`: {word!r} then means {means}"
            )
    return ""


def doubt_of_name(spec: OutcomeSpec) -> str:
    """Doubt the polarity where the column's name says the opposite of its declaration; empty otherwise."""
    if spec.event_values is not None:
        return ""
    name = spec.status.casefold()
    if spec.event is not None and "censor" in name:
        return f"`event: {spec.event}` takes 1 for the event, but a column of this name marks the censored"
    if spec.censored is not None and re.search(
        r"(^|[_ .])(event|death|dead|deceased|died)$",
        name,
    ):
        return f"`censored: {spec.censored}` takes 1 for censored, but a column of this name marks the events"
    return ""
