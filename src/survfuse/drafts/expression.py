"""What an expression matrix is: orientation, names of genes and unit."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from survfuse._errors import InputError, listed
from survfuse._types import FloatArray
from survfuse.drafts.draft import Section
from survfuse.drafts.guess import Blank, Choice, Guess
from survfuse.drafts.ids import participant
from survfuse.drafts.repeats import ask_duplicates, ask_samples
from survfuse.readers.genes import (
    fits_kind,
    is_description,
    is_summary,
    looks_like_genes,
)
from survfuse.readers.matrices import MISSING, NamedMatrix, read_matrix
from survfuse.readers.units import LINEAR, UNITS, check_unit

_ENDING = re.compile(r".+(_[A-Za-z]{2,12})$")
_EXPRESSED = {
    "_rnaseq",
    "_rna",
    "_mrna",
    "_expr",
    "_expression",
    "_gex",
    "_ge",
    "_tpm",
    "_fpkm",
}
_MOLECULAR = {
    "_cnv",
    "_cna",
    "_cn",
    "_mut",
    "_snv",
    "_meth",
    "_methylation",
    "_protein",
    "_rppa",
}
_MOLECULAR |= {"_mirna"}
_MILLION = 1e6


def shared_endings(names: Sequence[str]) -> list[str]:
    """Endings of molecular columns, such as `_rnaseq`, that most names have.

    >>> shared_endings(["case_id", "TP53_cnv", "MYC_cnv", "TP53_mut", "MYC_mut", "slide_id"])
    ['_cnv', '_mut']
    """
    matches = map(_ENDING.fullmatch, names)
    counts = Counter(match[1] for match in matches if match is not None)
    endings = []
    for ending, count in counts.items():
        if count >= 2 and ending.casefold() in _EXPRESSED | _MOLECULAR:
            endings.append(ending)
    covered = sum(counts[ending] for ending in endings)
    return endings if 2 * covered > len(names) else []


def ending_with(names: Sequence[str], endings: Sequence[str]) -> list[str]:
    """Names that have one of these endings."""
    return [name for name in names if name.endswith((*endings,))]


def expression_ending(endings: Sequence[str]) -> str | None:
    """The ending that names expression, if one does."""
    for ending in endings:
        if ending.casefold() in _EXPRESSED:
            return ending
    return None


def put_expression(
    section: Section,
    path: Path,
    ids: Collection[str],
    ending: str | None = None,
    column: str | None = None,
) -> list[str]:
    """Write the section of an expression matrix.

    Parameters
    ----------
    section : Section
    path : Path
        Table, `.h5ad` or folder of JSON files.
    ids : collection of str
        Patients of the outcome.
    ending : str or None
        Ending of the columns that are genes, such as `_rnaseq`.
    column : str or None
        Column of patient ids, where it is not the first.

    Returns
    -------
    list of str
        Names of the patients as the matrix has them.
    """
    matrix = read_matrix(path, column, MISSING, ending)
    by_patient, evidence, certain = orientation(matrix, ids)
    patients, genes = matrix.rows, matrix.columns
    values = np.asarray(matrix.values, np.float64)
    if not by_patient:
        patients, genes, values = genes, patients, values.T
    section.add(
        "path", path, f"{len(patients)} patients or samples, {len(genes)} genes"
    )
    if column is not None:
        section.add("patient", column, evidence)
    if not by_patient:
        section.add("orientation", "genes_by_patients", evidence, certain=certain)
    elif not certain:
        section.add("orientation", "patients_by_genes", evidence, certain=False)
    if ending is not None:
        section.add("gene_suffix", ending, "ending of the columns that are genes")
        genes = [gene.removesuffix(ending) for gene in genes]
    kind = gene_ids(genes)
    section.put("genes", kind)
    ask_duplicates(section, genes, str(kind.value))
    if ending is None:
        ask_samples(section, patients)
    real = [not is_summary(gene) for gene in genes]
    section.put("unit", guess_unit(values[:, real], path))
    return patients


def orientation(matrix: NamedMatrix, ids: Collection[str]) -> tuple[bool, str, bool]:
    """Whether rows are patients, the evidence, and whether it is certain."""
    wanted = set(map(participant, ids))
    rows = len(wanted & set(map(participant, matrix.rows)))
    columns = len(wanted & set(map(participant, matrix.columns)))
    if rows != columns:
        names = "rows" if rows > columns else "columns"
        evidence = f"{max(rows, columns)} {names} are patients of the outcome"
        return rows > columns, evidence, True
    if looks_like_genes(matrix.rows) != looks_like_genes(matrix.columns):
        genes = "rows" if looks_like_genes(matrix.rows) else "columns"
        evidence = f"{genes} are genes; no patient of the outcome is among the others"
        return genes == "columns", evidence, False
    return True, "neither rows nor columns are patients of the outcome", False


def gene_ids(genes: Sequence[str]) -> Guess[object]:
    """Guess how genes are named."""
    names = [
        gene for gene in genes if not is_summary(gene) and not is_description(gene)
    ]
    shares = {}
    for kind in ("ensembl", "entrez", "symbol"):
        shares[kind] = sum(fits_kind(name, kind) for name in names) / max(1, len(names))
    kind = max(shares, key=lambda one: shares[one])
    return Guess(kind, f"such as {listed(names, 3)}", shares[kind] > 0.9)


def guess_unit(values: FloatArray, path: Path) -> Guess[object] | Blank:
    """Guess the unit of expression where only one is possible; a blank with candidates otherwise.

    Parameters
    ----------
    values : array, (patients, genes)
    path : Path
        For messages.
    """
    finite = values[np.isfinite(values)]
    if not finite.size:
        return Blank(f"one of {', '.join(UNITS)}")
    low, high = float(finite.min()), float(finite.max())
    span = f"{low:.4g} to {high:.4g}"
    certain = _scaled(values) if low < 0 else _added_up(values, high, span)
    if certain is not None:
        return certain
    fitting = _fitting(values, path)
    return Blank(
        " or ".join(fitting),
        tuple(Choice(unit, "unit", unit) for unit in fitting),
        f"{span}: the numbers do not say which",
    )


def _added_up(values: FloatArray, high: float, span: str) -> Guess[object] | None:
    """Guess a unit without negative values: whole numbers, or a million in every patient."""
    measured = values[np.isfinite(values)]
    if high > 20 and (measured == np.rint(measured)).all():
        return Guess("counts", f"whole numbers, {span}")
    if high > 50 and _is_million(values, 0.01):
        return Guess("tpm", f"every patient adds up to a million, {span}")
    if high <= 40 and _is_million(np.exp2(values) - 1, 0.02):
        evidence = f"2^x - 1 adds up to a million in every patient, {span}"
        return Guess("log2tpm", evidence)
    return None


def _is_million(values: FloatArray, tolerance: float) -> bool:
    totals = np.nansum(values, axis=1)
    return bool(np.all(np.abs(totals / _MILLION - 1) < tolerance))


def _scaled(values: FloatArray) -> Guess[object] | None:
    """Guess z-scores, by mean and deviation of the genes."""
    mean, deviation = _of_genes(values)
    if abs(mean) < 0.2 and 0.7 < deviation < 1.3:
        evidence = f"genes have mean {mean:.2g} and deviation {deviation:.2g}"
        return Guess("zscore", evidence)
    return None


def _of_genes(values: FloatArray) -> tuple[float, float]:
    """Median mean and deviation of the genes that vary."""
    measured = values[:, np.isfinite(values).sum(axis=0) > 1]
    if not measured.size:
        return float("nan"), float("nan")
    mean, deviation = np.nanmean(measured, axis=0), np.nanstd(measured, axis=0)
    varies = deviation > 0
    if not varies.any():
        return float("nan"), float("nan")
    return float(np.median(mean[varies])), float(np.median(deviation[varies]))


def _fitting(values: FloatArray, path: Path) -> list[str]:
    """Units that the values do not contradict."""
    fitting: list[str] = []
    doubted: list[str] = []
    for unit in UNITS:
        try:
            doubts = check_unit(values, unit, path)
        except InputError:
            continue
        (doubted if doubts else fitting).append(unit)
    if fitting and not set(fitting) <= set(LINEAR):
        return fitting
    return fitting or doubted or list(UNITS)
