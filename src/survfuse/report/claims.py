"""What the comparisons of a run allow to be said, and no more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from survfuse._errors import listed
from survfuse.report.formatting import known

ALPHA = 0.05
NAMED = 6
PERMUTED = "permuted at prediction"


def direction(row: Mapping[str, Any]) -> str:
    """Tell what a paired difference shows: "better", "worse", or empty where it shows neither.

    Parameters
    ----------
    row : mapping
        `low` and `high` of the difference and its `p_holm`. The interval must leave out 0 and,
        where there is a corrected p-value, that must be below 0.05.
    """
    if not (known(row["value"]) and known(row["low"]) and known(row["high"])):
        return ""
    if known(row["p_holm"]) and row["p_holm"] >= ALPHA:
        return ""
    return "better" if row["low"] > 0 else "worse" if row["high"] < 0 else ""


def says(row: Mapping[str, Any], what: str = "with it") -> str:
    """Say what one comparison shows about the ranking of patients.

    Parameters
    ----------
    row : mapping
        `value`, `low`, `high`, `p_holm` of the difference in Uno C.
    what : str
        How the first of the two is called in the sentence.
    """
    if not known(row["value"]):
        return "nothing: not computable"
    if not (known(row["low"]) and known(row["high"])):
        return "nothing: there is no interval"
    shown = direction(row)
    if shown:
        tail = (
            ""
            if known(row["p_holm"])
            else "; not corrected for the number of comparisons"
        )
        return f"ranked {shown} {what}{tail}"
    if row["low"] > 0 or row["high"] < 0:
        return "not shown once all comparisons are counted"
    return "not shown: the interval includes 0"


def increments_say(rows: Sequence[Mapping[str, Any]]) -> str:
    """Sum up the table of increments in a sentence or two.

    Parameters
    ----------
    rows : sequence of mapping
        Rows of the table `increments`; those permuted at prediction tell what a model
        leans on, not what a modality adds, and are left out.
    """
    rows = [row for row in rows if row["kind"] != PERMUTED]
    if not rows:
        return (
            "No model was trained without a modality, so what each adds is not known."
        )
    better = [_name(row) for row in rows if direction(row) == "better"]
    worse = [_name(row) for row in rows if direction(row) == "worse"]
    corrected = all(known(row["p_holm"]) for row in rows if direction(row))
    counted = (
        ", all comparisons counted"
        if corrected
        else " (not corrected for the number of comparisons)"
    )
    parts = []
    if better:
        parts.append(
            f"Patients were ranked better with {listed(better, NAMED)} than without{counted}.",
        )
    if worse:
        parts.append(
            f"Patients were ranked worse with {listed(worse, NAMED)} than without{counted}.",
        )
    if not better:
        parts.append(
            "No modality is shown to make the ranking of these patients better.",
        )
    if len(better) + len(worse) < len(rows):
        parts.append(
            "An interval that includes 0 does not prove that a modality adds nothing.",
        )
    return " ".join(parts)


def _name(row: Mapping[str, Any]) -> str:
    return f"{row['modality']} ({row['kind']})"
