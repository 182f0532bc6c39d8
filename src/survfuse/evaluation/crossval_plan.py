"""What a cross-validation fits on which splits, fixed before anything is fitted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from survfuse._errors import CohortError, ConfigError, LeakageError, context, listed
from survfuse.cohort.cohort import Cohort
from survfuse.cohort.leakage import refuse_leaks
from survfuse.cohort.splits import Split
from survfuse.cohort.transforms import check_followup
from survfuse.config import RunConfig
from survfuse.evaluation.assessment_settings import Scale
from survfuse.evaluation.candidates import Candidate, comparators, modalities_used
from survfuse.evaluation.cells import Grid, stem
from survfuse.evaluation.checks import refuse_later_knowledge
from survfuse.evaluation.combine import Interval
from survfuse.evaluation.compared_models import ComparedModels
from survfuse.evaluation.crossval_splits import splits_of
from survfuse.evaluation.default_horizons import resolve_horizons
from survfuse.evaluation.learning_curve_plan import CurvePlan

DERIVED = ("permuted:", "removed:", "only:", "missing:")
"""Begin the names of one model's predictions under other inputs."""
ON_ALL_REPEATS = {"model", "baseline", "increment", "other"}
QUICK_NOTE = (
    "a quick look (crossval.quick): the model, the clinical baseline and the late fusion alone, on "
    "the same folds. Left out, unless asked for by name: the other baselines, fusions and networks "
    "with and without each modality, the controls against chance, predictions with less, the "
    "learning curve, and whether explanations reproduce; run without --quick before you report"
)
"""What a reader of a quick run must know."""


@dataclass(frozen=True)
class CrossvalPlan:
    """What a cross-validation fits on which splits.

    Attributes
    ----------
    candidates : list of Candidate
        The model itself first.
    clinical : str or None
        The clinical-only baseline.
    used : tuple of str
        Modalities that the model reads, as its transforms order them.
    curve : CurvePlan or None
        Of the learning curve, where one is asked for.
    """

    config: RunConfig
    scale: Scale
    splits: tuple[Split, ...]
    candidates: list[Candidate]
    clinical: str | None
    notes: list[str]
    used: tuple[str, ...]
    curve: CurvePlan | None

    @classmethod
    def of(
        cls,
        config: RunConfig,
        cohort: Cohort,
        test: Cohort | None,
        compared: ComparedModels,
    ) -> CrossvalPlan:
        """Plan what `config` says, and refuse inputs that leak.

        Raises
        ------
        CohortError, ConfigError, LeakageError
            See :func:`survfuse.evaluation.crossval.cross_validate`.
        """
        if cohort.outcome is None:
            raise CohortError(
                f"cohort {cohort.name!r} has no outcome; cross-validation needs one",
            )
        _refuse_followup(cohort, config, compared)
        horizons, notes = resolve_horizons(config.horizons, cohort)
        if config.crossval.quick:
            notes.insert(0, QUICK_NOTE)
        if test is not None:
            notes += check_test_cohort(cohort, test)
        tau = float(config.tau or horizons[-1])
        config = config.model_copy(update={"horizons": horizons, "tau": tau})
        settings, model = config.crossval, config.model
        splits, split_notes = splits_of(cohort, settings)
        candidates = _candidates(config, cohort, compared)
        notes += compared.notes()
        if model.calibration.conformal is not None:
            notes.append(
                "model.calibration.conformal: cross-validation does not judge lower bounds; "
                "train makes them",
            )
        draws = 5 * settings.bootstrap or 1000
        interval = Interval(settings.interval, draws, settings.seed)
        clinical = _clinical_baseline(cohort, candidates)
        used = modalities_used(cohort, model)
        plan = cls(
            config=config,
            scale=Scale(horizons, tau, interval, settings.bootstrap),
            splits=splits,
            candidates=candidates,
            clinical=clinical,
            notes=[*notes, *split_notes],
            used=tuple(filter(used.__contains__, cohort.modalities)),
            curve=CurvePlan.of(settings, splits, candidates, clinical, cohort),
        )
        plan.refuse_leaks(cohort, test)
        return plan

    def refuse_leaks(self, cohort: Cohort, test: Cohort | None) -> None:
        """Refuse inputs that hold the outcome, and columns that accrue during follow-up."""
        for data in (cohort,) if test is None else (cohort, test):
            refuse_leaks(data, self.config.model.inputs.allow_followup)
        for candidate in self.candidates:
            if candidate.role in {"model", "other"}:
                refuse_later_knowledge(cohort, candidate.config)

    @property
    def main_candidates(self) -> list[Candidate]:
        """Candidates on all repeats: neither controls nor other seeds."""
        return [
            candidate
            for candidate in self.candidates
            if candidate.role in ON_ALL_REPEATS
        ]

    def names(self, grid: Grid) -> list[str]:
        """Models in the main tables: those on all repeats, then with a modality permuted."""
        main = [candidate.name for candidate in self.main_candidates]
        return main + [name for name in grid.folds if name.startswith("permuted:")]

    @property
    def fits(self) -> list[tuple[Candidate, Sequence[Split]]]:
        """Every candidate with its splits: controls and seeds on the first repeat alone."""
        first = [
            split for split in self.splits if split.repeat == self.splits[0].repeat
        ]
        main = self.main_candidates
        return [(one, self.splits if one in main else first) for one in self.candidates]


