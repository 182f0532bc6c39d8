"""The tables behind the figures of a report: over time, calibration, decisions, subgroups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from survfuse._errors import NotComputableError
from survfuse._types import FloatArray
from survfuse.evaluation.assessment import assess, cards
from survfuse.evaluation.assessment_settings import Scale
from survfuse.evaluation.combine import estimate, mean_of
from survfuse.evaluation.folds import Fold, Pooled, patients_of, repeats_of, select
from survfuse.evaluation.metric_registry import Metric, ModelFolds
from survfuse.figures.formatting import plural
from survfuse.survival.curves import SurvivalCurves
from survfuse.survival.estimate import Basis, Estimate
from survfuse.survival.net_benefit import net_benefit, net_benefit_all
from survfuse.survival.right_censored import Tally
from survfuse.survival.smooth_calibration import calibration_curve

TIMES = 20  # points of a curve over time
THRESHOLDS = 30  # points of a decision curve
BARS = 25  # of a histogram of predictions
FEWEST = 10  # patients of a subgroup that is assessed
IN_SUBGROUPS = ("uno_c", "observed_expected")
Models = Mapping[str, Sequence[Fold]]
Rows = list[dict[str, Any]]


def null_folds(folds: Sequence[Fold]) -> tuple[Fold, ...]:
    """Give every patient the Kaplan–Meier curve of those who give the censoring weights."""
    null = []
    for fold in folds:
        tally, n = Tally.of(fold.censoring_source), len(fold)
        survival = np.broadcast_to(tally.survival, (n, len(tally.time)))
        curves = SurvivalCurves(tally.time, survival, float(tally.time[-1]))
        null.append(
            replace(
                fold,
                log_risk=np.zeros(n),
                curves=curves,
            ),
        )
    return tuple(null)


def over_time(
    models: Models,
    null: Sequence[Fold],
    scale: Scale,
) -> Rows:
    """AUC and Brier score at times up to τ, and the Brier score of the Kaplan–Meier curve.

    Returns
    -------
    list of dict
        `model, metric, time, value, low, high`; "km" is the Kaplan–Meier curve for everyone.
    """
    auc, brier = cards(("auc", "brier"))
    curves = [(name, ModelFolds(folds, scale)) for name, folds in models.items()]
    metrics: dict[str, tuple[Metric, ...]] = {"km": (brier,)}
    for name, model in curves:
        has_curves = any(fold.curves is not None for fold in model.folds)
        metrics[name] = (auc, brier) if has_curves else (auc,)
    rows: Rows = []
    for name, model in [*curves, ("km", ModelFolds(null, scale, chance=0.0))]:
        for time in np.linspace(0, scale.tau, TIMES + 1)[1:].tolist():
            for metric in metrics[name]:
                row = {"model": name, "metric": metric.key, "time": time}
                rows.append(row | _interval(estimate(metric, model, time)))
    return rows


def _interval(e: Estimate) -> dict[str, float | None]:
    return {"value": e.value, "low": e.low, "high": e.high}


def calibration_tables(
    models: Models,
    scale: Scale,
) -> tuple[Rows, Rows]:
    """Smooth calibration curves with bands, and histograms of the predictions, by horizon.

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
    for name, folds in models.items():
        first = Pooled(repeats_of(folds)[0])
        for horizon in scale.horizons:
            try:
                survival = first.survival(horizon)
                curve = calibration_curve(
                    first.outcome.time,
                    first.outcome.event,
                    survival,
                    horizon,
                    bootstrap=scale.draws,
                    seed=scale.interval.seed,
                )
            except NotComputableError:
                continue
            place = {"model": name, "horizon": horizon}
            columns = {
                "predicted": curve.predicted,
                "observed": curve.observed,
                "low": curve.low,
                "high": curve.high,
            }
            curves += _rows(place, columns)
            counts, edges = np.histogram(
                1 - survival,
                bins=BARS,
                range=(0.0, 1.0),
            )
            bars = {"left": edges[:-1], "right": edges[1:], "patients": counts}
            histogram += _rows(place, bars)
    return curves, histogram


def _rows(
    place: Mapping[str, Any],
    columns: Mapping[str, Any],
) -> Rows:
    """Rows of plain numbers, None where there is none (no band without resamples)."""
    frame = pd.DataFrame(columns).astype(object)
    frame = frame.where(np.isfinite(frame.astype(float)), None)
    rows: Rows = frame.to_dict("records")  # type: ignore[assignment]
    return [{**place, **row} for row in rows]


def decision_curves(models: Models, horizon: float) -> Rows:
    """Net benefit over threshold probabilities of each model, of treating all and of treating none.

    Returns
    -------
    list of dict
        `strategy, horizon, threshold, value, low, high`.
    """
    rows: Rows = []
    reference: Pooled | None = None
    thresholds = np.zeros(0)
    for name, folds in models.items():
        repeats = [Pooled(part) for part in repeats_of(folds)]
        try:
            survivals = [repeat.survival(horizon) for repeat in repeats]
        except NotComputableError:
            continue
        if reference is None:
            reference = repeats[0]
            highest = float(np.quantile(1 - survivals[0], 0.99))
            thresholds = np.linspace(0.01, min(max(highest, 0.1), 0.95), THRESHOLDS)
        benefits = []
        for repeat, survival in zip(repeats, survivals, strict=True):
            time, event = repeat.outcome.time, repeat.outcome.event
            benefits.append(net_benefit(time, event, survival, horizon, thresholds))
        means = [mean_of(at) for at in zip(*benefits, strict=True)]
        rows += _benefits(name, horizon, thresholds, means)
    if reference is not None:
        time, event = reference.outcome.time, reference.outcome.event
        everyone = net_benefit_all(time, event, horizon, thresholds)
        nobody = [Estimate(0.0, None, None, None, 0, 0)] * len(thresholds)
        rows += _benefits("treat all", horizon, thresholds, everyone)
        rows += _benefits("treat none", horizon, thresholds, nobody)
    return rows


def _benefits(
    strategy: str,
    horizon: float,
    thresholds: FloatArray,
    estimates: Sequence[Estimate],
) -> Rows:
    place = {"strategy": strategy, "horizon": horizon}
    return [
        {**place, "threshold": threshold, **_interval(e)}
        for threshold, e in zip(thresholds.tolist(), estimates, strict=True)
    ]


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
    rows = _within({"group": "everyone", "level": ""}, name, folds, scale)
    for group in groups.columns:
        column = groups[group].astype("category")
        for level in column.cat.categories:
            place = {"group": str(group), "level": str(level)}
            part = select(folds, column.index[column == level])
            rows += _within(place, name, part, scale)
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
        place = {"modalities": list(modalities)}
        rows += _within(place, name, select(folds, patients), scale)
    return rows


def _within(
    place: Mapping[str, Any],
    name: str,
    folds: Sequence[Fold],
    scale: Scale,
) -> Rows:
    """Rows of the model among some patients; `place` says which."""
    n, events = patients_of(folds)
    if n < FEWEST or events == 0:
        reason = f"fewer than {FEWEST} patients" if n < FEWEST else "no event"
        why = f"{plural(n, 'patient')}, {plural(events, 'event')}: {reason}"
        estimates = dict.fromkeys(IN_SUBGROUPS, Basis(n, events).missing(why))
    else:
        estimates = assess(folds, scale, IN_SUBGROUPS)
    shared = {**place, "patients": n, "events": events, "model": name}
    return [
        {**shared, "metric": metric, **_interval(e), "note": e.note}
        for metric, e in estimates.items()
    ]
