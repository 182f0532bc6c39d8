"""Shares of the variance of the log-risk."""

from __future__ import annotations

import numpy as np
import pandas as pd

from survfuse._types import AnyArray, FloatArray
from survfuse.decomposition.readings import CONSTANT
from survfuse.explanations.explained import Explained
from survfuse.explanations.terms import term_frame

SEED = 0
LEVELS = (0.025, 0.975)
LEAST_VARIANCE = 1e-24
"""Of log-risks that differ by more than rounding."""
ROWS = 2**22
"""Counts of a patient in a bootstrap sample that are held at a time."""


def shares(explained: Explained, repeats: int = 1000) -> pd.DataFrame:
    """Share of the variance of the log-risk that each term has; see :func:`shares_of`."""
    return shares_of(term_frame(explained), repeats)


def shares_of(terms: pd.DataFrame, repeats: int = 1000) -> pd.DataFrame:
    """Share of the variance of the log-risk that each term has among some patients.

    The share is ``cov(term, log-risk) / var(log-risk)`` (Sobol' indices for dependent inputs: Li et
    al. 2010, 10.1021/jp9096919). Shares add up to 1 however terms are correlated. A share may be
    negative: the term then varies against the others and takes from the log-risk's variance.

    Parameters
    ----------
    terms : DataFrame
        A row per patient, as `Explanation.terms`; `constant` is not read. Rows with the same index
        are drawn together: predictions of one patient by several models.
    repeats : int
        Bootstrap samples of patients.

    Returns
    -------
    DataFrame
        `term, share, low, high`: 95 % percentile interval. NaN where log-risks do not differ, and
        ``attrs["note"]`` says so. ``attrs["sd"]`` is the standard deviation of the log-risk, of
        which these are shares: a model that learned nothing has shares, too, of very little.
    """
    values = terms.drop(columns=CONSTANT, errors="ignore")
    if values.empty:
        nothing = pd.DataFrame(columns=["term", "share", "low", "high"])
        nothing.attrs |= {"sd": 0.0, "note": "the model has no terms to share"}
        return nothing
    effects = values.to_numpy(dtype=np.float64)
    log_risk = effects.sum(axis=1)
    # Beside the mean, since moments of second order lose digits where a mean is large.
    effects, log_risk = effects - effects.mean(axis=0), log_risk - log_risk.mean()
    moments = np.column_stack([effects, effects * log_risk[:, None]])
    codes, patients = pd.factorize(terms.index)
    summed: FloatArray = np.zeros((len(patients), moments.shape[1]))
    np.add.at(summed, codes, moments)
    sizes = np.bincount(codes)
    whole = _shares(np.ones((1, len(patients))), summed, sizes)[0]
    drawn = _bootstrapped(summed, sizes, repeats)
    frame = pd.DataFrame({"term": values.columns, "share": whole})
    frame.attrs["sd"] = float(log_risk.std())
    frame["low"] = frame["high"] = np.nan
    defined = drawn[np.isfinite(drawn).all(axis=1)]
    if np.isfinite(whole).all() and len(defined):
        frame["low"], frame["high"] = np.quantile(defined, LEVELS, axis=0)
    else:
        frame.attrs["note"] = (
            "log-risks do not differ between patients, so they have no variance to share"
        )
    return frame


def _bootstrapped(
    summed: FloatArray,
    sizes: AnyArray,
    repeats: int,
) -> FloatArray:
    """Shares in samples of the patients; (repeats, terms)."""
    rng, patients = np.random.default_rng(SEED), len(summed)
    chances, blocks = np.full(patients, 1 / patients), []
    size = max(1, ROWS // patients)
    for start in range(0, repeats, size):
        counts = rng.multinomial(patients, chances, min(size, repeats - start))
        blocks.append(_shares(counts.astype(np.float64), summed, sizes))
    return np.concatenate(blocks) if blocks else np.zeros((0, summed.shape[1] // 2))


def _shares(
    counts: FloatArray,
    summed: FloatArray,
    sizes: AnyArray,
) -> FloatArray:
    """Covariance of each term with the log-risk over its variance; (samples, terms).

    Parameters
    ----------
    counts : array, (samples, patients)
        How often each patient is drawn.
    summed : array, (patients, 2 * terms)
        Sums over the rows of a patient, of the terms and of the terms times the log-risk.
    sizes : array, (patients,)
        Rows of each patient.
    """
    means = (counts @ summed) / (counts @ sizes)[:, None]
    first, product = np.split(means, 2, axis=1)
    covariance = product - first * first.sum(axis=1, keepdims=True)
    variance = covariance.sum(axis=1, keepdims=True)
    differs = variance > LEAST_VARIANCE
    return np.where(differs, covariance / np.where(differs, variance, 1.0), np.nan)
