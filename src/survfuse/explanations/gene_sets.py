"""Weights and contributions of gene sets: those that a model reads, and those of any file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import sparse

from survfuse._errors import InputError, listed
from survfuse._types import FloatArray, IntArray
from survfuse.cohort.gene_choice import read_gmt
from survfuse.cohort.transform_expression import ExpressionTransform
from survfuse.estimators.network_parts import NetworkParts
from survfuse.explanations.explained import Explained
from survfuse.explanations.gene_weights import gene_contributions, matrices
from survfuse.explanations.input_contributions import (
    input_contributions,
    read_contributions,
)
from survfuse.readers.genes import match_genes

GENE_SETS = ("modality", "set", "genes", "weight", "sd", "mean_abs")
IN_SETS = ("patient_id", "modality", "set", "contribution")


def gene_sets(explained: Explained) -> pd.DataFrame:
    """Weight of each gene set, of models that read expression as gene sets.

    Returns
    -------
    DataFrame
        `modality, set, genes, weight, sd, mean_abs`, largest mean contribution first. `genes`
        counts those that are measured. Where a set is the mean z-score of its genes, `weight` is
        log-risk per unit of it; where a network weighs the genes of each set, a set has no unit
        and `weight` is NaN. `sd` and `mean_abs` are those of contributions over the patients who
        have the modality. Empty where no model reads sets; see `in_gene_sets` for any model.
    """
    frames = []
    for name, own_sets in set_contributions(explained).items():
        values = own_sets.values
        own = pd.DataFrame({"modality": name, "set": own_sets.names})
        own["genes"] = own_sets.genes
        own["weight"] = own_sets.weights
        own["sd"] = values.std(axis=0) if len(values) else np.nan
        own["mean_abs"] = np.abs(values).mean(axis=0) if len(values) else np.nan
        frames.append(own)
    if not frames:
        return pd.DataFrame(columns=list(GENE_SETS))
    frame = pd.concat(frames, ignore_index=True)
    order = np.argsort(-frame["mean_abs"].to_numpy(), kind="stable")
    return frame.iloc[order].reset_index(drop=True)


@dataclass(frozen=True, eq=False)
class SetContributions:
    """What gene sets contribute to the main effect of a modality.

    Attributes
    ----------
    names : tuple of str, (sets,)
    genes : array of int, (sets,)
        That are measured.
    weights : array, (sets,)
        Log-risk per unit of each set; NaN where a set has no unit.
    rows : array of int, (patients,)
        Places of the patients who have the modality.
    values : array, (patients, sets)
    """

    names: tuple[str, ...]
    genes: IntArray
    weights: FloatArray
    rows: IntArray
    values: FloatArray

    def of(self, row: int) -> FloatArray:
        """Contributions to one patient, who has the modality; (sets,)."""
        return np.asarray(self.values[np.searchsorted(self.rows, row)])


def set_contributions(explained: Explained) -> dict[str, SetContributions]:
    """Contributions of the gene sets that a model reads, by modality; computed once."""
    if "gene sets" not in explained.computed:
        found = {}
        for name, transform in matrices(explained).items():
            is_network = isinstance(explained.parts, NetworkParts)
            if transform.sets is None or (transform.set_names and not is_network):
                continue
            found[name] = _contributions(explained, name, transform)
        explained.computed["gene sets"] = found
    sets: dict[str, SetContributions] = explained.computed["gene sets"]
    return sets


def _contributions(
    explained: Explained,
    modality: str,
    transform: ExpressionTransform,
) -> SetContributions:
    """Sets that are mean z-scores, or whose genes each network of an ensemble weighs."""
    assert transform.sets is not None
    genes = np.diff(transform.sets.indptr)
    rows = np.flatnonzero(explained.present(modality))
    if transform.set_names:
        names = tuple(transform.set_names)
        read = read_contributions(explained, modality)
        values = read.reshape(len(read), -1, len(names)).sum(axis=1)
        return SetContributions(names, genes, np.full(len(names), np.nan), rows, values)
    split = input_contributions(explained, modality)
    weights, values = split.slopes.mean(axis=0), split.features[split.present]
    return SetContributions(tuple(transform.features), genes, weights, rows, values)


def in_gene_sets(explained: Explained, path: Path | str) -> pd.DataFrame:
    """Contributions of genes added up over gene sets of a file, of any model.

    A gene counts in every set that has it, so sets do not add up to the term.

    Parameters
    ----------
    explained : Explained
    path : path
        GMT: name, description and genes, tab-separated.

    Returns
    -------
    DataFrame
        `patient_id, modality, set, contribution`, of patients who have the modality. Sets of
        which no gene is read are left out.

    Raises
    ------
    TransformError
        When the file cannot be read.
    InputError
        When the model reads none of its genes, or `path` is none.
    """
    if not isinstance(path, str | Path):
        raise InputError(f"path: expected that of a GMT file, got {path!r}")
    sets, frames = read_gmt(path), []
    ids = np.array(explained.ids, dtype=object)
    for name, transform in matrices(explained).items():
        members = _members(sets, transform)
        read = np.flatnonzero(np.diff(members.indptr))
        names = np.array(list(sets), dtype=object)[read]
        for block in gene_contributions(explained, name):
            sums = np.asarray((members[read] @ block.values.T).T)  # (patients, sets)
            columns = {
                "patient_id": np.repeat(ids[block.rows], len(read)),
                "modality": name,
                "set": np.tile(names, len(block.rows)),
                "contribution": sums.ravel(),
            }
            frames.append(pd.DataFrame(columns))
        if not len(read):
            raise InputError(
                f"{path}: the model reads none of the genes of its {len(sets)} sets; genes of "
                f"{name} are called {listed(transform.genes, 3)}",
            )
    if not frames:
        return pd.DataFrame(columns=list(IN_SETS))
    return pd.concat(frames, ignore_index=True)


def _members(
    sets: dict[str, tuple[str, ...]],
    transform: ExpressionTransform,
) -> sparse.csr_array:
    """Which genes each set has; 0 or 1, (sets, genes)."""
    named = tuple(dict.fromkeys(gene for own in sets.values() for gene in own))
    places, _ = match_genes(named, transform.genes, transform.gene_ids)
    place_of = dict(zip(named, places.tolist(), strict=True))
    rows, columns = [], []
    for number, own in enumerate(sets.values()):
        here = sorted({place_of[gene] for gene in own} - {-1})
        rows += [number] * len(here)
        columns += here
    shape = len(sets), len(transform.genes)
    return sparse.csr_array((np.ones(len(rows)), (rows, columns)), shape=shape)
