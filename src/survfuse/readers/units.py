"""What the numbers of an expression matrix are: contradictions are refused, doubts are said.

Only what cannot be otherwise is refused. What is merely unusual becomes a doubt with its figures.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from survfuse._errors import InputError
from survfuse._types import AnyArray, FloatArray

Unit = Literal[
    "counts",
    "tpm",
    "log2tpm",
    "log2counts",
    "vst",
    "zscore",
    "fpkm",
    "log2fpkm",
]
UNITS: tuple[str, ...] = get_args(Unit)
LINEAR = ("counts", "tpm", "fpkm")
"""Units in which twice the expression is twice the number."""

_LOG_LIMIT = 40.0  # log2 of a count: 2^40 reads of one gene do not exist
_FEW = 20  # below this many values nothing is concluded from their distribution
_PANEL = 100  # so many genes of linear scale have one above the limit of a logarithm
_TRANSCRIPTOME = 10_000  # genes, from which on TPM add up to nearly a million
_WHOLE_LIBRARY = 5_000  # genes whose sum may stand for the depth of a sample
_MILLION = 1e6

Matrix = FloatArray


def log_scale(
    values: Matrix,
    unit: str,
    library_share: Matrix | None = None,
) -> Matrix:
    """Take a linear unit to a log scale: log2(CPM + 1) of counts, log2(x + 1) of TPM and FPKM.

    Parameters
    ----------
    values : ndarray, (patients, genes)
        NaN where missing.
    unit : str
        Other than one of :data:`LINEAR`, the values come back as they are.
    library_share : ndarray, (genes,), optional
        Of counts: the share of all reads that each gene usually has. A sample's library size is the
        sum of its known counts over the share that these genes usually have, so that a gene that
        is not known does not make the others larger. Where not given, the plain sum.

    Returns
    -------
    ndarray, (patients, genes)

    Examples
    --------
    >>> log_scale(np.array([[1.0, 3.0], [10.0, 30.0]]), "counts").round(3).tolist()
    [[17.932, 19.517], [17.932, 19.517]]
    """
    if unit not in LINEAR:
        return values
    if unit == "counts":
        library = np.nansum(values, axis=1)
        if library_share is not None:
            known_share = ~np.isnan(values) @ library_share
            library = library / np.where(known_share > 0, known_share, np.nan)
        values = values / np.where(library > 0, library, np.nan)[:, None] * _MILLION
    return np.asarray(np.log2(values + 1))


def usual_share(counts: Matrix) -> Matrix:
    """Mean share of a sample's reads that each gene has, (genes,), summing to 1."""
    library = np.nansum(
        counts,
        axis=1,
        keepdims=True,
    )
    shares = counts / np.where(library > 0, library, np.nan)
    known = ~np.isnan(shares)
    mean = np.where(known, shares, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return np.asarray(mean / mean.sum())


_SOME = 20  # patients that mostly tell whether all add up to one number


@dataclass(frozen=True, eq=False)
class Figures:
    """What is looked at to judge a matrix.

    Attributes
    ----------
    values : ndarray, (patients, genes)
        NaN where missing.
    """

    values: Matrix

    @property
    def genes(self) -> int:
        """Number of columns."""
        return int(self.values.shape[1])

    @cached_property
    def known(self) -> Matrix:
        """All values that are not missing, (values,)."""
        finite = np.isfinite(self.values)
        return self.values.reshape(-1) if finite.all() else self.values[finite]

    @cached_property
    def low(self) -> float:
        """Smallest value."""
        return float(self.known.min())

    @cached_property
    def high(self) -> float:
        """Largest value."""
        return float(self.known.max())

    @property
    def enough(self) -> bool:
        """Whether there are values enough to conclude anything from their distribution."""
        return self.known.size >= _FEW

    @cached_property
    def negative(self) -> float:
        """Share of values below 0."""
        return float((self.known < 0).mean())

    @cached_property
    def fractional(self) -> float:
        """Share of values that are no whole numbers."""
        return float((self.known != np.rint(self.known)).mean())

    @property
    def looks_counted(self) -> bool:
        """Whether every value is a whole number, and not all of them 0 or 1."""
        return self.enough and self.fractional == 0 and self.high > 1

    @cached_property
    def totals(self) -> Matrix:
        """Sum of each patient, (patients,)."""
        return np.asarray(np.nansum(self.values, axis=1))

    def total_is_near(self, expected: float) -> bool:
        """Whether every patient adds up to a number, to 1 %."""
        return bool((np.abs(self.totals / expected - 1) < 0.01).all())

    def one_library(self, base: float) -> bool:
        """Whether base ** values - 1 adds up to the same in all patients, to 1 %."""
        few = self._sums(base, _SOME)
        if few.min() > 0 and few.max() > 1.03 * few.min():
            return False  # these alone are not within 1 % of any number
        totals = self._sums(base, len(self.values))
        with np.errstate(invalid="ignore"):
            return bool((np.abs(totals / np.median(totals) - 1) < 0.01).all())

    def _sums(self, base: float, patients: int) -> Matrix:
        """Sum of base ** values - 1 of the first patients, (patients,)."""
        with np.errstate(over="ignore", invalid="ignore"):
            powers = np.power(base, self.values[:patients])
            return np.asarray(np.nansum(powers - 1, axis=1))

    @property
    def within_log(self) -> bool:
        """Whether values are fractions and none is beyond what a logarithm reaches."""
        return self.enough and self.high <= _LOG_LIMIT and self.fractional > 0.5

    @cached_property
    def looks_log(self) -> bool:
        """Whether values of a linear unit are certainly logarithms: none is large."""
        positive = self.known[self.known > 0]
        return self.within_log and (
            self.genes >= _PANEL or self.high <= 8 * float(np.median(positive))
        )

    @cached_property
    def gene_moments(self) -> tuple[Matrix, Matrix]:
        """Mean and deviation of each gene that varies, (genes,); empty if fewer than 5."""
        measured = np.isfinite(self.values).sum(axis=0) >= 5
        values = self.values[:, measured]
        mean, deviation = np.nanmean(values, axis=0), np.nanstd(values, axis=0)
        varies = deviation > 0
        if varies.sum() < 5:
            return np.empty(0), np.empty(0)
        return mean[varies], deviation[varies]

    @property
    def offset(self) -> float:
        """Median distance of a gene's mean from 0, in its own deviations; NaN where not known."""
        mean, deviation = self.gene_moments
        return float(np.median(np.abs(mean) / deviation)) if len(mean) else float("nan")

    @property
    def spread(self) -> float:
        """Median deviation of a gene; NaN where not known."""
        deviation = self.gene_moments[1]
        return float(np.median(deviation)) if len(deviation) else float("nan")


def check_unit(
    values: AnyArray,
    unit: str,
    path: Path | str,
) -> list[str]:
    """Refuse values that the declared unit contradicts, and say what is doubtful about them.

    Parameters
    ----------
    values : ndarray, (patients, genes)
        NaN where missing.
    unit : str
        One of :data:`UNITS`.
    path : path or str
        For messages.

    Returns
    -------
    list of str
        Doubts.

    Raises
    ------
    InputError
        When `unit` is unknown or the values cannot be of it.
    """
    if unit not in UNITS:
        raise InputError(f"{path}: unknown unit {unit!r}; known: {', '.join(UNITS)}")
    measured = np.isfinite(values).any(axis=1)
    figures = Figures(np.asarray(values[measured], np.float64))
    if figures.known.size == 0:
        return []
    complaint = _complaint(figures, unit)
    if complaint is not None:
        raise InputError(
            f"{path}: declared {unit}, but {complaint} (range {figures.low:.4g} to "
            f"{figures.high:.4g}); correct `unit`, or `orientation` if rows are genes",
        )
    doubt = _doubt(figures, unit)
    return [] if doubt is None else [f"declared {unit}, but {doubt}"]


def _complaint(of: Figures, unit: str) -> str | None:
    if unit in LINEAR:
        return _against_linear(of, unit)
    return _against_scores(of) if unit == "zscore" else _against_log(of, unit)


def _doubt(of: Figures, unit: str) -> str | None:
    if unit in LINEAR:
        return _doubt_of_linear(of, unit)
    return _doubt_of_scores(of) if unit == "zscore" else _doubt_of_log(of, unit)


def _against_linear(of: Figures, unit: str) -> str | None:
    if of.low < 0:
        return "values are negative; looks like a log or z-score"
    if of.looks_log:
        return "no value is large, as many genes' would be; looks like a log scale"
    if unit == "counts":
        if of.enough and of.fractional > 0.01 and of.total_is_near(_MILLION):
            return (
                "values are fractions and every patient adds up to a million; looks like TPM or "
                "CPM"
            )
        return None
    if unit == "tpm" and of.totals.max() > 1.1 * _MILLION:
        return f"a patient sums to {of.totals.max():.4g}, more than a million; looks like counts"
    if of.looks_counted and not of.total_is_near(_MILLION):
        return "every value is a whole number; looks like counts"
    if (
        unit == "tpm"
        and of.genes >= _TRANSCRIPTOME
        and np.median(of.totals) < _MILLION / 10
    ):
        return (
            f"patients sum to about {np.median(of.totals):.4g}, not to a million; looks like a "
            "log scale"
        )
    return None


def _doubt_of_linear(of: Figures, unit: str) -> str | None:
    if of.within_log:
        return f"no value is above {of.high:.4g}: a log scale? if so, correct `unit`"
    if unit == "counts":
        return _doubt_of_counts(of)
    if unit == "fpkm" and of.enough and of.total_is_near(_MILLION):
        return "every patient adds up to a million: TPM? if so, correct `unit`"
    if unit == "tpm" and not (np.abs(of.totals / _MILLION - 1) < 0.1).all():
        low, high = of.totals.min(), of.totals.max()
        return (
            f"patients sum to {low:.4g} to {high:.4g}, TPM of all genes to a million: a part of "
            "the genes?"
        )
    return None


def _doubt_of_counts(of: Figures) -> str | None:
    if of.fractional > 0:
        return (
            f"{of.fractional:.1%} of values are no whole numbers: taken as expected counts "
            "(RSEM, salmon); if they are TPM or normalised, correct `unit`"
        )
    if of.total_is_near(_MILLION):
        return "every patient adds up to a million: TPM or CPM? if so, correct `unit`"
    if of.genes < _WHOLE_LIBRARY:
        return (
            f"library sizes are sums over {of.genes} genes only: give all genes of the sample, "
            "and choose among them by expression_genes or expression_top"
        )
    return None


def _against_scores(of: Figures) -> str | None:
    # a lone huge value stays: public z-score tables have such genes
    if not of.enough:
        return None
    if of.low >= 0:
        return "values are never negative; looks unstandardised"
    if float(np.median(np.abs(of.known))) > 20:
        return "most values are huge; looks unstandardised"
    if of.known.size >= 100 and (of.negative < 0.05 or of.offset > 3):
        return (
            f"{of.negative:.0%} of values are negative and genes lie far from 0; looks like a log "
            "scale"
        )
    return None


def _doubt_of_scores(of: Figures) -> str | None:
    if of.offset > 0.7:
        return (
            f"half of the genes have a mean at least {of.offset:.2g} deviations from 0: scores "
            "relative to other samples, or a log scale?"
        )
    return None


def _against_log(of: Figures, unit: str) -> str | None:
    if of.high > _LOG_LIMIT:
        return "values are beyond any logarithm; looks like counts or TPM"
    if of.looks_counted:
        return "every value is a whole number; looks like counts"
    if unit == "vst" and of.enough and of.negative > 0.1:
        return f"{100 * of.negative:.0f} % of values are negative; looks like z-scores"
    if 0.25 < of.negative < 0.75 and of.offset < 0.5 and 0.5 < of.spread < 2:
        return f"genes have mean 0 and deviation {of.spread:.2g}; looks like z-scores"
    return _against_base(of)


def _against_base(of: Figures) -> str | None:
    """Whether patients add up to one library size under another base than 2."""
    if not of.enough or len(of.values) < 5 or of.one_library(2):
        return None
    for base, name in ((np.e, "natural"), (10, "decimal")):
        if of.one_library(base):
            return (
                f"{base:.4g}^x - 1 adds up to the same in every patient; looks like {name} "
                f"logarithms: multiply all values by {np.log2(base):.7g}"
            )
    return None


def _doubt_of_log(of: Figures, unit: str) -> str | None:
    if of.enough and of.negative > 0.25 and not of.offset > 0.5:
        return (
            f"{of.negative:.0%} of values are negative: z-scores, or a small number added before "
            "the log?"
        )
    if unit == "log2tpm":
        with np.errstate(over="ignore"):
            most = float(np.nansum(np.exp2(of.values) - 1, axis=1).max())
        if most > 1.1 * _MILLION:
            return f"2^x - 1 adds up to {most:.3g} in a patient, TPM to a million: another unit?"
    return None
