"""The figures of a result, on matplotlib axes: the same that the report shows.

Each function is a method of :class:`survfuse.results.Result`. It draws a table of `Result.tables`
on the axes that it is given, or on a new figure, and returns the axes. `names` gives words for
the keys of models.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import pandas as pd
from matplotlib.axes import Axes

from survfuse import figures
from survfuse._errors import InputError, NotComputableError, listed
from survfuse.figures.plotting import axes_of
from survfuse.results.model_roles import main_roles

if TYPE_CHECKING:
    from survfuse.results.result import Result

Names = Mapping[str, str]


def plot_kaplan_meier(run: Result, ax: Axes | None = None) -> Axes:
    """Draw observed survival of the risk groups, from the tables `risk_curves` and `at_risk`.

    Curves are pale where fewer than 10 patients are at risk; ticks are censored patients.

    Parameters
    ----------
    ax : matplotlib.axes.Axes, optional
        A new figure where not given, as of every figure here.

    Raises
    ------
    NotComputableError
        Where no patient has a risk group.
    """
    curves, groups = run.kaplan_meier, run.tables["risk_groups"]
    _need(curves, run, "risk_curves")
    ax = axes_of(ax, (7.5, 5.2))
    at_risk = run.tables["at_risk"]
    return figures.plot_kaplan_meier(ax, curves, groups, at_risk, run.unit)


def plot_calibration(
    run: Result,
    ax: Axes | None = None,
    *,
    horizon: float | None = None,
    names: Names | None = None,
) -> Axes:
    """Draw observed against predicted probability of the event at a horizon.

    The tables are `smooth_calibration` and `prediction_bins`. Of a run without them, `calibration`
    is drawn: survival in groups of prediction.

    Parameters
    ----------
    ax : matplotlib.axes.Axes, optional
    horizon : float, optional
        In the unit of the run; its middle one where not given.
    names : mapping of model to str, optional

    Raises
    ------
    InputError
        For a horizon that the run does not have.
    NotComputableError
        Where the model gives no survival curve.
    """
    horizon = run.horizon if horizon is None else horizon
    curves, bins = run.tables["smooth_calibration"], run.tables["prediction_bins"]
    known = curves.dropna(subset=["predicted", "observed"])
    if known.empty and horizon == run.horizon:
        table = run.tables["calibration"]
        _need(table.dropna(subset="observed"), run, "calibration")
        ax = axes_of(ax, (4.8, 4.8))
        return figures.plot_grouped_calibration(
            ax, table, float(horizon or 0), run.unit
        )
    _need_one_of("horizon", horizon, known["horizon"])
    ax = axes_of(ax, (4.8, 4.8))
    own = bins[bins["horizon"] == horizon]
    drawn = known[known["horizon"] == horizon]
    figures.plot_calibration(ax, drawn, own, main_roles(run), names=names)
    ax.legend(loc="upper left")
    return ax


def plot_forest(
    run: Result,
    ax: Axes | None = None,
    *,
    metric: str = "uno_c",
    names: Names | None = None,
) -> Axes:
    """Draw the concordance of every model with its interval, from the table `models`.

    Parameters
    ----------
    ax : matplotlib.axes.Axes, optional
    metric : {"uno_c", "harrell_c"}
    names : mapping of model to str, optional

    Raises
    ------
    InputError
        For another metric, or one that the run does not have.
    """
    models = run.tables["models"]
    choices = models.loc[models["metric"].isin(("uno_c", "harrell_c")), "metric"]
    _need_one_of("metric", metric, choices)
    ax = axes_of(ax, (7.0, 1.2 + 0.33 * models["model"].nunique()))
    return figures.plot_forest(ax, models, metric, names=names)


def plot_decision(
    run: Result,
    ax: Axes | None = None,
    *,
    horizon: float | None = None,
    names: Names | None = None,
) -> Axes:
    """Draw net benefit over the threshold probability at a horizon, from the table `decision`.

    Parameters
    ----------
    ax : matplotlib.axes.Axes, optional
    horizon : float, optional
        In the unit of the run; the middle one where not given.
    names : mapping of model to str, optional

    Raises
    ------
    InputError
        For a horizon that the run does not have.
    NotComputableError
        Where no net benefit could be computed.
    """
    roles, table = main_roles(run), run.tables["decision"]
    known = table[table["strategy"].isin([*roles])].dropna(subset="value")
    _need(known, run, "decision")
    horizon = decision_horizon(known, run.horizon) if horizon is None else horizon
    _need_one_of("horizon", horizon, known["horizon"])
    ax = axes_of(ax, (7.0, 4.2))
    figures.plot_decision(ax, table, roles, float(horizon or 0), run.unit, names=names)
    ax.legend(loc="upper right")
    return ax


def plot_time_curves(
    run: Result,
    ax: Axes | None = None,
    *,
    metric: str = "auc",
    names: Names | None = None,
) -> Axes:
    """Draw AUC or Brier score at each time, from the table `time_curves`.

    Parameters
    ----------
    ax : matplotlib.axes.Axes, optional
    metric : {"auc", "brier"}
    names : mapping of model to str, optional

    Raises
    ------
    InputError
        For a metric that the run does not have.
    NotComputableError
        Where nothing could be computed over time.
    """
    roles, table = main_roles(run), run.tables["time_curves"]
    known = table[table["model"].isin([*roles])].dropna(subset="value")
    _need(known, run, "time_curves")
    _need_one_of("metric", metric, known["metric"])
    ax = axes_of(ax, (6.0, 4.0))
    figures.plot_time_curve(ax, table, roles, run.unit, metric, names=names)
    ax.legend()
    return ax


def plot_increments(
    run: Result,
    ax: Axes | None = None,
    *,
    metric: str = "uno_c",
) -> Axes:
    """Draw what each modality adds, from the table `increments`.

    Parameters
    ----------
    ax : matplotlib.axes.Axes, optional
    metric : {"uno_c", "isbs"}
        Of which the difference is drawn: Uno's C or the integrated Brier score.

    Raises
    ------
    InputError
        For another metric.
    NotComputableError
        Where no difference could be computed.
    """
    table = run.tables["increments"]
    _need(table.dropna(subset="value"), run, "increments")
    with_errors = table["isbs"].notna().any()
    _need_one_of("metric", metric, ["uno_c", *(["isbs"] if with_errors else [])])
    ax = axes_of(ax, (6.5, 1.3 + 0.35 * len(table)))
    return figures.plot_increments(ax, table, metric)


def plot_subgroups(
    run: Result,
    ax: Axes | None = None,
    *,
    metric: str = "uno_c",
    model: str | None = None,
) -> Axes:
    """Draw a model in sites and subgroups of at least 10 events, from the table `subgroups`.

    Parameters
    ----------
    ax : matplotlib.axes.Axes, optional
    metric : {"uno_c", "observed_expected"}
    model : str, optional
        The main model where not given.

    Raises
    ------
    InputError
        For another metric or model.
    NotComputableError
        Where the run has no subgroups.
    """
    table = run.tables["subgroups"].dropna(subset="value")
    _need(table, run, "subgroups")
    model = run.name if model is None else model
    _need_one_of("model", model, table["model"])
    own = table[table["model"] == model]
    drawn = own["metric"].isin(("uno_c", "observed_expected"))
    _need_one_of("metric", metric, own.loc[drawn, "metric"])
    lines = own[["group", "level"]].drop_duplicates()
    ax = axes_of(ax, (6.5, 1.2 + 0.35 * len(lines)))
    return figures.plot_subgroups(ax, own, metric)


def plot_learning_curve(
    run: Result,
    ax: Axes | None = None,
    *,
    names: Names | None = None,
) -> Axes:
    """Draw Uno's C by the number of training patients, from the table `learning_curve`.

    Parameters
    ----------
    ax : matplotlib.axes.Axes, optional
    names : mapping of model to str, optional

    Raises
    ------
    NotComputableError
        Where no learning curve was made, or of one size alone.
    """
    table = run.tables["learning_curve"]
    known = table[table["metric"] == "uno_c"].dropna(subset="value")
    if known["patients"].nunique() < 2:
        raise NotComputableError(
            "learning curve: this run has none with two sizes or more; make one with crossval "
            "--learning-curve",
        )
    ax = axes_of(ax, (6.4, 4.0))
    return figures.plot_learning_curve(ax, table, main_roles(run), names=names)


def decision_horizon(table: pd.DataFrame, middle: float | None) -> float | None:
    """Horizon of the decision curve: the run's middle one, else the earliest computed."""
    computed = table["horizon"].dropna()
    if middle in set(computed):
        return middle
    return float(computed.min()) if len(computed) else None


def _need(table: pd.DataFrame, run: Result, name: str) -> None:
    """Refuse a table without a row that can be drawn, with the reason where it is known."""
    if table.empty:
        unknown = (
            f"table {name!r} of this run has no value to draw: runs of early versions and "
            "models without survival curves have none; its report says why"
        )
        raise NotComputableError(run.prognosis.reasons.get(name, unknown))


def _need_one_of(what: str, given: object, choices: Iterable[object]) -> None:
    known = list(dict.fromkeys(choices))
    if given not in known:
        texts = listed(
            f"{one:g}" if isinstance(one, float) else str(one) for one in known
        )
        raise InputError(f"{what}: expected one of {texts or 'none'}, got {given!r}")
