"""What makes a predictions file look other than its columns say: unit, order and direction."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import rankdata

from survfuse._errors import listed
from survfuse._types import FloatArray
from survfuse.cohort.time_units import SHORTEST, doubted_unit, far_times
from survfuse.evaluation.folds import Fold, Tabulated
from survfuse.survival.estimate import Estimate

FAR_RISK = 20.0  # distance of a log-risk from the median over the next largest one
BEYOND = (
    5  # follow-up over the last survival column; a year has 12 months, a month 30 days
)
ALIKE = 0.5  # rank correlation of the log-risks and the curves of one model


def other_unit(folds: Sequence[Fold]) -> list[str]:
    """Doubt that follow-up and survival columns have one unit, where they lie far apart."""
    known = [fold.curves.times for fold in folds if isinstance(fold.curves, Tabulated)]
    if not known:
        return []
    first, last = (
        min(float(times[0]) for times in known),
        max(float(times[-1]) for times in known),
    )
    time = np.concatenate([fold.time for fold in folds])
    middle, longest = float(np.median(time)), float(time.max())
    if first <= longest and middle <= BEYOND * last:
        return []
    return [
        f"follow-up has median {middle:g} and ends at {longest:g}, the survival columns tell of "
        f"{first:g} to {last:g}: are both in one unit?",
    ]


def mistyped(word: str, folds: Sequence[Fold]) -> list[str]:
    """Doubt times and log-risks of a few patients that lie far beyond those of all others."""
    found = []
    for fold in folds:
        columns = {"time": (fold.time, far_times(fold.time))}
        if fold.log_risk is not None:
            distance = np.abs(fold.log_risk - np.median(fold.log_risk))
            columns["log_risk"] = (fold.log_risk, far_times(distance, FAR_RISK))
        for name, (values, far) in columns.items():
            for patient, value in zip(fold.patient_id[far], values[far], strict=True):
                found.append(f"{name} {value:g} of {patient}")
    far_ones = listed(dict.fromkeys(found))
    return (
        [f"{word}: far beyond all others, so perhaps mistyped: {far_ones}"]
        if found
        else []
    )


def other_training(folds: Sequence[Fold], train: FloatArray) -> list[str]:
    """Doubt that the follow-up of the training patients has the unit of the others'."""
    time = np.concatenate([fold.time for fold in folds])
    ratios = [float(of(train) / of(time)) for of in (np.median, np.max)]
    if min(ratios) <= BEYOND and max(ratios) >= 1 / BEYOND:
        return []
    return [
        f"follow-up ends at {time.max():g}, that of the training patients at {train.max():g}: "
        "are both in one unit?",
    ]


def declared_unit(folds: Sequence[Fold], unit: str) -> list[str]:
    """Doubt the unit that follow-up is said to have, where it is one that a cohort may declare."""
    named = unit.strip().casefold()
    if named not in SHORTEST:
        return []
    doubt = doubted_unit(np.concatenate([fold.time for fold in folds]), named)
    return [doubt] if doubt else []


def other_order(word: str, folds: Sequence[Fold], horizon: float) -> list[str]:
    """Doubt log-risks that rank the patients of a model otherwise than the curves beside them.

    Parameters
    ----------
    word : str
        The model.
    folds : sequence of Fold
    horizon : float
        At which curves rank, or at their last time where that is earlier.
    """
    shares = []
    for fold in folds:
        if fold.log_risk is None or fold.curves is None:
            return []
        risk = 1 - fold.survival([min(horizon, fold.curves.last)])[:, 0]
        if np.ptp(risk) > 0 and np.ptp(fold.log_risk) > 0:
            shares.append(
                float(np.corrcoef(rankdata(fold.log_risk), rankdata(risk))[0, 1]),
            )
    if not shares or np.mean(shares) >= ALIKE:
        return []
    return [
        f"{word}: log_risk and the survival columns rank patients differently (rank correlation "
        f"{np.mean(shares):.2f}); concordance and AUC judge log_risk, all else the curves",
    ]


def reversed_risk(word: str, concordance: Estimate) -> list[str]:
    """Doubt the direction of log-risks whose concordance has an interval below one half."""
    if concordance.high is None or concordance.high >= 0.5:
        return []
    return [
        f"{word}: patients with larger log_risk had later events (Harrell C {concordance.value:.3f}); "
        "expected larger = earlier: is the column a predicted time or a survival, or event 1 if censored?",
    ]
