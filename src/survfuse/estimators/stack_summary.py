"""The summary of a stack: weights, effective parameters, and coefficients of few patients."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from survfuse._types import BoolArray, FloatArray
from survfuse.cohort.batch_source import BatchSource
from survfuse.cohort.transforms import Transforms
from survfuse.estimators.blocks import Block
from survfuse.estimators.stack_terms import BAG_MUST_ADD, StackWeights, Terms
from survfuse.survival.degrees_of_freedom import Effective
from survfuse.survival.estimate import Z
from survfuse.survival.stacking import adds_too_little

FEW_PATIENTS, FEW_EVENTS = 20, 3
NOT_SHOWN = "out of fold it is not shown to add to the other terms"


def stack_details(
    terms: Terms,
    names: Sequence[str],
    weights: StackWeights,
    transforms: Transforms,
    source: BatchSource,
    event: BoolArray,
    attention: Collection[str],
    sparse: Collection[str],
) -> dict[str, Any]:
    """Describe a fitted stack in plain values.

    Parameters
    ----------
    names : sequence of str
        Of all terms, in the order of `weights`.

    Returns
    -------
    dict
        `weights` of every term (:func:`weight_records`), `penalty` of every modality, `pooling`
        of every bag, genes `kept` by every sparse Cox and their weights, features of tables
        `carried_by_few` patients, `notes` on terms that are out.
    """
    genes, penalty = {}, {}
    records = weight_records(names, weights)
    for name, cox in terms.modalities.items():
        fitted = np.isfinite(cox.penalty)
        penalty[name] = cox.penalty if fitted else None
        if name in sparse and fitted:
            genes[name] = selected(cox.coef[name], transforms.feature_names[name])
    few, blocks = [], source.blocks()
    for name in transforms.blanks:
        coef = records[name]["value"] * terms.modalities[name].coef[name]
        features = transforms.feature_names[name]
        for row in carried_by_few(features, blocks[name], coef, event):
            few.append({"modality": name, **row})
    pooling = {
        b: "attention" if b in attention else "mean" for b in transforms.bag_scaler
    }
    return {
        "weights": records,
        "penalty": penalty,
        "pooling": pooling,
        "kept": genes,
        "notes": _notes(terms, records),
        "carried_by_few": few,
    }


def weight_records(
    names: Sequence[str],
    weights: StackWeights,
) -> dict[str, dict[str, Any]]:
    """Weight of every term, where it started, and its 95 % interval.

    Returns
    -------
    dict of term to dict
        `value, start, low, high`, the interval cut at 0 and None of a term without weight; of
        terms that must add to the others and do not, also `gain` and `needed`.
    """
    records: dict[str, dict[str, Any]] = {}
    for place, name in enumerate(names):
        value, error = float(weights.value[place]), float(weights.errors[place])
        record: dict[str, Any] = {"value": value, "start": float(weights.start[place])}
        record |= {"low": None, "high": None}
        if error > 0:
            record["low"] = max(value - Z * error, 0.0)
            record["high"] = value + Z * error
        if place in weights.left_out:
            record |= {"gain": weights.left_out[place], "needed": BAG_MUST_ADD}
        records[name] = record
    return records


def _notes(
    terms: Terms,
    records: Mapping[str, Mapping[str, Any]],
) -> dict[str, str]:
    """Say why a term has weight 0 or was not fitted."""
    reasons = {name: cox.note for name, cox in terms.modalities.items()}
    for (left, right), pair in terms.pairs.items():
        reasons[f"{left}*{right}"] = pair.note
    notes = {}
    for name, record in records.items():
        reason = reasons.get(name, "")
        if reason or record["value"] == 0:
            notes[name] = reason or why_out(record)
    return notes


def why_out(record: Mapping[str, Any]) -> str:
    """Say why a term has weight 0, with the numbers behind it where there are some."""
    if "gain" not in record:
        return NOT_SHOWN
    return adds_too_little([record["gain"]], record["needed"])


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
    weights: Mapping[str, float],
    effective_weights: float,
    models: Mapping[str, Effective],
) -> dict[str, Any]:
    """Effective parameters of every term, of the weights, and of their sum: the model.

    A fit that is multiplied by w follows the outcomes w times as closely, and has w times the
    parameters (as a linear smoother w S has the trace w tr S; Ye 1998, JASA 93:120-131). A term
    of weight 0 has none. The weights' own are added.

    Parameters
    ----------
    terms : Terms
    weights : mapping of term to float
    effective_weights : float
        Effective parameters of the weights themselves.
    models : mapping of term to Effective
        Of fitted models, those that take the place of a mean tile among them.

    Returns
    -------
    dict
        `terms`, `weights`, `total` (None where those of a network with a weight are not
        computable), `note`.
    """
    fitted = [cox.effective for cox in terms.modalities.values()]
    fitted += [pair.effective for pair in terms.pairs.values()]
    parts: dict[str, float | None] = dict(zip(terms.names, fitted, strict=True))
    parts |= {name: model.value for name, model in models.items()}
    note = "the sum over terms of weight times effective parameters, and those of the weights"
    summed = 0.0
    for name, part in parts.items():
        if part is not None:
            summed += weights[name] * part
        elif weights[name] > 0:
            note = f"not computable: {name}: {models[name].note}"
            return {
                "terms": parts,
                "weights": effective_weights,
                "total": None,
                "note": note,
            }
    total = effective_weights + summed
    return {"terms": parts, "weights": effective_weights, "total": total, "note": note}
