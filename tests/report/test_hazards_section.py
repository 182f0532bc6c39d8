from __future__ import annotations

import json
from typing import Any

from report.conftest import Builder
from report.described import LABELS, clinical_hazards, refused_hazards
from report.performed import add_performance
from report.reading import Page, read
from survfuse.cohort.labels import Labels
from survfuse.report.hazards_section import hazards
from survfuse.results.run_tables import TYPES, plain_records
from survfuse.results.schema import frame

Shown = dict[str, Any]


def shown(record: Shown, labels: Labels | None = None) -> Shown:
    rows = plain_records(frame(TYPES["clinical_hazards"], record["rows"]))
    found = hazards(rows, record, labels or Labels.read(LABELS))
    assert found is not None
    return found


def test_each_row_says_what_it_compares() -> None:
    rows = shown(clinical_hazards())["rows"]
    assert [(row["title"], row["contrast"], row["depth"]) for row in rows] == [
        ("Age (years)", "per 10", 0),
        ("sex", "", 0),
        ("men", "reference", 1),
        ("women", "", 1),
        ("other (3, 4)", "", 1),
        ("not known", "against the average", 1),
        ("grade", "per level", 0),
    ]


def test_a_category_of_two_levels_is_one_row() -> None:
    record = clinical_hazards()
    record["rows"] = [row for row in record["rows"] if row["level"] in ("1", "2")]
    (row,) = shown(record)["rows"]
    assert (row["title"], row["contrast"], row["depth"]) == (
        "sex",
        "women against men",
        0,
    )


def test_cells_are_estimates_of_both_fits() -> None:
    table = shown(clinical_hazards())
    assert table["ways"] == ("univariable", "multivariable")
    alone, together = table["rows"][0]["cells"]
    assert (alone["value"], together["value"]) == (1.31, 1.28)
    assert together["low"] < together["value"] < together["high"]


def test_a_refused_fit_takes_its_column_away() -> None:
    table = shown(refused_hazards())
    assert table["ways"] == ("univariable",)
    assert all(len(row["cells"] or [1]) == 1 for row in table["rows"])


def test_an_old_run_or_one_without_clinical_table_has_none() -> None:
    assert hazards([], None, Labels()) is None


def test_the_page_shows_ratios_and_what_is_not_computable(
    full: Page, plain: Page
) -> None:
    assert "Hazard ratios of clinical variables: not recorded by this run" in plain.text
    assert "1.31" in full.text
    assert "other columns determine it" in full.text


def test_the_page_says_why_there_is_no_joint_fit(make_run: Builder) -> None:
    out = add_performance(make_run())
    path = out / "performance.json"
    told = json.loads(path.read_text())
    path.write_text(json.dumps({**told, "clinical_hazards": refused_hazards()}))
    text = read(out).text
    assert "all together are not computable (61 events for 16 parameters" in text
    assert text.count("61 events for 16 parameters") == 1


def test_the_page_shows_medians_and_ratios_of_the_groups(plain: Page) -> None:
    assert "Hazard ratio" in plain.text
    assert "reference" in plain.text
    assert "Brookmeyer and Crowley" in plain.text
