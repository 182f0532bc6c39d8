"""What the numbers of a run allow to be said, and the numbered checks of the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from survfuse._storage import sha256_file
from survfuse.figures.formatting import INTACT, bounded, known, loss
from survfuse.report.names import DELTA
from survfuse.report.report_tables import CONCORDANCES, Tables
from survfuse.report.wording import load_verdicts, render, sentence
from survfuse.results.schema import CheckRecord

STATUSES = ("failed", "warning", "ok", "not applicable")
ALPHA = 0.05
NO_CHECK = {
    **dict.fromkeys(("id", "name", "evidence", "advice", "severity", "page"), ""),
    "status": "not applicable",
}
PERMUTED = "permuted at prediction"
# Metrics of the table of losses, in the order of its columns.
LOSS_METRICS = (
    *("uno_c", "delta_uno_c", "isbs", "delta_isbs"),
    *("calibration_slope", "observed_expected"),
)


def headline_metric(tables: Tables) -> str:
    """Metric in the headline: Uno's C, or Harrell's where Uno's has no value."""
    for metric in CONCORDANCES:
        if known((tables.estimate(tables.run.name, metric) or {}).get("value")):
            return metric
    return CONCORDANCES[0]


def verdict(tables: Tables) -> str:
    """One sentence on whether the model is better than clinical variables alone.

    Significance is claimed only from the paired difference of the run, never
    from two intervals that overlap or do not.
    """
    metric = headline_metric(tables)
    return sentence(
        "verdict",
        baseline=tables.baseline,
        delta=tables.estimate(tables.run.name, DELTA),
        ours=tables.estimate(tables.run.name, metric),
        theirs=tables.estimate(tables.baseline, metric),
        corrected=_corrected(tables),
    )


def _corrected(tables: Tables) -> float | None:
    """p-value of the model against the clinical baseline, corrected for all its comparisons."""
    for row in tables.records["comparisons"]:
        if (row["model"], row["reference"]) == (tables.run.name, tables.baseline):
            p_holm: float | None = row["p_holm"]
            return p_holm
    return None


def chance(tables: Tables) -> str:
    """Whether the interval of the headline number includes ranking by chance; empty if not."""
    return sentence(
        "chance",
        ours=tables.estimate(tables.run.name, headline_metric(tables)),
    )


def calibrated(tables: Tables) -> str:
    """Whether predicted probabilities are shown to be off, and how sure that is."""
    name = tables.run.name
    return sentence(
        "calibrated",
        ratio=tables.estimate(name, "observed_expected"),
        slope=tables.estimate(name, "calibration_slope"),
    )


def direction(row: Mapping[str, Any]) -> str:
    """Direction of a paired difference: "better", "worse", or empty where neither is certain.

    Parameters
    ----------
    row : mapping
        `low` and `high` of the difference and its `p_holm`. The interval must exclude 0 and,
        where there is a corrected p-value, that must be below 0.05.
    """
    corrected: Any = row.get("p_holm")
    if not (known(row["value"]) and bounded(row)) or (
        known(corrected) and corrected >= ALPHA
    ):
        return ""
    return "better" if row["low"] > 0 else "worse" if row["high"] < 0 else ""


def says(
    row: Mapping[str, Any],
    what: str = "with it",
) -> str:
    """Conclusion of one comparison about the ranking of patients.

    Parameters
    ----------
    row : mapping
        `value`, `low`, `high`, `p_holm` of the difference in Uno C.
    what : str
        The first of the two in the sentence.
    """
    if not known(row["value"]):
        return "nothing: not computable"
    if not bounded(row):
        return "nothing: there is no interval"
    if way := direction(row):
        note = (
            ""
            if known(row["p_holm"])
            else "; not corrected for the number of comparisons"
        )
        return f"ranked {way} {what}{note}"
    if row["low"] > 0 or row["high"] < 0:
        return "not shown after the correction of Holm"
    return "not shown: the interval includes 0"


def _by_direction(
    rows: Sequence[tuple[str, Mapping[str, Any]]],
) -> dict[str, list[str]]:
    """Names of the rows that are better and of those that are worse."""
    names: dict[str, list[str]] = {"better": [], "worse": []}
    for name, row in rows:
        if way := direction(row):
            names[way].append(name)
    return names


def increments_say(rows: Sequence[Mapping[str, Any]]) -> str:
    """Sum up the table of increments in a sentence or two.

    Parameters
    ----------
    rows : sequence of mapping
        Rows of the table `increments`; those permuted at prediction show what a model
        depends on, not what a modality adds, and are left out.
    """
    rows = [row for row in rows if row["kind"] != PERMUTED]
    named = [(f"{row['modality']} ({row['kind']})", row) for row in rows]
    corrected = all(known(row["p_holm"]) for row in rows if direction(row))
    return sentence(
        "increments",
        rows=rows,
        corrected=corrected,
        **_by_direction(named),
    )


