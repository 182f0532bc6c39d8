from __future__ import annotations

import re
from pathlib import Path

import pytest

from report.conftest import Builder, edit
from report.performed import LOST, add_performance, estimate
from report.reading import read
from survfuse.report.facts import families, of_page
from survfuse.report.names import DELTA
from survfuse.report.report_tables import compute_tables
from survfuse.report.wording import environment
from survfuse.results import Result


def test_a_note_is_said_once_however_many_cells_share_it() -> None:
    long = "the curves of these patients end before the horizon, and so on and on"
    cells = [
        estimate(0.1, note="spline"),
        estimate(0.2, note="line"),
        estimate(0.3, note="line"),
        None,
        {**LOST, "note": "no events"},
        {**LOST, "note": long},
        estimate(0.4),
    ]
    macros = environment(autoescape=True).get_template("macros.html.j2").module
    notes: list[str] = []
    texts = [str(macros.cell(cell, notes)) for cell in cells]  # type: ignore[attr-defined]
    marks = [re.findall("<sup>(.)</sup>", text) for text in texts]
    assert marks == [["1"], ["2"], ["2"], [], [], ["3"], []]
    assert notes == ["spline", "line", long]
    assert "not computable: no events" in texts[4]
    assert long not in texts[5]


def test_families_hold_every_metric_of_both_but_the_footnote(full_folder: Path) -> None:
    run = Result.read(full_folder)
    groups = families(compute_tables(run))
    keys = [key for _, part in groups for key in part]
    assert len(keys) == len(set(keys))
    assert set(keys) == set(run.estimates[run.name]) - {"d_calibration", DELTA}
    assert groups[0][0] == "Ranking (discrimination)"


@pytest.mark.usefixtures("undrawn")
def test_predictions_made_elsewhere_are_not_said_to_be_out_of_fold(
    make_run: Builder,
) -> None:
    out = add_performance(make_run(comparators={}))
    edit(out / "run.json", lambda run: run["hashes"].update(input="ab" * 32))
    (out / "config.yaml").unlink()
    facts = of_page(compute_tables(Result.read(out)))
    assert "Splits" not in dict(facts["method"])
    assert "too good" in dict(facts["limits"])["Where the predictions come from"]
    text = read(out).text
    assert "Evaluation of predictions made elsewhere" in text
    assert "never saw that patient" not in text
    assert "come from training patients" not in text
    assert "come from training patients" in read(make_run("own")).text
    assert "without that patient" not in text
    assert "fitted on the training patients" not in text
