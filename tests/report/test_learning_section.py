"""The learning curve, as a reader sees it."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from report.conftest import Builder, edit
from report.performed import CLINICAL, add_performance, learning_curve
from report.reading import Page, read
from survfuse._errors import InputError
from survfuse.report.learning_section import learning_curve as grouped
from survfuse.report.learning_section import learning_curve_says
from survfuse.report.model_names import model_title
from survfuse.results import Result
from survfuse.results.run_tables import plain_records, tables

MODEL = "default:concat"


def frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    return tables({"learning_curve": rows})["learning_curve"]


def said(rows: list[dict[str, Any]]) -> str:
    return learning_curve_says(plain_records(frame(rows)), MODEL)


@pytest.mark.parametrize(
    ("gain", "end"),
    [
        (
            0.02,
            "the curve still rises, so more patients may improve the ranking further.",
        ),
        (
            0.01,
            "so these data do not show that more patients would improve the ranking.",
        ),
        (-0.02, "patients were ranked worse with more training patients."),
    ],
)
def test_the_last_step_of_the_model_is_said(gain: float, end: str) -> None:
    text = said(learning_curve(MODEL, gain=gain))
    sign = "+" if gain > 0 else "−"
    assert text.startswith(
        f"With 120 training patients instead of 100, the model's Uno C changes by "
        f"{sign}{abs(gain):.3f} (95% interval ",
    )
    assert text.endswith(end)
    assert ("includes 0" in text) == (gain == 0.01)


def test_without_a_step_nothing_is_claimed() -> None:
    alone = said(learning_curve(MODEL, sizes=(20, 120)))
    assert alone.endswith("so what more patients would bring is not known.")
    rows = learning_curve(MODEL)
    for row in rows:
        if row["metric"] == "delta_uno_c":
            row.update(value=None, low=None, high=None, note="no pair")
    assert said(rows) == "What more training patients bring is not computable: no pair."
    rows = learning_curve(MODEL)
    for row in rows:
        row.update(low=None, high=None)
    assert said(rows).endswith(
        "changes by +0.020, without an interval, so nothing is claimed."
    )


def test_rows_are_grouped_by_model_and_size() -> None:
    rows = learning_curve(MODEL)
    told = grouped(plain_records(frame(rows)), rows, MODEL)
    assert told is not None
    places = [(row["model"], row["patients"]) for row in told["rows"]]
    assert places == [
        (name, size) for name in (MODEL, CLINICAL) for size in (20, 50, 100, 120)
    ]
    first, _, third, _ = told["rows"][:4]
    assert [cell and cell["metric"] for cell in third["cells"]] == [
        "uno_c",
        "delta_uno_c",
        "isbs",
        "delta_isbs",
    ]
    assert first["cells"][0]["value"] is None
    assert first["cells"][1] is None
    assert grouped([], None, MODEL) is None


def test_the_section_shows_sentence_figure_and_table(full: Page) -> None:
    text = full.text
    section = text[text.index("How would the models do with fewer patients?") :]
    assert "With 120 training patients instead of 100" in section
    assert "not computable: 8 events" in section
    table = section[section.index("minus the size before") :]
    assert table.index(model_title(MODEL)) < table.index(model_title(CLINICAL))


def test_a_run_without_a_curve_says_how_to_get_one(make_run: Builder) -> None:
    out = add_performance(make_run())
    edit(out / "performance.json", lambda told: told.update(learning_curve=None))
    text = read(out).text
    assert "(crossval --learning-curve): not recorded by this run." in text


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("model", None),
        ("metric", None),
        ("patients", None),
        ("subsamples", 0.5),
        ("subsamples", None),
        ("high", 1e308),
    ],
)
def test_a_damaged_curve_is_refused(make_run: Builder, key: str, value: object) -> None:
    out = add_performance(make_run())
    edit(
        out / "performance.json",
        lambda told: told["learning_curve"][1].update({key: value}),
    )
    with pytest.raises(
        InputError, match=r"performance\.json: learning_curve, row 2: exp"
    ):
        Result.read(out)


def test_a_step_without_its_sizes_claims_nothing() -> None:
    rows = [row for row in learning_curve(MODEL) if row["metric"] != "uno_c"]
    assert said(rows).endswith("so what more patients would bring is not known.")
