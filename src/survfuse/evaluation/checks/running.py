"""Run the checks: a row for each, in the order of their numbers."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

from survfuse._errors import LeakageError, NotComputableError
from survfuse.cohort.cohort_data import Cohort
from survfuse.evaluation.checks.check_cards import CHECKS, Card
from survfuse.evaluation.checks.evidence import Evidence, Verdict, not_applicable

if TYPE_CHECKING:
    from survfuse.config import FitConfig

for module in iter_modules([str(Path(__file__).parent)]):
    # Importing a module registers its checks.
    import_module(f"{__package__}.{module.name}")


def run_checks(evidence: Evidence) -> list[dict[str, Any]]:
    """Run every check.

    Returns
    -------
    list of dict
        `id, name, severity, status, evidence, advice, page`. `status` is "ok",
        "warning", "failed" or "not applicable". The last has its reason as evidence,
        which may be that the data cannot give the number that the check needs. Any
        other error is raised.
    """
    return [_row(card, evidence) for card in all_cards()]


def run_data_checks(
    cohort: Cohort,
    config: FitConfig | None = None,
) -> list[dict[str, Any]]:
    """Run the checks that need nothing but a cohort; rows as in :func:`run_checks`.

    Parameters
    ----------
    cohort : Cohort
    config : FitConfig, optional
        Says which modalities are inputs, and which columns are allowed by name.
    """
    evidence = Evidence(cohort=cohort, config=config)
    return [_row(card, evidence) for card in all_cards() if card.about_data]


def all_cards() -> list[Card]:
    """Cards of all checks, those of other packages included, sorted by number."""
    return [CHECKS.build(number) for number in sorted(CHECKS)]


def refuse_later_knowledge(
    cohort: Cohort,
    config: FitConfig,
) -> None:
    """Refuse, before anything is fitted, inputs of which SRV008 says that they leak.

    Raises
    ------
    LeakageError
        Names the columns with their numbers.
    """
    row = _row(CHECKS.build("SRV008"), Evidence(cohort=cohort, config=config))
    if row["status"] == "failed":
        raise LeakageError(
            f"SRV008: {row['evidence']}. {row['advice']} See {row['page']}.",
        )


def later_knowledge(cohort: Cohort, config: FitConfig) -> str:
    """What SRV023 doubts of the inputs of a fit, as one line; empty where it doubts nothing."""
    row = _row(CHECKS.build("SRV023"), Evidence(cohort=cohort, config=config))
    if row["status"] != "warning":
        return ""
    return f"SRV023 warning: {row['evidence']}. {row['advice']}"


def _row(card: Card, evidence: Evidence) -> dict[str, Any]:
    verdict = _verdict(card, evidence)
    return {
        "id": card.id,
        "name": card.name,
        "severity": card.severity,
        **verdict._asdict(),
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
