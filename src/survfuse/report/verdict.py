"""Judge: what may be said about the model, and the numbered doubts that stand beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from survfuse._errors import listed
from survfuse.report.artefacts import Run
from survfuse.report.formatting import difference as signed
from survfuse.report.formatting import interval, known, label, plural
from survfuse.report.names import DELTA
from survfuse.report.report_tables import CONCORDANCES, Tables

STATUSES = ("failed", "warning", "ok", "not applicable")
CHANCE = 0.5
NAMED_MODELS = 3


@dataclass(frozen=True)
class Check:
    """One numbered doubt.

    Attributes
    ----------
    id : str
        As the run numbered it; ``R1``, ``R2``, ... where the report itself asks.
    status : str
        "ok", "warning", "failed" or "not applicable".
    evidence, advice : str
    severity : str
        How grave it is where it fails, as the run says; empty where it does not.
    page : str
        Where the check is explained, a path of the documentation; empty where nowhere.
    """

    id: str
    name: str
    status: str
    evidence: str
    advice: str = ""
    severity: str = ""
    page: str = ""

    def as_dict(self) -> dict[str, str]:
        """Return the check as JSON."""
        return asdict(self)


def headline_metric(tables: Tables, model: str) -> str:
    """Metric in the headline: Uno's C, or Harrell's where Uno's has no value."""
    for metric in CONCORDANCES:
        estimate = tables.estimate(model, metric)
        if estimate is not None and estimate["value"] is not None:
            return metric
    return CONCORDANCES[0]


def verdict(run: Run, tables: Tables) -> str:
    """Say in one sentence whether the model is better than clinical variables alone.

    Significance is claimed only from the paired difference of the run, never
    from two intervals that overlap or do not.
    """
    difference = run.metrics[run.model].get(DELTA)
    if tables.baseline is None and difference is None:
        return (
            "No clinical-only baseline was run, so whether the model adds anything "
            "to clinical variables is not known."
        )
    if difference is not None and not known(difference.get("value")):
        return (
            "Whether the model is better than clinical variables alone is not computable: "
            f"{difference.get('note') or 'no reason was recorded'}."
        )
    if (
        difference is not None
        and known(difference.get("low"))
        and known(difference.get("high"))
    ):
        return _compared(difference)
    return _side_by_side(run, tables)


def _compared(difference: Mapping[str, Any]) -> str:
    low, high = float(difference["low"]), float(difference["high"])
    numbers = f"difference in Uno C {signed(difference['value'])}, 95% interval {interval(low, high)}, "
    paired = numbers + "paired on the same patients"
    if low > 0:
        return f"The model ranked these patients better than clinical variables alone ({paired})."
    if high < 0:
        return f"The model ranked these patients worse than clinical variables alone ({paired})."
    return (
        "These data do not show that the model is better, or worse, than clinical variables alone "
        f"({paired}; the interval includes 0)."
    )


def _side_by_side(run: Run, tables: Tables) -> str:
    metric = headline_metric(tables, run.model)
    ours, theirs = (
        tables.estimate(run.model, metric),
        tables.estimate(tables.baseline, metric),
    )
    if (
        ours is None
        or theirs is None
        or not (known(ours["value"]) and known(theirs["value"]))
    ):
        return "The model cannot be set beside clinical variables alone: one of the numbers is not computable."
    formal = (
        "The two were not compared formally, so no claim that one is better is made."
    )
    if not all(known(side[end]) for side in (ours, theirs) for end in ("low", "high")):
        return formal
    overlap = ours["low"] <= theirs["high"] and theirs["low"] <= ours["high"]
    tail = "overlap" if overlap else "do not overlap"
    return f"The two intervals {tail}. {formal}"


def chance(run: Run, tables: Tables) -> str:
    """Say whether the interval of the headline number includes ranking by chance."""
    estimate = tables.estimate(run.model, headline_metric(tables, run.model))
    if estimate is None or not (known(estimate["low"]) and known(estimate["high"])):
        return ""
    if estimate["low"] <= CHANCE <= estimate["high"]:
        return "The model's interval includes 0.5: it is not shown to rank better than chance."
    return ""


