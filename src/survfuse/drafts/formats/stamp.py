"""STAMP: a clini table, a slide table, and feature files named in it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from survfuse._errors import ConfigError
from survfuse.drafts.draft import Draft
from survfuse.drafts.formats.layout import files_below, one_file
from survfuse.drafts.formats.outcome_table import draft_with_features
from survfuse.drafts.general import draft_of
from survfuse.drafts.given import Format, Given
from survfuse.drafts.tables import read_given

_ENDINGS = ("csv", "xlsx", "ods", "tsv")
_CLINI = tuple(f"*clini*.{ending}" for ending in _ENDINGS)
_SLIDE = tuple(f"*slide*.{ending}" for ending in _ENDINGS)


def draft_stamp(given: Given) -> Draft:
    """Draft a cohort file from STAMP's tables and features.

    Raises
    ------
    ConfigError
        When a table is not there, or lacks `PATIENT` or `FILENAME`.
    """
    if given.outcome is None and given.clinical is not None:
        given = replace(given, outcome=given.clinical, clinical=None)
    if given.outcome is None:
        raise ConfigError(f"--format stamp: expected {STAMP.needs}")
    given = _named(given, given.outcome)
    title = "By --format stamp: clini and slide tables, joined by PATIENT."
    _refuse_without(given.outcome, "clini_table", "PATIENT")
    if given.features is None:
        draft = draft_of(replace(given, slides=None))
        draft.title.append(title)
        draft.note("no features: name STAMP's output folder by --features")
        return draft
    if given.slides is not None:
        _refuse_without(given.slides, "slide_table", "PATIENT", "FILENAME")
    return draft_with_features(given, given.features, ("FILENAME",), title)


def _named(given: Given, place: Path) -> Given:
    """Name the tables and features below a folder, where only the folder was named."""
    if not place.is_dir():
        return given
    clini = one_file(place, _CLINI, "stamp", "`clini_table` of STAMP's configuration")
    slides = given.slides
    if slides is None:
        slides = one_file(
            place, _SLIDE, "stamp", "`slide_table` of STAMP's configuration"
        )
    features = given.features
    if features is None:
        features = next((file.parent for file in files_below(place, "*.h5")), None)
    return replace(given, outcome=clini, slides=slides, features=features)


def _refuse_without(file: Path | None, name: str, *columns: str) -> None:
    """Refuse a table without the columns that STAMP's has."""
    assert file is not None
    frame = read_given(file).frame
    absent = [column for column in columns if column not in frame]
    if absent:
        raise ConfigError(
            f"--format stamp: {file}: no column {' and no column '.join(absent)}, which STAMP's "
            f"{name} has; it has {', '.join(map(str, frame))[:200]}",
        )


STAMP = Format(
    name="stamp",
    what="STAMP: clini and slide tables (PATIENT, FILENAME with .h5) and its features",
    needs=(
        "--outcome FOLDER with the tables, or --outcome CLINI_TABLE --slides SLIDE_TABLE "
        "--features OUTPUT_FOLDER"
    ),
    draft=draft_stamp,
)
