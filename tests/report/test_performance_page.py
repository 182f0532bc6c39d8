from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from report.conftest import Builder, edit
from report.performed import LOST, add_performance, estimate
from report.reading import Page, read
from survfuse._errors import InputError
from survfuse.report import write_report
from survfuse.report.report_tables import SCHEMA
from survfuse.report.wording import NOT_RECORDED

UNRECORDED = (
    "Models with and without each modality",
    "Metrics beyond concordance",
    "AUC and Brier score over time",
    "Smooth calibration curves",
    "Observed / expected, slope, ICI, E50 and E90",
    "Net benefit",
    "Performance by site and subgroup",
    "Performance with modalities or values missing",
    "Score with the epoch chosen on the scored patients",
    "Variation by training seed",
    "Uno C with permuted outcomes",
    "Performance in another cohort",
)


def changed(out: Path, change: Any) -> str:
    edit(add_performance(out) / "performance.json", change)
    return read(out).text


def test_a_run_that_recorded_everything_says_so(full: Page) -> None:
    assert not [what for what in UNRECORDED if f"{what}: {NOT_RECORDED}" in full.text]
    assert "nan" not in full.text.lower().split()
    assert "None" not in full.text.replace("None used", "").replace("None recorded", "")


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("null", [False, True])
def test_what_a_run_did_not_record_is_said(make_run: Builder, null: bool) -> None:
    out = make_run()
    if null:
        whole = json.loads(
            (add_performance(make_run("whole")) / "performance.json").read_text(),
        )
        (out / "performance.json").write_text(json.dumps(dict.fromkeys(whole)))
    text = read(out).text
    for what in UNRECORDED:
        assert f"{what}: {NOT_RECORDED}" in text, what
    assert "Groups of patients at 36 months (3 years) instead" in text


def test_the_increment_stands_on_the_first_screen_and_in_its_table(full: Page) -> None:
    first = full.text[: full.text.index("How do the risk groups fare?")]
    assert "slides: +0.061 (0.022 to 0.100), ranked better with it" in first
    assert "rna: +0.045 (0.002 to 0.088), not shown after the correction" in first
    assert "does not prove that a modality adds nothing" in first
    assert (
        "slides +0.061 0.022 to 0.100 −0.012 −0.022 to −0.002 0.002 0.008 ranked better with it network: "
        in full.text
    )
    assert "0.041 0.12 not shown after the correction of Holm" in full.text
    assert "not computable: the network without it was not trained" in full.text


def test_every_metric_has_a_readable_name_and_a_direction(full: Page) -> None:
    for told in (
        "Integrated Brier score Mean squared error of the predicted curve, over time. lower 0.150",
        "AUC at 36 months (3 years) higher 0.720 0.642 to 0.798",
        "Calibration slope Below 1: predictions too extreme. 1 is best 0.900 0.626 to 1.174",
        "E90 at 60 months (5 years) lower not computable: 5 patients are followed beyond 60 months",
    ):
        assert told in full.text, told
    assert not re.search(
        r"\b(isbs|brier_36|kent_oquigley_r2|uno_c|observed_expected)\b",
        full.text,
    )


def test_d_calibration_stands_with_its_censoring(full: Page, full_folder: Path) -> None:
    events = json.loads((full_folder / "cohort.json").read_text())["events"]
    assert (
        f"D-calibration: p = 0.43. {1 - events / 150:.0%} of these patients are censored"
        in full.text
    )


def test_the_score_of_the_wrong_selection_is_no_result(full: Page) -> None:
    assert "Epoch chosen on the scored patients (not a result) 0.701" in full.text
    assert "no performance of this model" in full.text
    assert "+0.049 compared with the honest number" in full.text
    before = full.text[: full.text.index("What could have made the score too good")]
    assert "0.701" not in before


@pytest.mark.usefixtures("undrawn")
def test_a_lost_honest_score_gives_no_difference(make_run: Builder) -> None:
    def lose(told: dict[str, Any]) -> None:
        told["optimism"]["honest"] = {**LOST, "note": "no events"}

    text = changed(make_run(), lose)
    assert "compared with the honest number" not in text
    assert "not computable: no events" in text


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    ("value", "says"),
    [(0.5, "The interval includes 0.5, as it should."), (0.7, "does not include 0.5.")],
)
def test_a_permuted_outcome_that_can_be_ranked_is_a_leak(
    make_run: Builder,
    value: float,
    says: str,
) -> None:
    out = make_run()
    text = changed(
        out,
        lambda told: told.update(permuted_outcome={"uno_c": estimate(value, 0.03)}),
    )
    assert says in text


def test_checks_show_severity_and_page(full: Page) -> None:
    assert "warning warning 4.5 training events per effective parameter" in full.text
    assert "docs/checks/SRV004.md" in full.text


def test_the_json_holds_every_new_table(full: Page, full_folder: Path) -> None:
    told = json.loads((full_folder / "report.json").read_text())
    assert told["tables"].keys() == SCHEMA.keys()
    empty = {name for name in SCHEMA if not told["tables"][name]}
    assert empty - {"calibration"} == {"weights", "terms"}
    assert [row["p_holm"] for row in told["tables"]["increments"]] == [
        0.008,
        0.12,
        1.0,
        0.03,
        None,
        0.0002,
    ]
    assert told["increments_verdict"].startswith(
        "Patients were ranked better with slides (network)",
    )
    assert told["external_cohort"]["name"] == "hillside bladder"
    assert told["decision_horizon"] == 36.0
    assert len(told["tripod"]) == 21


@pytest.mark.slow
def test_texts_of_the_file_are_escaped(make_run: Builder) -> None:
    evil = "<script>alert('x')</script>&\"$\\alpha$"

    def spoil(told: dict[str, Any]) -> None:
        told["increment"][0].update(modality=evil, kind=evil, without=evil)
        told["increment"][1]["delta_uno_c"].update(note=evil)
        told["comparisons"][0].update(model=evil, reference=evil)
        for row in told["subgroups"][4:8]:
            row.update(group=evil, level=evil, note=evil)
        told["external"]["cohort"].update(name=evil)
        told["external"]["metrics"][evil] = {evil: estimate(0.5, note=evil)}
        told["availability"][0]["modalities"] = [evil]
        told["robustness"]["rows"][8].update(what=evil, note=evil)
        told["robustness"]["left_out"] = [evil]
        told["seeds"].update(note=evil, metric=evil)
        told.update(interval=evil)

    out = add_performance(make_run())
    edit(out / "performance.json", spoil)
    page = read(out)
    assert "script" not in {tag for tag, _ in page.tags}
    assert page.text.count("alert('x')") > 10


def test_a_broken_file_leaves_no_page(make_run: Builder) -> None:
    out = make_run()
    (out / "performance.json").write_text('{"decision": 3}')
    with pytest.raises(
        InputError,
        match=r"performance.json: decision: expected a list, got int",
    ):
        write_report(out)
    assert not (out / "report.html").exists()


@pytest.mark.slow
def test_a_run_without_baseline_and_with_long_names(make_run: Builder) -> None:
    out = add_performance(make_run(model="a network with a name " * 5, comparators={}))
    page = read(out)
    assert "Net benefit for the event" in page.text
    assert "No clinical-only baseline was run" in page.text
    assert "Clinical variables only" not in page.text