def judge(run: Run, tables: Tables) -> list[Check]:
    """Collect the run's checks and the report's own, in the order they are numbered.

    Parameters
    ----------
    run : Run
    tables : Tables
        Computed from `run`.
    """
    checks = [
        Check(
            id=str(check.get("id", position)),
            name=str(check.get("name", "")),
            status=str(check.get("status", "not applicable")),
            evidence=str(check.get("evidence") or ""),
            advice=str(check.get("advice") or ""),
            severity=str(check.get("severity") or ""),
            page=str(check.get("page") or ""),
        )
        for position, check in enumerate(run.checks or (), start=1)
    ]
    own = (
        ("error", _unchanged(run)),
        ("warning", _complete(run)),
        ("warning", _same_patients(run)),
        ("warning", _empty_groups(tables)),
    )
    return checks + [
        Check(f"R{position}", *rest, severity=severity)
        for position, (severity, rest) in enumerate(own, start=1)
    ]


def _unchanged(run: Run) -> tuple[str, str, str, str]:
    name = "predictions.csv and the other files are those the run wrote"
    hashes = run.info.get("hashes") or {}
    if not (hashes.get("predictions") or run.info.get("files")):
        return name, "not applicable", "run.json records no hash of predictions.csv", ""
    if not run.changed:
        return (
            name,
            "ok",
            f"sha256 {run.predictions_sha256[:12]}… agrees with run.json",
            "",
        )
    evidence = f"not as run.json recorded them: {listed(run.changed, 10)}"
    return (
        name,
        "failed",
        evidence,
        "Figures here may not belong to the metrics; run crossval again.",
    )


def _complete(run: Run) -> tuple[str, str, str, str]:
    name = "every patient of the cohort was predicted once per repeat"
    repeats = run.predictions.groupby("repeat")["patient_id"]
    sizes, distinct = repeats.size(), repeats.nunique()
    expected = int(run.cohort["patients"])
    evidence = f"{plural(expected, 'patient')} in the cohort, {listed(sizes.tolist())} predicted"
    evidence += f" in {plural(len(sizes), 'repeat')}"
    if (sizes == expected).all() and (distinct == expected).all():
        return name, "ok", evidence, ""
    return (
        name,
        "warning",
        evidence,
        "See the cohort flow and run.json for who was left out and why.",
    )


def _same_patients(run: Run) -> tuple[str, str, str, str]:
    name = "all models were scored on the same patients and folds"
    if run.comparators is None or run.comparators.empty:
        return name, "not applicable", "no comparator was run", ""
    columns = ["patient_id", "repeat", "fold"]
    ours = pd.MultiIndex.from_frame(run.predictions[columns])
    different = [
        model
        for model, part in run.comparators.groupby("model", sort=True)
        if len(part) != len(ours)
        or not ours.isin(pd.MultiIndex.from_frame(part[columns])).all()
    ]
    if not different:
        models = plural(run.comparators["model"].nunique(), "comparator")
        return name, "ok", f"{models} with the same {len(ours)} patient rows", ""
    evidence = f"other patients or folds: {listed((label(name) for name in different), NAMED_MODELS)}"
    return (
        name,
        "warning",
        evidence,
        "Numbers of these models do not stand beside the others.",
    )


def _empty_groups(tables: Tables) -> tuple[str, str, str, str]:
    name = "every risk group has events"
    groups = tables.risk_groups
    if groups.empty:
        return name, "not applicable", "no risk groups", ""
    evidence = "; ".join(
        f"{row['name']}: {plural(row['events'], 'event')} in {plural(row['patients'], 'patient')}"
        for row in groups.to_dict("records")
    )
    if (groups["events"] > 0).all():
        return name, "ok", evidence, ""
    return (
        name,
        "warning",
        evidence,
        "A curve without events is a flat line, not proof of safety.",
    )


def tally(checks: list[Check]) -> str:
    """Count the checks by status, worst first."""
    counts = {
        status: sum(check.status == status for check in checks) for status in STATUSES
    }
    plurals = {"warning": "warnings"}
    return (
        ", ".join(
            f"{amount} {plurals.get(status, status) if amount > 1 else status}"
            for status, amount in counts.items()
            if amount
        )
        or "none"
    )
