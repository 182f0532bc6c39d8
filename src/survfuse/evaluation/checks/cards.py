"""The registry of checks: a number resolves to a card that says what is asked and how grave a doubt is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from survfuse.evaluation.checks.evidence import Evidence, Verdict

Severity = Literal["error", "warning", "info"]
Check = Callable[[Evidence], Verdict]

NOT_GIVEN = {
    "models": "there are no predictions: only a cohort is looked at",
    "metrics": "there are no metrics: only a cohort is looked at",
    "summaries": "the run left no summaries of its fits",
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
    severity : "error", "warning" or "info"
        A doubt of severity "error" makes the numbers of a run invalid; one of
        severity "info" explains something.
    needs : tuple of str
        Fields of `Evidence` without which there is nothing to look at, besides the
        cohort. A check without needs is a data check.
    check : callable
    """

    id: str
    name: str
    severity: Severity
    needs: tuple[str, ...]
    check: Check

    @property
    def about_data(self) -> bool:
        """Whether a cohort alone is enough to look at."""
        return not self.needs

    @property
    def page(self) -> str:
        """The page that explains it, from the root of the repository."""
        return f"docs/checks/{self.id}.md"

    def missing(self, evidence: Evidence) -> str:
        """Why there is nothing to look at; empty when there is."""
        return next((NOT_GIVEN[name] for name in self.needs if not getattr(evidence, name)), "")


CHECKS: dict[str, Card] = {}


def check(id: str, name: str, severity: Severity, needs: tuple[str, ...] = ()) -> Callable[[Check], Check]:
    """Register a check under its number."""

    def add(function: Check) -> Check:
        if id in CHECKS:
            raise ValueError(f"check {id} is registered twice")
        CHECKS[id] = Card(id, name, severity, needs, function)
        return function

    return add