def robustness_says(rows: Sequence[Mapping[str, Any]]) -> str:
    """Say in a few sentences which losses change the ranking.

    Parameters
    ----------
    rows : sequence of mapping
        `kind`, `what` and `cells` in the order of `LOSS_METRICS`.
    """
    tried = _losses(rows, "delta_uno_c")
    return sentence("robustness", tried=tried, **_by_direction(tried))


def expectation_says(rows: Sequence[Mapping[str, Any]]) -> str:
    """Say under which losses the model expects too many or too few events; empty where none is.

    Parameters
    ----------
    rows : sequence of mapping
        As for :func:`robustness_says`.
    """
    ratios = _losses(rows, "observed_expected")
    fewer = [name for name, cell in ratios if known(cell["high"]) and cell["high"] < 1]
    more = [name for name, cell in ratios if known(cell["low"]) and cell["low"] > 1]
    return sentence(
        "expectation",
        fewer=fewer,
        more=more,
    )


def _losses(
    rows: Sequence[Mapping[str, Any]],
    metric: str,
) -> list[tuple[str, dict[str, Any]]]:
    """The losses that have an estimate of the metric: in words, and the estimate."""
    cells = []
    for row in rows:
        cell = row["cells"][LOSS_METRICS.index(metric)]
        if row["kind"] != INTACT and cell is not None:
            cells.append((loss(row["kind"], row["what"], within_sentence=True), cell))
    return cells


def judge(tables: Tables) -> list[CheckRecord]:
    """Collect the run's checks and the report's own, in the order of their numbers.

    Returns
    -------
    list of CheckRecord
        With every key; those of the report have the numbers ``R1``, ``R2``, ...
    """
    checks: list[Any] = []
    for position, record in enumerate(tables.run.checks or (), start=1):
        known_values = {
            key: value for key, value in record.items() if key in NO_CHECK and value
        }
        checks.append({**NO_CHECK, "id": str(position), **known_values})
    own = (_unchanged, _complete, _same_patients, _groups_have_events)
    for number, check in enumerate(own, start=1):
        key, status, values = check(tables)
        texts = load_verdicts()["checks"][key]
        advice = texts["advice"] if status in ("failed", "warning") else ""
        severity = texts.get("severity", "warning")
        entry = {"id": f"R{number}", "name": texts["name"], "status": status}
        entry |= {"evidence": render(texts["evidence"], values), "advice": advice}
        checks.append({**NO_CHECK, **entry, "severity": severity})
    return checks


OwnCheck = tuple[str, str, dict[str, Any]]
"""Key of the texts, status, and the facts of the evidence."""


def _unchanged(tables: Tables) -> OwnCheck:
    run = tables.run
    hashes, changed = run.record.get("hashes") or {}, run.changed()
    recorded = bool(hashes.get("predictions") or run.record.get("files"))
    status = "not applicable" if not recorded else "failed" if changed else "ok"
    sha256 = predictions_sha256(tables)
    return (
        "unchanged",
        status,
        {"recorded": recorded, "changed": changed, "sha256": sha256},
    )


def predictions_sha256(tables: Tables) -> str:
    """Hash of ``predictions.csv`` as it is now."""
    assert tables.run.out is not None
    return sha256_file(tables.run.out / "predictions.csv")


def _complete(tables: Tables) -> OwnCheck:
    repeats = tables.run.predictions.groupby("repeat")["patient_id"]
    expected = int(tables.run.cohort["patients"])
    counts = repeats.agg(["size", "nunique"])
    status = "ok" if (counts == expected).all(axis=None) else "warning"
    return "complete", status, {"expected": expected, "sizes": counts["size"].tolist()}


def _same_patients(tables: Tables) -> OwnCheck:
    columns = ["patient_id", "repeat", "fold"]
    models = {**tables.run.models}
    rows = pd.MultiIndex.from_frame(models.pop(tables.run.name)[columns])
    different = []
    for model, table in sorted(models.items()):
        other = pd.MultiIndex.from_frame(table[columns])
        if len(other) != len(rows) or not rows.isin(other).all():
            different.append(model)
    status = "not applicable" if not models else "warning" if different else "ok"
    facts = {"models": models, "different": different, "rows": len(rows)}
    return "same_patients", status, facts


def _groups_have_events(tables: Tables) -> OwnCheck:
    groups = tables["risk_groups"]
    status = "ok" if (groups["events"] > 0).all() else "warning"
    groups_or_none = {"groups": tables.records["risk_groups"]}
    return "events", "not applicable" if groups.empty else status, groups_or_none


def checks_say(checks: Sequence[CheckRecord]) -> str:
    """How many of the checks that apply failed or warn."""
    applied = [row for row in checks if row["status"] != "not applicable"]
    held = [row for row in applied if row["status"] != "ok"]
    return sentence("checks_say", held=len(held), applied=len(applied))


def tally(checks: Sequence[Mapping[str, Any]]) -> str:
    """Count the checks by status, worst first."""
    statuses = [check["status"] for check in checks]
    parts = []
    for status in STATUSES:
        if amount := statuses.count(status):
            plural = "s" if status == "warning" and amount > 1 else ""
            parts.append(f"{amount} {status}{plural}")
    return ", ".join(parts) or "none"
