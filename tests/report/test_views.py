from __future__ import annotations

from pathlib import Path

import pytest

from report.conftest import Builder, edit
from report.performed import LOST, add_performance, estimate
from report.reading import read
from survfuse.report import views
from survfuse.report.artefacts import read_run
from survfuse.report.method import limits, method
from survfuse.report.report_tables import compute_tables


def test_a_note_is_said_once_however_many_cells_share_it() -> None:
    long = "the curves of these patients end before the horizon, and so on and on"
    rows = [
        {"cells": [estimate(0.1, note="spline"), estimate(0.2, note="line")]},
        {"cells": [estimate(0.3, note="line"), None]},
        {"cells": [{**LOST, "note": "no events"}, {**LOST, "note": long}]},
        {"cells": [estimate(0.4), estimate(0.5)]},
    ]
    found = views.footnoted(rows)
    marks = [[cell and cell["mark"] for cell in row["cells"]] for row in found["rows"]]
    assert marks == [[1, 2], [2, None], [None, 3], [None, None]]
    assert found["footnotes"] == ["spline", "line", long]


def test_families_hold_every_metric_of_both_but_the_footnote(full_folder: Path) -> None:
    run = read_run(full_folder)
    families = views.families(run, compute_tables(run))
    titles = [row["metric"].title for family in families for row in family["rows"]]
    assert (
        len(titles)
        == len(set(titles))
        == len(set(run.metrics[run.model]) - {"d_calibration"}) - 1
    )
    assert all(len(row["cells"]) == 2 for family in families for row in family["rows"])
    assert families[0]["family"] == "Ranking (discrimination)"


def test_external_puts_model_and_baseline_first(make_run: Builder) -> None:
    out = add_performance(make_run())

    def add(told: dict[str, dict[str, dict[str, object]]]) -> None:
        metrics = told["external"]["metrics"]
        told["external"]["metrics"] = {
            f"other {i}": {"uno_c": estimate(0.5)} for i in range(4)
        } | metrics

    edit(out / "performance.json", add)
    run = read_run(out)
    found = views.external(run, compute_tables(run))
    assert found is not None
    assert found["models"] == ["default:concat", "ridge:clinical", "other 0", "other 1"]
    assert found["left"] == "Also scored, in report.json: other 2, other 3."


@pytest.mark.usefixtures("undrawn")
def test_predictions_made_elsewhere_are_not_said_to_be_out_of_fold(
    make_run: Builder,
) -> None:
    out = add_performance(make_run(comparators={}))
    edit(out / "run.json", lambda run: run["hashes"].update(input="ab" * 32))
    (out / "config.yaml").unlink()
    run = read_run(out)
    assert "Splits" not in dict(method(run))
    assert "too good" in dict(limits(run))["Where the predictions come from"]
    text = read(out).text
    assert "Evaluation of predictions made elsewhere" in text
    assert "never saw that patient" not in text
    assert "come from training patients" not in text
    assert "come from training patients" in read(make_run("own")).text
    assert "without that patient" not in text
    assert "fitted on the training patients" not in text
