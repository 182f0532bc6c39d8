"""Fitted models as terms of a stack: any estimator, and the attention network of a bag."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from survfuse._errors import (
    ConfigError,
    InputError,
    NotComputableError,
    context,
    listed,
)
from survfuse._storage import stored_texts
from survfuse._types import FloatArray, IntArray, State
from survfuse.cohort.transforms import Transforms, same_transform
from survfuse.config import FitConfig
from survfuse.estimators.base import (
    Estimator,
    Fit,
    Patients,
    RiskModel,
    StoredModel,
    make_estimator,
    model_class,
)
from survfuse.estimators.blocks import Blocks, any_present
from survfuse.estimators.fold_context import FoldContext
from survfuse.survival.calibration import centred_in_folds
from survfuse.survival.degrees_of_freedom import Effective


@dataclass(frozen=True, eq=False)
class ModelRisk:
    """The log-risk of a fitted model, as a term.

    Attributes
    ----------
    model : RiskModel
    centre : float
        Mean log-risk of the training patients who have any modality of the model.
    transforms : Transforms
        Of the modalities that the model reads.
    own : tuple of str
        Those of its modalities whose transform is not the stack's.
    """

    model: RiskModel
    centre: float
    transforms: Transforms
    own: tuple[str, ...] = ()

    def sharing(self, stack: Transforms) -> Self:
        """The same model, which takes a transform from the stack where both are the same."""
        fitted, own = {}, []
        for name, transform in self.transforms.fitted.items():
            if same_transform(transform, stack.fitted[name]):
                fitted[name] = stack.fitted[name]
            else:
                fitted[name] = transform
                own.append(name)
        return replace(self, transforms=Transforms(fitted), own=tuple(own))

    def risk(
        self,
        source: Patients,
        blocks: Blocks,
    ) -> FloatArray:
        """Log-risk above the training mean, 0 without a modality of the model; (patients,).

        Parameters
        ----------
        source : Patients
            Transformed for the stack.
        blocks : mapping of modality to (values, presence)
            Of `source`.
        """
        has = any_present({name: blocks[name] for name in self.transforms.modalities})
        risk = self.model.log_risk(source.read_by(self.transforms))
        return np.where(has, risk - self.centre, 0.0)

    def state(self) -> State:
        """The model, and the transforms that are not the stack's."""
        model, arrays = self.model.state()
        fitted = {name: self.transforms.fitted[name] for name in self.own}
        transforms, tensors = Transforms(fitted).state()
        state = {
            "model": model,
            "centre": self.centre,
            "modalities": list(self.transforms.modalities),
            "transforms": transforms,
        }
        parts = {f"model/{name}": array for name, array in arrays.items()}
        return state, parts | {f"transforms/{n}": a for n, a in tensors.items()}

    @classmethod
    def from_state(cls, stored: StoredModel) -> Self:
        """Make the term again; `stored` has the stack's transforms and the term's configuration."""
        state, fitted = stored.state, {}
        modalities = stored_texts(state["modalities"], "modalities")
        if not modalities:
            raise InputError("modalities: expected at least one, got an empty list")
        own = Transforms.from_state(state["transforms"], stored.part("transforms/"))
        for name in modalities:
            if name not in stored.transforms.fitted:
                raise InputError(f"{name!r} is no modality of the transforms")
            fitted[name] = {**stored.transforms.fitted, **own.fitted}[name]
        transforms = Transforms(fitted)
        part = StoredModel(
            state["model"],
            stored.part("model/"),
            transforms,
            stored.config,
        )
        model = model_class(stored.config).from_state(part)
        return cls(model, _centre(state), transforms, own.modalities)


@dataclass(frozen=True, eq=False)
class ModelTerm:
    """A model fitted as a term, and how well it does.

    Attributes
    ----------
    risk : ModelRisk
    out_of_fold : array, (patients,)
        Log-risk of each training patient by fits that did not see its inner fold, centred in its
        fold; 0 where it lacks the modalities.
    effective : Effective
    parameters : int
        0 where the model does not say.
    """

    risk: ModelRisk
    out_of_fold: FloatArray
    effective: Effective
    parameters: int


