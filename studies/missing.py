"""What a missing modality costs, and whether modality dropout in training makes it cost less.

Simulated cohorts with an `additive` truth. 200 patients of whom each modality is missing for 30 % train
`concat` and `pairwise` with modality dropout 0, 0.2 and 0.5, and `anchored`, which has none; so do the same
patients when they have everything. 300 others, who have everything, are predicted as they are and with each
modality removed. Harrell's C of their outcomes, and rank correlation with the true log-risk; means over
seeds, with the standard error of the difference to the same fusion without modality dropout.

    python studies/missing.py --seeds 3 -o studies/missing.csv
"""

from __future__ import annotations

import argparse
import tempfile
import time as clock
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

import survfuse as sf
from survfuse.cohort import Cohort
from survfuse.cohort.ablation import lose_modalities
from survfuse.datasets.simulate import MODALITIES, simulate
from survfuse.metrics import harrell_c

TRAIN, TEST = 200, 300
SIMULATED = {
    "patients": TRAIN + TEST,
    "tiles": 40,
    "tile_dim": 64,
    "genes": 500,
    "event_rate": 0.5,
}
MISSING = dict.fromkeys(MODALITIES, 0.3)
RATES = (0.0, 0.2, 0.5)
MODELS: dict[str, dict[str, Any]] = {
    f"{fusion}, {rate:g}": {"fusion": fusion, "modality_dropout": rate}
    for fusion in ("concat", "pairwise")
    for rate in RATES
} | {"anchored": {"fusion": "anchored", "anchor_bags": "mean"}}


def scores(
    model: sf.SurvivalFusion,
    cohort: Cohort,
    test: list[str],
    truth: pd.Series,
) -> dict[str, float]:
    """C and rank correlation of one model, with everything there and without each modality."""
    assert cohort.outcome is not None
    outcome = cohort.outcome.loc[test]
    found = {}
    for gone in ("nothing", *MODALITIES):
        risk = model.predict(lose_modalities(cohort, [gone]), test).log_risk
        c = harrell_c(outcome["time"], outcome["event"], risk).value
        assert c is not None
        found |= {f"C, {gone}": c, f"r, {gone}": float(spearmanr(risk, truth[test])[0])}
    return found


def one_seed(seed: int, folder: Path) -> list[dict[str, Any]]:
    """Every model, trained on patients with gaps and on the same patients without."""
    paths = {
        name: simulate(
            folder / name,
            signal="additive",
            seed=seed,
            missing=missing,
            **SIMULATED,
        )
        for name, missing in (("whole", None), ("gaps", MISSING))
    }
    cohorts = {name: sf.load_cohort(path) for name, path in paths.items()}
    whole, gaps = cohorts["whole"], cohorts["gaps"]
    assert whole.outcome is not None
    assert whole.outcome.equals(gaps.outcome), (
        "the same patients but for what is missing"
    )
    order = np.random.default_rng(seed).permutation(whole.patients).tolist()
    train, test = order[:TRAIN], order[TRAIN:]
    truth = pd.read_csv(folder / "whole" / "truth.csv", dtype={"patient_id": str})
    true = truth.set_index("patient_id")["log_risk"]
    rows = []
    for trained_on, cohort in (("gaps", gaps), ("whole", whole)):
        for name, fields in MODELS.items():
            started = clock.perf_counter()
            model = sf.SurvivalFusion(**fields, seed=2021 + seed, device="cpu").fit(
                cohort,
                train,
            )
            row = {"seed": seed, "trained_on": trained_on, "model": name}
            rows.append(
                {
                    **row,
                    **scores(model, whole, test, true),
                    "seconds": clock.perf_counter() - started,
                },
            )
            print(rows[-1], flush=True)
    return rows


def told(table: pd.DataFrame) -> pd.DataFrame:
    """Means over seeds, and differences to the fusion without modality dropout with their standard errors."""
    columns = [column for column in table if column.startswith(("C, ", "r, "))]
    rows = []
    for (trained_on, model), part in table.groupby(["trained_on", "model"], sort=False):
        plain = table[
            (table["trained_on"] == trained_on)
            & (table["model"] == f"{model.split(',')[0]}, 0")
        ]
        row: dict[str, Any] = {"trained_on": trained_on, "model": model}
        for column in columns:
            row[column] = f"{part[column].mean():.3f}"
            if len(plain) and not model.endswith(", 0") and len(part) > 1:
                apart = part.set_index("seed")[column] - plain.set_index("seed")[column]
                row[column] += (
                    f" ({apart.mean():+.3f} ± {apart.std(ddof=1) / np.sqrt(len(apart)):.3f})"
                )
        rows.append(row)
    return pd.DataFrame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("-o", "--out", type=Path)
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for seed in range(options.seeds):
        with tempfile.TemporaryDirectory() as folder:
            rows += one_seed(seed, Path(folder))
    table = pd.DataFrame(rows)
    if options.out is not None:
        table.to_csv(options.out, index=False)
    for word in ("C", "r"):
        shown = told(table)
        print(
            shown[
                [
                    "trained_on",
                    "model",
                    *(c for c in shown if c.startswith(f"{word}, ")),
                ]
            ].to_string(index=False),
        )


if __name__ == "__main__":
    main()
