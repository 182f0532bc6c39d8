"""A draft of any files: tables, an expression matrix, features and slides."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import pandas as pd

from survfuse._errors import ConfigError
from survfuse.drafts.columns import fold_columns, group_columns, put_columns
from survfuse.drafts.draft import Draft, Section
from survfuse.drafts.endpoints import find_endpoints
from survfuse.drafts.expression import (
    ending_with,
    expression_ending,
    put_expression,
    shared_endings,
)
from survfuse.drafts.given import Given
from survfuse.drafts.guess import Guess
from survfuse.drafts.header import column_names
from survfuse.drafts.ids import are_samples, id_column
from survfuse.drafts.leaks import put_leaks
from survfuse.drafts.outcome import put_outcome, put_table
from survfuse.drafts.repeats import ask_rows
from survfuse.drafts.slides import put_features, put_images
from survfuse.drafts.tables import FILE_ENDINGS, GivenTable, read_given
from survfuse.drafts.words import identifier

TITLE = (
    "Drafted by `survfuse init`. After each field stands what it was guessed from; look at those",
    "that say `check`, and fill those that begin with ???. Then: survfuse validate cohort.yaml",
)


def draft_of(given: Given) -> Draft:
    """Draft a cohort file from whatever a person named.

    Parameters
    ----------
    given : Given
        With an outcome, and at least one file of inputs (which may be the outcome's own).

    Raises
    ------
    InputError
        When a file cannot be read, or no outcome is named.
    """
    given = given.absolute()
    if given.outcome is None:
        raise ConfigError(
            "--outcome FILE: name the table with follow-up times and status; without any file, "
            "`survfuse init` writes a toy",
        )
    draft = Draft(name=given.name, title=list(TITLE))
    outcome = read_given(given.outcome, lambda frame: bool(find_endpoints(frame)))
    with_genes = [outcome]
    outcome = _without_genes(outcome)
    clinical = _read_clinical(given, outcome)
    if clinical is not None:
        with_genes.append(clinical)
        clinical = _without_genes(clinical)
    patient = id_column(outcome.frame, [] if clinical is None else [clinical.frame])
    used = put_outcome(draft, outcome, patient)
    taken = {*used, *([patient.value] if patient else [])}
    matrix = given.expression or _path_of_genes(with_genes)
    _put_inputs(draft, given, (outcome, clinical), patient, taken, matrix)
    _put_groups(draft, outcome, taken)
    put_leaks(draft, [outcome] if clinical is None else [outcome, clinical])
    return draft


def _put_inputs(
    draft: Draft,
    given: Given,
    given_tables: tuple[GivenTable, GivenTable | None],
    patient: Guess[str] | None,
    taken: Collection[str],
    matrix: Path | None,
) -> None:
    """Write all sections of inputs, and `match` where ids are barcodes."""
    outcome, clinical = given_tables
    ids = list(outcome.frame[patient.value]) if patient else []
    tables = [(outcome, patient.value)] if patient else []
    own = _put_clinical(draft, clinical or outcome, patient, taken, ids)
    if clinical is not None and own is not None:
        tables.append((clinical, own))
    sampled = any(are_samples(table.frame[column]) for table, column in tables)
    if matrix is not None:
        sampled |= _put_matrix(draft, matrix, ids, patient)
    for path in given.tables:
        sampled |= _put_table(draft, read_given(path), ids, patient)
    _put_slides(draft, given, ids, tables)
    if not {"clinical", "expression", "modalities", "slides"} & set(draft.items):
        draft.ask(
            "clinical",
            "a section of inputs; or draft again with --clinical, --expression or --features",
            evidence="no column of the outcome table is an input",
        )
    if sampled:
        match: Guess[object] = Guess("tcga", "ids are TCGA barcodes, not all plain")
        draft.items = {"match": match, **draft.items}


def _read_clinical(given: Given, outcome: GivenTable) -> GivenTable | None:
    """Read the clinical table; of a workbook, the sheet of the outcome's patients."""
    if given.clinical is None:
        return None
    patient = id_column(outcome.frame)
    ids = set(outcome.frame[patient.value]) if patient else set()
    return read_given(given.clinical, lambda frame: _shares(frame, ids))


def _put_slides(
    draft: Draft,
    given: Given,
    ids: Collection[str],
    tables: Sequence[tuple[GivenTable, str]],
) -> None:
    """Write the slides: features, images, and a table that names them where one is given."""
    known = list(tables)
    images = given.slides
    if images is not None and images.is_file():
        table = read_given(images)
        own = id_column(table.frame, ids=ids)
        if own is not None:
            known.insert(0, (table, own.value))
        images = None
    if given.features is not None:
        put_features(draft, given.features, ids, known)
    if images is not None:
        put_images(draft, images, ids, known)


def _shares(frame: pd.DataFrame, ids: Collection[str]) -> bool:
    """Whether a table is of these patients, and not the table of the outcome."""
    guess = id_column(frame, ids=ids)
    if guess is None or find_endpoints(frame):
        return False
    return 2 * int(frame[guess.value].isin(list(ids)).sum()) > len(frame)


def _put_clinical(
    draft: Draft,
    table: GivenTable,
    patient: Guess[str] | None,
    taken: Collection[str],
    ids: Collection[str],
) -> str | None:
    """Write the clinical section; returns its column of patients."""
    own = id_column(table.frame, ids=ids)
    skipped = {*taken, *([own.value] if own else [])}
    skipped |= {*fold_columns(table, skipped), *group_columns(table, skipped)}
    section = Section()
    put_table(section, table)
    _put_patient(section, own, patient)
    put_columns(section, table, skipped)
    if own is not None:
        ask_rows(section, table, own.value)
    if section.section("columns").items:
        draft.items["clinical"] = section
    else:
        draft.notes += section.notes
    return own.value if own else None


def _put_patient(
    section: Section, own: Guess[str] | None, patient: Guess[str] | None
) -> None:
    """Write the column of patients where it is not the outcome's."""
    if own is None:
        section.ask("patient", "the column of patient ids")
    elif patient is None or own.value != patient.value:
        section.put("patient", Guess(own.value, own.evidence, own.certain))


def _put_table(
    draft: Draft,
    table: GivenTable,
    ids: Collection[str],
    patient: Guess[str] | None,
) -> bool:
    """Write a further table as a modality of its name; returns whether ids are samples."""
    own = id_column(table.frame, ids=ids)
    name = FILE_ENDINGS.sub("", table.path.name)
    section = draft.section("modalities").section(identifier(name))
    put_table(section, table)
    _put_patient(section, own, patient)
    put_columns(section, table, {own.value} if own else set())
    if own is None:
        return False
    ask_rows(section, table, own.value)
    return are_samples(table.frame[own.value])


def _without_genes(table: GivenTable) -> GivenTable:
    """Table without the columns of genes, of which there may be thousands."""
    return table.without(ending_with(table.names, shared_endings(table.names)))


def _path_of_genes(tables: Collection[GivenTable]) -> Path | None:
    """The table among whose columns are genes, by their endings."""
    for table in tables:
        if shared_endings(table.names):
            return table.path
    return None


def _put_matrix(
    draft: Draft,
    path: Path,
    ids: Collection[str],
    patient: Guess[str] | None,
) -> bool:
    """Write the expression, and further tables of one file; returns whether ids are samples."""
    names = column_names(path)
    column = None
    if patient is not None and patient.value in names[1:]:
        column = patient.value
    endings = shared_endings(names)
    ending = expression_ending(endings)
    patients: list[str] = []
    if ending is not None or not endings:
        patients = put_expression(
            draft.section("expression"), path, ids, ending, column
        )
    for one in endings:
        if one == ending:
            continue
        further = draft.section("modalities").section(
            identifier(one.strip("_").lower())
        )
        count = len(ending_with(names, [one]))
        further.add("table", path)
        if column is None and (patient is None or names[0] != patient.value):
            further.add("patient", names[0], "the first column")
        further.add("columns", {"match": f"*{one}"}, f"{count} columns of numbers")
    return are_samples(patients)


def _put_groups(draft: Draft, table: GivenTable, taken: Collection[str]) -> None:
    """Write groups of patients and fixed folds that the outcome table gives."""
    for name in group_columns(table, taken):
        count = table.frame[name].nunique()
        draft.section("groups").add(
            identifier(name.casefold()), name, f"{count} different"
        )
    for name in fold_columns(table, taken)[:1]:
        section = draft.section("folds")
        section.add("table", table.value)
        section.add("column", name, f"{table.frame[name].nunique()} folds")
