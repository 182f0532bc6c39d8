from __future__ import annotations

from typing import Any

import pytest

from evaluation.checks.evidence_of import explained, run_on
from survfuse.cohort import Cohort
from survfuse.evaluation.checks.explanation_checks import explanations_reproduce


@pytest.fixture(scope="module")
def judge(cohort: Cohort) -> Any:
    return lambda record: explanations_reproduce(run_on(cohort, explanations=record))


def test_terms_that_reproduce_are_named(judge: Any) -> None:
    verdict = judge(explained(clinical=(0.7, 0.9), blood=(0.3, 0.6)))
    assert verdict.status == "ok"
    assert verdict.evidence.endswith("cohorts of this size: clinical 0.90, blood 0.60")


def test_a_term_that_does_not_is_a_doubt(judge: Any) -> None:
    verdict = judge(explained(clinical=(0.7, 0.9), slides=(0.3, 0.1)))
    assert verdict.status == "warning"
    assert verdict.evidence.endswith("cohorts of this size: slides 0.10")
    assert verdict.advice.startswith("Do not read these terms")


def test_a_term_with_little_share_is_not_judged(judge: Any) -> None:
    assert judge(explained(clinical=(0.97, 0.9), slides=(0.03, 0.1))).status == "ok"


def test_what_was_not_measured_is_not_judged(judge: Any) -> None:
    verdict = judge({"shares": None, "agreement": None, "note": "8 fits of networks"})
    assert verdict.status == "not applicable"
    assert verdict.evidence == "not measured: 8 fits of networks"
    unused = judge(explained(slides=(1.0, None)))
    assert (unused.status, unused.evidence) == (
        "not applicable",
        "no term is used by two half models",
    )
