"""The cohort file: what a hospital has, where it lies, and what it means.

Every scalar of the YAML is read as text (`001` stays an id, `No` stays a category);
numbers and switches are made from it only where a field is declared so.
"""

from survfuse.cohort.spec.base import Rows
from survfuse.cohort.spec.cohort_file import CohortSpec, ModalitySpec, load_spec
from survfuse.cohort.spec.endpoint import FirstOf, OutcomeSpec, StatusWords, TimeSpan
from survfuse.cohort.spec.groups import FoldsSpec, GroupSpec
from survfuse.cohort.spec.patient_column import Match, PatientColumn
from survfuse.cohort.spec.priors import PriorSpec
from survfuse.cohort.spec.slides import SlidesSpec
from survfuse.cohort.spec.tables import ColumnSpec, ExpressionSpec, TableSpec

__all__ = [
    "CohortSpec",
    "ColumnSpec",
    "ExpressionSpec",
    "FirstOf",
    "FoldsSpec",
    "GroupSpec",
    "Match",
    "ModalitySpec",
    "OutcomeSpec",
    "PatientColumn",
    "PriorSpec",
    "Rows",
    "SlidesSpec",
    "StatusWords",
    "TableSpec",
    "TimeSpan",
    "load_spec",
]
