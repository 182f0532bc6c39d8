"""The registry of checks: each number has a card with its question and its severity."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Literal

from survfuse._registry import Registry
from survfuse.evaluation.checks.evidence import Evidence, Status, Verdict

Severity = Literal["error", "warning"]
Check = Callable[[Evidence], Verdict]

STATUS_OF_DOUBT: dict[Severity, Status] = {"error": "failed", "warning": "warning"}
NOT_GIVEN = {
    "models": "there are no predictions: only a cohort is looked at",
    "metrics": "there are no metrics: only a cohort is looked at",
    "summaries": "the run left no summaries of its fits",
    "splits": "there are no splits: only a cohort is looked at",
    "explanations": "the run split no prediction into terms",
    "permuted": "the model was not trained on permuted outcomes",
}


@dataclass(frozen=True)
class Card:
    """One numbered check.

    Attributes
    ----------
    id : str
        ``SRV001``; never used again for something else.
    name : str
        What should be true, in one sentence.
    severity : "error" or "warning"
        A doubt makes the numbers of a run invalid ("error"), or a person must look ("warning").
    needs : tuple of str
        Fields of `Evidence` that the check reads besides the cohort. A check without
        needs is a data check.
    check : callable
    page : str
        Where the check is explained.
    """

    id: str
    name: str
    severity: Severity
    needs: tuple[str, ...]
    check: Check
    page: str

    @property
    def about_data(self) -> bool:
        """Whether the check reads nothing but the cohort."""
        return not self.needs

    def missing(self, evidence: Evidence) -> str:
        """Why the check does not apply; empty when it does."""
        for name in self.needs:
            if not getattr(evidence, name):
                return NOT_GIVEN[name]
        return ""


CHECKS: Registry[Card] = Registry("check", group="survfuse.checks")


def check(
    id: str,
    name: str,
    severity: Severity,
    needs: tuple[str, ...] = (),
    page: str = "",
) -> Callable[[Check], Check]:
    """Register a check under its number.

    Parameters
    ----------
    id, name, severity, needs
        As on the :class:`Card`.
    page : str
        As on the card; ``docs/checks/<id>.md`` of the repository of survfuse by default.

    Returns
    -------
    callable
        Decorates a function from `Evidence` to `Verdict`, such that its doubts get the
        status of `severity`.
    """

    def add(function: Check) -> Check:
        @wraps(function)
        def with_status(evidence: Evidence) -> Verdict:
            verdict = function(evidence)
            if verdict.status == "doubt":
                return verdict._replace(status=STATUS_OF_DOUBT[severity])
            return verdict

        where = page or f"docs/checks/{id}.md"
        card = Card(id, name, severity, needs, with_status, where)
        CHECKS.register(
            id,
            summary=name,
            source=where,
        )(lambda: card)
        return with_status

    return add
