"""Patients that are listed twice under different ids: their data give them away."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

import pandas as pd

from survfuse._errors import listed
from survfuse.cohort.modalities import BagData, ModalityData, PriorData, TableData
from survfuse.cohort.problems import Problems

MIN_COLUMNS = 5  # clinical columns that must agree before two patients look like one
MOST_NAMED = 100  # ids to exclude


def check_duplicates(
    modalities: Mapping[str, ModalityData],
    outcome: pd.DataFrame | None,
    problems: Problems,
) -> None:
    """Report patients with identical slides or expression, or clinical rows and outcome.

    The former are errors, the latter warnings.

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
        if isinstance(data, TableData | PriorData):
            continue
        what, groups = "expression values", _grouped(data.contents.items())
        if isinstance(data, BagData):
            what, groups = "tile features of a slide", _same_slides(data)
        if groups:
            again = [one for ids in groups for one in ids[1:]]
            problems.at(name).error(
                f"identical {what}: {_which(groups)}",
                patients=_patients(groups),
                hint="keep one of each and list the others under `exclude:` of the cohort file "
                f"({listed(again, MOST_NAMED)})",
            )
    clinical = modalities.get("clinical")
    if isinstance(clinical, TableData) and outcome is not None:
        groups = _same_rows(clinical, outcome)
        if groups:
            again = [one for ids in groups for one in ids[1:]]
            problems.at("clinical").warning(
                f"identical clinical values and outcome: {_which(groups)}",
                patients=_patients(groups),
                hint=f"if so, list the others under `exclude:` of the cohort file "
                f"({listed(again, MOST_NAMED)})",
            )


def _which(groups: list[list[str]]) -> str:
    """Ask whether ids that share their data are one patient."""
    if len(groups) == 1:
        return f"one patient under {len(groups[0])} ids?"
    same = listed(" = ".join(ids) for ids in groups)
    return f"one patient each under several ids? {same}"


def _patients(groups: list[list[str]]) -> list[str]:
    return [patient for ids in groups for patient in ids]


def _grouped(keys: Iterable[tuple[str, object]]) -> list[list[str]]:
    """Patients that share a key, in groups of two or more."""
    groups: dict[object, set[str]] = defaultdict(set)
    for patient, key in keys:
        groups[key].add(patient)
    return [sorted(group) for group in groups.values() if len(group) > 1]


def _same_slides(data: BagData) -> list[list[str]]:
    """Patients that share a slide: the same features, whatever the slide is called."""
    owners = []
    for patient in data.patients:
        owners += [(patient, slide.content) for slide in data.store.slides_of(patient)]
    return sorted(map(list, set(map(tuple, _grouped(owners)))))


def _same_rows(
    data: TableData,
    outcome: pd.DataFrame,
) -> list[list[str]]:
    if len(data.columns) < MIN_COLUMNS:
        return []
    cells = pd.DataFrame({column: data.texts(column) for column in data.columns})
    cells = cells[cells.notna().sum(axis=1) >= MIN_COLUMNS].fillna("")
    frame = cells.join(outcome, how="inner", lsuffix=" of the table")
    rows = map(tuple, frame.itertuples(index=False, name=None))
    return _grouped(zip(map(str, frame.index), rows, strict=True))
