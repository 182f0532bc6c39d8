"""The metrics of predictions: one card each, from which everything else is read.

A metric is a :class:`Metric` in `METRICS`. Cross-validation, ``survfuse evaluate``, the
report and the table in the documentation go through that registry. Another package adds a
metric in one file (``docs/extending.md``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

import numpy as np

from survfuse._registry import Registry
from survfuse._types import FloatArray
from survfuse.evaluation.assessment_settings import Scale
from survfuse.evaluation.folds import Fold, Pooled, patients_of, repeats_of
from survfuse.evaluation.training_variance import chance_share
from survfuse.survival.estimate import UNLIMITED, Basis, Estimate
from survfuse.survival.ties import at_or_before

RANKING = "Ranking (discrimination)"
ERROR = "Error of the predicted curves"
AGREEMENT = "Agreement of predicted and observed (calibration)"
EXPLAINED = "Explained variation"
OTHER = "Other"
FAMILIES = (RANKING, ERROR, AGREEMENT, EXPLAINED, OTHER)
HIGHER, LOWER, ONE = "higher", "lower", "1 is best"
T = TypeVar("T")


class Score(NamedTuple):
    """A metric in one fold.

    Attributes
    ----------
    value : float
    influence : array, (patients,)
        Derivative of the value by each patient's weight; sums to 0.
    note : str
        What a reader must know; written once for all folds.
    restriction : str
        How the value was restricted in this fold; written with the fold's name.
    """

    value: float
    influence: FloatArray
    note: str = ""
    restriction: str = ""


class At(NamedTuple):
    """The times at which a metric is computed.

    Attributes
    ----------
    horizon : float
        Of a metric at horizons; the last one for others.
    tau : float or None
        Truncation time of Uno's C.
    grid : array, (times,)
        Times of integrated scores, as far as all curves and censoring weights are known.
    grid_note : str
        Where the grid ends early.
    own_grid : bool
        Whether the grid is that of a predictions file.
    """

    horizon: float
    tau: float | None
    grid: FloatArray
    grid_note: str
    own_grid: bool

    @property
    def end(self) -> float | None:
        """Last time of the grid; None where it is empty."""
        return float(self.grid[-1]) if len(self.grid) else None


@dataclass(frozen=True)
class Metric:
    """Everything about one metric; it has either `influence` or `pooled`.

    Attributes
    ----------
    key : str
        Its name in metrics.json; ``<key>_<horizon>`` for a metric at horizons.
    title, family, better : str
        Readable name, heading, and "higher", "lower", "1 is best" or "" (neither).
    summary, method : str
        What it measures, and how it is computed.
    needs : tuple of "log_risk", "survival"
        Predictions that it can be computed from, any of them.
    at_horizon : bool
        Whether it is computed at every horizon.
    influence : callable, optional
        Gives the :class:`Score` of one fold, or raises NotComputableError; averaged over
        folds and repeats.
    pooled : callable, optional
        Gives the estimate of all folds of a model.
    limits, logit
        As in :meth:`~survfuse.survival.estimate.Basis.around`.
    assumptions : str
        What must hold for the number to mean what its name says.
    until : callable, optional
        Gives the time up to which events enter.
    note : callable, optional
        Gives a note on the times.
    """

    key: str
    title: str
    family: str
    better: str
    summary: str
    method: str
    needs: tuple[str, ...]
    at_horizon: bool = False
    influence: Callable[[Fold, At], Score] | None = None
    pooled: Callable[[ModelFolds, At], Estimate] | None = None
    limits: tuple[float, float] = UNLIMITED
    logit: bool = False
    assumptions: str = ""
    until: Callable[[At], float | None] = lambda at: None
    note: Callable[[At], str] = lambda at: ""

    def name(self, horizon: float) -> str:
        """Its key at a horizon."""
        return f"{self.key}_{horizon:g}" if self.at_horizon else self.key


METRICS: Registry[Metric] = Registry("metric", group="survfuse.metrics")


def register(metric: Metric) -> Metric:
    """Add a metric to the registry.

    Raises
    ------
    ValueError
        For a family that is not one of `FAMILIES`, or a metric that computes nothing.
    """
    if metric.family not in FAMILIES:
        raise ValueError(f"{metric.key}: expected a family of {', '.join(FAMILIES)}")
    if (metric.influence is None) == (metric.pooled is None):
        raise ValueError(f"{metric.key}: expected either influence or pooled")
    add = METRICS.register(
        metric.key,
        summary=metric.summary,
        source=metric.method,
    )
    add(lambda: metric)
    return metric


@dataclass(frozen=True, eq=False)
class ModelFolds:
    """The folds of one model, with what several metrics share.

    Attributes
    ----------
    folds : sequence of Fold
    scale : Scale
    other : sequence of Fold
        Of a model it is compared with: integrated scores end where its curves do.
    chance : float, optional
        Share of the risks that changes with the training patients, computed from the
        folds where it is not given.
    """

    folds: Sequence[Fold]
    scale: Scale
    other: Sequence[Fold] = ()
    chance: float | None = None
    _computed: dict[Any, Any] = field(default_factory=dict)

    @cached_property
    def chance_share(self) -> float:
        """See :func:`~survfuse.evaluation.training_variance.chance_share`."""
        return chance_share(self.folds) if self.chance is None else self.chance

    @cached_property
    def repeats(self) -> list[Pooled]:
        """The folds of each repeat, pooled."""
        return [Pooled(part) for part in repeats_of(self.folds)]

    def basis(
        self,
        assumptions: str = "",
        until: float | None = None,
    ) -> Basis:
        """Patients, and events up to a time."""
        return Basis(*patients_of(self.folds, until), assumptions)

    def at(self, horizon: float | None = None) -> At:
        """Times of a metric at a horizon."""
        scale, (grid, note) = self.scale, self._grid
        last = scale.horizons[-1] if horizon is None else horizon
        tau = scale.tau if np.isfinite(scale.tau) else None
        return At(last, tau, grid, note, scale.times is not None)

    @cached_property
    def _grid(self) -> tuple[FloatArray, str]:
        """Grid as far as the curves and censoring weights of all folds are known, and a note."""
        reach, grid = self.scale.tau, self.scale.grid
        for fold in (*self.folds, *self.other):
            if fold.curves is not None:
                reach = min(reach, fold.curves.last)
            if len(fold):
                reach = min(reach, fold.censoring_source.last)
        known = grid[at_or_before(grid, reach)]
        if len(known) == len(grid):
            return known, ""
        end = f"{known[-1]:g}" if len(known) else "nothing"
        return (
            known,
            f"integrated to {end} instead of {grid[-1]:g}: beyond it some fold knows nothing",
        )

    def once(
        self,
        compute: Callable[[ModelFolds, At], T],
        at: At,
    ) -> T:
        """Return what `compute` gives at a horizon, computed once for several metrics."""
        key = (compute, at.horizon)
        if key not in self._computed:
            self._computed[key] = compute(self, at)
        result: T = self._computed[key]
        return result
