"""Predictions of a cross-validation, made up: for tests of what is computed over folds."""

from __future__ import annotations

import numpy as np
import pandas as pd

from survfuse.metrics import concordance_influence


def table(
    patients: int = 40,
    repeats: int = 2,
    folds: int = 4,
    seed: int = 0,
    spread: float = 1.0,
) -> pd.DataFrame:
    """Predictions whose folds each have their own zero."""
    generator = np.random.default_rng(seed)
    truth = np.random.default_rng(99).normal(
        size=patients,
    )  # the same patients whatever the seed
    time = np.random.default_rng(98).exponential(20 * np.exp(-truth)).clip(0.1)
    event = np.random.default_rng(97).random(patients) < 0.7
    parts = []
    for repeat in range(repeats):
        fold = np.random.default_rng(repeat).permutation(patients) % folds
        part = pd.DataFrame(
            {"patient_id": [f"P{i:02d}" for i in range(patients)], "repeat": repeat},
        )
        part["fold"], part["time"], part["event"] = fold, time, event.astype(int)
        part["log_risk"] = truth + spread * generator.normal(size=patients) + 10 * fold
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def by_fold(frame: pd.DataFrame) -> list[list[pd.DataFrame]]:
    """Plain tables of folds, by repeat."""
    return [
        [part for _, part in whole.groupby("fold")]
        for _, whole in frame.groupby("repeat")
    ]


def plain_variance(frame: pd.DataFrame) -> float:
    """Variance of the mean over the folds of a repeat, from influence functions inside them."""
    variances = []
    for parts in by_fold(frame):
        influences = [
            concordance_influence(
                part["time"],
                part["event"],
                part["log_risk"],
                kind="harrell",
            )[1]
            for part in parts
        ]
        variances.append(np.mean([np.sum(each**2) for each in influences]) / len(parts))
    return float(np.mean(variances))
