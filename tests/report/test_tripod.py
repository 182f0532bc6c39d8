from __future__ import annotations

import json
from pathlib import Path

import pytest

from report.conftest import Builder, edit
from report.performed import add_performance
from survfuse.report.facts import tripod_items
from survfuse.report.report_tables import compute_tables
from survfuse.results import Result

WANTED = [
    "7",
    "10",
    "11",
    *(f"12{letter}" for letter in "abcdefg"),
    "13",
    "15",
    "18f",
    "20a",
    "20b",
    "20c",
]
WANTED += ["21", "22", "23a", "23b", "24"]


def answers(out: Path) -> dict[str, str]:
    tables = compute_tables(Result.read(out))
    return {row["item"]: row["says"] for row in tripod_items(tables)}


def test_the_items_are_there_and_all_have_words(full_folder: Path) -> None:
    rows = tripod_items(compute_tables(Result.read(full_folder)))
    assert [row["item"] for row in rows] == WANTED
    assert all(row["says"] and row["asks"] and row["topic"] for row in rows)


def test_answers_are_facts_of_the_run(full_folder: Path) -> None:
    told = answers(full_folder)
    cohort = json.loads((full_folder / "cohort.json").read_text())
    events = cohort["events"]
    assert (
        f"150 patients, {events} with the event, {150 - events} without" in told["20a"]
    )
    assert "rna: 113 of 150 patients have it" in told["11"]
    assert "12 patients" in told["11"]
    assert told["10"].startswith(
        f"150 patients, {events} events; 4.5 training events per effective parameter.",
    )
    assert "hillside bladder, 88 patients" in told["12a"]
    assert "4 sites" in told["12d"]
    assert "Calibration slope" in told["12e"]
    assert "decision curve" in told["12e"]


def test_what_was_not_recorded_is_not_invented(make_run: Builder) -> None:
    out = make_run()
    (out / "config.yaml").unlink()
    (out / "checks.json").unlink()
    told = answers(out)
    assert told["12d"] == "Performance by site: not recorded by this run."
    assert "No other cohort was scored" in told["12a"]
    assert "not recorded by this run" in told["13"]
    assert "not recorded by this run" in told["12c"]
    assert "decision curve" not in told["12e"]
    assert "by subgroup: not recorded by this run" in told["23a"]
    assert "parameter" not in told["10"]


@pytest.mark.parametrize(
    ("sampling", "says"),
    [("shuffle", "None used"), ("event_balanced", "as many events as censored")],
)
def test_class_imbalance_is_read_from_the_configuration(
    make_run: Builder,
    sampling: str,
    says: str,
) -> None:
    out = make_run()
    with (out / "config.yaml").open("r+") as file:
        text = file.read().replace("model:\n", f"model:\n  sampling: {sampling}\n")
        file.seek(0)
        file.write(text)
    assert says in answers(out)["13"]


def test_subgroups_without_sites_answer_no_site_question(make_run: Builder) -> None:
    out = add_performance(make_run(), sites=0)
    edit(out / "performance.json", lambda told: told.update(external=None))
    assert answers(out)["23b"] == "Performance by site: not recorded by this run."
    assert answers(out)["20c"] == "Not applicable: no other cohort was scored."
