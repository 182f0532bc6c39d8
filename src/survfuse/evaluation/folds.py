"""Scored patients, fold by fold: the one form in which every evaluation sees predictions.

A fold holds the predictions of one fitted model for patients it was not trained on.
Our own cross-validation, another cohort and a table that another program wrote all
become folds, and are judged by the same functions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from survfuse._errors import InputError, NotComputableError, listed
from survfuse._types import BoolArray, FloatArray, IntArray
from survfuse.readers.cell_text import only_difference
from survfuse.survival.curves import StepFunction, SurvivalCurves
from survfuse.survival.ties import at_or_before, tolerance


class Curves(Protocol):
    """Survival curves of some patients.

    Attributes
    ----------
    last : float
        Last time they are known for.
    """

    @property
    def last(self) -> float: ...  # noqa: D102

    def at(self, times: npt.ArrayLike) -> FloatArray:
        """S at `times`, (patients, times); NaN beyond `last`."""
        ...

    def own(self, time: FloatArray) -> FloatArray:
        """S of each patient at one time of its own, (patients,); at `last` for times beyond."""
        ...

    def select(self, rows: Any) -> Curves:
        """Keep some patients, in the order given."""
        ...


@dataclass(frozen=True, eq=False)
class Stepped:
    """Curves of a model of ours: exact at every time."""

    curves: SurvivalCurves

    @property
    def last(self) -> float:
        """Longest follow-up of the training patients."""
        return self.curves.last

    def at(self, times: npt.ArrayLike) -> FloatArray:
        """See :class:`Curves`."""
        return self.curves.at(times)

    def own(self, time: FloatArray) -> FloatArray:
        """See :class:`Curves`."""
        return self.curves.own(time)

    def select(self, rows: Any) -> Stepped:
        """See :class:`Curves`."""
        return Stepped(self.curves.select(rows))


@dataclass(frozen=True, eq=False)
class Shared:
    """One curve for all patients, exact at every time.

    Parameters
    ----------
    curve : StepFunction
    patients : int
        How many.
    """

    curve: StepFunction
    patients: int

    @property
    def last(self) -> float:
        """Last time of the curve."""
        return float(self.curve.x[-1])

    def at(self, times: npt.ArrayLike) -> FloatArray:
        """See :class:`Curves`."""
        asked = np.atleast_1d(np.asarray(times, dtype=np.float64))
        values = self.curve(asked)
        unknown = (asked > self.last + tolerance(self.curve.x)) & (values > 0)
        return np.tile(np.where(unknown, np.nan, values), (self.patients, 1))

    def own(self, time: FloatArray) -> FloatArray:
        """See :class:`Curves`."""
        return self.curve(time)

    def select(self, rows: Any) -> Shared:
        """See :class:`Curves`."""
        return Shared(self.curve, len(np.arange(self.patients)[rows]))


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
        """See :class:`Curves`."""
        asked = np.atleast_1d(np.asarray(times, dtype=np.float64))
        values = np.empty((len(self.survival), len(asked)))
        for column, (right, share) in enumerate(
            zip(*self._between(asked), strict=True),
        ):
            before = 1.0 if right == 1 else self.survival[:, right - 2]
            values[:, column] = (
                before * (1 - share) + self.survival[:, right - 1] * share
            )
        values[:, asked > self.last + tolerance(self.times)] = np.nan
        return values

    def own(self, time: FloatArray) -> FloatArray:
        """See :class:`Curves`."""
        right, share = self._between(time)
        row = np.arange(len(time))
        before = np.where(right == 1, 1.0, self.survival[row, right - 2])
        return np.asarray(before * (1 - share) + self.survival[row, right - 1] * share)

    def _between(self, time: FloatArray) -> tuple[IntArray, FloatArray]:
        """Knot to the right of each time (0 is the first knot), and the share of the way to it."""
        knots = np.concatenate([[0.0], self.times])
        right = np.clip(np.searchsorted(knots, time, side="left"), 1, len(knots) - 1)
        share = np.clip(
            (time - knots[right - 1]) / (knots[right] - knots[right - 1]),
            0.0,
            1.0,
        )
        return right, share

    def select(self, rows: Any) -> Tabulated:
        """See :class:`Curves`."""
        return Tabulated(self.times, self.survival[rows])


@dataclass(frozen=True, eq=False)
class Fold:
    """Predictions of one fitted model for patients it has not seen.

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
    patient_id: npt.NDArray[Any]
    time: FloatArray
    event: BoolArray
    log_risk: FloatArray | None
    curves: Curves | None = None
    train: tuple[FloatArray, BoolArray] | None = None

    def __len__(self) -> int:
        return len(self.time)

    @property
    def label(self) -> str:
        """Its place, by the numbers of the predictions file."""
        return f"repeat {self.repeat} fold {self.fold}"

    @property
    def risk(self) -> FloatArray:
        """Log-risk, or why there is none."""
        if self.log_risk is None:
            raise NotComputableError("the predictions hold no log_risk")
        return self.log_risk

    @property
    def known_curves(self) -> Curves:
        """Survival curves, or why there are none."""
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
            asked = float(np.max(np.asarray(times)))
            raise NotComputableError(
                f"the curves are known up to {self.known_curves.last:g} only, asked for {asked:g}",
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
Place = tuple[int, int]


def folds_of(
    predictions: pd.DataFrame,
    curves: Mapping[Place, SurvivalCurves | None] | None = None,
    train: Mapping[Place, tuple[FloatArray, BoolArray]] | None = None,
) -> Folds:
    """Split a predictions table of ours into its test folds.

    Parameters
    ----------
    predictions : DataFrame
        Columns `patient_id, repeat, fold, time, event, log_risk`.
    curves : mapping of (repeat, fold) to SurvivalCurves, optional
        Of the rows of that fold, in their order.
    train : mapping of (repeat, fold) to (time, event), optional
        Outcome of the patients trained on; by default the others of the same repeat.
    """
    found = []
    for (repeat, number), part in predictions.groupby(["repeat", "fold"], sort=True):
        place = (int(str(repeat)), int(str(number)))
        known = None if curves is None else curves.get(place)
        rest = predictions[
            (predictions["repeat"] == repeat) & (predictions["fold"] != number)
        ]
        others = (
            (rest["time"].to_numpy(float), rest["event"].to_numpy(bool))
            if len(rest)
            else None
        )
        found.append(
            Fold(
                *place,
                patient_id=part["patient_id"].to_numpy(object),
                time=part["time"].to_numpy(float),
                event=part["event"].to_numpy(bool),
                log_risk=part["log_risk"].to_numpy(float),
                curves=None if known is None else Stepped(known),
                train=others if train is None else train[place],
            ),
        )
    return tuple(found)


def patients_of(folds: Iterable[Fold], until: float | None = None) -> tuple[int, int]:
    """How many patients, and how many of them with the event (up to a time); each is counted once."""
    seen: dict[Any, bool] = {}
    for fold in folds:
        event = (
            fold.event if until is None else fold.event & at_or_before(fold.time, until)
        )
        seen.update(zip(fold.patient_id, event.tolist(), strict=True))
    return len(seen), sum(seen.values())


def repeats_of(folds: Sequence[Fold]) -> list[list[Fold]]:
    """Group folds by repeat, in order."""
    return [
        [f for f in folds if f.repeat == r] for r in sorted({f.repeat for f in folds})
    ]


def select(folds: Sequence[Fold], patients: Iterable[Any]) -> Folds:
    """Keep some patients of every fold; folds left empty go."""
    chosen = set(patients)
    parts = [
        (fold, np.array([p in chosen for p in fold.patient_id], dtype=bool))
        for fold in folds
    ]
    return tuple(fold.select(mask) for fold, mask in parts if mask.any())


def paired(a: Sequence[Fold], b: Sequence[Fold]) -> list[tuple[Fold, Fold]]:
    """Set the folds of two models side by side, rows in the same order.

    Raises
    ------
    NotComputableError
        When the two do not hold the same patients in the same folds.
    """
    other = {(fold.repeat, fold.fold): fold for fold in b}
    pairs = []
    for fold in a:
        twin = other.pop((fold.repeat, fold.fold), None)
        if twin is None or sorted(twin.patient_id) != sorted(fold.patient_id):
            raise NotComputableError(_unpaired(a, b))
        pairs.append((_in_order(fold), _in_order(twin)))
        _require_one_outcome(*pairs[-1])
    if other:
        raise NotComputableError(_unpaired(a, b))
    return pairs


def _unpaired(a: Sequence[Fold], b: Sequence[Fold]) -> str:
    """Say that two models cannot be paired, and who is missing where."""
    first, second = (
        {patient for fold in folds for patient in fold.patient_id} for folds in (a, b)
    )
    places = (("first", first - second), ("second", second - first))
    missing = [
        f"{len(own)} only in the {place} ({listed(sorted(own, key=str))})"
        for place, own in places
        if own
    ]
    told = ", ".join(missing) or "the folds differ"
    trifle = only_difference(
        sorted(map(str, second - first)),
        sorted(map(str, first - second)),
    )
    return (
        "the two sets of predictions do not hold the same patients in the same folds: "
        + ": ".join(part for part in (told, trifle) if part)
    )


def _require_one_outcome(a: Fold, b: Fold) -> None:
    """Refuse to pair patients who lived differently, but for the rounding of a file."""
    other = ~np.isclose(a.time, b.time, rtol=1e-6, atol=0) | (a.event != b.event)
    if other.any():
        raise NotComputableError(
            f"the two sets of predictions tell other outcomes of {listed(a.patient_id[other])}",
        )


def _in_order(fold: Fold) -> Fold:
    order = np.argsort(fold.patient_id.astype(str), kind="stable")
    if len(set(fold.patient_id)) < len(fold):
        raise InputError(f"{fold.label}: a patient is predicted twice")
    return fold.select(order)
