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

import numpy as np
import numpy.typing as npt

from survfuse._errors import InputError, NotComputableError
from survfuse._types import FloatArray
from survfuse.survival.argument_checks import as_survival
from survfuse.survival.censoring_weights import ASSUMES, CensoringWeights
from survfuse.survival.curves import kaplan_meier
from survfuse.survival.estimate import Estimate, not_computable, wald
from survfuse.survival.follow_up import Train
from survfuse.survival.right_censored import Outcome

NO_NULL = "the Kaplan–Meier curve makes no error up to t = {t}, so there is nothing to compare with"
BRIER_LIMITS = (0.0, np.inf)  # weights can lift it above 1
IPA_LIMITS = (-np.inf, 1.0)


def brier(
    time: npt.ArrayLike,
    event: npt.ArrayLike,
    survival: npt.ArrayLike,
    times: npt.ArrayLike,
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
    weights, curves = _read(time, event, survival, times, train)
    return weights.estimates(*_brier(weights, curves), BRIER_LIMITS)


def brier_influence(
    time: npt.ArrayLike,
    event: npt.ArrayLike,
    survival: npt.ArrayLike,
    times: npt.ArrayLike,
    train: Train | None = None,
) -> tuple[FloatArray, FloatArray]:
    """Brier scores (times,) and each patient's influence on them (patients, times), to combine folds.

    Parameters
    ----------
    time, event, survival, times, train
        As in :func:`brier`.

    Raises
    ------
    NotComputableError
        When a horizon lies beyond the follow-up or the censoring curve.
    """
    weights, curves = _read(time, event, survival, times, train)
    weights.demand()
    return _brier(weights, curves)


def ipa(
    time: npt.ArrayLike,
    event: npt.ArrayLike,
    survival: npt.ArrayLike,
    times: npt.ArrayLike,
    train: Train | None = None,
) -> list[Estimate]:
    """Index of prediction accuracy at each horizon: 1 is perfect, 0 is the Kaplan–Meier curve, less is harm.

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
    weights, curves = _read(time, event, survival, times, train)
    weights, null = _null(weights, train)
    return weights.estimates(*_ipa(weights, curves, null), IPA_LIMITS)


def ipa_influence(
    time: npt.ArrayLike,
    event: npt.ArrayLike,
    survival: npt.ArrayLike,
    times: npt.ArrayLike,
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
    weights, curves = _read(time, event, survival, times, train)
    weights, null = _null(weights, train)
    weights.demand()
    return _ipa(weights, curves, null)


def integrated_brier(
    time: npt.ArrayLike,
    event: npt.ArrayLike,
    survival: npt.ArrayLike,
    times: npt.ArrayLike,
    train: Train | None = None,
) -> Estimate:
    """Integrated Brier score: the mean of Brier(t) from the first horizon to the last, by trapezoids.

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
    weights, curves = _read(time, event, survival, times, train, integrate=True)
    try:
        value, influence = _isbs(weights, curves)
    except NotComputableError as why:
        return _no_integral(weights, why)
    return _integral(weights, value, influence, BRIER_LIMITS)


def integrated_brier_influence(
    time: npt.ArrayLike,
    event: npt.ArrayLike,
    survival: npt.ArrayLike,
    times: npt.ArrayLike,
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
    return _isbs(*_read(time, event, survival, times, train, integrate=True))


def integrated_ipa(
    time: npt.ArrayLike,
    event: npt.ArrayLike,
    survival: npt.ArrayLike,
    times: npt.ArrayLike,
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
    weights, curves = _read(time, event, survival, times, train, integrate=True)
    try:
        value, influence = _integrated_ipa(weights, curves, train)
    except NotComputableError as why:
        return _no_integral(weights, why)
    return _integral(weights, value, influence, IPA_LIMITS)


def integrated_ipa_influence(
    time: npt.ArrayLike,
    event: npt.ArrayLike,
    survival: npt.ArrayLike,
    times: npt.ArrayLike,
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
    return _integrated_ipa(
        *_read(time, event, survival, times, train, integrate=True),
        train,
    )


def _read(
    time: npt.ArrayLike,
    event: npt.ArrayLike,
    survival: npt.ArrayLike,
    times: npt.ArrayLike,
    train: Train | None,
    *,
    integrate: bool = False,
) -> tuple[CensoringWeights, FloatArray]:
    outcome = Outcome.of(time, event)
    weights = CensoringWeights.of(outcome, times, train, increasing=integrate)
    if integrate and len(weights.times) < 2:
        raise InputError("an integral over time needs at least two horizons, got one")
    return weights, as_survival(survival, len(outcome), weights.times)


def _share(
    weights: CensoringWeights,
    survival: FloatArray,
) -> FloatArray:  # -> (patients, times)
    """Weighted squared errors of `survival`, (patients, times) or (times,)."""
    share = np.subtract(weights.beyond, survival, dtype=np.float64)
    share *= share
    share *= np.where(weights.beyond, weights.of_beyond, weights.of_event[:, None])
    return share


def _brier(
    weights: CensoringWeights,
    survival: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    usable = weights.usable()
    return usable.mean(_share(usable, survival[..., weights.known]))


def _null(
    weights: CensoringWeights,
    train: Train | None,
) -> tuple[CensoringWeights, FloatArray]:
    """Survival that the Kaplan–Meier curve tells everyone, (times,); refuses horizons where it never errs."""
    if not weights.known.any():
        return weights, np.ones(len(weights.times))
    outcome = weights.outcome
    null: FloatArray = kaplan_meier(
        *((outcome.time, outcome.event) if train is None else train),
    )(weights.times)
    perfect = np.zeros(len(null), dtype=bool)
    usable = weights.usable()
    errors = [
        _share(at, null[weights.known][[k]]).sum()
        for k, at in enumerate(usable.one_by_one())
    ]
    perfect[weights.known] = ~(np.array(errors) > 0)
    return weights.unless(perfect, NO_NULL), null


def _ipa(
    weights: CensoringWeights,
    survival: FloatArray,
    null: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    value, influence = _brier(weights, survival)
    null_value, null_influence = _brier(weights, null)
    ratio = value / null_value
    return 1 - ratio, (ratio * null_influence - influence) / null_value


def _isbs(weights: CensoringWeights, survival: FloatArray) -> tuple[float, FloatArray]:
    usable = weights.usable()
    if len(usable.times) < 2:
        why = next(why for why in weights.why if why)
        raise NotComputableError(f"fewer than two horizons are computable: {why}")
    steps = np.diff(usable.times)
    width = (np.append(steps, 0) + np.append(0, steps)) / 2 / steps.sum()
    return usable.integral(_share(usable, survival[..., weights.known]), width)


def _integrated_ipa(
    weights: CensoringWeights,
    survival: FloatArray,
    train: Train | None,
) -> tuple[float, FloatArray]:
    value, influence = _isbs(weights, survival)
    null, null_influence = _isbs(weights, _null(weights, train)[1])
    if not null > 0:
        raise NotComputableError(
            NO_NULL.format(t=f"{weights.times[weights.known][-1]:g}"),
        )
    ratio = value / null
    return 1 - ratio, (ratio * null_influence - influence) / null


def _last_events(weights: CensoringWeights) -> int:
    known = weights.usable()
    return known.events[-1] if len(known.times) else weights.events[0]


def _integral(
    weights: CensoringWeights,
    value: float,
    influence: FloatArray,
    limits: tuple[float, float],
) -> Estimate:
    return wald(
        value,
        influence,
        len(weights),
        _last_events(weights),
        limits=limits,
        note=weights.restriction,
        assumptions=ASSUMES,
    )


def _no_integral(weights: CensoringWeights, why: NotComputableError) -> Estimate:
    return not_computable(str(why), len(weights), _last_events(weights), ASSUMES)
