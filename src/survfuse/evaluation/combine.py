"""From folds to one number with an interval: within folds, then over folds and repeats.

A metric is computed inside each test fold, so that risks of different networks are never
compared, and averaged. Its standard error comes from influence functions; "sd over folds
/ sqrt(folds)" covers 40 % and is not used.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from survfuse._errors import NotComputableError
from survfuse.evaluation.assessment_settings import DEFAULT, WAYS, Interval, Scale
from survfuse.evaluation.folds import Fold, paired, repeats_of
from survfuse.evaluation.metric_registry import (
    At,
    Metric,
    ModelFolds,
    Score,
)
from survfuse.evaluation.training_variance import chance_share_of_difference
from survfuse.survival.estimate import LEVEL, SMALLEST_SE, Basis, Estimate, joined

__all__ = ["DEFAULT", "WAYS", "Interval", "difference", "estimate", "holm", "mean_of"]

MOST_NOTES = 3
Scored = list[tuple[Fold, Score]]  # of one repeat


def estimate(
    metric: Metric,
    model: ModelFolds,
    horizon: float | None = None,
) -> Estimate:
    """Compute a metric of a model over all its folds, with its 95 % interval.

    Parameters
    ----------
    metric : Metric
    model : ModelFolds
    horizon : float, optional
        Of a metric at horizons.

    Returns
    -------
    Estimate
        Of a metric with influence functions, its squared standard error is the variance of
        the mean over the folds of a repeat, times ``1 + chance``. The first term alone would
        do if what a network learned were the same for all training sets. Where it is
        chance, patients that train one network test another and each pair of patients is
        counted in both directions, which doubles the variance.
    """
    at = model.at(horizon)
    if metric.pooled is not None:
        return metric.pooled(model, at)
    basis = model.basis(metric.assumptions, metric.until(at))
    scores, left_out = _scores(model.folds, metric, at)
    if not scores:
        why = "; ".join(left_out[:MOST_NOTES]) or "there is no fold"
        return basis.missing(joined(why, metric.note(at)))
    bootstrap = model.scale.interval.kind == "bootstrap"
    note = joined(
        shortened(left_out),
        WAYS["bootstrap"] if bootstrap else "",
        metric.note(at),
        *_fold_notes(scores, len(model.folds)),
    )
    value = _mean(scores)
    if bootstrap:
        values = list(_resampled(model, metric, at))
        return _bootstrapped(basis, value, values, model, metric.limits, note)
    variance = np.mean([_variance(repeat) for repeat in scores])
    se = float(np.sqrt(variance * _widening(model)))
    return basis.around(
        value,
        se,
        metric.limits,
        logit=metric.logit,
        note=note,
    )


def difference(
    metric: Metric,
    a: Sequence[Fold],
    b: Sequence[Fold],
    scale: Scale,
    chance: float | None = None,
) -> Estimate:
    """Compute a metric of `a` minus that of `b`, paired on the same patients and folds.

    Raises
    ------
    NotComputableError
        When the two do not hold the same patients in the same folds.
    """
    pairs = paired(a, b)
    firsts = tuple(first for first, _ in pairs)
    others = {first.place: second for first, second in pairs}
    if chance is None:
        chance = chance_share_of_difference(firsts, tuple(others.values()))
    compute = metric.influence
    assert compute is not None

    def minus(fold: Fold, at: At) -> Score:
        other = _same_rows(others[fold.place], fold)
        one, two = compute(fold, at), compute(other, at)
        return one._replace(
            value=one.value - two.value,
            influence=one.influence - two.influence,
        )

    low, high = metric.limits
    limits = (low - high, high - low)
    signed = replace(
        metric,
        influence=minus,
        limits=limits,
        logit=False,
    )
    return estimate(signed, ModelFolds(firsts, scale, tuple(b), chance))


def _same_rows(other: Fold, fold: Fold) -> Fold:
    """Rows of `other` for the patients of `fold`, which may be a resample."""
    if np.array_equal(other.patient_id, fold.patient_id):
        return other
    row = {patient: i for i, patient in enumerate(other.patient_id)}
    return other.select(np.array([row[patient] for patient in fold.patient_id]))


def _scores(
    folds: Sequence[Fold],
    metric: Metric,
    at: At,
) -> tuple[list[Scored], list[str]]:
    """Score of every fold that has one, by repeat, and why others have none."""
    assert metric.influence is not None
    scores, left_out = [], []
    for repeat in repeats_of(folds):
        scored: Scored = []
        for fold in repeat:
            try:
                scored.append((fold, metric.influence(fold, at)))
            except NotComputableError as why:
                label = "" if len(folds) == 1 else f"{fold.label} left out: "
                left_out.append(f"{label}{why}")
        if scored:
            scores.append(scored)
    return scores, left_out


def _mean(scores: Sequence[Scored]) -> float:
    """Mean over the folds of a repeat, then over repeats."""
    means = []
    for repeat in scores:
        means.append(np.mean([score.value for _, score in repeat]))
    return float(np.mean(means))


def _variance(repeat: Scored) -> float:
    """Variance of the mean over the folds of one repeat (repeats are the same patients again)."""
    sums = [np.sum(score.influence**2) for _, score in repeat]
    return float(np.mean(sums) / len(repeat))


def _fold_notes(
    scores: Sequence[Scored],
    folds: int,
) -> Iterator[str]:
    """Restrictions with the names of their folds, then every other note once."""
    restrictions: list[str] = []
    notes: dict[str, None] = {}
    for repeat in scores:
        for fold, score in repeat:
            notes[score.note] = None
            if score.restriction:
                label = "" if folds == 1 else f"{fold.label} "
                restrictions.append(label + score.restriction)
    yield shortened(restrictions)
    yield from notes


def shortened(notes: Sequence[str]) -> str:
    """The first few notes, and how many more there are."""
    more = len(notes) - MOST_NOTES
    return joined(*notes[:MOST_NOTES], f"and {more} more folds" if more > 0 else "")


def _widening(model: ModelFolds) -> float:
    """Factor of the variance for what training changes, by the kind of interval."""
    if model.scale.interval.kind == "influence":
        return 1 + model.chance_share
    repeats = repeats_of(model.folds)
    ratios = [
        len(fold) / len(fold.train[0])
        for fold in model.folds
        if fold.train is not None and len(fold.train[0])
    ]
    if not ratios or all(len(part) == 1 for part in repeats):
        return 1.0
    per_repeat = np.mean([len(part) for part in repeats])
    return float(1 + np.mean(ratios) * per_repeat)


def _bootstrapped(
    basis: Basis,
    value: float,
    resampled: Sequence[float],
    model: ModelFolds,
    limits: tuple[float, float],
    note: str,
) -> Estimate:
    """Percentiles over resamples of patients."""
    if len(resampled) < model.scale.interval.draws / 2:
        return basis.without_se(value, joined(note, "too few resamples had a value"))
    se = float(np.std(resampled, ddof=1))
    if not se >= SMALLEST_SE:
        return basis.around(value, se, note=note)
    low, high = np.quantile(resampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]).tolist()
    return basis.estimate(value, se, max(low, limits[0]), min(high, limits[1]), note)


def _resampled(
    model: ModelFolds,
    metric: Metric,
    at: At,
) -> Iterator[float]:
    """Values in resamples that have one; a patient counts alike in every repeat."""
    interval, folds = model.scale.interval, model.folds
    generator = np.random.default_rng(interval.seed)
    everyone = np.unique(np.concatenate([fold.patient_id for fold in folds]))
    rows = [np.searchsorted(everyone, fold.patient_id) for fold in folds]
    for _ in range(interval.draws):
        drawn = generator.integers(len(everyone), size=len(everyone))
        times = np.bincount(drawn, minlength=len(everyone))
        resample = []
        for fold, own in zip(folds, rows, strict=True):
            picked = np.repeat(np.arange(len(fold)), times[own])
            if len(picked):
                resample.append(fold.select(picked))
        scores, _left_out = _scores(resample, metric, at)
        if scores:
            yield _mean(scores)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Adjust p-values for looking at several (Holm 1979); None stays None.

    >>> holm([0.01, None, 0.04])
    [0.02, None, 0.04]
    """
    known = sorted((p, i) for i, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    running = 0.0
    for rank, (p, i) in enumerate(known):
        running = max(running, min(1.0, p * (len(known) - rank)))
        adjusted[i] = running
    return adjusted


def mean_of(estimates: Sequence[Estimate]) -> Estimate:
    """Average a metric computed once per repeat: the same patients, so not narrower."""
    known = [e for e in estimates if e.value is not None]
    if not known:
        return estimates[0]
    # NaN where one is not known.
    columns = np.array([(e.value, e.se, e.low, e.high) for e in known], dtype=float).T
    columns[1] = np.square(columns[1])
    means = np.mean(np.ascontiguousarray(columns), axis=1)
    means[1] = np.sqrt(means[1])
    value, se, low, high = [None if np.isnan(m) else m for m in means.tolist()]
    notes = list(dict.fromkeys(e.note for e in estimates if e.note))
    note = joined(*notes[:MOST_NOTES])
    return replace(
        known[0],
        value=value,
        se=se,
        low=low,
        high=high,
        note=note,
    )
