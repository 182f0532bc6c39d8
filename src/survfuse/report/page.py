"""One self-contained page, and the same tables as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from survfuse._storage import write_json, write_text
from survfuse.report import figures, words
from survfuse.report.artefacts import Run, read_run
from survfuse.report.judge import METRIC_NAMES, Check, chance, headline_metric, judge, tally, verdict
from survfuse.report.method import LIMITS, REFERENCES, method, notes, section
from survfuse.report.tables import CONCORDANCES, DELTA, Tables, compute_tables, metric_names, plain_records

FORMAT = "survfuse-report"
VERSION = 1


def write_report(out: Path | str) -> Path:
    """Write ``report.html`` and ``report.json`` from the other files of a run.

    The page needs nothing but itself: no script, no font, no image is fetched.
    The same files give the same bytes. Patient ids appear in the list of
    problems alone.

    Parameters
    ----------
    out : path
        Output folder of ``crossval``.

    Returns
    -------
    Path
        The page. ``report.json`` beside it holds every table it shows.

    Raises
    ------
    InputError
        When a file of the run is absent or broken.
    """
    run = read_run(out)
    tables = compute_tables(run)
    checks = judge(run, tables)
    page = Path(out) / "report.html"
    write_json(Path(out) / "report.json", to_dict(run, tables, checks))
    write_text(page, render(run, tables, checks))
    return page


def to_dict(run: Run, tables: Tables, checks: Sequence[Check]) -> dict[str, Any]:
    """Everything the page shows, as JSON.

    Parameters
    ----------
    run : Run
    tables : Tables
        Computed from `run`.
    checks : sequence of Check
    """
    return {
        "format": FORMAT,
        "version": VERSION,
        "model": run.model,
        "clinical_baseline": tables.baseline,
        "cohort": {key: run.cohort.get(key) for key in ("name", "endpoint", "unit", "patients", "events")},
        "follow_up_median": run.cohort.get("follow_up_median"),
        "horizon": run.horizon,
        "verdict": verdict(run, tables),
        "log_rank": dict(tables.log_rank),
        "not_computable": dict(tables.reasons),
        "checks": [check.as_dict() for check in checks],
        "tables": {name: plain_records(frame) for name, frame in tables.frames().items()},
    }


def render(run: Run, tables: Tables, checks: Sequence[Check]) -> str:
    """Render the page.

    Parameters
    ----------
    run : Run
    tables : Tables
        Computed from `run`.
    checks : sequence of Check

    Returns
    -------
    str
        HTML; every text that comes from a file is escaped.
    """
    metric = headline_metric(tables, run.model)
    css = files("survfuse.report").joinpath("templates", "report.css").read_text(encoding="utf-8")
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            run=run,
            cohort=run.cohort,
            tables={name: plain_records(frame) for name, frame in tables.frames().items()},
            reasons=tables.reasons,
            log_rank=tables.log_rank,
            baseline=tables.baseline,
            headline=_headline(run, tables, metric),
            metric_names=METRIC_NAMES,
            delta=tables.estimate(run.model, DELTA),
            has_delta=bool((tables.models["metric"] == DELTA).any()),
            delta_key=DELTA,
            models=_pivot(tables),
            other_metrics=_others(tables),
            checks=checks,
            tally=tally(list(checks)),
            repeats=int(run.predictions["repeat"].nunique()),
            folds=int(run.predictions["fold"].nunique()),
            svg={name: Markup(svg) for name, svg in draw_figures(run, tables).items()},
            method=method(run),
            calibration=section(run.config, "model").get("calibration"),
            most_patterns=figures.MOST_PATTERNS,
            notes=notes(run),
            limits=LIMITS,
            references=REFERENCES,
            css=Markup(css),
        )
    )


def draw_figures(run: Run, tables: Tables) -> dict[str, str]:
    """Draw every figure whose table has rows.

    Returns
    -------
    mapping of name to str
        SVG elements; a figure that cannot be drawn is absent, and the page says why.
    """
    drawn: dict[str, str] = {}
    if len(tables.patterns):
        names = [str(name) for name in tables.modalities["name"]]
        seen = [name for row in tables.patterns["modalities"] for name in row]
        drawn["patterns"] = figures.patterns(tables.patterns, list(dict.fromkeys([*names, *seen])))
    if tables.models["metric"].isin(CONCORDANCES).any():
        drawn["forest"] = figures.forest(tables.models[tables.models["metric"].isin(CONCORDANCES)])
    if len(tables.risk_curves):
        drawn["risk_groups"] = figures.risk_groups(
            tables.risk_curves, tables.risk_groups, tables.at_risk, run.unit
        )
    if tables.calibration["observed"].notna().any() and run.horizon is not None:
        drawn["calibration"] = figures.calibration(tables.calibration, run.horizon, run.unit)
    if len(tables.time_bins):
        drawn["times"] = figures.times(tables.time_bins, plain_records(tables.times)[0], run.unit)
    return drawn


def _headline(run: Run, tables: Tables, metric: str) -> dict[str, Any]:
    return {
        "metric": metric,
        "model": tables.estimate(run.model, metric),
        "baseline": tables.estimate(tables.baseline, metric),
        "verdict": verdict(run, tables),
        "chance": chance(run, tables),
    }


def _pivot(tables: Tables) -> list[dict[str, Any]]:
    """One row per model with its concordances, for reading."""
    rows = []
    for model, part in tables.models.groupby("model", sort=False):
        estimates = {row["metric"]: row for row in plain_records(part)}
        shown = [estimates.get(metric) for metric in CONCORDANCES]
        rows.append(
            {
                "model": model,
                "role": part["role"].iloc[0],
                "estimates": dict(zip(CONCORDANCES, shown, strict=True)),
                "delta": estimates.get(DELTA),
                "notes": _notes([e for e in [*shown, estimates.get(DELTA)] if e is not None]),
            }
        )
    return rows


def _notes(estimates: Sequence[Mapping[str, Any]]) -> list[str]:
    """Remarks on numbers that are there; why a number is not there stands in its cell."""
    return list(dict.fromkeys(e["note"] for e in estimates if e["note"] and e["value"] is not None))


def _others(tables: Tables) -> list[dict[str, Any]]:
    frame: pd.DataFrame = tables.models[tables.models["metric"].isin(metric_names(tables))]
    return plain_records(frame)


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("survfuse.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        number=words.number,
        count=words.count,
        percent=words.percent,
        p_value=words.p_value,
        duration=words.duration,
        plain=words.plain,
        plural=words.plural,
        why=_why,
    )
    environment.globals["interval"] = words.interval
    environment.tests["known"] = words.known
    return environment


def _why(note: Any) -> str:
    """Write why a number is not there, said once however the note begins."""
    text = str(note or "").strip().removeprefix("not computable").lstrip(": ")
    return f"not computable: {text or 'no reason was recorded'}"
