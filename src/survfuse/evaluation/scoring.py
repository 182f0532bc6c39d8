"""From the predictions of all models to all numbers of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from survfuse.evaluation import performance
from survfuse.evaluation.assessment import assess
from survfuse.evaluation.assessment_settings import WAYS, Scale
from survfuse.evaluation.comparisons import (
    Increment,
    comparisons,
    delta_uno_c,
    increments,
)
from survfuse.evaluation.folds import Folds, repeats_of
from survfuse.survival.estimate import Estimate

Estimates = dict[str, dict[str, Estimate]]
DELTA = "delta_uno_c_vs_clinical"


@dataclass(frozen=True)
class Judged:
    """The numbers of a run.

    Attributes
    ----------
    estimates : mapping of model to mapping of metric to Estimate
    performance : dict
        The tables behind the figures (see :func:`judge_models`).
    """

    estimates: Estimates
    performance: dict[str, Any]


def judge_models(
    models: Mapping[str, Folds],
    name: str,
    clinical: str | None,
    scale: Scale,
    *,
    wanted: Sequence[Increment] = (),
    groups: pd.DataFrame | None = None,
) -> Judged:
    """Compute every metric of every model, and their differences.

    Parameters
    ----------
    models : mapping of name to folds
    name : str
        The model that it is about; it and `clinical` get bootstrap intervals of ICI.
    clinical : str or None
        The clinical-only model that every other is compared with.
    scale : Scale
    wanted : sequence of Increment
        Pairs of models that differ by one modality.
    groups : DataFrame of categories, optional
        Sites and subgroups, indexed by patient.

    Returns
    -------
    Judged
        `performance` holds `time_curves, calibration, calibration_histogram, decision,
        subgroups, increment, comparisons, interval`.
    """
    without_draws = replace(scale, draws=0)
    main = {key: models[key] for key in (name, clinical or name) if key in models}
    estimates: Estimates = {}
    for model, folds in models.items():
        estimates[model] = assess(folds, scale if model in main else without_draws)
        if clinical is not None and clinical in models and model != clinical:
            estimates[model][DELTA] = delta_uno_c(folds, models[clinical], scale)
    null = performance.null_folds(models[name])
    curves, histogram = performance.calibration_tables(main, scale)
    middle = scale.horizons[(len(scale.horizons) - 1) // 2]
    if groups is None:
        groups = pd.DataFrame(index=pd.Index([], dtype=object))
    permuted = [model for model in models if model.startswith("permuted:")]
    tables = {
        "time_curves": performance.over_time(main, null, scale),
        "calibration": curves,
        "calibration_histogram": histogram,
        "decision": performance.decision_curves(main, middle),
        "subgroups": performance.by_subgroup(name, models[name], groups, scale),
        "increment": increments(models, wanted, scale),
        "comparisons": comparisons(models, name, scale, skip=permuted),
        "interval": _interval_method(models[name], scale),
    }
    return Judged(estimates, tables)


def _interval_method(folds: Folds, scale: Scale) -> str:
    """How intervals were computed, as text."""
    single = all(len(part) == 1 for part in repeats_of(folds))
    if single and scale.interval.kind != "bootstrap":
        return "influence functions of the test patients; one fitted model, so nothing is widened"
    return WAYS[scale.interval.kind]
