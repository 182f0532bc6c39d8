"""A small simulated cohort, and models of two halves of it."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from survfuse.cohort import Cohort, load_cohort
from survfuse.config import FitConfig
from survfuse.datasets import simulate
from survfuse.explanations.half_models import Pair, draw_halves, fitted_pairs

CONFIG = FitConfig.of(fusion="ridge_cox", selection_folds=2, expression_components=4)


@cache
def simulated() -> Cohort:
    """90 patients with clinical variables, 60 genes, and slides that some lack."""
    folder = Path(mkdtemp()) / "cohort"
    file = simulate(
        folder,
        patients=90,
        tiles=20,
        tile_dim=8,
        genes=60,
        signal="additive",
        missing={"slides": 0.2},
        event_rate=0.6,
    )
    return load_cohort(file)


@cache
def pair_of_halves() -> Pair:
    """Models of two halves, on the same held-out patients."""
    cohort = simulated()
    ((_, pair),) = fitted_pairs(cohort, CONFIG, draw_halves(cohort, None, 1))
    assert isinstance(pair, Pair)
    return pair
