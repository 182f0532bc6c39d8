from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import pytest

from report.conftest import Builder, build_run, edit
from report.performed import add_performance
from report.reading import Page, read
from running import fails_with
from survfuse._errors import InputError
from survfuse.figures.formatting import interval, number
from survfuse.report import write_report
from survfuse.report.report_tables import SCHEMA
from survfuse.report.wording import SECTIONS


def test_every_section_is_there_and_linked(plain: Page) -> None:
    page = plain
    ids = [attributes["id"] for tag, attributes in page.tags if tag == "section"]
    assert ids == list(SECTIONS)
    links = {attributes.get("href") for tag, attributes in page.tags if tag == "a"}
    assert links >= {f"#{name}" for name in SECTIONS}
    targets = {attributes.get("id") for _, attributes in page.tags}
    assert links <= {f"#{name}" for name in targets}


def test_the_page_needs_nothing_but_itself(full: Page, full_folder: Path) -> None:
    page, text = full, (full_folder / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"https?://|//cdn|@import|url\((?!#)", text)
    assert not {"script", "link", "img", "iframe", "object"} & {
        tag for tag, _ in page.tags
    }
    assert not any("src" in attributes for _, attributes in page.tags)
    assert any(
        "default-src 'none'" in (attributes.get("content") or "")
        for _, attributes in page.tags
    )


def test_tables_have_headers_and_figures_a_text(plain: Page, full: Page) -> None:
    for page, drawn in ((plain, 5), (full, 11)):
        heads = [attributes for tag, attributes in page.tags if tag == "th"]
        assert heads
        assert all(attributes.get("scope") in ("col", "row") for attributes in heads)
        figures = [attributes for tag, attributes in page.tags if tag == "svg"]
        assert len(figures) == 2 * drawn  # for wide windows, and for phones
        assert all(attributes.get("aria-label") for attributes in figures)
        assert ("html", {"lang": "en"}) in page.tags


def test_the_main_table_shows_model_and_baseline_with_intervals(
    plain: Page,
    run_folder: Path,
) -> None:
    page = plain
    metrics = json.loads((run_folder / "metrics.json").read_text())
    for model in ("default:concat", "ridge:clinical"):
        estimate = metrics[model]["uno_c"]
        assert (
            f"{number(estimate['value'])} {interval(estimate['low'], estimate['high'])}"
            in page.text
        )
    assert "paired on the same patients" in page.text
    assert "median follow-up is 49 months" in page.text


@pytest.mark.slow
def test_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    first, second = (add_performance(build_run(tmp_path / name)) for name in "ab")
    write_report(first)
    with matplotlib.rc_context(
        {"font.size": 30, "svg.hashsalt": "other", "axes.grid": True},
    ):
        write_report(second)
    for name in ("report.html", "report.json"):
        assert (first / name).read_bytes() == (second / name).read_bytes()


@pytest.mark.usefixtures("plain")
def test_the_json_beside_holds_the_tables(run_folder: Path) -> None:
    told = json.loads((run_folder / "report.json").read_text())
    assert (told["format"], told["version"]) == ("survfuse-report", 1)
    assert told["tables"].keys() == SCHEMA.keys()
    metrics = json.loads((run_folder / "metrics.json").read_text())
    first = told["tables"]["models"][0]
    assert first["value"] == metrics[first["model"]][first["metric"]]["value"]
    assert told["clinical_baseline"] == "ridge:clinical"
    assert [check["id"] for check in told["checks"]][:2] == ["SRV001", "SRV002"]


@pytest.mark.usefixtures("full")
def test_patients_are_named_among_problems_alone(full_folder: Path) -> None:
    text = (full_folder / "report.html").read_text(encoding="utf-8")
    assert set(re.findall(r"PAT-\d+", text)) == {"PAT-0101"}
    assert "one patient: no slide" in text


@pytest.mark.slow
def test_everything_from_files_is_escaped(make_run: Builder) -> None:
    evil = "<script>alert('x')</script>&\"$\\alpha$"
    out = make_run(model=evil, comparators={"ridge:clinical": 1.0, "</style><b>": 2.0})

    def spoil(cohort: dict[str, Any]) -> None:
        cohort.update(name=evil, endpoint=evil)
        cohort["flow"][0].update(step=evil, note=evil)
        cohort["modalities"][1].update(name=evil, note=evil)
        cohort["patterns"][0].update(modalities=["clinical", evil])
        cohort["problems"][0].update(message=evil, hint=evil, where=evil)

    edit(out / "cohort.json", spoil)
    edit(
        out / "checks.json",
        lambda checks: checks[0].update(name=evil, status=evil, evidence=evil),
    )
    edit(
        out / "run.json",
        lambda run: run.update(command=evil, notes=[evil], versions={evil: evil}),
    )
    with (out / "config.yaml").open("a") as file:
        file.write("note: </pre><script>\n")
    page = read(out)
    assert not {"script", "b"} & {tag for tag, _ in page.tags}
    assert "alert('x')" in page.text


