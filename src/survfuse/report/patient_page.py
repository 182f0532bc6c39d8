"""One self-contained page about one patient: the risk, and what it is made of."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import partial
from importlib.resources import files
from typing import Any

from markupsafe import Markup, escape

from survfuse.explanations import Explanation
from survfuse.figures.contribution_figures import signed
from survfuse.figures.formatting import duration, label, percent
from survfuse.report.patient_data import inputs_of
from survfuse.report.patient_figures import bar, icons, survival_figure
from survfuse.report.patient_inputs import columns_of, genes_of
from survfuse.report.patient_model import model_of
from survfuse.report.patient_outlook import outlook, page_horizon
from survfuse.report.patient_slides import slides_of
from survfuse.report.patient_terms import terms_of
from survfuse.report.wording import environment

MOST_LETTERS = 240
"""Of a reason or note."""


def patient_page(
    explanation: Explanation,
    patient: str,
    *,
    record: Mapping[str, Any] | None = None,
    horizon: float | None = None,
    pictures: bool = True,
) -> str:
    """Write a page about one patient: HTML that needs nothing but itself, two pages of A4 on paper.

    What concerns all patients is computed once for all pages of an explanation.

    Parameters
    ----------
    explanation : Explanation
    patient : str
        One of its patients.
    record : mapping, optional
        As ``explanation.json`` holds it: the hash of the bundle is taken from there.
    horizon : float, optional
        Time of the risk, in the unit of the model; 3 years, or the nearest default horizon, where
        not given.
    pictures : bool
        Whether to show maps and tiles, for which slides are read.

    Returns
    -------
    str

    Raises
    ------
    InputError
        When the patient was not explained, or for a horizon that is no finite number > 0.
    """
    row = explanation.explained.row(patient)
    at = page_horizon(explanation, horizon)
    facts = outlook(explanation, row, at)
    page = environment(autoescape=True)
    page.filters |= {
        "signed": signed,
        "points": partial(signed, digits=1),
        "small": _small,
        "capital": _capital,
        "breakable": _breakable,
        "short": _short,
    }
    return page.get_template("patient.html.j2").render(
        css=page_style(),
        patient=patient,
        cohort=(record or {}).get("cohort") or explanation.explained.cohort.name,
        outlook=facts,
        at=duration(at, facts["unit"]),
        curves=survival_figure(facts),
        icons=_icons(facts),
        inputs=inputs_of(explanation, patient),
        terms=terms_of(explanation, patient, at),
        columns=columns_of(explanation, patient),
        genes=genes_of(explanation, patient),
        bags=slides_of(explanation, patient, pictures=pictures),
        model=model_of(explanation, patient, record),
        notes=[note for note in explanation.notes if note != facts["flat"]],
        bar=bar,
    )


def _small(value: float) -> str:
    """Contribution of one gene of many: as many decimals as two digits need.

    >>> _small(0.25), _small(-0.000478), _small(0.0)
    ('+0.25', '−0.00048', '0.00')
    """
    if abs(value) >= 0.1 or value == 0:
        return signed(value)
    return signed(value, 1 - math.floor(math.log10(abs(value))))


def _capital(text: str) -> str:
    """A text with a capital first letter."""
    return text[:1].upper() + text[1:]


def _short(text: str) -> str:
    """The beginning of a text that is too long for a page."""
    return label(text, MOST_LETTERS)


def _breakable(text: str) -> Markup:
    """A text whose long names may break after an underscore or a stroke.

    >>> _breakable("a_<b>")
    Markup('a_<wbr>&lt;b&gt;')
    """
    return Markup(re.sub(r"([_/])(?=\w)", r"\1<wbr>", str(escape(text))))


def page_style() -> Markup:
    """Style sheet of the pages."""
    sheet = files("survfuse.report") / "templates" / "patient.css"
    return Markup(sheet.read_text(encoding="utf-8"))


def _icons(facts: Mapping[str, Any]) -> Markup | None:
    """100 patients, where there is a risk."""
    if facts["risk"] is None:
        return None
    at = duration(facts["horizon"], facts["unit"])
    text = f"Of 100 patients like this, {percent(facts['risk'])[:-1]} have the event by {at}"
    return icons(facts["risk"], text)
