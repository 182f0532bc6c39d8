"""The rows of a slide table: one a slide, each with its patient."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from survfuse._errors import listed
from survfuse.cohort.column_names import check_ids, has_column
from survfuse.cohort.patient_ids import normal_samples, note_normal, patients_of
from survfuse.cohort.problems import Place
from survfuse.cohort.sources import Sources
from survfuse.cohort.spec import SlidesSpec
from survfuse.cohort.table_file import TableFile

USED = ("path", "mpp", "objective", "mask")
"""Columns of a slide table that are read besides ids."""


@dataclass(frozen=True)
class SlideRows:
    """Rows of a slide table.

    Attributes
    ----------
    frame : DataFrame of str, (slides, columns)
        One row a slide, as it stands in the file.
    owners : Series of str
        Patient of each row.
    """

    frame: pd.DataFrame
    owners: pd.Series[str]


def slide_rows(
    name: str,
    spec: SlidesSpec,
    file: TableFile,
    sources: Sources,
) -> SlideRows | None:
    """Rows of a slide table, one a slide; None (problems noted) when it cannot be read.

    A slide that is listed again for the same patient counts once.

    Parameters
    ----------
    name : str
        Name of the modality.
    spec : SlidesSpec
        Its section.
    file : TableFile
        The table.
    sources : Sources
        Reads it and collects problems.
    """
    frame = sources.table(file, spec.slide, name)
    rule = sources.rule(spec.patient)
    column = str(rule)
    place = sources.problems.at(name, file, column)
    if frame is None or not has_column(frame, column, place):
        return None
    check_ids(frame[column], place)
    owners = patients_of(frame[column], rule, place)
    if owners is None:
        return None
    normal = normal_samples(frame[column], rule)
    normal |= normal_samples(frame[spec.slide], rule)
    note_normal(normal, owners, "slides are of normal samples", place)
    frame, owners = frame[~normal], owners[~normal]
    _report_repeated(
        frame, owners, spec.slide, sources.problems.at(name, file, spec.slide)
    )
    first = ~frame[spec.slide].duplicated()
    return SlideRows(frame[first], owners[first])


def _report_repeated(
    frame: pd.DataFrame,
    owners: pd.Series[str],
    slide: str,
    place: Place,
) -> None:
    """Refuse slides of two patients, or of rows that differ; note those that are listed again."""
    again = frame[slide].duplicated(keep=False)
    if not again.any():
        return
    used = frame[[one for one in USED if one in frame]]
    rows = used[again].assign(owner=owners).groupby(frame[slide])
    shared = rows["owner"].nunique() > 1
    differ = (rows.nunique() > 1).any(axis=1) & ~shared
    kinds = {
        "of different patients": (shared, "a slide belongs to one patient"),
        "which differ": (differ, "a slide has one row"),
    }
    for text, (wrong, hint) in kinds.items():
        slides = list(wrong.index[wrong])
        if not slides:
            continue
        named = []
        for one in slides:
            lines = rows.groups[one] + 1
            named.append(
                f"slide {one!r} has {len(lines)} rows (data rows {listed(lines)})"
            )
        place.error(
            f"{listed(named)} {text}",
            patients=sorted(set(owners[frame[slide].isin(slides)])),
            hint=hint,
        )
    same = [str(one) for one in shared.index[~shared & ~differ]]
    if same:
        place.warning(
            f"{len(same)} slide(s) are listed more than once for their patient and count once: "
            f"{listed(same)}",
        )
