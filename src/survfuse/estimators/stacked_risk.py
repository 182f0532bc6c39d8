"""The fitted stack: a weighted sum of terms, as a bundle holds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

from survfuse._errors import ConfigError, InputError
from survfuse._storage import stored_array
from survfuse._types import FloatArray, State
from survfuse.cohort.transforms import Transforms
from survfuse.estimators.base import Patients, RiskModel, StoredModel
from survfuse.estimators.interactions import Interaction
from survfuse.estimators.linear_cox import LinearCox
from survfuse.estimators.model_parts import ModelParts
from survfuse.estimators.model_terms import ModelRisk, added_models, stored_models
from survfuse.estimators.stack_parts import NestedModel, stack_parts
from survfuse.estimators.stack_terms import Terms, paired


@dataclass(frozen=True, eq=False)
class StackedRisk(RiskModel):
    """The weighted sum of the terms.

    Attributes
    ----------
    terms : Terms
    weights : array, (terms,)
        Of modalities, models that are no modality, and pairs.
    models : mapping of name to ModelRisk
        Fitted models that are terms; one with the name of a bag takes the place of its Cox
        regression.
    """

    terms: Terms
    weights: FloatArray
    models: Mapping[str, ModelRisk]

    @property
    def term_weights(self) -> dict[str, float]:
        """Weight of each term."""
        extra = added_models(self.models, self.terms.modalities)
        names = self.terms.with_models(extra)
        return dict(zip(names, self.weights.tolist(), strict=True))

    def log_risk(self, source: Patients) -> FloatArray:
        """Log-risk; (patients,)."""
        blocks = source.blocks()
        columns = self.terms.risks(blocks)
        risks = dict(zip(self.terms.names, columns.T, strict=True))
        for name, model in self.models.items():
            risks[name] = model.risk(source, blocks)
        ordered = [risks[name] for name in self.term_weights]
        return np.asarray(np.stack(ordered, axis=1) @ self.weights)

    def parts(self, transforms: Transforms) -> ModelParts:
        """Terms with a weight: a column per modality, the sides of pairs, and nested models.

        Raises
        ------
        ConfigError
            For a nested model that cannot be explained, or that reads single tiles.
        """
        weights = self.term_weights
        nested = []
        for name, model in self.models.items():
            if weights[name]:
                parts = model.model.parts(model.transforms)
                if parts.needs_tiles:
                    raise ConfigError(
                        f"the term {name!r} reads single tiles (coattention), which a stack does "
                        "not keep apart; its risks cannot be explained",
                    )
                scale = weights[name], model.centre
                nested.append(NestedModel(parts, model.transforms, model.own, *scale))
        own = {name: w for name, w in weights.items() if name not in self.models}
        return stack_parts(self.terms, own, transforms, tuple(nested))

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
        models = []
        for name, model in self.models.items():
            state, parts = model.state()
            models.append({"name": name, **state})
            for part, array in parts.items():
                arrays[f"models/{name}/{part}"] = array
        return {"pairs": fitted, "models": models}, arrays

    @classmethod
    def from_state(cls, stored: StoredModel) -> Self:
        """Make the stack again; every array is compared with what the transforms give."""
        dims, arrays, modalities = stored.transforms.dims, stored.arrays, {}
        for name, features in dims.items():
            modalities[name] = LinearCox.from_arrays(arrays, {name: features})
        pairs = {}
        for left, right in paired(dims, stored.transforms.priors):
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
        models = stored_models(stored)
        terms = Terms(modalities, pairs)
        names = terms.with_models(added_models(models, dims))
        return cls(terms, stored_array(arrays, "weights", (len(names),)), models)
