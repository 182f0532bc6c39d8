"""Predictions that some program might have written: tables, folds, and CSV files of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from survfuse.evaluation.folds import Fold, Tabulated

File = Callable[..., Path]
TIMES = (10.0, 20.0, 30.0, 60.0)
COLUMNS = [f"survival_{t:g}" for t in TIMES]


def predicted(patients: int = 80, seed: int = 0, noise: float = 0.5) -> pd.DataFrame:
    """Month-granular follow-up of the same patients whatever the seed, with risks and exponential curves."""
    truth = np.random.default_rng(99).normal(size=patients)
    time = np.ceil(np.random.default_rng(98).exponential(25 * np.exp(-truth))).clip(
        1,
        59,
    )
    event = np.random.default_rng(97).random(patients) < 0.7
    risk = truth + noise * np.random.default_rng(seed).normal(size=patients)
    table = pd.DataFrame(
        {"patient_id": [f"P{i:03d}" for i in range(patients)], "time": time},
    )
    table["event"], table["log_risk"] = event.astype(int), risk
    for t, name in zip(TIMES, COLUMNS, strict=True):
        table[name] = np.exp(-t / 40 * np.exp(0.8 * risk))
    return table


def fold_of(
    table: pd.DataFrame,
    repeat: int = 0,
    number: int = 0,
    **fields: Any,
) -> Fold:
    """Make a fold of such a table; `fields` replaces any of its fields."""
    known: dict[str, Any] = {
        "patient_id": table["patient_id"].to_numpy(object),
        "time": table["time"].to_numpy(float),
        "event": table["event"].to_numpy(bool),
        "log_risk": table["log_risk"].to_numpy(float),
        "curves": Tabulated(np.array(TIMES), table[COLUMNS].to_numpy(float)),
    }
    return Fold(repeat, number, **{**known, **fields})


def crossed(table: pd.DataFrame, folds: int = 3, repeats: int = 2) -> tuple[Fold, ...]:
    """Deal the patients to folds; the others of a repeat are the training patients."""
    found = []
    for repeat in range(repeats):
        home = np.random.default_rng(repeat).permutation(len(table)) % folds
        for number in range(folds):
            rest = table[home != number]
            train = (rest["time"].to_numpy(float), rest["event"].to_numpy(bool))
            found.append(fold_of(table[home == number], repeat, number, train=train))
    return tuple(found)


def written(table: pd.DataFrame, path: Path) -> Path:
    """Write a table as a CSV whose numbers read back exactly."""
    table.to_csv(path, index=False)
    return path
