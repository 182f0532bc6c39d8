"""Checks of the arguments of public functions: numbers come out, or an error says why not.

Rows are taken by position: the index of a pandas column is not looked at.
"""

from __future__ import annotations

import datetime
import operator
from collections.abc import Sequence
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt

from survfuse._errors import InputError, listed
from survfuse._types import AnyArray, FloatArray, IntArray
from survfuse.survival.ties import tolerance

RISE = 1e-6  # survival that rises by no more than this was rounded
# What conversions to an array raise.
NO_ARRAY = (TypeError, ValueError, RuntimeError, AttributeError, OverflowError)
NUMBERS = (Real, Decimal, np.bool_, np.number)
DURATIONS = (datetime.timedelta, np.timedelta64)
TENSORS = ("torch.float64", "torch.float32", "torch.float16")
DATES = (datetime.date, np.datetime64)
OF_DURATIONS = (
    "holds durations; divide by the unit you count in, for months:"
    " pandas.to_timedelta({name}) / pandas.Timedelta(days=30.4375)"
)
OF_DATES = (
    "holds dates; take the time from the first visit instead, for months:"
    " (pandas.to_datetime(end) - pandas.to_datetime(start)) / pandas.Timedelta(days=30.4375)"
)


def as_numbers(
    values: npt.ArrayLike,
    name: str,
    *,
    expected: str = "numbers",
    flags: bool = True,
    error: type[InputError] = InputError,
) -> FloatArray:
    """Convert to float64, of any shape.

    Parameters
    ----------
    values : array-like
        Numbers of any precision: a list, an array, a pandas column, a detached tensor.
    name : str
        What it is, for the message.
    expected : str
        What it must be, for the message.
    flags : bool
        Whether True and False count as 1 and 0.
    error : type of InputError
        Raised for anything else.

    Raises
    ------
    InputError
        For text, dates, durations, complex numbers, masked entries, a tensor with a gradient.
    """
    rule = f"{name} must be {expected}"
    array = as_array(values, rule, error)
    kind = array.dtype.kind
    if kind == "O":
        array = _from_objects(array, name, rule, error)
    elif kind == "m":
        raise error(f"{rule}; it {OF_DURATIONS.format(name=name)}")
    elif kind == "M":
        raise error(f"{rule}; it {OF_DATES}")
    elif kind in "US":
        first = listed((repr(str(value)) for value in array.ravel()[:3]), 3)
        raise error(f"{rule}, got text ({first}); convert it with pandas.to_numeric")
    elif kind not in "biuf":
        raise error(f"{rule}, got {array.dtype}")
    if kind == "b" and not flags:
        raise error(
            f"{rule}, got True and False; are two arguments in each other's place?",
        )
    return array.astype(np.float64)


def as_array(
    values: Any,
    rule: str,
    error: type[InputError] = InputError,
) -> AnyArray:
    """Convert to an array of its own kind; nothing may lose a mask, a gradient or precision.

    Parameters
    ----------
    values : array-like
    rule : str
        Begins the message: what the values must be.
    error : type of InputError
    """
    module = type(values).__module__.partition(".")[0]
    if module == "torch" and hasattr(values, "detach"):
        return _from_torch(values, rule, error)
    if np.ma.is_masked(values):
        raise error(f"{rule}; it has masked entries: fill them or leave these rows out")
    try:
        return np.asarray(values)
    except NO_ARRAY as cause:
        raise error(f"{rule}: {cause}") from None


def _from_torch(
    values: Any,
    rule: str,
    error: type[InputError],
) -> AnyArray:
    """Convert a tensor; precisions that NumPy does not know (bfloat16) become double, exactly."""
    if values.requires_grad:
        raise error(
            f"{rule}; it is a tensor that carries a gradient: hand over its .detach()",
        )
    try:
        known = str(values.dtype) in TENSORS or not values.is_floating_point()
        array: AnyArray = (values if known else values.double()).cpu().numpy()
    except NO_ARRAY as cause:  # a sparse or quantised tensor, or one without data
        raise error(f"{rule}: {cause}") from None
    return array


