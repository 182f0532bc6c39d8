"""Whether tile maps show what was planted: single tiles, clusters, and deletion curves, on held-out patients.

Simulated cohorts, one half trained on. `composition`: the risk is the share of stroma minus that of immune tiles, so
stroma tiles should have the highest risk and immune tiles the lowest: AUROC of the two classes against each other, of
single tiles and of each tile's cluster. `additive`: the insides of tumour tiles shift with a factor of the patient, so
single tiles tell nothing and the mean risk of a patient's tumour tiles should follow the sum of the factors.

A deletion curve is the term while tiles are taken away one after another. The gap is the mean height of the curve with
the lowest going first, minus that with the highest going first, by contribution, by attention (or the share), and at
random; with the 95 % interval over patients.

    python studies/planted_tiles.py --patients 600 --out DIR
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

import survfuse as sf
from survfuse._errors import InputError
from survfuse._storage import read_json, write_json
from survfuse.datasets import simulate
from survfuse.explain import Explanation, explain
from survfuse.explain.tiles import tile_sums, tile_tables

MODELS = {
    "mean tile": {"anchor_bags": "mean"},
    "attention": {"fusion": "late", "members": 3, "epochs": 30, "selection": "last"},
}


def gaps(explanation: Explanation, frames: dict[str, pd.DataFrame]) -> dict[str, Any]:
    """Mean gap of the deletion curves, and its 95 % interval."""
    rng, found = (
        np.random.default_rng(0),
        {"contribution": [], "attention": [], "random": []},
    )
    for patient, frame in frames.items():
        sums, noise = (
            tile_sums(explanation.explained, patient),
            rng.normal(size=len(frame)),
        )
        keys = {
            "contribution": frame["contribution"],
            "attention": frame["share"] + 1e-12 * noise,  # equal shares go at random
            "random": noise,
        }
        for name, key in keys.items():
            order = np.argsort(np.asarray(key))
            gap = sums.removed(order).mean() - sums.removed(order[::-1]).mean()
            found[name].append(gap)
    told = {}
    for name, values in found.items():
        half = 1.96 * np.std(values, ddof=1) / np.sqrt(len(values))
        told[name] = [float(np.mean(values) + step * half) for step in (0, -1, 1)]
    return told


def planted(explanation: Explanation, folder: Path, signal: str) -> dict[str, Any]:
    """How well tiles show what was planted in them."""
    frames = dict(tile_tables(explanation.explained))
    classes = np.load(folder / "truth_tissue.npy")
    data = explanation.explained.cohort.modalities["slides"]
    names = list(read_json(folder / "simulation.json")["tissue_classes"])
    risks, kinds, smooth = [], [], []
    for patient, frame in frames.items():
        risks.append(frame["tile_risk"].to_numpy())
        kinds.append(np.array(names)[classes[data.rows(patient)]])
        smooth.append(frame["cluster"].to_numpy(np.int64))
    told: dict[str, Any] = {"deletion gap [mean, low, high]": gaps(explanation, frames)}
    if signal == "additive":
        truth = pd.read_csv(folder / "truth.csv", index_col="patient_id")
        factor = truth.loc[list(frames), ["slide_factor_1", "slide_factor_2"]].sum(
            axis=1
        )
        for kind in ("tumour", "immune"):
            means = [
                r[k == kind].mean() if (k == kind).any() else np.nan
                for r, k in zip(risks, kinds, strict=True)
            ]
            has = np.isfinite(means)
            told[f"r of {kind}"] = float(
                np.corrcoef(np.array(means)[has], factor[has])[0, 1]
            )
        return told
    risk, kind, cluster = map(np.concatenate, (risks, kinds, smooth))
    of_cluster = np.bincount(cluster, risk) / np.maximum(np.bincount(cluster), 1)
    either = np.isin(kind, ["stroma", "immune"])
    for name, values in {"tiles": risk, "clusters": of_cluster[cluster]}.items():
        told[f"AUROC, stroma against immune, {name}"] = float(
            roc_auc_score(kind[either] == "stroma", values[either])
        )
        told[f"AUROC, stroma against all, {name}"] = float(
            roc_auc_score(kind == "stroma", values)
        )
    return told


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--patients", type=int, default=600)
    parser.add_argument("--tiles", type=int, default=100)
    parser.add_argument("--tile-dim", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    results: dict[str, Any] = {}
    for signal in ("composition", "additive"):
        folder = asked.out / signal
        if not folder.exists():
            simulate(
                folder,
                patients=asked.patients,
                tiles=asked.tiles,
                tile_dim=asked.tile_dim,
                genes=60,
                signal=signal,
                event_rate=0.6,
                seed=asked.seed,
            )
        cohort = sf.load_cohort(folder / "cohort.yaml")
        half = len(cohort.patients) // 2
        for name, fields in MODELS.items():
            model = sf.SurvivalFusion(**fields).fit(cohort, cohort.patients[:half])
            try:
                explanation = explain(model, cohort, cohort.patients[half:])
                told = planted(explanation, folder, signal)
            except InputError as error:  # the bag has no weight
                told = {"not shown": str(error)}
            results[f"{signal}, {name}"] = told
            print(signal, name, told, flush=True)
    write_json(asked.out / "planted_tiles.json", results)


if __name__ == "__main__":
    main()
