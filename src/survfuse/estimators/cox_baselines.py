"""Estimators that need no network: Kaplan-Meier, ridge and sparse Cox, and their late fusion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from survfuse._errors import ConfigError, InputError, context
from survfuse._storage import stored_numbers
from survfuse._types import BoolArray, FloatArray, IntArray, State
from survfuse.cohort.batch_source import BatchSource
from survfuse.cohort.transforms import Transforms
from survfuse.config import FitConfig
from survfuse.estimators.base import (
    ESTIMATORS,
    Estimator,
    Fit,
    Patients,
    RiskModel,
    StoredModel,
)
from survfuse.estimators.fold_context import FoldContext
from survfuse.estimators.linear_cox import LinearCox, inner_fold_count
from survfuse.estimators.model_parts import ModelParts
from survfuse.estimators.stack_parts import cox_parts
from survfuse.fit_summary import SMALLEST_DEVIATION
from survfuse.survival.degrees_of_freedom import Effective

NO_FOLD = -1
"""Inner fold of nobody."""


@dataclass(frozen=True)
class ConstantRisk(RiskModel):
    """Log-risk 0 for everyone."""

    ranks_patients: ClassVar[bool] = False

    def log_risk(self, source: Patients) -> FloatArray:
        """Zeros; (patients,)."""
        return np.zeros(len(source))

    def parts(self, transforms: Transforms) -> ModelParts:
        """Refuse: there is nothing to explain."""
        raise ConfigError("everyone has the same risk; there is nothing to explain")

    def state(self) -> State:
        """Return nothing."""
        return {}, {}

    @classmethod
    def from_state(cls, stored: StoredModel) -> Self:
        """Make it again."""
        return cls()


@ESTIMATORS.register(
    "kaplan_meier",
    summary="everyone has the Kaplan-Meier curve of the training patients",
    source="Kaplan & Meier 1958 (10.2307/2281868)",
)
class KaplanMeier(Estimator):
    """The curve of the training patients, whatever is known of a patient."""

    model = ConstantRisk

    def fit(self, fold: FoldContext) -> Fit:
        """Learn nothing but the outcome, which calibration reads."""
        zeros, transforms = np.zeros(len(fold.ids)), Transforms({}, {})
        return Fit(
            ConstantRisk(),
            transforms,
            BatchSource(fold.cohort, transforms, fold.ids),
            zeros,
            zeros,
            np.zeros(len(fold.ids), dtype=np.int64),
            Effective(0.0, "no parameters"),
        )


@dataclass(frozen=True, eq=False)
class CoxRisk(RiskModel):
    """The log-risk of one Cox regression."""

    cox: LinearCox

    def log_risk(self, source: Patients) -> FloatArray:
        """Log-risk above the training mean; (patients,)."""
        return self.cox.risk(source.blocks())

    def parts(self, transforms: Transforms) -> ModelParts:
        """One term per modality."""
        coxes = dict.fromkeys(self.cox.coef, self.cox)
        ones, zeros = dict.fromkeys(coxes, 1.0), dict.fromkeys(coxes, 0.0)
        return cox_parts(coxes, ones, zeros, transforms)

    def state(self) -> State:
        """Arrays of the regression."""
        return {}, dict(self.cox.arrays())

    @classmethod
    def from_state(cls, stored: StoredModel) -> Self:
        """Make it again."""
        return cls(LinearCox.from_arrays(stored.arrays, stored.transforms.dims))


@ESTIMATORS.register(
    "ridge_cox",
    summary="one ridge Cox on all inputs together, bags as components of their mean tile",
    source="Verweij & van Houwelingen 1994 (10.1002/sim.4780132307)",
)
class RidgeCox(Estimator):
    """A ridge Cox; a patient without a modality gets its training mean.

    Raises
    ------
    ConfigError
        For a head or a loss that is not that of a Cox model.
    """

    model: ClassVar[type[RiskModel]] = CoxRisk
    sparse: ClassVar[bool] = False

    def __init__(self, config: FitConfig) -> None:
        super().__init__(config)
        if config.network.head != "cox" or config.training.loss == "paper":
            raise ConfigError(
                f"fusion: {config.fusion!r} is a Cox model with head 'cox' and loss 'efron' or "
                f"'breslow'; got head {config.network.head!r}, loss {config.training.loss!r}",
            )

    def fit(self, fold: FoldContext) -> Fit:
        """Fit on all training patients, and on all inner folds but one for each."""
        inner, genes = self.inner(fold), self._gene_modalities(fold)
        key = (fold.ids, self.config.model_dump_json(), inner.tobytes())
        known: Fit | None = fold.memory.get(key)
        if known is not None:
            return known
        out_of_fold = np.empty(len(fold.ids))
        for number in (*np.unique(inner), NO_FOLD):  # the last fit is that of everyone
            held = inner == number
            train = fold.patients(~held)
            transforms = Transforms.fit(fold.cohort, train, self.config, as_genes=genes)
            source = BatchSource(fold.cohort, transforms, train)
            cox = LinearCox.fit(
                source.blocks(),
                fold.time[~held],
                fold.event[~held],
                bags=transforms.bag_scaler,
                missing=transforms.blanks,
                ties=self.config.training.loss,
                sparse=self.sparse,
            )
            if held.any():
                other = BatchSource(fold.cohort, transforms, fold.patients(held))
                out_of_fold[held] = CoxRisk(cox).log_risk(other)
        model = CoxRisk(cox)
        fit = Fit(
            model,
            transforms,
            source,
            model.log_risk(source),
            out_of_fold,
            inner,
            Effective(cox.effective, "the trace of the penalised fit"),
            sum(len(coef) for coef in cox.coef.values()),
            details={"penalty": cox.penalty, "ridge_note": cox.note},
        )
        fold.memory[key] = fit
        return fit

    def inner_count(self, fold: FoldContext) -> int:
        """As many as these patients can fill."""
        return inner_fold_count(fold.event)

    def _gene_modalities(self, fold: FoldContext) -> tuple[str, ...]:
        """Modalities whose genes are read rather than their components."""
        if not self.sparse:
            return ()
        modalities = fold.cohort.modalities
        return tuple(m for m, data in modalities.items() if data.kind == "expression")


@ESTIMATORS.register(
    "sparse_cox",
    summary="one elastic-net Cox on all inputs together, expression as its genes",
    source="Simon et al. 2011 (10.18637/jss.v039.i05)",
)
class SparseCox(RidgeCox):
    """An elastic-net Cox, most of whose weights are 0."""

    sparse = True


@dataclass(frozen=True, eq=False)
class LateRisk(RiskModel):
    """Sum over modalities of z-scored risks.

    Attributes
    ----------
    coxes : mapping of modality to LinearCox
    means, deviations : mapping of modality to float
        Of the risks of the training patients who have the modality.
    """

    coxes: Mapping[str, LinearCox]
    means: Mapping[str, float]
    deviations: Mapping[str, float]

    def log_risk(self, source: Patients) -> FloatArray:
        """Sum of the z-scores; a missing modality adds 0; (patients,)."""
        blocks, scores = source.blocks(), []
        for name, cox in self.coxes.items():
            values, has = cox.risk(blocks), blocks[name][1]
            scores.append(
                standardised(values, has, self.means[name], self.deviations[name]),
            )
        return np.asarray(np.sum(scores, axis=0))

    def parts(self, transforms: Transforms) -> ModelParts:
        """One z-score per modality."""
        scales = {}
        for name, deviation in self.deviations.items():
            scales[name] = 0.0 if deviation < SMALLEST_DEVIATION else 1 / deviation
        return cox_parts(self.coxes, scales, self.means, transforms)

    def state(self) -> State:
        """Means and deviations, and arrays of the regressions."""
        arrays: dict[str, FloatArray] = {}
        for cox in self.coxes.values():
            arrays |= cox.arrays()
        return {"means": dict(self.means), "deviations": dict(self.deviations)}, arrays

    @classmethod
    def from_state(cls, stored: StoredModel) -> Self:
        """Make it again."""
        means, deviations = (
            stored_numbers(stored.state[part], part) for part in ("means", "deviations")
        )
        dims = stored.transforms.dims
        if not set(means) == set(deviations) == set(dims):
            raise InputError("the late fusion does not read what the transforms give")
        parts = {}
        for name, features in dims.items():
            parts[name] = LinearCox.from_arrays(stored.arrays, {name: features})
        return cls(parts, means, deviations)


@ESTIMATORS.register(
    "late_cox",
    summary="sum of the z-scored risks of each modality's own ridge Cox",
    source="the plain baseline",
)
class LateFusion(RidgeCox):
    """Sum over modalities of the z-scored risk of each modality's own ridge Cox.

    Every fit's risks are standardised by themselves: those of the final fit by its training
    patients', out-of-fold risks within their inner fold, because each fit chose its own penalty
    and with it its own scale. A fit whose risks hardly differ (deviation below
    `SMALLEST_DEVIATION`) adds 0; who lacks a modality gets its mean, 0. Every other modality
    has the same weight, so that nothing more is learned.
    """

    model = LateRisk

    def fit(self, fold: FoldContext) -> Fit:
        """Fit a ridge Cox on each modality and add their z-scores."""
        names = self.config.inputs.modalities or tuple(fold.cohort.modalities)
        parts: dict[str, Fit] = {}
        for name in names:
            update = {"fusion": "ridge_cox", "modalities": (name,)}
            with context(name):
                parts[name] = RidgeCox(self.config.model_copy(update=update)).fit(fold)
        fitted = {name: part.transforms.fitted[name] for name, part in parts.items()}
        transforms = Transforms(fitted)
        source = BatchSource(fold.cohort, transforms, fold.ids)
        # Every modality has the same inner folds: the same patients and the same seed.
        inner = parts[names[0]].inner
        coxes: dict[str, LinearCox] = {}
        means, deviations, out_of_fold = {}, {}, []
        for name, (_, has) in source.blocks().items():
            model, risks = parts[name].model, parts[name].out_of_fold
            assert isinstance(model, CoxRisk)
            assert risks is not None
            known = parts[name].in_sample[has]
            coxes[name] = model.cox
            means[name], deviations[name] = float(known.mean()), float(known.std())
            out_of_fold.append(_within_folds(risks, has, inner))
        late = LateRisk(coxes, means, deviations)
        return Fit(
            late,
            transforms,
            source,
            late.log_risk(source),
            np.asarray(np.sum(out_of_fold, axis=0)),
            inner,
            Effective(
                None,
                "not computable: a sum of z-scores is not fitted as a whole",
            ),
            details={
                "penalties": {name: cox.penalty for name, cox in coxes.items()},
                "ridge_notes": {n: cox.note for n, cox in coxes.items() if cox.note},
            },
        )


def _within_folds(
    risks: FloatArray,
    has: BoolArray,
    inner: IntArray,
) -> FloatArray:
    """Standardise out-of-fold risks within their inner fold; 0 without the modality."""
    scores = np.zeros(len(risks))
    for number in np.unique(inner):
        held = inner == number
        known = risks[held & has]
        if len(known):
            scale = float(known.mean()), float(known.std())
            scores[held] = standardised(risks[held], has[held], *scale)
    return scores


def standardised(
    values: FloatArray,
    has: BoolArray,
    mean: float,
    deviation: float,
) -> FloatArray:
    """Z-scores; 0 without the modality, and for all where values hardly differ; (patients,)."""
    if deviation < SMALLEST_DEVIATION:
        return np.zeros(len(values))
    return np.where(has, (values - mean) / deviation, 0.0)
