"""Test folds with their predictions: the one form in which every evaluation sees predictions.

A fold holds the predictions of one fitted model for patients it was not trained on.
Our own cross-validation, another cohort and a table that another program wrote all
become folds, and are evaluated by the same functions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from survfuse._errors import InputError, NotComputableError, listed
from survfuse._types import AnyArray, BoolArray, FloatArray, IntArray
from survfuse.readers.cell_text import only_difference
from survfuse.survival.argument_checks import as_log_risk
from survfuse.survival.curves import SurvivalCurves
from survfuse.survival.follow_up import as_train
from survfuse.survival.right_censored import Outcome
from survfuse.survival.ties import at_or_before, tolerance

Place = tuple[int, int]  # repeat, fold
TimeEvent = tuple[FloatArray, BoolArray]


@dataclass(frozen=True, eq=False)
class Tabulated:
    """Curves known at a few times, taken as linear between them, from S(0) = 1.

    Parameters
    ----------
    times : array, (times,), strictly increasing, > 0
    survival : array, (patients, times)
        Within [0, 1], never rising.
    """

    times: FloatArray
    survival: FloatArray

    @property
    def last(self) -> float:
        """The last time of the table."""
        return float(self.times[-1])

    def at(self, times: npt.ArrayLike) -> FloatArray:
        """S at `times`, (patients, times); NaN beyond `last`."""
        time = np.atleast_1d(np.asarray(times, dtype=np.float64))
        values = self._between(slice(None), time)
        values[:, time > self.last + tolerance(self.times)] = np.nan
        return values

    def own(self, time: FloatArray) -> FloatArray:
        """S of each patient at one time of its own, (patients,); at `last` for times beyond."""
        return self._between(np.arange(len(time)), time)

    def _between(
        self,
        rows: Any,
        time: FloatArray,
    ) -> FloatArray:
        """S of `rows` at `time`, on the line between the knots around it."""
        knots = np.concatenate([[0.0], self.times])
        survival = np.hstack([np.ones((len(self.survival), 1)), self.survival])
        right = np.clip(np.searchsorted(knots, time, side="left"), 1, len(self.times))
        left = right - 1
        share = np.clip((time - knots[left]) / (knots[right] - knots[left]), 0.0, 1.0)
        values: FloatArray = (
            survival[rows, left] * (1 - share) + survival[rows, right] * share
        )
        return values

    def select(self, rows: Any) -> Tabulated:
        """Keep some patients, in the order given."""
        return Tabulated(self.times, self.survival[rows])


Curves = SurvivalCurves | Tabulated


@dataclass(frozen=True, eq=False)
class Fold:
    """Predictions of one fitted model for patients it was not trained on.

    Attributes
    ----------
    repeat, fold : int
    patient_id : array of str, (patients,)
    time, event : array, (patients,)
    log_risk : array, (patients,), or None
        Larger means earlier. None where only curves were predicted.
    curves : Curves or None
        None where only risks were predicted.
    train : (time, event) or None
        Outcome of the training patients, for the censoring weights; None: these
        patients' own.
    """

    repeat: int
    fold: int
    patient_id: AnyArray
    time: FloatArray
    event: BoolArray
    log_risk: FloatArray | None
    curves: Curves | None = None
    train: TimeEvent | None = None

    def __len__(self) -> int:
        return len(self.time)

    @property
    def place(self) -> Place:
        """Repeat and fold."""
        return self.repeat, self.fold

    @property
    def label(self) -> str:
        """Its place, by the numbers of the predictions file."""
        return f"repeat {self.repeat} fold {self.fold}"

    @cached_property
    def outcome(self) -> Outcome:
        """Time and event, validated once."""
        return Outcome.of(self.time, self.event)

    @cached_property
    def training(self) -> Outcome | None:
        """Outcome of the training patients, validated once."""
        return as_train(self.train)

    @property
    def censoring_source(self) -> Outcome:
        """Outcome of the patients who give the censoring weights."""
        return self.outcome if self.training is None else self.training

    @cached_property
    def risk(self) -> FloatArray:
        """Log-risk, validated once; raises NotComputableError where there is none."""
        if self.log_risk is None:
            raise NotComputableError("the predictions hold no log_risk")
        return as_log_risk(self.log_risk, len(self))

    @property
    def known_curves(self) -> Curves:
        """Survival curves; raises NotComputableError where there are none."""
        if self.curves is None:
            raise NotComputableError("the predictions hold no survival curves")
        return self.curves

    def survival(self, times: npt.ArrayLike) -> FloatArray:
        """S at `times`, (patients, times).

        Raises
        ------
        NotComputableError
            Without curves, or for a time beyond what they are known for.
        """
        values = self.known_curves.at(times)
        if np.isnan(values).any():
            latest = float(np.max(np.asarray(times)))
            raise NotComputableError(
                f"the curves are known up to {self.known_curves.last:g} only, asked for {latest:g}",
            )
        return values

    def select(self, rows: BoolArray | IntArray) -> Fold:
        """Keep the patients that `rows` (a mask, or places, with repeats) picks."""
        return replace(
            self,
            patient_id=self.patient_id[rows],
            time=self.time[rows],
            event=self.event[rows],
            log_risk=None if self.log_risk is None else self.log_risk[rows],
            curves=None if self.curves is None else self.curves.select(rows),
        )


Folds = tuple[Fold, ...]


@dataclass(frozen=True, eq=False)
class Pooled:
    """The folds of one repeat laid together: every patient once.

    Attributes
    ----------
    folds : sequence of Fold
    """

    folds: Sequence[Fold]

    @cached_property
    def outcome(self) -> Outcome:
        """Time and event of all patients, validated once."""
        time = np.concatenate([fold.time for fold in self.folds])
        return Outcome.of(time, np.concatenate([fold.event for fold in self.folds]))

    @property
    def stratum(self) -> IntArray:
        """Number of each patient's fold, (patients,)."""
        return np.repeat(np.arange(len(self.folds)), [len(f) for f in self.folds])

    def survival(self, horizon: float) -> FloatArray:
        """S at the horizon, (patients,); raises what :meth:`Fold.survival` raises."""
        return np.concatenate([fold.survival([horizon])[:, 0] for fold in self.folds])


