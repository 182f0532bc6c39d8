"""Metrics of cross-validated predictions: within folds, then over folds and repeats.

A concordance is computed inside each test fold, so that risks of different
networks are never compared, and averaged. Its standard error comes from
influence functions, widened for the overlap of training sets; "sd over folds /
sqrt(folds)" covers 40 % and is not used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from survfuse._errors import NotComputableError
from survfuse._types import FloatArray
from survfuse.survival.concordance import concordance_influence
from survfuse.survival.estimate import Estimate

NORMAL_95 = 1.959963984540054

Influence = tuple[float, FloatArray]


@dataclass(frozen=True)
class Fold:
    """Test patients of one fold, and the outcome of the training patients behind them."""

    table: pd.DataFrame
    train_time: FloatArray
    train_event: FloatArray


def folds_of(predictions: pd.DataFrame) -> dict[tuple[int, int], Fold]:
    """Split a predictions table into its test folds.

    The training patients of a fold are the others of its repeat.
    """
    folds = {}
    for repeat in sorted(set(predictions["repeat"])):
        whole = predictions[predictions["repeat"] == repeat]
        for fold in sorted(set(whole["fold"])):
            rest = whole[whole["fold"] != fold]
            folds[int(repeat), int(fold)] = Fold(
                whole[whole["fold"] == fold], rest["time"].to_numpy(float), rest["event"].to_numpy(bool)
            )
    return folds


def concordance(predictions: pd.DataFrame, kind: str, tau: float | None) -> Estimate:
    """Concordance of cross-validated risks: the mean over folds and repeats, with a 95 % interval.

    Parameters
    ----------
    predictions : DataFrame
        Columns `repeat, fold, time, event, log_risk`.
    kind : {"harrell", "uno"}
    tau : float or None
        Truncation time, in the unit of `time`.

    Returns
    -------
    Estimate
        See :func:`over_folds` for its standard error.
    """

    def one(fold: Fold) -> Influence:
        return _influence(fold, fold.table["log_risk"].to_numpy(float), kind, tau)

    return over_folds(predictions, one)


def concordance_difference(a: pd.DataFrame, b: pd.DataFrame, tau: float | None) -> Estimate:
    """Uno's C of `a` minus that of `b`, paired on the same patients and folds.

    Raises
    ------
    NotComputableError
        When the two tables do not hold the same patients in the same folds.
    """
    keys = ["repeat", "fold", "patient_id"]
    both = a.merge(b[[*keys, "log_risk"]], on=keys, suffixes=("", "_other"))
    if len(both) != len(a) or len(both) != len(b):
        raise NotComputableError(
            "the two sets of predictions do not hold the same patients in the same folds"
        )

    def one(fold: Fold) -> Influence:
        first = _influence(fold, fold.table["log_risk"].to_numpy(float), "uno", tau)
        second = _influence(fold, fold.table["log_risk_other"].to_numpy(float), "uno", tau)
        return first[0] - second[0], first[1] - second[1]

    return over_folds(both, one, bounds=(-1.0, 1.0))


def over_folds(
    predictions: pd.DataFrame, one: Callable[[Fold], Influence], bounds: tuple[float, float] = (0.0, 1.0)
) -> Estimate:
    """Average a fold-wise statistic over folds, then over repeats, with its interval.

    The variance of a test fold (from influence functions) is multiplied by
    ``1 / folds + n_test / n_train``. The first term alone would do if training sets were
    disjoint. They overlap, and patients test the networks that they train in other
    folds, so that a chance finding comes back from fold to fold (Nadeau & Bengio 2003,
    doi:10.1023/A:1024068626366, eq. 10; the folds of one repeat are counted, because
    repeats are the same patients again).
    """
    n, events = int(predictions["patient_id"].nunique()), _events(predictions)
    values: dict[int, list[float]] = {}
    variances, overlaps, notes = [], [], []
    for (repeat, number), fold in folds_of(predictions).items():
        try:
            value, influence = one(fold)
        except NotComputableError as error:
            notes.append(f"repeat {repeat} fold {number} left out: {error}")
            continue
        values.setdefault(repeat, []).append(value)
        variances.append(float(np.sum(influence**2)))
        overlaps.append(len(fold.table) / len(fold.train_time) if len(fold.train_time) else 0.0)
    if not values:
        return Estimate(None, None, None, None, n, events, "not computable: " + "; ".join(notes[:3]))
    mean = float(np.mean([np.mean(each) for each in values.values()]))
    folds = len(variances) / len(values)  # of one repeat: repeats are the same patients again
    se = float(np.sqrt(np.mean(variances) * (1 / folds + np.mean(overlaps))))
    low, high = max(bounds[0], mean - NORMAL_95 * se), min(bounds[1], mean + NORMAL_95 * se)
    return Estimate(mean, se, low, high, n, events, "; ".join(notes))


def _influence(fold: Fold, log_risk: FloatArray, kind: str, tau: float | None) -> Influence:
    time, event = fold.table["time"].to_numpy(float), fold.table["event"].to_numpy(bool)
    train = (fold.train_time, fold.train_event) if kind == "uno" and len(fold.train_time) else None
    return concordance_influence(time, event, log_risk, kind=kind, tau=tau, train=train)


def _events(predictions: pd.DataFrame) -> int:
    return int(predictions.drop_duplicates("patient_id")["event"].sum())


def summarise(
    models: Mapping[str, pd.DataFrame], tau: float | None, reference: str | None
) -> dict[str, dict[str, Estimate]]:
    """Metrics of every model on the same folds.

    Parameters
    ----------
    models : mapping of name to predictions table
    tau : float or None
        Truncation time of Uno's C.
    reference : str or None
        The clinical-only model that every other is compared with, paired.
    """
    table: dict[str, dict[str, Estimate]] = {}
    for name, predictions in models.items():
        table[name] = {
            "uno_c": concordance(predictions, "uno", tau),
            "harrell_c": concordance(predictions, "harrell", None),
        }
        if reference is not None and name != reference:
            table[name]["delta_uno_c_vs_clinical"] = concordance_difference(
                predictions, models[reference], tau
            )
    return table
