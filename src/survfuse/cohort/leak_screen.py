"""Which of many columns could be the outcome: one pass over whole matrices.

A column that is not named here passes none of the rules of :mod:`survfuse.cohort.leakage`.
"""

from __future__ import annotations

import numpy as np
from scipy import stats
from scipy.special import gammaln

from survfuse._types import BoolArray, FloatArray, IntArray

CELLS = 2**20  # sorted together: bounds the memory
APART = 0.47  # distance of the area under the curve from 1/2
ALIGNED = 0.7  # correlation of ranks, below which Kendall's tau is under 0.9


def suspects(
    values: FloatArray,
    time: FloatArray,
    event: BoolArray,
    limit: float,
) -> IntArray:
    """Find the columns that deserve a closer look.

    Parameters
    ----------
    values : array, (patients, columns)
        NaN where not known.
    time, event : array, (patients,)
    limit : float
        Logarithm of the chance below which a coincidence counts.

    Returns
    -------
    array of int
        Indices of columns, ascending.
    """
    width = max(1, CELLS // max(1, len(values)))
    indices = [np.empty(0, np.int64)]
    for start in range(0, values.shape[1], width):
        block = _Sorted(values[:, start : start + width], time, event)
        indices.append(start + np.flatnonzero(block.suspect(limit)))
    return np.concatenate(indices)


class _Sorted:
    """Columns sorted by value, with times and events of their patients; (patients, columns)."""

    def __init__(
        self,
        values: FloatArray,
        time: FloatArray,
        event: BoolArray,
    ) -> None:
        order = np.argsort(values, axis=0)  # NaN goes last
        ordered = np.take_along_axis(values, order, axis=0)
        place = np.arange(len(values))[:, None]
        self.known = np.isfinite(ordered)
        self.new = np.ones(ordered.shape, bool)
        self.new[1:] = ordered[1:] != ordered[:-1]
        self.time = stats.rankdata(time)[order]
        self.event = event[order] & self.known
        first = np.maximum.accumulate(np.where(self.new, place, 0), axis=0)
        ends = np.ones(ordered.shape, bool)
        ends[:-1] = self.new[1:]
        last = _smallest_from_here(np.where(ends, place, len(values)))
        self.rank = (first + last) / 2
        self.alone = first == last
        self.patients = self.known.sum(axis=0)
        self.events = self.event.sum(axis=0)

    def suspect(self, limit: float) -> BoolArray:
        """Whether a column parts or orders the patients so well that the rules apply."""
        decidable = -log_choose(self.patients, self.events) <= limit
        parted = decidable & (self.parts() | self.pure(limit))
        ordered = self.ordered(self.known) | self.ordered(self.event)
        return np.asarray(parted | ordered)

    def parts(self) -> BoolArray:
        """Whether the events lie nearly all above, or nearly all below, the others."""
        events, others = self.events, self.patients - self.events
        ranks = np.where(self.event, self.rank, 0).sum(axis=0)
        above = ranks - events * (events - 1) / 2
        area = above / np.maximum(events * others, 1)
        return np.asarray((np.abs(area - 0.5) >= APART) & (events > 0) & (others > 0))

    def pure(self, limit: float) -> BoolArray:
        """Whether each level has one status, and so many patients that chance hardly does it."""
        mixed = ~self.new[1:] & self.known[1:] & (self.event[1:] != self.event[:-1])
        alone = (self.alone & self.known).sum(axis=0)
        levels = (self.new & self.known & ~self.alone).sum(axis=0)
        chance = log_pure(levels, alone, self.patients, self.events)
        return np.asarray(~mixed.any(axis=0) & (chance <= limit))

    def ordered(self, rows: BoolArray) -> BoolArray:
        """Whether times of these rows never fall or never rise between levels, or nearly so."""
        rises = _never_falls(self.time, rows, self.new)
        falls = _never_falls(-self.time, rows, self.new)
        return np.asarray(rises | falls | self.aligned(rows))

    def aligned(self, rows: BoolArray) -> BoolArray:
        """Whether ranks and times of these rows are highly correlated."""
        x, y = _centred(self.rank, rows), _centred(self.time, rows)
        product = np.abs((x * y).sum(axis=0))
        spread = np.sqrt((x**2).sum(axis=0) * (y**2).sum(axis=0))
        return np.asarray((product >= ALIGNED * spread) & (spread > 0))


def _centred(
    values: FloatArray,
    rows: BoolArray,
) -> FloatArray:
    """Values less the mean of these rows of each column; 0 in other rows."""
    count = np.maximum(rows.sum(axis=0), 1)
    mean = np.where(rows, values, 0).sum(axis=0) / count
    return np.where(rows, values - mean, 0)


def _smallest_from_here(values: FloatArray) -> FloatArray:
    """Smallest value of a column from each row on."""
    return np.minimum.accumulate(values[::-1], axis=0)[::-1]


def _never_falls(
    time: FloatArray,
    rows: BoolArray,
    new: BoolArray,
) -> BoolArray:
    """Whether, at the start of each level, all times before are at most all times from there on."""
    before = np.maximum.accumulate(np.where(rows, time, -np.inf), axis=0)
    after = _smallest_from_here(np.where(rows, time, np.inf))
    return np.asarray((~new[1:] | (before[:-1] <= after[1:])).all(axis=0))


def log_choose(
    patients: IntArray | int,
    events: IntArray | int,
) -> FloatArray:
    """Logarithm of the number of ways to choose who has the event."""
    n, k = np.asarray(patients, np.float64), np.asarray(events, np.float64)
    return np.asarray(gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1))


def log_pure(
    levels: IntArray | int,
    alone: IntArray | int,
    patients: IntArray | int,
    events: IntArray | int,
) -> FloatArray:
    """Logarithm of a bound on the chance that every level of a column has one status.

    Each of `levels` with several patients may have either; of `alone`, the levels of a
    single patient, at most the middle binomial coefficient of choices remains.
    """
    single = np.asarray(alone)
    ways = np.asarray(levels) * np.log(2) + log_choose(single, single // 2)
    return np.asarray(ways - log_choose(patients, events))


def by_chance(tau: float, patients: int) -> float:
    """Logarithm of the chance of a Kendall's tau as large in size, by the normal approximation."""
    z = abs(tau) * np.sqrt(4.5 * patients * (patients - 1) / (2 * patients + 5))
    return float(np.log(2) + stats.norm.logsf(z))
