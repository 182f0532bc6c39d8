"""Slides of a format whose folder of features is known."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path

from survfuse._errors import FeatureFileError
from survfuse.drafts.draft import Draft, Section
from survfuse.drafts.slides import SLIDE_TABLE
from survfuse.readers.features import list_features, read_features


def feature_width(folder: Path) -> int:
    """Features per tile of the first file of a folder; 0 where it cannot be read."""
    for file in list_features(folder).ready.values():
        try:
            return read_features(file).dim
        except FeatureFileError:
            return 0
    return 0


def put_slide_table(
    draft: Draft,
    section: Section,
    owners: Mapping[str, str],
    why: str,
    columns: Mapping[str, Mapping[str, str]],
) -> None:
    """Write a table of slides beside the cohort file, and name it.

    Parameters
    ----------
    draft : Draft
    section : Section
    owners : mapping of str to str
        Patient of each slide.
    why : str
        How the patient of a slide was found.
    columns : mapping of str to mapping
        Further columns by name: text by slide.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["slide_id", "patient_id", *columns])
    for slide, patient in sorted(owners.items()):
        writer.writerow(
            [slide, patient, *(cells.get(slide, "") for cells in columns.values())]
        )
    draft.tables[SLIDE_TABLE] = text.getvalue()
    section.add("table", Path(SLIDE_TABLE), f"written beside this file: {why}")