def _from_objects(
    array: AnyArray,
    name: str,
    rule: str,
    error: type[InputError],
) -> FloatArray:
    for row, value in enumerate(array.ravel().tolist()):
        if isinstance(value, DURATIONS):
            raise error(f"{rule}; it {OF_DURATIONS.format(name=name)}")
        if isinstance(value, DATES):
            raise error(f"{rule}; it {OF_DATES}")
        is_complex = isinstance(value, complex | np.complexfloating)
        if is_complex or not isinstance(value, NUMBERS):
            raise error(f"{rule}; row {row} holds {value!r}")
    try:
        return array.astype(np.float64)
    except NO_ARRAY as cause:  # an integer beyond 1e308
        raise error(f"{rule}: {cause}") from None


def as_floats(
    values: npt.ArrayLike,
    name: str,
    *,
    flags: bool = True,
    error: type[InputError] = InputError,
) -> FloatArray:
    """Convert to one float64 column (patients,); parameters as in :func:`as_numbers`."""
    column = as_numbers(
        values,
        name,
        expected="a column of numbers",
        flags=flags,
        error=error,
    )
    if column.ndim != 1:
        raise error(f"{name} must be one column (patients,), got shape {column.shape}")
    return column


def as_log_risk(
    log_risk: npt.ArrayLike,
    patients: int | None = None,
    name: str = "log_risk",
) -> FloatArray:
    """Convert log-risks to a finite float64 column of the right length.

    Parameters
    ----------
    log_risk : array-like, (patients,)
        Larger means an earlier event.
    patients : int, optional
        How many rows there must be.
    name : str
        What it is, for the message.

    Raises
    ------
    InputError
        Names the first rows that are missing or infinite.
    """
    column = as_floats(log_risk, name)
    if patients is not None and len(column) != patients:
        raise InputError(
            f"{name} must have one row per patient: expected {patients}, got {len(column)}",
        )
    bad = np.flatnonzero(~np.isfinite(column))
    if len(bad):
        raise InputError(
            f"{name} must be finite; row {bad[0]} holds {column[bad[0]]} (rows {listed(bad)})",
        )
    return column


def as_horizons(
    times: npt.ArrayLike,
    *,
    increasing: bool = False,
) -> FloatArray:
    """Convert to a column of horizons, in the order they are asked in.

    Parameters
    ----------
    times : array-like, (times,), or one number
        In the unit of the follow-up times.
    increasing : bool
        Whether each must be larger than the one before, as an integral needs.

    Raises
    ------
    InputError
        For none, for one that is not a finite number > 0, or a wrong order.
    """
    horizons = np.atleast_1d(as_numbers(times, "times", flags=False))
    if horizons.ndim != 1 or len(horizons) == 0:
        raise InputError(
            f"times must be one column of at least one horizon, got shape {horizons.shape}",
        )
    bad = np.flatnonzero(~(np.isfinite(horizons) & (horizons > 0)))
    if len(bad):
        raise InputError(
            f"times must be finite numbers > 0; place {bad[0]} holds {horizons[bad[0]]}",
        )
    if increasing and (np.diff(horizons) <= tolerance(horizons)).any():
        raise InputError(
            "times must increase strictly, by more than rounding; sort them and drop repeated ones",
        )
    return horizons


def as_horizon(
    horizon: npt.ArrayLike,
    name: str = "horizon",
) -> float:
    """Convert to one finite number > 0, in the unit of time."""
    value = as_numbers(horizon, name, flags=False)
    if value.ndim or not (np.isfinite(value) and value > 0):
        raise InputError(f"{name} must be a finite number > 0, got {horizon!r}")
    return float(value)


def as_survival(
    survival: npt.ArrayLike,
    patients: int,
    times: FloatArray,
    name: str = "survival",
) -> FloatArray:
    """Convert to predicted survival, (patients, times); one column will do where there is one time.

    Parameters
    ----------
    survival : array-like
    patients : int
    times : array, (times,), in any order
        Survival never rises from one to a later one.
    name : str

    Raises
    ------
    InputError
        For a wrong shape, a value that is missing or outside [0, 1], or a curve that
        rises; names the first rows.
    """
    values = as_numbers(survival, name)
    got, expected = values.shape, (patients, len(times))
    if values.ndim == 1 and len(times) == 1:
        values = values[:, None]
    if values.shape != expected:
        hint = "; is it transposed?" if got == expected[::-1] else ""
        raise InputError(
            f"{name} must be (patients, times): expected {expected}, got {got}{hint}",
        )
    _refuse_improbable(values, name)
    _refuse_rising(values, times, name)
    return values