def folds_of(
    predictions: pd.DataFrame,
    curves: Mapping[Place, Curves | None] | None = None,
    train: Mapping[Place, TimeEvent] | None = None,
) -> Folds:
    """Split a predictions table into its test folds.

    Parameters
    ----------
    predictions : DataFrame
        Columns `patient_id, repeat, fold, time, event`, and `log_risk` where it is known.
    curves : mapping of (repeat, fold) to Curves, optional
        Of the rows of that fold, in their order.
    train : mapping of (repeat, fold) to (time, event), optional
        Outcome of the patients trained on; by default the others of the same repeat.
    """
    folds = []
    for (repeat, number), part in predictions.groupby(["repeat", "fold"], sort=True):
        place = (int(str(repeat)), int(str(number)))
        same_repeat = predictions["repeat"] == repeat
        others = predictions[same_repeat & (predictions["fold"] != number)]
        training = _outcome(others) if len(others) else None
        time, event = _outcome(part)
        fold = Fold(
            *place,
            patient_id=part["patient_id"].to_numpy(object),
            time=time,
            event=event,
            log_risk=part["log_risk"].to_numpy(float) if "log_risk" in part else None,
            curves=None if curves is None else curves.get(place),
            train=training if train is None else train[place],
        )
        folds.append(fold)
    return tuple(folds)


def _outcome(table: pd.DataFrame) -> TimeEvent:
    return table["time"].to_numpy(float), table["event"].to_numpy(bool)


def patients_of(
    folds: Iterable[Fold],
    until: float | None = None,
) -> tuple[int, int]:
    """How many patients, and how many with the event (up to a time), counted once each."""
    had_event: dict[Any, bool] = {}
    for fold in folds:
        event = fold.event
        if until is not None:
            event = event & at_or_before(fold.time, until)
        had_event.update(zip(fold.patient_id, event.tolist(), strict=True))
    return len(had_event), sum(had_event.values())


def repeats_of(folds: Sequence[Fold]) -> list[list[Fold]]:
    """Group folds by repeat, in order."""
    repeats: dict[int, list[Fold]] = {}
    for fold in folds:
        repeats.setdefault(fold.repeat, []).append(fold)
    return [repeats[number] for number in sorted(repeats)]


def select(
    folds: Sequence[Fold],
    patients: Iterable[Any],
) -> Folds:
    """Keep some patients of every fold; folds left empty go."""
    chosen = list(set(patients))
    parts = [fold.select(pd.Index(fold.patient_id).isin(chosen)) for fold in folds]
    return tuple(part for part in parts if len(part))


def paired(
    a: Sequence[Fold],
    b: Sequence[Fold],
) -> list[tuple[Fold, Fold]]:
    """Pair the folds of two models, rows in the same order.

    Raises
    ------
    NotComputableError
        When the two do not hold the same patients in the same folds.
    """
    others = {fold.place: fold for fold in b}
    pairs = []
    for fold in a:
        other = others.pop(fold.place, None)
        if other is None or sorted(other.patient_id) != sorted(fold.patient_id):
            raise NotComputableError(_unpaired(a, b))
        pairs.append((_in_order(fold), _in_order(other)))
        _require_one_outcome(*pairs[-1])
    if others:
        raise NotComputableError(_unpaired(a, b))
    return pairs


def _unpaired(a: Sequence[Fold], b: Sequence[Fold]) -> str:
    """Message that two models cannot be paired, and who is missing where."""
    first = {patient for fold in a for patient in fold.patient_id}
    second = {patient for fold in b for patient in fold.patient_id}
    only_first, only_second = (
        sorted(first - second, key=str),
        sorted(second - first, key=str),
    )
    missing = []
    if only_first:
        missing.append(f"{len(only_first)} only in the first ({listed(only_first)})")
    if only_second:
        missing.append(f"{len(only_second)} only in the second ({listed(only_second)})")
    parts = [
        "the two sets of predictions do not hold the same patients in the same folds",
        ", ".join(missing) or "the folds differ",
        only_difference(sorted(map(str, only_second)), sorted(map(str, only_first))),
    ]
    return ": ".join(part for part in parts if part)


def _require_one_outcome(a: Fold, b: Fold) -> None:
    """Refuse to pair patients whose outcomes differ by more than the rounding of a file."""
    other = ~np.isclose(
        a.time,
        b.time,
        rtol=1e-6,
        atol=0,
    ) | (a.event != b.event)
    if other.any():
        raise NotComputableError(
            f"the two sets of predictions tell other outcomes of {listed(a.patient_id[other])}",
        )


def _in_order(fold: Fold) -> Fold:
    order = np.argsort(fold.patient_id.astype(str), kind="stable")
    if len(set(fold.patient_id)) < len(fold):
        raise InputError(f"{fold.label}: a patient is predicted twice")
    return fold.select(order)
