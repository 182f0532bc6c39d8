"""R's numbers and the data they were made from (the script stands beside them, `reference/ref.R`)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest


@dataclass(frozen=True)
class Reference:
    """One data set of the reference folder, and what R printed about it."""

    test: pd.DataFrame
    train: pd.DataFrame
    text: str

    def numbers(self, label: str) -> list[float]:
        """All numbers on the line that begins with `label`, after it."""
        line = next(line for line in self.text.splitlines() if line.startswith(label))
        return [
            float(x)
            for x in re.findall(r"(?<![\w.])-?\d+\.?\d*(?:e-?\d+)?", line[len(label) :])
        ]

    @property
    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Time, event and risk of the test patients."""
        return (
            self.test["time"].to_numpy(),
            self.test["event"].to_numpy(),
            self.test["risk"].to_numpy(),
        )


@pytest.fixture(params=["clean", "ties"])
def reference(request: pytest.FixtureRequest, shared: Path) -> Reference:
    """Each reference data set in turn: continuous times, and times rounded to years."""
    folder, name = shared / "reference", request.param
    text = (folder / "ref_R.txt").read_text()
    section = text.split(f"##### {name} ")[1].split("#####")[0]
    return Reference(
        pd.read_csv(folder / f"{name}.csv"),
        pd.read_csv(folder / f"{name}_train.csv"),
        section,
    )


@pytest.fixture(scope="session")
def monthly() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Time in whole months, event, log-risk: shared times of every kind, and shared risks."""
    rng = np.random.default_rng(7)
    n = 150
    risk = np.round(rng.normal(size=n), 1)
    time = np.ceil(rng.exponential(12 * np.exp(-0.6 * risk)))
    return time, rng.random(n) < 0.6, risk
