"""What a fit says of itself: whom it learned from, effective parameters, and the events behind each."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from survfuse._types import BoolArray, FloatArray, IntArray
from survfuse._version import __version__
from survfuse.cohort.cohort import Cohort
from survfuse.config import FitConfig
from survfuse.survival.effective import RULE, Effective, by_optimism


def learned_from(
    cohort: Cohort, ids: Sequence[str], time: FloatArray, event: BoolArray, dims: Mapping[str, int]
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
    """Effective parameters: of `anchored` the traces of its convex fits; of a network its optimism.

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
    if anchored is not None:
        return Effective(anchored["effective"]["total"], anchored["effective"]["note"])
    if config.head != "cox":
        return Effective(None, "not computable: a discrete head is not fitted by a partial likelihood")
    if out_of_fold is None:
        return Effective(
            None,
            f"not computable: calibration {config.calibration} makes no out-of-fold risks; breslow_oof does",
        )
    if config.selection == "holdout":
        return Effective(
            None,
            "not computable: the networks never saw the inner holdout, so their risks are no in-sample ones",
        )
    ties = "breslow" if config.loss == "paper" else config.loss  # the paper's loss knows no ties
    return by_optimism(time, event, log_risk, out_of_fold, inner, ties=ties)


def size_told(size: Effective, events: int) -> dict[str, Any]:
    """Tell a fit's size in plain values for its summary.

    Returns
    -------
    dict
        `effective_parameters` and `events_per_effective_parameter`, None where they are not
        computable (the latter also of a model without any); `effective_note` says how they were found,
        or why not.
    """
    return {
        "effective_parameters": size.value,
        "events_per_effective_parameter": events / size.value if size.value else None,
        "effective_note": size.note,
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
    return f"{parameters}, effective {effective:.1f}: {each:.2g} events each ({RULE})"
