"""One sentence at the head of each section of the report: what the folded rest says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from survfuse.report.report_tables import Tables
from survfuse.report.wording import load, render


def answers(
    tables: Tables,
    facts: Mapping[str, Any],
) -> dict[str, str]:
    """Sentences by the names that the templates read.

    Parameters
    ----------
    tables : Tables
    facts : mapping
        As :func:`survfuse.report.facts.of_page` gives them.
    """
    run = tables.run
    auc, external_c = None, None
    if run.horizon is not None:
        auc = tables.estimate(run.name, f"auc_{run.horizon:g}")
    for row in tables.records["external"]:
        if (row["model"], row["metric"]) == (run.name, "uno_c"):
            external_c = row
    values = {**facts, "auc": auc, "external_c": external_c}
    return {name: render(text, values) for name, text in load("answers.yaml").items()}
