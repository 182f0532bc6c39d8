"""Weights of a stack and priors on the page of the report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from report.conftest import Builder, build_run, edit
from report.performed import estimate
from report.reading import Page, read
from survfuse._storage import read_json, write_json
from survfuse.figures import weights
from survfuse.report.report_tables import compute_tables
from survfuse.report.term_facts import of_terms
from survfuse.results import Result
from survfuse.results.csv_files import write_table
from survfuse.results.term_weights import over_fits, weight_table

PRIOR = {
    "modality": "pancancer",
    "prior": "tcga_pancancer",
    "reads": "rna",
    "cohorts": ["brca", "luad"],
    "patients": 1200,
    "events": 310,
    "endpoints": ["overall survival"],
}
TERMS = (
    ("pancancer", 0.9, {"start": 1.0, "low": 0.4, "high": 1.4}),
    ("slides", 0.0, {"start": 1.0, "gain": 0.4, "needed": 1.92}),
    ("pancancer*slides", 0.0, {"start": 0.0, "note": "a reason"}),
)


def rows(fits: int = 5) -> list[dict[str, Any]]:
    found = []
    for fold in range(fits):
        for term, value, fields in TERMS:
            place = {"repeat": 0, "fold": fold, "term": term, "value": value}
            found.append({**place, **fields})
    return found


def with_weights(out: Path) -> Path:
    write_table(out / "weights.csv", weight_table(rows()))
    edit(out / "cohort.json", lambda cohort: cohort.update(priors=[PRIOR]))
    gain = {"modality": "pancancer", "kind": "anchored", "p": 0.2, "p_holm": 0.2}
    gain |= {"with": "default:anchored", "without": "network:-pancancer"}
    gain |= {"delta_uno_c": estimate(0.019, 0.02)}
    write_json(out / "performance.json", {"increment": [gain]})
    return out


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return with_weights(build_run(tmp_path_factory.mktemp("stack") / "run"))


@pytest.fixture(scope="module")
def page(folder: Path) -> Page:
    return read(folder)


def test_the_page_shows_the_weights_and_why_a_bag_is_out(page: Page) -> None:
    assert "slides 1 0.00 0.00 to 0.00 none 5 of 5" in page.text
    assert (
        "Why it is out: out of fold it adds 0.40 to the log-likelihood of the other terms; "
        "1.92 is needed." in page.text
    )
    assert "Out in every fit: the pair pancancer × slides." in page.text
    assert "A weight is never negative." in page.text
    assert "a prior as much as the cohorts that it was learned from" in page.text


def test_the_page_says_what_a_prior_was_learned_from_and_adds(page: Page) -> None:
    title = "prior tcga_pancancer (reads rna)"
    assert f"pancancer {title} 1 0.90 0.90 to 0.90 0.40 to 1.40 0 of 5" in page.text
    assert (
        "Prior tcga_pancancer (reads rna): learned from 1,200 patients with 310 events of 2 "
        "cohorts (brca, luad). Its weight is 0.90 on average over 5 fits (0.90 to 0.90; median "
        "95% interval 0.40 to 1.40, start 1). With it minus without it (anchored): Uno C "
        "+0.019 [−0.020, +0.058]." in page.text
    )


def test_the_figure_has_every_term_with_its_start(page: Page) -> None:
    figures = [attributes for tag, attributes in page.tags if tag == "svg"]
    spoken = [str(attributes["aria-label"]) for attributes in figures]
    assert (
        "Weight of every term. pancancer: 0.90, interval 0.40 to 1.40, start 1; "
        "slides: 0.00, start 1" in spoken
    )
    assert weights(over_fits(weight_table([]))) == ""


def test_the_tables_of_the_report_hold_the_weights(page: Page, folder: Path) -> None:
    assert page.text
    tables = read_json(folder / "report.json")["tables"]
    assert len(tables["weights"]) == 15
    assert [row["term"] for row in tables["terms"]] == [term for term, _, _ in TERMS]
    assert tables["terms"][1]["low"] is None


@pytest.mark.usefixtures("undrawn")
def test_weights_without_interval_and_start_are_shown(make_run: Builder) -> None:
    out = make_run()
    early = [{"repeat": 0, "fold": 0, "term": "clinical", "value": 1.04}]
    write_table(out / "weights.csv", weight_table(early))
    assert "clinical – 1.04 1.04 to 1.04 none 0 of 1" in read(out).text


@pytest.mark.usefixtures("undrawn")
def test_a_run_without_weights_shows_none(make_run: Builder) -> None:
    out = make_run()
    facts = of_terms(compute_tables(Result.read(out)))
    assert facts["terms"] == {"shown": [], "unused": [], "fits": 0}
    assert facts["priors"] == []
    assert "Why it is out" not in read(out).text
