"""Terms fitted without each inner fold in turn, and what such out-of-fold risks decide."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from survfuse._types import BoolArray, FloatArray, IntArray
from survfuse.anchors.blocks import Blocks, read_blocks
from survfuse.anchors.stack import Terms
from survfuse.cohort.batches import BatchSource
from survfuse.cohort.cohort import Cohort
from survfuse.cohort.transforms import Transforms
from survfuse.config import FitConfig
from survfuse.survival.trust import gains


@dataclass(frozen=True, eq=False)
class Training:
    """Who teaches.

    Attributes
    ----------
    cohort : Cohort
    ids : sequence of str
        Training patients, sorted.
    time, event : array, (patients,)
    inner : array of int, (patients,)
        Inner fold of each.
    config : FitConfig
    """

    cohort: Cohort
    ids: Sequence[str]
    time: FloatArray
    event: BoolArray
    inner: IntArray
    config: FitConfig

    def named(self, rows: BoolArray) -> list[str]:
        """Some of the patients."""
        return [patient for patient, kept in zip(self.ids, rows, strict=True) if kept]


@dataclass(frozen=True, eq=False)
class Fit:
    """Transforms and terms of some training patients, and these so transformed."""

    transforms: Transforms
    source: BatchSource
    terms: Terms

    @classmethod
    def of(cls, training: Training, kept: BoolArray, sparse: Collection[str] = ()) -> Fit:
        """Learn from the patients `kept`; modalities in `sparse` as genes, by a sparse Cox."""
        train, config = training.named(kept), training.config
        transforms = Transforms.fit(training.cohort, train, config, as_genes=sparse)
        source = BatchSource(training.cohort, transforms, train)
        terms = Terms.fit(
            read_blocks(source),
            training.time[kept],
            training.event[kept],
            bags=frozenset(transforms.bag_scaler),
            seed=config.seed,
            ties=config.loss,
            sparse=sparse,
        )
        return cls(transforms, source, terms)

    def risks(self, cohort: Cohort, others: Sequence[str]) -> FloatArray:
        """Log-risk of every term of other patients; (others, terms)."""
        blocks: Blocks = read_blocks(BatchSource(cohort, self.transforms, others))
        return self.terms.risks(blocks)


def cross_fitted(training: Training, sparse: Collection[str] = ()) -> FloatArray:
    """Log-risk of every term, of each patient by a fit that did not see its inner fold; (patients, terms)."""
    parts = []
    for fold in range(int(training.inner.max()) + 1):
        held = np.asarray(training.inner == fold)
        parts.append((held, Fit.of(training, ~held, sparse).risks(training.cohort, training.named(held))))
    risks = np.empty((len(training.ids), parts[0][1].shape[1]))
    for held, part in parts:
        risks[held] = part
    return risks


def better(offered: FloatArray, present: FloatArray, training: Training) -> bool:
    """Whether out-of-fold risks (patients,) have a larger likelihood than others, and than none."""
    gain = gains(np.stack([offered, present], axis=1), training.time, training.event, fold=training.inner)
    return bool(gain[0] > max(gain[1], 0.0))


def sparse_modalities(training: Training) -> frozenset[str]:
    """Expression modalities whose anchor is a sparse Cox, as `anchor_vectors` says or inner folds prefer."""
    config, cohort = training.config, training.cohort
    if config.anchor_vectors == "components":
        return frozenset()
    names = [
        name
        for name, data in cohort.modalities.items()
        if data.kind == "expression" and (config.modalities is None or name in config.modalities)
    ]
    if config.anchor_vectors == "sparse":
        return frozenset(names)
    return frozenset(name for name in names if _prefers_sparse(training, name))


def _prefers_sparse(training: Training, name: str) -> bool:
    alone = replace(training, config=training.config.model_copy(update={"modalities": (name,)}))
    offered, present = cross_fitted(alone, (name,)), cross_fitted(alone)
    return better(offered[:, 0], present[:, 0], training)
