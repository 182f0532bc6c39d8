"""Weights of the terms of a stack: one row for each fit, and one for each term over the fits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_type_hints

import pandas as pd

from survfuse._errors import InputError
from survfuse.results.schema import TermRow, WeightRow, frame
from survfuse.survival.stacking import adds_too_little

TYPES: dict[str, Any] = get_type_hints(WeightRow)
TERM_TYPES: dict[str, Any] = get_type_hints(TermRow)
REQUIRED = ("repeat", "fold", "term", "value")
"""Columns of ``weights.csv`` without an empty cell."""


def weight_table(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Make a table of :class:`survfuse.results.schema.WeightRow`."""
    return frame(TYPES, rows).astype({"repeat": int, "fold": int})


def refuse_damaged(
    weights: pd.DataFrame,
    where: Path,
) -> None:
    """Refuse fits without a whole number, and weights below 0.

    Parameters
    ----------
    weights : DataFrame
        The columns of :class:`survfuse.results.schema.WeightRow`, as a file holds them.
    where : path
        For messages.

    Raises
    ------
    InputError
        Names the column, the term and the value.
    """
    for name in ("repeat", "fold", "value"):
        wrong = weights[name] < 0
        if name != "value":
            wrong |= weights[name] % 1 != 0
        if wrong.any():
            row = weights[wrong].iloc[0]
            what = "a weight" if name == "value" else "a whole number"
            raise InputError(
                f"{where}: column {name}, term {row['term']!r}: expected {what} of 0 or more, got "
                f"{row[name]:g}; copy the file again from where the run was made",
            )


def over_fits(weights: pd.DataFrame) -> pd.DataFrame:
    """Sum up the weights of each term over the fits; see :class:`survfuse.results.schema.TermRow`.

    Parameters
    ----------
    weights : DataFrame
        As :func:`weight_table` makes it.

    Returns
    -------
    DataFrame
        In the order of the terms; `low` and `high` are medians, NaN where half of the fits or
        more have no interval.
    """
    rows = []
    for term, part in weights.groupby("term", sort=False):
        out = part[part["value"] == 0]
        bounded = part.dropna(subset=["low", "high"])
        if 2 * len(bounded) <= len(part):
            bounded = bounded.iloc[:0]
        ends = bounded[["low", "high"]].median()
        row = {
            "term": term,
            "start": part["start"].dropna().median(),
            "mean": part["value"].mean(),
            "smallest": part["value"].min(),
            "largest": part["value"].max(),
            "low": ends["low"],
            "high": ends["high"],
            "fits": len(part),
            "out": len(out),
            "note": _why_out(out),
        }
        rows.append(row)
    return frame(TERM_TYPES, rows)


def without_effect(terms: pd.DataFrame) -> pd.Series[bool]:
    """Whether a term started at 0 (a pair) and is out of every fit; by row of :func:`over_fits`."""
    return (terms["start"] == 0) & (terms["largest"] == 0)


def _why_out(out: pd.DataFrame) -> str:
    """Why a term is out of some fits: what it added and had to add, or the notes of the fits."""
    tested = out[out["gain"].notna() & out["needed"].notna()]
    reasons = []
    if len(tested):
        reasons.append(adds_too_little(list(tested["gain"]), tested["needed"].median()))
    notes = out["note"].drop(tested.index).replace("", "no reason was recorded")
    counts = notes.value_counts(sort=False)
    for note, count in counts.items():
        reasons.append(
            f"{note} ({count} of {len(out)})" if len(counts) > 1 else str(note)
        )
    return "; ".join(reasons)
