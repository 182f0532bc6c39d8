"""Contributions and hazard ratios of the columns of tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from survfuse._errors import ConfigError, listed
from survfuse._types import BoolArray, FloatArray, IntArray
from survfuse.cohort.labels import Labels
from survfuse.cohort.modalities import TableData
from survfuse.cohort.table_columns import CategoryColumn, Column
from survfuse.cohort.transform_prior import PriorTransform
from survfuse.cohort.transform_tables import TableTransform
from survfuse.explanations.explained import Explained
from survfuse.explanations.input_contributions import (
    input_contributions,
    is_constant,
    start_of,
)

PRESENCE, NOT_ATTRIBUTED = "(presence)", "(not attributed)"
ROUNDING = 1e-6
"""Of log-risk; what is left of a term below it is the rounding of float32."""
VARIABLES = ("patient_id", "modality", "column", "value", "known", "contribution")
HAZARD_RATIOS = (
    "modality",
    "column",
    "level",
    "contrast",
    "hazard_ratio",
    "log_hazard_ratio",
)

Cells = npt.NDArray[np.object_]


def variables(explained: Explained) -> pd.DataFrame:
    """Contribution of each column of each table, and of each prior, to each patient.

    Returns
    -------
    DataFrame
        `patient_id, modality, column, value, known, contribution`. `value` is what the cohort
        says, a number or a text, None where nothing; not `known` is what is missing, implausible
        or was not seen in training, of which the training mean is read instead: then its
        contribution is that of the mean and of the fact that it is not known. A category has one
        row, a prior one, called risk. Row ``(presence)`` is what having or lacking the modality
        contributes; ``(not attributed)`` is there where something is left: of models in a stack
        that read the table by other transforms, and of sampled terms. Rows of a patient and
        modality add up to the modality's main effect (to 1e-6). Where the cohort file has words
        for columns or values, `label` and `value_label` hold them, and otherwise what they are for.
    """
    parts = []
    for name, one in explained.fitted.transforms.fitted.items():
        if isinstance(one, TableTransform | PriorTransform):
            own = pd.concat(list(_rows_of(explained, name, one)))
            parts.append(own.assign(modality=name))
    if not parts:
        return pd.DataFrame(columns=list(VARIABLES))
    frame = pd.concat(parts).sort_index(kind="stable")
    frame["patient_id"] = np.array(explained.ids, dtype=object)[frame.index]
    frame = frame[list(VARIABLES)].reset_index(drop=True)
    return _labelled(frame, "value", explained.labels)


def _labelled(
    frame: pd.DataFrame,
    cell: str,
    labels: Labels,
) -> pd.DataFrame:
    """Add the words for columns and for the values or levels in `cell`, where there are any."""
    if not labels.of_columns(frame["modality"].unique()):
        return frame
    value_labels, cells = [], []
    rows = zip(frame["modality"], frame["column"], frame[cell], strict=True)
    for modality, column, value in rows:
        value_labels.append(labels.column(modality, column))
        cells.append(value if value is None else labels.cell(modality, column, value))
    frame["label"] = value_labels
    frame[f"{cell}_label"] = np.array(cells, dtype=object)
    return frame


def _rows_of(
    explained: Explained,
    modality: str,
    transform: TableTransform | PriorTransform,
) -> Iterator[pd.DataFrame]:
    """Rows of each column of one modality, then those of what is left."""
    split = input_contributions(explained, modality)
    rows = np.flatnonzero(split.present)
    features = split.features[rows]
    if len(rows) and isinstance(transform, PriorTransform):
        risks = transform.mean + transform.sd * split.values[rows, 0]
        yield _rows("risk", rows, risks, True, features[:, 0])
    elif len(rows):
        data = cast(TableData, explained.cohort.modalities[modality])
        ids = [explained.ids[row] for row in rows]
        for column, place in _places(cast(TableTransform, transform)):
            own = features[:, place].sum(axis=1)
            yield _rows(column.name, rows, *_cells(column, data, ids), own)
    everyone = np.arange(len(split.present))
    said = np.where(split.present, "present", "absent")
    yield _rows(PRESENCE, everyone, said, True, split.presence)
    if np.abs(split.remainder).max(initial=0.0) > ROUNDING:
        nothing = [None] * len(everyone)
        yield _rows(NOT_ATTRIBUTED, everyone, nothing, True, split.remainder)


def _rows(
    column: str,
    rows: IntArray,
    values: Sequence[None] | npt.ArrayLike,
    known: BoolArray | bool,
    contributions: FloatArray,
) -> pd.DataFrame:
    """Rows of one column, by the places of patients."""
    columns: dict[str, Any] = {
        "column": column,
        "value": pd.Series(values, rows, dtype=object),
        "known": known,
        "contribution": contributions,
    }
    return pd.DataFrame(columns, index=rows)


def _places(transform: TableTransform) -> Iterator[tuple[Column, slice]]:
    """Columns of a table, and where their features are."""
    start = 0
    for column in transform.columns:
        stop = start + len(column.values) + len(column.blank)
        yield column, slice(start, stop)
        start = stop


def _cells(
    column: Column,
    data: TableData,
    ids: list[str],
) -> tuple[Cells, BoolArray]:
    """Cells of a column as the cohort has them, None where missing, and which are read."""
    texts = data.texts(column.name, ids)
    if isinstance(column, CategoryColumn):
        return texts.to_numpy(object), column.known(texts)
    numbers = data.numbers(column.name, ids)
    known = column.known(numbers)
    if column.levels is not None:
        return texts.to_numpy(object), known
    values = numbers.astype(object)
    values[np.isnan(numbers)] = None
    return values, known


def hazard_ratios(explained: Explained) -> pd.DataFrame:
    """Hazard ratio of each column of each table, in its own unit.

    They are those of the modality's main effect: interactions at the average of the other
    modalities. They come from a penalised fit, so they are shrunken towards 1, the more so the
    fewer events there are; no interval is given, as none of such a fit is honest. How far another
    cohort would give the same is measured by the agreement.

    Returns
    -------
    DataFrame
        `modality, column, level, contrast, hazard_ratio, log_hazard_ratio`. Of a number per unit of
        the cohort and per standard deviation in training; of an ordered category per level; of a
        category each level against the cohort's mean and against the most frequent level, where
        pooled levels are named together and ``(missing)`` is a level. Where the cohort file has
        words for columns or values, `label` and `level_label` hold them.

    Raises
    ------
    ConfigError
        When no table is read linearly, so that there is no one ratio for all patients.
    """
    rows: list[tuple[Any, ...]] = []
    curved, tables = [], 0
    for name, one in explained.fitted.transforms.fitted.items():
        if not isinstance(one, TableTransform | PriorTransform):
            continue
        tables += 1
        if not is_constant(explained, name):
            curved.append(name)
            continue
        weights, mean = _weights(explained, name), start_of(explained, name)
        if isinstance(one, PriorTransform):
            own = _of_scale("risk", weights[0], one.sd)
            rows += [(name, *row) for row in own]
            continue
        for column, place in _places(one):
            own = _ratios(column, weights[place], mean[place])
            rows += [(name, *row) for row in own]
    if curved and len(curved) == tables:
        raise ConfigError(
            f"no hazard ratios: the model does not read {listed(curved)} linearly, so that a "
            "difference in a column has another ratio for each patient; see the contributions "
            "(variables)",
        )
    frame = pd.DataFrame(rows, columns=[*HAZARD_RATIOS[:4], "log_hazard_ratio"])
    with np.errstate(over="ignore"):  # a ratio beyond a double is infinite
        frame["hazard_ratio"] = np.exp(frame["log_hazard_ratio"].astype(float))
    return _labelled(frame[list(HAZARD_RATIOS)].copy(), "level", explained.labels)


def _weights(explained: Explained, modality: str) -> FloatArray:
    """Slope of the main effect by each feature; (features,)."""
    one = np.arange(1)
    return np.asarray(input_contributions(explained, modality, rows=one).slopes[0])


Ratio = tuple[str, str, str, float]
"""Column, level, contrast, log hazard ratio."""


def _ratios(
    column: Column,
    weights: FloatArray,
    mean: FloatArray,
) -> Iterator[Ratio]:
    """Log hazard ratios of one column; `weights` and `mean` of its features."""
    if isinstance(column, CategoryColumn):
        yield from _of_category(column, weights, mean)
        return
    if column.values and column.levels is not None:
        yield column.name, "", "per level", float(weights[0] / column.sd)
    elif column.values:
        yield from _of_scale(column.name, float(weights[0]), column.sd)
    if column.indicator:
        unknown = np.append(np.zeros(len(column.values)), 1.0)
        yield (
            column.name,
            "(missing)",
            "against the mean",
            float((unknown - mean) @ weights),
        )


def _of_scale(name: str, weight: float, sd: float) -> Iterator[Ratio]:
    yield name, "", "per unit", float(weight / sd)
    yield name, "", f"per SD ({sd:.4g})", float(weight)


def _of_category(
    column: CategoryColumn,
    weights: FloatArray,
    mean: FloatArray,
) -> Iterator[Ratio]:
    """Each level against the mean, and against the most frequent."""
    levels = [*column.categories]
    if column.pooled:
        levels.append(f"other: {listed(column.rare, 20)}")
    coded = np.eye(len(levels), len(weights))
    if column.blank:
        levels.append("(missing)")
        unknown = np.eye(1, len(weights), len(weights) - 1)
        unknown[0, : len(column.shares)] = column.shares
        coded = np.concatenate([coded, unknown])
    log_risk = coded @ weights
    most = int(mean[: len(column.values)].argmax())
    for level, own in zip(levels, log_risk.tolist(), strict=True):
        yield column.name, level, "against the mean", own - float(mean @ weights)
    for number, (level, own) in enumerate(zip(levels, log_risk.tolist(), strict=True)):
        if number != most:
            contrast = f"against {levels[most]}"
            yield column.name, level, contrast, own - float(log_risk[most])
