"""The summary of a fit: training patients, effective parameters, and events per parameter."""

from __future__ import annotations

import math
import platform
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from survfuse._errors import listed
from survfuse._types import BoolArray, FloatArray
from survfuse._version import __version__
from survfuse.cohort.cohort import Cohort
from survfuse.survival.curves import kaplan_meier_table
from survfuse.survival.degrees_of_freedom import (
    RULE,
    Effective,
    events_per_effective,
)

FOLLOWED = 0.1
"""Share of training patients that is followed up to the time of a score."""
SMALLEST_DEVIATION = 0.01
"""Of log-risks; a model whose risks differ less tells no patients apart."""
MOST_STEPS = 200
"""Of the Kaplan–Meier curve that a fit keeps."""


def learned_from(
    cohort: Cohort,
    ids: Sequence[str],
    time: FloatArray,
    event: BoolArray,
    dims: Mapping[str, int],
) -> dict[str, Any]:
    """Training patients and their modalities, in plain values for a fit's summary.

    Parameters
    ----------
    cohort : Cohort
    ids : sequence of str
        Training patients.
    time, event : array, (patients,)
    dims : mapping of modality to int
        Features after the transforms.
    """
    return {
        "cohort": cohort.name,
        "cohort_fingerprint": cohort.fingerprint(),
        "endpoint": cohort.endpoint,
        "unit": cohort.unit,
        "patients": len(ids),
        "events": int(event.sum()),
        "longest_time": float(time.max()),
        "modalities": {
            name: {
                "kind": cohort.modalities[name].kind,
                "inputs": int(width),
                "patients": int(cohort.present.loc[list(ids), name].sum()),
            }
            for name, width in dims.items()
        },
        "priors": priors_of(cohort, dims),
        "versions": {
            "survfuse": __version__,
            "torch": torch.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
    }


def kaplan_meier_of(
    time: FloatArray, event: BoolArray
) -> dict[str, list[float | None]]:
    """Kaplan–Meier curve of the training patients, in plain values for a fit's summary.

    Parameters
    ----------
    time, event : array, (patients,)

    Returns
    -------
    dict
        `time`, `survival`, and the ends `low` and `high` of its 95 % interval, None where there is
        none; at most 200 steps, evenly spaced where there are more.
    """
    table = kaplan_meier_table(time, event)
    count = len(table.time)
    chosen = np.unique(
        np.linspace(0, count - 1, min(count, MOST_STEPS)).round().astype(int)
    )
    curve: dict[str, list[float | None]] = {}
    for name in ("time", "survival", "low", "high"):
        values = np.asarray(getattr(table, name), np.float64)[chosen].tolist()
        curve[name] = [value if math.isfinite(value) else None for value in values]
    return curve


def time_followed(time: FloatArray) -> float:
    """Time that a tenth of the training patients was followed for."""
    return float(np.quantile(time, 1 - FOLLOWED, method="higher"))


def nothing_learned(summary: Mapping[str, Any]) -> str:
    """Say that a model tells nobody apart, where that is what was fitted; empty otherwise."""
    spread = summary.get("risk_deviation")
    if spread is None or spread >= SMALLEST_DEVIATION:
        return ""
    return (
        "nothing was learned: the log-risks of the training patients differ by "
        f"{spread:.2g} (standard deviation), so that everyone has nearly the same curve; "
        "with few events this is the honest answer"
    )


def priors_of(cohort: Cohort, names: Iterable[str]) -> list[dict[str, Any]]:
    """Say of the modalities of kind "prior" what they were learned from.

    Parameters
    ----------
    cohort : Cohort
    names : iterable of str
        Modalities of the cohort; those of another kind are left out.

    Returns
    -------
    list of dict
        `modality, prior, reads, cohorts, patients, events, endpoints`, as
        :class:`survfuse.results.schema.PriorRow` describes them.
    """
    rows = []
    for name in names:
        data: Any = cohort.modalities[name]
        if data.kind != "prior":
            continue
        card: Mapping[str, Any] = {} if data.prior is None else data.prior.card
        cohorts = [str(own["name"]) for own in card.get("cohorts") or ()]
        row = {
            "modality": name,
            "prior": None if data.prior is None else data.prior.name,
            "reads": listed(data.columns) if data.prior is None else data.source.name,
            "cohorts": cohorts or None,
            "patients": card.get("patients"),
            "events": card.get("events"),
            "endpoints": card.get("endpoints"),
        }
        rows.append(row)
    return rows


def size_summary(
    size: Effective,
    events: int,
) -> dict[str, Any]:
    """Size of a fit, in plain values for its summary.

    Returns
    -------
    dict
        `effective_parameters` and `events_per_effective_parameter`, None where they are not
        computable (the latter also of a model without any); `effective_note` says how they were
        estimated, or why not, `effective_too_many` whether that is because there would be more
        than events; `likelihood_ratio` is twice what the fit adds to the log partial likelihood
        of its own patients.
    """
    return {
        "effective_parameters": size.value,
        "events_per_effective_parameter": (
            None if size.value is None else events_per_effective([events], [size.value])
        ),
        "effective_note": size.note,
        "effective_too_many": size.too_many,
        "likelihood_ratio": size.ratio,
    }


def weights_of(summary: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Weight of every term of a fitted stack; empty for another model.

    Returns
    -------
    dict of term to dict
        `value, start, low, high, gain, needed, note`, None for what is not recorded: early
        versions wrote the values alone, as `trust`.
    """
    stack = summary.get("anchored") or {}
    records = stack.get("weights")
    if records is None:
        records = {
            name: {"value": value} for name, value in stack.get("trust", {}).items()
        }
    keys = ("value", "start", "low", "high", "gain", "needed")
    notes = stack.get("notes") or {}
    return {
        name: {**dict.fromkeys(keys), **record, "note": notes.get(name, "")}
        for name, record in records.items()
    }


def describe_size(summary: Mapping[str, Any]) -> str:
    """One sentence on the size of a fitted model, with the rule of thumb."""
    count = summary["parameters"]
    parameters = "parameters not counted" if count is None else f"{count:,} parameters"
    effective = summary.get("effective_parameters")
    if effective is None:
        return f"{parameters}; effective: {summary.get('effective_note') or 'not recorded'}"
    if effective == 0:
        return f"{parameters}, effective 0: it tells nobody apart"
    events = summary["events_per_effective_parameter"]
    return f"{parameters}, effective {effective:.1f}: {events:.1f} events each ({RULE})"
