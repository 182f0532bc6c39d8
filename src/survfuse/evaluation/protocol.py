"""What a cross-validation adds to its scores: pairs that differ by a modality, controls, subgroups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pandas as pd

from survfuse.cohort.cohort import Cohort
from survfuse.cohort.modalities import TableData
from survfuse.cohort.spec import ColumnSpec
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
    learners: Sequence[Candidate],
    name: str,
    cohort: Cohort,
) -> list[Increment]:
    """Pairs of models on the same folds that differ by one modality alone.

    Networks with and without it, late fusions with and without it, and the model with the
    modality permuted among the test patients.
    """
    found: list[Increment] = []
    for kind, simple in (("network", False), ("late fusion", True)):
        own = _by_modalities(
            [each for each in learners if each.simple == simple],
            cohort,
        )
        if not own:
            continue
        whole = max(own, key=len)
        for modality in sorted(whole, key=list(cohort.modalities).index):
            less = own.get(whole - {modality})
            if len(whole) > 1 and less is not None:
                found.append(Increment(modality, kind, own[whole], less))
    main = next(each for each in learners if each.name == name)
    used = main.modalities if main.modalities is not None else tuple(cohort.modalities)
    if len(used) > 1:
        found += [
            Increment(m, "permuted at prediction", name, f"permuted:{m}") for m in used
        ]
    return found


def _by_modalities(
    learners: Sequence[Candidate],
    cohort: Cohort,
) -> dict[frozenset[str], str]:
    """Name of the learner of each set of modalities; late fusions before a ridge on the same."""
    found: dict[frozenset[str], str] = {}
    for each in sorted(learners, key=lambda e: e.config.fusion != "late_cox"):
        if each.role in {"control", "seed"} or each.modalities == ():
            continue
        used = (
            each.modalities if each.modalities is not None else tuple(cohort.modalities)
        )
        found.setdefault(frozenset(used), each.name)
    return found


def controls(
    folds: Mapping[str, Folds],
    name: str,
    scale: Scale,
    learners: Sequence[Candidate],
) -> dict[str, Any]:
    """What tells chance from finding, each on the first repeat: `optimism, seeds, permuted_outcome`."""
    first = tuple(fold for fold in folds[name] if fold.repeat == folds[name][0].repeat)
    found: dict[str, Any] = {"optimism": None, "seeds": None, "permuted_outcome": None}
    seeds = [
        each.name for each in learners if each.role == "seed" and each.name in folds
    ]
    if SELECTED_ON_TEST in folds:
        chosen = concordance(
            folds[SELECTED_ON_TEST],
            "harrell",
            None,
            interval=scale.interval,
        )
        warning = (
            "the epoch was chosen on the patients it is scored on: this is not a result"
        )
        honest = concordance(first, "harrell", None, interval=scale.interval)
        found["optimism"] = {
            "metric": "harrell_c",
            "honest": asdict(honest),
            "selected_on_test": asdict(replace(chosen, note=warning)),
        }
    if seeds:
        values = [
            concordance(each, "uno", scale.tau, interval=scale.interval).value
            for each in (first, *(folds[s] for s in seeds))
        ]
        known = [value for value in values if value is not None]
        found["seeds"] = {
            "metric": "uno_c",
            "values": values,
            "sd": float(np.std(known, ddof=1)) if len(known) > 1 else None,
            "note": "the same splits, other random numbers in training; in no interval",
        }
    if PERMUTED_OUTCOME in folds:
        shuffled = folds[PERMUTED_OUTCOME]
        found["permuted_outcome"] = {
            "uno_c": asdict(
                concordance(shuffled, "uno", scale.tau, interval=scale.interval),
            ),
            "difference": asdict(delta_uno_c(first, shuffled, scale)),
        }
    return found


def subgroups(cohort: Cohort) -> pd.DataFrame:
    """Sites of the cohort file, and levels of its clinical columns: one column a grouping.

    Categories of a nominal column beyond the five most frequent are "other"; numeric
    columns are cut at their median. Columns known only during follow-up make none.

    Returns
    -------
    DataFrame of categories, indexed by patient
        Missing where not known; levels in the order in which they are told.
    """
    frame = pd.DataFrame(index=pd.Index(list(cohort.patients), dtype=object))
    for name in cohort.groups.columns:
        known = cohort.groups[name].replace("", np.nan).dropna().astype(str)
        frame[name] = _ordered(known, sorted(set(known)), frame.index)
    for data in cohort.modalities.values():
        if not isinstance(data, TableData) or data.kind != "clinical":
            continue
        known_early = [
            name for name, column in data.columns.items() if column.known == "baseline"
        ]
        for name in known_early[:MOST_SUBGROUPS]:
            if name in frame:
                continue
            texts = data.texts(name).dropna().astype(str)
            made, levels = _levels(texts, data.columns[name])
            if len(levels) > 1:
                frame[name] = _ordered(made, levels, frame.index)
    return frame


def _ordered(
    values: pd.Series[str],
    levels: Sequence[str],
    index: pd.Index[Any],
) -> pd.Series[Any]:
    return values.reindex(index).astype(
        pd.CategoricalDtype(list(levels), ordered=False),
    )


def _levels(
    texts: pd.Series[str],
    column: ColumnSpec,
) -> tuple[pd.Series[str], list[str]]:
    """Level of each patient, and the levels in order; no level where a column makes no groups."""
    if column.kind == "ordinal":
        return texts, [level for level in column.levels or () if (texts == level).any()]
    if column.kind == "nominal":
        counts = texts.value_counts()
        common = list(
            counts.index[:MOST_LEVELS]
            if len(counts) <= MOST_LEVELS
            else counts.index[: MOST_LEVELS - 1],
        )
        rest = [] if len(counts) <= MOST_LEVELS else [OTHER]
        return texts.where(texts.isin(common), OTHER), [
            *sorted(str(level) for level in common),
            *rest,
        ]
    numbers = pd.to_numeric(texts, errors="coerce").dropna()
    middle = float(numbers.median()) if len(numbers) else 0.0
    low, high = f"≤ {middle:g}", f"> {middle:g}"
    found = (numbers > middle).map({True: high, False: low})
    return found, [level for level in (low, high) if (found == level).any()]
