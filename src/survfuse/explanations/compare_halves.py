"""What two models of halves of a cohort say of the same patients, level by level."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from survfuse._types import FloatArray
from survfuse.cohort.modalities import ExpressionData, ModalityData
from survfuse.decomposition.coefficients import Products, compared, kuncheva
from survfuse.decomposition.readings import CONSTANT
from survfuse.explanations.column_contributions import (
    NOT_ATTRIBUTED,
    PRESENCE,
    variables,
)
from survfuse.explanations.gene_weights import genes
from survfuse.explanations.half_models import Pair
from survfuse.explanations.terms import term_frame

Key = tuple[str, str, str]
"""Level, modality, name."""
Compared = Iterator[tuple[Key, float | None]]
"""Agreement of each; None where neither model uses it."""

SMALLEST = 1e-9
"""Survival that a logarithm is taken of, at least."""
TOP = 50
"""Genes of a list; fewer where a model gives fewer a weight."""


def compare_terms(pair: Pair) -> Compared:
    """Compare the log-risk, and each of its terms."""
    first, second = (term_frame(one) for one in pair.both)
    risks = (one.prediction.log_risk for one in pair.both)
    whole = compared(*risks)
    # A model that gives everyone one risk agrees with no other.
    alone = 0.0 if whole.first or whole.second else None
    known = whole.correlation
    yield ("prediction", "", "log-risk"), alone if known is None else known
    zeros = np.zeros(len(first))
    names = dict.fromkeys([*first.columns, *second.columns])
    for name in names:
        if name != CONSTANT:
            values = (one.get(name, zeros) for one in (first, second))
            yield ("term", "", name), compared(*values).correlation


def log_hazards(survival: FloatArray) -> FloatArray:
    """Log cumulative hazards, log(−log S); S is kept off 0 and 1, where they have none."""
    clipped = np.clip(survival, SMALLEST, 1 - SMALLEST)
    return np.asarray(np.log(-np.log(clipped)))


def squared_risk_difference(pair: Pair, time: float) -> float | None:
    """Mean squared difference of the log cumulative hazards by a time of the same patients.

    None where a calibration gives no curve, or does not know it so far.
    """
    if not all(one.prediction.calibrator.has_curves for one in pair.both):
        return None
    survival = [one.prediction.survival([time])[:, 0] for one in pair.both]
    first, second = map(log_hazards, survival)
    difference = float(np.mean((first - second) ** 2))
    return difference if math.isfinite(difference) else None


def compare_columns(pair: Pair) -> Compared:
    """Compare the contributions of each column, and of the columns of a modality together."""
    first, second = (_contributions(variables(one)) for one in pair.both)
    together: dict[str, Products] = defaultdict(Products)
    nothing = pd.Series(dtype=float)
    for modality, column in dict.fromkeys([*first, *second]):
        key = modality, column
        one, other = first.get(key, nothing), second.get(key, nothing)
        products = compared(*one.align(other, fill_value=0.0))
        together[modality] += products
        yield ("column", modality, column), products.correlation
    for modality, products in together.items():
        yield ("columns", modality, ""), products.correlation


def _contributions(table: pd.DataFrame) -> dict[tuple[str, str], pd.Series[float]]:
    """Contributions of each column by patient; what belongs to no column is left out."""
    contributions = {}
    for (modality, column), rows in table.groupby(["modality", "column"], sort=False):
        if column not in (PRESENCE, NOT_ATTRIBUTED):
            values = rows.set_index("patient_id")["contribution"].astype(float)
            contributions[str(modality), str(column)] = values
    return contributions


def compare_genes(
    pair: Pair,
    selected: Mapping[str, dict[str, int]],
) -> Compared:
    """Compare the weights of genes and the lists of top genes.

    Parameters
    ----------
    pair : Pair
    selected : mapping of modality to mapping of gene to int
        Counts how many models have a gene in their list; is added to.
    """
    modalities = modalities_of(pair, ExpressionData)
    if not modalities:
        return
    tables = [genes(one) for one in pair.both]
    for modality in modalities:
        weights = []
        for table in tables:
            own = table[table["modality"] == modality]
            weights.append(own.set_index("gene")["weight"].astype(float))
        if weights[0].isna().any() or weights[1].isna().any():
            continue  # nobody is held out who has the genes, which patients read differently
        first, second = weights[0].align(weights[1], fill_value=0.0)
        yield ("genes", modality, ""), compared(first, second).correlation
        # genes without a weight, of sparse models most, are in no list
        weighted = [int(np.count_nonzero(one)) for one in (first, second)]
        size = min(TOP, *weighted)
        if len(first) <= TOP or not size:
            continue
        one, other = _top(first, size), _top(second, size)
        for gene in (*one, *other):
            selected[modality][gene] = selected[modality].get(gene, 0) + 1
        yield ("top genes", modality, ""), kuncheva(one, other, len(first))


def _top(weights: pd.Series[float], size: int) -> list[str]:
    """Genes of the largest weights; of equal ones the first by name."""
    order = weights.abs().sort_index().sort_values(ascending=False, kind="stable")
    return [str(gene) for gene in order.index[:size]]


def modalities_of(pair: Pair, kind: type[ModalityData]) -> list[str]:
    """Modalities of a kind that the models read."""
    data = pair.first.cohort.modalities
    return [name for name in pair.first.modalities if isinstance(data[name], kind)]
