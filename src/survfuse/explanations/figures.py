"""The terms of a patient as a figure, and which terms may be read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pandas as pd

from survfuse.decomposition.readings import CONSTANT
from survfuse.explanations.agreement_tables import NOT_MEASURED
from survfuse.explanations.explained import is_flat
from survfuse.figures.contribution_figures import plot_contributions
from survfuse.figures.plotting import axes_of

if TYPE_CHECKING:
    from survfuse.explanations.explanation import Explanation


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
        return [NOT_MEASURED]
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


def agreement_row(
    explanation: Explanation,
    level: str,
    modality: str,
) -> tuple[bool, dict[str, Any] | None]:
    """Whether what a modality is made of is grey, and what was measured of that.

    Parameters
    ----------
    explanation : Explanation
    level : str
        As of `Explanation.agreement`, such as "tiles" or "genes".
    modality : str
        Empty for whole log-risks.

    Returns
    -------
    grey : bool
        Also where the modality's own term is.
    row : dict or None
        Of `Explanation.agreement`; None where nothing was measured.
    """
    frame = explanation.agreement
    own = frame[(frame["level"] == level) & (frame["modality"] == modality)]
    rows: Any = own.to_dict("records")
    row = rows[0] if rows else None
    grey = row is not None and row["status"] == "grey"
    return grey or modality in grey_terms(explanation), row


def grey_columns(explanation: Explanation) -> set[tuple[str, str]]:
    """Modality and column of single columns whose contribution does not reproduce."""
    frame = explanation.agreement
    rows = frame[(frame["level"] == "column") & (frame["status"] == "grey")]
    return set(zip(rows["modality"], rows["name"], strict=True))
