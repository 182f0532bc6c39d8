"""The folder of the patients' pages, and the list that leads to them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from survfuse._errors import SurvfuseError
from survfuse._storage import write_text
from survfuse.explanations import Explanation
from survfuse.explanations.explained import is_flat
from survfuse.figures.contribution_figures import signed
from survfuse.figures.formatting import duration
from survfuse.maps import file_stems
from survfuse.report.patient_outlook import GROUPS, page_horizon
from survfuse.report.patient_page import page_style, patient_page
from survfuse.report.wording import environment

FOLDER, INDEX = "pages", "index.html"


def write_pages(
    folder: Path,
    explanation: Explanation,
    record: Mapping[str, Any],
    *,
    horizon: float | None = None,
    step: Callable[[str, int, int], None] = lambda what, done, of: None,
) -> dict[str, Any]:
    """Write a page for each patient, and an index of them.

    Parameters
    ----------
    folder : path
        Of the explanation; the pages are in its folder ``pages``.
    explanation : Explanation
    record : mapping
        As ``explanation.json`` holds it.
    horizon : float, optional
        As of :func:`patient_page`.
    step : callable
        Told of each patient.

    Returns
    -------
    dict
        `index`, the path of the index within `folder`; `files`, those of the pages by patient;
        `horizon`; `failed`, why a patient has no page.

    Raises
    ------
    InputError
        For a horizon that is no finite number > 0.
    """
    at = page_horizon(explanation, horizon)
    names, failed = page_names(explanation.patients), {}
    pages = folder / FOLDER
    pages.mkdir()
    for done, (patient, name) in enumerate(names.items()):
        step(FOLDER, done, len(names))
        try:
            page = patient_page(explanation, patient, record=record, horizon=at)
        except SurvfuseError as error:
            failed[patient] = str(error)
            continue
        write_text(pages / name, page)
    written = {one: name for one, name in names.items() if one not in failed}
    write_text(pages / INDEX, _index(explanation, record, written, failed, at))
    return {
        "index": f"{FOLDER}/{INDEX}",
        "files": {one: f"{FOLDER}/{name}" for one, name in written.items()},
        "horizon": at,
        "failed": failed,
    }


def page_names(patients: Iterable[str]) -> dict[str, str]:
    """Name of the file of each patient's page.

    No two patients share one, also where capital and small letters count as the same.

    Examples
    --------
    >>> page_names(["P01", "a/b"])
    {'P01': 'P01.html', 'a/b': 'a_b-c14cddc0.html'}
    """
    stems = file_stems(patients, ["index"])
    return {patient: f"{stem}.html" for patient, stem in stems.items()}


def _index(
    explanation: Explanation,
    record: Mapping[str, Any],
    names: Mapping[str, str],
    failed: Mapping[str, str],
    horizon: float,
) -> str:
    """List of the patients, the highest risk first."""
    prediction = explanation.prediction
    table = prediction.frame([horizon])
    marks = [""] * len(table) if prediction.drift is None else prediction.drift.marks
    rows, flat = [], is_flat(explanation.explained.fitted)  # a flat model orders nobody
    for place in (-prediction.log_risk).argsort(kind="stable").tolist():
        patient = explanation.patients[place]
        survival = float(table[f"survival_{horizon:g}"].iloc[place])
        rows.append(
            {
                "patient": patient,
                "file": names.get(patient, ""),
                "why": failed.get(patient, ""),
                "log_risk": float(prediction.log_risk[place]),
                "risk": 1 - survival,
                "group": "–" if flat else GROUPS[int(prediction.risk_group[place])],
                "outside": marks[place],
            },
        )
    page = environment(autoescape=True)
    page.filters["signed"] = signed
    return page.get_template("patients_index.html.j2").render(
        css=page_style(),
        cohort=record["cohort"],
        rows=rows,
        at=duration(horizon, prediction.unit),
    )
