"""From folds to one number with an interval: within folds, then over folds and repeats.

A statistic is computed inside each test fold, so that risks of different networks
are never compared, and averaged. Its standard error comes from influence
functions; "sd over folds / sqrt(folds)" covers 40 % and is not used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from survfuse._errors import NotComputableError
from survfuse._types import FloatArray
from survfuse.evaluation.folds import Fold, paired, patients_of, repeats_of
from survfuse.evaluation.training_variance import (
    chance_share,
    chance_share_of_difference,
)
from survfuse.survival.estimate import (
    LEVEL,
    SMALLEST_SE,
    Estimate,
    around,
    joined,
    not_computable,
)

Influence = tuple[float, FloatArray]
Statistic = Callable[[Fold], Influence]
PairStatistic = Callable[[Fold, Fold], Influence]
Kind = Literal["influence", "nadeau_bengio", "bootstrap"]
MOST_NOTES = 3
WAYS: Mapping[Kind, str] = {
    "influence": "influence functions inside the test folds, widened by the share of each model's risks that "
    "changes with its training patients (all of it where one split leaves that unknown)",
    "nadeau_bengio": "influence functions inside the test folds, widened by n_test/n_train (Nadeau and "
    "Bengio 2003)",
    "bootstrap": "resampled patients, the fitted models held fixed",
}


@dataclass(frozen=True)
class Interval:
    """How intervals of cross-validated scores are made.

    Attributes
    ----------
    kind : {"influence", "nadeau_bengio", "bootstrap"}
        See `WAYS`.
    draws : int
        Of the bootstrap.
    seed : int
    """

    kind: Kind = "influence"
    draws: int = 1000
    seed: int = 0


DEFAULT = Interval()


def over_folds(
    folds: Sequence[Fold],
    one: Statistic,
    *,
    limits: tuple[float, float] = (-np.inf, np.inf),
    assumptions: str = "",
    interval: Interval = DEFAULT,
    chance: float | None = None,
    logit: bool = False,
    until: float | None = None,
) -> Estimate:
    """Average a fold-wise statistic over folds, then over repeats, with its 95 % interval.

    Parameters
    ----------
    folds : sequence of Fold
    one : callable
        Gives the value of a fold and each patient's influence on it, or raises
        NotComputableError: then the fold is left out and named in the note.
    limits : (float, float)
        The values that are possible.
    assumptions : str
        Put into the estimate.
    interval : Interval
    chance : float, optional
        Share of the risks that changes with the training patients (see
        :func:`~survfuse.evaluation.training_variance.chance_share`), computed from `folds` where it is not given.
    logit : bool
        Make the interval on the logit scale.
    until : float, optional
        Time up to which events enter, where not all do; for their count.

    Returns
    -------
    Estimate
        Its squared standard error is the variance of the mean over the folds of a repeat,
        from influence functions, times ``1 + chance``. The first term alone would do if what
        a network learned were the same for all training sets. Where it is chance, patients
        that train one network test another and each pair of patients is counted in both
        directions, which doubles the variance.
    """
    n, events = patients_of(folds, until)
    found, notes = _values(folds, one)
    kept = [part for part in found if part]
    if not kept:
        why = "; ".join(notes[:MOST_NOTES]) or "there is no fold"
        return not_computable(why, n, events, assumptions)
    value = float(np.mean([np.mean([v for _, v, _ in part]) for part in kept]))
    note = told(notes)
    if interval.kind == "bootstrap":
        return _bootstrapped(
            folds,
            one,
            value,
            interval,
            (n, events),
            limits,
            joined(note, WAYS["bootstrap"]),
        )
    se = float(np.sqrt(_variance(kept) * _widening(folds, interval, chance)))
    return around(
        value,
        se,
        n,
        events,
        limits=limits,
        logit=logit,
        note=note,
        assumptions=assumptions,
    )


def over_pairs(
    a: Sequence[Fold],
    b: Sequence[Fold],
    one: PairStatistic,
    **how: object,
) -> Estimate:
    """Average a statistic of two models on the same folds (see :func:`over_folds`).

    Raises
    ------
    NotComputableError
        When the two do not hold the same patients in the same folds.
    """
    pairs = paired(a, b)
    twins = {(first.repeat, first.fold): second for first, second in pairs}
    firsts = tuple(first for first, _ in pairs)
    how.setdefault("chance", chance_share_of_difference(firsts, tuple(twins.values())))

    def both(fold: Fold) -> Influence:
        twin = twins[fold.repeat, fold.fold]
        if (
            len(twin) != len(fold) or (twin.patient_id != fold.patient_id).any()
        ):  # a resample of the first
            row = {patient: i for i, patient in enumerate(twin.patient_id)}
            twin = twin.select(np.array([row[patient] for patient in fold.patient_id]))
        return one(fold, twin)

    return over_folds(firsts, both, **how)  # type: ignore[arg-type]


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
    """Average a statistic that was computed once per repeat: the same patients, so no narrower for it."""
    known = [each for each in estimates if each.value is not None]
    if not known:
        return estimates[0]
    notes = list(dict.fromkeys(each.note for each in estimates if each.note))
    first = known[0]

    def mean(name: str) -> float | None:
        values = [getattr(each, name) for each in known]
        return None if any(v is None for v in values) else float(np.mean(values))

    errors = [each.se for each in known if each.se is not None]
    se = (
        float(np.sqrt(np.mean(np.square(errors))))
        if len(errors) == len(known)
        else None
    )
    return replace(
        first,
        value=mean("value"),
        se=se,
        low=mean("low"),
        high=mean("high"),
        note="; ".join(notes[:MOST_NOTES]),
    )


Scored = tuple[Fold, float, FloatArray]


def _values(
    folds: Sequence[Fold],
    one: Statistic,
) -> tuple[list[list[Scored]], list[str]]:
    """Value and influence of every fold that has them, by repeat, and why others have not."""
    found, notes = [], []
    for repeat in repeats_of(folds):
        part = []
        for fold in repeat:
            try:
                value, influence = one(fold)
            except NotComputableError as error:
                notes.append(
                    str(error)
                    if len(folds) == 1
                    else f"{fold.label} left out: {error}",
                )
                continue
            part.append((fold, float(value), influence))
        found.append(part)
    return found, notes


def told(notes: Sequence[str]) -> str:
    """Tell the first few notes, and how many more there are."""
    more = (
        f"; and {len(notes) - MOST_NOTES} more folds" if len(notes) > MOST_NOTES else ""
    )
    return "; ".join(notes[:MOST_NOTES]) + more


def _variance(repeats: Sequence[Sequence[Scored]]) -> float:
    """Variance of the mean over the folds of one repeat, averaged: repeats are the same patients again."""
    each = [
        np.mean([np.sum(influence**2) for _, _, influence in part]) / len(part)
        for part in repeats
    ]
    return float(np.mean(each))


def _widening(folds: Sequence[Fold], interval: Interval, chance: float | None) -> float:
    if interval.kind == "influence":
        return 1 + (chance_share(folds) if chance is None else chance)
    ratios = [
        len(f) / len(f.train[0])
        for f in folds
        if f.train is not None and len(f.train[0])
    ]
    single = all(len(part) == 1 for part in repeats_of(folds))
    per_repeat = np.mean([len(part) for part in repeats_of(folds)])
    return float(1 + (0.0 if single or not ratios else np.mean(ratios) * per_repeat))


def _bootstrapped(
    folds: Sequence[Fold],
    one: Statistic,
    value: float,
    interval: Interval,
    count: tuple[int, int],
    limits: tuple[float, float],
    note: str,
) -> Estimate:
    """Percentiles over resamples of patients, each fold's own; a patient counts alike in every repeat."""
    generator = np.random.default_rng(interval.seed)
    everyone = sorted({patient for fold in folds for patient in fold.patient_id})
    row = {patient: i for i, patient in enumerate(everyone)}
    draws = []
    for _ in range(interval.draws):
        times = np.bincount(
            generator.integers(len(everyone), size=len(everyone)),
            minlength=len(everyone),
        )
        resampled = tuple(
            fold.select(
                np.repeat(
                    np.arange(len(fold)),
                    times[[row[p] for p in fold.patient_id]],
                ),
            )
            for fold in folds
        )
        parts = [
            part for part in _values([f for f in resampled if len(f)], one)[0] if part
        ]
        if parts:
            draws.append(
                float(np.mean([np.mean([v for _, v, _ in part]) for part in parts])),
            )
    if len(draws) < interval.draws / 2:
        return Estimate(
            value,
            None,
            None,
            None,
            *count,
            joined(note, "too few resamples had a value"),
        )
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    se = float(np.std(draws, ddof=1))
    if not se >= SMALLEST_SE:
        return around(value, se, *count, note=note)
    return Estimate(
        value,
        se,
        max(float(low), limits[0]),
        min(float(high), limits[1]),
        *count,
        note,
    )
