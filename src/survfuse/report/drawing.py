"""Which figures a run has."""

from __future__ import annotations

from survfuse.report import figures
from survfuse.report.artefacts import Run
from survfuse.report.report_tables import CONCORDANCES, Tables, plain_records


def draw_figures(run: Run, tables: Tables) -> dict[str, str]:
    """Draw every figure whose table has rows.

    Parameters
    ----------
    run : Run
    tables : Tables
        Computed from `run`.

    Returns
    -------
    mapping of name to str
        SVG elements; a figure that cannot be drawn is absent, and the page says why.
    """
    return {
        **_of_the_cohort(run, tables),
        **_of_predictions(run, tables),
        **_of_performance(run, tables),
    }


def decision_horizon(run: Run, tables: Tables) -> float | None:
    """Horizon of the decision curve: the run's middle one, else the earliest that was computed."""
    computed = sorted(set(tables.performance["decision"]["horizon"].dropna()))
    if run.horizon in computed:
        return run.horizon
    return float(computed[0]) if computed else None


def _of_the_cohort(run: Run, tables: Tables) -> dict[str, str]:
    drawn: dict[str, str] = {}
    if len(tables.patterns):
        names = [str(name) for name in tables.modalities["name"]]
        seen = [name for row in tables.patterns["modalities"] for name in row]
        drawn["patterns"] = figures.patterns(
            tables.patterns,
            list(dict.fromkeys([*names, *seen])),
        )
    shown = tables.models[tables.models["metric"].isin(CONCORDANCES)]
    if len(shown):
        drawn["forest"] = figures.forest(shown)
    return drawn


def _of_predictions(run: Run, tables: Tables) -> dict[str, str]:
    drawn: dict[str, str] = {}
    if len(tables.risk_curves):
        drawn["risk_groups"] = figures.risk_groups(
            tables.risk_curves,
            tables.risk_groups,
            tables.at_risk,
            run.unit,
        )
    if len(tables.time_bins):
        drawn["times"] = figures.times(
            tables.time_bins,
            plain_records(tables.times)[0],
            run.unit,
        )
    smooth = tables.performance["smooth_calibration"].dropna(
        subset=["predicted", "observed"],
    )
    smooth = smooth[smooth["model"].isin(list(tables.roles()))]
    if len(smooth):
        bins = tables.performance["prediction_bins"]
        drawn["calibration"] = figures.smooth_calibration(
            smooth,
            bins,
            tables.roles(),
            run.unit,
        )
    elif tables.calibration["observed"].notna().any() and run.horizon is not None:
        drawn["grouped_calibration"] = figures.grouped_calibration(
            tables.calibration,
            run.horizon,
            run.unit,
        )
    return drawn


def _of_performance(run: Run, tables: Tables) -> dict[str, str]:
    drawn: dict[str, str] = {}
    roles, found = tables.roles(), tables.performance
    if found["increments"]["value"].notna().any():
        drawn["increments"] = figures.increments(found["increments"])
    curves = found["time_curves"]
    if curves.loc[curves["model"].isin(list(roles)), "value"].notna().any():
        drawn["over_time"] = figures.time_curves(curves, roles, run.unit)
    horizon = decision_horizon(run, tables)
    benefit = found["decision"][found["decision"]["horizon"] == horizon]
    if (
        horizon is not None
        and benefit.loc[benefit["strategy"].isin(list(roles)), "value"].notna().any()
    ):
        drawn["decision"] = figures.decision(benefit, roles, horizon, run.unit)
    if found["robustness"]["value"].notna().any():
        drawn["robustness"] = figures.robustness(found["robustness"])
    own = found["subgroups"][found["subgroups"]["model"] == run.model]
    if own["value"].notna().any():
        drawn["subgroups"] = figures.subgroups(own)
    return drawn
