"""The learning curve: the same models trained on fewer patients, scored on whole test folds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from survfuse._errors import (
    CohortError,
    ConfigError,
    NotComputableError,
    TransformError,
    listed,
)
from survfuse._types import BoolArray
from survfuse.cohort.cohort import Cohort
from survfuse.cohort.splits import Split
from survfuse.config import CrossvalConfig
from survfuse.estimators import outcomes
from survfuse.evaluation.assessment_settings import Interval, Scale
from survfuse.evaluation.candidates import Candidate, modalities_used
from survfuse.evaluation.cells import Cells, Grid, Watcher
from survfuse.evaluation.combine import difference, estimate
from survfuse.evaluation.curve_errors import ISBS
from survfuse.evaluation.folds import Fold, Folds, patients_of
from survfuse.evaluation.metric_registry import Metric, ModelFolds
from survfuse.evaluation.ranking import UNO_C
from survfuse.evaluation.training_variance import chance_share
from survfuse.survival.estimate import Basis, Estimate, joined

SIZES = (50, 100, 200)
"""Training patients, by default; those that the training sets do not exceed are not tried."""
FEWEST_EVENTS = 10
METRICS = (UNO_C, ISBS)
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class CurvePlan:
    """What a learning curve trains on which patients, fixed before anything is fitted.

    Attributes
    ----------
    sizes : tuple of int, rising
        Training patients; smaller than every training set.
    samples : int
        Subsamples of each size in each fold.
    seed : int
    splits : tuple of Split
        Of the first repeat, with whole training sets.
    candidates : tuple of Candidate
        The model first.
    """

    sizes: tuple[int, ...]
    samples: int
    seed: int
    splits: tuple[Split, ...]
    candidates: tuple[Candidate, ...]

    @classmethod
    def of(
        cls,
        settings: CrossvalConfig,
        splits: Sequence[Split],
        candidates: Sequence[Candidate],
        clinical: str | None,
        cohort: Cohort,
    ) -> CurvePlan | None:
        """Plan the learning curve that the settings ask for; None where they ask for none.

        Raises
        ------
        ConfigError
            When a size is not smaller than every training set.
        """
        if not settings.learning_curve:
            return None
        first = tuple(split for split in splits if split.repeat == splits[0].repeat)
        return cls(
            sizes=_sizes(settings.curve_sizes, first),
            samples=settings.curve_repeats,
            seed=settings.seed,
            splits=first,
            candidates=tuple(curve_candidates(candidates, clinical, cohort)),
        )


def _sizes(
    wanted: Sequence[int] | None,
    splits: Sequence[Split],
) -> tuple[int, ...]:
    smallest = min(len(split.train) for split in splits)
    sizes = tuple(sorted(set(SIZES if wanted is None else wanted)))
    if wanted is None:
        return tuple(size for size in sizes if size < smallest)
    large = [size for size in sizes if size >= smallest]
    if large:
        raise ConfigError(
            f"crossval.curve_sizes: {listed(large)} must be smaller than the smallest training "
            f"set, which has {smallest} patients; that one is always part of the curve",
        )
    return sizes


def curve_candidates(
    candidates: Sequence[Candidate],
    clinical: str | None,
    cohort: Cohort,
) -> list[Candidate]:
    """Choose the models of a learning curve: the model and its simple comparators.

    Parameters
    ----------
    candidates : sequence of Candidate
        Of the whole run, the model first.
    clinical : str or None
        Name of the clinical-only baseline.
    cohort : Cohort

    Returns
    -------
    list of Candidate
        The model, the clinical ridge, late fusion of all modalities and, where the cohort has
        priors, the model without them; each where it can be made.
    """
    model = candidates[0]
    used = modalities_used(cohort, model.config)
    everything = max(
        (one for one in candidates[1:] if one.config.fusion == "late_cox"),
        key=lambda one: len(one.modalities or ()),
        default=None,
    )
    chosen = [model]
    chosen += [one for one in candidates[1:] if one.name == clinical]
    if everything is not None:
        chosen.append(everything)
    kinds: dict[str, str] = {name: cohort.modalities[name].kind for name in used}
    priors = [name for name in used if kinds[name] == "prior"]
    rest = tuple(name for name in used if kinds[name] != "prior")
    if priors and rest:
        config = model.config.model_copy(update={"modalities": rest})
        without = Candidate(f"network:-{'-'.join(priors)}", config, "increment")
        same = [
            one
            for one in candidates[1:]
            if one.role in {"baseline", "increment"} and one.config == config
        ]
        chosen.append(next(iter(same), without))
    return chosen


def subsample(
    split: Split,
    event: BoolArray,
    size: int,
    sample: int,
    seed: int,
) -> Split:
    """Draw some of the training patients of a split, with their share of the events.

    Patients with and without the event are shuffled and dealt in proportion, so that a smaller
    subsample of the same number is part of a larger one.

    Parameters
    ----------
    split : Split
    event : array of bool, (training patients,)
        In the order of `split.train`.
    size : int
        Patients drawn.
    sample : int
        Number of the subsample, from 0.
    seed : int
    """
    generator = np.random.default_rng([seed, split.repeat, split.fold, sample])
    place = np.empty(len(event))
    for value in (True, False):
        rows = generator.permutation(np.flatnonzero(event == value))
        place[rows] = (np.arange(len(rows)) + 0.5) / max(len(rows), 1)
    chosen = np.lexsort((~event, place))[:size]
    return replace(split, train=tuple(split.train[row] for row in np.sort(chosen)))


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
    more = (
        cells.all([(one, plan.splits) for one in missing], watcher)
        if missing
        else Grid()
    )
    notes = list(more.notes)
    whole = _whole(plan, {**grid.folds, **more.folds}, cells.cohort)
    points = []
    for size in plan.sizes:
        point, told = _sampled(plan, size, cells, whole, watcher)
        points.append(point)
        notes += told
    points.append(whole)
    everyone = [
        fold for point in points for folds in point.folds.values() for fold in folds
    ]
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
        patients=_mean_patients(plan.splits),
        events=_mean_events(plan.splits, cohort),
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
    drawn: list[list[Split]] = []
    for sample in range(plan.samples):
        part = []
        for split in plan.splits:
            _, event = outcomes(cells.cohort, split.train)
            part.append(subsample(split, event, size, sample, plan.seed))
        drawn.append(part)
    events = [
        int(outcomes(cells.cohort, one.train)[1].sum())
        for part in drawn
        for one in part
    ]
    point = _Point(size, float(np.mean(events)), plan.samples, {}, {})
    if min(events) < FEWEST_EVENTS:
        why = f"{min(events)} events among {size} training patients; {FEWEST_EVENTS} are needed"
        return replace(point, samples=0, left_out=why), []
    fits = []
    for candidate in plan.candidates:
        for sample, part in enumerate(drawn):
            fits.append((_of_sample(candidate, size, sample), part))
    try:
        grid = cells.all(fits, watcher)
    except (CohortError, TransformError, NotComputableError) as error:
        return replace(point, samples=0, left_out=str(error)), []
    overlap = size / whole.patients
    folds: dict[str, Folds] = {}
    for candidate in plan.candidates:
        own: list[Fold] = []
        for sample in range(plan.samples):
            name = _of_sample(candidate, size, sample).name
            own += _scored_as(grid.folds[name], whole.folds[candidate.name], sample)
        folds[candidate.name] = tuple(own)
    chances = {name: chance_share(own, overlap) for name, own in folds.items()}
    return replace(point, folds=folds, chances=chances), grid.notes


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


def _scored_as(
    folds: Sequence[Fold],
    whole: Sequence[Fold],
    sample: int,
) -> list[Fold]:
    """Folds of a subsample as a repeat, with the censoring weights of whole training sets."""
    train = {fold.fold: fold.train for fold in whole}
    return [replace(fold, repeat=sample, train=train[fold.fold]) for fold in folds]


def _mean_patients(splits: Sequence[Split]) -> float:
    return float(np.mean([len(split.train) for split in splits]))


def _mean_events(splits: Sequence[Split], cohort: Cohort) -> float:
    return float(np.mean([outcomes(cohort, one.train)[1].sum() for one in splits]))


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
        place = {
            "model": name,
            "patients": round(point.patients),
            "events": point.events,
            "subsamples": point.samples,
        }
        for metric in METRICS:
            note = grid_note if metric is ISBS else ""
            row = {**place, "metric": metric.key}
            if point.left_out:
                rows.append(row | _plain(None, point.left_out))
                continue
            model = ModelFolds(point.folds[name], scale, chance=point.chances[name])
            rows.append(row | _plain(estimate(metric, model), note))
            if before is not None:
                row = {**place, "metric": f"delta_{metric.key}"}
                rows.append(
                    row | _plain(_gain(metric, name, point, before, scale), note)
                )
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
    result: Estimate | None,
    note: str,
) -> dict[str, Any]:
    if result is None:
        return {"value": None, "low": None, "high": None, "note": note}
    return {
        "value": result.value,
        "low": result.low,
        "high": result.high,
        "note": joined(result.note, note),
    }
