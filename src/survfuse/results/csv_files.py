"""CSV files of a run: written in exact numbers, read with every cell checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

from survfuse._errors import InputError, listed
from survfuse._storage import atomic_path
from survfuse.readers.cell_text import as_text, from_text, refuse_strange
from survfuse.readers.delimited import DELIMITERS, text_rows
from survfuse.readers.table_files import FLAGS, refuse_repeated
from survfuse.readers.table_rows import format_of
from survfuse.results.schema import Number, frame

KEYS = ("patient_id", "repeat", "fold", "time", "event", "log_risk", "predicted_time")
NAMES = ["model", "patient_id"]


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a CSV atomically; numbers in their shortest exact form.

    A text that a spreadsheet would take for a formula gets an apostrophe, which
    :func:`read_cells` removes.
    """
    written = table.copy(deep=False)
    for name in table.columns:
        if not is_numeric_dtype(table[name].dtype):
            written[name] = table[name].astype(object).map(_escaped)
    with atomic_path(path) as temporary:
        written.to_csv(
            temporary,
            index=False,
            lineterminator="\n",
        )


def _escaped(cell: Any) -> Any:
    return as_text(cell) if isinstance(cell, str) else cell


def read_cells(path: Path) -> pd.DataFrame:
    """Read cells as text, indexed by their line of the file.

    Raises
    ------
    InputError
        When it is no text table, or an id holds an invisible character.
    """
    suffix = format_of(path)
    if suffix not in DELIMITERS:
        raise InputError(f"{path}: expected a text table (.csv or .tsv), got {suffix}")
    rows = text_rows(path)
    _, header = next(rows)
    columns = [name.strip() for name in header]
    refuse_repeated(path, columns)
    lines = dict(rows)
    frame = pd.DataFrame(list(lines.values()), list(lines), columns, dtype=object)
    for name in frame.columns.intersection(NAMES):
        frame[name] = frame[name].map(from_text).astype(object)
        refuse_strange(path, frame[name].str.strip(), f"{name} in data row")
    return frame


def read_predictions(
    path: Path,
    *,
    model: bool = False,
) -> pd.DataFrame:
    """Read a table of out-of-fold predictions.

    Parameters
    ----------
    path : path
        CSV with the columns of `KEYS`, any ``survival_<h>`` and `risk_group`.
    model : bool
        Whether a `model` column is required too; the table may then be empty.

    Returns
    -------
    DataFrame
        `event` is bool, `risk_group` float with NaN where there is none.

    Raises
    ------
    InputError
        For a missing file or column, or a cell that is not a number: names the
        column and the line of the file.
    """
    raw = read_cells(path)
    required = (*KEYS, "model") if model else KEYS
    if absent := [name for name in required if name not in raw.columns]:
        raise InputError(
            f"{path}: expected column(s) {listed(absent)}, the file has {listed(raw.columns, 12)}",
        )
    if raw.empty and not model:
        raise InputError(f"{path}: holds no predictions")
    frame = raw.reindex(columns=[name for name in raw.columns if name in NAMES])
    for name in raw.columns.drop(list(frame.columns)):
        frame[name] = _numbers(path, raw[name])
    _refuse_gaps(path, frame)
    frame["event"] = frame["event"] == 1
    if "risk_group" not in frame:
        frame["risk_group"] = np.nan
    return frame.reset_index(drop=True)


def read_terms(path: Path) -> pd.DataFrame:
    """Read the terms of out-of-fold log-risks.

    Returns
    -------
    DataFrame
        `patient_id, repeat, fold, constant` and a column per term.

    Raises
    ------
    InputError
        For a missing column, or a cell that is no finite number: names the column and the line.
    """
    raw = read_cells(path)
    keys = ("patient_id", "repeat", "fold", "constant")
    if absent := [name for name in keys if name not in raw.columns]:
        raise InputError(f"{path}: expected column(s) {listed(absent)}")
    table = raw[["patient_id"]].copy()
    for name in raw.columns.drop("patient_id"):
        values = _numbers(path, raw[name])
        if not np.isfinite(values).all():
            line = raw.index[~np.isfinite(values)][0]
            raise InputError(
                f"{path}: column {name}, line {line}: expected a finite number",
            )
        table[name] = values
    return table.astype({"repeat": int, "fold": int}).reset_index(drop=True)


def read_table(
    path: Path,
    types: Mapping[str, Any],
    known: Sequence[str],
) -> pd.DataFrame:
    """Read a table of the schema.

    Parameters
    ----------
    path : path
        CSV with the columns of `types`; further ones are left out.
    types : mapping of column to type
        The type hints of a class of :mod:`survfuse.results.schema`.
    known : sequence of str
        Columns in which every cell holds something.

    Raises
    ------
    InputError
        For a missing file or column, an empty cell or one that is no finite number: names
        the column and the line of the file.
    """
    raw = read_cells(path)
    if absent := [name for name in types if name not in raw.columns]:
        raise InputError(
            f"{path}: expected column(s) {listed(absent)}, the file has {listed(raw.columns, 12)}",
        )
    columns = {}
    for name, type_ in types.items():
        cells = raw[name].map(from_text).astype(object)
        column = _numbers(path, cells) if type_ == Number else cells
        empty = column.isna() | (cells.str.strip() == "")
        wrong = column.isin([np.inf, -np.inf]) | (empty if name in known else False)
        if wrong.any():
            place = f"{path}: column {name}, line {raw.index[wrong][0]}"
            raise InputError(
                f"{place}: expected a finite value, got {cells[wrong].iloc[0]!r}",
            )
        columns[name] = column
    rows: Any = pd.DataFrame(columns).to_dict("records")
    return frame(types, rows)


def _numbers(
    path: Path,
    column: pd.Series[str],
) -> pd.Series[float]:
    text = column.str.strip()
    if column.name == "event":
        values = text.str.lower().map(FLAGS)
    else:
        values = pd.to_numeric(text.where(text != ""), errors="coerce").astype(float)
    wrong = text[values.isna() & (text != "") & (text.str.lower() != "nan")]
    if len(wrong):
        place = f"{path}: column {column.name}, line {wrong.index[0]}"
        raise InputError(f"{place}: expected a number, got {wrong.iloc[0]!r}")
    return values


def _refuse_gaps(path: Path, frame: pd.DataFrame) -> None:
    for name in ("repeat", "fold", "time", "event"):
        gaps = frame[name].isna()
        expected = "a value"
        if name == "time":
            gaps |= frame[name] <= 0
            expected = "a time above 0"
        if gaps.any():
            line = int(frame.index[gaps][0])
            place = f"{path}: column {name}, line {line}"
            raise InputError(
                f"{place}: expected {expected}, got {frame.at[line, name]!r}",
            )
