"""Who teaches, which epoch is best, and where risk groups are cut."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from survfuse._errors import CohortError, listed
from survfuse._types import FloatArray, IntArray
from survfuse.cohort.cohort import Cohort
from survfuse.config import FitConfig
from survfuse.models.network import FusionNetwork
from survfuse.training import Ranks, Source, pick_device, predict

RISK_GROUPS = 3


class Patients(Source, Protocol):
    """A source that knows how many patients it has."""

    def __len__(self) -> int: ...


def log_risks(
    networks: Sequence[FusionNetwork],
    source: Patients,
    config: FitConfig,
) -> FloatArray:
    """Mean log-risk over ensemble members, of every patient of `source`; (patients,)."""
    rows = np.arange(len(source))
    device, ranks = pick_device(config.device), Ranks.here()
    each = np.stack(
        [predict(network, source, rows, device, ranks) for network in networks],
    )
    return np.asarray(each.mean(axis=0))


def training_patients(
    cohort: Cohort,
    patients: Sequence[str] | None,
) -> tuple[str, ...]:
    """Check and return the training patients, sorted, so that the order they are named in never matters.

    Raises
    ------
    CohortError
        Without outcome, for patients that are unknown or given twice, or without any event.
    """
    if cohort.outcome is None:
        raise CohortError(
            f"cohort {cohort.name!r} has no outcome to learn from; declare `outcome` in its file",
        )
    ids = tuple(sorted(cohort.patients if patients is None else patients))
    unknown = sorted(
        set(ids) - set(cohort.outcome.index[cohort.outcome["time"].notna()]),
    )
    if unknown:
        raise CohortError(f"no outcome for training patients: {listed(unknown)}")
    if len(set(ids)) < len(ids):
        raise CohortError(
            "training patients are given more than once; each may appear once",
        )
    if not cohort.outcome.loc[list(ids), "event"].any():
        raise CohortError(
            f"none of the {len(ids)} training patients has an event; nothing can be learned",
        )
    return ids


def risk_cuts(
    log_risk: FloatArray,
    out_of_fold: FloatArray | None,
    inner: IntArray,
) -> FloatArray:
    """Cut-offs that split training patients into equal risk groups; (groups - 1,).

    Out-of-fold risks are used where there are any, each fold centred on its own
    mean and the whole moved to the mean of the final model's risks, because
    in-sample risks of a flexible model are spread too far.
    """
    risks = log_risk
    if out_of_fold is not None:
        risks = out_of_fold - fold_means(out_of_fold, inner)[inner] + log_risk.mean()
    return np.quantile(risks, np.arange(1, RISK_GROUPS) / RISK_GROUPS)


def fold_means(values: FloatArray, fold: IntArray) -> FloatArray:
    """Mean of `values` in each fold; (folds,)."""
    return np.bincount(fold, weights=values) / np.bincount(fold)


def choose_epoch(scores: Sequence[Sequence[float | None]]) -> int:
    """Epoch (1-based) of the smallest mean validation score.

    Parameters
    ----------
    scores : sequence over runs of sequence over epochs
        None where a run could not be scored. Runs stop at different epochs;
        only epochs that every run reached are compared.

    Raises
    ------
    CohortError
        When no run could be scored at any epoch.
    """
    common = min(len(run) for run in scores)
    table = np.array(
        [[np.nan if s is None else s for s in run[:common]] for run in scores],
    )
    scored = ~np.isnan(table).all(axis=1)
    if not scored.any():
        raise CohortError(
            "no inner fold holds an event, so epochs cannot be compared; set selection: last",
        )
    return int(np.nanmean(table[scored], axis=0).argmin()) + 1
