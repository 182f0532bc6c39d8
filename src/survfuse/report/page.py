"""One self-contained page, and the same tables as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from markupsafe import Markup

from survfuse import figures
from survfuse._errors import InputError
from survfuse._places import disk_errors, try_file
from survfuse._storage import read_json, write_json, write_text
from survfuse.report.answers import answers
from survfuse.report.drawing import draw_figures
from survfuse.report.facts import facts, increments_verdict, of_page, tripod_items
from survfuse.report.glossary import entries, link_terms
from survfuse.report.model_names import model_title
from survfuse.report.names import metric
from survfuse.report.report_tables import Tables, compute_tables
from survfuse.report.summary import doubts, summary
from survfuse.report.verdict import judge, tally, verdict
from survfuse.report.wording import environment
from survfuse.results import Result
from survfuse.results.schema import CheckRecord
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
        The page. ``report.json`` next to it holds every table of the page.

    Raises
    ------
    InputError
        When a file of the run is absent or broken, or as :func:`try_page`.
    """
    page = try_page(out)
    tables = compute_tables(Result.read(out))
    checks = judge(tables)
    text = render(tables, checks)
    with disk_errors(page):
        write_json(page.with_suffix(".json"), to_dict(tables, checks))
        write_text(page, text)
    return page


def try_page(out: Path | str) -> Path:
    """Check, before work begins, that the page can be written and replaces only a page of ours.

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


def to_dict(
    tables: Tables,
    checks: Sequence[CheckRecord],
) -> dict[str, Any]:
    """Everything of the page, as JSON.

    Parameters
    ----------
    tables : Tables
    checks : sequence of CheckRecord
    """
    run = tables.run
    cohort: dict[str, Any] = {**run.cohort}
    performance: dict[str, Any] = {**run.performance}
    keys = ("name", "endpoint", "unit", "patients", "events")
    return {
        "format": FORMAT,
        "version": VERSION,
        "model": run.name,
        "clinical_baseline": tables.baseline,
        "cohort": {key: cohort.get(key) for key in keys},
        "external_cohort": (performance.get("external") or {}).get("cohort"),
        "follow_up_median": cohort.get("follow_up_median"),
        "horizon": run.horizon,
        "decision_horizon": tables.decision_horizon,
        "interval": performance.get("interval"),
        "model_titles": {
            name: model_title(name, tables.labels) for name in run.scored_models
        },
        "summary": summary(tables, checks, facts(tables)),
        "verdict": verdict(tables),
        "increments_verdict": increments_verdict(tables),
        "robustness_left_out": (performance.get("robustness") or {}).get("left_out"),
        "log_rank": tables.log_rank,
        "not_computable": tables.reasons,
        "checks": checks,
        "tripod": tripod_items(tables),
        "tables": tables.records,
    }


def render(
    tables: Tables,
    checks: Sequence[CheckRecord],
) -> str:
    """Render the page.

    Parameters
    ----------
    tables : Tables
    checks : sequence of CheckRecord

    Returns
    -------
    str
        HTML; every text that comes from a file is escaped.
    """
    page = environment(autoescape=True)
    page.filters["metric"] = metric
    css = (files("survfuse.report") / "templates" / "report.css").read_text(
        encoding="utf-8",
    )
    shown = of_page(tables)
    html = page.get_template("report.html.j2").render(
        checks=checks,
        doubts=doubts(checks),
        summary=summary(tables, checks, shown),
        glossary=entries(),
        tally=tally(checks),
        svg={name: Markup(svg) for name, svg in draw_figures(tables).items()},
        most_patterns=figures.MOST_PATTERNS,
        few_at_risk=figures.FEW_AT_RISK,
        most_levels=figures.MOST_LEVELS,
        css=Markup(css + figures.STYLE_SHEET),
        rule=RULE,
        **answers(tables, shown),
        **shown,
    )
    head, main, body = html.partition("<main>")
    return head + main + link_terms(body)
