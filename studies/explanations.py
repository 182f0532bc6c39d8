"""What explanations are worth where the truth is known: planted signals, null cohorts, deletion, and real cohorts.

Simulated cohorts are made in the output folder and kept; each section writes its rows into `OUT/NAME.json` and prints them.

    python studies/explanations.py -o OUT                     # all, about 20 minutes on two cores
    python studies/explanations.py -o OUT --only deletion planted_slides
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score
from stacking import prepare

import survfuse as sf
from survfuse.cohort import Cohort
from survfuse.datasets import simulate
from survfuse.explanations import explain, with_agreement
from survfuse.explanations.tile_tables import tile_tables

ATTENTION = {
    "fusion": "concat",
    "modalities": ("slides",),
    "bag_pooling": "attention",
    "bag_rate": 1.0,
    "epochs": 30,
    "selection": "last",
    "calibration": "breslow",
}
SLIDE_MODELS: dict[str, dict[str, Any]] = {
    "anchored": {"anchor_bags": "mean"},
    "attention": ATTENTION,
}
ADDITIVE = {
    "patients": 300,
    "signal": "additive",
    "strength": 1.5,
    "tiles": 300,
    "tile_dim": 64,
    "genes": 500,
    "event_rate": 0.5,
    "seed": 3,
}
TUMOUR, IMMUNE = 0, 1
LEFT = 0.05
"""Smallest share of the weight that deletion leaves."""


def cohort_of(out: Path, name: str, **plan: Any) -> tuple[Cohort, Path]:
    """A simulated cohort, made once."""
    folder = out / "cohorts" / name
    if not folder.exists():
        simulate(folder, **plan)
    return sf.load_cohort(folder / "cohort.yaml"), folder


def halves(cohort: Cohort, seed: int = 0) -> tuple[list[str], list[str]]:
    """Training and held-out patients, half each."""
    ids = np.random.default_rng(seed).permutation(list(cohort.patients)).tolist()
    return ids[: len(ids) // 2], ids[len(ids) // 2 :]


def mean_interval(values: np.ndarray) -> list[float]:
    """Mean, and normal 95 % interval over patients."""
    mean, error = values.mean(), values.std(ddof=1) / np.sqrt(len(values))
    return [
        round(float(v), 3) for v in (mean, mean - 1.96 * error, mean + 1.96 * error)
    ]


def deletion(out: Path) -> list[dict[str, Any]]:
    """Gap between removing the lowest tiles first and the highest first, by three orders.

    The log-risk is recomputed without the removed tiles; the gap is its mean over shares of tiles removed.
    """
    cohort, _ = cohort_of(out, "additive-300", **ADDITIVE)
    train, held = halves(cohort)
    model = sf.SurvivalFusion(**ATTENTION).fit(cohort, patients=train)
    explanation = explain(model, cohort, held)
    gaps: dict[str, list[float]] = {"contribution": [], "attention": [], "random": []}
    rng = np.random.default_rng(0)
    for _, tiles in tile_tables(explanation.explained, "slides"):
        share, risk = tiles["share"].to_numpy(), tiles["tile_risk"].to_numpy()
        orders = {
            "contribution": tiles["contribution"].to_numpy(),
            "attention": share,
            "random": rng.random(len(share)),
        }
        for name, score in orders.items():
            gaps[name].append(deletion_gap(share, risk, np.argsort(score)))
    rows = [
        {"order": name, "gap": mean_interval(np.array(gap)), "patients": len(gap)}
        for name, gap in gaps.items()
    ]
    for other in ("attention", "random"):
        difference = np.array(gaps["contribution"]) - np.array(gaps[other])
        rows.append(
            {
                "order": f"contribution less {other}",
                "gap": mean_interval(difference),
                "patients": len(difference),
            }
        )
    return rows


def deletion_gap(share: np.ndarray, risk: np.ndarray, order: np.ndarray) -> float:
    """Mean log-risk while the lowest go first, less that while the highest go first."""
    curves = []
    for way in (order, order[::-1]):
        left = 1 - np.cumsum(share[way])
        rest = (share @ risk - np.cumsum((share * risk)[way]))[left > LEFT]
        curves.append((rest / left[left > LEFT]).mean())
    return float(curves[0] - curves[1])


def planted_slides(out: Path) -> list[dict[str, Any]]:
    """Additive signal: the mean risk of a patient's tumour tiles against the true slide factor."""
    cohort, folder = cohort_of(
        out,
        "additive-600",
        patients=600,
        signal="additive",
        strength=1.5,
        tiles=200,
        tile_dim=64,
        genes=500,
        event_rate=0.6,
        seed=5,
    )
    tissue = np.load(folder / "truth_tissue.npy")
    truth = pd.read_csv(folder / "truth.csv").set_index("patient_id")
    factors = [name for name in truth if name.startswith("slide_factor")]
    train, held = halves(cohort)
    rows = []
    for name, parameters in SLIDE_MODELS.items():
        model = sf.SurvivalFusion(**parameters).fit(cohort, patients=train)
        explanation = explain(model, cohort, held)
        means: dict[int, list[float]] = {TUMOUR: [], IMMUNE: []}
        bag = cohort.modalities["slides"]
        for patient, tiles in tile_tables(explanation.explained, "slides"):
            own = tissue[bag.rows(patient)]
            for kind, values in means.items():
                values.append(
                    float(tiles["tile_risk"].to_numpy()[own == kind].mean())
                    if (own == kind).any()
                    else np.nan
                )
        factor = truth.loc[held, factors].sum(axis=1).to_numpy()
        row: dict[str, Any] = {"model": name}
        for kind, label in ((TUMOUR, "tumour"), (IMMUNE, "immune")):
            values = np.array(means[kind])
            known = ~np.isnan(values)
            row[label] = round(
                float(np.corrcoef(values[known], factor[known])[0, 1]), 3
            )
        rows.append(row)
    return rows


