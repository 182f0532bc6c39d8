"""Checks of single numbers and of the few patients behind a coefficient."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from survfuse._errors import listed
from survfuse._types import BoolArray
from survfuse.cohort.modalities import TableData
from survfuse.cohort.outliers import doubtful
from survfuse.cohort.spec import ColumnSpec
from survfuse.evaluation.checks.check_cards import check
from survfuse.evaluation.checks.columns import Column, columns_of
from survfuse.evaluation.checks.evidence import (
    Evidence,
    Verdict,
    doubt,
    not_applicable,
    ok,
)

LARGE = 0.5  # log hazard ratio: 1.65 times the hazard, or a share of 0.61 of it


@check(
    "SRV020",
    "No number lies far outside its column, or is a code for a missing value.",
    "warning",
)
def numbers_are_plausible(evidence: Evidence) -> Verdict:
    """Name every number that is far from all others of its column, and every code."""
    columns = [
        column
        for column in columns_of(evidence)
        if column.spec.kind == "numeric" and column.spec.use
    ]
    if not columns:
        return not_applicable("no numeric column")
    texts, remedies = [], []
    tables = {column.data.name: column.data for column in columns}
    copies = {name: data.copy_numbers() for name, data in tables.items()}
    for column in columns:
        if column.name in copies[column.data.name]:
            continue
        wrong = column.data.texts(column.name)[_doubted(column)]
        if len(wrong):
            texts.append(f"{column.label}: {_by_value(wrong)}")
            remedies.append(_remedy(column.data, column.name, sorted(set(wrong))))
    if not texts:
        return ok(f"{len(columns)} numeric columns")
    return doubt(
        listed(texts, 10),
        "A model takes them as not known. Correct the cells; or, where a number means 'not "
        "known', say so in "
        f"the cohort file: {listed(remedies, 10)}.",
    )


def _doubted(column: Column) -> BoolArray:
    """Which patients' numbers are doubted; (patients,)."""
    values = column.data.numbers(column.name)
    known = np.isfinite(values)
    wrong = np.zeros(len(values), dtype=bool)
    wrong[known] = doubtful(values[known])
    return wrong


def _by_value(cells: Any) -> str:
    """Cells and the patients they stand in: ``7000 (patient 017)``."""
    groups = []
    for cell, rows in cells.groupby(cells, sort=False):
        noun = "patient" if len(rows) == 1 else "patients"
        groups.append(f"{cell} ({noun} {listed(rows.index)})")
    return listed(groups, 5)


def _remedy(
    data: TableData,
    name: str,
    cells: list[str],
) -> str:
    """What to write in the cohort file so that these cells are missing ones."""
    plain = ColumnSpec(kind="numeric")
    if data.kind == "table" and all(spec == plain for spec in data.columns.values()):
        # The columns of such a table need no list.
        return f"{data.name}: missing: {json.dumps([*data.missing, *cells])}"
    spec = data.columns[name].model_dump(exclude_defaults=True)
    spec["missing"] = [*data.columns[name].missing, *cells]
    inside = ", ".join(f"{key}: {json.dumps(value)}" for key, value in spec.items())
    return f"{data.name}: columns: {name}: {{{inside}}}"


@check(
    "SRV021",
    "No coefficient of a table rests on few patients.",
    "warning",
    ("summaries",),
)
def coefficients_rest_on_many(evidence: Evidence) -> Verdict:
    """Name large coefficients of features that few patients, or few with the event, carry."""
    reports = [fit.get("anchored") or {} for fit in evidence.fits]
    fits = [
        report["carried_by_few"] for report in reports if "carried_by_few" in report
    ]
    if not fits:
        return not_applicable("the model has no coefficient for each feature")
    rows = [row for fit in fits for row in fit if abs(row["coefficient"]) >= LARGE]
    if not rows:
        return ok(f"none above {LARGE:g} (log hazard ratio) in {len(fits)} fits")
    rows.sort(key=lambda row: -abs(row["coefficient"]))
    largest: dict[str, str] = {}
    for row in rows:
        feature = f"{row['modality']}.{row['feature']}"
        largest.setdefault(feature, f"{feature} {_carried(row)}")
    return doubt(
        listed(largest.values(), 5),
        "A few other patients would turn these coefficients. Merge the level with another, leave "
        "the column "
        "out (`use: false`), or collect more patients.",
    )


def _carried(row: Mapping[str, Any]) -> str:
    carriers = f"{row['patients']} patients, {row['events']} with the event"
    return f"{row['coefficient']:+.2f} (carried by {carriers})"
