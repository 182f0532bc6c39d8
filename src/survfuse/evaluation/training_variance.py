"""The share of a risk that changes with the patients who trained the network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from survfuse._errors import NotComputableError
from survfuse._types import FloatArray, IntArray
from survfuse.evaluation.folds import Fold, Pooled, repeats_of
from survfuse.survival.concordance import ComparablePairs


def chance_share(
    folds: Sequence[Fold],
    overlap: float | None = None,
    *,
    capped: bool = True,
) -> float:
    """Share of the variation of risks that is due to which patients trained the network.

    Between two repeats a patient's risks come from training sets that overlap. With ``o``
    the mean overlap and ``r`` the mean correlation of the risks (standardised within their
    folds), a share ``(1 − r) / (1 − o)`` of their variance changes with the training set.

    Parameters
    ----------
    folds : sequence of Fold
    overlap : float, optional
        The mean overlap, where repeats do not train on all patients outside the fold.
    capped : bool
        Whether an estimate above 1, which a share cannot be, is returned as 1.

    Returns
    -------
    float
        In [0, 1]; 1 where one repeat leaves it unknown, 0 for a single model (no
        other fold trains on its test patients).
    """
    share = _unstable(folds, _standardised, overlap)
    return min(share, 1.0) if capped else share


def chance_share_of_difference(
    a: Sequence[Fold],
    b: Sequence[Fold],
    *,
    capped: bool = True,
) -> float:
    """Share of the variation of a difference in concordance that is due to the training patients.

    As :func:`chance_share`, for the patients' influences on the difference of the two
    Harrell C.

    Parameters
    ----------
    a, b : sequence of Fold
        Of two models, paired.
    capped : bool
        As of :func:`chance_share`.
    """
    others = {fold.place: fold for fold in b}

    def influence(part: Sequence[Fold]) -> FloatArray:
        pairs = ComparablePairs.of(Pooled(part).outcome, "harrell", None, None)
        second = [others[fold.place] for fold in part]
        _, influence_a = pairs.concordance(_standardised(part))
        _, influence_b = pairs.concordance(_standardised(second))
        return influence_a - influence_b

    try:
        share = _unstable(a, influence)
    except NotComputableError:
        return 1.0
    return min(share, 1.0) if capped else share


def _unstable(
    folds: Sequence[Fold],
    value: Callable[[Sequence[Fold]], FloatArray],
    overlap: float | None = None,
) -> float:
    """Share of a value's variance that changes between training sets without overlap."""
    repeats = repeats_of(folds)
    if all(len(part) == 1 for part in repeats):
        return 0.0
    if len(repeats) < 2 or any(fold.log_risk is None for fold in folds):
        return 1.0
    tables = []
    for part in repeats:
        ids = np.concatenate([fold.patient_id for fold in part])
        columns = {"value": value(part), "fold": Pooled(part).stratum}
        tables.append(pd.DataFrame(columns, index=pd.Index(ids, dtype=object)))
    shares = [_changed(*pair, overlap) for pair in combinations(tables, 2)]
    return float(np.mean(shares))


def _changed(
    first: pd.DataFrame,
    second: pd.DataFrame,
    overlap: float | None,
) -> float:
    """Share of the variance that changes from one repeat to another, 1 where it is unknown."""
    common = sorted(first.index.intersection(second.index), key=str)
    if not common:
        return 1.0
    first, second = first.loc[common], second.loc[common]
    x, y = first["value"].to_numpy(), second["value"].to_numpy()
    if overlap is None:
        overlap = _overlap(first["fold"].to_numpy(), second["fold"].to_numpy())
    apart, total = 1 - overlap, x.var() + y.var()
    return float(np.var(x - y) / total / apart) if apart > 0 and total > 0 else 1.0


def _standardised(folds: Sequence[Fold]) -> FloatArray:
    """Risk of each patient of one repeat, standardised within its fold, (patients,)."""
    columns = []
    for fold in folds:
        spread = float(fold.risk.std())
        centred = fold.risk - fold.risk.mean()
        columns.append(centred / spread if spread > 0 else np.zeros(len(fold)))
    return np.concatenate(columns)


def _overlap(first: IntArray, second: IntArray) -> float:
    """Mean share of a patient's training set in one repeat that also trains for it in the other."""
    together = np.zeros((first.max() + 1, second.max() + 1))
    np.add.at(together, (first, second), 1.0)
    rows, columns, n = together.sum(axis=1), together.sum(axis=0), len(first)
    # A patient in fold i, then fold j: trained on in both are those outside i and outside j.
    both = n - rows[:, None] - columns[None, :] + together
    trained = float((together * (n - rows)[:, None]).sum())
    return float((together * both).sum() / trained) if trained else 1.0
