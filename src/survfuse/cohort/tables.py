"""Clinical and further tables: which of their columns are inputs."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Literal

import pandas as pd

from survfuse._errors import listed
from survfuse.cohort.members import without
from survfuse.cohort.modalities import ModalityData, TableData
from survfuse.cohort.outcome_names import named_like_outcome
from survfuse.cohort.patient_table import PatientTable
from survfuse.cohort.problems import Place, Problems, allowing
from survfuse.cohort.sources import Sources
from survfuse.cohort.spec import CohortSpec, ColumnSpec, PriorSpec, TableSpec
from survfuse.cohort.status_column import quoted

NUMERIC = ColumnSpec(kind="numeric")
NO_INPUT = "declare the inputs under `columns:`, or remove this section"
SUCH_AS = "columns: [TP53_cnv, MYC_cnv], or columns: {match: '*_cnv'}"


def read_modality_table(
    name: str,
    spec: TableSpec,
    cohort: CohortSpec,
    sources: Sources,
) -> TableData | None:
    """Read a vector modality; None (problems noted) when its table cannot be read.

    Parameters
    ----------
    name : str
        Name of the modality.
    spec : TableSpec
        Its section.
    cohort : CohortSpec
        The whole file: its outcome columns must not be inputs.
    sources : Sources
        Reads it and collects problems.
    """
    table = sources.by_patient(
        spec.table,
        spec.patient or cohort.patient,
        name,
        rows=spec.rows,
        measured=name != "clinical",
    )
    if table is None:
        return None
    place = sources.problems.at(name, spec.table)
    names = list(map(str, table.cells))
    used = _used_elsewhere(cohort)
    same_file = any(
        sources.same(spec.table, endpoint.table) for endpoint in cohort.endpoints()
    )
    declared = _declared(spec, cohort, names, used if same_file else set(), place)
    _refuse_outcome(declared, spec, cohort, same_file, place)
    columns, cells = {}, {}
    risks = [one for one, meaning in declared.items() if meaning.role == "prior_risk"]
    for column, meaning in declared.items():
        if column in risks:
            continue
        own = cells_of(table, column, meaning, spec, name)
        if own is not None:
            columns[column], cells[column] = meaning, own
    if not columns:
        if not sources.problems.errors and not risks:
            place.error("no column of it is an input", hint=NO_INPUT)
        return None
    kind: Literal["clinical", "table"] = "clinical" if name == "clinical" else "table"
    ignored = tuple(without(names, {*columns, *risks, *used}))
    frame = pd.DataFrame(cells, index=table.cells.index, dtype=object)
    data = TableData(name, frame, columns, spec.missing, kind, ignored)
    return data.without_blank_rows()


def cells_of(
    table: PatientTable,
    column: str,
    meaning: ColumnSpec,
    spec: TableSpec | PriorSpec,
    where: str,
) -> pd.Series[str] | None:
    """Cells of a column, one a patient, as the section says; None (problem noted) without it."""
    if spec.rows == "mean" and meaning.kind == "numeric":
        return table.mean(column, where, (*spec.missing, *meaning.missing))
    return table.column(column, where, spec.rows)


def _used_elsewhere(cohort: CohortSpec) -> set[str]:
    """Columns that the outcome, the folds or the groups use."""
    used = {group.column for group in cohort.groups.values()}
    used.update(cohort.answers)
    if cohort.folds is not None:
        used.add(cohort.folds.column)
    return used


def _declared(
    spec: TableSpec,
    cohort: CohortSpec,
    names: list[str],
    used: set[str],
    place: Place,
) -> dict[str, ColumnSpec]:
    """Columns declared by name or by pattern, or all of an undeclared table, as numbers.

    `used` are columns that the outcome, folds or groups take from the same file.
    """
    undeclared = spec.columns is None and not spec.match
    if undeclared and used:
        place.error(
            "this table also holds the outcome, so its inputs must be declared",
            hint=f"list `columns:` of this modality, such as {SUCH_AS}",
        )
        return {}
    columns = dict(spec.columns or {})
    others = without(names, {*columns, *used})
    if not undeclared:
        others = _matching(spec.match, others, place)
    _check_names(spec, cohort, others, place)
    return columns | dict.fromkeys(others, NUMERIC)


def _refuse_outcome(
    columns: dict[str, ColumnSpec],
    spec: TableSpec,
    cohort: CohortSpec,
    same_file: bool,
    place: Place,
) -> None:
    """Take the outcome out of the columns; a column of another file may say `use: false`."""
    for column in cohort.answers:
        if column not in columns or not (same_file or columns[column].use):
            continue
        del columns[column]
        hint = f"declare the inputs, such as {SUCH_AS}"
        if column in (spec.columns or {}):
            hint = "remove it from the columns"
            if not same_file:
                hint += "; where it is something else, give it another name"
        replace(place, column=column).error(
            "this column is the outcome; it cannot be an input",
            hint=hint,
        )


def _matching(
    patterns: Iterable[str],
    names: list[str],
    place: Place,
) -> list[str]:
    """Columns of the patterns; a pattern without any is a problem."""
    chosen: dict[str, None] = {}
    for pattern in patterns:
        columns = [name for name in names if fnmatchcase(name, pattern)]
        chosen |= dict.fromkeys(columns)
        if not columns:
            place.error(
                f"no column is like {pattern!r}; the table has {listed(map(repr, names), 12)}",
                hint="`*` stands for any letters, and letter case counts",
            )
    return list(chosen)


def _check_names(
    spec: TableSpec,
    cohort: CohortSpec,
    columns: Iterable[str],
    place: Place,
) -> None:
    """Refuse columns that nobody declared by name and that are called as outcomes are."""
    suspects = list(filter(named_like_outcome, without(columns, cohort.answers)))
    if not suspects:
        return
    unused = [f"{quoted(name)}: {{kind: numeric, use: false}}" for name in suspects]
    pattern = f"[{', '.join(map(quoted, spec.match))}]" if spec.match else "'*'"
    replace(place, column=suspects[0]).error(
        f"no column is declared by name, and {listed(map(repr, suspects), 20)} is called as "
        "outcomes are",
        hint=f"declare the inputs, such as {SUCH_AS}; to take all but these, "
        f"columns: {{match: {pattern}, {', '.join(unused)}}}; a column that is known at time "
        "zero is listed by name",
    )


def note_followup(
    modalities: Mapping[str, ModalityData],
    file_of: Callable[[str], str],
    allowed: Collection[str],
    problems: Problems,
    *,
    refuse: bool,
) -> None:
    """Report inputs that are known only during follow-up.

    Parameters
    ----------
    modalities : mapping of str to ModalityData
    file_of : callable
        Gives the table of a modality.
    allowed : collection of str
        Columns that may be inputs.
    problems : Problems
        Where problems go.
    refuse : bool
        Whether any other is an error; a warning otherwise.
    """
    columns: list[tuple[Place, ColumnSpec]] = []
    for name, data in modalities.items():
        if isinstance(data, TableData):
            file = file_of(name)
            places = [problems.at(name, file, column) for column in data.columns]
            columns += zip(places, data.columns.values(), strict=True)
    late = {(p.file, p.column): p.where for p, c in columns if c.known == "followup"}
    for place, column in columns:
        section = late.get((place.file, place.column))
        if section is None or not column.use:
            continue
        if column.known == "baseline":
            place.error(
                f"{section} declares this column of the same table `known: followup`, not so here",
                hint="declare it alike in both",
            )
        elif place.column not in allowed:
            place.report(
                "error" if refuse else "warning",
                "known only during follow-up: train and crossval refuse it as an input",
                hint="say `use: false` of it, or allow it, which leaks: "
                f"`--allow-followup {shlex.quote(place.column)}` of validate, "
                f"`{allowing([place.column])}` of crossval and train",
            )
