"""The terms of a patient as a figure, and which terms may be read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pandas as pd

from survfuse.decomposition.readings import CONSTANT
from survfuse.explanations.explained import is_flat
from survfuse.figures.contribution_figures import (
    LOWERS,
    RAISES,
    UNSURE,
    plot_contributions,
    signed,
)
from survfuse.figures.plotting import axes_of

if TYPE_CHECKING:
    from survfuse.explanations.explanation import Explanation

__all__ = [
    "LOWERS",
    "RAISES",
    "UNSURE",
    "grey_terms",
    "plot_terms",
    "signed",
    "terms_by_agreement",
]


def plot_terms(
    explanation: Explanation,
    patient: str,
    ax: Any = None,
) -> Any:
    """Draw the terms of a patient as bars, largest first; those that do not reproduce grey.

    Parameters
    ----------
    patient : str
    ax : matplotlib.axes.Axes, optional
        Where to draw; on a new figure where not given, as of every figure here.

    Returns
    -------
    matplotlib.axes.Axes
        The data are `terms`.

    Raises
    ------
    InputError
        When the patient was not explained.
    """
    row = explanation.explained.row(patient)
    terms, risk = explanation.terms.iloc[row], explanation.prediction.log_risk[row]
    own = terms.drop(CONSTANT)
    own = own.loc[own.abs().sort_values(ascending=False, kind="stable").index]
    grey = grey_terms(explanation)
    bars = pd.DataFrame({"name": own.index, "value": own.to_numpy(float)})
    bars["grey"] = bars["name"].isin(grey)
    totals = pd.DataFrame(
        {"name": ["average patient", "log-risk"], "value": [terms[CONSTANT], risk]},
    )
    table = pd.concat(
        [bars.assign(total=False), totals.assign(total=True, grey=False)],
        ignore_index=True,
    )
    table["name"] = table["name"].str.replace("*", " × ")
    title = [f"Patient {patient}", *_warnings(explanation, own.index)]
    ax = axes_of(ax, (6.4, 1.5 + 0.4 * len(table)))
    return plot_contributions(ax, table, title=title)


def _warnings(explanation: Explanation, terms: Iterable[str]) -> list[str]:
    """What is to be doubted of these terms."""
    agreements = terms_by_agreement(explanation)
    if not agreements:
        return ["agreement not measured"]
    warnings, unknown = [], []
    for name in terms:
        if pd.isna(agreements.get(name, {}).get("agreement")):
            unknown.append(name.replace("*", " × "))
    if grey_terms(explanation).intersection(terms):
        warnings.append("grey: does not reproduce")
    if unknown:
        warnings.append(f"not known whether it reproduces: {', '.join(unknown)}")
    return warnings


def terms_by_agreement(explanation: Explanation) -> dict[str, dict[str, Any]]:
    """What was measured of the agreement of each term; empty where nothing was.

    Returns
    -------
    dict of term to dict
        A row of `Explanation.agreement`.
    """
    frame = explanation.agreement
    rows: Any = frame[frame["level"] == "term"].to_dict("records")
    return {row["name"]: row for row in rows}


def grey_terms(explanation: Explanation) -> set[str]:
    """Terms that models of other patients would not give; all where no term is to be read."""
    if is_flat(explanation.explained.fitted):
        return set(explanation.terms.columns[1:])
    agreements = terms_by_agreement(explanation)
    return {name for name, row in agreements.items() if row["status"] == "grey"}
