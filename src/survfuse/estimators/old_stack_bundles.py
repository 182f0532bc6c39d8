"""Bundles of versions 1 and 2, in which the stack of Cox regressions was written as a network.

Every modality had a linear layer, every pair two linear layers whose outputs were multiplied,
and the head's weights were those of the terms. A bag's embedding was its mean tile, with the
embedding of an attention branch before it where a trained network read the bag.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np

from survfuse._errors import InputError
from survfuse._storage import stored_array
from survfuse._types import AnyArray, FloatArray
from survfuse.cohort.transforms import Transforms
from survfuse.estimators.base import StoredModel
from survfuse.estimators.interactions import Interaction
from survfuse.estimators.linear_cox import LinearCox
from survfuse.estimators.model_terms import ModelRisk
from survfuse.estimators.neural_network import NetworkEnsemble
from survfuse.estimators.stack_terms import Terms
from survfuse.estimators.stacked_risk import StackedRisk

Arrays = Mapping[str, AnyArray]


def stack_of_network(stored: StoredModel) -> StackedRisk:
    """Convert the network of an old bundle; predictions differ by the rounding to float32.

    Parameters
    ----------
    stored : StoredModel
        Its state is the shape of the network (`network.json`), its arrays are the weights, as
        ``0/name``.

    Raises
    ------
    InputError
        When the shapes do not fit each other or what the transforms give.
    """
    state, arrays, transforms = stored.state, stored.arrays, stored.transforms
    dims = {str(entry["name"]): entry["input_dim"] for entry in state["modalities"]}
    if state["fusion"] != "anchored" or dims != transforms.dims:
        raise InputError(
            f"the network reads {dims}, the transforms give {transforms.dims}",
        )
    skipped = {str(m["name"]): int(m.get("width", 0)) for m in state["modalities"]}
    modalities, attention = {}, {}
    for name, features in dims.items():
        width = skipped[name]
        weight, bias = _layer(arrays, f"fusion.risks.{name}", 1, width + features)
        coef = weight[0, width:]
        modalities[name] = LinearCox({name: _centre(coef[None], bias)}, {name: coef})
        if width:
            attention[name] = _attention(stored, name)
    pairs, columns = {}, np.ones(len(dims), dtype=np.int64).tolist()
    for left, right in itertools.combinations(dims, 2):
        sides = []
        for side, name in (("left", left), ("right", right)):
            layer = f"fusion.pairs.{left}*{right}.{side}"
            width = skipped[name]
            weight, bias = _layer(arrays, layer, state["rank"], width + dims[name])
            sides.append((_centre(weight[:, width:], bias), weight[:, width:].T))
        (left_centre, one), (right_centre, two) = sides
        used = one.any(axis=0) | two.any(axis=0)
        pairs[left, right] = Interaction(
            left_centre,
            right_centre,
            one[:, used],
            two[:, used],
        )
        columns.append(state["rank"])
    head = stored_array(arrays, "0/head.linear.weight", (1, sum(columns)))[0]
    first = np.cumsum([0, *columns[:-1]])
    weights = head[first].astype(np.float64)
    return StackedRisk(Terms(modalities, pairs), weights, attention)


def _layer(
    arrays: Arrays,
    name: str,
    outputs: int,
    inputs: int,
) -> tuple[FloatArray, FloatArray]:
    weight = stored_array(arrays, f"0/{name}.weight", (outputs, inputs))
    bias = stored_array(arrays, f"0/{name}.bias", (outputs,))
    return weight.astype(np.float64), bias.astype(np.float64)


def _centre(
    weight: FloatArray,
    bias: FloatArray,
) -> FloatArray:
    """Centre c with ``weight (x - c) = weight x + bias``; (features,)."""
    return np.asarray(np.linalg.lstsq(weight, -bias)[0])


def _attention(
    stored: StoredModel,
    bag: str,
) -> ModelRisk:
    """Rebuild the network that read one bag alone; its centre is in the bias already."""
    (entry,) = (m for m in stored.state["modalities"] if m["name"] == bag)
    width, branch = entry["width"], f"0/branches.{bag}."
    shape = {
        **stored.state,
        "modalities": [{**entry, "kind": "bag", "pooling": "attention"}],
        "fusion": "concat",
    }
    weights = {}
    for name, array in stored.part(f"{branch}attention.").items():
        weights[f"{branch}{name}"] = array
    layer = f"0/fusion.risks.{bag}"
    weights["0/head.linear.weight"] = stored.arrays[f"{layer}.weight"][:, :width]
    weights["0/head.linear.bias"] = stored.arrays[f"{layer}.bias"]
    transforms = Transforms({bag: stored.transforms.fitted[bag]})
    part = StoredModel(shape, weights, transforms, stored.config)
    return ModelRisk(NetworkEnsemble.from_state(part), 0.0, transforms)
