"""One self-contained page, and the same tables as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from survfuse._errors import InputError
from survfuse._places import disk_errors, try_file
from survfuse._storage import read_json, write_json, write_text
from survfuse.report import (
    claims,
    figures,
    formatting,
    missing_section,
    names,
    tripod,
    views,
)
from survfuse.report.artefacts import Run, read_run
from survfuse.report.drawing import decision_horizon, draw_figures
from survfuse.report.method import REFERENCES, limits, method, notes, section
from survfuse.report.performance import NOT_RECORDED
from survfuse.report.report_tables import Tables, compute_tables, plain_records
from survfuse.report.verdict import (
    Check,
    chance,
    headline_metric,
    judge,
    tally,
    verdict,
)
from survfuse.survival.degrees_of_freedom import RULE

FORMAT = "survfuse-report"
VERSION = 1
MOST_HEAD = 2**20  # bytes; its style sheet comes first
MARKS = (
    b'<meta name="generator" content="survfuse">',
    b'<p class="kicker">Cross-validation report</p>',
    b'<p class="kicker">Evaluation of predictions made elsewhere</p>',
)
"""One of them is in the head of every page; those of early versions have no first."""
SECTIONS = {
    "headline": "Headline",
    "increments": "What each modality adds",
    "cohort": "Cohort",
    "models": "Models",
    "over-time": "Over time",
    "calibration": "Calibration",
    "decision": "Decision curve",
    "groups": "Risk groups",
    "times": "Predicted times",
    "subgroups": "Sites and subgroups",
    "robustness": "Robustness to what is missing",
    "safeguards": "Safeguards",
    "external": "External validation",
    "checks": "Checks",
    "method": "Method and limits",
    "tripod": "TRIPOD+AI",
}


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
        When a file of the run is absent or broken, or as :func:`try_page`.
    """
    page = try_page(out)
    run = read_run(out)
    tables = compute_tables(run)
    checks = judge(run, tables)
    text = render(run, tables, checks)
    with disk_errors(page):
        write_json(page.with_suffix(".json"), to_dict(run, tables, checks))
        write_text(page, text)
    return page


def try_page(out: Path | str) -> Path:
    """Make sure, before work begins, that the page can be written and replaces nothing of others.

    Raises
    ------
    InputError
        When nothing can be written there, or a ``report.html`` or ``report.json`` is there that
        is no report of ours.
    """
    page = Path(out) / "report.html"
    for target, is_ours in ((page, _is_page), (page.with_suffix(".json"), _is_tables)):
        try_file(target)
        if target.exists() and not is_ours(target):
            raise InputError(
                f"{target}: not a report of survfuse, which would replace it; move it away",
            )
    return page


def _is_page(path: Path) -> bool:
    with disk_errors(path), path.open("rb") as file:
        head = file.read(MOST_HEAD)
    return any(mark in head for mark in MARKS)


def _is_tables(path: Path) -> bool:
    try:
        tables = read_json(path)
    except InputError:
        return False
    return isinstance(tables, dict) and tables.get("format") == FORMAT


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
        "cohort": {
            key: run.cohort.get(key)
            for key in ("name", "endpoint", "unit", "patients", "events")
        },
        "external_cohort": (run.performance.get("external") or {}).get("cohort"),
        "follow_up_median": run.cohort.get("follow_up_median"),
        "horizon": run.horizon,
        "decision_horizon": decision_horizon(run, tables),
        "interval": run.performance.get("interval"),
        "verdict": verdict(run, tables),
        "increments_verdict": _increments_say(tables),
        "robustness_left_out": (run.performance.get("robustness") or {}).get(
            "left_out",
        ),
        "log_rank": dict(tables.log_rank),
        "not_computable": dict(tables.reasons),
        "checks": [check.as_dict() for check in checks],
        "tripod": tripod.items(run, tables),
        "tables": {
            name: plain_records(frame) for name, frame in tables.frames().items()
        },
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
    css = (
        files("survfuse.report")
        .joinpath("templates", "report.css")
        .read_text(encoding="utf-8")
    )
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            run=run,
            cohort=run.cohort,
            tables={
                name: plain_records(frame) for name, frame in tables.frames().items()
            },
            reasons=tables.reasons,
            baseline=tables.baseline,
            checks=checks,
            tally=tally(list(checks)),
            repeats=int(run.predictions["repeat"].nunique()),
            folds=int(run.predictions["fold"].nunique()),
            svg={name: Markup(svg) for name, svg in draw_figures(run, tables).items()},
            most_patterns=figures.MOST_PATTERNS,
            most_levels=figures.MOST_LEVELS,
            css=Markup(css),
            **_numbers(run, tables),
            **_texts(run, tables),
        )
    )


