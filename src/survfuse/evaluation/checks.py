"""Numbered doubts about a run; each can say that it does not apply."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from survfuse.cohort.cohort import Cohort
from survfuse.survival.estimate import Estimate

TIE_SHARE = 0.2  # more patients than this with one predicted time is worth a word
EVENTS_PER_PARAMETER = 10.0


@dataclass(frozen=True)
class Evidence:
    """What checks look at."""

    models: Mapping[str, pd.DataFrame]
    metrics: Mapping[str, Mapping[str, Estimate]]
    name: str
    clinical: str | None
    summaries: Mapping[str, list[dict[str, Any]]]
    cohort: Cohort

    @property
    def predictions(self) -> pd.DataFrame:
        """Predictions of the model itself."""
        return self.models[self.name]


Verdict = tuple[str, str, str]  # status, evidence, advice


def patients_once(evidence: Evidence) -> Verdict:
    """Every patient is tested once per repeat, and never trained on by the network that predicts it."""
    twice = evidence.predictions.duplicated(["repeat", "patient_id"])
    if twice.any():
        return (
            "failed",
            f"{int(twice.sum())} patients are tested twice in one repeat",
            "Report this as a bug.",
        )
    count = evidence.predictions["patient_id"].nunique()
    return "ok", f"{count} patients, each tested once per repeat, by folds of patients", ""


def beats_clinical(evidence: Evidence) -> Verdict:
    """The model is better than the clinical-only ridge Cox on the same folds."""
    if evidence.clinical is None:
        return "not applicable", "the cohort has no clinical table", ""
    delta = evidence.metrics[evidence.name].get("delta_uno_c_vs_clinical")
    if delta is None or delta.value is None or delta.low is None:
        return "not applicable", "the difference is not computable", ""
    told = f"Uno C minus clinical-only: {delta.value:+.3f} [{delta.low:+.3f}, {delta.high:+.3f}]"
    if delta.low > 0:
        return "ok", told, ""
    advice = "Clinical variables alone do as well as far as these patients can tell; say so beside the score."
    return "warning", told, advice


def predicted_times_differ(evidence: Evidence) -> Verdict:
    """Patients get different predicted times."""
    times = evidence.predictions["predicted_time"].dropna()
    if times.empty:
        return "not applicable", "no patient's curve reaches its median", ""
    share = float(times.value_counts().iloc[0] / len(evidence.predictions))
    told = f"{share:.0%} of the predictions share one predicted time"
    if share <= TIE_SHARE:
        return "ok", told, ""
    return "warning", told, "Tell horizon probabilities instead; calibration: breslow_oof gives curves."


def events_per_parameter(evidence: Evidence) -> Verdict:
    """There are enough events for the number of parameters."""
    found = [s["events"] / s["parameters"] for s in evidence.summaries[evidence.name] if "parameters" in s]
    if not found:
        return "not applicable", "the model states no parameter count", ""
    told = f"{min(found):.2g} training events per parameter (counting every weight)"
    if min(found) >= EVENTS_PER_PARAMETER:
        return "ok", told, ""
    return (
        "warning",
        told,
        "The network leans on regularisation and early stopping; trust only out-of-fold numbers.",
    )


def calibration_found_signal(evidence: Evidence) -> Verdict:
    """Out-of-fold risks carry signal, so that curves differ between patients."""
    notes = [s["calibration_note"] for s in evidence.summaries[evidence.name] if s.get("calibration_note")]
    folds = len(evidence.summaries[evidence.name])
    if not notes:
        return "ok", f"calibrated in all {folds} folds without remark", ""
    return "warning", f"{len(notes)} of {folds} folds: {notes[0]}", "Curves of these folds hardly differ."


CHECKS: dict[str, Callable[[Evidence], Verdict]] = {
    "SRV001": patients_once,
    "SRV002": beats_clinical,
    "SRV003": predicted_times_differ,
    "SRV004": events_per_parameter,
    "SRV005": calibration_found_signal,
}


def run_checks(
    models: Mapping[str, pd.DataFrame],
    metrics: Mapping[str, Mapping[str, Estimate]],
    name: str,
    clinical: str | None,
    summaries: Mapping[str, list[dict[str, Any]]],
    cohort: Cohort,
) -> list[dict[str, Any]]:
    """Run every check: `id, name, status, evidence, advice`."""
    evidence = Evidence(models, metrics, name, clinical, summaries, cohort)
    rows = []
    for number, check in CHECKS.items():
        status, told, advice = check(evidence)
        title = (check.__doc__ or "").splitlines()[0]
        rows.append({"id": number, "name": title, "status": status, "evidence": told, "advice": advice})
    return rows
