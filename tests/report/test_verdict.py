from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from report.conftest import Builder, edit
from report.performed import add_performance
from survfuse.report.names import DELTA
from survfuse.report.report_tables import compute_tables
from survfuse.report.verdict import chance, judge, tally, verdict
from survfuse.results import Result


def sentence(out: Path) -> str:
    return verdict(compute_tables(Result.read(out)))


def checks(out: Path) -> dict[str, dict[str, str]]:
    return {check["id"]: check for check in judge(compute_tables(Result.read(out)))}


def set_metric(
    out: Path,
    metric: str,
    model: str = "default:concat",
    **values: Any,
) -> None:
    edit(
        out / "metrics.json",
        lambda metrics: metrics[model].setdefault(metric, {}).update(values),
    )


@pytest.mark.parametrize(
    ("low", "high", "says"),
    [
        (0.01, 0.09, "ranked these patients better than clinical variables alone"),
        (-0.09, -0.01, "ranked these patients worse than clinical variables alone"),
        (
            -0.02,
            0.06,
            "The model is not shown to be better than clinical variables alone, nor to be worse",
        ),
    ],
)
def test_the_paired_difference_decides(
    make_run: Builder,
    low: float,
    high: float,
    says: str,
) -> None:
    out = make_run()
    set_metric(out, DELTA, value=(low + high) / 2, low=low, high=high)
    assert says in sentence(out)
    assert "paired on the same patients" in sentence(out)


def test_a_difference_that_the_correction_takes_away_is_said_to_be(
    make_run: Builder,
) -> None:
    out = add_performance(make_run())
    set_metric(out, DELTA, value=0.05, low=0.01, high=0.09)

    def correct(p_holm: float) -> str:
        def change(record: Any) -> None:
            for row in record["comparisons"]:
                row["p_holm"] = p_holm

        edit(out / "performance.json", change)
        return sentence(out)

    assert correct(0.2).endswith(
        "comparisons of the model counted (Holm) it is not shown)."
    )
    assert correct(0.01).endswith("paired on the same patients).")


def test_overlap_is_never_called_significance(make_run: Builder) -> None:
    out = make_run(delta=False)
    set_metric(out, "uno_c", low=0.70, high=0.80)
    set_metric(out, "uno_c", "ridge:clinical", low=0.50, high=0.60)
    start = "The model was not compared formally with clinical variables alone"
    assert sentence(out).startswith(start)
    assert sentence(out).endswith("their two intervals do not overlap is no test.")
    set_metric(out, "uno_c", "ridge:clinical", low=0.50, high=0.75)
    assert sentence(out).startswith(start)
    assert sentence(out).endswith("their two intervals overlap is no test.")
    set_metric(out, "uno_c", "ridge:clinical", low=None, high=None)
    assert sentence(out).startswith(start)
    assert "overlap" not in sentence(out)


def test_what_cannot_be_compared_is_said(make_run: Builder) -> None:
    out = make_run()
    set_metric(out, DELTA, value=None, low=None, high=None, note="no comparable pairs")
    assert "not computable: no comparable pairs" in sentence(out)
    assert "No clinical-only baseline was run" in sentence(
        make_run("alone", comparators={}),
    )
    lost = make_run("lost", delta=False)
    for metric in ("uno_c", "harrell_c"):
        set_metric(lost, metric, value=None, low=None, high=None, note="no events")
    assert "one of the numbers is not computable" in sentence(lost)


def test_chance_is_named_when_the_interval_includes_it(make_run: Builder) -> None:
    out = make_run()
    set_metric(out, "uno_c", low=0.55, high=0.7)
    assert chance(compute_tables(Result.read(out))) == ""
    set_metric(out, "uno_c", low=0.45, high=0.7)
    assert "includes 0.5" in chance(compute_tables(Result.read(out)))


def test_checks_of_the_run_come_first_as_they_are(run_folder: Path) -> None:
    found = checks(run_folder)
    assert list(found) == [
        "SRV001",
        "SRV002",
        "SRV004",
        "SRV006",
        "R1",
        "R2",
        "R3",
        "R4",
    ]
    assert found["SRV004"]["status"] == "warning"
    assert (found["SRV004"]["severity"], found["SRV004"]["page"]) == (
        "warning",
        "docs/checks/SRV004.md",
    )
    assert [found[f"R{number}"]["severity"] for number in range(1, 5)] == [
        "error",
        *["warning"] * 3,
    ]
    assert (found["SRV001"]["severity"], found["SRV001"]["page"]) == ("", "")
    assert all(found[f"R{i}"]["status"] == "ok" for i in range(1, 5))


def test_changed_predictions_fail(make_run: Builder) -> None:
    out = make_run()
    with (out / "predictions.csv").open("a") as file:
        file.write("\n")
    assert checks(out)["R1"]["status"] == "failed"
    edit(out / "run.json", lambda run: run.pop("hashes"))
    assert checks(out)["R1"]["status"] == "not applicable"


def test_missing_patients_warn(make_run: Builder) -> None:
    out = make_run()
    edit(out / "cohort.json", lambda cohort: cohort.update(patients=151))
    check = checks(out)["R2"]
    assert check["status"] == "warning"
    assert check["evidence"] == "151 patients in the cohort, 150 predicted in 1 repeat"


def test_comparators_on_other_folds_warn(make_run: Builder) -> None:
    out = make_run()
    lines = (out / "comparators.csv").read_text().splitlines()
    (out / "comparators.csv").write_text("\n".join(lines[:-1]))
    check = checks(out)["R3"]
    assert check["status"] == "warning"
    assert "ridge:rna" in check["evidence"]
    assert "ridge:clinical" not in check["evidence"]
    (out / "comparators.csv").unlink()
    assert checks(out)["R3"]["status"] == "not applicable"


def test_tally_names_the_worst_first() -> None:
    made = [
        {"id": str(i), "status": status}
        for i, status in enumerate(["ok", "warning", "failed", "ok", "warning"])
    ]
    assert tally(made) == "1 failed, 2 warnings, 2 ok"
    assert tally([]) == "none"
