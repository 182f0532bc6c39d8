"""Patients that are listed twice under different ids: their data give them away."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping

import numpy as np
import pandas as pd

from survfuse.cohort.modalities import BagData, ExpressionData, ModalityData, TableData
from survfuse.cohort.problems import Problems

MIN_COLUMNS = 5  # clinical columns that must agree before two patients look like one


def check_duplicates(
    modalities: Mapping[str, ModalityData],
    outcome: pd.DataFrame | None,
    problems: Problems,
) -> None:
    """Note patients with an identical slide or expression (errors) or clinical rows and outcome (warnings).

    Parameters
    ----------
    modalities : mapping of name to modality data
        Limited to the patients of the cohort.
    outcome : DataFrame or None
        `time` and `event` by patient.
    problems : Problems
        Where problems go.
    """
    for name, data in modalities.items():
        if isinstance(data, BagData):
            groups, what = _same_slides(data), "tile features of a slide"
        elif isinstance(data, ExpressionData):
            groups, what = _same_expression(data), "expression values"
        else:
            continue
        for twins in groups:
            problems.error(
                name,
                f"identical {what}: one patient under {len(twins)} ids?",
                patients=twins,
                hint=f"keep one and list the other under `exclude:` of the cohort file ({twins[-1]})",
            )
    for name, data in modalities.items():
        if (
            isinstance(data, TableData)
            and data.kind == "clinical"
            and outcome is not None
        ):
            for twins in _same_rows(data, outcome):
                problems.warning(
                    name,
                    "identical clinical values and outcome: one patient under two ids?",
                    patients=twins,
                    hint=f"if so, list one under `exclude:` of the cohort file ({twins[-1]})",
                )


def _grouped(keys: Mapping[str, object]) -> list[list[str]]:
    """Patients that share a key, in groups of two or more."""
    groups: dict[object, list[str]] = defaultdict(list)
    for patient, key in keys.items():
        groups[key].append(patient)
    return [sorted(group) for group in groups.values() if len(group) > 1]


def _same_slides(data: BagData) -> list[list[str]]:
    """Patients that share a slide: the same features, whatever the slide is called."""
    owners: dict[str, set[str]] = defaultdict(set)
    for patient in data.patients:
        for slide in data.store.slides_of(patient):
            owners[slide.content].add(patient)
    return sorted(
        {
            tuple(sorted(group)): sorted(group)
            for group in owners.values()
            if len(group) > 1
        }.values(),
    )


def _same_expression(data: ExpressionData) -> list[list[str]]:
    keys = {}
    for patient in data.patients:
        row = data.values([patient])
        if not np.isnan(row).all():
            keys[patient] = hashlib.sha256(row.tobytes()).hexdigest()
    return _grouped(keys)


def _same_rows(data: TableData, outcome: pd.DataFrame) -> list[list[str]]:
    if len(data.columns) < MIN_COLUMNS:
        return []
    cells = pd.DataFrame({column: data.texts(column) for column in data.columns})
    cells = cells[cells.notna().sum(axis=1) >= MIN_COLUMNS].fillna("")
    frame = cells.join(
        outcome.loc[outcome.index.intersection(cells.index)],
        how="inner",
    )
    keys = {str(row[0]): tuple(row[1:]) for row in frame.itertuples(name=None)}
    return _grouped(keys)
