"""Lean models of expression, and what a search gains, on the given folds of TCGA-LUAD (OS).

`encoders`: expression alone, by ridge, sparse and gene-set Cox and by networks. No gene sets come with the
data, so sets are made of gene symbols with the same first letters: families by name, no biology beyond it.
`search`: clinical and expression, as given and searched. Finished cells are kept in the output folder.

    python studies/lean.py encoders -o runs/lean
    python studies/lean.py search -o runs/lean
"""

from __future__ import annotations

import argparse
import re
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

import survfuse as sf
from survfuse.cohort import Cohort
from survfuse.cohort.modalities import ExpressionData
from survfuse.config import CrossvalConfig, FitConfig
from survfuse.datasets import card
from survfuse.evaluation.assessment import assess
from survfuse.evaluation.assessment_settings import Scale
from survfuse.evaluation.candidates import Candidate
from survfuse.evaluation.cells import Cells, Watcher
from survfuse.evaluation.crossval_splits import splits_of
from survfuse.evaluation.default_horizons import resolve_horizons
from survfuse.evaluation.model_sizes import Size
from survfuse.figures.formatting import number
from survfuse.tuning.search import describe_searches

LETTERS, SMALLEST = 4, 5  # of a family's name, and its genes
BOTH = ("clinical", "expression")


def name_families(cohort: Cohort, path: Path) -> Path:
    """Write a GMT of genes whose symbols begin with the same letters."""
    data = cohort.modalities["expression"]
    assert isinstance(data, ExpressionData)
    families: dict[str, list[str]] = defaultdict(list)
    for gene in data.expression.genes:
        letters = re.match(r"[A-Za-z]*", gene)
        families[letters.group()[:LETTERS] if letters else ""].append(gene)
    lines = [
        "\t".join([stem, "same letters", *genes])
        for stem, genes in sorted(families.items())
        if len(genes) >= SMALLEST
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def encoders(sets: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Models of expression alone, and `anchored` with clinical variables beside it."""
    alone: dict[str, Any] = {"modalities": ("expression",)}
    network = {**alone, "fusion": "concat"}
    genes = {"expression_components": None}
    yield "ridge Cox, 32 components", alone
    yield "sparse Cox, genes", {**alone, "anchor_vectors": "sparse"}
    yield "best of the two", {**alone, "anchor_vectors": "best"}
    yield (
        "ridge Cox, mean z of families",
        {**alone, **genes, "expression_gene_sets": sets},
    )
    yield "network, identity, 32 components", network
    yield (
        "network, linear 8, 32 components",
        {**network, "expression_encoder": "linear"},
    )
    yield "network, mlp 32, 32 components", {**network, "vector_hidden": (32,)}
    yield (
        "network, linear 8, genes",
        {**network, **genes, "expression_encoder": "linear"},
    )
    weighed = {"expression_encoder": "gene_set", "expression_gene_sets": sets}
    yield "network, gene_set, genes", {**network, **genes, **weighed}
    yield "network, mlp 64-32, genes", {**network, **genes, "vector_hidden": (64, 32)}
    paper = {"vector_hidden": (2048, 512, 128), "epochs": 40}
    yield "network, the paper's mlp, genes", {**network, **genes, **paper}
    yield "clinical + expression, ridge", {"modalities": BOTH}
    yield (
        "clinical + expression, sparse",
        {"modalities": BOTH, "anchor_vectors": "sparse"},
    )


def searches() -> Iterator[tuple[str, dict[str, Any]]]:
    """Models as given, and searched in each fold."""
    for fusion, ways in (
        ("anchored", ("none", "grid")),
        ("concat", ("none", "grid", "optuna")),
    ):
        for how in ways:
            yield (
                f"{fusion}, search {how}",
                {"modalities": BOTH, "fusion": fusion, "search": how},
            )


def run(out: Path, what: str) -> None:
    """Print a row per model: Uno C with its interval, sizes, seconds a fit, and what searches chose."""
    folder = out / "cohort"
    if not folder.exists():
        card("tcga_luad").convert(folder)
    cohort = sf.load_cohort(folder / "cohort.yaml")
    splits, _ = splits_of(cohort, CrossvalConfig())
    horizons, _ = resolve_horizons(None, cohort)
    scale = Scale(horizons, horizons[-1], draws=0)
    plan = (
        encoders(name_families(cohort, out / "families.gmt"))
        if what == "encoders"
        else searches()
    )
    rows = []
    for name, fields in plan:
        started = time.perf_counter()
        learner = Candidate(name, FitConfig.of(device="cpu", **fields))
        grid = Cells(out / what, cohort, horizons).all([(learner, splits)], Watcher())
        seconds = (time.perf_counter() - started) / len(splits)
        found, fits = assess(grid.folds[name], scale)["uno_c"], grid.summaries[name]
        size = Size.of(fits)
        rows.append(
            {
                "model": name,
                "uno_c": f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}]",
                "parameters": fits[0]["parameters"],
                "effective": number(None if size is None else size.effective, 1),
                "events each": number(
                    None if size is None else size.events_per_effective,
                    1,
                ),
                "seconds": round(seconds, 1),
            },
        )
        print(rows[-1], flush=True)
        logs = [fit["search"] for fit in fits if "search" in fit]
        if logs:
            print(describe_searches(logs), flush=True)
    print(pd.DataFrame(rows).to_string(index=False))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("encoders", "search"))
    parser.add_argument("-o", "--out", type=Path, required=True)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    run(given.out, given.what)
