"""The terms of a patient as a figure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pandas as pd

from survfuse.decomposition.readings import CONSTANT
from survfuse.explanations.explained import is_flat

if TYPE_CHECKING:
    from survfuse.explanations.explanation import Explanation

RAISES, LOWERS, UNSURE, INK, RULE = (
    "#c2571a",
    "#1f5f99",
    "#b4bcc4",
    "#1f2933",
    "#c9d1d9",
)
"""Orange and blue, which colour-blind people tell apart; every value has its sign beside it."""


def signed(value: float) -> str:
    """Write a number with its sign and two decimals.

    >>> signed(0.314), signed(-1.2), signed(-0.001)
    ('+0.31', '−1.20', '0.00')
    """
    text = f"{value:+.2f}".replace("-", "−")
    return text[1:] if text[1:] == "0.00" else text


def plot_terms(
    explanation: Explanation,
    patient: str,
    ax: Any = None,
) -> Any:
    """Draw the terms of a patient as bars; see `Explanation.plot_terms`."""
    row = explanation.explained.row(patient)
    terms, risk = explanation.terms.iloc[row], explanation.prediction.log_risk[row]
    own = terms.drop(CONSTANT)
    own = own.loc[own.abs().sort_values(ascending=False, kind="stable").index]
    grey = grey_terms(explanation)
    if ax is None:
        from matplotlib import pyplot

        height = 1.5 + 0.4 * (len(own) + 2)
        _, ax = pyplot.subplots(figsize=(6.4, height), layout="constrained")
    rows = [*own.items(), ("average patient", terms[CONSTANT]), ("log-risk", risk)]
    for y, (name, value) in enumerate(rows):
        if y < len(own):
            ax.barh(y, value, color=_colour(value, name in grey), height=0.62)
        across = ax.get_yaxis_transform()
        ax.text(1.02, y, signed(value), transform=across, va="center", color=INK)
    names = [str(name).replace("*", " × ") for name, _ in rows]
    ax.set_yticks(range(len(rows)), names)
    ax.set_ylim(len(rows) - 0.4, -0.6)
    most = max(own.abs().max(), 0.05) if len(own) else 1.0
    ax.set_xlim(-1.05 * most, 1.05 * most)
    ax.axvline(0, color=INK, lw=0.8)
    ax.axhline(len(own) - 0.5, color=RULE, lw=0.8)
    ax.set_xlabel("change of the log-risk")
    lines = [f"Patient {patient}", *_warnings(explanation, own.index)]
    ax.set_title("\n".join(lines), loc="left", fontsize=10)
    ax.tick_params(axis="y", length=0)
    for side in ("top", "right", "left"):
        ax.spines[side].set_visible(False)
    return ax


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


def _colour(value: float, grey: bool) -> str:
    if grey:
        return UNSURE
    return RAISES if value > 0 else LOWERS


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
