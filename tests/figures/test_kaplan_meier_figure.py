from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

from figures.drawn import forms, new_axes, texts
from report.conftest import Builder
from survfuse import figures
from survfuse.figures.kaplan_meier_figure import MARK, MOST_MARKS, PALE
from survfuse.results import Result
from survfuse.results.prognosis import Prognosis


@pytest.fixture(scope="module")
def found(run_folder: Path) -> Prognosis:
    return Result.read(run_folder).prognosis


def drawn(found: Prognosis, **options: bool) -> Axes:
    frames = found.frames
    tables = [frames[name] for name in ("risk_curves", "risk_groups", "at_risk")]
    return figures.plot_kaplan_meier(new_axes(), *tables, "months", **options)


def test_curves_are_pale_from_where_fewer_than_ten_are_at_risk(
    found: Prognosis,
) -> None:
    ax = drawn(found)
    pale = [one for one in ax.lines if one.get_alpha() == PALE["alpha"]]
    assert len(pale) == len(found.frames["risk_groups"])
    for (_, table), one in zip(
        found.frames["risk_curves"].groupby("group"), pale, strict=True
    ):
        well = table[table["at_risk"] >= 10]
        few = table[table["at_risk"] < 10]
        x, y = one.get_data()
        # It goes on from the last step with ten patients at risk.
        np.testing.assert_array_equal(x, [well["time"].iloc[-1], *few["time"]])
        np.testing.assert_array_equal(y, [well["survival"].iloc[-1], *few["survival"]])
        assert one.get_linewidth() < 2


def test_ticks_are_censored_patients(found: Prognosis) -> None:
    ax = drawn(found)
    marks = [one for one in ax.lines if one.get_gid() == "censored"]
    for (_, table), one in zip(
        found.frames["risk_curves"].groupby("group"), marks, strict=True
    ):
        times = np.asarray(one.get_xdata()).reshape(-1, 3)[:, 0]
        ends = np.asarray(one.get_ydata()).reshape(-1, 3)
        censored = table[table["censored"] > 0].set_index("time")["survival"]
        assert set(times) <= set(censored.index)
        np.testing.assert_allclose(ends[:, :2].mean(axis=1), censored[times])
        np.testing.assert_allclose(ends[:, 1] - ends[:, 0], 2 * MARK)


def test_ticks_of_many_patients_are_bounded() -> None:
    steps = 5000
    curve = pd.DataFrame({"group": 0, "time": np.linspace(0, 60, steps)})
    curve = curve.assign(survival=1.0, low=0.9, high=1.0, at_risk=steps, censored=1)
    groups = pd.DataFrame(
        {"group": [0], "name": "low risk", "patients": steps, "events": 0}
    )
    at_risk = pd.DataFrame({"group": [0], "time": 0.0, "at_risk": steps})
    ax = figures.plot_kaplan_meier(new_axes(), curve, groups, at_risk, "months")
    (marks,) = [one for one in ax.lines if one.get_gid() == "censored"]
    assert len(marks.get_xdata()) == 3 * (MOST_MARKS + 1)


def test_the_table_tells_who_is_censored_when(run_folder: Path) -> None:
    run = Result.read(run_folder)
    for group, part in run.first_repeat.groupby("risk_group"):
        own = run.kaplan_meier[run.kaplan_meier["group"] == group].set_index("time")
        counted = part[~part["event"].astype(bool)].groupby("time").size()
        censored = own["censored"]
        assert censored[censored > 0].to_dict() == counted.to_dict()
        assert own["events"].sum() + censored.sum() == len(part)


@pytest.mark.parametrize("narrow", [False, True])
def test_numbers_at_risk_stand_at_their_ticks(found: Prognosis, narrow: bool) -> None:
    ax = drawn(found, narrow=narrow)
    at_risk = found.frames["at_risk"]
    shown = at_risk[at_risk["time"].isin(ax.get_xticks())]
    assert len(shown) >= (9 if narrow else 12)
    told = {(text.xy[0], text.get_text()) for text in ax.texts}
    for row in shown.to_dict("records"):
        assert (row["time"], str(row["at_risk"])) in told
    names = {text.get_text() for text in ax.texts}
    assert {"low risk", "intermediate risk", "high risk"} <= names


def test_the_page_says_what_pale_curves_and_ticks_are(found: Prognosis) -> None:
    frames = found.frames
    svg = figures.risk_groups(
        frames["risk_curves"], frames["risk_groups"], frames["at_risk"], "months"
    )
    alt = forms(svg)[0].get("aria-label") or ""
    assert "pale where fewer than 10 patients are at risk" in alt
    assert "ticks are censored patients" in alt
    assert "Number at risk (pale curve: fewer than 10)" in texts(svg)


def test_days_are_drawn_in_years(make_run: Builder) -> None:
    frames = Result.read(make_run()).prognosis.frames
    curves, at_risk = (
        frames[name].assign(time=frames[name]["time"] * 30.4375)
        for name in ("risk_curves", "at_risk")
    )
    svg = figures.risk_groups(curves, frames["risk_groups"], at_risk, "days")
    assert "Time (years)" in texts(svg)
    assert figures.risk_groups(curves[:0], frames["risk_groups"], at_risk, "days") == ""
