"""What holds for every registered check."""

from __future__ import annotations

import ast
import inspect
import re
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from evaluation.checks.evidence_of import predictions, run_on
from survfuse._errors import InputError, NotComputableError
from survfuse._registry import Registry
from survfuse.cohort.cohort import Cohort
from survfuse.evaluation.checks import (
    CHECKS,
    Card,
    Evidence,
    run_checks,
    run_data_checks,
    running,
)
from survfuse.evaluation.checks.check_cards import NOT_GIVEN, Severity, check
from survfuse.evaluation.checks.evidence import Verdict, doubt, ok

ROOT = Path(__file__).resolve().parents[3]
PAGES = ROOT / "docs" / "checks"
FIELDS = ["id", "name", "severity", "status", "evidence", "advice", "page"]
ABOUT_DATA = {number for number in CHECKS if CHECKS.build(number).about_data}
STATUSES = {"ok", "warning", "failed", "not applicable"}


@pytest.mark.parametrize("number", sorted(CHECKS))
def test_a_card_is_complete(number: str) -> None:
    card = CHECKS.build(number)
    assert re.fullmatch(r"SRV\d{3}", number)
    assert card.id == number
    assert card.name.endswith(".")
    assert not re.search(r"do(es)? not (differ|depend)", card.name), (
        "ok would be read as a proof of it"
    )
    assert card.severity in {"error", "warning"}
    assert set(card.needs) <= set(NOT_GIVEN)
    assert set(card.needs) <= set(Evidence.__dataclass_fields__)


@pytest.mark.parametrize("number", sorted(CHECKS))
def test_a_page_explains_it(number: str) -> None:
    """A number keeps its meaning, which its page states: no page is ever given another title."""
    text = (ROOT / CHECKS.build(number).page).read_text(encoding="utf-8")
    assert text.startswith(f"# {number}: {CHECKS.build(number).name.rstrip('.')}\n")
    needs = "a cohort alone" if number in ABOUT_DATA else "a run"
    assert f"Severity: {CHECKS.build(number).severity}. Needs {needs}" in text
    for section in (
        "What it asks",
        "How it decides",
        "What to do",
        "Example",
        "Limits",
    ):
        assert f"\n## {section}\n" in text
    assert "not applicable" in text
    assert 15 <= len(text.splitlines()) <= 35


def test_every_page_is_that_of_a_check() -> None:
    assert {path.stem for path in PAGES.glob("SRV*.md")} == set(CHECKS)
    for page in PAGES.glob("*.md"):
        links = re.findall(r"\]\((\S+?\.md)\)", page.read_text(encoding="utf-8"))
        assert [link for link in links if not (PAGES / link).exists()] == []


def _judge(rows: list[dict[str, str]]) -> None:
    for row in rows:
        assert list(row) == FIELDS
        assert row["status"] in STATUSES
        assert row["evidence"]
        assert bool(row["advice"]) == (row["status"] in {"warning", "failed"})
        assert (
            row["status"] != {"error": "warning", "warning": "failed"}[row["severity"]]
        )


def test_every_check_answers_about_a_cohort_alone(cohort: Cohort) -> None:
    rows = run_checks(Evidence(cohort=cohort))
    assert [row["id"] for row in rows] == sorted(CHECKS)
    _judge(rows)
    for row in rows:
        if row["id"] not in ABOUT_DATA:
            assert row["status"] == "not applicable"
    assert run_data_checks(cohort) == [row for row in rows if row["id"] in ABOUT_DATA]


def test_every_check_answers_about_a_run(cohort: Cohort) -> None:
    rows = run_checks(run_on(cohort))
    assert [row["id"] for row in rows] == sorted(CHECKS)
    _judge(rows)
    of_the_run = [row for row in rows if row["id"] not in ABOUT_DATA]
    assert {row["id"]: row["status"] for row in of_the_run} == {
        row["id"]: "ok" for row in of_the_run
    }
    assert [row["status"] for row in rows].count("failed") == 0


def test_every_check_answers_without_an_outcome(cohort: Cohort) -> None:
    rows = {row["id"]: row for row in run_data_checks(replace(cohort, outcome=None))}
    _judge(list(rows.values()))
    for number in ("SRV008", "SRV009", "SRV013", "SRV018", "SRV023"):
        assert rows[number]["status"] == "not applicable"
    assert rows["SRV013"]["evidence"] == "the cohort has no outcome"


