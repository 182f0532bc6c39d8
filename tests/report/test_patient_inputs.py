from __future__ import annotations

from pathlib import Path

import pytest

from patients import explained, measured, ordered
from split_models import gene_set_file, toy_explanation
from survfuse.report import patient_inputs
from survfuse.report.patient_inputs import columns_of, genes_of


def test_columns_are_in_the_order_of_their_size_and_add_up() -> None:
    explanation = ordered()
    for patient in explanation.patients[:4]:
        facts = columns_of(explanation, patient)
        sizes = [abs(row["contribution"]) for row in facts["rows"]]
        assert sizes == sorted(sizes, reverse=True)
        assert sizes[0] == facts["most"]
        total = sum(row["contribution"] for row in facts["rows"]) + facts["rest"]
        term = explanation.terms["clinical"].loc[patient]
        assert total == pytest.approx(term, abs=0.01)


def test_small_columns_are_counted_and_added(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = columns_of(ordered(), "004")
    monkeypatch.setattr(patient_inputs, "MOST_COLUMNS", 1)
    facts = columns_of(ordered(), "004")
    assert len(facts["rows"]) == 1
    assert facts["rest_count"] == len(whole["rows"]) - 1
    assert facts["rest"] == pytest.approx(
        sum(row["contribution"] for row in whole["rows"][1:])
    )


def test_each_kind_of_column_has_its_ratio() -> None:
    table = ordered().hazard_ratios
    rows = {row["label"]: row for row in columns_of(ordered(), "004")["rows"]}
    number = table.query("column == 'age' and contrast.str.startswith('per SD')")
    assert rows["age"]["ratio"] == f"{number['hazard_ratio'].iloc[0]:.2f} per SD"
    ordinal = table.query("column == 'stage'")["hazard_ratio"].iloc[0]
    assert rows["stage"]["ratio"] == f"{ordinal:.2f} per level"
    of_sex = table[
        (table["column"] == "sex") & (table["level"] == rows["sex"]["value"])
    ]
    own = of_sex[of_sex["contrast"] == "against the mean"]["hazard_ratio"].iloc[0]
    assert rows["sex"]["ratio"] == f"{own:.2f}"
    assert own != pytest.approx(1.0, abs=0.005)


def test_words_of_the_cohort_file_are_shown(tmp_path: Path) -> None:
    columns = {
        "age": {"kind": "numeric", "label": "Age (years)"},
        "sex": {"kind": "nominal", "labels": {"F": "female", "M": "male"}},
    }
    section = {"table": "patients.csv", "label": "Clinic", "columns": columns}
    explanation = explained(tmp_path, {"clinical": section}, fusion="ridge_cox")
    rows = {row["label"]: row for row in columns_of(explanation, "004")["rows"]}
    assert rows["sex"]["value"] in ("female", "male")
    assert rows["sex"]["ratio"]
    assert rows["Age (years)"]["modality"] == "Clinic"


def test_a_model_without_ratios_says_why(tmp_path: Path) -> None:
    facts = columns_of(explained(tmp_path, clinical_hidden=[3]), "004")
    assert "does not read clinical linearly" in facts["why_no_ratio"]
    assert {row["ratio"] for row in facts["rows"]} == {""}


def test_genes_and_their_rest_add_up_to_the_term() -> None:
    (part,) = genes_of(ordered(), "004")
    total = sum(row["contribution"] for row in part["genes"]) + part["rest"]
    assert total == pytest.approx(ordered().terms["expression"].loc["004"], abs=1e-6)
    assert part["count"] == 12
    assert part["says"] == "agreement was not measured"
    assert part["sets"] == []


def test_genes_of_a_term_that_does_not_reproduce_are_grey() -> None:
    (part,) = genes_of(measured(), "004")
    assert part["grey"]


def test_gene_sets_that_the_model_reads_are_shown() -> None:
    explanation = toy_explanation(
        "concat",
        expression_gene_sets=gene_set_file(),
        expression_components=None,
        expression_encoder="linear",
    )
    has = explanation.explained.present("expression")
    patient = explanation.patients[int(has.argmax())]
    (part,) = genes_of(explanation, patient)
    sizes = [abs(row["contribution"]) for row in part["sets"]]
    assert sizes == sorted(sizes, reverse=True)
    assert {row["set"] for row in part["sets"]} == {"FIRST", "SECOND", "THIRD"}
    lacks = explanation.patients[int((~has).argmax())]
    assert genes_of(explanation, lacks) == []


def test_one_gene_that_is_most_of_all_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert genes_of(ordered(), "004")[0]["dominant"] == ""
    monkeypatch.setattr(patient_inputs, "DOMINATES", 0.01)
    (part,) = genes_of(ordered(), "004")
    assert part["dominant"] == part["genes"][0]["gene"]