def _clinical_tables(cohort: Cohort) -> list[str]:
    return [name for name, data in cohort.modalities.items() if data.kind == "clinical"]


def _refuse_followup(
    cohort: Cohort,
    config: RunConfig,
    compared: ComparedModels,
) -> None:
    """Refuse columns known only during follow-up, of every model and the clinical baseline."""
    names = {*modalities_used(cohort, config.model), *_clinical_tables(cohort)}
    check_followup(cohort, config.model, names)
    for other in compared.candidates():
        with context(other.name):
            check_followup(cohort, other.config)


def _clinical_baseline(
    cohort: Cohort,
    candidates: Sequence[Candidate],
) -> str | None:
    """Name of the ridge Cox of the first clinical table, where it is among the candidates."""
    names = {candidate.name for candidate in candidates}
    wanted = [f"ridge:{name}" for name in _clinical_tables(cohort)[:1]]
    return next((name for name in wanted if name in names), None)


def _candidates(
    config: RunConfig,
    cohort: Cohort,
    compared: ComparedModels,
) -> list[Candidate]:
    """The model, its baselines, and what else it is compared with."""
    settings, model = config.crossval, config.model
    baselines = comparators(
        cohort,
        model,
        networks=settings.networks,
        controls=settings.controls,
        seeds=settings.seeds - 1 if settings.controls else 0,
        quick=settings.quick,
    )
    taken = {stem(other.name) for other in baselines}
    for name in (compared.name, *compared.others):
        if name.startswith(DERIVED):
            raise ConfigError(
                f"no model can be called {name!r}: predictions of one model with other inputs "
                "are; choose another name",
            )
        if stem(name) in taken:
            raise ConfigError(
                f"no model can be called {name!r}: a baseline or another model "
                "is; choose another name",
            )
        taken.add(stem(name))
    own = Candidate(
        compared.name,
        model,
        permute=True,
        lose=settings.robustness,
        explain=True,
    )
    return [own, *baselines, *compared.candidates()]


def check_test_cohort(cohort: Cohort, test: Cohort) -> list[str]:
    """Refuse a test cohort that shares patients or counts time otherwise; note another endpoint."""
    if test.outcome is None:
        raise CohortError(
            f"test cohort {test.name!r} has no outcome; nothing can be scored there",
        )
    if test.unit != cohort.unit:
        raise CohortError(
            f"test cohort {test.name!r} counts time in {test.unit}, the training cohort in "
            f"{cohort.unit}; declare one unit for both",
        )
    shared = sorted(set(cohort.patients) & set(test.patients))
    if shared:
        raise LeakageError(
            f"test cohort {test.name!r} shares {len(shared)} patient ids with the training "
            f"cohort: {listed(shared)}; exclude them there, or give different patients "
            "different ids",
        )
    if test.endpoint == cohort.endpoint:
        return []
    return [
        f"trained on {cohort.endpoint!r}, tested on {test.endpoint!r} of {test.name}",
    ]
