from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from survfuse.cohort.spec import FirstOf, OutcomeSpec, TimeSpan

PLAIN = {"table": "p.csv", "time": "t", "unit": "days", "event": "e"}
WORDS = {"column": "vital", "happened": ["Dead"], "censored": ["Alive", "LIVING"]}


def outcome(**fields: Any) -> OutcomeSpec:
    return OutcomeSpec.model_validate({**PLAIN, **fields})


def test_every_column_that_makes_the_outcome_is_one_of_it() -> None:
    assert outcome().columns == ("t", "e")
    span = outcome(time={"from": "a", "to": "b"})
    assert isinstance(span.time, TimeSpan)
    assert span.columns == ("a", "b", "e")
    first = outcome(time={"first_of": ["a", "b"]}, event=WORDS)
    assert isinstance(first.time, FirstOf)
    assert first.columns == ("a", "b", "vital")


def test_words_say_the_same_whichever_the_polarity() -> None:
    event = outcome(event=WORDS)
    assert event.words == {"Dead": 1, "Alive": 0, "LIVING": 0}
    censored = outcome(event=None, censored=WORDS)
    assert censored.words == {"Dead": 0, "Alive": 1, "LIVING": 1}
    assert censored.status == event.status == "vital"
    assert event.has_sides
    assert outcome().words is None


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"event": {**WORDS, "censored": ["Dead"]}}, "'Dead' stands under both"),
        ({"event": {**WORDS, "censored": []}}, "at least 1 item"),
        ({"event": {**WORDS, "censored": ["1", "1.0"]}}, "are one number"),
        ({"event": WORDS, "event_values": {"Dead": "1"}}, "leave one of the two out"),
        ({"event": WORDS, "censored": "c"}, "exactly one of `event"),
    ],
)
def test_words_that_contradict_are_refused(
    fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        outcome(**fields)


def test_a_section_is_written_as_it_is_read() -> None:
    section = outcome(time={"from": "a", "to": "b"}, event=WORDS, patient="id")
    plain = section.model_dump(mode="json", exclude_defaults=True)
    assert plain["time"] == {"from": "a", "to": "b"}
    assert OutcomeSpec.model_validate(plain) == section
