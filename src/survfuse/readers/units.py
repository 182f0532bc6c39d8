"""Does an expression matrix look like what was declared? Contradictions are refused, never repaired."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from survfuse._errors import InputError
from survfuse.readers.array_checks import AnyArray

Unit = Literal["counts", "tpm", "log2tpm", "log2counts", "vst", "zscore", "fpkm", "log2fpkm"]
GeneIds = Literal["symbol", "ensembl", "entrez"]
UNITS: tuple[str, ...] = get_args(Unit)
GENE_IDS: tuple[str, ...] = get_args(GeneIds)

_ENSEMBL = re.compile(r"ENS[A-Z]{0,6}G\d{6,}")
_LOG_LIMIT = 40.0  # log2 of a count: 2^40 reads of one gene do not exist
_FEW = 20  # below this many values nothing is concluded from their distribution
# fmt: off
_COMMON = frozenset([
    "TP53", "EGFR", "MYC", "KRAS", "PTEN", "BRCA1", "BRCA2", "RB1", "CDKN2A", "PIK3CA", "AKT1", "BRAF",
    "CD4", "CD8A", "CD274", "MKI67", "VIM", "ESR1", "ERBB2", "GAPDH", "ACTB", "TUBB", "B2M", "HPRT1",
    "TBP", "RPLP0", "STAT1", "STAT3", "JAK1", "JAK2", "NOTCH1", "FGFR3", "ATM", "CCND1", "MDM2", "VEGFA",
])
# fmt: on


def check_unit(values: AnyArray, unit: str, path: Path) -> None:
    """Refuse values that the declared unit contradicts.

    Parameters
    ----------
    values : ndarray, (patients, genes)
        NaN where missing.
    unit : str
        One of :data:`UNITS`.
    path : Path
        For messages.

    Raises
    ------
    InputError
        When `unit` is unknown or the values cannot be of it.
    """
    if unit not in UNITS:
        raise InputError(f"{path}: unknown unit {unit!r}; known: {', '.join(UNITS)}")
    known = values[np.isfinite(values)]
    if known.size == 0:
        return
    low, high = float(known.min()), float(known.max())
    complaint = _complaint(known, unit, low, high)
    if complaint is None and unit == "tpm":
        total = float(np.nansum(values.astype(np.float64), axis=1).max())
        if total > 1.1e6:
            complaint = f"a patient sums to {total:.4g}, more than a million; looks like counts"
    if complaint is not None:
        raise InputError(
            f"{path}: declared {unit}, but {complaint} (range {low:.4g} to {high:.4g}); correct `unit`"
        )


def _complaint(known: AnyArray, unit: str, low: float, high: float) -> str | None:
    if unit in ("counts", "tpm", "fpkm"):
        return "values are negative; looks like a log or z-score" if low < 0 else None
    if unit == "zscore":
        # a lone huge value stays: public z-score tables have such genes
        if known.size >= _FEW and low >= 0:
            return "values are never negative; looks unstandardised"
        if known.size >= _FEW and float(np.median(np.abs(known))) > 20:
            return "most values are huge; looks unstandardised"
        return None
    if high > _LOG_LIMIT:
        return "values are beyond any logarithm; looks like counts or TPM"
    if unit == "vst" and known.size >= _FEW and float((known < 0).mean()) > 0.1:
        return f"{100 * float((known < 0).mean()):.0f} % of values are negative; looks like z-scores"
    return None


def check_genes(genes: Sequence[str], kind: str, path: Path) -> None:
    """Refuse gene ids that are plainly of another kind than declared.

    Raises
    ------
    InputError
        When `kind` is unknown, or most ids contradict it (naming one).
    """
    if kind not in GENE_IDS:
        raise InputError(f"{path}: unknown gene ids {kind!r}; known: {', '.join(GENE_IDS)}")
    fits = [_kind(gene) == kind for gene in genes]
    if genes and sum(fits) < len(genes) / 2:
        other = genes[fits.index(False)]
        raise InputError(
            f"{path}: declared genes by {kind}, but only {sum(fits)} of {len(genes)} ids look so "
            f"(not {other!r}); correct `genes`, or the orientation if these are patients"
        )


def _kind(gene: str) -> str:
    if _ENSEMBL.match(gene):
        return "ensembl"
    return "entrez" if gene.isdigit() else "symbol"


def looks_like_genes(ids: Sequence[str]) -> bool:
    """Tell whether ids are certainly genes: Ensembl ids, or several of the best-known symbols.

    >>> looks_like_genes(["TP53", "EGFR", "MYC", "KRAS", "A1BG"])
    True
    >>> looks_like_genes(["TCGA-05-4249", "TCGA-05-4250"])
    False
    """
    ensembl = sum(1 for one in ids if _ENSEMBL.match(one))
    return 2 * ensembl > len(ids) or len(_COMMON.intersection(ids)) >= 4
