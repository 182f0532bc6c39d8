"""Figures of a result: on the axes given, of the tables, and the same as the report's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from figures.drawn import line, new_axes
from report.conftest import build_run
from report.performed import CLINICAL, add_performance
from survfuse import figures
from survfuse._errors import InputError, NotComputableError
from survfuse.report.drawing import draw_figures
from survfuse.report.report_tables import compute_tables
from survfuse.results import Result
from survfuse.results.plots import decision_horizon

METHODS = {
    "plot_kaplan_meier": "kaplan_meier_figure.plot_kaplan_meier",
    "plot_calibration": "calibration_figures.plot_calibration",
    "plot_forest": "interval_rows.plot_rows",
    "plot_decision": "curve_figures.plot_decision",
    "plot_time_curves": "curve_figures.plot_time_curve",
    "plot_increments": "interval_rows.plot_rows",
    "plot_subgroups": "interval_rows.plot_rows",
    "plot_learning_curve": "learning_figure.plot_learning_curve",
}
"""Methods of a result, and the function that also draws the report's figure."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return add_performance(build_run(tmp_path_factory.mktemp("plots") / "full"))


@pytest.fixture(scope="module")
def run(folder: Path) -> Result:
    return Result.read(folder)


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """A run without performance.json, horizons, curves and comparators."""
    out = tmp_path_factory.mktemp("plots") / "bare"
    return Result.read(build_run(out, comparators={}, horizons=(), curves=False))


@pytest.mark.parametrize("method", METHODS)
def test_a_figure_is_drawn_on_the_axes_given(run: Result, method: str) -> None:
    ax = new_axes()
    assert getattr(run, method)(ax) is ax
    assert ax.has_data()


def test_axes_of_their_own_are_made_where_none_are_given(
    run: Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    from matplotlib import pyplot

    made = []

    def subplots(**how: Any) -> tuple[None, Any]:
        made.append(Figure(**how).subplots())
        return None, made[-1]

    monkeypatch.setattr(pyplot, "subplots", subplots)
    assert [run.plot_forest()] == made


def test_something_else_than_axes_is_refused(run: Result) -> None:
    with pytest.raises(InputError, match=r"ax: expected matplotlib axes, got str"):
        run.plot_forest("axes")  # type: ignore[arg-type]


def test_kaplan_meier_curves_are_the_table(run: Result) -> None:
    ax = run.plot_kaplan_meier(new_axes())
    groups = run.tables["risk_groups"]
    assert len(groups) == 3
    for row in groups.to_dict("records"):
        table = run.kaplan_meier[run.kaplan_meier["group"] == row["group"]]
        well = table[table["at_risk"] >= figures.FEW_AT_RISK]
        name = f"{row['name']} ({row['patients']} patients, {row['events']} events)"
        x, y = line(ax, name)
        np.testing.assert_array_equal(x, well["time"])
        np.testing.assert_array_equal(y, well["survival"])


def test_calibration_curves_are_the_table(run: Result) -> None:
    ax = run.plot_calibration(new_axes(), horizon=36.0, names={run.name: "ours"})
    table = run.tables["smooth_calibration"]
    for model, name in ((run.name, "ours"), (CLINICAL, CLINICAL)):
        own = table[(table["model"] == model) & (table["horizon"] == 36.0)]
        own = own.dropna(subset=["observed"]).sort_values("predicted")
        x, y = line(ax, name)
        np.testing.assert_array_equal(x, own["predicted"])
        np.testing.assert_array_equal(y, own["observed"])


def test_decision_curves_are_the_table(run: Result) -> None:
    ax, table = run.plot_decision(new_axes()), run.tables["decision"]
    at_middle = table[table["horizon"] == run.horizon]
    for strategy in (run.name, "treat all"):
        own = at_middle[at_middle["strategy"] == strategy]
        _, y = line(ax, strategy)
        np.testing.assert_array_equal(y, own.sort_values("threshold")["value"])


def test_the_forest_has_the_metrics(run: Result) -> None:
    ax = run.plot_forest(new_axes(), metric="harrell_c", names={run.name: "ours"})
    models = run.tables["models"]
    own = models[models["metric"] == "harrell_c"]
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert labels == ["ours", *own["model"][1:]]
    values = [one.get_xdata()[0] for one in ax.lines if one.get_marker() in "Ds^o"]
    np.testing.assert_array_equal(values, own["value"])


def test_every_table_has_a_name_and_its_columns(run: Result, bare: Result) -> None:
    assert run.tables.keys() == bare.tables.keys()
    for name, table in run.tables.items():
        assert [*table.columns] == [*bare.tables[name].columns], name
    assert run.kaplan_meier is run.tables["risk_curves"]


@pytest.mark.parametrize(
    ("draw", "error", "message"),
    [
        (
            lambda run: run.plot_forest(metric="uno"),
            InputError,
            r"metric: expected one of harrell_c, uno_c, got 'uno'",
        ),
        (
            lambda run: run.plot_calibration(horizon=7.0),
            InputError,
            r"horizon: expected one of .*36.*, got 7\.0",
        ),
        (
            lambda run: run.plot_decision(horizon=7.0),
            InputError,
            r"horizon: expected one of .*36.*, got 7\.0",
        ),
        (
            lambda run: run.plot_time_curves(metric="uno_c"),
            InputError,
            r"metric: expected one of brier, auc, got 'uno_c'",
        ),
        (
            lambda run: run.plot_increments(metric="auc"),
            InputError,
            r"metric: expected one of uno_c, isbs, got 'auc'",
        ),
        (
            lambda run: run.plot_subgroups(model="mine"),
            InputError,
            r"model: expected one of .*, got 'mine'",
        ),
    ],
)
def test_what_the_run_does_not_have_is_refused(
    run: Result,
    draw: Callable[[Result], Any],
    error: type[Exception],
    message: str,
) -> None:
    with pytest.raises(error, match=message):
        draw(run)


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("plot_calibration", r"not computable: the run has no horizon"),
        ("plot_decision", r"table 'decision' of this run has no value to draw"),
        ("plot_time_curves", r"table 'time_curves' of this run has no value to draw"),
        ("plot_increments", r"table 'increments' of this run has no value to draw"),
        ("plot_subgroups", r"table 'subgroups' of this run has no value to draw"),
        ("plot_learning_curve", r"make one with crossval --learning-curve"),
    ],
)
def test_what_was_not_computed_is_not_drawn(
    bare: Result, method: str, message: str
) -> None:
    with pytest.raises(NotComputableError, match=message):
        getattr(bare, method)()


