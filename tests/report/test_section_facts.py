from __future__ import annotations

from report.conftest import Builder, edit
from report.performed import add_performance, estimate
from survfuse.report.report_tables import compute_tables
from survfuse.report.section_facts import external_cohort, external_scores
from survfuse.results import Result


def test_external_puts_model_and_baseline_first(make_run: Builder) -> None:
    out = add_performance(make_run())

    def add(told: dict[str, dict[str, dict[str, object]]]) -> None:
        metrics = told["external"]["metrics"]
        told["external"]["metrics"] = {
            f"other {i}": {"uno_c": estimate(0.5)} for i in range(4)
        } | metrics

    edit(out / "performance.json", add)
    found = external_scores(compute_tables(Result.read(out)))
    assert found is not None
    assert found["models"] == ["default:concat", "ridge:clinical", "other 0", "other 1"]
    assert found["left"] == "Also scored, in report.json: other 2, other 3."


def test_a_run_in_one_cohort_has_no_other(make_run: Builder) -> None:
    run = Result.read(make_run())
    assert external_scores(compute_tables(run)) is None
    assert external_cohort(run) == {}
