"""What the numbers of a run allow to be said, and the numbered checks of the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from survfuse._storage import sha256_file
from survfuse.report.formatting import bounded, known, loss
from survfuse.report.names import DELTA
from survfuse.report.report_tables import CONCORDANCES, Tables
from survfuse.report.wording import load_verdicts, render, sentence
from survfuse.results.run_tables import INTACT

STATUSES = ("failed", "warning", "ok", "not applicable")
ALPHA = 0.05
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
    )


def chance(tables: Tables) -> str:
    """Whether the interval of the headline number includes ranking by chance; empty if not."""
    return sentence(
        "chance", ours=tables.estimate(tables.run.name, headline_metric(tables))
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


def says(row: Mapping[str, Any], what: str = "with it") -> str:
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
        return "not shown once all comparisons are counted"
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
        "increments", rows=rows, corrected=corrected, **_by_direction(named)
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
    return sentence("expectation", fewer=fewer, more=more)


def _losses(
    rows: Sequence[Mapping[str, Any]], metric: str
) -> list[tuple[str, dict[str, Any]]]:
    """The losses that have an estimate of the metric: in words, and the estimate."""
    cells = []
    for row in rows:
        cell = row["cells"][LOSS_METRICS.index(metric)]
        if row["kind"] != INTACT and cell is not None:
            cells.append((loss(row["kind"], row["what"], within_sentence=True), cell))
    return cells


@dataclass(frozen=True)
class Check:
    """One numbered check.

    Attributes
    ----------
    id : str
        As the run numbered it; ``R1``, ``R2``, ... for those of the report itself.
    status : str
        "ok", "warning", "failed" or "not applicable".
    evidence, advice : str
    severity : str
        Of a failure, as recorded by the run; may be empty.
    page : str
        Page of the documentation; may be empty.
    """

    id: str
    name: str = ""
    status: str = "not applicable"
    evidence: str = ""
    advice: str = ""
    severity: str = ""
    page: str = ""


def judge(tables: Tables) -> list[Check]:
    """Collect the run's checks and the report's own, in the order of their numbers."""
    checks = []
    for position, record in enumerate(tables.run.checks or (), start=1):
        values: dict[str, Any] = {"id": str(position), **record}
        fields = {
            name: values[name] or "" for name in Check.__annotations__ if name in values
        }
        checks.append(Check(**fields))
    own = (_unchanged, _complete, _same_patients, _groups_have_events)
    return checks + [
        check(tables, f"R{number}") for number, check in enumerate(own, start=1)
    ]


def _own(number: str, key: str, status: str, **facts: Any) -> Check:
    texts = load_verdicts()["checks"][key]
    return Check(
        id=number,
        name=texts["name"],
        status=status,
        evidence=render(texts["evidence"], facts),
        advice=texts["advice"] if status in ("failed", "warning") else "",
        severity=texts.get("severity", "warning"),
    )


def _unchanged(tables: Tables, number: str) -> Check:
    run = tables.run
    hashes, changed = run.record.get("hashes") or {}, run.changed()
    recorded = bool(hashes.get("predictions") or run.record.get("files"))
    status = "not applicable" if not recorded else "failed" if changed else "ok"
    facts = {
        "recorded": recorded,
        "changed": changed,
        "sha256": predictions_sha256(tables),
    }
    return _own(number, "unchanged", status, **facts)


def predictions_sha256(tables: Tables) -> str:
    """Hash of ``predictions.csv`` as it is now."""
    assert tables.run.out is not None
    return sha256_file(tables.run.out / "predictions.csv")


def _complete(tables: Tables, number: str) -> Check:
    repeats = tables.run.predictions.groupby("repeat")["patient_id"]
    sizes, expected = repeats.size(), int(tables.run.cohort["patients"])
    complete = (sizes == expected).all() and (repeats.nunique() == expected).all()
    facts = {"expected": expected, "sizes": sizes.tolist()}
    return _own(number, "complete", "ok" if complete else "warning", **facts)


def _same_patients(tables: Tables, number: str) -> Check:
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
    return _own(number, "same_patients", status, **facts)


def _groups_have_events(tables: Tables, number: str) -> Check:
    groups = tables["risk_groups"]
    status = "ok" if (groups["events"] > 0).all() else "warning"
    if groups.empty:
        status = "not applicable"
    return _own(number, "events", status, groups=tables.records["risk_groups"])


def tally(checks: Sequence[Check]) -> str:
    """Count the checks by status, worst first."""
    statuses = [check.status for check in checks]
    parts = []
    for status in STATUSES:
        if amount := statuses.count(status):
            plural = "s" if status == "warning" and amount > 1 else ""
            parts.append(f"{amount} {status}{plural}")
    return ", ".join(parts) or "none"
