"""Formats that ship slides alone: the outcome is a table of the user's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from survfuse._errors import ConfigError, listed
from survfuse.drafts.draft import Draft
from survfuse.drafts.general import draft_of
from survfuse.drafts.given import Given
from survfuse.drafts.ids import id_column
from survfuse.drafts.slides import put_features
from survfuse.drafts.tables import GivenTable, read_given


def draft_with_features(
    given: Given,
    folder: Path,
    columns: Sequence[str],
    title: str,
) -> Draft:
    """Draft a cohort file from a table of outcomes and a folder of feature files.

    Parameters
    ----------
    given : Given
        `slides` may be a table of slides and patients.
    folder : path
        Of the feature files.
    columns : sequence of str
        What the format calls the column of slides.
    title : str
        Comment above the draft.

    Raises
    ------
    ConfigError
        When the table of slides has no column of slides or of patients.
    """
    draft = draft_of(replace(given, features=None, slides=None))
    draft.title.append(title)
    assert given.outcome is not None
    outcome = read_given(given.outcome)
    patient = id_column(outcome.frame)
    ids = [] if patient is None else list(outcome.frame[patient.value])
    tables: list[tuple[GivenTable, str]] = []
    if given.slides is not None:
        tables.append(_slide_table(given.slides, columns, ids))
    if patient is not None:
        tables.append((outcome, patient.value))
    put_features(draft, folder, ids, tables)
    return draft


def _slide_table(
    file: Path,
    columns: Sequence[str],
    ids: Sequence[str],
) -> tuple[GivenTable, str]:
    """Table of slides, and its column of patients."""
    if file.is_dir():
        raise ConfigError(
            f"--slides {file}: expected a table of slides and patients here, got a folder; slides "
            "whose features are there need none",
        )
    table = read_given(file)
    slide = [name for name in columns if name in table.frame]
    patient = id_column(table.frame.drop(columns=slide), ids=ids)
    if not slide or patient is None:
        raise ConfigError(
            f"--slides {file}: expected a column {' or '.join(columns)} and one of patients, got "
            f"{listed(map(str, table.frame), 12)}",
        )
    return table, patient.value