def planted_composition(out: Path) -> list[dict[str, Any]]:
    """Composition signal: AUROC of a tile's own risk for the class that harms against the one that protects."""
    cohort, folder = cohort_of(
        out,
        "composition-600",
        patients=600,
        signal="composition",
        tiles=200,
        tile_dim=64,
        genes=500,
        event_rate=0.5,
        seed=7,
    )
    tissue = np.load(folder / "truth_tissue.npy")
    said = json.loads((folder / "simulation.json").read_text())
    harms, protects = (
        said["tissue_classes"].index(said["composition"][key])
        for key in ("harms", "protects")
    )
    train, held = halves(cohort)
    rows = []
    for name, parameters in SLIDE_MODELS.items():
        model = sf.SurvivalFusion(**parameters).fit(cohort, patients=train)
        explanation = explain(model, cohort, held)
        scores, kinds, bag = [], [], cohort.modalities["slides"]
        for patient, tiles in tile_tables(explanation.explained, "slides"):
            scores.append(tiles["tile_risk"].to_numpy())
            kinds.append(tissue[bag.rows(patient)])
        score, kind = np.concatenate(scores), np.concatenate(kinds)
        either = (kind == harms) | (kind == protects)
        row = {
            "model": name,
            "harms against protects": roc_auc_score(
                kind[either] == harms, score[either]
            ),
        }
        row |= {
            "harms against all": roc_auc_score(kind == harms, score),
            "protects against all": roc_auc_score(kind != protects, score),
        }
        rows.append(
            {
                key: value if key == "model" else round(float(value), 3)
                for key, value in row.items()
            }
        )
    return rows


def planted_genes(out: Path) -> list[dict[str, Any]]:
    """AUROC of |weight| for the genes of the planted modules, and the precision of the top 50, by five training halves."""
    cohort, folder = cohort_of(
        out,
        "genes-600",
        patients=600,
        signal="additive",
        strength=1.5,
        tiles=20,
        tile_dim=16,
        genes=5000,
        event_rate=0.6,
        seed=9,
    )
    said = json.loads((folder / "simulation.json").read_text())
    modules = {gene for genes in said["rna_factor_genes"].values() for gene in genes}
    aurocs, precisions = [], []
    for seed in range(5):
        train, _ = halves(cohort, seed)
        model = sf.SurvivalFusion(modalities=("clinical", "expression")).fit(
            cohort, train
        )
        genes = explain(model, cohort, train[:50]).genes
        inside = genes["gene"].isin(modules).to_numpy()
        aurocs.append(roc_auc_score(inside, genes["weight"].abs()))
        top = genes["weight"].abs().to_numpy().argsort()[::-1][:50]
        precisions.append(inside[top].mean())
    return [
        {
            "what": "auroc",
            "mean": mean_interval(np.array(aurocs)),
            "genes in modules": len(modules),
        },
        {
            "what": "precision of the top 50",
            "mean": mean_interval(np.array(precisions)),
            "chance": round(len(modules) / 5000, 3),
        },
    ]


def interaction(out: Path) -> list[dict[str, Any]]:
    """Interaction signal (slides with expression): share of variance of each term with its interval."""
    cohort, _ = cohort_of(
        out,
        "interaction-1000",
        patients=1000,
        signal="interaction",
        strength=1.5,
        tiles=60,
        tile_dim=32,
        genes=300,
        event_rate=0.6,
        seed=11,
    )
    train, held = halves(cohort)
    rows = []
    for name, model in (("anchored", sf.SurvivalFusion(anchor_bags="mean")),):
        shares = explain(model.fit(cohort, patients=train), cohort, held).shares
        rows += [{"model": name, **row} for row in shares.round(3).to_dict("records")]
    return rows


