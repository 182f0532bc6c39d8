"""The fitted stack as a network, so that one path predicts, explains, saves and serves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from survfuse._types import BoolArray, FloatArray, IntArray
from survfuse.anchors.blocks import read_blocks
from survfuse.anchors.carried import carried_by_few
from survfuse.anchors.crossfit import (
    Fit,
    Training,
    better,
    cross_fitted,
    sparse_modalities,
)
from survfuse.anchors.interactions import RANK
from survfuse.anchors.sparse import SparseCox
from survfuse.anchors.stack import Columns, Terms
from survfuse.cohort.batch_source import BatchSource
from survfuse.cohort.cohort import Cohort
from survfuse.cohort.transforms import Transforms
from survfuse.config import FitConfig
from survfuse.models.network import FusionNetwork, build_network
from survfuse.models.network_config import (
    MeanTileConfig,
    ModalityConfig,
    NetworkConfig,
    VectorConfig,
)
from survfuse.survival.degrees_of_freedom import Effective


@dataclass(frozen=True, eq=False)
class AttentionAnchor:
    """A network that reads one bag modality alone, offered in place of its mean tile.

    Attributes
    ----------
    network : FusionNetwork
        Of that modality alone: a `BagBranch` and a linear head.
    out_of_fold : array, (patients,)
        Log-risk of each training patient by networks that other inner folds taught, centred in
        its fold; 0 where it lacks the modality.
    centre : float
        Mean log-risk of the training patients who have the modality.
    effective : Effective
        Its effective parameters.
    """

    network: FusionNetwork
    out_of_fold: FloatArray
    centre: float
    effective: Effective


@dataclass(frozen=True, eq=False)
class AnchoredModel:
    """What :func:`fit_anchored` made of the training patients.

    Attributes
    ----------
    network : FusionNetwork
    transforms : Transforms
    source : BatchSource
        All training patients.
    out_of_fold : array, (patients,)
        Log-risk by terms and trusts that other inner folds gave. Which reading of a bag, and sparse or
        components, was chosen with everyone's outcome: one choice of two, which these risks repeat.
    about : mapping
        `trust` of every term, `penalty` of every anchor, `pooling` of every bag, genes `kept` by
        every sparse anchor and their weights, features of tables `carried_by_few` patients, `notes`,
        `effective` parameters.
    """

    network: FusionNetwork
    transforms: Transforms
    source: BatchSource
    out_of_fold: FloatArray
    about: Mapping[str, Any]


def fit_anchored(
    cohort: Cohort,
    ids: Sequence[str],
    time: FloatArray,
    event: BoolArray,
    inner: IntArray,
    config: FitConfig,
    *,
    attention: Callable[[str], AttentionAnchor | None] = lambda bag: None,
) -> AnchoredModel:
    """Cross-fit the terms, find the trusts, fit the terms on everyone, and write them as a network.

    Parameters
    ----------
    cohort : Cohort
    ids : sequence of str
        Training patients, sorted.
    time, event : array, (patients,)
    inner : array of int, (patients,)
        Inner fold of each; transforms and terms are fitted anew without each fold.
    config : FitConfig
        Its input section, `loss` and `seed` are read.
    attention : callable
        Name of a bag modality -> a trained attention network, or None. It takes the place of the
        mean tile where its out-of-fold likelihood is larger.
    """
    training = Training(cohort, ids, time, event, inner, config)
    sparse = sparse_modalities(training)
    final = Fit.of(training, np.ones(len(ids), dtype=bool), sparse)
    risks = cross_fitted(training, sparse)
    names = list(final.terms.anchors)
    chosen = {}
    for bag in final.transforms.bag_scaler:
        place = names.index(bag)
        offered = attention(bag)
        if offered is not None and better(
            offered.out_of_fold,
            risks[:, place],
            training,
        ):
            chosen[bag] = offered
            risks[:, place] = offered.out_of_fold
    bags = tuple(names.index(bag) for bag in final.transforms.bag_scaler)
    columns = Columns(risks, inner, time, event, len(names), bags)
    trust, about_trust = columns.fitted()
    network = as_network(final.terms, trust, final.transforms, chosen)
    about = {
        **_about(final, trust, chosen),
        "carried_by_few": _carried(final, trust, event),
        "effective": effective_parameters(final.terms, trust, about_trust, chosen),
    }
    return AnchoredModel(
        network,
        final.transforms,
        final.source,
        columns.out_of_fold(),
        about,
    )


def _about(
    fit: Fit,
    trust: FloatArray,
    chosen: Mapping[str, AttentionAnchor],
) -> dict[str, Any]:
    terms, transforms = fit.terms, fit.transforms
    notes = {name: anchor.note for name, anchor in terms.anchors.items() if anchor.note}
    silent = (
        name for name, value in zip(terms.names, trust, strict=True) if value == 0
    )
    notes = (
        dict.fromkeys(silent, "out of fold it is not shown to add to the others")
        | notes
    )
    notes |= {
        f"{a}*{b}": pair.note for (a, b), pair in terms.pairs.items() if pair.note
    }
    sparse = {
        name: anchor
        for name, anchor in terms.anchors.items()
        if isinstance(anchor, SparseCox)
    }
    return {
        "trust": {
            name: float(value) for name, value in zip(terms.names, trust, strict=True)
        },
        "penalty": {
            name: _number(anchor.penalty) for name, anchor in terms.anchors.items()
        },
        "pooling": {
            bag: "attention" if bag in chosen else "mean"
            for bag in transforms.bag_scaler
        },
        "kept": {
            name: _kept(anchor.coef[name], transforms.feature_names[name])
            for name, anchor in sparse.items()
        },
        "notes": notes,
    }


def _carried(fit: Fit, trust: FloatArray, event: BoolArray) -> list[dict[str, Any]]:
    """Features of the tables that few patients carry, by what they weigh in the whole."""
    blocks, names = read_blocks(fit.source), fit.terms.names
    found = []
    for name in fit.transforms.blanks:
        coef = trust[names.index(name)] * fit.terms.anchors[name].coef[name]
        rows = carried_by_few(
            fit.transforms.feature_names[name],
            blocks[name],
            coef,
            event,
        )
        found += [{"modality": name, **row} for row in rows]
    return found


def effective_parameters(
    terms: Terms,
    trust: FloatArray,
    of_trusts: float,
    chosen: Mapping[str, AttentionAnchor],
) -> dict[str, Any]:
    """Effective parameters of every term, of the trusts, and of their sum: the model.

    A fit that is multiplied by w follows the outcomes w times as closely, and has w times the
    parameters (as a linear smoother w S has the trace w tr S; Ye 1998, JASA 93:120-131). A term that
    is not trusted has none. The trusts' own are added.

    Parameters
    ----------
    terms : Terms
    trust : array, (terms,)
    of_trusts : float
        Effective parameters of the trusts themselves.
    chosen : mapping of bag to AttentionAnchor
        Networks that stand in place of a mean tile.

    Returns
    -------
    dict
        `terms`, `trusts`, `total` (None where a trusted network's are not computable), `note`.
    """
    parts = [anchor.effective for anchor in terms.anchors.values()]
    parts += [pair.effective for pair in terms.pairs.values()]
    found: dict[str, float | None] = dict(zip(terms.names, parts, strict=True))
    found |= {bag: anchor.effective.value for bag, anchor in chosen.items()}
    weights = dict(zip(terms.names, map(float, trust), strict=True))
    unknown = [
        name for name, part in found.items() if part is None and weights[name] > 0
    ]
    if unknown:
        total, note = (
            None,
            f"not computable: {unknown[0]}: {chosen[unknown[0]].effective.note}",
        )
    else:
        total = of_trusts + sum(
            weights[name] * part for name, part in found.items() if part is not None
        )
        note = "the sum over terms of trust times effective parameters, and those of the trusts"
    return {"terms": found, "trusts": of_trusts, "total": total, "note": note}


def _kept(coef: FloatArray, features: Sequence[str]) -> dict[str, float]:
    """Features whose weight is not 0, the largest first."""
    order = np.argsort(-np.abs(coef), kind="stable")
    return {features[place]: float(coef[place]) for place in order if coef[place] != 0}


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


# -- the network


def as_network(
    terms: Terms,
    trust: FloatArray,
    transforms: Transforms,
    chosen: Mapping[str, AttentionAnchor],
) -> FusionNetwork:
    """Write terms and trusts into a :class:`FusionNetwork` of fusion `anchored`."""
    config = NetworkConfig(
        modalities=tuple(_shape(name, transforms, chosen) for name in terms.anchors),
        fusion="anchored",
        rank=RANK,
        dropout=0.0,
    )
    network = build_network(config, seed=0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        for bag, anchor in chosen.items():
            _copy_attention(network, bag, anchor.network)
        _write_terms(network, terms, trust, chosen)
    return network.eval()


def _shape(
    name: str,
    transforms: Transforms,
    chosen: Mapping[str, AttentionAnchor],
) -> ModalityConfig:
    dim = transforms.dims[name]
    if name not in transforms.bag_scaler:
        return VectorConfig(name, dim)
    if name not in chosen:
        return MeanTileConfig(name, dim)
    branch: Any = chosen[name].network.branches[name]
    return MeanTileConfig(name, dim, branch.width, branch.pooling.signal.out_features)


def _copy_attention(network: FusionNetwork, bag: str, source: FusionNetwork) -> None:
    target: Any = network.branches[bag]
    target.attention.load_state_dict(source.branches[bag].state_dict())


def _anchor(
    name: str,
    terms: Terms,
    chosen: Mapping[str, AttentionAnchor],
) -> tuple[FloatArray, float]:
    """Weights of the embedding, and bias, of a modality's log-risk."""
    anchor = terms.anchors[name]
    weight = anchor.coef[name]
    if name not in chosen:
        return weight, -float(anchor.centre[name] @ weight)
    head = chosen[name].network.head.linear
    attention = head.weight[0].double().numpy()
    return np.concatenate([attention, np.zeros(len(weight))]), float(
        head.bias,
    ) - chosen[name].centre


def _write_terms(
    network: FusionNetwork,
    terms: Terms,
    trust: FloatArray,
    chosen: Mapping[str, AttentionAnchor],
) -> None:
    fusion: Any = network.fusion
    ones = []
    for name in terms.anchors:
        weight, bias = _anchor(name, terms, chosen)
        _set(fusion.risks[name], weight, bias)
        ones.append(1)
    for (a, b), pair in terms.pairs.items():
        products = fusion.pairs[f"{a}*{b}"]
        _write_side(products.left, pair.left_centre, pair.left)
        _write_side(products.right, pair.right_centre, pair.right)
        ones.append(RANK)
    _set(network.head.linear, np.repeat(trust, ones), 0.0)


def _write_side(linear: nn.Linear, centre: FloatArray, sides: FloatArray) -> None:
    """One side of a pair; it reads the last columns of the embedding, where the mean tile stands."""
    weight, bias = np.zeros((RANK, linear.in_features)), np.zeros(RANK)
    weight[: sides.shape[1], linear.in_features - len(centre) :] = sides.T
    bias[: sides.shape[1]] = -centre @ sides
    _set(linear, weight, bias)


def _set(linear: nn.Linear, weight: FloatArray, bias: FloatArray | float) -> None:
    linear.weight.copy_(_tensor(weight).reshape(linear.weight.shape))
    linear.bias.copy_(_tensor(np.atleast_1d(bias)))


def _tensor(values: FloatArray) -> Tensor:
    return torch.from_numpy(np.asarray(values, np.float64)).float()
