"""Tiny cohorts on disk, written the way a hospital would: tables, matrices, feature files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml


@dataclass
class CohortFiles:
    """What `write` lays down; change any part before writing."""

    root: Path
    patients: pd.DataFrame
    spec: dict[str, Any]
    expression: pd.DataFrame | None = None
    slides: pd.DataFrame | None = None
    bags: dict[str, np.ndarray] = field(default_factory=dict)
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)

    def write(self) -> Path:
        """Write every file and return the path of the cohort file."""
        self.patients.to_csv(self.root / "patients.csv", index=False)
        if self.expression is not None:
            self.expression.to_csv(self.root / "rna.csv", index_label="patient_id")
        if self.slides is not None:
            self.slides.to_csv(self.root / "slides.csv", index=False)
            (self.root / "features").mkdir(exist_ok=True)
            for slide, values in self.bags.items():
                np.save(self.root / "features" / f"{slide}.npy", values)
        for name, table in self.tables.items():
            table.to_csv(self.root / name, index=False)
        path = self.root / "cohort.yaml"
        path.write_text(yaml.safe_dump(self.spec, sort_keys=False))
        return path

    def set(self, patient: str, column: str, value: Any) -> None:
        """Change one cell of the patient table."""
        self.patients[column] = self.patients[column].astype(object)
        self.patients.loc[self.patients["patient_id"] == patient, column] = value


def patient_ids(count: int) -> list[str]:
    """Name patients 001, 002, ..."""
    return [f"{number:03d}" for number in range(1, count + 1)]


def cohort_files(
    root: Path,
    *,
    patients: int = 20,
    modalities: Sequence[str] = ("clinical", "expression", "slides"),
    genes: int = 12,
    dim: int = 4,
    seed: int = 0,
    spec: Mapping[str, Any] | None = None,
) -> CohortFiles:
    """Make a small complete cohort: every patient has every modality, half have the event."""
    generator = np.random.default_rng(seed)
    ids = patient_ids(patients)
    table = pd.DataFrame(
        {
            "patient_id": ids,
            "os_days": generator.integers(200, 3000, patients),
            "os_event": np.arange(patients) % 2,
            "age": generator.integers(40, 85, patients),
            "stage": generator.choice(["I", "II", "III"], patients),
            "sex": np.where(np.arange(patients) % 3 == 0, "F", "M"),
            "site": np.where(np.arange(patients) % 4 < 2, "north", "south"),
            "fold": np.arange(patients) // 2 % 2,
        },
    )
    about: dict[str, Any] = {
        "name": "tiny",
        "outcome": {
            "table": "patients.csv",
            "time": "os_days",
            "unit": "days",
            "event": "os_event",
            "endpoint": "overall survival",
        },
    }
    files = CohortFiles(root, table, about)
    if "clinical" in modalities:
        about["clinical"] = {
            "table": "patients.csv",
            "columns": {
                "age": {"kind": "numeric"},
                "stage": {"kind": "ordinal", "levels": ["I", "II", "III"]},
                "sex": {"kind": "nominal"},
            },
        }
    if "expression" in modalities:
        about["expression"] = {"path": "rna.csv", "unit": "log2tpm", "genes": "symbol"}
        values = generator.normal(6, 1, (patients, genes)).round(4)
        columns = [f"GENE{index + 1}" for index in range(genes)]
        files.expression = pd.DataFrame(values, index=ids, columns=columns)
    if "slides" in modalities:
        about["slides"] = {
            "table": "slides.csv",
            "features": "features",
            "encoder": "uni",
            "mpp": 0.5,
        }
        owners = [*ids, ids[0]]  # the first patient has two slides
        names = [f"{owner}_{index}" for index, owner in enumerate(owners)]
        files.slides = pd.DataFrame({"slide_id": names, "patient_id": owners})
        files.bags = {
            name: generator.normal(1, 2, (generator.integers(5, 9), dim)).astype(
                np.float32,
            )
            for name in names
        }
    about.update(spec or {})
    return files
