"""A draft of any files: tables, an expression matrix, features and slides."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from survfuse._errors import ConfigError
from survfuse.drafts.columns import fold_columns, group_columns, put_columns
from survfuse.drafts.draft import Draft, Section
from survfuse.drafts.expression import expression_ending, put_expression, shared_endings
from survfuse.drafts.given import Given
from survfuse.drafts.guess import Guess
from survfuse.drafts.header import column_names
from survfuse.drafts.ids import are_samples, id_column
from survfuse.drafts.leaks import put_leaks
from survfuse.drafts.outcome import put_outcome
from survfuse.drafts.slides import put_features, put_images
from survfuse.drafts.tables import GivenTable, read_given

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
    outcome = read_given(given.outcome)
    clinical = read_given(given.clinical) if given.clinical else None
    others = [] if clinical is None else [clinical.frame]
    patient = id_column(outcome.frame, others)
    ids = list(outcome.frame[patient.value]) if patient else []
    used = put_outcome(draft, outcome, patient)
    taken = {*used, *([patient.value] if patient else [])}
    sampled = are_samples(ids)
    tables = [(outcome, patient.value)] if patient else []
    own = _put_clinical(draft, clinical or outcome, patient, taken, ids)
    if clinical is not None and own is not None:
        tables.append((clinical, own))
        sampled |= are_samples(clinical.frame[own])
    if given.expression is not None:
        sampled |= _put_matrix(draft, given.expression, ids, patient)
    if given.features is not None:
        put_features(draft, given.features, ids, tables)
    if given.slides is not None:
        put_images(draft, given.slides, ids, tables)
    _put_groups(draft, outcome, taken)
    if sampled:
        draft.items = {
            "match": Guess("tcga", "ids are TCGA barcodes of samples"),
            **draft.items,
        }
    put_leaks(draft)
    return draft


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
    section.add("table", table.value, f"{len(table.frame)} rows")
    if own is None:
        section.ask("patient", "the column of patient ids")
    elif patient is None or own.value != patient.value:
        section.put("patient", Guess(own.value, own.evidence, own.certain))
    put_columns(section, table, skipped)
    columns = section.section("columns")
    if columns.items:
        draft.items["clinical"] = section
    return own.value if own else None


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
    rest = [one for one in endings if one != ending] if ending else []
    section = draft.section("expression")
    patients = put_expression(section, path, ids, ending, column)
    for one in rest:
        further = draft.section("modalities").section(one.strip("_").lower())
        count = sum(name.endswith(one) for name in names)
        further.add("table", path)
        if column is None and names and (patient is None or names[0] != patient.value):
            further.add("patient", names[0], "the first column")
        further.add("columns", {"match": f"*{one}"}, f"{count} columns of numbers")
    return are_samples(patients)


def _put_groups(draft: Draft, table: GivenTable, taken: Collection[str]) -> None:
    """Write groups of patients and fixed folds that the outcome table gives."""
    for name in group_columns(table, taken):
        key = "".join(letter if letter.isalnum() else "_" for letter in name.casefold())
        count = table.frame[name].nunique()
        draft.section("groups").add(key, name, f"{count} different")
    for name in fold_columns(table, taken)[:1]:
        section = draft.section("folds")
        section.add("table", table.value)
        section.add("column", name, f"{table.frame[name].nunique()} folds")
