from __future__ import annotations

import re

import pandas as pd

from small_explanations import (
    cohort_file,
    fitted_model,
    measured_explanation,
    small_explanation,
)
from survfuse.cohort import load_cohort
from survfuse.explanations import explain


def cells(html: str) -> list[list[str]]:
    rows = re.findall(r"<tr>(.*?)</tr>", html)
    plain = [re.findall(r"<t[hd]>(.*?)</t[hd]>", row) for row in rows]
    return [[re.sub(r"<.*?>", "", cell) for cell in row] for row in plain]


def test_the_first_patients_are_shown_and_rows_add_up() -> None:
    html = small_explanation()._repr_html_()
    header, *rows = cells(html)
    assert header == [
        "patient",
        "constant",
        "clinical",
        "expression",
        "slides",
        "log-risk",
    ]
    assert [row[0] for row in rows] == [f"{number:03d}" for number in range(1, 11)]
    for row in rows:
        values = [float(cell.replace("−", "-")) for cell in row[1:]]
        assert abs(sum(values[:-1]) - values[-1]) < 0.026  # of rounding
    assert "24 patients, the first 10 shown" in html
    assert "not measured" in html


def test_agreement_stands_below_and_what_does_not_reproduce_is_pale() -> None:
    html = measured_explanation()._repr_html_()
    assert cells(html)[-1] == ["agreement", "", "0.90", "0.10", "", ""]
    assert html.count("opacity") == 10
    assert "Grey: models of other patients would not say the same." in html


def test_ids_are_escaped() -> None:
    explanation = explain(fitted_model(), load_cohort(cohort_file()), ["001"])
    explanation.terms.index = pd.Index(["<b>1</b>"], name="patient_id")
    assert "&lt;b&gt;1&lt;/b&gt;" in explanation._repr_html_()