def test_what_cannot_be_computed_does_not_apply_and_anything_else_is_raised(
    cohort: Cohort,
) -> None:
    def why(evidence: Evidence) -> Verdict:
        raise NotComputableError("one patient")

    def bug(evidence: Evidence) -> Verdict:
        raise ZeroDivisionError("a bug")

    row = running._row(
        Card("SRV999", "x.", "warning", (), why, "a page"),
        Evidence(cohort=cohort),
    )
    assert (row["status"], row["evidence"]) == ("not applicable", "one patient")
    with pytest.raises(ZeroDivisionError, match="a bug"):
        running._row(
            Card("SRV999", "x.", "warning", (), bug, "a page"), Evidence(cohort=cohort)
        )


@pytest.mark.parametrize(
    ("severity", "status"),
    [("error", "failed"), ("warning", "warning")],
)
def test_a_doubt_ends_in_the_status_of_its_severity(
    monkeypatch: pytest.MonkeyPatch,
    cohort: Cohort,
    severity: Severity,
    status: str,
) -> None:
    monkeypatch.setattr(
        "survfuse.evaluation.checks.check_cards.CHECKS", Registry("check")
    )
    judged = check("SRV999", "x.", severity)(lambda evidence: doubt("seen", "do this"))
    assert judged(Evidence(cohort=cohort)) == (status, "seen", "do this")


@pytest.mark.parametrize("number", sorted(CHECKS))
def test_no_check_chooses_its_status_itself(number: str) -> None:
    """Statuses of doubts are written where verdicts are made, and nowhere else."""
    module = inspect.getmodule(inspect.unwrap(CHECKS.build(number).check))
    assert module is not None
    tree = ast.parse(inspect.getsource(module))
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    assert "failed" not in texts
    calls = {
        ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)
    }
    assert "Verdict" not in calls
    assert calls & {"doubt", "statements.verdict"}


def test_a_number_is_given_once() -> None:
    with pytest.raises(ValueError, match="check 'SRV001' is registered twice"):
        check("SRV001", "again", "warning")(lambda evidence: ok("x"))


def test_predictions_need_the_name_of_the_model(cohort: Cohort) -> None:
    table: pd.DataFrame = predictions(cohort)
    with pytest.raises(
        InputError,
        match="no predictions of the model None; there are: ours",
    ):
        Evidence(cohort=cohort, models={"ours": table})


EQUALITY = re.compile(
    r"\b(do(es)?|did|rank(s|ed)?|perform(s|ed)?|predicts?) (as well|as good|equally|no (better|worse))"
    r"|\bno (difference|gain)\b|\badds? nothing|\bcosts? nothing|\bas good as\b|\bis no (better|worse)\b"
    r"|\bcarr(y|ies) no information",
)
DENIED = re.compile(r"(not prove|no proof|Nothing here shows|not shown)[^.;]*$")
SHOWN_TO_READERS = (
    *sorted((ROOT / "src/survfuse/evaluation/checks").glob("*.py")),
    *sorted((ROOT / "src/survfuse/report").rglob("*.py")),
    *sorted((ROOT / "src/survfuse/report/templates").glob("*.j2")),
    *sorted((ROOT / "src/survfuse/cli").glob("*.py")),
    *(
        ROOT / "src/survfuse" / name
        for name in (
            "fit_summary.py",
            "survival/degrees_of_freedom.py",
        )
    ),
    *sorted((ROOT / "src/survfuse/estimators").glob("*.py")),
    ROOT / "src/survfuse/survival/calibration.py",
    *sorted((ROOT / "src/survfuse/estimators").glob("*.py")),
    *sorted(PAGES.glob("*.md")),
)


def claims_of_equality(text: str) -> list[str]:
    """Places that word a lack of evidence as evidence of no difference."""
    flat = re.sub(r"\s+", " ", text)
    return [
        flat[max(0, match.start() - 60) : match.end() + 20]
        for match in EQUALITY.finditer(flat)
        if not DENIED.search(flat[: match.start()][-80:])
    ]


@pytest.mark.parametrize("path", SHOWN_TO_READERS, ids=lambda path: path.name)
def test_no_lack_of_evidence_is_worded_as_equality(path: Path) -> None:
    """An interval that includes 0 says "not shown to be better", never "as good"."""
    assert claims_of_equality(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("text", "claims"),
    [
        ("Clinical variables alone do as well as far as these patients can tell.", 1),
        ("The slide branch adds nothing.", 1),
        ("The model is no better than clinical variables.", 1),
        ("There is no difference between the two.", 1),
        ("An interval that includes 0 does not prove that a modality adds nothing.", 0),
        ("Not shown to be better than clinical variables alone.", 0),
    ],
)
def test_what_a_claim_of_equality_is(text: str, claims: int) -> None:
    assert len(claims_of_equality(text)) == claims
