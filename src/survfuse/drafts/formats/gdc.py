"""The GDC portal: ``clinical.tsv`` with several rows per case, and files of gene counts."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from survfuse._errors import ConfigError, listed
from survfuse.drafts.draft import Draft
from survfuse.drafts.formats.endpoints import NamedEndpoint, put_clinical, put_endpoints
from survfuse.drafts.formats.gdc_counts import put_counts
from survfuse.drafts.formats.layout import one_file
from survfuse.drafts.given import Format, Given
from survfuse.drafts.leaks import put_leaks
from survfuse.drafts.tables import GivenTable, known, read_given
from survfuse.readers.cell_text import reads_unknown

_TIMES = ("days_to_death", "days_to_last_follow_up")
_INPUTS = (
    "age_at_index",
    "gender",
    "sex_at_birth",
    "ajcc_pathologic_stage",
    "ajcc_pathologic_t",
    "ajcc_pathologic_n",
    "ajcc_pathologic_m",
    "ajcc_clinical_stage",
    "figo_stage",
    "tumor_grade",
    "primary_diagnosis",
    "tissue_or_organ_of_origin",
    "prior_malignancy",
)
"""Fields of the GDC that are known at diagnosis."""
_GROUPS = ("", "cases", "demographic", "diagnoses", "project")
"""What stands before the point of a column, in newer tables."""
_WORDS = {"Dead": 1, "Alive": 0}


def draft_gdc(given: Given) -> Draft:
    """Draft a cohort file from what the portal hands out as clinical data and gene counts.

    Raises
    ------
    ConfigError
        When ``clinical.tsv`` is not there or lacks a field.
    """
    table = _clinical(given)
    fields = _fields(table)
    draft = Draft(
        name=given.name,
        title=[
            "Drafted by --format gdc: the time to death, else to the last follow-up, in days."
        ],
    )
    patient, status = fields["submitter_id"], fields["vital_status"]
    inputs = [fields[name] for name in _INPUTS if name in fields]
    used = [*(fields[name] for name in _TIMES), status, *inputs]
    table = _one_row_per_case(draft, table, patient, used)
    terms = {*known(table.frame[status])}
    values = {term: bit for term, bit in _WORDS.items() if term in terms}
    endpoint = NamedEndpoint(
        "os",
        tuple(fields[name] for name in _TIMES),
        "days",
        status,
        values,
        why="the format's: days_to_…",
    )
    taken = put_endpoints(draft, table, patient, [endpoint])
    put_clinical(
        draft, table, patient, {*taken, *(set(map(str, table.frame)) - {*inputs})}
    )
    folder = given.expression or given.outcome
    if folder is not None and folder.is_dir():
        put_counts(draft, folder)
    put_leaks(draft)
    return draft


def _clinical(given: Given) -> GivenTable:
    if given.outcome is None:
        raise ConfigError(f"--format gdc: expected {_NEEDS}")
    file = given.outcome
    if file.is_dir():
        what = "the button Clinical, TSV, of the portal's repository or cart; unpack the .tar.gz"
        file = one_file(file, ("clinical.tsv", "clinical.cart*.tsv"), "gdc", what)
    return read_given(file)


def _fields(table: GivenTable) -> dict[str, str]:
    """Columns by field: newer tables write ``demographic.vital_status`` for ``vital_status``.

    Raises
    ------
    ConfigError
        When a field is absent.
    """
    fields: dict[str, str] = {}
    for column in map(str, table.frame):
        group, _, field = column.rpartition(".")
        if group not in _GROUPS or (field == "submitter_id" and group != "cases"):
            continue
        if column == "case_submitter_id":
            field = "submitter_id"
        fields.setdefault(field, column)
    absent = [
        name for name in ("submitter_id", "vital_status", *_TIMES) if name not in fields
    ]
    if absent:
        raise ConfigError(
            f"--format gdc: {table.path}: no field {listed(absent)}; expected the portal's "
            f"clinical.tsv, got columns {listed(map(str, table.frame), 8)}",
        )
    return fields


def _one_row_per_case(
    draft: Draft,
    table: GivenTable,
    patient: str,
    used: list[str],
) -> GivenTable:
    """Return the table, or one that is written beside the cohort file where rows disagree.

    Of each field the first known value of a case is taken.
    """
    own = table.frame[[patient, *dict.fromkeys(used)]]
    differ = own.drop_duplicates()
    repeated = differ[patient][differ[patient].duplicated()].nunique()
    if not repeated:
        return table
    filled = own.where(~own.map(reads_unknown).astype(bool))
    merged = filled.groupby(patient, sort=False).first().reset_index().fillna("")
    draft.tables["patients.csv"] = merged.to_csv(index=False, lineterminator="\n")
    draft.title.append(
        f"patients.csv is clinical.tsv with one row per case: rows of {repeated} cases differ "
        "(treatments, diagnoses); of each field the first known value is taken.",
    )
    return GivenTable(
        Path("patients.csv"), merged.astype(pd.StringDtype("python")).astype(object)
    )


_NEEDS = "--outcome FOLDER that holds clinical.tsv (and the sample sheet with its files of counts)"
GDC = Format(
    name="gdc",
    what="GDC portal: clinical.tsv (days_to_death, days_to_last_follow_up, '--), gene counts",
    needs=_NEEDS,
    draft=draft_gdc,
    takes=("outcome", "expression"),
)
