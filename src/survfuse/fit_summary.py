"""What a fit says of itself: whom it learned from, effective parameters, and the events behind each."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from survfuse._types import BoolArray, FloatArray, IntArray
from survfuse._version import __version__
from survfuse.cohort.cohort import Cohort
from survfuse.config import FitConfig
from survfuse.survival.degrees_of_freedom import (
    RULE,
    Effective,
    by_optimism,
    events_per_effective,
    likelihood_ratio,
)


def learned_from(
    cohort: Cohort,
    ids: Sequence[str],
    time: FloatArray,
    event: BoolArray,
    dims: Mapping[str, int],
) -> dict[str, Any]:
    """Tell, in plain values for a fit's summary, whom it learned from and what they have.

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
        "versions": {
            "survfuse": __version__,
            "torch": torch.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
    }


def effective_size(
    config: FitConfig,
    anchored: Mapping[str, Any] | None,
    time: FloatArray,
    event: BoolArray,
    log_risk: FloatArray,
    out_of_fold: FloatArray | None,
    inner: IntArray,
) -> Effective:
    """Effective parameters, and what the fit gains on its own patients.

    Of `anchored` they are the traces of its convex fits; of a network they are its optimism.

    Parameters
    ----------
    config : FitConfig
    anchored : mapping or None
        What an anchored model is made of (:class:`survfuse.anchors.model.AnchoredModel`).
    time, event, log_risk : array, (patients,)
        Of the training patients; risks in sample.
    out_of_fold : array, (patients,), or None
    inner : array of int, (patients,)
    """
    if config.head != "cox":
        return Effective(
            None,
            "not computable: a discrete head is not fitted by a partial likelihood",
        )
    ties = (
        "breslow" if config.loss == "paper" else config.loss
    )  # the paper's loss knows no ties
    ratio = likelihood_ratio(time, event, log_risk, ties=ties)
    if anchored is not None:
        size = Effective(anchored["effective"]["total"], anchored["effective"]["note"])
    elif out_of_fold is None:
        size = Effective(
            None,
            f"not computable: calibration {config.calibration} makes no out-of-fold risks; breslow_oof does",
        )
    elif config.selection == "holdout":
        size = Effective(
            None,
            "not computable: the networks never saw the inner holdout, so their risks are no in-sample ones",
        )
    else:
        size = by_optimism(time, event, log_risk, out_of_fold, inner, ties=ties)
    return replace(size, ratio=ratio)


def size_told(size: Effective, events: int) -> dict[str, Any]:
    """Tell a fit's size in plain values for its summary.

    Returns
    -------
    dict
        `effective_parameters` and `events_per_effective_parameter`, None where they are not
        computable (the latter also of a model without any); `effective_note` says how they were found,
        or why not, `effective_too_many` whether that is because there would be more than events;
        `likelihood_ratio` is twice what the fit adds to the log partial likelihood of its own patients.
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


def events_told(summary: Mapping[str, Any]) -> str:
    """One sentence on the size of a fitted model, with the rule of thumb beside it."""
    parameters = f"{summary['parameters']:,} parameters"
    effective = summary.get("effective_parameters")
    if effective is None:
        return f"{parameters}; effective: {summary.get('effective_note') or 'not recorded'}"
    if effective == 0:
        return f"{parameters}, effective 0: it tells nobody apart"
    each = summary["events_per_effective_parameter"]
    return f"{parameters}, effective {effective:.1f}: {each:.1f} events each ({RULE})"
