"""A study of cBioPortal: clinical tables under ``#`` lines, and an expression matrix."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from survfuse._errors import ConfigError, listed
from survfuse.cohort.status_column import says_event
from survfuse.drafts.draft import Draft
from survfuse.drafts.formats.cbioportal_matrix import UNITS, put_matrix
from survfuse.drafts.formats.endpoints import NamedEndpoint, put_clinical, put_endpoints
from survfuse.drafts.formats.layout import files_below, folder_of, one_file
from survfuse.drafts.given import Format, Given
from survfuse.drafts.ids import are_samples
from survfuse.drafts.leaks import put_leaks
from survfuse.drafts.tables import GivenTable, known, read_given
from survfuse.readers.cell_text import whole


def draft_cbioportal(given: Given) -> Draft:
    """Draft a cohort file from the folder of a study.

    Raises
    ------
    ConfigError
        When a table is not there, or the study has no endpoint with times and status.
    """
    folder = folder_of(given, "cbioportal", "a study's folder")
    patients = read_given(
        one_file(
            folder,
            ("data_clinical_patient.txt", "data_bcr_clinical_data_patient.txt"),
            "cbioportal",
            "the study's clinical table of patients; download the study as .tar.gz and unpack it",
        ),
    )
    draft = Draft(
        name=given.name,
        title=[
            "Drafted by --format cbioportal: X_MONTHS, X_STATUS with 1: before the event."
        ],
    )
    endpoints = _endpoints(patients)
    if not endpoints:
        raise ConfigError(
            f"--format cbioportal: {patients.path}: no pair of columns X_MONTHS and X_STATUS (OS, "
            "DSS, PFS, DFS), so the study has no outcome",
        )
    samples = _sample_table(folder)
    is_tcga = samples is not None and are_samples(samples["SAMPLE_ID"])
    if is_tcga:
        draft.add(
            "match", "tcga", "patients by the first 12 characters of each barcode"
        )
    taken = put_endpoints(draft, patients, "PATIENT_ID", endpoints)
    others = [
        name
        for name in map(str, patients.frame)
        if name.endswith(("_STATUS", "_MONTHS"))
    ]
    put_clinical(draft, patients, "PATIENT_ID", [*taken, *others, "OTHER_PATIENT_ID"])
    _put_expression(draft, given, folder, samples, is_tcga=is_tcga)
    put_leaks(draft)
    return draft


def _endpoints(table: GivenTable) -> list[NamedEndpoint]:
    endpoints = []
    for status in map(str, table.frame):
        key = status.removesuffix("_STATUS")
        time = f"{key}_MONTHS"
        if key == status or time not in table.frame:
            continue
        cells = known(table.frame[status])
        values = {text: _happened(text) for text in sorted({*map(whole, cells)})}
        if not values or None in values.values() or not len(known(table.frame[time])):
            continue
        bits = {text: int(bool(happened)) for text, happened in values.items()}
        why = "the format's: X_MONTHS"
        endpoints.append(
            NamedEndpoint(key.lower(), (time,), "months", status, bits, why=why)
        )
    return sorted(endpoints, key=lambda one: one.key != "os")


def _happened(text: str) -> bool | None:
    """Whether a status is the event: 1 before the colon, or its words; None where neither says."""
    if text[:2] in ("0:", "1:"):
        return text[0] == "1"
    return says_event(text)


def _sample_table(folder: Path) -> pd.DataFrame | None:
    """Table of samples and patients; None where the study has none."""
    files = files_below(
        folder, "data_clinical_sample.txt", "data_bcr_clinical_data_sample.txt"
    )
    if not files:
        return None
    frame = read_given(files[0]).frame
    if not {"PATIENT_ID", "SAMPLE_ID"} <= set(frame):
        raise ConfigError(
            f"--format cbioportal: {files[0]}: expected columns PATIENT_ID and SAMPLE_ID, got "
            f"{listed(map(str, frame), 8)}",
        )
    return frame


def _put_expression(
    draft: Draft,
    given: Given,
    folder: Path,
    samples: pd.DataFrame | None,
    *,
    is_tcga: bool,
) -> None:
    patient_of = None
    if samples is not None and not is_tcga:
        patient_of = dict(zip(samples["SAMPLE_ID"], samples["PATIENT_ID"], strict=True))
    if given.expression is not None:
        put_matrix(draft, given.expression, patient_of)
        return
    for stem in UNITS:
        found = files_below(folder, f"{stem}.txt", f"{stem}.txt.gz")
        if found:
            put_matrix(draft, found[0], patient_of)
            return
    draft.note(f"no expression: none of {', '.join(f'{name}.txt' for name in UNITS)}")


CBIOPORTAL = Format(
    name="cbioportal",
    what='cBioPortal: data_clinical_patient.txt with # lines, OS_STATUS "1:DECEASED", RSEM matrix',
    needs="--outcome STUDY_FOLDER [--expression FILE]",
    draft=draft_cbioportal,
    takes=("outcome", "expression"),
)