@pytest.mark.usefixtures("undrawn")
def test_a_number_that_is_not_there_says_why(make_run: Builder) -> None:
    out = make_run()
    lost = {"value": None, "low": None, "high": None, "se": None, "n": 150, "events": 3}

    def spoil(metrics: dict[str, Any]) -> None:
        for model in metrics:
            metrics[model]["uno_c"] = {
                **lost,
                "note": "not computable: 3 events are too few",
            }
        metrics["ridge:rna"]["harrell_c"] = {**lost, "note": "no comparable pairs"}
        metrics["default:concat"]["delta_uno_c_vs_clinical"] = {**lost, "note": ""}

    edit(out / "metrics.json", spoil)
    page = read(out)
    assert page.text.count("not computable: 3 events are too few") == 3
    assert "not computable: no comparable pairs" in page.text
    assert "not computable: no reason was recorded" in page.text
    assert "not computable: not computable" not in page.text


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("metric", ["uno_c", "harrell_c"])
def test_a_run_that_knows_one_index_only(make_run: Builder, metric: str) -> None:
    out = make_run(delta=False)
    edit(
        out / "metrics.json",
        lambda metrics: [estimates.pop(metric) for estimates in metrics.values()],
    )
    assert "not computed" in read(out).text


@pytest.mark.usefixtures("undrawn")
def test_further_metrics_and_notes_are_shown(make_run: Builder) -> None:
    out = make_run()
    more = {"value": 0.171, "low": 0.15, "high": 0.19, "note": "to 60 months"}

    def add(metrics: dict[str, Any]) -> None:
        metrics["default:concat"]["my_own_number"] = more
        metrics["ridge:rna"]["uno_c"]["note"] = "repeat 0 fold 2 left out: no events"

    edit(out / "metrics.json", add)
    page = read(out)
    assert (
        "my_own_number – 0.171 0.150 to 0.190 1 not computed to 60 months" in page.text
    )
    assert "repeat 0 fold 2 left out: no events" in page.text


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {"patients": 8, "folds": 2, "comparators": {}},
        {"patients": 23, "folds": 3, "horizons": (24.0,)},
        {"repeats": 3},
        {"horizons": ()},
        {"curves": False},
        {"delta": False},
        {"comparators": {f"model {i}" * 6: 1.0 + i for i in range(9)}},
    ],
    ids=[
        "tiny",
        "one-horizon",
        "repeats",
        "no-horizon",
        "no-curve",
        "no-delta",
        "long-names",
    ],
)
def test_any_run_gives_a_whole_page(make_run: Builder, options: dict[str, Any]) -> None:
    page = read(make_run(**options))
    assert [a["id"] for tag, a in page.tags if tag == "section"] == list(SECTIONS)
    assert "nan" not in page.text.lower().split()
    assert "None" not in page.text.replace("None recorded", "")


def test_no_curve_says_so(make_run: Builder) -> None:
    text = read(make_run(curves=False)).text
    assert "not computable: the calibration method gives no curve" in text
    assert "Time by rank on the Kaplan–Meier curve" in text


def test_an_empty_run_says_what_is_not_there(make_run: Builder) -> None:
    out = make_run(patients=20, folds=2)
    frame = pd.read_csv(out / "predictions.csv")
    frame.assign(event=0, predicted_time=np.nan, risk_group=np.nan).to_csv(
        out / "predictions.csv",
        index=False,
    )
    for name in ("checks.json", "config.yaml", "comparators.csv"):
        (out / name).unlink()
    keys = ("flow", "modalities", "patterns", "problems", "follow_up_median", "tau")
    edit(out / "cohort.json", lambda cohort: [cohort.pop(key) for key in keys])
    edit(
        out / "run.json",
        lambda run: [run.pop(key) for key in list(run) if key != "model"],
    )
    text = read(out).text
    for says in (
        "cohort.json records no flow",
        "cohort.json records no modalities",
        "cohort.json records no patterns",
        "assigns no patient to a risk group",
        "no patient has a predicted time",
        "left no checks.json",
        "no config.yaml in this folder",
        "median follow-up is not reached or not recorded",
    ):
        assert says in text, says


def test_a_broken_run_leaves_no_page(make_run: Builder) -> None:
    out = make_run()
    (out / "metrics.json").unlink()
    with pytest.raises(InputError, match=r"metrics.json: no such file"):
        write_report(out)
    assert not (out / "report.html").exists()


# -- the place of the page


@pytest.mark.usefixtures("undrawn")
def test_a_page_replaces_reports_alone(make_run: Builder) -> None:
    out = make_run()
    for name in ("report.html", "report.json"):
        (out / name).write_text("<p>mine</p>")
        with pytest.raises(InputError, match=f"{name}: not a report of survfuse"):
            write_report(out)
        assert (out / name).read_text() == "<p>mine</p>"
        (out / name).unlink()
    page = write_report(out)
    assert '<meta name="generator" content="survfuse">' in page.read_text()
    text = page.read_text().replace('<meta name="generator" content="survfuse">\n', "")
    page.write_text(text)  # as early versions wrote it
    assert write_report(out).read_text() != text


@pytest.mark.parametrize(
    "make",
    [os.mkfifo, os.mkdir, lambda place: os.symlink("nowhere", place)],
)
def test_a_page_is_written_to_nothing_but_a_file(
    make_run: Builder,
    make: Callable[[Path], None],
) -> None:
    out = make_run()
    make(out / "report.html")
    with pytest.raises(InputError, match=r"report\.html: a (pipe|folder|link)"):
        write_report(out)


@pytest.mark.usefixtures("undrawn")
def test_a_full_disk_under_a_page_is_an_answer(
    make_run: Builder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = make_run()
    monkeypatch.setattr("survfuse.report.page.write_json", fails_with(errno.ENOSPC))
    with pytest.raises(InputError, match=r"report\.html: the disk is full"):
        write_report(out)
