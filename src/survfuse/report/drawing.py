"""The figures of a run."""

from __future__ import annotations

from survfuse import figures
from survfuse.report.names import model_title
from survfuse.report.report_tables import Tables
from survfuse.results.term_weights import without_effect


def draw_figures(tables: Tables) -> dict[str, str]:
    """Draw every figure that has something to show.

    Parameters
    ----------
    tables : Tables

    Returns
    -------
    mapping of name to str
        SVG elements; a figure that cannot be drawn is absent, and the page says why.
    """
    roles, unit, labelled = tables.roles, tables.run.unit, tables.labelled
    not_reached = int(tables["times"]["not_reached"].iloc[0])
    smooth = tables["smooth_calibration"]
    labels, own = tables.labels, labelled["subgroups"]
    names = {name: model_title(name, labels) for name in tables.run.estimates}
    terms = labelled["terms"]
    drawn = {
        "patterns": figures.patterns(
            labelled["patterns"],
            list(labelled["modalities"]["name"]),
        ),
        "forest": figures.forest(tables["models"], names),
        "risk_groups": figures.risk_groups(
            tables["risk_curves"],
            tables["risk_groups"],
            tables["at_risk"],
            unit,
        ),
        "times": figures.times(tables["time_bins"], not_reached, unit),
        "calibration": figures.smooth_calibration(
            smooth,
            tables["prediction_bins"],
            roles,
            unit,
            names,
        ),
        "increments": figures.increments(labelled["increments"]),
        "weights": figures.weights(terms[~without_effect(terms)]),
        "over_time": figures.time_curves(tables["time_curves"], roles, unit, names),
        "decision": figures.decision(
            tables["decision"],
            roles,
            tables.decision_horizon,
            unit,
            names,
        ),
        "robustness": figures.robustness(labelled["robustness"]),
        "learning_curve": figures.learning_curve(
            tables["learning_curve"], roles, names
        ),
        "subgroups": figures.subgroups(own[own["model"] == tables.run.name]),
    }
    if not drawn["calibration"]:
        grouped = figures.grouped_calibration(
            tables["calibration"],
            tables.run.horizon,
            unit,
        )
        drawn["grouped_calibration"] = grouped
    return {name: svg for name, svg in drawn.items() if svg}