def null(out: Path) -> list[dict[str, Any]]:
    """Null cohorts: the share of variance and the agreement of every term, and what a reader is told of it."""
    rows = []
    for seed in range(5):
        cohort, _ = cohort_of(
            out,
            f"null-{seed}",
            patients=200,
            signal="none",
            tiles=60,
            tile_dim=32,
            genes=300,
            seed=20 + seed,
        )
        rows += judged(cohort, sf.SurvivalFusion(anchor_bags="mean"), seed)
    return rows


def permuted(out: Path) -> list[dict[str, Any]]:
    """LUAD with outcomes permuted over patients: as `null`."""
    cohort = prepare("luad", out)
    rows = []
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(len(cohort.outcome))
        shuffled = cohort.with_outcome(
            cohort.outcome.iloc[order].set_axis(cohort.outcome.index)
        )
        rows += judged(shuffled, sf.SurvivalFusion(anchor_bags="mean"), seed)
    return rows


def judged(cohort: Cohort, model: sf.SurvivalFusion, seed: int) -> list[dict[str, Any]]:
    """Share, agreement and status of each term."""
    model = with_agreement(model.fit(cohort), cohort, halves=4)
    explanation = explain(model, cohort)
    found = explanation.agreement.set_index(["level", "name"])
    rows = []
    for row in explanation.shares.itertuples():
        known = ("term", row.term) in found.index
        agreement = (
            found.loc[("term", row.term)]
            if known
            else {"agreement": np.nan, "status": "not used by half models"}
        )
        rows.append(
            {
                "seed": seed,
                "term": row.term,
                "share": round(row.share, 3),
                "agreement": round(float(agreement["agreement"]), 2),
                "status": agreement["status"],
            }
        )
    return [
        {
            "sd of the log-risk": round(
                float(np.std(explanation.prediction.log_risk)), 3
            ),
            **row,
        }
        for row in rows
    ]


def random_network(out: Path) -> list[dict[str, Any]]:
    """A network that was not trained: correlation of its tile maps and gene weights with the trained one's."""
    cohort, _ = cohort_of(out, "additive-300", **ADDITIVE)
    train, held = halves(cohort)
    trained = explain(
        sf.SurvivalFusion(**ATTENTION).fit(cohort, patients=train), cohort, held
    )
    real = {
        patient: tiles["tile_risk"].to_numpy()
        for patient, tiles in tile_tables(trained.explained, "slides")
    }
    means = []
    for seed in range(5):
        untrained = sf.SurvivalFusion(
            **{**ATTENTION, "epochs": 1, "learning_rate": 1e-12, "seed": 100 + seed}
        ).fit(cohort, patients=train)
        other = explain(untrained, cohort, held)
        rhos = []
        for patient, tiles in tile_tables(other.explained, "slides"):
            rhos.append(
                pd.Series(real[patient]).corr(
                    tiles["tile_risk"].reset_index(drop=True), method="spearman"
                )
            )
        means.append(float(np.nanmean(rhos)))
    return [
        {
            "network": "untrained, mean of five",
            "spearman": round(float(np.mean(means)), 3),
            "each": [round(m, 3) for m in means],
        }
    ]


def real(out: Path) -> list[dict[str, Any]]:
    """LUAD and HANCOCK: largest difference between sums and predictions, shares, and largest mean over the product of marginals."""
    rows = []
    for name in ("luad", "hancock-os", "hancock-rfs"):
        cohort = prepare(name, out)
        start = time.perf_counter()
        model = sf.SurvivalFusion().fit(cohort)
        fitted = time.perf_counter()
        explanation = explain(model, cohort)
        shares = explanation.shares.set_index("term")["share"].round(3).to_dict()
        difference = explanation.largest_difference
        rows.append(
            {
                "cohort": name,
                "fit_s": round(fitted - start, 1),
                "explain_s": round(time.perf_counter() - fitted, 1),
                "largest difference": difference,
                "shares": shares,
            }
        )
    return rows


SECTIONS: dict[str, Callable[[Path], list[dict[str, Any]]]] = {
    "real": real,
    "deletion": deletion,
    "planted_slides": planted_slides,
    "planted_composition": planted_composition,
    "planted_genes": planted_genes,
    "interaction": interaction,
    "null": null,
    "permuted": permuted,
    "random_network": random_network,
}


def main() -> None:
    """Run sections and print their rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name in arguments.only:
        start = time.perf_counter()
        rows = SECTIONS[name](arguments.out)
        seconds = round(time.perf_counter() - start, 1)
        (arguments.out / f"{name}.json").write_text(
            json.dumps({"rows": rows, "seconds": seconds}, indent=1)
        )
        print(f"== {name} ({seconds} s)", *rows, sep="\n", flush=True)


if __name__ == "__main__":
    main()
