"""The tables behind the figures of a report: over time, calibration, decisions, subgroups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from survfuse._errors import NotComputableError
from survfuse._types import FloatArray
from survfuse.evaluation.assessment import auc_at, brier_at
from survfuse.evaluation.assessment_settings import Scale
from survfuse.evaluation.combine import mean_of
from survfuse.evaluation.fold_calibration import expected_events
from survfuse.evaluation.folds import Fold, Shared, patients_of, repeats_of, select
from survfuse.evaluation.ranking import concordance
from survfuse.evaluation.training_variance import chance_share
from survfuse.survival.curves import kaplan_meier
from survfuse.survival.estimate import Estimate, not_computable
from survfuse.survival.net_benefit import net_benefit, net_benefit_all
from survfuse.survival.smooth_calibration import calibration_curve

TIMES = 20  # points of a curve over time
THRESHOLDS = 30  # points of a decision curve
BARS = 25  # of a histogram of predictions
FEWEST = 10  # patients of a subgroup that is told
Models = Mapping[str, Sequence[Fold]]
Rows = list[dict[str, Any]]


def null_folds(folds: Sequence[Fold]) -> tuple[Fold, ...]:
    """Give every patient the Kaplan–Meier curve of the training patients (of these, where there are none)."""
    return tuple(_null(fold) for fold in folds)


def _null(fold: Fold) -> Fold:
    curve = kaplan_meier(
        *(fold.train if fold.train is not None else (fold.time, fold.event)),
    )
    return replace(fold, log_risk=np.zeros(len(fold)), curves=Shared(curve, len(fold)))


def over_time(models: Models, null: Sequence[Fold], scale: Scale) -> Rows:
    """AUC and Brier score at evenly spaced times up to τ, and the Brier score of the Kaplan–Meier curve.

    Returns
    -------
    list of dict
        `model, metric, time, value, low, high`; "km" is the Kaplan–Meier curve for everyone.
    """
    times = np.linspace(0, scale.tau, TIMES + 1)[1:]
    rows: Rows = []
    for name, folds in models.items():
        chance = chance_share(folds)
        for time in times:
            rows.append(
                _at(name, "auc", time, auc_at(folds, time, scale.interval, chance)),
            )
            if any(fold.curves is not None for fold in folds):
                rows.append(
                    _at(
                        name,
                        "brier",
                        time,
                        brier_at(folds, time, scale.interval, chance),
                    ),
                )
    rows += [
        _at("km", "brier", time, brier_at(null, time, scale.interval, 0.0))
        for time in times
    ]
    return rows


def _at(model: str, metric: str, time: float, estimate: Estimate) -> dict[str, Any]:
    told = {"value": estimate.value, "low": estimate.low, "high": estimate.high}
    return {"model": model, "metric": metric, "time": float(time), **told}


def calibration_tables(models: Models, scale: Scale) -> tuple[Rows, Rows]:
    """Smooth calibration curves with bootstrap bands, and histograms of the predictions, at every horizon.

    The first repeat is drawn: every patient once.

    Returns
    -------
    curves : list of dict
        `model, horizon, predicted, observed, low, high`; probabilities of the event.
    histogram : list of dict
        `model, horizon, left, right, patients`.
    """
    curves: Rows = []
    histogram: Rows = []
    fields = ("predicted", "observed", "low", "high")
    for name, folds in models.items():
        first = repeats_of(folds)[0]
        for horizon in scale.horizons:
            try:
                survival = _survival(first, horizon)
                drawn = calibration_curve(
                    np.concatenate([fold.time for fold in first]),
                    np.concatenate([fold.event for fold in first]),
                    survival,
                    horizon,
                    bootstrap=scale.draws,
                    seed=scale.interval.seed,
                )
            except NotComputableError:
                continue
            columns = [
                _column(getattr(drawn, field), len(drawn.predicted)) for field in fields
            ]
            place = {"model": name, "horizon": horizon}
            for values in zip(*columns, strict=True):
                curves.append({**place, **dict(zip(fields, values, strict=True))})
            counts, edges = np.histogram(1 - survival, bins=BARS, range=(0.0, 1.0))
            histogram += [
                {**place, "left": float(a), "right": float(b), "patients": int(c)}
                for a, b, c in zip(edges[:-1], edges[1:], counts, strict=True)
            ]
    return curves, histogram


def _column(values: FloatArray | None, rows: int) -> list[float | None]:
    """Plain numbers, None where there is none (no band without resamples)."""
    if values is None:
        return [None] * rows
    return [float(value) if np.isfinite(value) else None for value in values]


def decision_curves(models: Models, horizon: float) -> Rows:
    """Net benefit over threshold probabilities of each model, of treating all and of treating none.

    Returns
    -------
    list of dict
        `strategy, horizon, threshold, value, low, high`.
    """
    rows: Rows = []
    some: list[Fold] = []
    thresholds: FloatArray | None = None
    for name, folds in models.items():
        try:
            repeats = [
                (part, np.concatenate([f.survival([horizon])[:, 0] for f in part]))
                for part in repeats_of(folds)
            ]
        except NotComputableError:
            continue
        if thresholds is None:
            highest = float(np.quantile(1 - repeats[0][1], 0.99))
            thresholds = np.linspace(0.01, min(max(highest, 0.1), 0.95), THRESHOLDS)
            some = repeats[0][0]
        each = [
            net_benefit(*_outcome(part), survival, horizon, thresholds)
            for part, survival in repeats
        ]
        rows += _benefits(
            name,
            horizon,
            thresholds,
            [mean_of(at) for at in zip(*each, strict=True)],
        )
    if thresholds is not None:
        rows += _benefits(
            "treat all",
            horizon,
            thresholds,
            net_benefit_all(*_outcome(some), horizon, thresholds),
        )
        none = {
            "strategy": "treat none",
            "horizon": horizon,
            "value": 0.0,
            "low": None,
            "high": None,
        }
        rows += [{**none, "threshold": float(t)} for t in thresholds]
    return rows


def _benefits(
    strategy: str,
    horizon: float,
    thresholds: FloatArray,
    estimates: Sequence[Estimate],
) -> Rows:
    return [
        {
            "strategy": strategy,
            "horizon": horizon,
            "threshold": float(t),
            "value": e.value,
            "low": e.low,
            "high": e.high,
        }
        for t, e in zip(thresholds, estimates, strict=True)
    ]


def _survival(part: Sequence[Fold], horizon: float) -> FloatArray:
    return np.concatenate([fold.survival([horizon])[:, 0] for fold in part])


def _outcome(part: Sequence[Fold]) -> tuple[FloatArray, Any]:
    return np.concatenate([f.time for f in part]), np.concatenate(
        [f.event for f in part],
    )


def by_subgroup(
    name: str,
    folds: Sequence[Fold],
    groups: pd.DataFrame,
    scale: Scale,
) -> Rows:
    """Uno's C and O/E of the model among the patients of each site and subgroup.

    Parameters
    ----------
    name : str
        The model.
    folds : sequence of Fold
    groups : DataFrame of categories
        One column a grouping, indexed by patient; missing where not known.
    scale : Scale

    Returns
    -------
    list of dict
        `group, level, patients, events, model, metric, value, low, high, note`; everyone first.
    """
    rows = _subgroup(name, "everyone", "", folds, scale)
    for group in groups.columns:
        column = groups[group].astype("category")
        for level in column.cat.categories:
            rows += _subgroup(
                name,
                str(group),
                str(level),
                select(folds, column.index[column == level]),
                scale,
            )
    return rows


def by_pattern(
    name: str,
    folds: Sequence[Fold],
    patterns: Mapping[tuple[str, ...], Sequence[str]],
    scale: Scale,
) -> Rows:
    """Uno's C and O/E of the model among the patients of each availability pattern.

    Parameters
    ----------
    name : str
        The model.
    folds : sequence of Fold
    patterns : mapping of modalities to patients
        Who has just these modalities.
    scale : Scale

    Returns
    -------
    list of dict
        `modalities, patients, events, model, metric, value, low, high, note`.
    """
    rows: Rows = []
    for modalities, patients in patterns.items():
        rows += _within(
            {"modalities": list(modalities)},
            name,
            select(folds, patients),
            scale,
        )
    return rows


def _subgroup(
    name: str,
    group: str,
    level: str,
    folds: Sequence[Fold],
    scale: Scale,
) -> Rows:
    return _within({"group": group, "level": level}, name, folds, scale)


def _within(
    where: Mapping[str, Any],
    name: str,
    folds: Sequence[Fold],
    scale: Scale,
) -> Rows:
    """Rows of the model among some patients; `where` says which."""
    n, events = patients_of(folds)
    place = {**where, "patients": n, "events": events, "model": name}
    if n < FEWEST or events == 0:
        reason = f"fewer than {FEWEST} patients" if n < FEWEST else "no event"
        why = f"{n} patients, {events} events: {reason}"
        found = {
            metric: not_computable(why, n, events)
            for metric in ("uno_c", "observed_expected")
        }
    else:
        found = {
            "uno_c": concordance(folds, "uno", scale.tau, interval=scale.interval),
            "observed_expected": expected_events(folds),
        }
    return [
        {
            **place,
            "metric": metric,
            "value": e.value,
            "low": e.low,
            "high": e.high,
            "note": e.note,
        }
        for metric, e in found.items()
    ]
