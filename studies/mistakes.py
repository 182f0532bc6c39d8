"""What a blank cell and a mistyped number do to a model, on simulated cohorts.

    python studies/mistakes.py blanks    # two event-free patients lack a grade; five new patients too
    python studies/mistakes.py numbers   # one age typed 7000, one in six 999, one 1e308

The numbers of a version are those that it prints; nothing is read but the public interface.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

import survfuse as sf
from survfuse._errors import SurvfuseError

SEEDS = range(20)
COLUMNS = {
    "age": {"kind": "numeric"},
    "sex": {"kind": "nominal"},
    "stage": {"kind": "ordinal", "levels": ["I", "II", "III", "IV"]},
    "grade": {"kind": "ordinal", "levels": ["low", "high"]},
    "smoking": {"kind": "nominal"},
}


def cohort(folder: Path, table: pd.DataFrame, columns: dict[str, object]) -> sf.Cohort:
    """Write a table, with noise as a second modality, and load it."""
    folder.mkdir()
    table.to_csv(folder / "patients.csv", index=False)
    noise = np.random.default_rng(len(table)).normal(size=(len(table), 3))
    values = pd.DataFrame(noise, columns=["a", "b", "c"]).assign(
        patient_id=table["patient_id"],
    )
    values.to_csv(folder / "noise.csv", index=False)
    spec = {
        "name": "study",
        "outcome": {
            "table": "patients.csv",
            "time": "time",
            "event": "event",
            "unit": "months",
        },
        "clinical": {"table": "patients.csv", "columns": columns},
        "modalities": {"noise": {"table": "noise.csv"}},
    }
    (folder / "cohort.yaml").write_text(yaml.safe_dump(spec))
    return sf.load_cohort(folder / "cohort.yaml")


def bladder(patients: int, seed: int) -> pd.DataFrame:
    """Patients of whom age, stage and grade tell something; about four in ten have the event."""
    rng = np.random.default_rng(seed)
    age = rng.normal(68, 10, patients).round()
    stage = rng.integers(0, 4, patients)
    high = rng.random(patients) < 0.85
    risk = 0.03 * (age - 68) + 0.5 * (stage - 1.5) + 0.4 * high
    due = rng.exponential(60 * np.exp(-risk))
    leaves = rng.uniform(12, 72, patients)
    return pd.DataFrame(
        {
            "patient_id": [f"{row:03d}" for row in range(patients)],
            "time": np.minimum(due, leaves).round(1) + 0.1,
            "event": (due < leaves).astype(int),
            "age": age,
            "sex": rng.choice(["F", "M"], patients),
            "stage": np.array(["I", "II", "III", "IV"])[stage],
            "grade": np.where(high, "high", "low"),
            "smoking": rng.choice(["never", "former", "current"], patients),
        },
    )


def blanks() -> None:
    """Leave the grade of two event-free patients blank, train, and blank that of five new patients."""
    rows = []
    for seed in SEEDS:
        table = bladder(125, seed)
        censored = table.index[(table["event"] == 0) & (table.index < 120)]
        longest = table.loc[censored, "time"].nlargest(2).index
        table.loc[longest, "grade"] = ""
        with tempfile.TemporaryDirectory() as place:
            whole = cohort(Path(place) / "whole", table, COLUMNS)
            table.loc[120:, "grade"] = ""
            blank = cohort(Path(place) / "blank", table, COLUMNS)
        ids = list(table["patient_id"])
        model = sf.SurvivalFusion(modalities=("clinical",), device="cpu").fit(
            whole,
            ids[:120],
        )
        told, left = (
            model.predict(each, ids[120:]).survival([36])[:, 0]
            for each in (whole, blank)
        )
        assert model.fitted is not None
        penalty = model.fitted.summary["anchored"]["penalty"]["clinical"]
        rows.append(
            [
                seed,
                penalty,
                told.min(),
                told.max(),
                left.min(),
                left.max(),
                (left - told).max(),
            ],
        )
    names = [
        "seed",
        "penalty",
        "told_low",
        "told_high",
        "blank_low",
        "blank_high",
        "largest_rise",
    ]
    found = pd.DataFrame(rows, columns=names)
    print(found.round(4).to_string(index=False))
    print(
        found.drop(columns="seed")
        .describe()
        .loc[["min", "50%", "max"]]
        .round(4)
        .to_string(),
    )


def numbers() -> None:
    """Mistype ages of sixty patients whose age is the signal."""
    for name, wrong, value in (
        ("clean", 0, ""),
        ("7000", 1, 7000),
        ("999", 10, 999),
        ("1e308", 1, "1e308"),
    ):
        weights, scores = [], []
        for seed in SEEDS:
            rng = np.random.default_rng(seed)
            age = rng.normal(60, 10, 460).round()
            due = rng.exponential(60 * np.exp(-(age - 60) / 10))
            leaves = rng.uniform(20, 120, 460)
            table = pd.DataFrame(
                {
                    "patient_id": [f"{row:03d}" for row in range(460)],
                    "time": np.minimum(due, leaves) + 0.1,
                    "event": (due < leaves).astype(int),
                    "age": age.astype(object),
                },
            )
            ids = list(table["patient_id"])
            table.loc[table.index[:wrong], "age"] = value
            try:
                with tempfile.TemporaryDirectory() as place:
                    data = cohort(
                        Path(place) / "cohort",
                        table,
                        {"age": {"kind": "numeric"}},
                    )
                    model = sf.SurvivalFusion(device="cpu").fit(data, patients=ids[:60])
            except (SurvfuseError, RuntimeWarning) as error:
                print(f"{name}: {type(error).__name__}: {error}")
                break
            assert model.fitted is not None
            weights.append(model.fitted.summary["anchored"]["trust"]["clinical"])
            risk = model.predict(data, ids[60:]).log_risk
            later = table[60:]
            scores.append(
                sf.metrics.harrell_c(later["time"], later["event"], risk).value,
            )
        if weights:
            zero = int(np.sum(np.array(weights) == 0))
            weight, score = np.median(weights), np.mean(scores)
            print(
                f"{name}: weight {weight:.2f} (0 in {zero} of {len(weights)}), C {score:.3f}",
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("what", choices=["blanks", "numbers"])
    {"blanks": blanks, "numbers": numbers}[parser.parse_args().what]()
