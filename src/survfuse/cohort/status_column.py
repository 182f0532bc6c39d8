"""What a status column says: all its texts are declared, or it holds 0, 1, true and false alone."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from survfuse._errors import listed
from survfuse.cohort.spec import OutcomeSpec
from survfuse.readers.cell_text import only_difference, reads_unknown, whole
from survfuse.readers.table_files import FLAGS

_HAPPENED = {
    "dead",
    "deceased",
    "died",
    "death",
    "expired",
    "event",
    "yes",
    "progressed",
    "progression",
    "recurred",
    "recurrence",
    "recurred/progressed",
    "relapse",
    "relapsed",
    "failure",
    "failed",
}
_CENSORED = {
    "alive",
    "living",
    "censored",
    "censor",
    "no",
    "no event",
    "progression free",
    "progression-free",
    "disease free",
    "disease-free",
    "diseasefree",
    "lost",
    "lost to follow-up",
}
_LETTERS = ({"y", "n"}, {"t", "f"})
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
UNCLEAR = "0 or 1"
"""Stands where only the user can decide; taken literally it is refused, and asked for again."""
MIN_PATIENTS = 20
ONE_KIND = 0.95  # share of one status above which the polarity is doubted


def dictionary(spec: OutcomeSpec) -> Mapping[str, float]:
    """Return what each text means, as 0 or 1 of the column: as declared, or as built in."""
    if spec.words is None:
        return FLAGS
    return {whole(text): float(bit) for text, bit in spec.words.items()}


def meanings(
    spec: OutcomeSpec,
    cells: pd.Series[str],
) -> pd.Series[float]:
    """0 or 1 of the column for each cell, NaN where the text is not in the dictionary."""
    plain = cells.map(whole) if spec.words is not None else cells.str.lower()
    return plain.map(dictionary(spec)).astype(float)


def hint(
    spec: OutcomeSpec,
    texts: Iterable[str],
    unlisted: Iterable[str],
) -> str:
    """Say how to declare the texts of the column; taken literally it is right, or asks on.

    Parameters
    ----------
    spec : OutcomeSpec
    texts : iterable of str
        All texts of the column that are not missing.
    unlisted : iterable of str
        Those that have no meaning yet.
    """
    given = spec.words or {}
    new = dict.fromkeys(map(whole, unlisted))
    unknown = list(filter(reads_unknown, new))
    tokens = as_list((*spec.missing, *(unknown or new)))
    missing = f"if it means 'not known', outcome.missing: {tokens}"
    if len(unknown) == len(new):
        return missing
    rest = dict.fromkeys(map(whole, texts))
    for text in (*given, *unknown):
        rest.pop(text, None)
    one = "censored" if spec.event is None else "the event"
    if not given and set(rest) == {"1", "2"}:
        return (
            f"if 2 is {one}, event_values: {{1: 0, 2: 1}}; if 1 is, event_values: {{1: 1, 2: 0}} "
            "(R's survival writes 1 for censored and 2 for the event)"
        )
    start = "list every word of the column"
    difference = only_difference(new, given)
    if difference:
        start = f"{difference}; write it so, or list it too"
    meant = _meant(spec, list(rest))
    listing = f"{start}: event_values: {as_mapping(meant)}, where 1 is {one}"
    if spec.has_sides:
        listing = f"{start}: {_sides(spec, meant)}"
    if unknown or UNCLEAR in meant.values():
        return f"{listing}; {missing}"
    return listing


def _sides(spec: OutcomeSpec, meant: Mapping[str, object]) -> str:
    """Write a dictionary as words of the event and of censoring."""
    event = str(int(spec.event is not None))
    sides: dict[str, list[str]] = {"happened": [], "censored": []}
    unclear = []
    for text, bit in meant.items():
        if bit == UNCLEAR:
            unclear.append(text)
        else:
            sides["happened" if str(bit) == event else "censored"].append(text)
    lists = ", ".join(f"{side}: {as_list(texts)}" for side, texts in sides.items())
    if unclear:
        names = listed(map(repr, unclear))
        return f"{lists}, and {names} under the one of the two that it means"
    return lists


def _meant(
    spec: OutcomeSpec,
    rest: Sequence[str],
) -> dict[str, object]:
    """Dictionary of what is declared, what texts say by themselves, and what is unclear."""
    given = spec.words or {}
    meant: dict[str, object] = {**given}
    letters = {text.casefold() for text in rest} in _LETTERS
    for text in rest:
        meant[text] = _guess(text, spec)
        if letters:
            meant[text] = _bit(spec, happened=text in "yYtT")
    if len(given) == len(rest) == 1:
        meant[rest[0]] = 1 - next(iter(given.values()))
    return meant


def _guess(text: str, spec: OutcomeSpec) -> object:
    """0 or 1 where the text says it, otherwise `UNCLEAR`."""
    if spec.words is None and text.casefold() in FLAGS:
        return f"{FLAGS[text.casefold()]:g}"
    bit = _says(text, spec)
    if bit is None and re.match("[01]:", text):
        # cBioPortal: 1 stands before words for the event
        bit = _bit(spec, happened=text[0] == "1")
    return UNCLEAR if bit is None else bit


def _says(text: str, spec: OutcomeSpec) -> int | None:
    """0 or 1 of the column as the text says it by itself, None where it says neither."""
    happened = says_event(text)
    return None if happened is None else _bit(spec, happened=happened)


def says_event(text: str) -> bool | None:
    """Whether a text by itself says that the event happened; None where it says neither.

    >>> [says_event(text) for text in ("1:DECEASED", "Alive", "stage II")]
    [True, False, None]
    """
    plain = re.sub(r"^[01]:", "", text).strip().casefold()
    if plain in _HAPPENED | _CENSORED:
        return plain in _HAPPENED
    return None


def _bit(spec: OutcomeSpec, *, happened: bool) -> int:
    """0 or 1 of the column, whose 1 is the event or censoring."""
    return int(happened == (spec.event is not None))


def as_mapping(values: Mapping[str, object]) -> str:
    """Write a mapping as YAML on one line."""
    pairs = [f"{quoted(text)}: {value}" for text, value in values.items()]
    return "{" + ", ".join(pairs) + "}"


def as_list(texts: Iterable[str]) -> str:
    """Write a list of texts as YAML on one line."""
    return "[" + ", ".join(map(quoted, dict.fromkeys(texts))) + "]"


def quoted(text: str) -> str:
    """Write a text as it stands in a YAML file."""
    plain = _PLAIN.fullmatch(text) and text.casefold() != "null"
    return text if plain else json.dumps(text, ensure_ascii=False)


def doubt_of_shares(events: int, patients: int) -> str:
    """Doubt the polarity where nearly everybody, or nearly nobody, has the event; empty otherwise.

    The limit is 95 % of one kind. The ten public cohorts that the tests read have 10 to 60 %
    events; from 20 patients on, a cohort with 80 % passes the limit by chance in less than 6 cases
    of 100.
    """
    if patients < MIN_PATIENTS or events == 0:
        return ""
    censored = patients - events
    if events > ONE_KIND * patients:
        count = censored or "none"
        return (
            f"{count} of {patients} patients censored: nearly everybody has the event"
        )
    if censored > ONE_KIND * patients:
        return f"only {events} of {patients} patients with the event"
    return ""


def doubt_of_texts(spec: OutcomeSpec) -> str:
    """Doubt a dictionary in which a text means the opposite of what it says; empty otherwise."""
    one = "event" if spec.event is not None else "censored"
    for text, bit in (spec.words or {}).items():
        if _says(text, spec) == 1 - bit:
            if spec.has_sides:
                happened = (bit == 1) == (one == "event")
                side = "happened" if happened else "censored"
                return f"{text!r} stands under `{side}`, and says the opposite"
            means = "the event" if (bit == 1) == (one == "event") else "censored"
            return (
                f"event_values declares {as_mapping({text: bit})}, and 1 is {one} with "
                f"`{one}: {spec.status}`: {text!r} then means {means}"
            )
    return ""


def doubt_of_name(spec: OutcomeSpec) -> str:
    """Doubt the polarity where the column's name says the opposite; empty otherwise."""
    if spec.words is not None:
        return ""
    name = spec.status.casefold()
    if spec.event is not None and "censor" in name:
        return (
            f"`event: {spec.status}` takes 1 for the event, but a column of this name marks the "
            "censored"
        )
    names_event = re.search(r"(^|[_ .])(event|death|dead|deceased|died)$", name)
    if spec.censored is not None and names_event:
        return (
            f"`censored: {spec.status}` takes 1 for censored, but a column of this name marks "
            "the events"
        )
    return ""
