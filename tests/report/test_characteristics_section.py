from __future__ import annotations

import json
from typing import Any, get_type_hints

import pytest

from report.conftest import Builder
from report.described import LABELS
from report.described import characteristics as made_up
from report.performed import add_performance
from report.reading import Page, read
from survfuse._errors import InputError
from survfuse.cohort.labels import Labels
from survfuse.report.characteristics_section import characteristics
from survfuse.results.run_tables import TYPES, plain_records
from survfuse.results.schema import CharacteristicRow, frame

Shown = dict[str, Any]


def shown(rows: list[dict[str, Any]], labels: Labels | None = None) -> Shown:
    records = plain_records(frame(TYPES["characteristics"], rows))
    table = characteristics(records, labels or Labels.read(LABELS), "months")
    assert table is not None
    return table


def row(table: Shown, title: str) -> dict[str, Any]:
    (found,) = [one for one in table["rows"] if one["title"] == title]
    return found


def test_words_replace_names_and_codes() -> None:
    table = shown(made_up())
    assert row(table, "Age (years)")["says"] == "mean (SD)"
    assert row(table, "sex: men")["cells"][0] == "90 (60%)"
    assert row(table, "RNA-seq")["depth"] == 1
    assert table["patients"] == [150, 61, 89]


def test_without_words_the_files_own_names_stand() -> None:
    table = shown(made_up(), Labels())
    titles = [one["title"] for one in table["rows"]]
    assert {"age", "psa", "sex: 2", "rna", "north"} <= set(titles)


def test_numbers_have_the_decimals_that_their_spread_calls_for() -> None:
    table = shown(made_up())
    assert row(table, "Age (years)")["cells"][0] == "64.4 (16.0)"
    assert row(table, "psa")["cells"][0] == "4 [3.2 to 5.2]"
    assert row(table, "Observed time (months)")["cells"][0] == "30 [24 to 39]"
    small = {"kind": "numeric", "column": "x", "summary": "mean", "group": "all"}
    numbers = {"patients": 3, "n": 3, "mean": 0.01234, "sd": 0.0021}
    rest = [{**small, **numbers, "group": group} for group in ("event", "no event")]
    assert row(shown([small | numbers, *rest]), "x")["cells"][0] == "0.0123 (0.0021)"


def test_follow_up_is_of_all() -> None:
    assert row(shown(made_up()), "Follow-up (months)")["cells"] == ["41.5", "", ""]


def test_three_levels_have_a_heading_and_two_have_none() -> None:
    rows = made_up()
    for one in list(rows):
        if one.get("level") == "2":
            rows.append({**one, "level": "3"})
    rows.sort(key=lambda one: one.get("column") == "sex")
    table = shown(rows)
    assert row(table, "sex")["cells"] is None
    assert row(table, "women")["depth"] == 1


def test_of_two_levels_the_one_that_is_there_is_shown() -> None:
    rows = made_up()
    for one in rows:
        if one.get("column") == "sex" and one.get("level"):
            one["level"] = {"1": "yes", "2": "No"}[one["level"]]
    assert row(shown(rows, Labels()), "sex: yes")["cells"][0] == "60 (40%)"


def test_an_old_run_has_none() -> None:
    assert characteristics([], Labels(), "days") is None


def test_the_page_has_the_table_and_escapes_words(make_run: Builder) -> None:
    out = add_performance(make_run())
    record = json.loads((out / "cohort.json").read_text())
    labels = json.loads(json.dumps(LABELS))
    labels["clinical"]["columns"]["age"]["label"] = "Age <b>(years)</b>"
    (out / "cohort.json").write_text(json.dumps({**record, "labels": labels}))
    page = read(out)
    assert "Age <b>(years)</b>" in page.text
    assert "b" not in [tag for tag, _ in page.tags]
    assert "90 (60%)" in page.text


def test_the_page_of_an_old_run_says_what_it_lacks(plain: Page, full: Page) -> None:
    what = "Characteristics by event: not recorded by this run"
    assert what in plain.text
    assert what not in full.text


def test_rows_that_lack_their_group_are_refused() -> None:
    row = dict.fromkeys(get_type_hints(CharacteristicRow))
    with pytest.raises(InputError, match="expected rows with a `kind`, of the groups"):
        characteristics([row], Labels(), "days")
