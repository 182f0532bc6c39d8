"""How large a fitted model really is: effective parameters, and the events that stand behind each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from survfuse._types import BoolArray, FloatArray, IntArray
from survfuse.config import FitConfig
from survfuse.survival.effective import RULE, Effective, by_optimism


def size_of_fit(
    config: FitConfig,
    anchored: Mapping[str, Any] | None,
    time: FloatArray,
    event: BoolArray,
    log_risk: FloatArray,
    out_of_fold: FloatArray | None,
    inner: IntArray,
) -> dict[str, Any]:
    """Effective parameters for a fit's summary.

    Of `anchored` the traces of its convex fits; of a network the optimism of its partial likelihood.

    Parameters
    ----------
    config : FitConfig
    anchored : mapping or None
        What an anchored model is made of (:class:`survfuse.anchors.model.AnchoredModel`).
    time, event, log_risk : array, (patients,)
        Of the training patients; risks in sample.
    out_of_fold : array, (patients,), or None
    inner : array of int, (patients,)

    Returns
    -------
    dict
        `effective_parameters` and `events_per_effective_parameter`, None where they are not
        computable; `effective_note` says how they were found, or why not.
    """
    found = _effective(config, anchored, time, event, log_risk, out_of_fold, inner)
    return {
        "effective_parameters": found.value,
        "events_per_effective_parameter": float(event.sum() / found.value) if found.value else None,
        "effective_note": found.note,
    }


def _effective(
    config: FitConfig,
    anchored: Mapping[str, Any] | None,
    time: FloatArray,
    event: BoolArray,
    log_risk: FloatArray,
    out_of_fold: FloatArray | None,
    inner: IntArray,
) -> Effective:
    if anchored is not None:
        return Effective(anchored["effective"]["total"], anchored["effective"]["note"])
    if config.head != "cox":
        return Effective(None, "not computable: a discrete head is not fitted by a partial likelihood")
    if out_of_fold is None:
        return Effective(
            None,
            f"not computable: calibration {config.calibration} makes no out-of-fold risks; breslow_oof does",
        )
    return by_optimism(time, event, log_risk, out_of_fold, inner)


def events_told(summary: Mapping[str, Any]) -> str:
    """One sentence on the size of a fitted model, with the rule of thumb beside it."""
    parameters = f"{summary['parameters']:,} parameters"
    effective = summary.get("effective_parameters")
    if effective is None:
        return f"{parameters}; effective: {summary.get('effective_note') or 'not recorded'}"
    each = summary["events_per_effective_parameter"]
    return f"{parameters}, effective {effective:.1f}: {each:.2g} events each ({RULE})"
