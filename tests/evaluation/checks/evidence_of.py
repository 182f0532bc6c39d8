"""Evidence for checks: real cohorts of simulated tables, and tiny runs on them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from builders import CohortFiles
from running import loaded, small
from survfuse.cohort.cohort import Cohort
from survfuse.cohort.splits import splits_from_folds
from survfuse.evaluation.checks import Evidence
from survfuse.explanations.agreement_tables import status
from survfuse.survival.estimate import Estimate

SUMMARY: dict[str, Any] = {
    "events": 100,
    "parameters": 40,
    "effective_parameters": 10.0,
    "likelihood_ratio": 50.0,
    "calibration_note": "",
    "anchored": {"carried_by_few": []},
}


def estimate(low: float, high: float) -> Estimate:
    """An estimate with this interval."""
    return Estimate((low + high) / 2, 0.1, low, high, 10, 5)


def nothing(why: str = "no event") -> Estimate:
    """An estimate that could not be computed."""
    return Estimate(None, None, None, None, 10, 0, why)


def predictions(cohort: Cohort) -> pd.DataFrame:
    """Out-of-fold predictions of every patient in one repeat of two folds."""
    assert cohort.outcome is not None
    count = len(cohort)
    return pd.DataFrame(
        {
            "patient_id": list(cohort.patients),
            "repeat": 0,
            "fold": np.arange(count) // 2 % 2,
            "time": cohort.outcome["time"].to_numpy(),
            "event": cohort.outcome["event"].to_numpy(),
            "log_risk": np.linspace(-1, 1, count),
            "predicted_time": np.arange(count) + 10.0,
        },
    )


def run_on(cohort: Cohort, **fields: Any) -> Evidence:
    """A tiny run that nothing can be held against; fields may be replaced."""
    table = predictions(cohort)
    given: dict[str, Any] = {
        "cohort": cohort,
        "name": "ours",
        "models": {"ours": table},
        "metrics": {
            "ours": {
                "delta_uno_c_vs_clinical": estimate(0.01, 0.2),
                "observed_expected": estimate(0.8, 1.2),
                "calibration_slope": estimate(0.7, 1.4),
            },
        },
        "clinical": "ridge:clinical",
        "summaries": {"ours": [SUMMARY]},
        "splits": splits_from_folds(table),
        "selection": "inner_folds",
        "permuted": {"uno_c": estimate(0.4, 0.6), "difference": estimate(0.05, 0.2)},
        "explanations": explained(clinical=(1.0, 0.9)),
    }
    return Evidence(**{**given, **fields})


def explained(**terms: tuple[float, float | None]) -> dict[str, Any]:
    """Shares of terms, and the agreement that is expected of each."""
    shares, agreement = [], []
    for name, (share, value) in terms.items():
        shares.append({"term": name, "share": share, "low": None, "high": None})
        row: dict[str, Any] = {"level": "term", "modality": "", "name": name}
        numbers = dict.fromkeys(("agreement", "low", "high", "expected"), value)
        row |= {**numbers, "splits": 4, "status": status(value), "says": ""}
        agreement.append(row)
    return {"shares": shares, "agreement": agreement, "note": ""}


def files_of(
    root: Path,
    frame: pd.DataFrame,
    columns: Mapping[str, Any],
    **about: Any,
) -> CohortFiles:
    """Cohort files with these clinical columns; `frame` has `time` and `event` besides, in months."""
    files = small(root, patients=len(frame), modalities=("clinical",))
    for name in frame:
        files.patients[name] = frame[name].to_numpy()
    files.spec["outcome"] |= {"time": "time", "event": "event", "unit": "months"}
    files.spec["clinical"]["columns"] = dict(columns)
    files.spec.update(about)
    return files


def cohort_of(
    root: Path,
    frame: pd.DataFrame,
    columns: Mapping[str, Any],
    **about: Any,
) -> Cohort:
    """As :func:`files_of`, written and loaded."""
    return loaded(files_of(root, frame, columns, **about))
