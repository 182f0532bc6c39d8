"""Formats that ship slides alone: the outcome is a table of the user's own."""

from __future__ import annotations

from pathlib import Path

from survfuse._errors import ConfigError, listed
from survfuse.drafts.columns import put_columns
from survfuse.drafts.draft import Draft
from survfuse.drafts.formats.slides import owners_by_name, put_features, put_slide_table
from survfuse.drafts.given import Given
from survfuse.drafts.ids import id_column
from survfuse.drafts.outcome import put_outcome
from survfuse.drafts.tables import GivenTable, read_given
from survfuse.readers.features import list_features

_SLIDE = ("slide_id", "slide", "FILENAME", "filename", "wsi")


def put_outcome_table(draft: Draft, given: Given, table: GivenTable) -> str:
    """Write outcome and clinical columns of a user's own table; return its column of patients.

    Raises
    ------
    ConfigError
        When no column can be that of the patients.
    """
    patient = id_column(table.frame)
    if patient is None:
        raise ConfigError(
            f"{table.path}: no column of patient ids: filled in every row, and no decimals",
        )
    taken = {patient.value, *_SLIDE, *put_outcome(draft, table, patient)}
    clinical = table
    if given.clinical is not None:
        clinical = read_given(given.clinical)
    section = draft.section("clinical")
    section.add("table", clinical.value, f"{len(clinical.frame)} rows")
    own = id_column(clinical.frame, [table.frame]) if clinical is not table else patient
    if own is not None:
        section.add("patient", own.value, own.evidence, certain=own.certain)
        taken.add(own.value)
    put_columns(section, clinical, taken)
    if not section.section("columns").items:
        del draft.items["clinical"]
    return patient.value


def put_slides_of_patients(
    draft: Draft,
    given: Given,
    table: GivenTable,
    patient: str,
    folder: Path,
    name: str,
) -> None:
    """Write the slides: of the table of slides, of the table of outcomes, or by their names.

    Raises
    ------
    ConfigError
        When the table of slides lacks a column, or no slide is called like a patient.
    """
    section = draft.section("slides")
    slides = table
    if given.slides is not None:
        slides = read_given(given.slides)
    slide = next((column for column in _SLIDE if column in slides.frame), None)
    if slide is not None:
        own = id_column(slides.frame.drop(columns=slide), ids=set(table.frame[patient]))
        if own is None:
            raise ConfigError(f"{slides.path}: no column of patient ids beside {slide}")
        section.add("table", slides.value, f"{len(slides.frame)} rows")
        section.add("slide", slide)
        section.add("patient", own.value, own.evidence, certain=own.certain)
    elif given.slides is not None:
        raise ConfigError(
            f"--format {name}: {given.slides}: no column {' or '.join(_SLIDE)}, the table has "
            f"{listed(map(str, slides.frame), 12)}",
        )
    else:
        owners, others = owners_by_name(
            list_features(folder).ready,
            table.frame[patient],
            where=f"--format {name}",
        )
        put_slide_table(draft, section, owners, "names of slides begin with the patient's id")
        if others:
            section.note(f"{len(others)} slides of no patient, left out: {listed(others, 5)}")
    put_features(section, folder)
