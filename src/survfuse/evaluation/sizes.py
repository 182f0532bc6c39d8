"""How large the models of a run are, from the summaries of their fits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

Summary = Mapping[str, Any]


def sizes(summaries: Mapping[str, Sequence[Summary]], models: Iterable[str]) -> list[dict[str, Any]]:
    """Parameters and effective parameters of each model, means over its fits.

    Parameters
    ----------
    summaries : mapping of model to sequence of mapping
        As fits left them.
    models : iterable of str
        In the order of the rows; those whose fits state no parameters are left out.

    Returns
    -------
    list of dict
        `model, fits, parameters, effective, events_per_effective, note`. `effective` is the mean over
        the fits where it is computable, None where it is in none; `note` says why. Fits without any
        effective parameter (they tell nobody apart) have no events per parameter.
    """
    return [_row(model, fits) for model in models if (fits := _stating(summaries.get(model, ())))]


def _stating(fits: Sequence[Summary]) -> list[Summary]:
    return [fit for fit in fits if fit.get("parameters")]


def _row(model: str, fits: Sequence[Summary]) -> dict[str, Any]:
    known = [fit["effective_parameters"] for fit in fits if fit.get("effective_parameters") is not None]
    notes = [fit.get("effective_note") or "" for fit in fits if fit.get("effective_parameters") is None]
    each = [per for fit in fits if (per := fit.get("events_per_effective_parameter")) is not None]
    note = next(filter(None, notes), "not recorded" if notes else "")
    if notes and known:
        note = f"in {len(notes)} of {len(fits)} fits: {note}"
    return {
        "model": model,
        "fits": len(fits),
        "parameters": float(np.mean([fit["parameters"] for fit in fits])),
        "effective": float(np.mean(known)) if known else None,
        "events_per_effective": float(np.mean(each)) if each else None,
        "note": note,
    }
