"""Models of two halves of a cohort, and the same other patients, explained by both."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from survfuse._errors import CohortError, InputError, NotComputableError, TransformError
from survfuse.cohort.cohort import Cohort
from survfuse.cohort.splits import make_folds
from survfuse.config import FitConfig
from survfuse.estimators import FoldContext, fit_model
from survfuse.estimators.fold_context import training_patients
from survfuse.explanations.explained import Explained
from survfuse.survival.argument_checks import as_share

Progress = Callable[[str], None]
"""Is told what is fitted next, such as ``half 3 of 8``."""


@dataclass(frozen=True)
class Halves:
    """Two halves of a cohort, and patients that are in neither.

    Attributes
    ----------
    first, second : tuple of str
        Training patients.
    held : tuple of str
        Patients that are explained.
    """

    first: tuple[str, ...]
    second: tuple[str, ...]
    held: tuple[str, ...]

    @property
    def size(self) -> float:
        """Patients of a half, on average."""
        return (len(self.first) + len(self.second)) / 2


@dataclass(frozen=True, eq=False)
class Pair:
    """The same patients, explained by models of two halves.

    Attributes
    ----------
    first, second : Explained
    """

    first: Explained
    second: Explained

    @property
    def both(self) -> tuple[Explained, Explained]:
        """The two explanations."""
        return self.first, self.second


def draw_halves(
    cohort: Cohort,
    patients: Sequence[str] | None,
    splits: int,
    *,
    held: float = 0.2,
    seed: int = 0,
    groups: str | None = None,
) -> list[Halves]:
    """Draw splits into two halves and held-out patients, events spread evenly.

    Held-out patients of successive splits are different ones, until everyone was held out once.

    Parameters
    ----------
    cohort : Cohort
    patients : sequence of str or None
        Everyone with an outcome where None.
    splits : int
    held : float
        Share of the patients that is held out, in (0, 0.5]: the nearest 1 / whole number is taken.
    seed : int
    groups : str, optional
        A group of the cohort (site) whose patients stay together.

    Raises
    ------
    InputError
        For a share, patients or groups that are no such thing.
    CohortError
        With fewer events or groups than the parts need.
    """
    held = as_share(held, "held")
    if held > 0.5:
        raise InputError(f"held: expected a share above 0, at most .5, got {held:g}")
    if isinstance(patients, str):
        raise InputError(f"patients: expected a list of ids, got {patients!r}")
    if not isinstance(groups, str | None):
        raise InputError(f"groups: expected the name of a group, got {groups!r}")
    ids = _with_outcome(cohort) if patients is None else patients
    ids = training_patients(cohort, ids)
    whole = cohort.subset(ids)
    folds = round(1 / held)
    rounds = -(-splits // folds)
    table = make_folds(whole, folds=folds, repeats=rounds, seed=seed, groups=groups)
    drawn = []
    for number in range(splits):
        repeat, fold = divmod(number, folds)
        of_repeat = table[table["repeat"] == repeat]
        out = of_repeat["fold"] == fold
        rest = whole.subset(of_repeat["patient_id"][~out])
        half = make_folds(rest, folds=2, seed=seed + number, groups=groups)
        first = half["fold"] == 0
        drawn.append(
            Halves(
                tuple(half["patient_id"][first]),
                tuple(half["patient_id"][~first]),
                tuple(of_repeat["patient_id"][out]),
            ),
        )
    return drawn


def fitted_pairs(
    cohort: Cohort,
    config: FitConfig,
    drawn: Sequence[Halves],
    progress: Progress | None = None,
) -> Iterator[tuple[Halves, Pair | str]]:
    """Fit a configuration on both halves of each split, and explain who was held out.

    Yields
    ------
    Halves, and Pair or str
        Why there is none where a half model could not be fitted.

    Raises
    ------
    ConfigError
        For a model that cannot be explained.
    """
    for number, halves in enumerate(drawn):
        explained = []
        try:
            for place, half in enumerate((halves.first, halves.second)):
                if progress is not None:
                    progress(f"half {2 * number + place + 1} of {2 * len(drawn)}")
                fitted = fit_model(FoldContext.of(cohort, half), config)
                parts = fitted.model.parts(fitted.transforms)
                reference = cohort.subset(half) if parts.needs_tiles else None
                explained.append(Explained.of(fitted, cohort, halves.held, reference))
        except (CohortError, TransformError, NotComputableError) as error:
            yield halves, str(error)
            continue
        yield halves, Pair(*explained)


def _with_outcome(cohort: Cohort) -> tuple[str, ...]:
    """Patients whose outcome is known; none without an outcome, which is refused later."""
    if cohort.outcome is None:
        return ()
    return tuple(cohort.outcome.index[cohort.outcome["time"].notna()])
