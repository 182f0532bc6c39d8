"""Availability patterns and losses, as a reader sees them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from report.conftest import Builder, edit
from report.performed import LOSSES, add_performance, estimate, performance
from report.reading import Page, read
from survfuse.report.section_facts import availability, robustness
from survfuse.report.verdict import LOSS_METRICS, expectation_says, robustness_says
from survfuse.results.run_tables import plain_records, tables


def row(kind: str, what: str, delta: Any, ratio: Any = None) -> dict[str, Any]:
    cells: list[Any] = [None] * len(LOSS_METRICS)
    cells[LOSS_METRICS.index("delta_uno_c")] = delta
    cells[LOSS_METRICS.index("observed_expected")] = ratio
    return {"kind": kind, "what": what, "cells": cells}


def between(low: float | None, high: float | None) -> dict[str, Any]:
    return {
        "value": 0.0 if low is None or high is None else (low + high) / 2,
        "low": low,
        "high": high,
    }


INTACT = row("intact", "", None, between(1.2, 1.4))


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([], "Nothing could be taken from these patients."),
        (
            [
                row("removed", "rna", between(-0.1, -0.01)),
                row("only", "rna", between(0.01, 0.2)),
            ],
            "The same model ranked patients worse without rna. "
            "The same model ranked patients better with rna alone.",
        ),
        (
            [row("missing", "25", between(-0.1, 0.01))],
            "No loss here is shown to make the ranking worse. "
            "An interval that includes 0 does not prove that a loss costs nothing.",
        ),
        (
            [
                row("missing", "75", between(-0.1, -0.01), between(0.6, 0.9)),
                row("removed", "rna", between(-3, -2)),
            ],
            "The same model ranked patients worse with 75% of clinical values missing, without rna.",
        ),
        (
            [
                row("removed", "rna", between(-3, -2), between(1.01, 1.2)),
                row("only", "rna", between(-3, -2), between(0.9, 1.1)),
            ],
            "The same model ranked patients worse without rna, with rna alone.",
        ),
        (
            [
                row(
                    "only",
                    "rna",
                    {**between(None, None), "value": None},
                    {**between(None, None), "value": None},
                ),
            ],
            "No loss here is shown to make the ranking worse. "
            "An interval that includes 0 does not prove that a loss costs nothing.",
        ),
    ],
)
def test_the_sentence_says_what_the_intervals_show(
    rows: list[dict[str, Any]],
    sentence: str,
) -> None:
    assert robustness_says([INTACT, *rows]) == sentence


def test_another_sentence_says_where_too_many_or_too_few_events_are_expected() -> None:
    high, low, both = between(0.6, 0.9), between(1.01, 1.2), between(0.9, 1.1)
    rows = [
        row("missing", "75", None, high),
        row("only", "rna", None, both),
        row("removed", "rna", None, low),
    ]
    assert expectation_says([INTACT, *rows]) == (
        "Fewer events came than it predicted with 75% of clinical values missing. "
        "More events came than it predicted without rna."
    )
    unknown = row("only", "rna", None, {"value": None, "low": None, "high": None})
    assert (
        expectation_says([INTACT, rows[1], unknown, row("removed", "rna", None)]) == ""
    )


def test_losses_are_grouped_with_their_cells_in_order() -> None:
    told = performance("mine", (12.0,))
    rows = plain_records(tables(told)["robustness"])
    found = robustness(rows, told["robustness"])
    assert found is not None
    intact, *rows = found["rows"]
    assert intact["kind"] == "intact"
    assert [cell and cell["metric"] for cell in intact["cells"]] == [
        *("uno_c", None, "isbs", None),
        *("calibration_slope", "observed_expected"),
    ]
    assert [f"{one['kind']}:{one['what']}" for one in rows] == list(LOSSES)
    assert all(
        [cell["metric"] for cell in one["cells"]] == list(LOSS_METRICS) for one in rows
    )
    assert robustness([], None) is None


def test_patterns_without_numbers_stay() -> None:
    scored = tables(
        {
            "availability": [
                {"modalities": ["a", "b"], "metric": "uno_c", **estimate(0.7)},
            ],
        },
    )
    first, second = availability(
        [
            {"modalities": ("a", "b"), "patients": 9},
            {"modalities": ["b"], "patients": 3},
        ],
        plain_records(scored["availability"]),
    )
    assert first["uno_c"]["value"] == 0.7
    assert first["observed_expected"] is None
    assert (second["uno_c"], second["patients"]) == (None, 3)


# -- the page


def test_the_page_shows_each_pattern_and_each_loss(full: Page) -> None:
    headings = ["A modality removed", "One modality alone", "Clinical values missing"]
    places = [
        full.text.rindex(heading, 0, full.text.index("hillside"))
        for heading in headings
    ]
    assert places == sorted(places)
    assert "clinical + slides + rna 95 63% " in full.text
    assert "0.700 0.641 to 0.759 1.100 1.041 to 1.159" in full.text
    assert "clinical + rna 18 12% 6 – not computable: too few patients" in full.text
    assert "rna alone 7 patients with nothing left 0.570" in full.text
    assert (
        "What if something is missing? The same model ranked patients worse without clinical, with rna alone"
        in full.text
    )
    assert "ranked patients better without slides" in full.text


def test_the_other_cohort_has_its_own(full: Page) -> None:
    outside = full.text[full.text.index("hillside bladder") :]
    assert (
        "Where something is missing No loss here is shown to make the ranking worse."
        in outside
    )
    assert (
        "Left out: modalities removed: there is one modality (clinical), nothing to remove."
        in outside
    )
    assert "clinical + rna 28 32%" in outside


def test_models_under_loss_stand_in_no_other_table(
    full: Page,
    full_folder: Path,
) -> None:
    told = json.loads((full_folder / "report.json").read_text())
    metrics = json.loads((full_folder / "metrics.json").read_text())
    assert set(LOSSES) <= set(metrics)
    assert not set(LOSSES) & {row["model"] for row in told["tables"]["models"]}
    assert not [name for name in LOSSES if name in full.text]


@pytest.mark.usefixtures("undrawn")
def test_where_everyone_has_everything_one_line_says_so(make_run: Builder) -> None:
    def whole(cohort: dict[str, Any]) -> None:
        cohort["patterns"] = [
            {
                "modalities": ["clinical", "slides", "rna"],
                "patients": 150,
                "events": 60,
            },
        ]

    out = add_performance(make_run())
    edit(out / "cohort.json", whole)
    page = read(out).text
    assert (
        "have together All 150 patients have every modality: clinical, slides, rna. "
        in page
    )
    assert "Median follow-up" not in page[: page.index("hillside")]


@pytest.mark.usefixtures("undrawn")
def test_what_could_not_be_tried_is_said_on_the_page(make_run: Builder) -> None:
    why = "clinical values missing: the model reads no clinical table"

    def less(told: dict[str, Any]) -> None:
        rows = [
            row
            for row in told["robustness"]["rows"]
            if row["kind"] in {"intact", "removed"}
        ]
        told["robustness"] = {"rows": rows, "left_out": [why]}

    out = add_performance(make_run())
    edit(out / "performance.json", less)
    page = read(out).text
    assert f"Left out: {why}." in page
    assert "One modality alone" not in page
