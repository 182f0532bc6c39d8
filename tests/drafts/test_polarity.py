"""The polarity is read off words or a name, and never off numbers alone."""

from __future__ import annotations

import pandas as pd
import pytest

from survfuse.drafts.draft import Section
from survfuse.drafts.guess import Blank, Guess
from survfuse.drafts.polarity import put_polarity


def fields(status: str, *texts: str) -> dict[str, object]:
    """Fields of the polarity, and `Blank` where one is left."""
    section = Section()
    put_polarity(section, status, pd.Series(texts, dtype=object))
    made: dict[str, object] = {}
    for name, item in section.items.items():
        made[name] = item.value if isinstance(item, Guess) else type(item)
    return made


@pytest.mark.parametrize(
    ("status", "texts", "expected"),
    [
        ("os_event", ("0", "1"), {"event": "os_event"}),
        ("event", ("0.0", "1.0"), {"event": "event"}),
        ("censorship", ("0", "1"), {"censored": "censorship"}),
        ("Alive", ("FALSE", "TRUE"), {"censored": "Alive"}),
        (
            "OS_STATUS",
            ("0:LIVING", "1:DECEASED"),
            {"event": "OS_STATUS", "event_values": {"0:LIVING": 0, "1:DECEASED": 1}},
        ),
        (
            "vital_status",
            ("Dead", "Alive", "'--"),
            {"event": "vital_status", "event_values": {"Alive": 0, "Dead": 1}},
        ),
        (
            "recurrence",
            ("no", "yes"),
            {"event": "recurrence", "event_values": {"no": 0, "yes": 1}},
        ),
        (
            "alive",
            ("no", "yes"),
            {"censored": "alive", "event_values": {"no": 0, "yes": 1}},
        ),
        ("status", ("0", "1"), {"event": Blank}),
        ("vital_status", ("0", "1"), {"event": Blank}),
        ("OS", ("0", "1"), {"event": Blank}),
        ("recurrence_free", ("0", "1"), {"event": Blank}),
        ("not_dead", ("0", "1"), {"event": Blank}),
        ("no_event", ("0", "1"), {"event": Blank}),
        ("event_0", ("0", "1"), {"event": Blank}),
        ("survival", ("no", "yes"), {"event": "survival", "event_values": Blank}),
        (
            "disease_free",
            ("No", "Yes"),
            {"event": "disease_free", "event_values": Blank},
        ),
        ("status", ("1", "2"), {"event": "status", "event_values": Blank}),
        ("death", ("1", "2"), {"event": "death", "event_values": Blank}),
        ("status", ("AWD", "DOD", "NED"), {"event": "status", "event_values": Blank}),
    ],
)
def test_polarity(
    status: str, texts: tuple[str, ...], expected: dict[str, object]
) -> None:
    assert fields(status, *texts) == expected


def test_the_two_readings_are_the_answers() -> None:
    section = Section()
    put_polarity(section, "status", pd.Series(["0", "1", "1"], dtype=object))
    blank = section.items["event"]
    assert isinstance(blank, Blank)
    assert [(one.key, one.value) for one in blank.choices] == [
        ("event", "status"),
        ("censored", "status"),
    ]
    assert blank.evidence == "0: 1, 1: 2; both readings are possible"


def test_of_yes_and_no_both_readings_are_answers() -> None:
    section = Section()
    put_polarity(section, "status", pd.Series(["No", "Yes", "Yes"], dtype=object))
    blank = section.items["event_values"]
    assert isinstance(blank, Blank)
    assert [one.value for one in blank.choices] == [
        {"No": 0, "Yes": 1},
        {"No": 1, "Yes": 0},
    ]
