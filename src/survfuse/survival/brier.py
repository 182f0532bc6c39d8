"""Brier score, its integral over time, and the index of prediction accuracy.

Brier(t) is the mean squared distance between predicted survival S_i(t) and what
happened by t, with the censoring weights w of :mod:`survfuse.survival.censoring_weights`:
w S_i(t)² for an event at or before t, w (1 − S_i(t))² for a patient followed
beyond t. IPA(t) = 1 − Brier(t) / Brier of the Kaplan–Meier curve, which tells
everyone the same (Kattan 2018).

Standard errors are those of ``Score`` of R's riskRegression. That of IPA follows
from them by the delta method with the Kaplan–Meier curve held fixed: where it is
of these same patients, the derivative of its Brier score by its height is 0.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from survfuse._errors import InputError, NotComputableError
from survfuse._types import FloatArray
from survfuse.survival.argument_checks import as_horizons, as_survival
from survfuse.survival.censoring_weights import ASSUMES, AtHorizons, CensoringWeights
from survfuse.survival.curves import StepFunction
from survfuse.survival.estimate import Basis, Estimate
from survfuse.survival.follow_up import Train, as_train
from survfuse.survival.right_censored import Outcome, Tally

NO_NULL = (
    "the Kaplan–Meier curve makes no error up to t = {t:g},"
    " so there is nothing to compare with"
)
BRIER_LIMITS = (0.0, np.inf)  # weights can lift it above 1
IPA_LIMITS = (-np.inf, 1.0)
Influence = tuple[float, FloatArray]


def brier(
    time: ArrayLike,
    event: ArrayLike,
    survival: ArrayLike,
    times: ArrayLike,
    train: Train | None = None,
) -> list[Estimate]:
    """Brier score at each horizon; smaller is better, saying one half to everyone gives 0.25.

    Parameters
    ----------
    time, event : array-like, (patients,)
    survival : array-like, (patients, times)
        Predicted probability of living beyond each horizon.
    times : array-like, (times,)
        Horizons, in the unit of `time`.
    train : (time, event), optional
        Patients whose censoring curve gives the weights, then taken as fixed;
        these patients' own otherwise.

    Returns
    -------
    list of Estimate, (times,)
        Without a value, and with the reason, at a horizon beyond the follow-up
        or the censoring curve.

    Raises
    ------
    InputError
        For survival of a wrong shape, missing or outside [0, 1].
    """
    return brier_at(*_read(time, event, survival, times, train)).estimates()


def brier_influence(
    time: ArrayLike,
    event: ArrayLike,
    survival: ArrayLike,
    times: ArrayLike,
    train: Train | None = None,
) -> tuple[FloatArray, FloatArray]:
    """Brier scores (times,) and influences on them (patients, times), to combine folds.

    Parameters
    ----------
    time, event, survival, times, train
        As in :func:`brier`.

    Raises
    ------
    NotComputableError
        When a horizon lies beyond the follow-up or the censoring curve.
    """
    return brier_at(*_read(time, event, survival, times, train)).at_all()


def ipa(
    time: ArrayLike,
    event: ArrayLike,
    survival: ArrayLike,
    times: ArrayLike,
    train: Train | None = None,
) -> list[Estimate]:
    """Index of prediction accuracy at each horizon: 1 is perfect, 0 the Kaplan–Meier curve.

    Parameters
    ----------
    time, event, survival, times
        As in :func:`brier`.
    train : (time, event), optional
        Patients who give the Kaplan–Meier curve and the censoring curve; these
        patients themselves otherwise.

    Returns
    -------
    list of Estimate, (times,)
    """
    return ipa_at(*_read(time, event, survival, times, train)).estimates()


def ipa_influence(
    time: ArrayLike,
    event: ArrayLike,
    survival: ArrayLike,
    times: ArrayLike,
    train: Train | None = None,
) -> tuple[FloatArray, FloatArray]:
    """IPA (times,) and each patient's influence on it (patients, times), to combine folds.

    Parameters
    ----------
    time, event, survival, times, train
        As in :func:`ipa`.

    Raises
    ------
    NotComputableError
        When some horizon has no IPA.
    """
    return ipa_at(*_read(time, event, survival, times, train)).at_all()


def integrated_brier(
    time: ArrayLike,
    event: ArrayLike,
    survival: ArrayLike,
    times: ArrayLike,
    train: Train | None = None,
) -> Estimate:
    """Mean of Brier(t) from the first horizon to the last, by trapezoids.

    Parameters
    ----------
    time, event, survival, train
        As in :func:`brier`.
    times : array-like, (times,), strictly increasing, two or more

    Returns
    -------
    Estimate
        Where late horizons are not computable the integral ends before them, and
        `note` says where and why.
    """
    return _integral(
        *_read_integral(time, event, survival, times, train),
        integrate_brier,
        BRIER_LIMITS,
    )


def integrated_brier_influence(
    time: ArrayLike,
    event: ArrayLike,
    survival: ArrayLike,
    times: ArrayLike,
    train: Train | None = None,
) -> tuple[float, FloatArray]:
    """Integrated Brier score and each patient's influence on it (patients,), to combine folds.

    Parameters
    ----------
    time, event, survival, times, train
        As in :func:`integrated_brier`; restricted as there.

    Raises
    ------
    NotComputableError
        When fewer than two horizons are computable.
    """
    return integrate_brier(*_read_integral(time, event, survival, times, train))


def integrated_ipa(
    time: ArrayLike,
    event: ArrayLike,
    survival: ArrayLike,
    times: ArrayLike,
    train: Train | None = None,
) -> Estimate:
    """1 − integrated Brier score / that of the Kaplan–Meier curve.

    Parameters
    ----------
    time, event, survival, train
        As in :func:`ipa`.
    times
        As in :func:`integrated_brier`; restricted as there.
    """
    return _integral(
        *_read_integral(time, event, survival, times, train),
        integrate_ipa,
        IPA_LIMITS,
    )


def integrated_ipa_influence(
    time: ArrayLike,
    event: ArrayLike,
    survival: ArrayLike,
    times: ArrayLike,
    train: Train | None = None,
) -> tuple[float, FloatArray]:
    """Integrated IPA and each patient's influence on it (patients,), to combine folds.

    Parameters
    ----------
    time, event, survival, times, train
        As in :func:`integrated_ipa`; restricted as there.

    Raises
    ------
    NotComputableError
        When fewer than two horizons are computable, or the Kaplan–Meier curve makes no error.
    """
    return integrate_ipa(*_read_integral(time, event, survival, times, train))


def _read(
    time: ArrayLike,
    event: ArrayLike,
    survival: ArrayLike,
    times: ArrayLike,
    train: Train | None,
    *,
    increasing: bool = False,
) -> tuple[CensoringWeights, FloatArray]:
    outcome = Outcome.of(time, event)
    horizons = as_horizons(times, increasing=increasing)
    weights = CensoringWeights.of(outcome, horizons, as_train(train))
    if increasing and len(weights.times) < 2:
        raise InputError("an integral over time needs at least two horizons, got one")
    return weights, as_survival(survival, len(outcome), weights.times)


_read_integral = partial(_read, increasing=True)


def _integral(
    weights: CensoringWeights,
    survival: FloatArray,
    integrate: Callable[[CensoringWeights, FloatArray], Influence],
    limits: tuple[float, float],
) -> Estimate:
    events = weights.usable().events if weights.known.any() else weights.events[:1]
    basis = Basis(len(weights), int(events[-1]), ASSUMES)
    return basis.computed(
        lambda: basis.wald(
            *integrate(weights, survival),
            limits,
            note=weights.restriction,
        ),
    )


def brier_at(
    weights: CensoringWeights,
    survival: FloatArray,
) -> AtHorizons:
    """Brier score of `survival`, (patients, times) or (times,), at the horizons of `weights`."""
    usable = weights.usable()
    values, influence = usable.mean(_share(usable, survival[..., weights.known]))
    return AtHorizons(weights, values, influence, BRIER_LIMITS)


def ipa_at(
    weights: CensoringWeights,
    survival: FloatArray,
) -> AtHorizons:
    """IPA of `survival`, (patients, times), at the horizons of `weights`."""
    if not weights.known.any():
        return AtHorizons(weights, np.zeros(0), np.zeros((len(weights), 0)))
    null = _null(weights)
    # Squared errors of a curve that is the same for everyone, summed over patients.
    free = weights.beyond.sum(axis=0) * weights.of_beyond * (1 - null) ** 2
    ill = (weights.of_event @ ~weights.beyond) * null**2
    weights = weights.unless(~(free + ill > 0), NO_NULL)
    model, null_model = brier_at(weights, survival), brier_at(weights, null)
    values, influence = _relative(
        model.values,
        model.influence,
        null_model.values,
        null_model.influence,
    )
    return AtHorizons(weights, values, influence, IPA_LIMITS)


def integrate_brier(
    weights: CensoringWeights,
    survival: FloatArray,
) -> Influence:
    """Integrated Brier score and influence (patients,) of `survival`, over the computable horizons.

    Raises
    ------
    NotComputableError
        When fewer than two horizons are computable.
    """
    usable = weights.usable()
    if len(usable.times) < 2:
        why = weights.why[~weights.known][0]
        raise NotComputableError(f"fewer than two horizons are computable: {why}")
    steps = np.diff(usable.times)
    width = (np.append(steps, 0) + np.append(0, steps)) / 2 / steps.sum()
    return usable.integral(_share(usable, survival[..., weights.known]), width)


def integrate_ipa(
    weights: CensoringWeights,
    survival: FloatArray,
) -> Influence:
    """Integrated IPA and influence (patients,) of `survival`, over the computable horizons.

    Raises
    ------
    NotComputableError
        When fewer than two horizons are computable, or the Kaplan–Meier curve makes no error.
    """
    value, influence = integrate_brier(weights, survival)
    null, null_influence = integrate_brier(weights, _null(weights))
    if not null > 0:
        raise NotComputableError(NO_NULL.format(t=weights.times[weights.known][-1]))
    return _relative(value, influence, null, null_influence)


def _share(
    weights: CensoringWeights,
    survival: FloatArray,
) -> FloatArray:
    """Weighted squared errors (patients, times) of `survival`, (patients, times) or (times,)."""
    share = np.subtract(weights.beyond, survival, dtype=np.float64)
    share *= share
    share *= np.where(weights.beyond, weights.of_beyond, weights.of_event[:, None])
    return share


def _null(weights: CensoringWeights) -> FloatArray:
    """Kaplan–Meier survival at the horizons, (times,), of the patients who give the weights."""
    tally = Tally.of(weights.outcome if weights.training is None else weights.training)
    return StepFunction(tally.time, tally.survival, 1.0)(weights.times)


def _relative(
    value: Any,
    influence: FloatArray,
    null: Any,
    null_influence: FloatArray,
) -> tuple[Any, FloatArray]:
    """1 − value / null, and its influence."""
    ratio = value / null
    return 1 - ratio, (ratio * null_influence - influence) / null
