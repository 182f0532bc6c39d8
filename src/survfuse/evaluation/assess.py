"""Every metric of one model: discrimination, error, calibration; each with an interval or a reason."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from survfuse._errors import NotComputableError
from survfuse._types import FloatArray
from survfuse.evaluation.combine import (
    DEFAULT,
    Interval,
    chance_share,
    concordance,
    mean_of,
    over_folds,
    over_pairs,
)
from survfuse.evaluation.folds import Fold, patients_of, repeats_of
from survfuse.survival.agreement import calibration_slope, observed_expected
from survfuse.survival.brier import (
    brier_influence,
    integrated_brier_influence,
    integrated_ipa_influence,
    ipa_influence,
)
from survfuse.survival.d_calibration import d_calibration
from survfuse.survival.discrimination import auc_influence
from survfuse.survival.estimate import Estimate, joined, not_computable
from survfuse.survival.explained import kent_oquigley_r2, royston_r2
from survfuse.survival.likelihood import log_likelihood_influence
from survfuse.survival.smooth_calibration import ERRORS, calibration_errors

GRID = 100  # times at which integrated scores look at a curve
PROPER = "censoring is independent of covariates and event times"


@dataclass(frozen=True)
class Scale:
    """The times at which predictions are judged, fixed before any model is fitted.

    Attributes
    ----------
    horizons : tuple of float, rising
    tau : float
        Truncation time of Uno's C, and the end of integrated scores.
    interval : Interval
    draws : int
        Bootstrap resamples behind intervals of ICI, E50 and E90; 0 leaves them without.
    times : tuple of float, optional
        Times of integrated scores; 100 evenly spaced ones up to τ where not given.
    """

    horizons: tuple[float, ...]
    tau: float
    interval: Interval = DEFAULT
    draws: int = 200
    times: tuple[float, ...] | None = None

    @property
    def grid(self) -> FloatArray:
        """Times of integrated scores, up to τ."""
        if self.times is None:
            return np.linspace(0.0, self.tau, GRID + 1)[1:]
        return np.array([time for time in self.times if time <= self.tau])


def assess(folds: Sequence[Fold], scale: Scale) -> dict[str, Estimate]:
    """Compute every metric of a model's predictions.

    Parameters
    ----------
    folds : sequence of Fold
    scale : Scale

    Returns
    -------
    dict of metric to Estimate
        A metric that these predictions or patients cannot give has no value, and
        its note says why.
    """
    chance = chance_share(folds)
    found = {
        "uno_c": concordance(folds, "uno", scale.tau, interval=scale.interval, chance=chance),
        "harrell_c": concordance(folds, "harrell", None, interval=scale.interval, chance=chance),
    }
    for h in scale.horizons:
        found[f"auc_{h:g}"] = auc_at(folds, h, scale.interval, chance)
    for h in scale.horizons:
        found[f"brier_{h:g}"] = brier_at(folds, h, scale.interval, chance)
        found[f"ipa_{h:g}"] = _ipa(folds, h, scale.interval, chance)
    found["isbs"] = isbs(folds, scale, chance)
    found["integrated_ipa"] = _integrated_ipa(folds, scale, chance)
    found["log_likelihood"] = _likelihood(folds, scale, chance)
    return {**found, **calibration(folds, scale)}


def calibration(folds: Sequence[Fold], scale: Scale) -> dict[str, Estimate]:
    """How well predicted curves agree with what happened."""
    found = {
        "observed_expected": expected_events(folds),
        "calibration_slope": slope(folds, scale.horizons[-1]),
    }
    for h in scale.horizons:
        found |= {f"{name}_{h:g}": estimate for name, estimate in _smooth(folds, h, scale).items()}
    found["d_calibration"] = _d_calibration(folds)
    lines = _linear_predictors(folds, scale.horizons[-1])
    for name, measure in (("royston_r2", royston_r2), ("kent_oquigley_r2", kent_oquigley_r2)):
        found[name] = _per_repeat(folds, lambda part, measure=measure: _explained(part, lines, measure))  # type: ignore[misc]
    return found


def auc_at(
    folds: Sequence[Fold], horizon: float, interval: Interval, chance: float | None = None
) -> Estimate:
    """Cumulative/dynamic AUC at one horizon."""

    def one(fold: Fold) -> tuple[float, FloatArray]:
        risk = fold.risk if fold.log_risk is not None else -fold.survival([horizon])[:, 0]
        return _first(auc_influence(fold.time, fold.event, risk, [horizon], train=fold.train))

    return over_folds(
        folds,
        one,
        limits=(0.0, 1.0),
        logit=True,
        assumptions=PROPER,
        interval=interval,
        chance=chance,
        until=horizon,
    )


def brier_at(
    folds: Sequence[Fold], horizon: float, interval: Interval, chance: float | None = None
) -> Estimate:
    """Brier score at one horizon."""

    def one(fold: Fold) -> tuple[float, FloatArray]:
        curve = fold.survival([horizon])
        return _first(brier_influence(fold.time, fold.event, curve, [horizon], train=fold.train))

    return over_folds(
        folds,
        one,
        limits=(0.0, 1.0),
        assumptions=PROPER,
        interval=interval,
        chance=chance,
        until=horizon,
    )


def isbs(folds: Sequence[Fold], scale: Scale, chance: float | None = None) -> Estimate:
    """Integrated Brier score from the first time of the grid to τ, or as far as the curves are known."""
    grid, note = _known_grid(folds, scale)

    def one(fold: Fold) -> tuple[float, FloatArray]:
        return _isbs(fold, grid)

    found = over_folds(
        folds, one, limits=(0.0, 1.0), assumptions=PROPER, interval=scale.interval, chance=chance
    )
    return replace(found, note=joined(found.note, note))


def isbs_difference(a: Sequence[Fold], b: Sequence[Fold], scale: Scale) -> Estimate:
    """ISBS of `a` minus that of `b`, paired; below 0 `a` has the smaller error."""
    grid, note = _known_grid((*a, *b), scale)

    def one(first: Fold, second: Fold) -> tuple[float, FloatArray]:
        x, y = _isbs(first, grid), _isbs(second, grid)
        return x[0] - y[0], x[1] - y[1]

    found = over_pairs(a, b, one, limits=(-1.0, 1.0), assumptions=PROPER, interval=scale.interval)
    return replace(found, note=joined(found.note, note))


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
            late = fold.time > fold.known_curves.last
            cut.update(fold.patient_id[late & fold.event])
            if (own <= 0).any():
                raise NotComputableError(
                    f"{int((own <= 0).sum())} patients have a predicted survival of 0 at their follow-up,"
                    " which expects infinitely many events"
                )
            for patient, h, time, event in zip(
                fold.patient_id, -np.log(own), fold.time, fold.event & ~late, strict=True
            ):
                hazard.setdefault(patient, []).append(float(h))
                outcome[patient] = (float(time), bool(event))
    except NotComputableError as why:
        return not_computable(str(why), n, events)
    times, flags = zip(*outcome.values(), strict=True)
    mean = [float(np.mean(hazard[patient])) for patient in outcome]
    found = observed_expected(np.array(times), np.array(flags), np.array(mean))
    note = f"{len(cut)} events beyond the last time of the curves not counted" if cut else ""
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
        return calibration_slope(*_outcome(part), np.concatenate(values), stratum=stratum)

    found = _per_repeat(folds, one)
    if any(fold.curves is None for fold in folds):
        found = replace(found, note=joined(found.note, "of the log-risk itself: there are no curves"))
    return found


def _first(found: tuple[FloatArray, FloatArray]) -> tuple[float, FloatArray]:
    value, influence = found
    return _number(float(np.atleast_1d(value)[0])), influence.reshape(len(influence), -1)[:, 0]


def _number(value: float) -> float:
    if np.isnan(value):
        raise NotComputableError("nobody is known to be past the horizon, or nobody before it")
    return value


def _isbs(fold: Fold, grid: FloatArray) -> tuple[float, FloatArray]:
    return integrated_brier_influence(fold.time, fold.event, _at(fold, grid), grid, train=fold.train)


def _known_grid(folds: Sequence[Fold], scale: Scale) -> tuple[FloatArray, str]:
    """Grid as far as all curves are known and all folds are still followed, and what was left out."""
    lasts = [fold.curves.last for fold in folds if fold.curves is not None]
    seen = [float(fold.time.max()) for fold in folds if len(fold)]
    reach = min([scale.tau, *lasts, *seen])
    grid = scale.grid[scale.grid <= reach]
    if len(grid) == len(scale.grid):
        return grid, ""
    end = f"{grid[-1]:g}" if len(grid) else "nothing"
    return grid, f"integrated to {end} instead of {scale.grid[-1]:g}: beyond it some fold knows nothing"


def _at(fold: Fold, grid: FloatArray) -> FloatArray:
    """Survival on a grid that can be integrated over."""
    if len(grid) < 2:
        raise NotComputableError(f"integration needs two or more times within reach, got {len(grid)}")
    return fold.survival(grid)


def _ipa(folds: Sequence[Fold], horizon: float, interval: Interval, chance: float | None) -> Estimate:
    def one(fold: Fold) -> tuple[float, FloatArray]:
        curve = fold.survival([horizon])
        return _first(ipa_influence(fold.time, fold.event, curve, [horizon], train=fold.train))

    return over_folds(
        folds,
        one,
        limits=(-np.inf, 1.0),
        assumptions=PROPER,
        interval=interval,
        chance=chance,
        until=horizon,
    )


def _integrated_ipa(folds: Sequence[Fold], scale: Scale, chance: float | None) -> Estimate:
    grid, note = _known_grid(folds, scale)

    def one(fold: Fold) -> tuple[float, FloatArray]:
        return integrated_ipa_influence(fold.time, fold.event, _at(fold, grid), grid, train=fold.train)

    found = over_folds(
        folds, one, limits=(-np.inf, 1.0), assumptions=PROPER, interval=scale.interval, chance=chance
    )
    return replace(found, note=joined(found.note, note))


def _likelihood(folds: Sequence[Fold], scale: Scale, chance: float | None) -> Estimate:
    """Mean log-likelihood, the density of a curve taken as even between the times of its grid.

    A curve of ours falls only where a training patient had the event, so that a fine grid
    would give most test events probability 0: its times are the deciles of the training
    patients' event times. The times of a predictions file are its own.
    """
    known, _ = _known_grid(folds, scale)
    reach = float(known[-1]) if len(known) else 0.0

    def one(fold: Fold) -> tuple[float, FloatArray]:
        grid = _deciles(fold, reach) if scale.times is None else known
        return log_likelihood_influence(fold.time, fold.event, _at(fold, grid), grid)

    found = over_folds(folds, one, interval=scale.interval, chance=chance)
    bins = "" if scale.times is not None else "density even between deciles of the training event times"
    return replace(found, note=joined(found.note, f"follow-up to {reach:g}" if reach else "", bins))


def _deciles(fold: Fold, reach: float) -> FloatArray:
    """Deciles of the event times of the training patients (of these, where there are none), up to `reach`."""
    time, event = fold.train if fold.train is not None else (fold.time, fold.event)
    seen = time[event.astype(bool) & (time <= reach)]
    if len(seen) == 0:
        raise NotComputableError(f"no training patient had the event up to {reach:g}")
    deciles: FloatArray = np.unique(np.quantile(seen, np.linspace(0.1, 1.0, 10), method="higher"))
    return deciles


def _outcome(part: Sequence[Fold]) -> tuple[FloatArray, FloatArray]:
    return np.concatenate([f.time for f in part]), np.concatenate([f.event for f in part])


def _per_repeat(folds: Sequence[Fold], one: Callable[[Sequence[Fold]], Estimate]) -> Estimate:
    return mean_of([one(part) for part in repeats_of(folds)])


def _linear_predictors(folds: Sequence[Fold], horizon: float) -> dict[tuple[int, int], FloatArray | str]:
    """Log cumulative hazard at the horizon, the log-risk where there are no curves, or why neither."""
    return {(fold.repeat, fold.fold): _linear_predictor(fold, horizon) for fold in folds}


def _linear_predictor(fold: Fold, horizon: float) -> FloatArray | str:
    if fold.curves is None:
        return fold.log_risk if fold.log_risk is not None else "the predictions hold neither risks nor curves"
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
            *_outcome(part), survival, [horizon], bootstrap=scale.draws, seed=scale.interval.seed
        )
        return {name: at[0] for name, at in errors.items()}

    repeats = [one(part) for part in repeats_of(folds)]
    return {name: mean_of([errors[name] for errors in repeats]) for name in ERRORS}


def _d_calibration(folds: Sequence[Fold]) -> Estimate:
    n, events = patients_of(folds)
    first = repeats_of(folds)[0]
    try:
        own = np.concatenate([fold.known_curves.own(fold.time) for fold in first])
        last = np.concatenate([np.full(len(fold), fold.known_curves.last) for fold in first])
    except NotComputableError as why:
        return not_computable(str(why), n, events)
    time, event = _outcome(first)
    found = d_calibration(np.minimum(time, last), event.astype(bool) & (time <= last), own)
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
