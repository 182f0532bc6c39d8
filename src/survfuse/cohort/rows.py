"""Patients of a cohort as scikit-learn indexes them; outcomes as scikit-survival writes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from survfuse._errors import CohortError, InputError, listed
from survfuse._types import BoolArray, FloatArray

if TYPE_CHECKING:
    from survfuse.cohort.cohort_data import Cohort

EVENT, TIME = "event", "time"


@dataclass(frozen=True)
class CohortRows:
    """Some patients of a cohort, in an order: what scikit-learn calls X.

    It has a length and a shape and is indexed by rows, so that the splitters and searches of
    scikit-learn take patients out of it. The data of the cohort are not copied.

    Attributes
    ----------
    cohort : Cohort
    patients : tuple of str
        Ids, in the order of the rows; a patient may be there more than once.
    """

    cohort: Cohort
    patients: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.patients)

    def __repr__(self) -> str:
        return f"CohortRows({len(self)} of {len(self.cohort)} patients of {self.cohort.name!r})"

    @property
    def shape(self) -> tuple[int, int]:
        """Number of patients and of modalities."""
        return len(self), len(self.cohort.modalities)

    def __getitem__(self, key: Any) -> CohortRows:
        """Patients at some rows: a number, a slice, an array of numbers or flags.

        Raises
        ------
        IndexError
            For rows that are not there.
        """
        if isinstance(key, tuple) and len(key) == 2 and key[1] is Ellipsis:
            key = key[0]  # as numpy writes it
        rows = np.atleast_1d(np.arange(len(self))[key])
        return CohortRows(self.cohort, tuple(self.patients[row] for row in rows))

    @property
    def y(self) -> np.ndarray[Any, Any]:
        """Outcome of each row: a structured array of `event` (bool) and `time`, (patients,).

        Raises
        ------
        CohortError
            Without an outcome, or for a patient whose outcome is not known.
        """
        outcome = self.cohort.outcome
        if outcome is None:
            raise CohortError(f"cohort {self.cohort.name!r} has no outcome")
        rows = outcome.loc[list(self.patients)]
        unknown = rows.index[rows[TIME].isna()]
        if len(unknown):
            raise CohortError(
                f"cohort {self.cohort.name!r}: the outcome of {len(unknown)} patient(s) is not "
                f"known: {listed(unknown)}; load the cohort without them (exclude=…)",
            )
        return structured_outcome(
            rows[EVENT].to_numpy(bool), rows[TIME].to_numpy(float)
        )

    def check_outcome(self, y: Any) -> None:
        """Refuse outcomes that are not those of the rows.

        Raises
        ------
        InputError
            Names the first patients that differ.
        """
        event, time = read_structured(y)
        own = self.y
        if len(event) != len(self):
            raise InputError(
                f"y: expected {len(self)} outcomes, one a patient, got {len(event)}"
            )
        differs = (event != own[EVENT]) | ~np.isclose(time, own[TIME], rtol=1e-9)
        if differs.any():
            names = listed(np.array(self.patients, dtype=object)[differs])
            raise InputError(
                f"y: {differs.sum()} outcome(s) are not those of the cohort: {names}; give "
                "cohort.y with X=cohort, in the same order, or no y",
            )


def structured_outcome(event: BoolArray, time: FloatArray) -> np.ndarray[Any, Any]:
    """Outcomes as scikit-survival writes them: a structured array of `event` and `time`.

    Parameters
    ----------
    event, time : array, (patients,)

    Examples
    --------
    >>> structured_outcome([True, False], [3.0, 5.0])["time"].tolist()
    [3.0, 5.0]
    """
    y = np.empty(len(event), dtype=[(EVENT, "?"), (TIME, "<f8")])
    y[EVENT], y[TIME] = event, time
    return y


def is_structured(y: Any) -> bool:
    """Whether something is an array with named fields."""
    return isinstance(y, np.ndarray) and y.dtype.names is not None


def read_structured(y: Any) -> tuple[BoolArray, FloatArray]:
    """Events and times of a structured array: the first field is the event, the second the time.

    Parameters
    ----------
    y : structured array, (patients,)
        As ``sksurv.util.Surv`` makes it; the names of its fields do not matter.

    Raises
    ------
    InputError
        For anything else.
    """
    expected = (
        "y: expected a structured array with two fields, the event (bool) and the time (float), "
        "such as cohort.y or Surv.from_arrays(event, time)"
    )
    if not is_structured(y):
        raise InputError(f"{expected}; got {type(y).__name__}")
    names: Sequence[str] = y.dtype.names
    if len(names) != 2 or y.ndim != 1:
        raise InputError(
            f"{expected}; got the fields {listed(names)} and shape {y.shape}"
        )
    if y.dtype[0].kind != "b" or y.dtype[1].kind not in "fiu":
        raise InputError(
            f"{expected}; got {names[0]} of {y.dtype[0]} and {names[1]} of {y.dtype[1]}",
        )
    return y[names[0]].astype(bool), y[names[1]].astype(float)
