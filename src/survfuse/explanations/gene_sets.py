"""Weights and contributions of gene sets: those that a model reads, and those of any file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from scipy import sparse

from survfuse._errors import InputError, listed
from survfuse._types import FloatArray
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
    for name, transform in matrices(explained).items():
        is_network = isinstance(explained.parts, NetworkParts)
        if transform.sets is None or (transform.set_names and not is_network):
            continue
        if transform.set_names:
            values = _weighed_sets(explained, name, transform.set_names)
            weights = np.full(values.shape[1], np.nan)
        else:
            split = input_contributions(explained, name)
            weights, values = split.slopes.mean(axis=0), split.features[split.present]
        own = pd.DataFrame(
            {"modality": name, "set": transform.set_names or transform.features}
        )
        own["genes"] = np.diff(transform.sets.indptr)
        own["weight"] = weights
        own["sd"] = values.std(axis=0) if len(values) else np.nan
        own["mean_abs"] = np.abs(values).mean(axis=0) if len(values) else np.nan
        frames.append(own)
    if not frames:
        return pd.DataFrame(columns=list(GENE_SETS))
    frame = pd.concat(frames, ignore_index=True)
    order = np.argsort(-frame["mean_abs"].to_numpy(), kind="stable")
    return frame.iloc[order].reset_index(drop=True)


def _weighed_sets(
    explained: Explained,
    modality: str,
    names: tuple[str, ...],
) -> FloatArray:
    """Contributions of sets whose genes each network of an ensemble weighs; (patients, sets)."""
    read = read_contributions(explained, modality)
    return np.asarray(read.reshape(len(read), -1, len(names)).sum(axis=1))


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
