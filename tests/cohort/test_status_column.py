"""Hints about the status column, each followed to the letter."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import yaml

from builders import CohortFiles
from survfuse._errors import CohortError
from survfuse.cohort import Inspection, inspect, load_cohort
from survfuse.cohort.spec import OutcomeSpec, load_spec
from survfuse.cohort.status_column import (
    as_list,
    as_mapping,
    doubt_of_shares,
    doubt_of_texts,
)

EVENTS = np.arange(20) % 2 == 1  # of the cohort `clinical`


def words(event: str, censored: str) -> list[str]:
    return [event if happened else censored for happened in EVENTS]


def refused(files: CohortFiles) -> str:
    """The one error of the outcome, with its hint."""
    found = inspect(files.write())
    errors = [str(problem) for problem in found.problems if problem.severity == "error"]
    assert len(errors) == 1, errors
    return errors[0]


def follow(files: CohortFiles, message: str, which: int = 0) -> Inspection:
    """Do what the hint says, literally."""
    found = re.findall(r"(event_values|outcome\.missing): (\{.*?\}|\[.*\])", message)
    key, value = found[which]
    files.spec["outcome"][key.removeprefix("outcome.")] = yaml.load(
        value,
        yaml.BaseLoader,
    )
    return inspect(files.write())


@pytest.mark.parametrize("polarity", ["event", "censored"])
@pytest.mark.parametrize(
    ("event", "censored"),
    [
        ("Dead", "Alive"),
        ("1:DECEASED", "0:LIVING"),
        ("1:DEAD WITH TUMOR", "0:ALIVE OR DEAD TUMOR FREE"),
        ("yes", "No"),
        ("Y", "N"),
        ("T", "F"),
        ("Recurred/Progressed", "DiseaseFree"),
    ],
)
def test_words_of_the_field_are_proposed_for_either_polarity(
    clinical: CohortFiles,
    event: str,
    censored: str,
    polarity: str,
) -> None:
    clinical.spec["outcome"][polarity] = clinical.spec["outcome"].pop("event")
    clinical.patients["os_event"] = words(event, censored)
    found = follow(clinical, refused(clinical))
    assert found.cohort is not None
    assert found.cohort.outcome is not None
    assert found.cohort.outcome["event"].tolist() == EVENTS.tolist()


def test_one_and_two_are_told_both_ways(clinical: CohortFiles) -> None:
    clinical.patients["os_event"] = EVENTS + 1
    message = refused(clinical)
    assert (
        "if 2 is the event, event_values: {1: 0, 2: 1}; if 1 is, event_values: {1: 1, 2: 0}"
        in message
    )
    for which, expected in enumerate((EVENTS, ~EVENTS)):
        found = follow(clinical, message, which)
        assert found.cohort is not None
        assert found.cohort.outcome is not None
        assert found.cohort.outcome["event"].tolist() == expected.tolist()


def test_half_a_dictionary_is_asked_for_its_other_half(clinical: CohortFiles) -> None:
    clinical.patients["os_event"] = EVENTS + 1
    clinical.spec["outcome"]["event_values"] = {"2": 1}
    message = refused(clinical)
    assert (
        "status must be a word that event_values lists, got '1' for 10 patient(s)"
        in message
    )
    found = follow(clinical, message)
    assert found.cohort is not None
    assert found.cohort.events == 10


@pytest.mark.parametrize("built_in", ["0", "1", "true", "False", "1.0"])
def test_built_in_words_have_no_meaning_beside_a_dictionary(
    clinical: CohortFiles,
    built_in: str,
) -> None:
    clinical.patients["os_event"] = words("dead", "alive")
    clinical.set("004", "os_event", built_in)
    clinical.spec["outcome"]["event_values"] = {"dead": 1, "alive": 0}
    message = refused(clinical)
    assert "patient 004" in message
    assert f"{{dead: 1, alive: 0, {built_in.removesuffix('.0')}: 0 or 1}}" in message


def test_only_the_user_knows_what_other_words_mean(clinical: CohortFiles) -> None:
    clinical.patients["os_event"] = words("A", "B")
    message = refused(clinical)
    assert "event_values: {A: 0 or 1, B: 0 or 1}" in message
    found = follow(clinical, message)
    assert not found.ok
    assert (
        "event_values.A: Input should be 0 or 1, got '0 or 1'"
        in found.problems[0].message
    )


def test_a_third_status_is_asked_for_beside_zero_and_one(clinical: CohortFiles) -> None:
    clinical.set("004", "os_event", "2")  # a competing event
    assert "event_values: {0: 0, 1: 1, 2: 0 or 1}" in refused(clinical)


def test_letter_case_is_named_as_the_only_difference(clinical: CohortFiles) -> None:
    clinical.patients["os_event"] = words("dead", "Alive")
    clinical.spec["outcome"]["event_values"] = {"Dead": 1, "Alive": 0}
    message = refused(clinical)
    assert "'dead' stands there as 'Dead': letter case is all that differs" in message
    found = follow(clinical, message)
    assert found.cohort is not None
    assert found.cohort.events == 10


@pytest.mark.parametrize("cell", ["unknown", "?", "[Not Available]"])
@pytest.mark.parametrize("column", ["os_event", "os_days"])
def test_cells_that_say_unknown_are_listed_and_then_left_out(
    clinical: CohortFiles,
    column: str,
    cell: str,
) -> None:
    clinical.set("004", column, cell)
    clinical.set("005", column, "NA")
    clinical.spec["outcome"]["exclude_invalid"] = True
    asked = [str(p) for p in inspect(clinical.write()).problems if cell in p.message]
    found = follow(clinical, asked[0])
    assert found.cohort is not None
    assert len(found.cohort) == 18, "NA is missing still: the hint gives the whole list"
    assert "is missing" in " ".join(problem.message for problem in found.problems)


def test_numbers_of_a_column_of_floats_are_the_declared_ones(
    clinical: CohortFiles,
) -> None:
    clinical.patients["os_event"] = [f"{event + 1:.1f}" for event in EVENTS]
    assert "{1: 0, 2: 1}" in refused(clinical)
    clinical.spec["outcome"]["event_values"] = {"1": 0, "2": 1}
    clinical.set("004", "os_event", "-9.0")
    clinical.spec["outcome"].update(missing=["-9"], exclude_invalid=True)
    found = inspect(clinical.write())
    assert found.cohort is not None
    assert (len(found.cohort), found.cohort.events) == (19, 9)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "list every word of the column"),
        ({"1": 0, "1.0": 1}, "'1' and '1.0' are one number"),
        ({"dead": 2}, "Input should be 0 or 1"),
    ],
)
def test_a_dictionary_must_say_one_thing(
    clinical: CohortFiles,
    values: Any,
    message: str,
) -> None:
    clinical.spec["outcome"]["event_values"] = values
    assert message in inspect(clinical.write()).problems[0].message


@pytest.mark.parametrize(
    ("events", "patients", "says"),
    [
        (19, 19, ""),
        (20, 20, "none of 20 patients censored"),
        (19, 20, ""),
        (96, 100, "4 of 100 patients censored"),
        (4, 100, "only 4 of 100 patients with the event"),
        (5, 100, ""),
        (95, 100, ""),
    ],
)
def test_nearly_everybody_or_nearly_nobody_is_doubted(
    events: int,
    patients: int,
    says: str,
) -> None:
    doubt = doubt_of_shares(events, patients)
    assert bool(doubt) == bool(says)
    assert says in doubt


def test_the_polarity_is_doubted_in_a_cohort(clinical: CohortFiles) -> None:
    clinical.patients["os_event"] = 1
    clinical.patients["censorship"] = 1 - EVENTS
    found = inspect(clinical.write())
    assert [
        (p.severity, p.column, "check the polarity" in p.hint) for p in found.problems
    ] == [("warning", "os_event", True)]
    clinical.spec["outcome"]["event"] = "censorship"
    assert (
        "a column of this name marks the censored"
        in inspect(clinical.write()).problems[0].message
    )
    clinical.patients["os_event"] = EVENTS.astype(int)
    clinical.spec["outcome"]["censored"] = "os_event"
    del clinical.spec["outcome"]["event"]
    assert (
        "a column of this name marks the events"
        in inspect(clinical.write()).problems[0].message
    )


@pytest.mark.parametrize(
    ("polarity", "values", "says"),
    [
        ("event", {"Dead": 1, "Alive": 0}, ""),
        ("event", {"Dead": 0, "Alive": 1}, "'Dead' then means censored"),
        ("censored", {"Dead": 1, "Alive": 0}, "'Dead' then means censored"),
        (
            "censored",
            {"Alive": 0, "lost": 1, "Dead": 0},
            "'Alive' then means the event",
        ),
        ("censored", {"Dead": 0, "Alive": 1}, ""),
        ("event", {"1": 0, "2": 1}, ""),
    ],
)
def test_a_word_that_means_its_opposite_is_doubted(
    polarity: str,
    values: dict[str, int],
    says: str,
) -> None:
    spec = OutcomeSpec.model_validate(
        {
            "table": "p.csv",
            "time": "t",
            "unit": "days",
            polarity: "vital",
            "event_values": values,
        },
    )
    doubt = doubt_of_texts(spec)
    assert bool(doubt) == bool(says)
    assert says in doubt


def test_such_a_word_is_doubted_in_a_cohort(clinical: CohortFiles) -> None:
    clinical.patients["os_event"] = words("Dead", "Alive")
    del clinical.spec["outcome"]["event"]
    clinical.spec["outcome"] |= {
        "censored": "os_event",
        "event_values": {"Dead": 1, "Alive": 0},
    }
    assert "'Dead' then means censored" in inspect(clinical.write()).problems[0].message


def test_what_hints_print_is_read_back_as_it_was(clinical: CohortFiles) -> None:
    odd = {
        "1:DECEASED": 1,
        "null": 0,
        "": 1,
        "a, b": 0,
        'say "no"': 0,
        "~": 1,
        "Lebt": 0,
        "- x": 1,
    }
    assert yaml.load(as_mapping(odd), yaml.BaseLoader) == {
        word: str(bit) for word, bit in odd.items()
    }
    path = clinical.write()
    path.write_text(
        path.read_text().replace(
            "event: os_event",
            f"event: os_event\n  event_values: {as_mapping(odd)}",
        ),
    )
    spec = load_spec(path)
    assert spec.outcome is not None
    assert spec.outcome.event_values == odd
    assert yaml.load(as_list(odd), yaml.BaseLoader) == list(odd)


# -- words of the event and of censoring


def with_words(
    files: CohortFiles, polarity: str = "event", **words: Any
) -> CohortFiles:
    """A cohort whose status is one of two words, both declared."""
    happened = files.patients["os_event"] == 1
    files.patients["vital"] = np.where(happened, "Dead", "Alive")
    outcome = files.spec["outcome"]
    outcome.pop("event")
    sides = {"happened": ["Dead", "DECEASED"], "censored": ["Alive"], **words}
    outcome[polarity] = {"column": "vital", **sides}
    return files


@pytest.mark.parametrize("polarity", ["event", "censored"])
def test_words_on_both_sides_need_no_bit(clinical: CohortFiles, polarity: str) -> None:
    cohort = load_cohort(with_words(clinical, polarity).write())
    assert cohort.outcome is not None
    assert cohort.outcome["event"].tolist() == [False, True] * 10
    assert cohort.problems == ()


def test_a_word_on_no_side_is_asked_for_in_the_same_form(clinical: CohortFiles) -> None:
    files = with_words(clinical)
    files.set("004", "vital", "LIVING")
    files.set("006", "vital", "lost?")
    with pytest.raises(CohortError) as caught:
        load_cohort(files.write())
    text = str(caught.value)
    assert (
        "must be a word that happened or censored lists, got 'LIVING', 'lost?'" in text
    )
    assert (
        "happened: [Dead, DECEASED], censored: [Alive, LIVING], and 'lost?' under the one of the "
        "two that it means"
    ) in text
    words = {"happened": ["Dead", "lost?"], "censored": ["Alive", "LIVING"]}
    files.spec["outcome"]["event"] = {"column": "vital", **words}
    assert load_cohort(files.write()).events == 9


def test_letter_case_of_a_word_counts_and_is_said(clinical: CohortFiles) -> None:
    files = with_words(clinical)
    files.set("004", "vital", "dead")
    with pytest.raises(
        CohortError, match="letter case is all that differs; write it so"
    ):
        load_cohort(files.write())


def test_a_word_on_the_other_side_is_doubted(clinical: CohortFiles) -> None:
    files = with_words(clinical, happened=["Alive"], censored=["Dead"])
    messages = [problem.message for problem in load_cohort(files.write()).problems]
    assert messages == ["'Alive' stands under `happened`, and says the opposite"]


def test_a_word_that_is_missing_is_no_side(clinical: CohortFiles) -> None:
    files = with_words(clinical)
    files.set("004", "vital", "unknown")
    with pytest.raises(CohortError, match=r"outcome.missing: \[.*unknown\]"):
        load_cohort(files.write())
