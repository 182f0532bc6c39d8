from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from figures.drawn import forms, marks, texts
from report.conftest import Builder, edit
from report.performed import add_performance, performance
from survfuse import figures
from survfuse.report.drawing import draw_figures
from survfuse.report.report_tables import compute_tables
from survfuse.results import Result
from survfuse.results.run_tables import tables

DRAWN = {
    "increments",
    "over_time",
    "calibration",
    "decision",
    "subgroups",
    "robustness",
    "learning_curve",
}


def drawn_of(out: Path) -> dict[str, str]:
    return draw_figures(compute_tables(Result.read(out)))


@pytest.fixture(scope="module")
def drawn(full_folder: Path) -> dict[str, str]:
    return drawn_of(full_folder)


def test_every_figure_is_drawn_and_told(drawn: dict[str, str]) -> None:
    assert drawn.keys() >= DRAWN
    assert "grouped_calibration" not in drawn
    for name in DRAWN:
        assert len(forms(drawn[name])) == 2
        assert re.search(r"aria-label=[\"'].{80,}", drawn[name])
        assert "nan" not in drawn[name].lower().replace("dominant", "")


def test_ids_stay_unique_over_the_page(drawn: dict[str, str]) -> None:
    page = "".join(drawn.values())
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:url\(#|href="#)([^)"]+)', page)) == set(ids)


def test_models_are_told_apart_by_more_than_colour(drawn: dict[str, str]) -> None:
    for name in ("over_time", "calibration", "decision"):
        assert "clinical variables alone (ridge Cox)" in " ".join(texts(drawn[name]))
        assert len(set(re.findall(r"stroke-dasharray: ([\d., ]+)", drawn[name]))) >= 2
    assert "Kaplan–Meier, no variables" in texts(drawn["over_time"])
    assert {"treat all", "treat none"} <= set(texts(drawn["decision"]))


def test_losses_stand_under_their_kind_in_the_order_of_the_file(
    drawn: dict[str, str],
) -> None:
    found = texts(drawn["robustness"])
    rows = [
        "as it is",
        "A modality removed",
        "without clinical",
        "without slides",
        "without rna",
    ]
    rows += ["One modality alone", "clinical alone", "slides alone", "rna alone"]
    rows += ["Clinical values missing", "25% of them", "50% of them", "75% of them"]
    places = [found.index(row) for row in rows]
    assert places == sorted(places)
    assert {"Uno C", "Integrated Brier score", "Observed / expected"} <= set(found)
    assert found.count("not computable") == 1
    spoken = re.search(r"aria-label=[\"'](.+?)[\"']", drawn["robustness"])
    assert spoken is not None
    assert (
        "Clinical values missing: 75% of them, Uno C: 0.650 (0.591 to 0.709)"
        in spoken[1]
    )
    assert "without rna, Integrated Brier score: not computable" in spoken[1]


def test_increment_rows_keep_their_order_and_say_what_is_missing(
    drawn: dict[str, str],
) -> None:
    told = texts(drawn["increments"])
    rows = [text for text in told if text.endswith(("(network)", "(late fusion)"))]
    assert rows[:3] == ["slides (network)", "rna (network)", "slides (late fusion)"]
    assert told.count("not computable") == 2  # one in each panel
    assert "blood (network), Uno C: not computable" in drawn["increments"]


def test_increment_points_lie_where_the_table_says(full_folder: Path) -> None:
    table = compute_tables(Result.read(full_folder))["increments"].dropna(
        subset=["value"],
    )
    svg = figures.increments(table.assign(isbs=np.nan))
    x = pd.Series([float(mark.get("x", "nan")) for mark in marks(svg)])
    assert x.corr(table["value"].reset_index(drop=True)) == pytest.approx(1, abs=1e-6)


def by_site(sites: int) -> pd.DataFrame:
    """The subgroups of a run with many sites."""
    table = tables(performance("a", (36.0,), sites=sites))["subgroups"]
    return table[table["model"] == "a"]


def test_levels_with_ten_events_are_drawn_and_those_with_fewer_listed() -> None:
    table = by_site(40)
    told = texts(figures.subgroups(table))
    listed = figures.listed_subgroups(table)
    sites = table[table["group"] == "site"].drop_duplicates("level")
    few = set(sites.loc[sites["events"] < figures.FEWEST_EVENTS, "level"])
    assert 10 < len(few) < 40
    assert set(listed.loc[listed["group"] == "site", "level"]) == few
    for level in sites["level"]:
        drawn = any(text.startswith(f"{level} (") for text in told)
        assert drawn == (level not in few)
    assert "everyone (150, 75)" in told
    assert {"site", "sex", "stage at diagnosis"} <= set(told)


def test_more_levels_than_fit_are_cut_to_those_with_most_events() -> None:
    table = by_site(90)
    many = table.assign(events=table["events"] + figures.FEWEST_EVENTS)
    told = texts(figures.subgroups(many))
    levels = [text for text in told if re.fullmatch(r".+ \(\d+, \d+\)", text)]
    assert len(levels) == figures.MOST_LEVELS
    assert "everyone (150, 85)" in levels
    assert "female (61, 40)" in levels
    assert not any(text.startswith("Hospital 90 ") for text in told)


def test_an_interval_that_leaves_the_panel_ends_in_an_arrowhead(
    full_folder: Path,
) -> None:
    rows = [("everyone", "everyone", 90, 40, "observed_expected", 1.0, 0.8, 1.3)]
    rows += [("site", "A", 19, 11, "observed_expected", 3.0, 0.01, 90.0)]
    columns = ["group", "level", "patients", "events", "metric", "value", "low", "high"]
    inside, outside = (
        figures.subgroups(pd.DataFrame(part, columns=columns))
        for part in (rows[:1], rows)
    )
    assert outside.count("<use") >= inside.count("<use") + 3
    assert "3.000 (0.010 to 90.000)" in outside


@pytest.mark.slow
def test_a_run_without_bands_is_drawn(make_run: Builder) -> None:
    out = add_performance(make_run())

    def spoil(told: dict[str, list[dict[str, object]]]) -> None:
        for key in ("time_curves", "calibration", "decision", "subgroups"):
            for row in told[key]:
                row.update(low=None, high=None)

    edit(out / "performance.json", spoil)
    assert drawn_of(out).keys() >= DRAWN


@pytest.mark.slow
def test_nothing_to_draw_is_not_drawn(make_run: Builder) -> None:
    out = add_performance(make_run())

    def spoil(told: dict[str, list[dict[str, object]]]) -> None:
        for key in ("time_curves", "decision", "subgroups", "learning_curve"):
            for row in told[key]:
                row.update(value=None, low=None, high=None)
        for row in told["robustness"]["rows"]:
            row.update(value=None, low=None, high=None)
        for row in told["calibration"]:
            row.update(observed=None)
        told["increment"] = [
            row for row in told["increment"] if row["modality"] == "blood"
        ]

    edit(out / "performance.json", spoil)
    drawn = drawn_of(out)
    assert not DRAWN & drawn.keys()
    assert "grouped_calibration" in drawn


def test_the_decision_curve_is_that_of_the_middle_horizon(make_run: Builder) -> None:
    other = add_performance(make_run("other"), horizons=(48.0, 60.0))
    for out, horizon in (
        (add_performance(make_run()), 36.0),
        (other, 48.0),
        (make_run("none"), None),
    ):
        assert compute_tables(Result.read(out)).decision_horizon == horizon
