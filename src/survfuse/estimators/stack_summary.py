"""The summary of a stack: weights, effective parameters, and coefficients of few patients."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from survfuse._types import BoolArray, FloatArray
from survfuse.cohort.batch_source import BatchSource
from survfuse.cohort.transforms import Transforms
from survfuse.estimators.blocks import Block
from survfuse.estimators.stack_terms import Terms
from survfuse.estimators.stack_weights import Gain, weight_records
from survfuse.survival.degrees_of_freedom import Effective

FEW_PATIENTS, FEW_EVENTS = 20, 3
NOT_SHOWN = "out of fold it is not shown to add to the other terms"


def stack_details(
    terms: Terms,
    weights: FloatArray,
    transforms: Transforms,
    source: BatchSource,
    event: BoolArray,
    attention: Collection[str],
    sparse: Collection[str],
    *,
    start: FloatArray | None = None,
    errors: FloatArray | None = None,
    gains: Mapping[str, Gain] | None = None,
) -> dict[str, Any]:
    """Describe a fitted stack in plain values.

    Parameters
    ----------
    weights, start, errors
        As for :func:`weight_records`; weights start at 1 for modalities and 0 for pairs.
    gains : mapping of term to Gain, optional
        Of the terms of which it was asked whether they add to the others.

    Returns
    -------
    dict
        `weights` of every term (:func:`weight_records`), `penalty` of every modality, `pooling`
        of every bag, genes `kept` by every sparse Cox and their weights, features of tables
        `carried_by_few` patients, `notes` on terms that are out.
    """
    genes, penalty, gains = {}, {}, gains or {}
    if start is None:
        start = np.array([float(name in terms.modalities) for name in terms.names])
    value = dict(zip(terms.names, map(float, weights), strict=True))
    for name, cox in terms.modalities.items():
        fitted = np.isfinite(cox.penalty)
        penalty[name] = cox.penalty if fitted else None
        if name in sparse and fitted:
            genes[name] = selected(cox.coef[name], transforms.feature_names[name])
    few, blocks = [], source.blocks()
    for name in transforms.blanks:
        coef = value[name] * terms.modalities[name].coef[name]
        features = transforms.feature_names[name]
        for row in carried_by_few(features, blocks[name], coef, event):
            few.append({"modality": name, **row})
    pooling = {
        b: "attention" if b in attention else "mean" for b in transforms.bag_scaler
    }
    return {
        "weights": weight_records(terms.names, weights, start, errors, gains),
        "penalty": penalty,
        "pooling": pooling,
        "kept": genes,
        "notes": _notes(terms, value, gains),
        "carried_by_few": few,
    }


def _notes(
    terms: Terms,
    weights: Mapping[str, float],
    gains: Mapping[str, Gain],
) -> dict[str, str]:
    """Say why a term has weight 0 or was not fitted."""
    reasons = [cox.note for cox in terms.modalities.values()]
    reasons += [pair.note for pair in terms.pairs.values()]
    notes = {}
    for (name, weight), reason in zip(weights.items(), reasons, strict=True):
        if reason or weight == 0:
            gain = gains.get(name)
            notes[name] = reason or (NOT_SHOWN if gain is None else str(gain))
    return notes


def selected(
    coef: FloatArray,
    features: Sequence[str],
) -> dict[str, float]:
    """Features whose weight is not 0, the largest first."""
    order = np.argsort(-np.abs(coef), kind="stable")
    return {features[place]: float(coef[place]) for place in order if coef[place]}


def carried_by_few(
    features: Sequence[str],
    block: Block,
    coef: FloatArray,
    event: BoolArray,
) -> list[dict[str, Any]]:
    """Features of a table that few patients carry, with their coefficients.

    Carriers are those who differ from the most frequent value, where half the patients or more
    have it.

    Parameters
    ----------
    features : sequence of str
    block : (values, presence) of the training patients
    coef : array, (features,)
    event : array of bool, (patients,)

    Returns
    -------
    list of dict
        `feature, coefficient` (log hazard ratio of its carriers against the others), `patients,
        events` of those features with fewer than 20 patients or three events.
    """
    x, has = block
    rows = []
    for name, values, weight in zip(features, x[has].T, coef, strict=True):
        levels, counts = np.unique(values, return_counts=True)
        usual = levels[counts.argmax()]
        carriers = values != usual
        patients, events = int(carriers.sum()), int(event[has][carriers].sum())
        few = patients < FEW_PATIENTS or events < FEW_EVENTS
        if few and 0 < 2 * patients <= len(values):
            row = {
                "feature": name,
                "coefficient": float(weight * (values[carriers].mean() - usual)),
                "patients": patients,
                "events": events,
            }
            rows.append(row)
    return rows


def effective_parameters(
    terms: Terms,
    weights: FloatArray,
    effective_weights: float,
    attention: Mapping[str, Effective],
) -> dict[str, Any]:
    """Effective parameters of every term, of the weights, and of their sum: the model.

    A fit that is multiplied by w follows the outcomes w times as closely, and has w times the
    parameters (as a linear smoother w S has the trace w tr S; Ye 1998, JASA 93:120-131). A term
    of weight 0 has none. The weights' own are added.

    Parameters
    ----------
    terms : Terms
    weights : array, (terms,)
    effective_weights : float
        Effective parameters of the weights themselves.
    attention : mapping of bag to Effective
        Of networks that take the place of a mean tile.

    Returns
    -------
    dict
        `terms`, `weights`, `total` (None where those of a network with a weight are not
        computable), `note`.
    """
    fitted = [cox.effective for cox in terms.modalities.values()]
    fitted += [pair.effective for pair in terms.pairs.values()]
    parts: dict[str, float | None] = dict(zip(terms.names, fitted, strict=True))
    parts |= {bag: network.value for bag, network in attention.items()}
    note = "the sum over terms of weight times effective parameters, and those of the weights"
    summed = 0.0
    for (name, part), weight in zip(parts.items(), weights, strict=True):
        if part is not None:
            summed += float(weight) * part
        elif weight > 0:
            note = f"not computable: {name}: {attention[name].note}"
            return {
                "terms": parts,
                "weights": effective_weights,
                "total": None,
                "note": note,
            }
    total = effective_weights + summed
    return {"terms": parts, "weights": effective_weights, "total": total, "note": note}
