"""Sentences on priors: what they were learned from, their weight, and what they add."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from survfuse._errors import listed
from survfuse.survival.estimate import rounded

MOST_COHORTS = 4
LATE, PERMUTED = "late fusion", "permuted at prediction"


def prior_title(row: Mapping[str, Any]) -> str:
    """Name of a prior and what it reads.

    Parameters
    ----------
    row : mapping
        A :class:`survfuse.results.schema.PriorRow`.

    Examples
    --------
    >>> prior_title({"modality": "pancancer", "prior": "tcga_pancancer", "reads": "expression"})
    'prior tcga_pancancer (reads expression)'
    >>> prior_title({"modality": "nomogram", "prior": None, "reads": "points"})
    'prior nomogram (column points)'
    """
    if row["prior"] is None:
        return f"prior {row['modality']} (column {row['reads']})"
    return f"prior {row['prior']} (reads {row['reads']})"


def learned_from(row: Mapping[str, Any]) -> str:
    """How many patients of which cohorts a prior was learned from.

    Parameters
    ----------
    row : mapping
        A :class:`survfuse.results.schema.PriorRow`.
    """
    if not row["patients"]:
        return "what it was learned from is not recorded"
    text = f"learned from {row['patients']:,.0f} patients"
    if row["events"] is not None:
        text += f" with {row['events']:,.0f} events"
    cohorts = list(row["cohorts"] or ())
    if len(cohorts) == 1:
        text += f" of {cohorts[0]}"
    elif cohorts:
        text += f" of {len(cohorts)} cohorts ({listed(cohorts, MOST_COHORTS)})"
    return text


def prior_sentences(
    priors: Iterable[Mapping[str, Any]] | None,
    terms: pd.DataFrame | None = None,
    increments: Iterable[Mapping[str, Any]] | None = None,
) -> list[str]:
    """Say of each prior what it was learned from, its weight, and what a model gains by it.

    Parameters
    ----------
    priors : iterable of mapping or None
        Rows of :class:`survfuse.results.schema.PriorRow`.
    terms : DataFrame, optional
        Rows of :class:`survfuse.results.schema.TermRow`.
    increments : iterable of mapping, optional
        Rows of :class:`survfuse.results.schema.IncrementRecord`.
    """
    increments = list(increments or ())
    sentences = []
    for row in priors or ():
        title = prior_title(row)
        parts = [f"{title[0].upper()}{title[1:]}: {learned_from(row)}."]
        if terms is not None:
            parts += map(
                _weight, terms[terms["term"] == row["modality"]].to_dict("records")
            )
        parts.append(_difference(row["modality"], increments))
        sentences.append(" ".join(filter(None, parts)))
    return sentences


def _weight(term: Mapping[Any, Any]) -> str:
    start = f"start {term['start']:g}"
    ends = ""
    if np.isfinite(term["low"]) and np.isfinite(term["high"]):
        ends = f"95% interval {_interval(term)}, "
    if term["fits"] == 1:
        return f"Its weight is {term['mean']:.2f} ({ends}{start})."
    spread = f"{term['smallest']:.2f} to {term['largest']:.2f}"
    if ends:
        ends = f"median {ends}"
    return (
        f"Its weight is {term['mean']:.2f} on average over {term['fits']:.0f} fits "
        f"({spread}; {ends}{start})."
    )


def _interval(term: Mapping[Any, Any]) -> str:
    return f"{term['low']:.2f} to {term['high']:.2f}"


def _difference(
    modality: str,
    increments: Iterable[Mapping[str, Any]],
) -> str:
    """Difference of the model itself, else of late fusion; empty where neither is computable."""
    for late in (False, True):
        for row in increments:
            delta = row["delta_uno_c"] or {}
            comes = row["modality"] == modality and (row["kind"] == LATE) == late
            if comes and row["kind"] != PERMUTED and delta.get("value") is not None:
                return f"With it minus without it ({row['kind']}): Uno C {_estimate(delta)}."
    return ""


def _estimate(delta: Mapping[str, Any]) -> str:
    value = rounded(delta["value"], signed=True)
    if delta.get("low") is not None and delta.get("high") is not None:
        low, high = (rounded(delta[end], signed=True) for end in ("low", "high"))
        value += f" [{low}, {high}]"
    return value.replace("-", "−")
