"""The record of a cohort: flow, modalities, availability patterns, follow-up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from survfuse.cohort.cohort import Cohort
from survfuse.cohort.labels import Labels
from survfuse.fit_summary import priors_of
from survfuse.results.run_tables import plain_records
from survfuse.results.schema import CohortRecord
from survfuse.survival.curves import follow_up_median


def describe(
    cohort: Cohort,
    horizons: Sequence[float],
    tau: float,
) -> CohortRecord:
    """Record of a cohort with an outcome, as `cohort.json` holds it."""
    assert cohort.outcome is not None
    assert cohort.spec.outcome is not None
    time = cohort.outcome["time"].to_numpy(float)
    event = cohort.outcome["event"].to_numpy(bool)
    availability: list[Any] = []
    for modalities, patients in patterns(cohort).items():
        availability.append(
            {
                "modalities": list(modalities),
                "patients": len(patients),
                "events": int(cohort.outcome.loc[patients, "event"].sum()),
                "follow_up_median": _finite(cohort.follow_up(patients)),
            },
        )
    problems: list[Any] = [
        {**asdict(problem), "text": str(problem)} for problem in cohort.problems
    ]
    flow: list[Any] = [asdict(step) for step in cohort.flow]
    summary: list[Any] = plain_records(
        cohort.summary().rename(columns={"modality": "name"}),
    )
    priors: list[Any] = priors_of(cohort, cohort.modalities)
    return {
        "name": cohort.name,
        "endpoint": str(cohort.endpoint),
        "unit": cohort.spec.outcome.unit,
        "patients": len(cohort.outcome),
        "events": int(event.sum()),
        "flow": flow,
        "modalities": summary,
        "priors": priors,
        "labels": Labels.of(cohort.spec).plain(),
        "patterns": availability,
        "follow_up_median": _finite(follow_up_median(time, event)),
        "horizons": list(horizons),
        "tau": tau,
        "problems": problems,
    }


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and np.isfinite(value) else None


def patterns(cohort: Cohort) -> dict[tuple[str, ...], list[str]]:
    """Patients with an outcome by their modalities, the most frequent combination first."""
    assert cohort.outcome is not None
    present = cohort.present.loc[cohort.outcome.index]
    groups: dict[tuple[str, ...], list[str]] = {}
    for patient, flags in zip(present.index, present.to_numpy(bool), strict=True):
        names = tuple(map(str, present.columns[flags]))
        groups.setdefault(names, []).append(str(patient))
    return dict(sorted(groups.items(), key=lambda item: -len(item[1])))
