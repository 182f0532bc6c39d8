"""What a metric returns: a number, its uncertainty, what it rests on and its restrictions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from scipy.special import expit

from survfuse._errors import NotComputableError
from survfuse._notebook import html_table
from survfuse._types import FloatArray

LEVEL = 0.95
Z = NormalDist().inv_cdf((1 + LEVEL) / 2)
SMALLEST_SE = 1e-12
FLAT = (
    "the standard error is 0: these patients leave no uncertainty to estimate,"
    " so no interval can be given"
)
UNLIMITED = (-np.inf, np.inf)
LANDMARKS = (0.0, 0.5, 1.0)  # no difference, chance, perfect agreement
MOST_DIGITS = 6


@dataclass(frozen=True)
class Estimate:
    """A number with its uncertainty and what it rests on.

    Attributes
    ----------
    value : float or None
        None when these data cannot give it; `note` says why.
    se, low, high : float or None
        Standard error and 95 % interval; None when they cannot be given.
    n, events : int
        Patients, and events that entered (those up to τ or the horizon).
    note : str
        What a reader must know: why there is no value, or how it was restricted.
    assumptions : str
        What must hold for the number to mean what its name says.
    """

    value: float | None
    se: float | None
    low: float | None
    high: float | None
    n: int
    events: int
    note: str = ""
    assumptions: str = ""

    def __repr__(self) -> str:
        return f"Estimate({self}{f'; {self.note}' if self.note else ''})"

    def __str__(self) -> str:
        """Value, interval, patients and events: ``0.612 [0.551, 0.673], n=120, events=40``."""
        value = "not computable" if self.value is None else rounded(self.value)
        if self.low is not None and self.high is not None:
            value += f" [{rounded(self.low)}, {rounded(self.high)}]"
        return f"{value}, n={self.n}, events={self.events}"

    def _repr_html_(self) -> str:
        return html_table(str(self), lines=filter(None, [self.note, self.assumptions]))

    def p_value(self, null: float = 0.0) -> float | None:
        """Two-sided Wald p-value of `value` against `null`; None without a standard error."""
        if self.value is None or not self.se:
            return None
        return 2 * NormalDist().cdf(-abs(self.value - null) / self.se)


@dataclass(frozen=True)
class Basis:
    """What an estimate rests on.

    Attributes
    ----------
    n, events, assumptions
        As in :class:`Estimate`.
    """

    n: int
    events: int
    assumptions: str = ""

    def missing(self, why: str) -> Estimate:
        """Return the estimate that has no value, with the reason."""
        return self.without_se(None, why)

    def without_se(
        self,
        value: float | None,
        note: str,
        low: float | None = None,
        high: float | None = None,
    ) -> Estimate:
        """Return an estimate without a standard error."""
        return self.estimate(value, None, low, high, note)

    def estimate(
        self,
        value: float | None,
        se: float | None,
        low: float | None,
        high: float | None,
        note: str = "",
    ) -> Estimate:
        """Return an estimate with these numbers."""
        return Estimate(
            value,
            se,
            low,
            high,
            self.n,
            self.events,
            note,
            self.assumptions,
        )

    def computed(
        self,
        compute: Callable[[], Estimate],
        note: str = "",
    ) -> Estimate:
        """Return what `compute` gives, or the reason of its NotComputableError and `note`."""
        try:
            return compute()
        except NotComputableError as why:
            return self.missing(joined(str(why), note))

    def wald(
        self,
        value: float,
        influence: FloatArray,
        limits: tuple[float, float] = UNLIMITED,
        *,
        logit: bool = False,
        note: str = "",
    ) -> Estimate:
        """Return a Wald estimate from each patient's influence.

        Parameters
        ----------
        value : float
        influence : array, (patients,)
            Derivative of the value with respect to each patient's weight; sums to 0, so
            that the standard error is ``sqrt(sum(influence ** 2))``.
        limits, logit, note
            As in :meth:`around`.
        """
        se = float(np.sqrt((influence**2).sum()))
        return self.around(
            value,
            se,
            limits,
            logit=logit,
            note=note,
        )

    def around(
        self,
        value: float,
        se: float,
        limits: tuple[float, float] = UNLIMITED,
        *,
        logit: bool = False,
        note: str = "",
    ) -> Estimate:
        """Return a Wald estimate from its standard error; without an interval where that is 0.

        Parameters
        ----------
        value, se : float
        limits : (float, float)
            The values that are possible: a plain interval is cut to them.
        logit : bool
            Whether the interval of a value inside (0, 1) is made on the logit scale.
        note : str
        """
        if not se >= SMALLEST_SE:
            return self.without_se(value, joined(FLAT, note))
        if logit and 0 < value < 1:
            width = Z * se / (value * (1 - value))
            center = np.log(value / (1 - value))
            low, high = expit(center - width), expit(center + width)
        else:
            low, high = max(value - Z * se, limits[0]), min(value + Z * se, limits[1])
        return self.estimate(value, se, float(low), float(high), note)


def joined(*notes: str) -> str:
    """Join the notes that say something."""
    return "; ".join(note for note in notes if note)


def rounded(
    value: float,
    digits: int = 3,
    *,
    signed: bool = False,
) -> str:
    """Write a number so that rounding does not move it onto 0, 0.5 or 1, on which claims turn.

    Parameters
    ----------
    value : float
    digits : int
        Decimals; more where as many would write a small difference as none.
    signed : bool
        Whether a positive number gets its sign.

    Examples
    --------
    >>> rounded(0.61239), rounded(-0.0003), rounded(0.99996), rounded(0.0), rounded(1e-12)
    ('0.612', '-0.0003', '0.99996', '0.000', '0.000')
    """
    enough = digits
    while (
        enough < MOST_DIGITS
        and value not in LANDMARKS
        and round(value, enough) in LANDMARKS
    ):
        enough += 1
    if value not in LANDMARKS and round(value, enough) in LANDMARKS:
        enough = digits  # as good as the value itself: what is left is arithmetic
    close = round(float(value), enough) + 0.0
    return f"{'+' if signed and close > 0 else ''}{close:.{enough}f}"
