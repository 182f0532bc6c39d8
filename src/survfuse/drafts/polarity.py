"""What a status column means: by its words or its name, never by its numbers alone."""

from __future__ import annotations

import re

import pandas as pd

from survfuse.cohort.status_column import says_event
from survfuse.drafts.draft import Section
from survfuse.drafts.guess import Choice
from survfuse.drafts.tables import known
from survfuse.drafts.words import words_of
from survfuse.readers.cell_text import whole

_EVENT = re.compile(
    r"events?|dead|death|deceased|died|mortality|relapsed?|recurr\w*|progress\w*|failure",
)
_CENSORED = re.compile(r"cens\w*|alive|survived|living")
_YES = {"1", "true", "yes", "y", "t"}
_NO = {"0", "false", "no", "n", "f"}


def put_polarity(section: Section, status: str, cells: pd.Series[str]) -> None:
    """Write `event` or `censored`, and `event_values` where the column holds words.

    Where neither its words nor its name say which is the event, a blank is left.

    Parameters
    ----------
    section : Section
        The outcome.
    status : str
    cells : Series of str
        Its cells.
    """
    texts = sorted({whole(cell) for cell in known(cells)})
    counts = known(cells).map(whole).value_counts()
    seen = ", ".join(f"{text}: {counts[text]}" for text in texts)
    yes_no = {text.casefold() for text in texts} <= _YES | _NO
    if yes_no:
        _put_flag(section, status, texts, seen)
        return
    meant = {text: says_event(text) for text in texts}
    if None not in meant.values():
        values = {text: int(bool(happened)) for text, happened in meant.items()}
        section.add("event", status, seen)
        section.add("event_values", values, "the words say it; 1 is the event")
        return
    section.add("event", status, seen)
    if texts == ["1", "2"]:
        section.ask(
            "event_values",
            "{1: 0, 2: 1} if 2 is the event, {1: 1, 2: 0} if 1 is",
            Choice(
                "2 is the event (as R's survival writes it)",
                "event_values",
                {"1": 0, "2": 1},
            ),
            Choice("1 is the event", "event_values", {"1": 1, "2": 0}),
            evidence=f"{seen}; numbers alone do not say it",
        )
        return
    section.ask(
        "event_values",
        f"a mapping of every word to 1 (the event) or 0: {{{': 0, '.join(texts)}: 0}}",
        evidence=f"{seen}; some of these words do not say it",
    )


def _put_flag(section: Section, status: str, texts: list[str], seen: str) -> None:
    """Write the polarity of a column of yes and no, or leave a blank."""
    says = _name_says(status)
    if says is None:
        texts_say = {text: says_event(text) for text in texts}
        if (
            not {"yes", "no"} & {text.casefold() for text in texts}
            or None in texts_say.values()
        ):
            _ask_flag(section, status, texts, seen)
            return
        says = "event"
    section.add(says, status, f"{seen}; its name says what 1 is")
    if not {text.casefold() for text in texts} <= {"0", "1", "true", "false"}:
        values = {text: int(text.casefold() in _YES) for text in texts}
        section.add("event_values", values, f"1 is {says}")


def _ask_flag(section: Section, status: str, texts: list[str], seen: str) -> None:
    one = next((text for text in texts if text.casefold() in _YES), "1")
    section.ask(
        "event",
        f"{status} if {one} means that the event happened; if {one} means censored, delete this "
        f"line and write censored: {status}",
        Choice(f"{one} means that the event happened", "event", status),
        Choice(f"{one} means censored", "censored", status),
        evidence=f"{seen}; both readings are possible",
    )


def _name_says(name: str) -> str | None:
    """Field for which the name of a column of 0 and 1 speaks; None where for neither or both."""
    words = words_of(name)
    event = any(map(_EVENT.fullmatch, words))
    censored = any(map(_CENSORED.fullmatch, words))
    if "free" in words or event == censored:
        return None
    return "event" if event else "censored"
