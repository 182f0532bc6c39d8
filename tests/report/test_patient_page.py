from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from patients import explained, measured, ordered, plain
from small_explanations import small_explanation
from survfuse._errors import InputError
from survfuse.explanations.explained import FLAT
from survfuse.report.patient_page import patient_page


def test_the_page_needs_nothing_but_itself() -> None:
    page = patient_page(ordered(), "004")
    assert not re.findall(r"<script|https?://|<link|@import|url\(", page)
    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:" in page
    assert page.count("For research use only") == 1


def test_sections_stand_in_the_order_of_a_reader() -> None:
    page = patient_page(ordered(), "004")
    found = re.findall(r'<section id="([a-z]+)', page)
    assert found == ["risk", "data", "terms", "variables", "genes", "tiles", "model"]
    assert plain(page).rindex("Hazard ratio By which") > plain(page).index(
        "The model Trained on"
    )


def test_the_risk_stands_beside_that_of_the_training_patients() -> None:
    explanation = ordered()
    row = explanation.patients.index("004")
    risk = 1 - explanation.prediction.survival([1095.0])[row, 0]
    text = plain(patient_page(explanation, "004"))
    assert f"{risk:.0%} predicted risk of the event by 1,095 days (3 years)" in text
    assert re.search(
        r"Training patients \(Kaplan–Meier\): \d+% by then \(95% interval \d+%", text
    )
    count = round(100 * risk)
    assert f"Of 100 patients like this, {count} have the event" in text
    assert f"and {100 - count} do not, if the model is right" in text
    assert "how far risks of models of other cohorts lie apart was not measured" in text


def test_a_horizon_can_be_given() -> None:
    assert "by 365 days (1 year)" in plain(patient_page(ordered(), "004", horizon=365))


def test_what_does_not_reproduce_is_grey_and_said() -> None:
    page = patient_page(measured(), "004")
    rows = re.findall(
        r'<tr class="grey"><th scope="row">expression <span class="tag">', page
    )
    assert len(rows) == 1
    text = plain(page)
    assert "expression does not reproduce agreement 0.10 " in text
    assert (
        "clinical agreement 0.90: another cohort of this size would give nearly" in text
    )
    assert 'rect class="grey"' in page


def test_a_model_that_orders_nobody_says_so_first() -> None:
    text = plain(patient_page(small_explanation(), "004"))
    said = FLAT[0].upper() + FLAT[1:]
    assert text.count(said) == 1
    assert text.index(said) < text.index("predicted risk of the event")
    assert "three risk groups" not in text


def test_texts_of_the_data_are_escaped(tmp_path: Path) -> None:
    spec = {"name": "tiny <b>", "clinical": {
        "table": "patients.csv",
        "label": "Clinic <i>",
        "columns": {"age": {"kind": "numeric", "label": "Age <u>"}},
    }}  # fmt: skip
    page = patient_page(explained(tmp_path, spec, fusion="ridge_cox"), "004")
    assert "tiny &lt;b&gt;" in page
    assert "Clinic &lt;i&gt;" in page
    assert "Age &lt;u&gt;" in page
    assert not re.search(r"<b>|<i>|<u>", page)


def test_no_other_patient_is_named() -> None:
    text = plain(patient_page(ordered(), "004"))
    assert "This patient was trained on." in text
    assert not {one for one in ordered().patients if f" {one} " in text} - {"004"}
    assert "005" not in re.sub(r"[0-9a-f]{64}|[\d.,+−]*\.[\d]+", "", text)


def test_an_unknown_patient_is_refused() -> None:
    with pytest.raises(InputError, match="no patient 'X' among the 24 explained"):
        patient_page(ordered(), "X")


@pytest.mark.parametrize("horizon", [-1, 0, float("nan"), float("inf"), "soon"])
def test_a_horizon_that_is_none_is_refused(horizon: object) -> None:
    with pytest.raises(InputError, match="horizon"):
        patient_page(ordered(), "004", horizon=horizon)  # type: ignore[arg-type]


def test_a_record_gives_the_hash_of_the_bundle() -> None:
    record = {"cohort": "named", "bundle": {"path": "b", "sha256": "ab" * 32}}
    text = plain(patient_page(ordered(), "004", record=record))
    assert "Cohort named" in text
    assert "bundle (bundle.json) " + "ab" * 32 in text
    assert "bundle.json" not in plain(patient_page(ordered(), "004"))


def test_pages_of_all_patients_are_written_with_tables_computed_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    explanation, calls = ordered(), []
    whole = type(explanation).points
    monkeypatch.setattr(
        type(explanation),
        "points",
        lambda self, horizon: calls.append(horizon) or whole(self, horizon),
    )
    explanation.explained.computed.clear()
    for patient in explanation.patients[:3]:
        assert len(patient_page(explanation, patient)) < 60_000
    assert calls == [1095.0]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (
            {"calibration": "km_rank"},
            "No risk at 1,095 days (3 years): calibration km_rank gives",
        ),
        ({"calibration": "km"}, "predicted risk of the event"),
        ({"members": 3}, "the 3 members of the model say"),
        (
            {"fusion": "late_cox", "conformal": 0.8},
            "which 80% of patients outlive, if",
        ),
        ({"head": "discrete"}, "clinical × expression"),
        (
            {"fusion": "ridge_cox", "modalities": ["clinical"]},
            "Reads clinical Parts clinical",
        ),
        ({"clinical_hidden": [4]}, "does not read clinical linearly"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_every_kind_of_model_has_a_page(
    tmp_path: Path,
    fields: dict[str, object],
    said: str,
) -> None:
    text = plain(patient_page(explained(tmp_path, **fields), "004"))
    assert said in text
    assert "nan" not in text.lower().split()
    assert "None" not in text


def test_a_patient_without_slides_and_expression_has_a_page(tmp_path: Path) -> None:
    from running import small
    from survfuse.cohort import load_cohort
    from survfuse.explanations import explain

    files = small(tmp_path / "new")
    assert files.slides is not None
    assert files.expression is not None
    files.slides = files.slides[files.slides["patient_id"] != "004"]
    files.expression = files.expression.drop("004")
    explanation = ordered()
    model = fitted_model(explanation)
    text = plain(patient_page(explain(model, load_cohort(files.write())), "004"))
    assert "expression no – all of it: the prediction rests on the rest" in text
    assert "Tiles of slides This patient has no tiles." in text
    assert "Genes of" not in text


def fitted_model(explanation: object) -> object:
    from survfuse.estimator import SurvivalFusion

    fitted = explanation.explained.fitted  # type: ignore[attr-defined]
    model = SurvivalFusion.from_config(fitted.config)
    model.fitted = fitted
    return model


def test_points_and_terms_add_up_on_the_page() -> None:
    page = patient_page(ordered(), "007")
    own = page[page.index('id="terms"') : page.index("This patient</th>")]
    numbers = [
        float(one.replace("−", "-"))
        for one in re.findall(r'effect">([+−]?[\d.]+)', own)
    ]
    points, log_risks = numbers[0::2], numbers[1::2]
    row = ordered().patients.index("007")
    assert np.sum(log_risks) == pytest.approx(
        ordered().prediction.log_risk[row], abs=0.02
    )
    risk = 100 * (1 - ordered().prediction.survival([1095.0])[row, 0])
    assert np.sum(points) == pytest.approx(risk, abs=0.2)
