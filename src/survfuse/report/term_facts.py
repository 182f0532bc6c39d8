"""Facts on the terms of a stack: their weights, and what priors were learned from."""

from __future__ import annotations

from typing import Any

from survfuse.report.report_tables import Tables
from survfuse.results.prior_texts import prior_sentences, prior_title
from survfuse.results.term_weights import without_effect


def of_terms(tables: Tables) -> dict[str, Any]:
    """Facts for the texts on weights and priors.

    Returns
    -------
    mapping
        `terms`: rows of the table, each with a `name` for people, names of the `unused` pairs,
        and the number of `fits`. `priors`: sentences. `prior_titles` by modality.
    """
    frame, priors = tables["terms"], tables.run.cohort.get("priors") or ()
    used, unused = [], []
    names = tables.labelled["terms"]["term"]
    for row, name, out in zip(
        tables.records["terms"],
        names,
        without_effect(frame),
        strict=True,
    ):
        if out:
            unused.append(name)
        else:
            used.append({**row, "name": name})
    fits = max((row["fits"] for row in tables.records["terms"]), default=0)
    increments = tables.run.performance.get("increment")
    return {
        "terms": {"shown": used, "unused": unused, "fits": fits},
        "priors": prior_sentences(priors, frame, increments),
        "prior_titles": {row["modality"]: prior_title(row) for row in priors},
    }
