"""How much of a risk is chance: the share that changes with the patients who trained the network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np

from survfuse._errors import NotComputableError
from survfuse._types import IntArray
from survfuse.evaluation.folds import Fold, repeats_of
from survfuse.survival.concordance import concordance_influence


def chance_share(folds: Sequence[Fold]) -> float:
    """Share of the variation of risks that is due to which patients trained the network.

    Between two repeats a patient's risks come from training sets that overlap. With ``o``
    the mean overlap and ``r`` the mean correlation of the risks (standardised within their
    folds), a share ``(1 − r) / (1 − o)`` of their variance changes with the training set.

    Returns
    -------
    float
        In [0, 1]; 1 where one repeat leaves it unknown, 0 for a single model (no
        other fold trains on its test patients).
    """
    return _unstable(folds, _standardised)


def chance_share_of_difference(a: Sequence[Fold], b: Sequence[Fold]) -> float:
    """Share of the variation of a difference in concordance that is due to the training patients.

    As :func:`chance_share`, for the patients' influences on the difference of the two
    Harrell C.

    Parameters
    ----------
    a, b : sequence of Fold
        Of two models, paired.
    """
    other = {fold.repeat: part for part in repeats_of(b) for fold in part[:1]}

    def influence(part: Sequence[Fold]) -> dict[object, float]:
        time, event = (
            np.concatenate([f.time for f in part]),
            np.concatenate([f.event for f in part]),
        )
        first, second = _standardised(part), _standardised(other[part[0].repeat])
        values = []
        for risks in (first, second):
            column = np.array([risks[patient] for patient in first])
            values.append(concordance_influence(time, event, column, kind="harrell")[1])
        return dict(zip(first, (values[0] - values[1]).tolist(), strict=True))

    try:
        return _unstable(a, influence)
    except NotComputableError:
        return 1.0


def _unstable(
    folds: Sequence[Fold],
    value: Callable[[Sequence[Fold]], dict[object, float]],
) -> float:
    """Share of the variance of a patient's value that changes between training sets without overlap."""
    repeats = repeats_of(folds)
    if all(len(part) == 1 for part in repeats):
        return 0.0
    if len(repeats) < 2 or any(fold.log_risk is None for fold in folds):
        return 1.0
    values = [value(part) for part in repeats]
    homes = [
        {patient: fold.fold for fold in part for patient in fold.patient_id}
        for part in repeats
    ]
    shares = []
    for i, j in combinations(range(len(repeats)), 2):
        common = sorted(values[i].keys() & values[j].keys(), key=str)
        x, y = (np.array([values[k][patient] for patient in common]) for k in (i, j))
        first, second = (
            np.array([homes[k][patient] for patient in common]) for k in (i, j)
        )
        apart = 1 - _overlap(first, second) if common else 0.0
        total = x.var() + y.var() if common else 0.0
        shares.append(
            float(np.var(x - y) / total / apart) if apart > 0 and total > 0 else 1.0,
        )
    return min(float(np.mean(shares)), 1.0)


def _standardised(folds: Sequence[Fold]) -> dict[object, float]:
    """Risk of each patient of one repeat, standardised within its fold."""
    found: dict[object, float] = {}
    for fold in folds:
        spread = float(fold.risk.std())
        scaled = (
            (fold.risk - fold.risk.mean()) / spread
            if spread > 0
            else np.zeros(len(fold))
        )
        found.update(zip(fold.patient_id, scaled.tolist(), strict=True))
    return found


def _overlap(first: IntArray, second: IntArray) -> float:
    """Mean share of a patient's training set in one repeat that also trains for it in the other."""
    _, one = np.unique(first, return_inverse=True)
    _, two = np.unique(second, return_inverse=True)
    together = np.zeros((one.max() + 1, two.max() + 1))
    np.add.at(together, (one, two), 1.0)
    rows, columns, n = together.sum(axis=1), together.sum(axis=0), len(one)
    # A patient in fold i, then fold j: trained on in both are those outside i and outside j.
    both = n - rows[:, None] - columns[None, :] + together
    trained = float((together * (n - rows)[:, None]).sum())
    return float((together * both).sum() / trained) if trained else 1.0
