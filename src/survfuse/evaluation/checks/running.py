"""Run the checks: a row for each, in the order of their numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from survfuse._errors import LeakageError, NotComputableError
from survfuse.cohort.cohort_data import Cohort
from survfuse.evaluation.checks import (
    columns,
    model_checks,
    numbers,
    patient_checks,
    protocol_checks,
    sites,
    slide_checks,
    times,
)
from survfuse.evaluation.checks.check_cards import CHECKS, Card
from survfuse.evaluation.checks.evidence import Evidence, Verdict, not_applicable

if TYPE_CHECKING:
    from survfuse.config import FitConfig

# Importing them registers the checks.
MODULES = (
    columns,
    model_checks,
    numbers,
    patient_checks,
    protocol_checks,
    sites,
    slide_checks,
    times,
)


def run_checks(evidence: Evidence) -> list[dict[str, Any]]:
    """Run every check.

    Returns
    -------
    list of dict
        `id, name, severity, status, evidence, advice, page`. `status` is "ok",
        "warning", "failed" or, with the reason as evidence, "not applicable": also
        where the data cannot give the number that a check needs. Any other error is
        raised, not hidden.
    """
    return [_row(CHECKS[number], evidence) for number in sorted(CHECKS)]


def run_data_checks(
    cohort: Cohort,
    config: FitConfig | None = None,
) -> list[dict[str, Any]]:
    """Run the checks that need nothing but a cohort; rows as in :func:`run_checks`.

    Parameters
    ----------
    cohort : Cohort
    config : FitConfig, optional
        Says which modalities are read, and which columns are allowed by name.
    """
    evidence = Evidence(cohort=cohort, config=config)
    return [
        _row(CHECKS[number], evidence)
        for number in sorted(CHECKS)
        if CHECKS[number].about_data
    ]


def refuse_later_knowledge(cohort: Cohort, config: FitConfig) -> None:
    """Refuse, before anything is fitted, inputs that SRV008 does not let pass.

    Raises
    ------
    LeakageError
        Names the columns with their numbers.
    """
    row = _row(CHECKS["SRV008"], Evidence(cohort=cohort, config=config))
    if row["status"] == "failed":
        raise LeakageError(
            f"SRV008: {row['evidence']}. {row['advice']} See {row['page']}.",
        )


def later_knowledge(cohort: Cohort, config: FitConfig) -> str:
    """What SRV023 doubts of the inputs of a fit, as one line; empty where it doubts nothing."""
    row = _row(CHECKS["SRV023"], Evidence(cohort=cohort, config=config))
    return (
        f"SRV023 warning: {row['evidence']}. {row['advice']}"
        if row["status"] == "warning"
        else ""
    )


def _row(card: Card, evidence: Evidence) -> dict[str, Any]:
    verdict = _verdict(card, evidence)
    return {
        "id": card.id,
        "name": card.name,
        "severity": card.severity,
        "status": verdict.status,
        "evidence": verdict.evidence,
        "advice": verdict.advice,
        "page": card.page,
    }


def _verdict(card: Card, evidence: Evidence) -> Verdict:
    why = card.missing(evidence)
    if why:
        return not_applicable(why)
    try:
        return card.check(evidence)
    except NotComputableError as error:
        return not_applicable(str(error))
