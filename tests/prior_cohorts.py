"""Cohorts whose genes share a planted risk, for tests of priors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from builders import CohortFiles, cohort_files


def risk_cohort(
    root: Path,
    seed: int,
    *,
    patients: int = 80,
    genes: int = 60,
    effects: Sequence[float] = (0.8, -0.8, 0.6),
    ids: str = "P{seed}_{number:03d}",
) -> CohortFiles:
    """Make a cohort whose first genes have these log hazard ratios; about 30 % are censored."""
    root.mkdir(parents=True, exist_ok=True)
    files = cohort_files(
        root,
        patients=patients,
        modalities=("clinical", "expression"),
        genes=genes,
        seed=seed,
    )
    rng = np.random.default_rng(seed)
    assert files.expression is not None
    risk = (files.expression.iloc[:, : len(effects)] - 6) @ np.array(effects)
    died = rng.exponential(1000, patients) * np.exp(-risk.to_numpy())
    ended = rng.exponential(2500, patients)
    names = [ids.format(seed=seed, number=number) for number in range(patients)]
    files.patients["patient_id"] = names
    files.patients["os_days"] = np.ceil(np.minimum(died, ended) + 1)
    files.patients["os_event"] = (died <= ended).astype(int)
    files.expression.index = pd.Index(names)
    files.spec["name"] = f"site{seed}"
    return files
