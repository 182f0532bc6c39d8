"""The table of a cohort's patients, as a browser sorts and filters it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from survfuse._types import FloatArray
from survfuse.cohort.cohort import Cohort
from survfuse.cohort.labels import Labels
from survfuse.cohort.modalities import BagData
from survfuse.results.prognosis import group_name

PATIENT = "patient_id"
MOST_CHOICES = 40
"""Different texts of a column up to which they are offered as choices."""
Kind = Literal["text", "number", "percent", "count"]


@dataclass(frozen=True)
class Column:
    """A column of the table.

    Attributes
    ----------
    key : str
    title : str
        In words.
    kind : str
        "text", "number", "percent" (0 to 1) or "count".
    values : list
        One of each patient; None where not known.
    says : str
        What it is, in a sentence.
    filtered : bool
        Whether a filter is offered.
    """

    key: str
    title: str
    kind: Kind
    values: list[Any]
    says: str = ""
    filtered: bool = True

    def described(self) -> dict[str, Any]:
        """The column without its values, as JSON; with the choices of a filter."""
        known = sorted({value for value in self.values if value is not None})
        is_choice = self.kind == "text" and 1 < len(known) <= MOST_CHOICES
        filtered = self.filtered and len(known) > 1
        return {
            "key": self.key,
            "title": self.title,
            "kind": self.kind,
            "says": self.says,
            "choices": known if is_choice and filtered else [],
            "range": filtered and self.kind != "text",
        }


@dataclass(frozen=True)
class PatientTable:
    """Patients and what is known of each.

    Attributes
    ----------
    columns : sequence of Column
        The first is `patient_id`.
    notes : sequence of str
        What cannot be shown, and why.
    """

    columns: Sequence[Column]
    notes: Sequence[str] = ()

    def described(self) -> dict[str, Any]:
        """All of it as JSON: columns, and values by column."""
        return {
            "columns": [column.described() for column in self.columns],
            "values": [column.values for column in self.columns],
            "notes": list(self.notes),
        }

    def facts(self, patient: str) -> list[dict[str, Any]]:
        """What is known of one patient, as JSON."""
        row = self.columns[0].values.index(patient)
        facts = []
        for column in self.columns[1:]:
            facts.append(
                {
                    "title": column.title,
                    "kind": column.kind,
                    "value": column.values[row],
                    "says": column.says,
                },
            )
        return facts


def patients_of(ids: Sequence[str]) -> Column:
    """The first column."""
    return Column(PATIENT, "Patient", "text", list(ids), filtered=False)


def numbers(
    key: str,
    title: str,
    values: FloatArray | pd.Series[float],
    says: str,
    kind: Kind = "number",
    *,
    filtered: bool = False,
) -> Column:
    """A column of numbers; NaN is not known. Six digits are kept."""
    rounded: list[Any] = []
    for value in np.asarray(values, np.float64).tolist():
        rounded.append(float(f"{value:.6g}") if np.isfinite(value) else None)
    return Column(key, title, kind, rounded, says, filtered)


def risk_groups(groups: Sequence[float] | FloatArray) -> Column:
    """The column of risk groups."""
    names: list[Any] = []
    for group in np.asarray(groups, np.float64).tolist():
        names.append(None if np.isnan(group) else group_name(int(group)))
    says = "cut at the tertiles of the training patients"
    return Column("risk_group", "Risk group", "text", names, says)


def of_cohort(cohort: Cohort, ids: Sequence[str]) -> list[Column]:
    """Columns that the cohort has of some patients: groups such as sites, and slides."""
    columns, labels = [], Labels.of(cohort.spec)
    for name in cohort.groups.columns:
        known = cohort.groups[name].reindex(list(ids)).fillna("")
        values = [text or None for text in known]
        columns.append(Column(f"group.{name}", str(name), "text", values))
    for name, data in cohort.modalities.items():
        if isinstance(data, BagData):
            own = set(data.patients)
            counts = [len(data.store.slides_of(p)) if p in own else 0 for p in ids]
            says = "0 where the patient has none"
            title = f"{labels.modality(name)}, number"
            columns.append(Column(f"bag.{name}", title, "count", counts, says, False))
    return columns
