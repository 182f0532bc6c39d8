"""Linear expression units on a log scale, the same at prediction as in training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from survfuse._storage import stored_array, stored_texts
from survfuse._types import AnyArray, FloatArray, State
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

    def state(self) -> State:
        """What was learned: JSON and arrays."""
        arrays = {} if self.share is None else {"library_share": self.share}
        return {"library": list(self.library)}, arrays

    @classmethod
    def from_state(
        cls,
        unit: str,
        state: Mapping[str, Any],
        arrays: Mapping[str, AnyArray],
    ) -> LogScale:
        """Make it again from :meth:`state`.

        Raises
        ------
        InputError
            When there is not one share for each gene of the library.
        """
        library = stored_texts(state["library"], "library")
        share = None
        if library:
            share = stored_array(arrays, "library_share", (len(library),))
        return cls(unit, library, share)


def log_scale_of(
    data: ExpressionData,
    patients: Sequence[str],
) -> LogScale | None:
    """Log scale learned from training patients; None of a unit that is on one already."""
    unit = data.expression.unit
    if unit not in LINEAR:
        return None
    if unit != "counts":
        return LogScale(unit)
    values = data.values(patients).astype(np.float64)
    return LogScale(unit, data.expression.genes, usual_share(values))


def fit_scale(
    data: ExpressionData,
    patients: Sequence[str],
    config: FitConfig,
    notes: list[str],
) -> tuple[LogScale | None, FloatArray]:
    """Scale of the values of training patients, and the values on it, (patients, genes)."""
    values: FloatArray = data.values(patients).astype(np.float64)
    scale = log_scale_of(data, patients) if config.inputs.expression_log else None
    if scale is not None:
        return scale, log_scale(values, scale.unit, scale.share)
    if data.expression.unit == "counts":
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
