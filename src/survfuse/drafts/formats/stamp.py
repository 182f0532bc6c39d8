"""STAMP: a clini table, a slide table, and feature files named in it."""

from __future__ import annotations

from pathlib import Path

from survfuse._errors import ConfigError
from survfuse.drafts.columns import put_columns
from survfuse.drafts.draft import Draft
from survfuse.drafts.formats.layout import files_below, one_file
from survfuse.drafts.formats.slides import put_features
from survfuse.drafts.given import Format, Given
from survfuse.drafts.guess import Guess
from survfuse.drafts.outcome import put_outcome
from survfuse.drafts.tables import GivenTable, read_given

_TABLE = ("*.csv", "*.xlsx", "*.ods", "*.tsv")
_CLINI = tuple(f"*clini{ending}" for ending in _TABLE)
_SLIDE = tuple(f"*slide{ending}" for ending in _TABLE)


def draft_stamp(given: Given) -> Draft:
    """Draft a cohort file from STAMP's tables and features.

    Raises
    ------
    ConfigError
        When a table is not there, or lacks `PATIENT` or `FILENAME`.
    """
    clini = _table(given, given.clinical or given.outcome, _CLINI, ("PATIENT",), "clini_table")
    slide = _table(given, given.slides or given.outcome, _SLIDE, ("PATIENT", "FILENAME"), "slide_table")
    draft = Draft(
        name=given.name,
        title=["Drafted by --format stamp: clini and slide tables, joined by PATIENT."],
    )
    outcome = clini
    if given.clinical is not None and given.outcome is not None and given.outcome.is_file():
        outcome = read_given(given.outcome)
    taken = put_outcome(draft, outcome, Guess("PATIENT", "STAMP's name of it"))
    section = draft.section("clinical")
    section.add("table", clini.value, f"{len(clini.frame)} rows")
    section.add("patient", "PATIENT")
    put_columns(section, clini, {"PATIENT", *taken})
    if not section.section("columns").items:
        del draft.items["clinical"]
    _put_slides(draft, given, slide)
    return draft


def _table(
    given: Given,
    place: Path | None,
    patterns: tuple[str, ...],
    columns: tuple[str, ...],
    name: str,
) -> GivenTable:
    if place is None:
        raise ConfigError(f"--format stamp: expected {_NEEDS}")
    if place.is_dir():
        place = one_file(place, patterns, "stamp", f"`{name}` of STAMP's configuration")
    table = read_given(place)
    absent = [column for column in columns if column not in table.frame]
    if absent:
        hint = "; name the table of slides by --slides TABLE" if name == "slide_table" else ""
        raise ConfigError(
            f"--format stamp: {place}: no column {' and no column '.join(absent)}, which STAMP's "
            f"{name} has{hint}",
        )
    return table


def _put_slides(draft: Draft, given: Given, slide: GivenTable) -> None:
    folder = given.features
    if folder is None and given.outcome is not None and given.outcome.is_dir():
        files = files_below(given.outcome, "*.h5")
        folder = files[0].parent if files else None
    if folder is None:
        draft.note("no features: name STAMP's output folder by --features")
        return
    section = draft.section("slides")
    section.add("table", slide.value, f"{len(slide.frame)} rows")
    section.add("slide", "FILENAME", "names of feature files, with .h5")
    section.add("patient", "PATIENT")
    put_features(section, folder)


_NEEDS = (
    "--outcome FOLDER with the tables, or --outcome CLINI_TABLE --slides SLIDE_TABLE "
    "--features OUTPUT_FOLDER"
)
STAMP = Format(
    name="stamp",
    what="STAMP: clini and slide tables (PATIENT, FILENAME with .h5) and its features",
    needs=_NEEDS,
    draft=draft_stamp,
)
