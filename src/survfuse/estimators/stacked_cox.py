"""The default model, `anchored`: Cox regressions of the modalities, stacked.

::

    log-risk = sum over modalities m of  w_m  b_m . (x_m − c_m)
             + sum over pairs m, n of    w_mn sum_k ((x_m − c_m) L_mn)_k ((x_n − c_n) R_mn)_k

Every ``b_m`` is the ridge Cox (of expression, on request, a sparse Cox) of one modality alone.
The weights ``w`` are never negative and are fitted to risks of patients whose inner fold no term
saw: those of modalities start from 1, those of pairs from 0, and both are penalised for moving.
A missing modality's terms are 0: the risk of an average patient. Nothing is trained by
gradients, but the attention network that may take the place of a bag's mean tile. Further models
(`stack_terms`) are terms beside those of the modalities, with weights from the same fit.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from survfuse._errors import (
    ConfigError,
    NotComputableError,
    context,
    listed,
)
from survfuse._types import BoolArray, FloatArray, IntArray
from survfuse.cohort.batch_source import BatchSource
from survfuse.cohort.splits import inner_folds
from survfuse.cohort.transforms import Transforms
from survfuse.config import FitConfig
from survfuse.estimators.base import (
    ESTIMATORS,
    Estimator,
    Fit,
    make_estimator,
)
from survfuse.estimators.fold_context import FoldContext
from survfuse.estimators.model_terms import (
    ModelTerm,
    attention_config,
    fit_model_term,
    refuse_constant,
)
from survfuse.estimators.stack_summary import effective_parameters, stack_details
from survfuse.estimators.stack_terms import TermRisks, Terms, term_names
from survfuse.estimators.stacked_risk import StackedRisk
from survfuse.survival.degrees_of_freedom import Effective
from survfuse.survival.stacking import gains

FEWEST_PATIENTS = 2
"""Who have a modality, for anything to be learned of it."""
ENOUGH_EVENTS, MOST_DIVISIONS = 150, 3
"""Patients are divided into inner folds again until the events of all divisions are so many: with
few, weights and calibration would hang on one draw."""


@ESTIMATORS.register(
    "anchored",
    summary="a Cox regression per modality and low-rank pairs, weighted by out-of-fold risks",
    source="stacking: Wolpert 1992, Breiman 1996 (10.1007/BF00117832); pairs: arXiv 2605.13897 "
    "without W_o",
)
class StackedCox(Estimator):
    """The stack of Cox regressions that the module describes.

    `anchor_vectors` decides whether expression has a ridge Cox of components or a sparse Cox of
    genes, `anchor_bags` whether a bag may have an attention network. Which reading was chosen
    depends on everyone's outcome: one choice of two, which the out-of-fold risks repeat.

    Raises
    ------
    ConfigError
        For a term of `stack_terms` that is no known model, or that cannot rank patients.
    """

    model = StackedRisk

    def __init__(self, config: FitConfig) -> None:
        super().__init__(config)
        for name, own in config.term_configs().items():
            with context(f"stack.terms: {name}"):
                refuse_constant(make_estimator(own))

    def seed_count(self) -> int:
        """One for each division into inner folds, and for each member of a network."""
        return max(super().seed_count(), MOST_DIVISIONS)

    def fit(self, fold: FoldContext) -> Fit:
        """Fit the terms out of fold, their weights, and the terms on everyone."""
        config, names = self.config, modalities_used(fold, self.config)
        if any("*" in name for name in names):
            raise ConfigError(f"modality names cannot hold '*', got {', '.join(names)}")
        inner = self.inner(fold)
        divisions = self._divisions(fold, inner)
        sparse = sparse_modalities(fold, config, inner)
        everyone = np.ones(len(fold.ids), dtype=bool)
        transforms, source, terms = fit_terms(fold, config, everyone, sparse)
        crossed = [cross_fitted(fold, config, one, sparse) for one in divisions]
        risks = dict(
            zip(terms.names, np.moveaxis(np.stack(crossed), 2, 0), strict=True)
        )
        models = self._attention(fold, transforms, risks, inner)
        attention = tuple(models)
        others, notes = self._others(fold, names, inner)
        models |= others
        for name, fitted in models.items():
            # Fitted in the first division alone; out of fold in the others too.
            risks[name] = np.broadcast_to(fitted.out_of_fold, divisions.shape)
        all_names = terms.with_models(others)
        start, penalty = terms.starts(all_names, transforms.priors)
        columns = TermRisks(
            np.stack([risks[name] for name in all_names], axis=2),
            divisions,
            fold.time,
            fold.event,
            start,
            penalty,
            tuple(names.index(bag) for bag in transforms.bag_scaler),
        )
        weights = columns.weights()
        shared = {name: one.risk.sharing(transforms) for name, one in models.items()}
        model = StackedRisk(terms, weights.value, shared)
        details = stack_details(
            terms,
            all_names,
            weights,
            transforms,
            source,
            fold.event,
            attention,
            sparse,
        )
        effective = effective_parameters(
            terms,
            dict(zip(all_names, map(float, weights.value), strict=True)),
            weights.effective,
            {name: one.effective for name, one in models.items()},
        )
        absent = {"value": 0.0, "start": 1.0, "low": None, "high": None}
        details["weights"] |= {name: dict(absent) for name in notes}
        details["notes"] |= notes
        return Fit(
            model,
            transforms,
            source,
            model.log_risk(source),
            columns.out_of_fold(),
            np.zeros(len(fold.ids), dtype=np.int64) if len(divisions) > 1 else inner,
            Effective(effective["total"], effective["note"]),
            terms.parameter_count()
            + len(others)
            + sum(one.parameters for one in models.values()),
            details={"anchored": {**details, "effective": effective}},
        )

    def _divisions(
        self,
        fold: FoldContext,
        inner: IntArray,
    ) -> IntArray:
        """Divisions into inner folds, more where events are few; (divisions, patients)."""
        enough = math.ceil(ENOUGH_EVENTS / int(fold.event.sum()))
        divisions = [inner]
        for number in range(1, min(enough, MOST_DIVISIONS)):
            seed = (self.config.training.seed + number) % 2**32
            divisions.append(inner_folds(fold.event, self.inner_count(fold), seed))
        return np.stack(divisions)

    def _attention(
        self,
        fold: FoldContext,
        transforms: Transforms,
        risks: Mapping[str, FloatArray],
        inner: IntArray,
    ) -> dict[str, ModelTerm]:
        """Attention networks of the bags whose mean tile has a smaller out-of-fold likelihood."""
        chosen: dict[str, ModelTerm] = {}
        for bag in () if self.config.stack.bags == "mean" else transforms.bag_scaler:
            config = attention_config(self.config, bag)
            try:
                trained = fit_model_term(fold, bag, config, inner)
            except NotComputableError:
                continue  # an inner fold without an event stops no training
            if is_better(trained.out_of_fold, risks[bag][0], fold, inner):
                chosen[bag] = trained
        return chosen

    def _others(
        self,
        fold: FoldContext,
        used: Sequence[str],
        inner: IntArray,
    ) -> tuple[dict[str, ModelTerm], dict[str, str]]:
        """Models of `stack.terms`, on those of their modalities that are used; why one is not."""
        models, notes = {}, {}
        for name, config in self.config.term_configs().items():
            wanted = config.inputs.modalities
            unknown = [m for m in wanted or () if m not in fold.cohort.modalities]
            if unknown or name in fold.cohort.modalities:
                raise ConfigError(
                    f"stack.terms: {name}: cohort {fold.cohort.name!r} has the modalities "
                    f"{listed(fold.cohort.modalities, 20)}; a term has a name of its own and "
                    f"reads some of them, got {listed(unknown or [name])}",
                )
            own = tuple(m for m in used if wanted is None or m in wanted)
            if not own:
                notes[name] = "not fitted: the model reads none of its modalities"
                continue
            config = config.model_copy(update={"modalities": own})
            try:
                models[name] = fit_model_term(fold, name, config, inner)
            except NotComputableError as error:
                notes[name] = f"not fitted: {error}"
        return models, notes


def modalities_used(
    fold: FoldContext,
    config: FitConfig,
) -> tuple[str, ...]:
    """Modalities that a configuration reads, in the order of the cohort."""
    names = tuple(fold.cohort.modalities)
    if config.inputs.modalities is None:
        return names
    return tuple(name for name in names if name in config.inputs.modalities)


def fit_terms(
    fold: FoldContext,
    config: FitConfig,
    rows: BoolArray,
    sparse: Collection[str] = (),
) -> tuple[Transforms, BatchSource, Terms]:
    """Fit transforms and terms on some patients; modalities in `sparse` by a sparse Cox."""
    train = fold.patients(rows)
    transforms = Transforms.fit(fold.cohort, train, config, as_genes=sparse)
    source = BatchSource(fold.cohort, transforms, train)
    terms = Terms.fit(
        source.blocks(),
        fold.time[rows],
        fold.event[rows],
        bags=transforms.bag_scaler,
        missing=transforms.blanks,
        ties=config.training.loss,
        sparse=sparse,
        priors=transforms.priors,
    )
    return transforms, source, terms


def cross_fitted(
    fold: FoldContext,
    config: FitConfig,
    inner: IntArray,
    sparse: Collection[str] = (),
) -> FloatArray:
    """Log-risk of every term, of each patient by fits without its inner fold; (patients, terms).

    Where hardly anyone outside an inner fold has a modality, its terms are 0 in that fold.
    """
    used = modalities_used(fold, config)
    kinds = fold.cohort.modalities
    names = term_names(used, priors=[m for m in used if kinds[m].kind == "prior"])
    risks = np.zeros((len(fold.ids), len(names)))
    for number in range(int(inner.max()) + 1):
        held = np.asarray(inner == number)
        counts = fold.cohort.present.loc[list(fold.patients(~held)), list(used)].sum()
        enough = tuple(name for name in used if counts[name] >= FEWEST_PATIENTS)
        if not enough:
            continue
        part = config.model_copy(update={"modalities": enough})
        own = [name for name in sparse if name in enough]
        transforms, _, terms = fit_terms(fold, part, ~held, own)
        other = BatchSource(fold.cohort, transforms, fold.patients(held))
        columns = np.array([names.index(name) for name in terms.names])
        risks[np.ix_(np.flatnonzero(held), columns)] = terms.risks(other.blocks())
    return risks


def is_better(
    risk: FloatArray,
    other: FloatArray,
    fold: FoldContext,
    inner: IntArray,
) -> bool:
    """Whether out-of-fold risks (patients,) have a larger likelihood than others, and than none."""
    columns = np.stack([risk, other], axis=1)
    gain = gains(columns, fold.time, fold.event, fold=inner)
    return bool(gain[0] > max(gain[1], 0.0))


def sparse_modalities(
    fold: FoldContext,
    config: FitConfig,
    inner: IntArray,
) -> frozenset[str]:
    """Expression modalities with a sparse Cox, as `anchor_vectors` says or inner folds prefer."""
    sparse = []
    for name in modalities_used(fold, config):
        data = fold.cohort.modalities[name]
        if config.stack.vectors == "components" or data.kind != "expression":
            continue
        if config.stack.vectors == "best":
            alone = config.model_copy(update={"modalities": (name,)})
            genes = cross_fitted(fold, alone, inner, (name,))[:, 0]
            components = cross_fitted(fold, alone, inner)[:, 0]
            if not is_better(genes, components, fold, inner):
                continue
        sparse.append(name)
    return frozenset(sparse)
