"""Tables of the terms of each patient's log-risk."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from survfuse._types import FloatArray
from survfuse.decomposition import Term, shapley_values
from survfuse.decomposition.readings import term_name
from survfuse.explanations.explained import Explained


def term_frame(explained: Explained, *, shapley: bool = False) -> pd.DataFrame:
    """Terms, or Shapley values of the modalities; a row per patient."""
    effects = explained.terms.effects
    if shapley:
        return _frame(explained, shapley_values(effects))
    return _frame(explained, {term_name(t): v for t, v in effects.items()})


def error_frame(explained: Explained) -> pd.DataFrame:
    """Standard errors of the terms over draws, 0 of those that are exact."""
    return _frame(explained, _of_terms(explained, explained.terms.errors))


def spread_frame(explained: Explained) -> pd.DataFrame:
    """Standard deviations of the terms over members, 0 where there is one member."""
    return _frame(explained, _of_terms(explained, explained.terms.spread))


def _of_terms(
    explained: Explained,
    values: Mapping[Term, FloatArray],
) -> dict[str, FloatArray]:
    zeros = np.zeros(len(explained.ids))
    return {term_name(t): values.get(t, zeros) for t in explained.terms.effects}


def _frame(
    explained: Explained,
    columns: Mapping[str, FloatArray],
) -> pd.DataFrame:
    index = pd.Index(explained.ids, name="patient_id", dtype=object)
    return pd.DataFrame(dict(columns), index=index)
