"""Small fitted models whose terms are split into inputs, and their explanations."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import survfuse as sf
from survfuse.datasets import simulate
from survfuse.explanations import Explanation, explain

SETS = {"FIRST": range(8), "SECOND": range(4, 14), "THIRD": range(20, 30)}
"""Genes of each set of `gene_set_file`, by their place in the matrix."""
STACKS = ("anchored", "ridge_cox", "sparse_cox", "late_cox")
PRODUCTS = ("late", "concat", "pairwise", "tensor", "lowrank_tensor")
OTHERS = ("pairwise_residual", "gated", "hierarchical", "coattention")


@cache
def _kept() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory()


@cache
def toy_cohort() -> sf.Cohort:
    """60 patients with 40 genes, tables and slides; some lack each of them."""
    folder = Path(_kept().name) / "toy"
    lacking = {"slides": 0.2, "expression": 0.3, "clinical": 0.1}
    simulate(
        folder,
        patients=60,
        event_rate=0.6,
        signal="additive",
        strength=3.0,
        tiles=10,
        tile_dim=8,
        genes=40,
        missing=lacking,
        seed=1,
    )
    return sf.load_cohort(folder / "cohort.yaml")


@cache
def gene_set_file() -> Path:
    """Three gene sets of the toy cohort, two of which share genes."""
    genes, lines = toy_cohort().modalities["expression"].expression.genes, []
    for name, places in SETS.items():
        lines.append("\t".join([name, "", *(genes[place] for place in places)]))
    path = Path(_kept().name) / "sets.gmt"
    path.write_text("\n".join(lines) + "\n")
    return path


@cache
def toy_model(fusion: str, **parameters: Any) -> sf.SurvivalFusion:
    """A model of the toy cohort; networks are hardly trained."""
    if fusion not in STACKS:
        short = {"epochs": 1, "selection": "last", "calibration": "breslow"}
        parameters = {"bag_components": 4, **short, **parameters}
    return sf.SurvivalFusion(fusion=fusion, **parameters).fit(toy_cohort())


@cache
def toy_explanation(fusion: str, **parameters: Any) -> Explanation:
    """Explanation of everyone in the toy cohort."""
    reference = toy_cohort() if fusion == "coattention" else None
    model = toy_model(fusion, **parameters)
    return explain(model, toy_cohort(), reference=reference)
