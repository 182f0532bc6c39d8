"""What a learning curve trains on which patients: its sizes, subsamples and models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from survfuse._errors import ConfigError, listed
from survfuse._types import BoolArray
from survfuse.cohort.cohort import Cohort
from survfuse.cohort.splits import Split
from survfuse.config import CrossvalConfig
from survfuse.estimators import outcomes
from survfuse.evaluation.candidates import Candidate, modalities_used

SIZES = (50, 100, 200)
"""Training patients, by default; those that the training sets do not exceed are not tried."""


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

    def drawn(self, size: int, cohort: Cohort) -> list[list[Split]]:
        """Splits of every subsample of one size: its patients train, the same are tested."""
        samples = []
        for sample in range(self.samples):
            part = []
            for split in self.splits:
                _, event = outcomes(cohort, split.train)
                part.append(subsample(split, event, size, sample, self.seed))
            samples.append(part)
        return samples

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
    others = candidates[1:]
    late = [one for one in others if one.config.fusion == "late_cox"]
    chosen = [candidates[0]]
    chosen += [one for one in others if one.name == clinical]
    if late:
        chosen.append(max(late, key=lambda one: len(one.modalities or ())))
    without = _without_priors(candidates, cohort)
    return chosen if without is None else [*chosen, without]


def _without_priors(
    candidates: Sequence[Candidate],
    cohort: Cohort,
) -> Candidate | None:
    """The model without its priors; None where it has none, or nothing else."""
    model = candidates[0]
    used = modalities_used(cohort, model.config)
    priors = [name for name in used if cohort.modalities[name].kind == "prior"]
    rest = tuple(name for name in used if name not in priors)
    if not (priors and rest):
        return None
    config = model.config.model_copy(update={"modalities": rest})
    for one in candidates[1:]:
        if one.role in {"baseline", "increment"} and one.config == config:
            return one
    return Candidate(f"network:-{'-'.join(priors)}", config, "increment")


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
