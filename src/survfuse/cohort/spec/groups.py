"""The sections of given folds and of groups of patients."""

from __future__ import annotations

from survfuse.cohort.spec.base import Section
from survfuse.cohort.spec.patient_column import Patient
from survfuse.cohort.table_file import Table


class FoldsSpec(Section):
    """Fixed folds given by a column."""

    table: Table
    """Table with one row per patient."""
    column: str
    """Column of fold names or numbers."""
    patient: Patient | None = None
    """Column of patient ids; the outcome's where not given."""


class GroupSpec(Section):
    """A column that groups patients (site, batch)."""

    column: str
    """Column of group names."""
    table: Table | None = None
    """Its table; the outcome's (or the clinical) table where not given."""
    patient: Patient | None = None
    """Column of patient ids; the outcome's where not given."""
