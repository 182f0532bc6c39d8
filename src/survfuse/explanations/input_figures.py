"""Variables, genes and clusters of tiles of a patient as figures."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pandas as pd

from survfuse._errors import InputError, NotComputableError, listed
from survfuse.explanations.agreement_tables import NOT_MEASURED
from survfuse.explanations.figures import agreement_row, grey_columns
from survfuse.figures.contribution_figures import plot_contributions
from survfuse.figures.formatting import percent, plain
from survfuse.figures.plotting import axes_of, records

if TYPE_CHECKING:
    from survfuse.explanations.explanation import Explanation

MOST_ROWS = 15


def plot_variables(
    explanation: Explanation,
    patient: str,
    ax: Any = None,
    *,
    modality: str | None = None,
    most: int = MOST_ROWS,
) -> Any:
    """Draw the contribution of each column of a table to a patient's log-risk, largest first.

    Parameters
    ----------
    patient : str
    ax : matplotlib.axes.Axes, optional
    modality : str, optional
        A table; the only one where not given.
    most : int
        Bars; the sum of all others is written below them.

    Returns
    -------
    matplotlib.axes.Axes
        The data are `variables`.

    Raises
    ------
    InputError
        When the patient or the table is not known, or there are several tables.
    NotComputableError
        When the model reads no table.
    """
    explanation.explained.row(patient)
    table = explanation.variables
    name = _only(table, modality, "a table")
    own = table[(table["modality"] == name) & (table["patient_id"] == patient)]
    unread = [column for of, column in grey_columns(explanation) if of == name]
    rows = own.assign(
        name=[_variable(row) for row in records(own)],
        grey=own["column"].isin(unread),
    )
    return _draw(explanation, rows, name, "columns", ax, f"Patient {patient}", most)


def plot_genes(
    explanation: Explanation,
    patient: str,
    ax: Any = None,
    *,
    modality: str | None = None,
    most: int = MOST_ROWS,
) -> Any:
    """Draw the contribution of each gene to a patient's log-risk, largest first.

    Parameters
    ----------
    patient : str
    ax : matplotlib.axes.Axes, optional
    modality : str, optional
        An expression modality; the only one where not given.
    most : int
        Bars; the sum of all others is written below them.

    Returns
    -------
    matplotlib.axes.Axes
        The data are ``genes_of(patient)``.

    Raises
    ------
    InputError
        When the patient or the modality is not known, or there are several.
    NotComputableError
        When the model reads no gene.
    """
    explanation.explained.row(patient)
    own = explanation.genes_of(patient)
    name = _only(own, modality, "an expression modality")
    rows = own[own["modality"] == name]
    rows = rows.assign(name=rows["gene"], grey=False)
    return _draw(explanation, rows, name, "genes", ax, f"Patient {patient}", most)


def plot_clusters(
    explanation: Explanation,
    patient: str,
    ax: Any = None,
    *,
    modality: str | None = None,
    most: int = MOST_ROWS,
) -> Any:
    """Draw the contribution of each cluster of tiles to a patient's log-risk, largest first.

    Parameters
    ----------
    patient : str
    ax : matplotlib.axes.Axes, optional
    modality : str, optional
        A bag; the only one where not given.
    most : int
        Bars; the sum of all others is written below them.

    Returns
    -------
    matplotlib.axes.Axes
        The data are `clusters`.

    Raises
    ------
    InputError
        When the patient or the bag is not known, there are several bags, or the model holds no
        clusters.
    NotComputableError
        When the patient has no tiles.
    """
    explanation.explained.row(patient)
    table = explanation.clusters
    name = _only(table, modality, "a bag with clusters")
    own = table[(table["modality"] == name) & (table["patient_id"] == patient)]
    if own.empty:
        raise NotComputableError(f"patient {patient!r} has no tiles in {name}")
    names = []
    for row in records(own):
        names.append(f"cluster {row['cluster']} ({percent(row['share'])} of tiles)")
    rows = own.assign(name=names, grey=False)
    return _draw(explanation, rows, name, "clusters", ax, f"Patient {patient}", most)


def _only(table: pd.DataFrame, modality: str | None, what: str) -> str:
    """Name of the modality that is drawn."""
    known = list(dict.fromkeys(table["modality"]))
    if not known:
        raise NotComputableError(f"this model reads no input of {what}")
    if modality is None and len(known) == 1:
        return str(known[0])
    if modality is None or modality not in known:
        got = "none was given" if modality is None else f"got {modality!r}"
        raise InputError(f"modality: expected {what}, one of {listed(known)}; {got}")
    return modality


def _variable(row: dict[str, Any]) -> str:
    """A column and its value in words."""
    if str(row["column"]).startswith("("):
        return f"{row['column']} {row['value'] or ''}".strip()
    value = row["value"]
    if value is None:
        return f"{row['column']}: missing"
    text = value if isinstance(value, str) else plain(value)
    return f"{row['column']}: {text}{'' if row['known'] else ' (not read)'}"


def _draw(
    explanation: Explanation,
    rows: pd.DataFrame,
    modality: str,
    level: str,
    ax: Any,
    title: str,
    most: int,
) -> Any:
    """Draw the largest contributions, the sum of the others, and that of all."""
    table = rows[["name", "grey"]].assign(value=rows["contribution"].astype(float))
    order = table["value"].abs().sort_values(ascending=False, kind="stable").index
    drawn_rows, others = table.loc[order[:most]], table.loc[order[most:]]
    sums = [{"name": f"all of {modality}", "value": table["value"].sum()}]
    if len(others):
        rest = {"name": f"{len(others)} others", "value": others["value"].sum()}
        sums.insert(0, rest)
    below = pd.DataFrame(sums).assign(total=True, grey=False)
    drawn = pd.concat([drawn_rows.assign(total=False), below])
    grey, says = _agreement_of(explanation, modality, level)
    drawn["grey"] |= grey & ~drawn["total"]
    if drawn["grey"].any():
        says = "grey: does not reproduce"
    ax = axes_of(ax, (6.4, 1.5 + 0.32 * len(drawn)))
    drawn = drawn.reset_index(drop=True)
    digits = _digits(float(drawn_rows["value"].abs().max()))
    return plot_contributions(ax, drawn, title=[title, says], digits=digits)


def _digits(largest: float) -> int:
    """Decimals that show the largest value with two digits; from two to four."""
    if not largest > 0:
        return 2
    return min(4, max(2, 1 - math.floor(math.log10(largest))))


def _agreement_of(
    explanation: Explanation, modality: str, level: str
) -> tuple[bool, str]:
    """Whether what a modality is made of is grey, and what is said of that."""
    grey, row = agreement_row(explanation, level, modality)
    if grey:
        return True, "grey: does not reproduce"
    if row is None:
        return False, NOT_MEASURED
    if pd.isna(row["agreement"]):
        return False, "not known whether it reproduces"
    return False, f"agreement {row['agreement']:.2f}"
