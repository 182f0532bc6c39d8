"""A draft is written as YAML that the cohort reader reads, with the evidence as comments."""

from __future__ import annotations

from pathlib import Path

import pytest

from survfuse._errors import ConfigError, InputError
from survfuse._yaml import parse_yaml
from survfuse.cohort import load_spec
from survfuse.drafts import Choice, Draft, write_draft


@pytest.fixture
def draft() -> Draft:
    made = Draft(name="my study", title=["Drafted by a test"])
    outcome = made.section("outcome")
    outcome.add("table", Path("/data/study 1/p.csv"))
    outcome.add("patient", "007")
    outcome.add("time", "OS: months", "0.4 to 131")
    outcome.ask("unit", "days, months or years", evidence="longest is 131")
    outcome.ask(
        "event",
        "the polarity: which is 1?",
        Choice("1 is the event", "event", "OS"),
        Choice("1 is censored", "censored", "OS"),
    )
    clinical = made.section("clinical")
    clinical.add("table", Path("/data/study 1/p.csv"))
    columns = clinical.section("columns")
    columns.add("age", {"kind": "numeric"}, "34 to 90\n# and a line", certain=False)
    columns.add(
        "T stage", {"kind": "ordinal", "levels": ["T1", "T2"], "missing": ["'--"]}
    )
    clinical.note("left out: note (free text)")
    return made


def test_yaml_reads_back_as_what_was_added(draft: Draft) -> None:
    values = parse_yaml(draft.to_yaml(), "draft", as_text=True)
    assert values["name"] == "my study"
    assert values["outcome"]["patient"] == "007"
    assert values["outcome"]["time"] == "OS: months"
    assert values["clinical"]["columns"] == {
        "age": {"kind": "numeric"},
        "T stage": {"kind": "ordinal", "levels": ["T1", "T2"], "missing": ["'--"]},
    }


def test_evidence_is_a_comment_on_one_line(draft: Draft) -> None:
    text = draft.to_yaml()
    assert "# check: 34 to 90 # and a line\n" in text
    assert "  # left out: note (free text)\n" in text
    assert text.startswith("# Drafted by a test\n")


def test_blanks_are_refused_by_name_until_they_are_filled(
    draft: Draft, tmp_path: Path
) -> None:
    files = write_draft(draft, tmp_path / "study")
    assert files[0].name == "cohort.yaml"
    with pytest.raises(
        ConfigError, match=r"2 blanks to fill:\n  - outcome.unit: days, months"
    ):
        load_spec(files[0])
    draft.fill("outcome.unit", Choice("months", "unit", "months"))
    draft.fill("outcome.event", draft.blanks()["outcome.event"].choices[1])
    assert not draft.blanks()
    written = write_draft(draft, tmp_path / "filled")
    outcome = load_spec(written[0]).outcome
    assert outcome is not None
    assert (outcome.censored, outcome.event, outcome.unit) == ("OS", None, "months")


def test_filling_keeps_the_order_of_fields(draft: Draft) -> None:
    draft.fill("outcome.event", draft.blanks()["outcome.event"].choices[1])
    assert list(draft.section("outcome").items) == [
        "table",
        "patient",
        "time",
        "unit",
        "censored",
    ]
    with pytest.raises(KeyError, match=r"outcome\.nothing"):
        draft.fill("outcome.nothing", Choice("", "", ""))


def test_paths_near_the_study_are_relative(tmp_path: Path) -> None:
    draft = Draft()
    draft.add("near", tmp_path / "data" / "p.csv")
    draft.add("far", Path("/elsewhere/p.csv"))
    text = draft.to_yaml(tmp_path / "study")
    assert "near: ../data/p.csv\n" in text
    assert "far: /elsewhere/p.csv\n" in text


def test_nothing_is_overwritten(draft: Draft, tmp_path: Path) -> None:
    (tmp_path / "cohort.yaml").write_text("mine")
    with pytest.raises(
        InputError, match=r"already holds cohort\.yaml; choose a new folder"
    ):
        write_draft(draft, tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["cohort.yaml"]


def test_rows_say_what_is_certain(draft: Draft) -> None:
    states = {row.field: row.state for row in draft.rows()}
    assert states["outcome.time"] == "certain"
    assert states["outcome.unit"] == "fill in"
    assert states["clinical.columns.age"] == "check"
