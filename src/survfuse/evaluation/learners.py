"""What is compared on the same folds: the model, and the baselines nobody may leave out."""

from __future__ import annotations

from collections.abc import Sequence

from survfuse.cohort.cohort import Cohort
from survfuse.config import FitConfig
from survfuse.evaluation.baselines import (
    KaplanMeierLearner,
    LateFusionLearner,
    RidgeLearner,
)
from survfuse.evaluation.learner import FoldResult, Learner, Role
from survfuse.evaluation.networks import (
    NetworkLearner,
    OptimisticLearner,
    PermutedOutcomeLearner,
)

__all__ = [
    "FoldResult",
    "KaplanMeierLearner",
    "LateFusionLearner",
    "Learner",
    "NetworkLearner",
    "OptimisticLearner",
    "PermutedOutcomeLearner",
    "RidgeLearner",
    "Role",
    "comparators",
    "modalities_used",
]


def comparators(
    cohort: Cohort,
    config: FitConfig,
    *,
    networks: bool,
    seed: int,
    controls: bool = False,
    seeds: int = 0,
) -> list[Learner]:
    """Everything that runs beside a model on the same folds, clinical first.

    The clinical table's ridge Cox is the line every model must beat; it runs
    whether or not the model reads that table.

    Parameters
    ----------
    cohort : Cohort
    config : FitConfig
        Of the model.
    networks : bool
        Also the model's network on each modality alone, and without each.
    seed : int
        Of the ridge Cox models' inner folds.
    controls : bool
        Also the model trained on permuted outcomes, and, where epochs are trained, selected on
        the test fold; each costs about as much as the model.
    seeds : int
        How many times the model is drawn again from another seed.
    """
    own = modalities_used(cohort, config)
    clinical = [
        name for name, data in cohort.modalities.items() if data.kind == "clinical"
    ]
    names = (*clinical, *(name for name in own if name not in clinical))
    found: list[Learner] = [
        KaplanMeierLearner(),
        *(
            RidgeLearner(f"ridge:{name}", (name,), config.allow_followup, seed)
            for name in names
        ),
        *_fusions(cohort, names, clinical, config, seed),
    ]
    if networks and len(own) > 1:
        found += _networks(own, config)
    if controls:
        found.append(PermutedOutcomeLearner(config))
        if config.fusion != "anchored":  # which has no epoch to choose
            found.append(OptimisticLearner(config))
    return found + _seeds(config, seeds)


def modalities_used(cohort: Cohort, config: FitConfig) -> tuple[str, ...]:
    """Modalities of the cohort that a model reads, clinical first."""
    names = [
        name
        for name in cohort.modalities
        if config.modalities is None or name in config.modalities
    ]
    return tuple(
        sorted(names, key=lambda name: cohort.modalities[name].kind != "clinical"),
    )


def _fusions(
    cohort: Cohort,
    names: tuple[str, ...],
    clinical: Sequence[str],
    config: FitConfig,
    seed: int,
) -> list[Learner]:
    """Early fusion of clinical and other vectors; late fusions: of these, of all, and of all but one."""
    found: list[Learner] = []
    vectors = tuple(name for name in names if cohort.modalities[name].kind != "bag")
    seen: set[frozenset[str]] = set()
    both = len(vectors) > 1 and bool(clinical)
    if both:
        word = "+".join(vectors)
        found.append(
            RidgeLearner(f"ridge:{word}", vectors, config.allow_followup, seed),
        )
        found.append(
            LateFusionLearner(f"late:{word}", vectors, config.allow_followup, seed),
        )
        seen.add(frozenset(vectors))
    less: list[tuple[str, tuple[str, ...], Role]] = [("late:all", names, "baseline")]
    less += [(f"late:-{name}", _without(names, name), "increment") for name in names]
    for word, kept, role in less:
        if len(kept) > 1 and frozenset(kept) not in seen:
            seen.add(frozenset(kept))
            found.append(
                LateFusionLearner(word, kept, config.allow_followup, seed, role),
            )
    return found


def _networks(names: tuple[str, ...], config: FitConfig) -> list[Learner]:
    """The network on each modality alone, and, where that is another thing, without each."""
    alone: list[tuple[str, tuple[str, ...], Role]] = [
        (f"network:{name}", (name,), "baseline") for name in names
    ]
    less: list[tuple[str, tuple[str, ...], Role]] = [
        (f"network:-{name}", _without(names, name), "increment")
        for name in names
        if len(names) > 2
    ]
    return [
        NetworkLearner(word, config.model_copy(update={"modalities": kept}), role)
        for word, kept, role in [*alone, *less]
    ]


def _seeds(config: FitConfig, seeds: int) -> list[Learner]:
    """The model from other seeds; members of an ensemble take one each, so the next starts after them."""
    other = [
        (config.seed + number * config.members) % 2**32
        for number in range(1, seeds + 1)
    ]
    return [
        NetworkLearner(f"seed:{seed}", config.model_copy(update={"seed": seed}), "seed")
        for seed in other
    ]


def _without(names: Sequence[str], one: str) -> tuple[str, ...]:
    return tuple(name for name in names if name != one)
