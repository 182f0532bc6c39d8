"""Weights of the terms of a stack over the fits of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from survfuse.cohort.splits import Split
from survfuse.estimators.stack_terms import term_names
from survfuse.fit_summary import weights_of
from survfuse.results.term_weights import weight_table


def term_weights(
    splits: Sequence[Split],
    summaries: Sequence[Mapping[str, Any]],
    modalities: Sequence[str],
) -> pd.DataFrame | None:
    """Weights that each fit gave the terms; None where the model is no stack.

    Parameters
    ----------
    splits : sequence of Split
    summaries : sequence of mapping
        What the model learned on each of them.
    modalities : sequence of str
        Those it reads: the order of the terms.

    Returns
    -------
    DataFrame or None
        One row for each fit and term: :class:`survfuse.results.schema.WeightRow`.
    """
    order = term_names(modalities)
    rows = []
    for split, summary in zip(splits, summaries, strict=True):
        weights = weights_of(summary)
        terms = [term for term in order if term in weights]
        for term in dict.fromkeys([*terms, *weights]):
            place = {"repeat": split.repeat, "fold": split.fold, "term": term}
            rows.append({**place, **weights[term]})
    return weight_table(rows) if rows else None
