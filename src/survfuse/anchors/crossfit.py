"""Terms fitted without each inner fold in turn, and what such out-of-fold risks decide."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from survfuse._types import BoolArray, FloatArray, IntArray
from survfuse.anchors.blocks import Blocks, read_blocks
from survfuse.anchors.stack import Terms, term_names
from survfuse.cohort.batch_source import BatchSource
from survfuse.cohort.cohort import Cohort
from survfuse.cohort.transforms import Transforms
from survfuse.config import FitConfig
from survfuse.survival.stacking import gains

FEWEST_PATIENTS = 2  # who have a modality, for anything to be learned of it


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
    def of(
        cls,
        training: Training,
        kept: BoolArray,
        sparse: Collection[str] = (),
    ) -> Fit:
        """Learn from the patients `kept`; modalities in `sparse` as genes, by a sparse Cox."""
        train, config = training.named(kept), training.config
        transforms = Transforms.fit(training.cohort, train, config, as_genes=sparse)
        source = BatchSource(training.cohort, transforms, train)
        terms = Terms.fit(
            read_blocks(source),
            training.time[kept],
            training.event[kept],
            bags=frozenset(transforms.bag_scaler),
            blanks=transforms.blanks,
            ties=config.loss,
            sparse=sparse,
        )
        return cls(transforms, source, terms)

    def risks(self, cohort: Cohort, others: Sequence[str]) -> FloatArray:
        """Log-risk of every term of other patients; (others, terms)."""
        blocks: Blocks = read_blocks(BatchSource(cohort, self.transforms, others))
        return self.terms.risks(blocks)


def cross_fitted(training: Training, sparse: Collection[str] = ()) -> FloatArray:
    """Log-risk of every term, of each patient by a fit that did not see its inner fold; (patients, terms).

    Where hardly anyone outside a fold has a modality, its terms are 0 in that fold: nothing taught them.
    """
    config, cohort = training.config, training.cohort
    used = [
        m
        for m in cohort.modalities
        if config.modalities is None or m in config.modalities
    ]
    names = term_names(used)
    risks = np.zeros((len(training.ids), len(names)))
    for fold in range(int(training.inner.max()) + 1):
        held = np.asarray(training.inner == fold)
        others = cohort.present.loc[training.named(~held), used].sum()
        taught = tuple(name for name in used if others[name] >= FEWEST_PATIENTS)
        if taught:
            part = replace(
                training,
                config=config.model_copy(update={"modalities": taught}),
            )
            fit = Fit.of(part, ~held, [name for name in sparse if name in taught])
            columns = np.array([names.index(name) for name in fit.terms.names])
            risks[np.ix_(np.flatnonzero(held), columns)] = fit.risks(
                cohort,
                training.named(held),
            )
    return risks


def better(offered: FloatArray, present: FloatArray, training: Training) -> bool:
    """Whether out-of-fold risks (patients,) have a larger likelihood than others, and than none."""
    gain = gains(
        np.stack([offered, present], axis=1),
        training.time,
        training.event,
        fold=training.inner,
    )
    return bool(gain[0] > max(gain[1], 0.0))


def sparse_modalities(training: Training) -> frozenset[str]:
    """Expression modalities whose anchor is a sparse Cox, as `anchor_vectors` says or inner folds prefer."""
    config, cohort = training.config, training.cohort
    if config.anchor_vectors == "components":
        return frozenset()
    names = [
        name
        for name, data in cohort.modalities.items()
        if data.kind == "expression"
        and (config.modalities is None or name in config.modalities)
    ]
    if config.anchor_vectors == "sparse":
        return frozenset(names)
    return frozenset(name for name in names if _prefers_sparse(training, name))


def _prefers_sparse(training: Training, name: str) -> bool:
    alone = replace(
        training,
        config=training.config.model_copy(update={"modalities": (name,)}),
    )
    offered, present = cross_fitted(alone, (name,)), cross_fitted(alone)
    return better(offered[:, 0], present[:, 0], training)
