"""A small cohort as the DataFrames that a notebook holds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

import survfuse as sf
from survfuse.cohort import Cohort

LEVELS = ["I", "II", "III"]


def patients(count: int = 40, seed: int = 0) -> pd.DataFrame:
    """Make a table of outcome and clinical columns of every dtype, with a column of ids."""
    rng = np.random.default_rng(seed)
    age = rng.normal(60, 8, count).round(1)
    age[3] = np.nan
    stage = pd.Categorical(rng.choice(LEVELS, count), LEVELS, ordered=True)
    return pd.DataFrame(
        {
            "patient_id": [f"P{number:03}" for number in range(count)],
            "months": rng.gamma(2, 20, count),
            "dead": np.arange(count) % 2,
            "age": age,
            "sex": rng.choice(["f", "m"], count),
            "asa": rng.integers(1, 5, count),
            "stage": stage,
            "smoker": rng.integers(0, 2, count).astype(bool),
            "site": rng.choice(["north", "south"], count),
        },
    )


def expression(table: pd.DataFrame, genes: int = 12) -> pd.DataFrame:
    """Make log2 TPM of the patients of a table, indexed by id."""
    values = np.random.default_rng(1).normal(6, 1, (len(table), genes))
    names = [f"GENE{number + 1}" for number in range(genes)]
    return pd.DataFrame(values, index=table["patient_id"], columns=names)


def bags(table: pd.DataFrame, dim: int = 4) -> dict[str, Any]:
    """Make bags of five tiles; the first patient has two slides."""
    rng = np.random.default_rng(2)
    made: dict[str, Any] = {}
    for patient in table["patient_id"]:
        made[patient] = rng.normal(size=(5, dim)).astype(np.float32)
    first = table["patient_id"].iloc[0]
    return {**made, first: [made[first], made[first][:2] + 1]}


def made(table: pd.DataFrame, **given: Any) -> Cohort:
    """Make a cohort whose outcome is that of :func:`patients`."""
    about = {"outcome": table, "time": "months", "event": "dead", "unit": "months"}
    return sf.Cohort.from_frames(**{**about, **given})


def messages(cohort: Cohort) -> str:
    """All problems of a cohort as one text."""
    return "\n".join(map(str, cohort.problems))
