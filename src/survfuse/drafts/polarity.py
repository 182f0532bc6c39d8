"""What a status column means: by its words or its name, never by its numbers alone."""

from __future__ import annotations

import re

import pandas as pd

from survfuse.cohort.status_column import as_mapping, says_event
from survfuse.drafts.draft import Section
from survfuse.drafts.guess import Choice
from survfuse.drafts.tables import known
from survfuse.drafts.words import words_of
from survfuse.readers.cell_text import whole
from survfuse.readers.table_files import FLAGS

_EVENT = re.compile(
    r"events?|dead|death|deceased|died|mortality|relapsed?|recurr\w*|progress\w*|failure",
)
_CENSORED = re.compile(r"cens\w*|alive|survived|living")
_REVERSED = {"free", "no", "not", "non", "without", "never", "0"}
"""Words of a name after which 1 may mean the opposite: `no_event`, `event_0`."""
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
    counts = known(cells).map(whole).value_counts()
    texts = sorted(map(str, counts.index))
    seen = ", ".join(f"{text}: {counts[text]}" for text in texts)
    if {text.casefold() for text in texts} <= _YES | _NO:
        _put_flag(section, status, texts, seen)
        return
    section.add("event", status, seen)
    meant = {text: says_event(text) for text in texts}
    if None not in meant.values():
        values = {text: int(bool(happened)) for text, happened in meant.items()}
        section.add("event_values", values, "the words say it; 1 is the event")
    elif texts == ["1", "2"]:
        _ask_two(section, texts, {"2"}, f"{seen}; numbers alone do not say it")
    else:
        section.ask(
            "event_values",
            f"a mapping of every word to 1 (the event) or 0: {{{': 0, '.join(texts)}: 0}}",
            evidence=f"{seen}; some of these words do not say it",
        )


def _put_flag(section: Section, status: str, texts: list[str], seen: str) -> None:
    """Write the polarity of a column of yes and no, or leave a blank."""
    says = _name_says(status)
    is_plain = {text.casefold() for text in texts} <= FLAGS.keys()
    yes = {text for text in texts if text.casefold() in _YES}
    if says is not None:
        section.add(says, status, f"{seen}; its name says what 1 is")
        if not is_plain:
            values = {text: int(text in yes) for text in texts}
            section.add("event_values", values, f"1 is {says}")
        return
    if not is_plain:
        section.add("event", status, seen)
        _ask_two(section, texts, yes, f"{seen}; both readings are possible")
        return
    one = min(yes, default="1")
    section.ask(
        "event",
        f"{status} if {one} means that the event happened; if {one} means censored, delete this "
        f"line and write censored: {status}",
        Choice(f"{one} means that the event happened", "event", status),
        Choice(f"{one} means censored", "censored", status),
        evidence=f"{seen}; both readings are possible",
    )


def _ask_two(
    section: Section, texts: list[str], events: set[str], evidence: str
) -> None:
    """Ask which of two words is the event: `events`, or the other."""
    one = ", ".join(sorted(events)) or "none of them"
    first = {text: int(text in events) for text in texts}
    second = {text: 1 - bit for text, bit in first.items()}
    r_writes = " (as R's survival writes it)" if texts == ["1", "2"] else ""
    section.ask(
        "event_values",
        f"{as_mapping(first)} if {one} is the event, {as_mapping(second)} if it means censored",
        Choice(f"{one} is the event{r_writes}", "event_values", first),
        Choice(f"{one} means censored", "event_values", second),
        evidence=evidence,
    )


def _name_says(name: str) -> str | None:
    """Field for which the name of a column of 0 and 1 speaks; None where for neither or both."""
    parts = words_of(name)
    event = any(map(_EVENT.fullmatch, parts))
    censored = any(map(_CENSORED.fullmatch, parts))
    if _REVERSED & {*parts} or event == censored:
        return None
    return "event" if event else "censored"
