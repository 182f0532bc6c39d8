"""The default model, `anchored`: Cox regressions of the modalities, stacked.

::

    log-risk = sum over modalities m of  w_m  b_m . (x_m − c_m)
             + sum over pairs m, n of    w_mn sum_k ((x_m − c_m) L_mn)_k ((x_n − c_n) R_mn)_k

Every ``b_m`` is the ridge Cox (of expression, on request, a sparse Cox) of one modality alone.
The weights ``w`` are never negative and are fitted to risks of patients whose inner fold no term
saw: those of modalities start from 1, those of pairs from 0, and both are penalised for moving.
A missing modality's terms are 0: the risk of an average patient. Nothing is trained by
gradients, but the attention network that may take the place of a bag's mean tile.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

from survfuse._errors import ConfigError, InputError
from survfuse._storage import stored_array
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
from survfuse.estimators.interactions import Interaction
from survfuse.estimators.linear_cox import LinearCox
from survfuse.estimators.neural_network import NetworkEnsemble, NeuralNetwork
from survfuse.estimators.stack_summary import effective_parameters, stack_details
from survfuse.estimators.stack_terms import TermRisks, Terms, term_names
from survfuse.survival.calibration import centred_in_folds
from survfuse.survival.degrees_of_freedom import Effective
from survfuse.survival.stacking import gains

FEWEST_PATIENTS = 2
"""Who have a modality, for anything to be learned of it."""


@dataclass(frozen=True, eq=False)
class AttentionRisk:
    """A network that reads one bag modality alone.

    Attributes
    ----------
    model : NetworkEnsemble
        Of one network.
    centre : float
        Mean log-risk of the training patients who have the modality.
    """

    model: NetworkEnsemble
    centre: float

    def risk(
        self,
        source: Patients,
        has: BoolArray,
    ) -> FloatArray:
        """Log-risk above the training mean, 0 without the modality; (patients,)."""
        return np.where(has, self.model.log_risk(source) - self.centre, 0.0)


@dataclass(frozen=True, eq=False)
class TrainedAttention:
    """An attention network, and how well it does.

    Attributes
    ----------
    risk : AttentionRisk
    out_of_fold : array, (patients,)
        Log-risk of each training patient by networks that did not see its inner fold, centred
        in its fold; 0 where it lacks the modality.
    effective : Effective
    parameters : int
    """

    risk: AttentionRisk
    out_of_fold: FloatArray
    effective: Effective
    parameters: int


@dataclass(frozen=True, eq=False)
class StackedRisk(RiskModel):
    """The weighted sum of the terms.

    Attributes
    ----------
    terms : Terms
    weights : array, (terms,)
    attention : mapping of bag modality to AttentionRisk
        Networks that take the place of the Cox regression of a bag.
    """

    terms: Terms
    weights: FloatArray
    attention: Mapping[str, AttentionRisk]

    def log_risk(self, source: Patients) -> FloatArray:
        """Log-risk; (patients,)."""
        blocks = source.blocks()
        risks = self.terms.risks(blocks)
        for bag, attention in self.attention.items():
            column = self.terms.names.index(bag)
            risks[:, column] = attention.risk(source, blocks[bag][1])
        return np.asarray(risks @ self.weights)

    def state(self) -> State:
        """Weights, and arrays of the terms."""
        arrays: dict[str, FloatArray] = {"weights": self.weights}
        for cox in self.terms.modalities.values():
            arrays |= cox.arrays()
        fitted = []
        for (left, right), pair in self.terms.pairs.items():
            if pair.rank:
                fitted.append([left, right])
                for name, array in pair.arrays().items():
                    arrays[f"{left}*{right}/{name}"] = array
        networks = {}
        for bag, attention in self.attention.items():
            shape, weights = attention.model.state()
            networks[bag] = {"network": shape, "centre": attention.centre}
            for name, array in weights.items():
                arrays[f"attention/{bag}/{name}"] = array
        return {"pairs": fitted, "attention": networks}, arrays

    @classmethod
    def from_state(cls, stored: StoredModel) -> Self:
        """Make the stack again; every array is compared with what the transforms give."""
        dims, arrays, modalities = stored.transforms.dims, stored.arrays, {}
        for name, features in dims.items():
            modalities[name] = LinearCox.from_arrays(arrays, {name: features})
        pairs = {}
        for left, right in itertools.combinations(dims, 2):
            pairs[left, right] = Interaction.none(dims[left], dims[right])
        for left, right in stored.state["pairs"]:
            if (left, right) not in pairs:
                raise InputError(f"pairs: {left!r} and {right!r} are not modalities")
            pairs[left, right] = Interaction.from_arrays(
                arrays,
                f"{left}*{right}",
                dims[left],
                dims[right],
            )
        attention = {}
        for bag, entry in stored.state["attention"].items():
            if bag not in stored.transforms.bag_scaler:
                raise InputError(f"attention: {bag!r} is no bag of the transforms")
            part = stored.part(f"attention/{bag}/", entry["network"], bag)
            centre = entry["centre"]
            if type(centre) is not float or not np.isfinite(centre):
                raise InputError(f"attention: {bag!r}: centre must be a finite number")
            attention[bag] = AttentionRisk(NetworkEnsemble.from_state(part), centre)
        weights = stored_array(arrays, "weights", (len(term_names(dims)),))
        return cls(Terms(modalities, pairs), weights, attention)


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
    """

    model = StackedRisk

    def fit(self, fold: FoldContext) -> Fit:
        """Fit the terms out of fold, their weights, and the terms on everyone."""
        config, names = self.config, modalities_used(fold, self.config)
        if any("*" in name for name in names):
            raise ConfigError(f"modality names cannot hold '*', got {', '.join(names)}")
        inner = self.inner(fold)
        sparse = sparse_modalities(fold, config, inner)
        everyone = np.ones(len(fold.ids), dtype=bool)
        transforms, source, terms = fit_terms(fold, config, everyone, sparse)
        risks = cross_fitted(fold, config, inner, sparse)
        attention: dict[str, TrainedAttention] = {}
        for bag in transforms.bag_scaler:
            column = names.index(bag)
            trained = self._attention(fold, bag, inner)
            if trained is not None and is_better(
                trained.out_of_fold,
                risks[:, column],
                fold,
                inner,
            ):
                attention[bag] = trained
                risks[:, column] = trained.out_of_fold
        bags = tuple(names.index(bag) for bag in transforms.bag_scaler)
        columns = TermRisks(risks, inner, fold.time, fold.event, len(names), bags)
        weights, effective_weights = columns.weights()
        networks = {bag: trained.risk for bag, trained in attention.items()}
        model = StackedRisk(terms, weights, networks)
        effective = effective_parameters(
            terms,
            weights,
            effective_weights,
            {bag: trained.effective for bag, trained in attention.items()},
        )
        details = stack_details(
            terms,
            weights,
            transforms,
            source,
            fold.event,
            attention,
            sparse,
        )
        return Fit(
            model,
            transforms,
            source,
            model.log_risk(source),
            columns.out_of_fold(),
            inner,
            Effective(effective["total"], effective["note"]),
            terms.parameter_count() + sum(one.parameters for one in attention.values()),
            details={"anchored": {**details, "effective": effective}},
        )

    def _attention(
        self,
        fold: FoldContext,
        bag: str,
        inner: IntArray,
    ) -> TrainedAttention | None:
        """Train a network on the patients who have the bag, in the same inner folds."""
        has = fold.cohort.present.loc[list(fold.ids), bag].to_numpy(bool)
        folds = int(inner.max()) + 1
        events = np.bincount(
            inner[has],
            weights=fold.event[has],
            minlength=folds,
        )
        # An inner fold without an event cannot stop a training.
        if self.config.stack.bags == "mean" or not events.all():
            return None
        update = {
            "fusion": "concat",
            "modalities": (bag,),
            "bag_pooling": "attention",
            "bag_rate": 1.0,
            "selection": "inner_folds",
        }
        config = self.config.model_copy(update=update)
        key = (fold.ids, "attention", config.model_dump_json(), inner.tobytes())
        known: TrainedAttention | None = fold.memory.get(key)
        if known is not None:
            return known
        own = fold.subset(has, f"{bag}, ")
        fit = NeuralNetwork(config, inner[has]).fit(own)
        assert isinstance(fit.model, NetworkEnsemble)
        assert fit.out_of_fold is not None
        risks = np.zeros(len(fold.ids))
        risks[has] = centred_in_folds(fit.out_of_fold, inner[has], len(own.ids))
        trained = TrainedAttention(
            AttentionRisk(fit.model, float(fit.in_sample.mean())),
            risks,
            fit.effective,
            fit.parameters or 0,
        )
        fold.memory[key] = trained
        return trained


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
    names = term_names(used)
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
