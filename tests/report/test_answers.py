from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from report.conftest import Builder, edit
from report.performed import add_performance
from report.reading import read
from survfuse.report.answers import answers
from survfuse.report.facts import main_models, of_page
from survfuse.report.report_tables import compute_tables
from survfuse.results import Result


def said(out: Path) -> dict[str, str]:
    tables = compute_tables(Result.read(out))
    return answers(tables, of_page(tables))


def test_each_sentence_says_what_its_section_shows(full_folder: Path) -> None:
    told = said(full_folder)
    assert told["groups_say"].startswith(
        "Without the event at 36 months (3 years): 67%"
    )
    assert told["groups_say"].endswith("25% of the high risk group.")
    assert told["cohort_says"].startswith("150 patients of riverside bladder were")
    assert "12 patients of the files were left out" in told["cohort_says"]
    assert "1 problem found in the input." in told["cohort_says"]
    assert told["over_time_says"] == (
        "By 36 months (3 years) the model's AUC is 0.72 (95% interval 0.64 to 0.80)."
    )
    assert "at 36 months (3 years)." in told["decision_says"]
    assert "does not prove equal performance" in told["subgroups_say"]
    assert "0.5 is chance" in told["safeguards_say"]
    assert told["external_says"].startswith("There the model's Uno C is 0.61")


def test_an_early_run_claims_nothing(make_run: Builder) -> None:
    told = said(make_run(horizons=(), curves=False))
    for name in ("groups_say", "over_time_says", "safeguards_say", "external_says"):
        assert told[name] == "", name


@pytest.mark.usefixtures("undrawn")
def test_parts_of_the_model_stand_in_the_folded_table(make_run: Builder) -> None:
    names = ["km", "ridge:clinical", "late:-rna", "network:-rna", "late:all"]
    out = make_run(comparators={**dict.fromkeys(names, 1.0), "permuted:rna": 2.0})
    models = main_models(compute_tables(Result.read(out)))
    first = ["default:concat", "ridge:clinical", "km", "late:all"]
    assert models["models_first"] == first
    further = {"late:-rna", "network:-rna", "permuted:rna"}
    assert set(models["models_further"]) == further
    text = read(out).text
    assert text.index("late fusion of all") < text.index("Further models")
    assert text.index("Further models") < text.index("late fusion without rna")


def test_subgroups_whose_events_differ_from_the_expected_are_named(
    make_run: Builder,
) -> None:
    out = add_performance(make_run())
    assert (
        "No interval of observed / expected excludes 1." in said(out)["subgroups_say"]
    )

    def change(record: Any) -> None:
        for row in record["subgroups"]:
            if (row["level"], row["metric"]) == ("female", "observed_expected"):
                row.update(value=1.6, low=1.1, high=2.3)

    edit(out / "performance.json", change)
    told = said(out)["subgroups_say"]
    assert (
        "More events came than predicted in sex female (observed / expected 1.60"
        in told
    )


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(("patients", "noted"), [(24, True), (150, False)])
def test_the_page_notes_a_median_of_few_patients(
    make_run: Builder, patients: int, noted: bool
) -> None:
    text = read(make_run(patients=patients)).text
    assert ("fewer than 10 patients were followed as long" in text) == noted
