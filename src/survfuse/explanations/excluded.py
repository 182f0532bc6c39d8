"""Terms that a stack leaves out, and what left-out modalities would say by themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from survfuse.estimators.stack_summary import NOT_SHOWN
from survfuse.estimators.stacked_risk import StackedRisk
from survfuse.explanations.explained import Explained

LABEL = "not part of any prediction"


def excluded(explained: Explained) -> pd.DataFrame:
    """Terms that have no part in any prediction, and why.

    Networks and single Cox regressions use every modality: of them no term is left out.

    Parameters
    ----------
    explained : Explained

    Returns
    -------
    DataFrame
        `term`; `reason` in words; `alone`: whether :func:`alone` has what it would say by itself.
    """
    stack, summary = explained.fitted.model, explained.fitted.summary
    reasons: Mapping[str, str] = {}
    if isinstance(stack, StackedRisk):
        reasons = _reasons(stack, summary.get("anchored") or {})
    known, rows = set(_fitted_modalities(explained)), []
    for term, reason in reasons.items():
        rows.append((term, f"not used: {reason}", term in known))
    return pd.DataFrame(rows, columns=["term", "reason", "alone"])


def alone(explained: Explained) -> pd.DataFrame:
    """What left-out modalities would say by themselves: no part of any prediction.

    The log-risk of each modality's own Cox regression, of a bag that of its mean tile, above the
    mean of the training patients who have the modality. The stack gave it no weight, since beside
    the other terms it was not shown to add anything.

    Parameters
    ----------
    explained : Explained

    Returns
    -------
    DataFrame
        Index `patient_id`, a column per modality, NaN for patients who lack it;
        ``attrs["name"]`` is "not part of any prediction".
    """
    columns = {}
    for name in _fitted_modalities(explained):
        risk = explained.readings.values[name][:, 2]
        columns[name] = np.where(explained.present(name), risk, np.nan)
    index = pd.Index(explained.ids, name="patient_id", dtype=object)
    frame = pd.DataFrame(columns, index=index)
    frame.attrs["name"] = LABEL
    return frame


def _fitted_modalities(explained: Explained) -> list[str]:
    """Left-out modalities that have a Cox regression of their own."""
    stack = explained.fitted.model
    if not isinstance(stack, StackedRisk):
        return []
    weights, fitted = stack.term_weights, []
    for name, cox in stack.terms.modalities.items():
        if weights[name] == 0 and np.any(cox.coef[name]):
            fitted.append(name)
    return fitted


def _reasons(
    stack: StackedRisk,
    summary: Mapping[str, Any],
) -> dict[str, str]:
    """Why each term is left out, as the fit said; terms that were not fitted come last."""
    notes: Mapping[str, str] = summary.get("notes") or {}
    weights, empty = stack.term_weights, _empty(stack)
    reasons = {}
    for name, weight in weights.items():
        if weight == 0 or name in empty:
            reasons[name] = notes.get(name) or NOT_SHOWN
    never = {name: note for name, note in notes.items() if name not in weights}
    return reasons | never


def _empty(stack: StackedRisk) -> set[str]:
    """Terms of which nothing was learned: no coefficient, or no product."""
    empty = set()
    for name, cox in stack.terms.modalities.items():
        if name not in stack.models and not np.any(cox.coef[name]):
            empty.add(name)
    for (left, right), pair in stack.terms.pairs.items():
        if not pair.rank:
            empty.add(f"{left}*{right}")
    return empty
