"""The learning curve: the same models trained on fewer patients, scored on whole test folds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np

from survfuse._errors import CohortError, NotComputableError, TransformError
from survfuse.cohort.cohort import Cohort
from survfuse.cohort.splits import Split
from survfuse.estimators import outcomes
from survfuse.evaluation.assessment_settings import Interval, Scale
from survfuse.evaluation.candidates import Candidate
from survfuse.evaluation.cells import Cells, Grid, Watcher
from survfuse.evaluation.combine import difference, estimate
from survfuse.evaluation.curve_errors import ISBS
from survfuse.evaluation.folds import Fold, Folds, patients_of
from survfuse.evaluation.learning_curve_plan import CurvePlan
from survfuse.evaluation.metric_registry import Metric, ModelFolds
from survfuse.evaluation.ranking import UNO_C
from survfuse.evaluation.training_variance import chance_share
from survfuse.survival.estimate import Basis, Estimate, joined

FEWEST_EVENTS = 10
METRICS = (UNO_C, ISBS)
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class _Point:
    """All models trained on one number of patients.

    Attributes
    ----------
    patients, events : float
        Of the training sets, means over folds and subsamples.
    samples : int
        Subsamples in each fold; 1 of whole training sets.
    folds : mapping of model to Folds
        Their `repeat` is the number of the subsample.
    chances : mapping of model to float
        See :func:`~survfuse.evaluation.training_variance.chance_share`.
    left_out : str
        Why it was not computed.
    """

    patients: float
    events: float
    samples: int
    folds: Mapping[str, Folds]
    chances: Mapping[str, float]
    left_out: str = ""


def learning_curve(
    plan: CurvePlan,
    cells: Cells,
    grid: Grid,
    scale: Scale,
    watcher: Watcher,
) -> tuple[Rows, list[str]]:
    """Train the models of a plan on its subsamples and score them on the whole test folds.

    Censoring weights come from the whole training sets at every size, and curves are integrated
    as far as those of every size are known, so that the training patients alone differ between
    sizes. A subsample is to the intervals what a repeat of a cross-validation is: influence
    functions of the test patients, widened by the share of the risks that changes between
    subsamples (of a difference, all of it).

    Parameters
    ----------
    plan : CurvePlan
    cells : Cells
        Of the run.
    grid : Grid
        What the run computed: the whole training sets.
    scale : Scale
    watcher : Watcher

    Returns
    -------
    rows : list of dict
        Of :class:`survfuse.results.schema.LearningCurveRow`, by model and size. The metrics
        ``delta_uno_c`` and ``delta_isbs`` are minus the size before.
    notes : list of str
    """
    missing = [one for one in plan.candidates if one.name not in grid.folds]
    more = Grid()
    if missing:
        more = cells.all([(one, plan.splits) for one in missing], watcher)
    notes = list(more.notes)
    whole = _whole(plan, {**grid.folds, **more.folds}, cells.cohort)
    points = []
    for size in plan.sizes:
        point, remarks = _sampled(plan, size, cells, whole, watcher)
        points.append(point)
        notes += remarks
    points.append(whole)
    everyone: list[Fold] = []
    for point in points:
        everyone.extend(chain.from_iterable(point.folds.values()))
    at = ModelFolds(everyone, scale).at()
    scale = replace(scale, interval=Interval(), times=tuple(at.grid.tolist()))
    rows: Rows = []
    for candidate in plan.candidates:
        rows += _rows(candidate.name, points, scale, at.grid_note)
    return rows, notes


def _whole(
    plan: CurvePlan,
    folds: Mapping[str, Folds],
    cohort: Cohort,
) -> _Point:
    """The point of the whole training sets."""
    repeat = plan.splits[0].repeat
    first: dict[str, Folds] = {}
    for candidate in plan.candidates:
        own = [fold for fold in folds[candidate.name] if fold.repeat == repeat]
        first[candidate.name] = tuple(replace(fold, repeat=0) for fold in own)
    return _Point(
        patients=float(np.mean([len(split.train) for split in plan.splits])),
        events=float(np.mean(_events(plan.splits, cohort))),
        samples=1,
        folds=first,
        chances={one.name: chance_share(folds[one.name]) for one in plan.candidates},
    )


def _sampled(
    plan: CurvePlan,
    size: int,
    cells: Cells,
    whole: _Point,
    watcher: Watcher,
) -> tuple[_Point, list[str]]:
    """The point of one size, and notes on how it was made."""
    drawn = plan.drawn(size, cells.cohort)
    counts = [_events(part, cells.cohort) for part in drawn]
    point = _Point(size, float(np.mean(counts)), plan.samples, {}, {})
    fewest = int(np.min(counts))
    if fewest < FEWEST_EVENTS:
        why = f"{fewest} events among {size} training patients; {FEWEST_EVENTS} are needed"
        return replace(point, samples=0, left_out=why), []
    fits = []
    for candidate in plan.candidates:
        for sample, part in enumerate(drawn):
            fits.append((_of_sample(candidate, size, sample), part))
    try:
        grid = cells.all(fits, watcher)
    except (CohortError, TransformError, NotComputableError) as error:
        return replace(point, samples=0, left_out=str(error)), []
    folds: dict[str, Folds] = {}
    for candidate in plan.candidates:
        folds[candidate.name] = _as_repeats(candidate, plan, size, grid, whole)
    overlap = size / whole.patients
    chances = {name: chance_share(own, overlap) for name, own in folds.items()}
    return replace(point, folds=folds, chances=chances), grid.notes


def _events(splits: Sequence[Split], cohort: Cohort) -> list[int]:
    """Events among the training patients of each split."""
    return [int(outcomes(cohort, split.train)[1].sum()) for split in splits]


def _of_sample(
    candidate: Candidate,
    size: int,
    sample: int,
) -> Candidate:
    """The candidate under a name of its own, for its cells of one subsample."""
    return replace(
        candidate,
        name=f"{candidate.name}, {size} patients, sample {sample + 1}",
        permute=False,
        lose=False,
        simple=True,
    )


def _as_repeats(
    candidate: Candidate,
    plan: CurvePlan,
    size: int,
    grid: Grid,
    whole: _Point,
) -> Folds:
    """Folds of all subsamples as repeats, with the censoring weights of whole training sets."""
    train = {fold.fold: fold.train for fold in whole.folds[candidate.name]}
    folds = []
    for sample in range(plan.samples):
        for fold in grid.folds[_of_sample(candidate, size, sample).name]:
            folds.append(replace(fold, repeat=sample, train=train[fold.fold]))
    return tuple(folds)


def _rows(
    name: str,
    points: Sequence[_Point],
    scale: Scale,
    grid_note: str,
) -> Rows:
    """Rows of one model, size by size."""
    rows: Rows = []
    before: _Point | None = None
    for point in points:
        place: dict[str, Any] = {
            "model": name,
            "patients": round(point.patients),
            "events": point.events,
            "subsamples": point.samples,
        }
        for metric in METRICS:
            row = {**place, "metric": metric.key}
            if point.left_out:
                empty = dict.fromkeys(("value", "low", "high"))
                rows.append({**row, **empty, "note": point.left_out})
                continue
            note = grid_note if metric is ISBS else ""
            model = ModelFolds(point.folds[name], scale, chance=point.chances[name])
            rows.append(row | _plain(estimate(metric, model), note))
            if before is not None:
                row = {**place, "metric": f"delta_{metric.key}"}
                gain = _gain(metric, name, point, before, scale)
                rows.append(row | _plain(gain, note))
        before = before if point.left_out else point
    return rows


def _gain(
    metric: Metric,
    name: str,
    point: _Point,
    before: _Point,
    scale: Scale,
) -> Estimate:
    """A metric at one size minus that at the size before, paired by subsample and patient."""
    folds = point.folds[name]
    if point.samples < before.samples:  # one whole training set beside every subsample
        folds = tuple(
            replace(fold, repeat=sample)
            for sample in range(before.samples)
            for fold in folds
        )
    basis = Basis(*patients_of(folds))
    return basis.computed(
        lambda: difference(metric, folds, before.folds[name], scale, chance=1.0),
    )


def _plain(
    result: Estimate,
    note: str,
) -> dict[str, Any]:
    """The columns of an estimate, with a further note."""
    return {
        "value": result.value,
        "low": result.low,
        "high": result.high,
        "note": joined(result.note, note),
    }
