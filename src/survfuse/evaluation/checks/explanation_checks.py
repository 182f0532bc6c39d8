"""Checks of what is said about why a model predicts what it predicts."""

from __future__ import annotations

from survfuse._errors import listed
from survfuse.evaluation.checks.check_cards import check
from survfuse.evaluation.checks.evidence import (
    Evidence,
    Verdict,
    doubt,
    not_applicable,
    ok,
)
from survfuse.results.schema import AgreementRow, Explanations

USED = 0.05
"""Share of the variance from which a term counts as one that the model uses."""


@check(
    "SRV025",
    "Models of two halves of the cohort explain alike.",
    "warning",
    ("explanations",),
)
def explanations_reproduce(evidence: Evidence) -> Verdict:
    """Find the terms that the model uses and that another cohort would give otherwise."""
    record = evidence.explanations
    assert record is not None
    if record["agreement"] is None:
        return not_applicable(f"not measured: {record.get('note') or 'not asked for'}")
    good: list[str] = []
    grey: list[str] = []
    for row in _used_terms(record):
        texts = grey if row["status"] == "grey" else good
        texts.append(f"{row['name']} {row['expected']:.2f}")
    if not good and not grey:
        return not_applicable("no term is used by two half models")
    if not grey:
        return ok(f"expected agreement of cohorts of this size: {listed(good)}")
    return doubt(
        f"expected agreement of cohorts of this size: {listed(grey)}",
        "Do not read these terms, nor their columns, genes or maps: another cohort of this size "
        "would give others.",
    )


def _used_terms(record: Explanations) -> list[AgreementRow]:
    """Agreement of terms that half models use, and the model for more than a little."""
    shares = {row["term"]: row["share"] for row in record["shares"] or ()}
    terms = []
    for row in record["agreement"] or ():
        share = shares.get(row["name"])
        is_small = share is not None and share < USED
        if row["level"] == "term" and row["status"] != "not used" and not is_small:
            terms.append(row)
    return terms
