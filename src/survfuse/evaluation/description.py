"""The cohort as a report tells it: flow, modalities, availability patterns, follow-up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from survfuse.cohort.cohort import Cohort
from survfuse.survival.curves import follow_up_median


def describe(cohort: Cohort, horizons: Sequence[float], tau: float) -> dict[str, Any]:
    """Plain values for `cohort.json`."""
    assert cohort.outcome is not None
    assert cohort.spec.outcome is not None
    time = cohort.outcome["time"].to_numpy(float)
    event = cohort.outcome["event"].to_numpy(bool)
    return {
        "name": cohort.name,
        "endpoint": cohort.endpoint,
        "unit": cohort.spec.outcome.unit,
        "patients": len(cohort.outcome),
        "events": int(event.sum()),
        "flow": [asdict(step) for step in cohort.flow],
        "modalities": _plain(cohort.summary().rename(columns={"modality": "name"})),
        "patterns": [
            _pattern(cohort, names, ids) for names, ids in patterns(cohort).items()
        ],
        "follow_up_median": _number(follow_up_median(time, event)),
        "horizons": list(horizons),
        "tau": tau,
        "problems": [
            {**asdict(problem), "text": str(problem)} for problem in cohort.problems
        ],
    }


def _plain(table: Any) -> list[dict[str, Any]]:
    return [
        {name: _number(value) for name, value in row.items()}
        for row in table.to_dict(orient="records")
    ]


def _number(value: Any) -> Any:
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return value


def patterns(cohort: Cohort) -> dict[tuple[str, ...], list[str]]:
    """Patients with an outcome by the modalities that they have, the most frequent combination first."""
    assert cohort.outcome is not None
    present = cohort.present.loc[cohort.outcome.index]
    found: dict[tuple[str, ...], list[str]] = {}
    for pattern, part in present.groupby(list(present.columns), sort=False):
        flags = pattern if isinstance(pattern, tuple) else (pattern,)
        names = tuple(
            str(name) for name, flag in zip(present.columns, flags, strict=True) if flag
        )
        found[names] = [str(patient) for patient in part.index]
    return dict(sorted(found.items(), key=lambda item: -len(item[1])))


def _pattern(
    cohort: Cohort,
    names: Sequence[str],
    ids: Sequence[str],
) -> dict[str, Any]:
    assert cohort.outcome is not None
    return {
        "modalities": list(names),
        "patients": len(ids),
        "events": int(cohort.outcome.loc[list(ids), "event"].sum()),
        "follow_up_median": _number(cohort.follow_up(ids)),
    }
