"""Linear expression units on a log scale, the same at prediction as in training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from survfuse._types import FloatArray
from survfuse.cohort.modalities import ExpressionData
from survfuse.config import FitConfig
from survfuse.readers.genes import match_genes
from survfuse.readers.units import LINEAR, log_scale, usual_share


@dataclass(frozen=True, eq=False)
class LogScale:
    """How values of one unit become logarithms.

    TPM and FPKM become log2(x + 1), counts log2(CPM + 1). What a count is divided by depends on
    its own sample alone: nothing passes from one patient to another, but for the usual share of
    each gene, which says how much of a library is missing where genes are.

    Attributes
    ----------
    unit : str
        counts, tpm or fpkm.
    library : tuple of str
        Genes whose counts make up the library size of a sample: all of the training matrix. Empty
        but for counts.
    share : array, (library genes,) float64, or None
        Mean share of the reads of a training sample that each has.
    """

    unit: str
    library: tuple[str, ...] = ()
    share: FloatArray | None = None

    def values(
        self,
        data: ExpressionData,
        patients: Sequence[str],
        genes: Sequence[str],
    ) -> tuple[FloatArray, str]:
        """Values of training genes in any matrix, and what is said of its library sizes.

        Returns
        -------
        values : array, (patients, genes)
            NaN where missing.
        note : str
            Empty where the matrix has every gene of the library.
        """
        if self.share is None:
            return log_scale(measured(data, patients, genes), self.unit), ""
        counts = measured(data, patients, self.library)
        places = pd.Index(self.library).get_indexer(pd.Index(genes))
        values = log_scale(counts, self.unit, self.share)[:, places]
        matrix = data.expression
        absent = match_genes(self.library, matrix.genes, matrix.gene_ids)[0] < 0
        if not absent.any():
            return values, ""
        return values, (
            f"{int(absent.sum())} of {len(self.library)} training genes are not in this matrix; "
            f"they held {float(self.share[absent].sum()):.1%} of the training reads, and library "
            "sizes are estimated from the other genes"
        )


def fit_scale(
    data: ExpressionData,
    values: FloatArray,
    config: FitConfig,
    notes: list[str],
) -> tuple[LogScale | None, FloatArray]:
    """Scale of the values of training patients, and the values on it, (patients, genes)."""
    unit = data.expression.unit
    if unit in LINEAR and config.inputs.expression_log:
        scale = LogScale(unit)
        if unit == "counts":
            scale = LogScale(unit, data.expression.genes, usual_share(values))
        return scale, log_scale(values, unit, scale.share)
    if unit == "counts":
        notes.append(
            f"{data.name}: raw counts are read as they are: they carry each sample's depth",
        )
    return None, values


def measured(
    data: ExpressionData,
    patients: Sequence[str],
    genes: Sequence[str],
) -> FloatArray:
    """Values of patients in a matrix, (patients, genes); NaN where it lacks the gene."""
    places, _ = match_genes(genes, data.expression.genes, data.expression.gene_ids)
    values = data.values(patients)[:, np.maximum(places, 0)].astype(np.float64)
    values[:, places < 0] = np.nan
    return values
