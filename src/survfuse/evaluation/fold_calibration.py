"""Calibration over folds: whether predicted curves agree with what happened."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from survfuse._errors import NotComputableError
from survfuse._types import FloatArray
from survfuse.evaluation.assessment_settings import Scale
from survfuse.evaluation.combine import (
    mean_of,
)
from survfuse.evaluation.folds import Fold, patients_of, repeats_of
from survfuse.survival.calibration_slope import calibration_slope, observed_expected
from survfuse.survival.d_calibration import d_calibration
from survfuse.survival.estimate import Estimate, joined, not_computable
from survfuse.survival.explained_variation import kent_oquigley_r2, royston_r2
from survfuse.survival.smooth_calibration import ERRORS, calibration_errors
from survfuse.survival.ties import at_or_before


def calibration(folds: Sequence[Fold], scale: Scale) -> dict[str, Estimate]:
    """How well predicted curves agree with what happened."""
    found = {
        "observed_expected": expected_events(folds),
        "calibration_slope": slope(folds, scale.horizons[-1]),
    }
    for h in scale.horizons:
        found |= {
            f"{name}_{h:g}": estimate
            for name, estimate in _smooth(folds, h, scale).items()
        }
    found["d_calibration"] = _d_calibration(folds)
    lines = _linear_predictors(folds, scale.horizons[-1])
    for name, measure in (
        ("royston_r2", royston_r2),
        ("kent_oquigley_r2", kent_oquigley_r2),
    ):
        found[name] = _per_repeat(
            folds,
            partial(_explained, lines=lines, measure=measure),
        )
    return found


def expected_events(folds: Sequence[Fold]) -> Estimate:
    """Observed over expected events, with each patient's expectation averaged over repeats.

    Follow-up beyond what a patient's curve is known for is not counted.
    """
    n, events = patients_of(folds)
    hazard: dict[object, list[float]] = {}
    outcome: dict[object, tuple[float, bool]] = {}
    cut: set[object] = set()
    try:
        for fold in folds:
            own = fold.known_curves.own(fold.time)
            late = ~at_or_before(fold.time, fold.known_curves.last)
            cut.update(fold.patient_id[late & fold.event])
            if (own <= 0).any():
                raise NotComputableError(
                    f"{int((own <= 0).sum())} patients have a predicted survival of 0 at their follow-up,"
                    " which expects infinitely many events",
                )
            for patient, h, time, event in zip(
                fold.patient_id,
                -np.log(own),
                fold.time,
                fold.event & ~late,
                strict=True,
            ):
                hazard.setdefault(patient, []).append(float(h))
                outcome[patient] = (float(time), bool(event))
    except NotComputableError as why:
        return not_computable(str(why), n, events)
    times, flags = zip(*outcome.values(), strict=True)
    mean = [float(np.mean(hazard[patient])) for patient in outcome]
    found = observed_expected(np.array(times), np.array(flags), np.array(mean))
    note = (
        f"{len(cut)} events beyond the last time of the curves not counted"
        if cut
        else ""
    )
    return replace(found, note=joined(found.note, note))


def slope(folds: Sequence[Fold], horizon: float) -> Estimate:
    """Calibration slope, each fold with its own baseline and all with one slope.

    Of the log cumulative hazard of the curves at `horizon`; of the log-risk itself
    where there are no curves.
    """
    n, events = patients_of(folds)
    lines = _linear_predictors(folds, horizon)

    def one(part: Sequence[Fold]) -> Estimate:
        values = [lines[fold.repeat, fold.fold] for fold in part]
        why = next((value for value in values if isinstance(value, str)), None)
        if why is not None:
            return not_computable(why, n, events)
        stratum = np.repeat(np.arange(len(part)), [len(fold) for fold in part])
        return calibration_slope(
            *_outcome(part),
            np.concatenate(values),
            stratum=stratum,
        )

    found = _per_repeat(folds, one)
    if any(fold.curves is None for fold in folds):
        found = replace(
            found,
            note=joined(found.note, "of the log-risk itself: there are no curves"),
        )
    return found


def _outcome(part: Sequence[Fold]) -> tuple[FloatArray, FloatArray]:
    return np.concatenate([f.time for f in part]), np.concatenate(
        [f.event for f in part],
    )


def _per_repeat(
    folds: Sequence[Fold],
    one: Callable[[Sequence[Fold]], Estimate],
) -> Estimate:
    return mean_of([one(part) for part in repeats_of(folds)])


def _linear_predictors(
    folds: Sequence[Fold],
    horizon: float,
) -> dict[tuple[int, int], FloatArray | str]:
    """Log cumulative hazard at the horizon, the log-risk where there are no curves, or why neither."""
    return {
        (fold.repeat, fold.fold): _linear_predictor(fold, horizon) for fold in folds
    }


def _linear_predictor(fold: Fold, horizon: float) -> FloatArray | str:
    if fold.curves is None:
        return (
            fold.log_risk
            if fold.log_risk is not None
            else "the predictions hold neither risks nor curves"
        )
    at = fold.curves.at([min(horizon, fold.curves.last)])[:, 0]
    clipped = np.clip(at, 1e-12, 1 - 1e-12)
    return np.log(-np.log(clipped))


def _smooth(folds: Sequence[Fold], horizon: float, scale: Scale) -> dict[str, Estimate]:
    """ICI, E50 and E90 at one horizon, from one fit and one bootstrap per repeat."""
    n, events = patients_of(folds)

    def one(part: Sequence[Fold]) -> dict[str, Estimate]:
        try:
            survival = np.concatenate([fold.survival([horizon]) for fold in part])
        except NotComputableError as why:
            return dict.fromkeys(ERRORS, not_computable(str(why), n, events))
        errors = calibration_errors(
            *_outcome(part),
            survival,
            [horizon],
            bootstrap=scale.draws,
            seed=scale.interval.seed,
        )
        return {name: at[0] for name, at in errors.items()}

    repeats = [one(part) for part in repeats_of(folds)]
    return {name: mean_of([errors[name] for errors in repeats]) for name in ERRORS}


def _d_calibration(folds: Sequence[Fold]) -> Estimate:
    n, events = patients_of(folds)
    first = repeats_of(folds)[0]
    try:
        own = np.concatenate([fold.known_curves.own(fold.time) for fold in first])
        last = np.concatenate(
            [np.full(len(fold), fold.known_curves.last) for fold in first],
        )
        within = np.concatenate(
            [at_or_before(fold.time, fold.known_curves.last) for fold in first],
        )
    except NotComputableError as why:
        return not_computable(str(why), n, events)
    time, event = _outcome(first)
    found = d_calibration(np.minimum(time, last), event.astype(bool) & within, own)
    several = "of the first repeat" if len(repeats_of(folds)) > 1 else ""
    return replace(found, note=joined(found.note, several))


def _explained(
    part: Sequence[Fold],
    lines: dict[tuple[int, int], FloatArray | str],
    measure: Callable[..., Estimate],
) -> Estimate:
    values = [lines[fold.repeat, fold.fold] for fold in part]
    time, event = _outcome(part)
    why = next((value for value in values if isinstance(value, str)), None)
    if why is None and any(fold.curves is None for fold in part) and len(part) > 1:
        why = "risks of different models cannot be pooled without their curves"
    if why is not None:
        return not_computable(why, len(time), int(event.sum()))
    return measure(time, event, np.concatenate(values))
