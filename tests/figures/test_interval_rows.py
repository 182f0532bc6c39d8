from __future__ import annotations

import numpy as np
import pandas as pd

from figures.drawn import forms, new_axes
from survfuse import figures
from survfuse.figures.interval_rows import NARROW_TEXT


def subgroups() -> pd.DataFrame:
    rows = [
        ("everyone", "everyone", 90, 40, 0.7),
        ("age_at_the_first_diagnosis", "a level with a long name", 50, 20, 0.8),
        ("age_at_the_first_diagnosis", "few", 9, 3, 0.2),
    ]
    table = pd.DataFrame(
        rows, columns=["group", "level", "patients", "events", "value"]
    )
    return table.assign(metric="uno_c", low=table["value"] - 0.1, high=np.nan)


def test_a_panel_has_the_values_of_its_metric() -> None:
    ax = new_axes()
    assert figures.plot_subgroups(ax, subgroups()) is ax
    values = [one.get_xdata()[0] for one in ax.lines if one.get_marker() == "D"]
    assert values == [0.7, 0.8]
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert labels == [
        "everyone (90, 40)",
        "age_at_the_first_diagnosis",
        "a level with a long name (50, 20)",
    ]
    listed = figures.listed_subgroups(subgroups())
    assert listed.to_dict("records") == [
        {
            "group": "age_at_the_first_diagnosis",
            "level": "few",
            "patients": 9,
            "events": 3,
        }
    ]


def test_a_phone_gets_short_lines_without_broken_words() -> None:
    wide, narrow = forms(figures.subgroups(subgroups()))
    assert "age_at_the_first_diagnosis" in {text.text for text in wide.iter("text")}
    lines = [text.text or "" for text in narrow.iter("text")]
    assert {"age_at_the_first_", "diagnosis", "a level with a long name"} <= set(lines)
    assert max(map(len, lines)) <= NARROW_TEXT
    assert float((narrow.get("width") or "0").removesuffix("pt")) <= 257  # 342 px


def test_without_a_level_with_enough_events_nothing_is_drawn() -> None:
    table = subgroups()
    assert figures.subgroups(table[table["events"] < 10]) == ""
    assert len(figures.listed_subgroups(table.assign(events=3))) == 2
