"""The learning curve as a figure."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest

from figures.drawn import FIRST, forms, line, new_axes, texts
from report.performed import CLINICAL, learning_curve
from survfuse import figures
from survfuse.results.run_tables import tables

MODEL = "default:concat"
ROLES = {MODEL: "model", CLINICAL: "clinical only"}


def frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    return tables({"learning_curve": rows})["learning_curve"]


@pytest.fixture(scope="module")
def four() -> str:
    """The figure of four models, of which three end at one place."""
    rows = learning_curve(MODEL)
    own = [row for row in rows if row["model"] == MODEL]
    for name in ("late:all", "network:-atlas"):
        rows += [{**row, "model": name} for row in own]
    return figures.learning_curve(frame(rows), ROLES)


def test_every_model_has_a_line_with_its_name(four: str) -> None:
    assert texts(four)[-4:] == [CLINICAL, MODEL, "late:all", "network:-atlas"]
    assert {"50", "100", "120"} <= set(texts(four))
    assert "20" not in texts(four)  # left out
    assert len(set(re.findall(r"stroke-dasharray: ([\d., ]+)", wide_form(four)))) == 3
    assert "with 120 training patients" in four


def test_names_that_would_touch_are_moved_apart(four: str) -> None:
    places = []
    for name in (MODEL, "late:all", "network:-atlas"):
        match = re.search(rf'y="([\d.]+)"[^>]*>{name}</text>', four)
        assert match
        places.append(float(match[1]))
    assert places[0] - places[1] > 9.5
    assert places[1] - places[2] > 9.5


def test_one_size_is_no_curve() -> None:
    assert (
        figures.learning_curve(frame(learning_curve(MODEL, sizes=(20, 120))), ROLES)
        == ""
    )
    assert figures.learning_curve(frame([]), {}) == ""


def wide_form(svg: str) -> str:
    return FIRST.findall(svg)[0]


def test_on_a_phone_the_names_stand_below(four: str) -> None:
    _, narrow = forms(four)
    names = [text.text for text in narrow.iter("text")][-4:]
    assert set(names) == {MODEL, CLINICAL, "late:all", "network:-atlas"}


def test_it_is_drawn_on_axes_in_words() -> None:
    table, ax = frame(learning_curve(MODEL)), new_axes()
    drawn = figures.plot_learning_curve(ax, table, ROLES, names={MODEL: "the model"})
    assert drawn is ax
    known = table[(table["metric"] == "uno_c") & (table["model"] == MODEL)]
    known = known.dropna(subset="value").sort_values("patients")
    x, y = line(ax, "the model")
    np.testing.assert_array_equal(x, known["patients"])
    np.testing.assert_array_equal(y, known["value"])
