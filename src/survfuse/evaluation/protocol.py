"""Pairs of models that differ by a modality, controls, and subgroups of a cross-validation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pandas as pd

from survfuse.cohort.cohort import Cohort
from survfuse.cohort.modalities import TableData
from survfuse.cohort.spec import ColumnSpec
from survfuse.estimators.base import estimator_name
from survfuse.evaluation.assessment_settings import Scale
from survfuse.evaluation.candidates import (
    PERMUTED_OUTCOME,
    SELECTED_ON_TEST,
    Candidate,
)
from survfuse.evaluation.comparisons import Increment, delta_uno_c
from survfuse.evaluation.folds import Folds
from survfuse.evaluation.ranking import concordance

MOST_LEVELS = 6  # of a column that makes subgroups
MOST_SUBGROUPS = 8  # columns
OTHER = "other"


def wanted_increments(
    candidates: Sequence[Candidate],
    name: str,
    cohort: Cohort,
) -> list[Increment]:
    """Pairs of models on the same folds that differ by one modality alone.

    Models of the same kind (networks, or what else the model is) with and without it, late
    fusions with and without it, and the model with the modality permuted among the test patients.
    """
    main = next(one for one in candidates if one.name == name)
    increments: list[Increment] = []
    for kind, simple in (
        (estimator_name(main.config), False),
        ("late fusion", True),
    ):
        group = [candidate for candidate in candidates if candidate.simple == simple]
        names = _by_modalities(group, cohort)
        whole = max(
            names,
            key=len,
            default=frozenset(),
        )
        for modality in cohort.modalities:
            less = names.get(whole - {modality})
            if modality in whole and len(whole) > 1 and less is not None:
                increments.append(Increment(modality, kind, names[whole], less))
    used = _modalities(main, cohort)
    if len(used) > 1:
        permuted = "permuted at prediction"
        increments += [Increment(m, permuted, name, f"permuted:{m}") for m in used]
    return increments


def _modalities(
    candidate: Candidate,
    cohort: Cohort,
) -> tuple[str, ...]:
    return (
        tuple(cohort.modalities)
        if candidate.modalities is None
        else candidate.modalities
    )


def _by_modalities(
    candidates: Sequence[Candidate],
    cohort: Cohort,
) -> dict[frozenset[str], str]:
    """Name of the candidate of each set of modalities; late fusions before a ridge on the same."""
    names: dict[frozenset[str], str] = {}
    for candidate in sorted(
        candidates,
        key=lambda one: one.config.fusion != "late_cox",
    ):
        compared = candidate.role not in {"control", "seed", "other"}
        if compared and candidate.modalities != ():
            names.setdefault(frozenset(_modalities(candidate, cohort)), candidate.name)
    return names


def controls(
    folds: Mapping[str, Folds],
    name: str,
    scale: Scale,
    candidates: Sequence[Candidate],
) -> dict[str, Any]:
    """Controls against chance on the first repeat: `optimism, seeds, permuted_outcome`."""
    first = tuple(fold for fold in folds[name] if fold.repeat == folds[name][0].repeat)
    seeds = [one.name for one in candidates if one.role == "seed" and one.name in folds]
    chosen, shuffled = folds.get(SELECTED_ON_TEST), folds.get(PERMUTED_OUTCOME)
    return {
        "optimism": None if chosen is None else _optimism(first, chosen, scale),
        "seeds": _seeds([first, *map(folds.__getitem__, seeds)], scale)
        if seeds
        else None,
        "permuted_outcome": None
        if shuffled is None
        else _permuted(first, shuffled, scale),
    }


def _optimism(
    first: Folds,
    chosen: Folds,
    scale: Scale,
) -> dict[str, Any]:
    """Harrell's C with the epoch chosen on training patients, and on the scored ones."""
    warning = (
        "the epoch was chosen on the patients it is scored on: this is not a result"
    )
    honest = concordance(first, "harrell", None, interval=scale.interval)
    optimistic = concordance(chosen, "harrell", None, interval=scale.interval)
    return {
        "metric": "harrell_c",
        "honest": asdict(honest),
        "selected_on_test": asdict(replace(optimistic, note=warning)),
    }


def _seeds(
    runs: Sequence[Folds],
    scale: Scale,
) -> dict[str, Any]:
    """Uno's C of trainings that differ by seed alone, and their deviation."""
    values = []
    for folds in runs:
        estimate = concordance(folds, "uno", scale.tau, interval=scale.interval)
        values.append(estimate.value)
    known = [value for value in values if value is not None]
    return {
        "metric": "uno_c",
        "values": values,
        "sd": float(np.std(known, ddof=1)) if len(known) > 1 else None,
        "note": "the same splits, other random numbers in training; in no interval",
    }


def _permuted(
    first: Folds,
    shuffled: Folds,
    scale: Scale,
) -> dict[str, Any]:
    """Uno's C on permuted outcomes, and the model's minus it."""
    uno_c = concordance(shuffled, "uno", scale.tau, interval=scale.interval)
    difference = delta_uno_c(first, shuffled, scale)
    return {"uno_c": asdict(uno_c), "difference": asdict(difference)}


def subgroups(cohort: Cohort) -> pd.DataFrame:
    """Sites of the cohort file, and levels of its clinical columns: one column a grouping.

    Categories of a nominal column beyond the five most frequent are "other"; numeric
    columns are cut at their median. Columns known only during follow-up make none.

    Returns
    -------
    DataFrame of categories, indexed by patient
        Missing where not known; levels in their order.
    """
    frame = pd.DataFrame(index=pd.Index(list(cohort.patients), dtype=object))
    for name in cohort.groups.columns:
        known = cohort.groups[name].replace("", np.nan).dropna().astype(str)
        frame[name] = pd.Categorical(known.reindex(frame.index), sorted(set(known)))
    for data in cohort.modalities.values():
        if not isinstance(data, TableData) or data.kind != "clinical":
            continue
        baseline = [
            name for name, column in data.columns.items() if column.known == "baseline"
        ]
        for name in baseline[:MOST_SUBGROUPS]:
            texts = data.texts(name).dropna().astype(str)
            values, levels = _levels(texts, data.columns[name])
            if name not in frame and len(levels) > 1:
                frame[name] = pd.Categorical(values.reindex(frame.index), levels)
    return frame


def _levels(
    texts: pd.Series[str],
    column: ColumnSpec,
) -> tuple[pd.Series[str], list[str]]:
    """Level of each patient, and the levels in order; no level where a column makes no groups."""
    if column.kind == "ordinal":
        return texts, [level for level in column.levels or () if (texts == level).any()]
    if column.kind == "nominal":
        levels = list(texts.value_counts().index)
        if len(levels) <= MOST_LEVELS:
            return texts, sorted(levels)
        common = sorted(levels[: MOST_LEVELS - 1])
        return texts.where(texts.isin(common), OTHER), [*common, OTHER]
    numbers = pd.to_numeric(texts, errors="coerce").dropna()
    middle = float(numbers.median()) if len(numbers) else 0.0
    names = {False: f"≤ {middle:g}", True: f"> {middle:g}"}
    values = (numbers > middle).map(names)
    return values, [level for level in names.values() if (values == level).any()]