def fit_model_term(
    fold: FoldContext,
    name: str,
    config: FitConfig,
    inner: IntArray,
) -> ModelTerm:
    """Fit a model, in given inner folds, on the patients who have any of its modalities.

    Parameters
    ----------
    fold : FoldContext
        Of the stack.
    name : str
        For messages, and before the label of training runs.
    config : FitConfig
        Its modalities are listed.
    inner : array of int, (patients,)

    Raises
    ------
    NotComputableError
        When an inner fold has no event among these patients.
    ConfigError
        When the estimator gives no out-of-fold risks, risks that cannot differ between patients, or
        risks from other inner folds.
    """
    modalities = list(config.inputs.modalities or ())
    has = fold.cohort.present.loc[list(fold.ids), modalities].any(axis=1).to_numpy(bool)
    events = np.bincount(
        inner[has],
        weights=fold.event[has],
        minlength=int(inner.max()) + 1,
    )
    if not events.all():
        raise NotComputableError(
            f"inner fold {int(events.argmin()) + 1} has no event among the patients with "
            f"{' or '.join(modalities)}",
        )
    key = (fold.ids, "term", config.model_dump_json(), inner.tobytes())
    known: ModelTerm | None = fold.memory.get(key)
    if known is not None:
        return known
    own = replace(fold, inner=inner).subset(has, f"{name}, ")
    with context(name):
        fit = make_estimator(config).fit(own)
        extra = set(fit.transforms.modalities).difference(modalities)
        if extra or not fit.transforms.modalities:
            raise ConfigError(
                f"reads {listed(extra) or 'no modality'}, but its configuration has the "
                f"modalities {listed(modalities)}",
            )
        risks = np.zeros(len(fold.ids))
        risks[has] = _centred_out_of_fold(fit, inner[has])
    centre = float(fit.in_sample.mean())
    risk = ModelRisk(fit.model, centre, fit.transforms, fit.transforms.modalities)
    fold.memory[key] = term = ModelTerm(
        risk,
        risks,
        fit.effective,
        fit.parameters or 0,
    )
    return term


def _centred_out_of_fold(
    fit: Fit,
    inner: IntArray,
) -> FloatArray:
    """Out-of-fold risks, centred in their inner folds; (patients,)."""
    if fit.out_of_fold is None:
        raise ConfigError("gives no out-of-fold risks, which a term of a stack needs")
    if not np.array_equal(fit.inner, inner):
        raise ConfigError(
            "its out-of-fold risks come from other inner folds than the stack's; an estimator that "
            "is a term of a stack fits in the folds that `self.inner(fold)` gives",
        )
    return centred_in_folds(fit.out_of_fold, inner, len(inner))


def attention_config(
    config: FitConfig,
    bag: str,
) -> FitConfig:
    """Configuration of the attention network that may read a bag of a stack."""
    update: Mapping[str, Any] = {
        "fusion": "concat",
        "modalities": (bag,),
        "bag_pooling": "attention",
        "bag_rate": 1.0,
        "selection": "inner_folds",
        "stack_terms": {},
    }
    return config.model_copy(update=update)


def refuse_constant(estimator: Estimator) -> None:
    """Raise ConfigError for an estimator whose risks cannot differ between patients."""
    if not estimator.model.ranks_patients:
        raise ConfigError(
            "everyone has the same risk, so it can be no term; leave it out",
        )


def added_models(
    models: Collection[str],
    modalities: Collection[str],
) -> tuple[str, ...]:
    """Models that are terms of their own: those without the name of a modality."""
    return tuple(name for name in models if name not in modalities)


def stored_models(stored: StoredModel) -> dict[str, ModelRisk]:
    """Models of a stored stack, in the order in which they were written."""
    if "attention" in stored.state:  # written before any model could be a term
        return {bag: _attention(stored, bag) for bag in stored.state["attention"]}
    configs, models = stored.config.term_configs(), {}
    for state in stored.state["models"]:
        (name,) = stored_texts([state["name"]], "name")
        if name in stored.transforms.bag_scaler:
            config = attention_config(stored.config, name)
        elif name in configs:
            config = configs[name]
        else:
            raise InputError(f"models: {name!r} is neither a bag nor in stack.terms")
        part = StoredModel(
            state,
            stored.part(f"models/{name}/"),
            stored.transforms,
            config,
        )
        with context(name):
            models[name] = ModelRisk.from_state(part)
    return models


def _attention(
    stored: StoredModel,
    bag: str,
) -> ModelRisk:
    if bag not in stored.transforms.bag_scaler:
        raise InputError(f"attention: {bag!r} is no bag of the transforms")
    entry = stored.state["attention"][bag]
    transforms = Transforms({bag: stored.transforms.fitted[bag]})
    config = attention_config(stored.config, bag)
    arrays = stored.part(f"attention/{bag}/")
    part = StoredModel(entry["network"], arrays, transforms, config)
    with context(f"attention: {bag}"):
        network = model_class(config).from_state(part)
        return ModelRisk(network, _centre(entry), transforms)


def _centre(state: Mapping[str, Any]) -> float:
    centre = state["centre"]
    if type(centre) is not float or not np.isfinite(centre):
        raise InputError(f"centre must be a finite number, got {centre!r}")
    return centre
