"""Models that read tiles, of a tiny cohort, in which every term has a weight."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from running import loaded, quick, small
from survfuse._types import AnyArray
from survfuse.cohort import Cohort
from survfuse.cohort.modalities import BagData
from survfuse.decomposition import Sampled
from survfuse.estimator import SurvivalFusion
from survfuse.estimators import stacked_cox
from survfuse.estimators.stack_terms import StackWeights, TermRisks
from survfuse.explanations import Explanation, explain
from survfuse.models.fusion import FUSIONS
from survfuse.readers.bags import BagStore

TWO_SLIDES, ONE_TILE, ABSENT = "001", "004", "007"
PATIENTS = (TWO_SLIDES, "002", ONE_TILE, ABSENT)
STACKS: Mapping[str, Mapping[str, Any]] = {
    "mean": {},
    "components": {"bag_components": 2},
    "as stored": {"bag_scaling": "none"},
    "attention": {"anchor_bags": "best"},
    "nested": {"stack_terms": {"deep": {"fusion": "pairwise", "bag_scaling": "none"}}},
}
NETWORKS: Mapping[str, Mapping[str, Any]] = {
    name: {"fusion": name, "members": 2, "rank": 2, "tensor_width": 2, "pair_width": 2}
    for name in sorted(FUSIONS)
}
OTHERS: Mapping[str, Mapping[str, Any]] = {
    "mean pooling": {"fusion": "concat", "bag_pooling": "mean"},
    "discrete": {"fusion": "concat", "head": "discrete", "bins": 3},
    "ridge_cox": {"fusion": "ridge_cox"},
    "late_cox": {"fusion": "late_cox"},
}
MODELS = {**STACKS, **NETWORKS, **OTHERS}
NOT_LINEAR = (
    "pairwise_residual",
    "gated",
    "gated_kronecker",
    "hierarchical",
    "discrete",
)

Weights = Callable[[TermRisks], AnyArray]


def tiled_cohort(root: Path) -> Cohort:
    """Make a cohort of 24: the first patient has two slides, one a single tile, one none."""
    files = small(root)
    assert files.slides is not None
    files.slides = files.slides[files.slides["patient_id"] != ABSENT]
    one = next(name for name in files.bags if name.startswith(ONE_TILE))
    files.bags[one] = files.bags[one][:1]
    return loaded(files)


@contextmanager
def term_weights(weights: Weights, attention: bool) -> Iterator[None]:
    """Give every stack that is fitted these weights; let a bag have attention, or not."""

    def found(self: TermRisks) -> StackWeights:
        value = weights(self)
        return StackWeights(value, self.start, value, 1.0)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TermRisks, "weights", found)
        patch.setattr(stacked_cox, "is_better", lambda *_: attention)
        yield


def all_weights(risks: TermRisks) -> AnyArray:
    """A weight of its own for every term."""
    return np.linspace(0.5, 1.5, risks.risks.shape[2])


def fit(
    cohort: Cohort,
    fields: Mapping[str, Any],
    weights: Weights = all_weights,
) -> SurvivalFusion:
    """Fit a small model; a stack has a weight for every term."""
    plain = {"fusion": "anchored", "anchor_bags": "mean", "epochs": 2, "seed": 3}
    attention = fields.get("anchor_bags") == "best"
    with term_weights(weights, attention):
        return quick(**{**plain, **fields}).fit(cohort)


def explained(
    model: SurvivalFusion,
    cohort: Cohort,
    training: Cohort,
    patients: Sequence[str] = PATIENTS,
) -> Explanation:
    """Explain a few patients, with few draws where terms are sampled."""
    assert model.fitted is not None
    tiles = model.fitted.model.parts(model.fitted.transforms).needs_tiles
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Sampled.__init__, "__defaults__", (20,))
        return explain(model, cohort, patients, reference=training if tiles else None)


def with_tiles(cohort: Cohort, change: Callable[[str, AnyArray], AnyArray]) -> Cohort:
    """Change the tiles of each slide."""
    data = cohort.modalities["slides"]
    assert isinstance(data, BagData)
    slides = []
    for slide in data.store.slides:
        tiles = np.array(data.store.features[slide.start : slide.stop])
        changed = change(slide.slide_id, tiles)
        slides.append((slide.slide_id, slide.patient_id, changed))
    store = BagStore.from_arrays(slides, encoder=data.store.encoder, mpp=data.store.mpp)
    bags = BagData("slides", store, data.patients)
    return replace(cohort, modalities={**cohort.modalities, "slides": bags})