def as_survival_at(
    survival: npt.ArrayLike,
    patients: int,
    name: str = "survival",
) -> FloatArray:
    """Convert to predicted survival at one time, (patients,); see :func:`as_survival`."""
    return as_survival(survival, patients, np.zeros(1), name)[:, 0]


def _refuse_improbable(values: FloatArray, name: str) -> None:
    good = (values >= 0) & (values <= 1)
    if good.all():
        return
    row, column = np.argwhere(~good)[0]
    rows = listed(np.flatnonzero(~good.all(axis=1)))
    place = f", time {column}" if values.shape[1] > 1 else ""
    hint = ". A curve is not known beyond its training follow-up: ask for earlier times"
    raise InputError(
        f"{name} must lie within [0, 1]; row {row}{place} holds {values[row, column]}"
        f" (rows {rows}){hint if np.isnan(values[row, column]) else ''}",
    )


def _refuse_rising(
    values: FloatArray,
    times: FloatArray,
    name: str,
) -> None:
    lowest = np.ones(len(values))
    for column in np.argsort(times, kind="stable"):
        rises = np.flatnonzero(values[:, column] > lowest + RISE)
        if len(rises):
            row = rises[0]
            raise InputError(
                f"{name} must never rise with time; in row {row} it is {values[row, column]:.4g} at"
                f" t = {times[column]:g} and was {lowest[row]:.4g} before (rows {listed(rises)})."
                " Is it the probability of the event (then give 1 minus it),"
                " or are patients the columns?",
            )
        lowest = np.minimum(lowest, values[:, column])


def as_labels(
    values: npt.ArrayLike,
    patients: int,
    name: str,
) -> tuple[AnyArray, IntArray]:
    """Different labels, sorted, and the number of each patient's own.

    Raises
    ------
    InputError
        For another length, a missing label, or labels that cannot be sorted.
    """
    rule = f"{name} must have one label per patient"
    labels = as_array(values, rule, InputError)
    if labels.shape != (patients,):
        raise InputError(f"{rule}: expected {patients}, got shape {labels.shape}")
    missing = [row for row, label in enumerate(labels.tolist()) if _is_missing(label)]
    if missing:
        raise InputError(f"{rule}; none in rows {listed(missing)}")
    try:
        distinct, member = np.unique(labels, return_inverse=True)
    except TypeError:  # text beside numbers
        raise InputError(
            f"{rule}, all of one kind; got {listed(labels.tolist())}",
        ) from None
    return distinct, member.astype(np.int64)


def _is_missing(label: object) -> bool:
    of_pandas = type(label).__name__ in ("NAType", "NaTType")
    return label is None or of_pandas or (isinstance(label, float) and label != label)


def as_whole(
    value: Any,
    name: str,
    least: int,
) -> int:
    """Convert to an integer that is `least` or more."""
    try:
        whole = operator.index(value)
    except TypeError:
        whole = None
    if whole is None or isinstance(value, bool | np.bool_) or whole < least:
        raise InputError(f"{name} must be a whole number >= {least}, got {value!r}")
    return whole


def as_share(value: Any, name: str) -> float:
    """Convert to one number strictly between 0 and 1."""
    share = as_numbers(
        value,
        name,
        expected="a number",
        flags=False,
    )
    if share.ndim or not 0 < share < 1:
        raise InputError(f"{name} must lie between 0 and 1, got {value!r}")
    return float(share)


def as_choice(
    value: Any,
    known: Sequence[str],
    name: str,
) -> str:
    """Return a known name as it is."""
    if not isinstance(value, str) or value not in known:
        raise InputError(f"unknown {name} {value!r}; known: {', '.join(known)}")
    return value
