"""Whether another cohort would give the same explanations: models of two halves, compared.

Terms, columns, genes and maps can be computed exactly and still be chance. Here the configuration
is fitted on two halves of the patients, and both models explain others who are in neither half.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace

from survfuse._errors import ConfigError, InputError, NotComputableError
from survfuse.cohort.cohort import Cohort
from survfuse.config import FitConfig
from survfuse.decomposition.measured_agreement import LEVELS, Agreement, AgreementRow
from survfuse.estimator import SurvivalFusion
from survfuse.estimators.base import make_estimator
from survfuse.explanations.compare_halves import (
    Key,
    compare_columns,
    compare_genes,
    compare_terms,
    squared_risk_difference,
)
from survfuse.explanations.half_models import Pair, Progress, draw_halves, fitted_pairs
from survfuse.explanations.tile_comparisons import (
    CommonClusters,
    common_clusters,
    compare_tiles,
)
from survfuse.survival.argument_checks import as_whole

SPLITS = 4
"""Pairs of half models: twice as many fits."""


def measure_agreement(
    cohort: Cohort,
    config: FitConfig,
    patients: Sequence[str] | None = None,
    *,
    halves: int = SPLITS,
    held: float = 0.2,
    seed: int = 0,
    groups: str | None = None,
    progress: Progress | None = None,
) -> Agreement:
    """Measure how far the explanations of models of two halves of a cohort agree.

    Each split holds out a fifth of the patients, fits the configuration on each half of the
    others, and explains those held out by both models. The agreement of two explanations is their
    correlation, averaged over the splits on which both models use what is compared.

    Parameters
    ----------
    cohort : Cohort
    config : FitConfig
    patients : sequence of str, optional
        Everyone with an outcome by default.
    halves : int
        Pairs of halves; twice as many models are fitted.
    held : float
        Share of the patients that is held out, in (0, 0.5]: the nearest 1 / whole number is taken.
    seed : int
        Decides who is where.
    groups : str, optional
        A group of the cohort (site) whose patients stay together.
    progress : callable, optional
        Is told ``half 3 of 8`` before each fit.

    Returns
    -------
    Agreement
        Of each term (over patients), each column and all columns of a modality (over patients),
        the genes' weights (over genes), lists of the largest weights, at most 50 (Kuncheva's
        index), maps of tiles (over tiles, centred within patients), and the mean risk of each
        cluster of tiles (over clusters, weighted by their tiles).

    Raises
    ------
    InputError
        For `halves` below 1, or another argument that is no such thing.
    ConfigError
        For a model that cannot be explained.
    CohortError
        Without outcome, or with too few events.
    NotComputableError
        When no half model could be fitted: quotes why.
    """
    halves, seed = as_whole(halves, "halves", 1), as_whole(seed, "seed", 0)
    if not isinstance(config, FitConfig):
        raise InputError(f"config: expected a FitConfig, got {type(config).__name__}")
    drawn = draw_halves(
        cohort,
        patients,
        halves,
        held=held,
        seed=seed,
        groups=groups,
    )
    everyone = {*drawn[0].first, *drawn[0].second, *drawn[0].held}
    whole = cohort.subset(everyone)
    assert whole.outcome is not None  # halves were drawn by it
    median = float(whole.outcome["time"].median())
    clusters = common_clusters(whole, config)
    of_splits: dict[Key, list[float | None]] = defaultdict(list)
    selected: dict[str, dict[str, int]] = defaultdict(dict)
    reasons: list[str] = []
    differences: list[float | None] = []
    for _, pair in fitted_pairs(cohort, config, drawn, progress):
        if isinstance(pair, str):
            reasons.append(pair)
            continue
        for key, value in compare(pair, selected, clusters):
            of_splits[key].append(value)
        differences.append(squared_risk_difference(pair, median))
    fitted = halves - len(reasons)
    if not fitted:
        raise NotComputableError(
            f"agreement: no model of half the patients could be fitted: {reasons[0]}",
        )
    rows = [AgreementRow.of(key, values, fitted) for key, values in of_splits.items()]
    rows.sort(key=lambda row: LEVELS.index(row.level))
    shares = {}
    for name, counts in selected.items():
        shares[name] = {gene: n / (2 * fitted) for gene, n in sorted(counts.items())}
    notes = [f"a split is lost: {reason}" for reason in dict.fromkeys(reasons)]
    return Agreement(
        rows=tuple(rows),
        patients=len(everyone),
        half=sum(one.size for one in drawn) / len(drawn),
        splits=fitted,
        lost=len(reasons),
        selected=shares,
        notes=tuple(notes),
        risk_difference=_root_mean(differences),
    )


def _root_mean(squares: Sequence[float | None]) -> float | None:
    """Root of their mean; None where one is not known."""
    known = [one for one in squares if one is not None]
    if len(known) < len(squares):
        return None
    return math.sqrt(sum(known) / len(known))


def compare(
    pair: Pair,
    selected: dict[str, dict[str, int]],
    clusters: dict[str, CommonClusters],
) -> Iterator[tuple[Key, float | None]]:
    """Compare two models on all levels; see :func:`compare_genes` for `selected`."""
    yield from compare_terms(pair)
    yield from compare_columns(pair)
    yield from compare_genes(pair, selected)
    yield from compare_tiles(pair, clusters)


def with_agreement(
    model: SurvivalFusion,
    cohort: Cohort,
    *,
    halves: int = SPLITS,
    progress: Progress | None = None,
) -> SurvivalFusion:
    """Measure the agreement of a fitted model's explanations on its training patients.

    Parameters
    ----------
    model : SurvivalFusion
        Fitted or loaded.
    cohort : Cohort
        That it was trained on.
    halves : int
        Pairs of halves; twice as many models are fitted.
    progress : callable, optional
        Is told ``half 3 of 8`` before each fit.

    Returns
    -------
    SurvivalFusion
        A new object, which explains and is saved with its agreement; the one given stays as it is.

    Raises
    ------
    ConfigError
        When the cohort holds none of its training patients.
    NotComputableError
        As ``measure_agreement``.
    """
    fitted = model.need_fitted()
    patients = None
    if fitted.trained is not None:
        trained = fitted.trained.among(cohort.patients)
        patients = [
            one for one, own in zip(cohort.patients, trained, strict=True) if own
        ]
        if not patients:
            raise ConfigError(
                f"agreement: cohort {cohort.name!r} holds no training patient of this model; give "
                "the cohort that it was trained on",
            )
    measured = measure_agreement(
        cohort,
        fitted.config,
        patients,
        halves=halves,
        progress=progress,
    )
    other = SurvivalFusion.from_config(model.config)
    other.fitted = replace(fitted, agreement=measured)
    return other


def usual_halves(config: FitConfig) -> int:
    """Pairs of half models where nobody asks for a number: none where networks are fused."""
    return 0 if make_estimator(config).trains_epochs else SPLITS