def _numbers(run: Run, tables: Tables) -> dict[str, Any]:
    """What the sections on performance show."""
    metric = headline_metric(tables, run.model)
    return {
        "headline": {
            "metric": names.metric(metric, run.unit).title,
            "model": tables.estimate(run.model, metric),
            "baseline": tables.estimate(tables.baseline, metric),
            "verdict": verdict(run, tables),
            "chance": chance(run, tables),
        },
        "delta": tables.estimate(run.model, names.DELTA),
        "has_delta": bool((tables.models["metric"] == names.DELTA).any()),
        "log_rank": tables.log_rank,
        "models": views.models(tables),
        "families": views.families(run, tables),
        "others": views.others(run, tables),
        "increments": views.compared(tables, "increments"),
        "comparisons": views.compared(tables, "comparisons"),
        "counted": _counted(run, tables),
        "sizes": plain_records(tables.performance["sizes"]),
        "rule": RULE,
        "agreement": views.agreement(run, tables),
        "d_calibration": tables.estimate(run.model, names.D_CALIBRATION),
        **_missing(run, tables),
        "optimism": views.optimism(tables),
        "external": views.external(run, tables),
        "decision_horizon": decision_horizon(run, tables),
        "levels": len(
            tables.performance["subgroups"].drop_duplicates(["group", "level"]),
        ),
    }


def _counted(run: Run, tables: Tables) -> str:
    """Say of which events Uno's C speaks, where its end leaves some out."""
    tau, uno = run.cohort.get("tau"), tables.estimate(run.model, "uno_c")
    if tau is None or uno is None or uno["events"] in (None, run.cohort["events"]):
        return ""
    return f"by {formatting.duration(tau, run.unit)}, of {formatting.count(run.cohort['events'])} in all"


def _missing(run: Run, tables: Tables) -> dict[str, Any]:
    """What the page shows of what is missing, here and in the other cohort."""
    found, outside = tables.performance, run.performance.get("external") or {}
    elsewhere = (outside.get("cohort") or {}).get("patterns") or ()
    return {
        "availability": missing_section.availability(
            plain_records(tables.patterns),
            found["availability"],
        ),
        "robustness": missing_section.robustness(
            found["robustness"],
            run.performance.get("robustness"),
        ),
        "external_availability": missing_section.availability(
            elsewhere,
            found["external_availability"],
        ),
        "external_robustness": missing_section.robustness(
            found["external_robustness"],
            outside.get("robustness"),
        ),
    }


def _texts(run: Run, tables: Tables) -> dict[str, Any]:
    repeated = run.predictions["repeat"].nunique() > 1
    return {
        "pooled": f"{'First repeat, all' if repeated else 'All'} test folds pooled.",
        "method": method(run),
        "calibration": section(run.config, "model").get("calibration"),
        "notes": notes(run),
        "limits": limits(run),
        "references": REFERENCES,
        "tripod": tripod.items(run, tables),
        "increments_say": _increments_say(tables),
        "interval_text": str(run.performance.get("interval") or "").rstrip("."),
    }


def _increments_say(tables: Tables) -> str | None:
    rows = plain_records(tables.performance["increments"])
    return claims.increments_say(rows) if rows else None


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("survfuse.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        number=formatting.number,
        difference=formatting.difference,
        count=formatting.count,
        percent=formatting.percent,
        p_value=formatting.p_value,
        duration=formatting.duration,
        plain=formatting.plain,
        plural=formatting.plural,
        metric=names.metric,
        why=_why,
    )
    environment.globals["interval"] = formatting.interval
    environment.globals["sections"] = SECTIONS
    environment.globals["section_number"] = {
        name: i for i, name in enumerate(SECTIONS, start=1)
    }
    environment.globals["not_recorded"] = NOT_RECORDED
    environment.tests["known"] = formatting.known
    return environment


def _why(note: Any) -> str:
    """Write why a number is not there, said once however the note begins."""
    text = str(note or "").strip().removeprefix("not computable").lstrip(": ")
    return f"not computable: {text or 'no reason was recorded'}"
