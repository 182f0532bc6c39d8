"""Weights and contributions of genes.

Expression is read as z-scores of genes, or as components or gene sets of them, which are linear
maps. A gene's weight is therefore exact wherever the model has no hidden layer: that of the
components or sets times the gene's part in them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import numpy as np
import pandas as pd

from survfuse._types import FloatArray, IntArray
from survfuse.cohort.modalities import ExpressionData
from survfuse.cohort.transform_expression import ExpressionTransform
from survfuse.cohort.transform_inputs import in_blocks
from survfuse.explanations.column_contributions import (
    NOT_ATTRIBUTED,
    PRESENCE,
    ROUNDING,
)
from survfuse.explanations.explained import Explained
from survfuse.explanations.input_contributions import (
    input_contributions,
    is_constant,
    mean_inputs_of,
)
from survfuse.readers.genes import match_genes

DOMINATES = 0.5
"""Share of all contributions of a patient above which one gene decides what is said."""
GENES = (
    "modality",
    "gene",
    "weight",
    "sd",
    "mean_abs",
    "largest_share",
    "largest_patient",
    "dominates",
)
GENES_OF = ("modality", "gene", "z", "value", "contribution")


@dataclass(frozen=True, eq=False)
class GeneContributions:
    """What genes contribute to a term of some patients, all of whom have the modality.

    Attributes
    ----------
    rows : array of int, (patients,)
        Places of the patients.
    z_scores : array, (patients, genes)
        As the model reads them, limited where it limits them.
    slopes : array, (patients or 1, genes)
        Log-risk per unit of each z-score; one row where it is the same for all patients.
    values : array, (patients, genes)
        Contributions.
    """

    rows: IntArray
    z_scores: FloatArray
    slopes: FloatArray
    values: FloatArray


def gene_contributions(
    explained: Explained,
    modality: str,
    rows: IntArray | None = None,
) -> Iterator[GeneContributions]:
    """Contributions of genes to the main effect of an expression modality, some patients at a time.

    Parameters
    ----------
    explained : Explained
    modality : str
    rows : array of int, optional
        Patients; all where not given. Those without the modality are left out.
    """
    transform = matrices(explained)[modality]
    mean = mean_inputs_of(explained, modality)
    data = cast(ExpressionData, explained.cohort.modalities.get(modality))
    chosen = np.flatnonzero(explained.present(modality))
    if rows is not None:
        chosen = chosen[np.isin(chosen, rows)]
    for some in in_blocks(chosen, len(transform.genes)):
        split = input_contributions(explained, modality, rows=some)
        z_scores = transform.z_scores(data, [explained.ids[row] for row in some])
        slopes = transform.to_genes(split.slopes)
        values = slopes * (z_scores - mean)
        yield GeneContributions(some, z_scores, slopes, values)


def genes(explained: Explained) -> pd.DataFrame:
    """Weight of each gene that the model reads, and what it does in the explained patients.

    Returns
    -------
    DataFrame
        `modality, gene, weight, sd, mean_abs, largest_share, largest_patient, dominates`, largest
        weight first. `weight` is log-risk per unit of what is read of the gene: a standard
        deviation in training, where genes are standardised (the default). Through hidden layers
        it is the mean over patients of the mean gradient between the average patient and each.
        `sd` and `mean_abs` are those of the gene's contributions over the patients. One gene with
        an extreme value can be most of what is said of a patient: `largest_share` is its largest
        part of any patient's contributions, taken without sign, and `largest_patient` whose;
        `dominates` marks those above a half. ``frame.attrs["notes"]`` says why numbers are NaN:
        no explained patient has the modality.
    """
    frames, notes = [], []
    for name, transform in matrices(explained).items():
        frames.append(_summed(explained, name, transform))
        if not explained.present(name).any():
            notes.append(
                f"{name}: no explained patient has it, so genes contribute nothing"
            )
    if not frames:
        return pd.DataFrame(columns=list(GENES))
    frame = pd.concat(frames, ignore_index=True)
    order = np.argsort(-frame["weight"].abs().to_numpy(), kind="stable")
    frame = frame.iloc[order].reset_index(drop=True)
    frame.attrs["notes"] = notes
    return frame


def _summed(
    explained: Explained,
    modality: str,
    transform: ExpressionTransform,
) -> pd.DataFrame:
    """One row per gene, from sums over blocks of patients."""
    count, width = 0, len(transform.genes)
    weights, sums, sizes, squares = np.zeros((4, width))
    largest, whose = np.zeros(width), np.full(width, -1)
    for block in gene_contributions(explained, modality):
        count += len(block.rows)
        own = np.broadcast_to(block.slopes, block.values.shape)
        weights += own.sum(axis=0)
        sums += block.values.sum(axis=0)
        squares += (block.values**2).sum(axis=0)
        size = np.abs(block.values)
        sizes += size.sum(axis=0)
        all_genes = size.sum(axis=1, keepdims=True)
        share = size / np.where(all_genes > 0, all_genes, 1.0)
        top = share.argmax(axis=0)
        most = share[top, np.arange(width)]
        whose = np.where(most > largest, block.rows[top], whose)
        largest = np.maximum(most, largest)
    if count == 0:
        return _unseen(explained, modality, transform)
    variance = np.maximum(squares / count - (sums / count) ** 2, 0.0)
    names = np.array([*explained.ids, ""], dtype=object)
    columns = {
        "modality": modality,
        "gene": transform.genes,
        "weight": weights / count,
        "sd": np.sqrt(variance),
        "mean_abs": sizes / count,
        "largest_share": largest,
        "largest_patient": names[whose],
        "dominates": largest > DOMINATES,
    }
    return pd.DataFrame(columns)


def _unseen(
    explained: Explained,
    modality: str,
    transform: ExpressionTransform,
) -> pd.DataFrame:
    """Weights where no explained patient has the modality: NaN where they differ by patient."""
    split = input_contributions(explained, modality, rows=np.arange(1))
    weights = transform.to_genes(split.slopes)[0]
    if not is_constant(explained, modality):
        weights = np.full(len(weights), np.nan)
    columns = {"modality": modality, "gene": transform.genes, "weight": weights}
    frame = pd.DataFrame(columns).reindex(columns=list(GENES))
    return frame.assign(largest_patient="", dominates=False)


def genes_of(explained: Explained, patient: str) -> pd.DataFrame:
    """Contribution of each gene to a patient's log-risk.

    Returns
    -------
    DataFrame
        `modality, gene, z, value, contribution`, largest contribution first: the z-score that the
        model reads, limited where it limits them, and the value in the cohort's unit, NaN where
        not measured. Row ``(presence)`` is what having or lacking the modality contributes, and
        ``(not attributed)`` is there where something is left. Rows of a modality add up to its
        main effect.

    Raises
    ------
    InputError
        When the patient was not explained.
    """
    row, frames = explained.row(patient), []
    for name, transform in matrices(explained).items():
        left = explained.terms.effects.get((name,), np.zeros(len(explained.ids)))[row]
        for block in gene_contributions(explained, name, np.array([row])):
            own = pd.DataFrame({"modality": name, "gene": transform.genes})
            own["z"] = block.z_scores[0]
            own["value"] = _measured(explained, name, transform, patient)
            own["contribution"] = block.values[0]
            order = np.argsort(-np.abs(block.values[0]), kind="stable")
            frames.append(own.iloc[order])
            left -= block.values[0].sum()
        split = input_contributions(explained, name, rows=np.array([row]))
        rest = [(name, PRESENCE, np.nan, np.nan, split.presence[0])]
        left -= split.presence[0]
        if abs(left) > ROUNDING:
            rest.append((name, NOT_ATTRIBUTED, np.nan, np.nan, left))
        frames.append(pd.DataFrame(rest, columns=list(GENES_OF)))
    if not frames:
        return pd.DataFrame(columns=list(GENES_OF))
    return pd.concat(frames, ignore_index=True)


def _measured(
    explained: Explained,
    modality: str,
    transform: ExpressionTransform,
    patient: str,
) -> FloatArray:
    """Values of a patient in the cohort's unit, NaN where not measured; (genes,)."""
    data = cast(ExpressionData, explained.cohort.modalities[modality])
    matrix = data.expression
    places, _ = match_genes(transform.genes, matrix.genes, transform.gene_ids)
    values = data.values([patient])[0].astype(np.float64)
    return np.where(places < 0, np.nan, values[np.maximum(places, 0)])


def matrices(explained: Explained) -> dict[str, ExpressionTransform]:
    """Transforms of the expression modalities."""
    matrices = {}
    for name, one in explained.fitted.transforms.fitted.items():
        if isinstance(one, ExpressionTransform):
            matrices[name] = one
    return matrices
