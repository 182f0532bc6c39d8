"""Run the checks: a row for each, in the order of their numbers."""

from __future__ import annotations

from typing import Any

from survfuse._errors import NotComputableError
from survfuse.cohort.data import Cohort
from survfuse.evaluation.checks import columns, model, numbers, patients, protocol, sites, slides, times
from survfuse.evaluation.checks.cards import CHECKS, Card
from survfuse.evaluation.checks.evidence import Evidence, Verdict, not_applicable

MODULES = (
    columns,
    model,
    numbers,
    patients,
    protocol,
    sites,
    slides,
    times,
)  # importing them registers the checks


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


def run_data_checks(cohort: Cohort) -> list[dict[str, Any]]:
    """Run the checks that need nothing but a cohort; rows as in :func:`run_checks`."""
    evidence = Evidence(cohort=cohort)
    return [_row(CHECKS[number], evidence) for number in sorted(CHECKS) if CHECKS[number].about_data]


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
