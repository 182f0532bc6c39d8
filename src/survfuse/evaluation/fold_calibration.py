"""Metrics of calibration over folds: whether predicted curves agree with what happened."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd

from survfuse._errors import NotComputableError
from survfuse._types import FloatArray
from survfuse.evaluation.combine import mean_of
from survfuse.evaluation.folds import Fold, Pooled, patients_of, repeats_of
from survfuse.evaluation.metric_registry import (
    AGREEMENT,
    EXPLAINED,
    HIGHER,
    LOWER,
    ONE,
    At,
    Metric,
    ModelFolds,
    register,
)
from survfuse.survival.calibration_slope import observed_over_expected, slope_of
from survfuse.survival.d_calibration import d_calibration
from survfuse.survival.estimate import Basis, Estimate, joined
from survfuse.survival.explained_variation import kent_oquigley, royston
from survfuse.survival.right_censored import Outcome
from survfuse.survival.smooth_calibration import ERRORS, errors_at
from survfuse.survival.ties import at_or_before


def expected_events(folds: Sequence[Fold]) -> Estimate:
    """Observed over expected events, with each patient's expectation averaged over repeats.

    Follow-up beyond what a patient's curve is known for is not counted.
    """
    basis = Basis(*patients_of(folds))
    return basis.computed(lambda: _expected_events(folds))


def _expected_events(folds: Sequence[Fold]) -> Estimate:
    survival = [fold.known_curves.own(fold.time) for fold in folds]
    for own in survival:
        if (own <= 0).any():
            raise NotComputableError(
                f"{int((own <= 0).sum())} patients have a predicted survival of 0 at their"
                " follow-up, which expects infinitely many events",
            )
    hazard = -np.log(np.concatenate(survival))
    within = np.concatenate([_within_curves(fold) for fold in folds])
    event = np.concatenate([fold.event for fold in folds])
    ids = np.concatenate([fold.patient_id for fold in folds])
    patient, everyone = pd.factorize(ids)
    mean = np.bincount(patient, weights=hazard) / np.bincount(patient)
    # One outcome per patient: the last of its repeats.
    last = np.zeros(len(everyone), dtype=np.int64)
    last[patient] = np.arange(len(patient))
    time = np.concatenate([fold.time for fold in folds])
    outcome = Outcome.of(time[last], (event & within)[last])
    result = observed_over_expected(outcome, mean)
    late = len(set(ids[event & ~within]))
    note = f"{late} events beyond the last time of the curves not counted"
    return replace(result, note=joined(result.note, note if late else ""))


def _within_curves(fold: Fold) -> np.ndarray:
    """Whose follow-up ends before the curves do, (patients,)."""
    return at_or_before(fold.time, fold.known_curves.last)


def slope(folds: Sequence[Fold], horizon: float) -> Estimate:
    """Calibration slope, each fold with its own baseline and all with one slope.

    Of the log cumulative hazard of the curves at `horizon`; of the log-risk itself
    where there are no curves.
    """
    return _slope([Pooled(part) for part in repeats_of(folds)], horizon)


def _slope(
    repeats: Sequence[Pooled],
    horizon: float,
) -> Estimate:
    folds = [fold for repeat in repeats for fold in repeat.folds]
    basis = Basis(*patients_of(folds))

    def one(repeat: Pooled) -> Estimate:
        line = _linear_predictor(repeat, horizon)
        return slope_of(repeat.outcome, line, repeat.stratum)

    result = mean_of([basis.computed(partial(one, repeat)) for repeat in repeats])
    if all(fold.curves is not None for fold in folds):
        return result
    note = joined(result.note, "of the log-risk itself: there are no curves")
    return replace(result, note=note)


def _linear_predictor(
    repeat: Pooled,
    horizon: float,
) -> FloatArray:
    """Log cumulative hazard at the horizon, the log-risk where there are no curves, (patients,)."""
    lines = []
    for fold in repeat.folds:
        if fold.curves is not None:
            at = fold.curves.at([min(horizon, fold.curves.last)])[:, 0]
            lines.append(np.log(-np.log(np.clip(at, 1e-12, 1 - 1e-12))))
        elif fold.log_risk is not None:
            lines.append(fold.risk)
        else:
            raise NotComputableError(
                "the predictions hold neither risks nor curves",
            )
    return np.concatenate(lines)


def _smooth(model: ModelFolds, at: At) -> dict[str, Estimate]:
    """ICI, E50 and E90 at one horizon, from one fit and one bootstrap per repeat."""
    repeats = []
    for repeat in model.repeats:
        try:
            risk = 1 - repeat.survival(at.horizon)
        except NotComputableError as why:
            repeats.append(dict.fromkeys(ERRORS, model.basis().missing(str(why))))
            continue
        outcome, horizon = repeat.outcome.with_horizon(at.horizon)
        seed = model.scale.interval.seed
        repeats.append(
            errors_at(
                outcome,
                risk,
                horizon,
                bootstrap=model.scale.draws,
                seed=seed,
            ),
        )
    columns = zip(*(errors.values() for errors in repeats), strict=True)
    return dict(zip(ERRORS, map(mean_of, columns), strict=True))


def _one_error(
    model: ModelFolds,
    at: At,
    *,
    name: str,
) -> Estimate:
    return model.once(_smooth, at)[name]


def _d_calibration(model: ModelFolds, at: At) -> Estimate:
    first = model.repeats[0]

    def compute() -> Estimate:
        own, last, within = [], [], []
        for fold in first.folds:
            own.append(fold.known_curves.own(fold.time))
            last.append(np.full(len(fold), fold.known_curves.last))
            within.append(_within_curves(fold))
        time = np.minimum(first.outcome.time, np.concatenate(last))
        event = first.outcome.event & np.concatenate(within)
        result = d_calibration(time, event, np.concatenate(own))
        several = "of the first repeat" if len(model.repeats) > 1 else ""
        return replace(result, note=joined(result.note, several))

    return model.basis().computed(compute)


def _explained(
    model: ModelFolds,
    at: At,
    *,
    compute: Callable[[Outcome, FloatArray], Estimate],
) -> Estimate:
    def one(repeat: Pooled) -> Estimate:
        line = _linear_predictor(repeat, at.horizon)
        if any(fold.curves is None for fold in repeat.folds) and len(repeat.folds) > 1:
            raise NotComputableError(
                "risks of different models cannot be pooled without their curves",
            )
        return compute(repeat.outcome, line)

    estimates = []
    for repeat in model.repeats:
        basis = Basis(len(repeat.outcome), repeat.outcome.events)
        estimates.append(basis.computed(partial(one, repeat)))
    return mean_of(estimates)


register(
    Metric(
        "observed_expected",
        "Observed / expected events",
        AGREEMENT,
        ONE,
        "Above 1: more events than predicted.",
        "Σ events / Σ H(T)",
        needs=("survival",),
        pooled=lambda model, at: expected_events(model.folds),
    ),
)
register(
    Metric(
        "calibration_slope",
        "Calibration slope",
        AGREEMENT,
        ONE,
        "Below 1: predictions too extreme.",
        "Cox on the log cumulative hazard, each fold its own baseline",
        needs=("log_risk", "survival"),
        pooled=lambda model, at: _slope(model.repeats, at.horizon),
    ),
)
for _name, _title, _summary in (
    ("ici", "ICI", "Mean distance of predicted from observed probability."),
    ("e50", "E50", "Median distance of predicted from observed probability."),
    ("e90", "E90", "Nine tenths of patients are closer than this."),
):
    register(
        Metric(
            _name,
            _title,
            AGREEMENT,
            LOWER,
            _summary,
            "restricted cubic spline, 3 knots (Austin 2020)",
            needs=("survival",),
            at_horizon=True,
            pooled=partial(_one_error, name=_name),
        ),
    )
register(
    Metric(
        "d_calibration",
        "D-calibration, p-value",
        AGREEMENT,
        "",
        "A small value: not calibrated.",
        "p-value; a footnote: its power is small where censoring is high",
        needs=("survival",),
        pooled=_d_calibration,
    ),
)
for _name, _title, _summary, _compute in (
    ("royston_r2", "R² (Royston)", "Of the log-hazard, on the scale of time.", royston),
    (
        "kent_oquigley_r2",
        "R² (Kent and O'Quigley)",
        "From the information gained.",
        kent_oquigley,
    ),
):
    register(
        Metric(
            _name,
            _title,
            EXPLAINED,
            HIGHER,
            _summary,
            "of the curves, all folds of a repeat together; of the log-risk where there are none",
            needs=("log_risk", "survival"),
            pooled=partial(_explained, compute=_compute),
        ),
    )
