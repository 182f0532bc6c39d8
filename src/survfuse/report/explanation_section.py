"""What the model uses: its terms with their shares, and what another cohort would give again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from survfuse.cohort.labels import Labels
from survfuse.report.wording import sentence

PARTS = {
    "prediction": "log-risks as a whole",
    "columns": "columns of",
    "genes": "weights of the genes of",
    "top genes": "the 50 largest weights of",
    "tiles": "maps of the tiles of",
    "clusters": "clusters of the tiles of",
}
"""Levels below and above the terms that the page shows, as it calls them."""


def uses(
    shares: Iterable[Mapping[str, Any]],
    agreement: Iterable[Mapping[str, Any]],
    record: Mapping[str, Any] | None,
    labels: Labels,
) -> dict[str, Any] | None:
    """Facts of the section.

    Parameters
    ----------
    shares, agreement : iterable of mapping
        Rows of the tables of these names.
    record : mapping or None
        As recorded.
    labels : Labels
        Words for modalities.

    Returns
    -------
    mapping or None
        `says` (a sentence), `terms` and `parts`, rows with a `name` for people, the `share` of a
        term, and its agreement; `half` and `patients`; `note`. None where nothing was recorded.
    """
    if record is None:
        return None
    compared = list(agreement)
    by_term = {row["name"]: row for row in compared if row["level"] == "term"}
    by_share = {row["term"]: row for row in shares}
    terms = []
    for name in dict.fromkeys([*by_share, *by_term]):
        nothing = {"share": None, "low": None, "high": None}
        share, row = by_share.get(name, nothing), by_term.get(name)
        terms.append({**share, "name": labels.term(name), "agreement": row})
    parts = []
    for row in compared:
        if row["level"] in PARTS:
            name = f"{PARTS[row['level']]} {labels.modality(row['modality'])}".strip()
            parts.append({"name": name, "agreement": row})
    grey = [row["name"] for row in [*terms, *parts] if _is_grey(row["agreement"])]
    measured = record.get("agreement") is not None
    return {
        "says": sentence(
            "explanations",
            grey=grey,
            measured=measured,
            compared=[row for row in compared if row["agreement"] is not None],
        ),
        "terms": terms,
        "parts": parts,
        "measured": measured,
        "half": record.get("half"),
        "patients": record.get("patients"),
        "note": record.get("note") or "",
    }


def _is_grey(row: Mapping[str, Any] | None) -> bool:
    return row is not None and row["status"] == "grey"
