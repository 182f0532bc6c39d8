"""Given folds and groups of patients, read from their columns."""

from __future__ import annotations

import pandas as pd

from survfuse.cohort.problems import Place
from survfuse.cohort.sources import Sources
from survfuse.cohort.spec import CohortSpec, FoldsSpec, GroupSpec
from survfuse.cohort.table_file import TableFile
from survfuse.readers.cell_text import (
    named_spellings,
    only_difference,
    spellings,
    whole_cells,
)
from survfuse.readers.matrices import MISSING


def read_folds(
    spec: CohortSpec,
    used: list[str],
    sources: Sources,
) -> pd.Series[str] | None:
    """Read the given folds; every patient must have one."""
    given = spec.folds
    if given is None:
        return None
    column = _names(spec, given, given.table, "folds", sources)
    if column is None:
        return None
    folds = column.reindex(used).fillna("").rename("fold")
    without = [str(patient) for patient in folds.index[folds == ""]]
    if without:
        sources.problems.at("folds", given.table, given.column).error(
            f"{len(without)} patient(s) have no fold",
            patients=without,
            hint=only_difference(without, map(str, column.index))
            or "every patient needs a fold; or exclude them, or remove `folds`",
        )
    return folds


def read_groups(
    spec: CohortSpec,
    used: list[str],
    sources: Sources,
) -> pd.DataFrame:
    """Read the group columns; empty text where a patient has none."""
    groups = pd.DataFrame(
        index=pd.Index(
            used,
            name="patient_id",
            dtype=object,
        ),
    )
    default = next(iter(spec.endpoints()), spec.clinical)
    for name, group in spec.groups.items():
        table = group.table or (default.table if default is not None else None)
        if table is None:
            sources.problems.at("groups").error(
                f"say the table of group {name!r}",
                hint="{table: ..., column: ...}",
            )
            continue
        column = _names(spec, group, table, "groups", sources)
        if column is None:
            continue
        place = sources.problems.at("groups", table, group.column)
        same = spellings(column.reindex(used).dropna())
        if same:
            place.warning(
                f"{named_spellings(same)} are nearly the same; they count as "
                f"{sum(map(len, same))} groups",
                hint="write them the same way",
            )
        groups[name] = column.reindex(used).fillna("")
        _report_ungrouped(groups[name], column, place)
    return groups


def _report_ungrouped(
    groups: pd.Series[str],
    column: pd.Series[str],
    place: Place,
) -> None:
    """Report a group that nobody has, and patients whose id nearly is one of the table."""
    without = list(map(str, groups.index.difference(column.index, sort=False)))
    others = column.index.difference(groups.index)
    hint = only_difference(without, map(str, others))
    if len(groups) and (groups == "").all():
        place.report(
            "error" if len(without) == len(groups) else "warning",
            "no patient has a group",
            hint=hint or "correct the table, or remove this group",
        )
    elif hint:
        place.warning(
            f"{len(without)} patient(s) have no row and so no group",
            patients=without,
            hint=hint,
        )


def _names(
    spec: CohortSpec,
    given: FoldsSpec | GroupSpec,
    table: TableFile,
    where: str,
    sources: Sources,
) -> pd.Series[str] | None:
    """Read a column of names; `1.0` is `1`, and a cell that says "not known" is empty."""
    rows = sources.by_patient(table, given.patient or spec.patient, where)
    column = None if rows is None else rows.column(given.column, where)
    if column is None:
        return None
    return whole_cells(column).mask(column.isin(MISSING), "")