def test_without_risk_groups_there_is_no_kaplan_meier(tmp_path: Path) -> None:
    out = build_run(tmp_path / "out")
    path = out / "predictions.csv"
    pd.read_csv(path).assign(risk_group=np.nan).to_csv(path, index=False)
    with pytest.raises(NotComputableError, match="assigns no patient to a risk group"):
        Result.read(out).plot_kaplan_meier()


def test_without_smooth_curves_calibration_is_by_group(tmp_path: Path) -> None:
    out = build_run(tmp_path / "out")
    run = Result.read(out)
    ax = run.plot_calibration(new_axes())
    table = run.tables["calibration"].dropna(subset="observed")
    points = next(one for one in ax.lines if one.get_marker() == "o")
    np.testing.assert_array_equal(points.get_xdata(), table["predicted"])
    np.testing.assert_array_equal(points.get_ydata(), table["observed"])


def test_the_decision_curve_is_of_the_middle_horizon_or_the_earliest() -> None:
    table = pd.DataFrame({"horizon": [48.0, 60.0]})
    assert decision_horizon(table, 60.0) == 60.0
    assert decision_horizon(table, 36.0) == 48.0
    assert decision_horizon(table[:0], 36.0) is None


def test_the_report_is_drawn_by_the_same_functions(
    run: Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    called = []

    def noted(own: Callable[..., Any], place: str) -> Callable[..., Any]:
        def call(*args: Any, **how: Any) -> Any:
            called.append(place)
            return own(*args, **how)

        return call

    for place in set(METHODS.values()):
        module, name = place.split(".")
        where = getattr(figures, module)
        monkeypatch.setattr(where, name, noted(getattr(where, name), place))
    draw_figures(compute_tables(run))
    assert set(called) == set(METHODS.values())
