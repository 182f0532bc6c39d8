"""Tables in memory, of pandas, polars or pyarrow, and their cells as a CSV file would hold them."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from survfuse._errors import CohortError, InputError, listed
from survfuse.readers.cell_text import composed, only_difference, refuse_strange

PATIENT = "patient_id"
"""Column of patient ids where none is named."""
_NESTED = (list, tuple, dict, set, np.ndarray, pd.DataFrame, pd.Series)


def as_frame(given: Any, what: str, *, repeated: bool = False) -> pd.DataFrame:
    """Make a DataFrame of a table of pandas, polars or pyarrow.

    Parameters
    ----------
    given : DataFrame, or anything with the Arrow PyCapsule interface
        As `polars.DataFrame` and `pyarrow.Table` have it. Whole numbers with gaps stay whole.
    what : str
        Name of the argument, for messages.
    repeated : bool
        Whether columns may have one name, as genes may.

    Raises
    ------
    CohortError
        For anything else, or a table whose columns or rows have names of several levels.
    """
    if isinstance(given, pd.DataFrame):
        frame = given
    elif hasattr(given, "__arrow_c_stream__"):
        frame = _from_arrow(given)
    else:
        raise CohortError(
            f"{what}: expected a table (a DataFrame of pandas or polars, a pyarrow Table), got "
            f"{type(given).__name__}; files are named in a cohort file: `sf.load_cohort(path)`",
        )
    levels = {frame.columns.nlevels, frame.index.nlevels}
    if levels != {1}:
        raise CohortError(
            f"{what}: expected one name for each row and column, got a MultiIndex; "
            "`reset_index()` makes columns of its levels",
        )
    names = [composed(str(name)).strip() for name in frame.columns]
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice and not repeated:
        raise CohortError(
            f"{what}: column names appear twice: {listed(map(repr, twice))}; rename or drop one",
        )
    refuse_strange(what, names, "name of column", lines=True)
    return frame.set_axis(names, axis=1)


def _from_arrow(given: Any) -> pd.DataFrame:
    """Convert by Arrow; whole numbers and truths with gaps do not become other things."""
    import pyarrow as pa

    whole = {
        pa.int8(): pd.Int8Dtype(),
        pa.int16(): pd.Int16Dtype(),
        pa.int32(): pd.Int32Dtype(),
        pa.int64(): pd.Int64Dtype(),
        pa.uint8(): pd.UInt8Dtype(),
        pa.uint16(): pd.UInt16Dtype(),
        pa.uint32(): pd.UInt32Dtype(),
        pa.uint64(): pd.UInt64Dtype(),
        pa.bool_(): pd.BooleanDtype(),
    }
    table = given if isinstance(given, pa.Table) else pa.table(given)
    frame: pd.DataFrame = table.to_pandas(types_mapper=whole.get)
    return frame


def id_column(
    frame: pd.DataFrame,
    patient: str | None,
    what: str,
) -> str | None:
    """Name the column of patient ids; None where the index holds them.

    Raises
    ------
    CohortError
        When the table has no such column, or neither a column nor an index of ids.
    """
    if patient is not None and patient in frame:
        return patient
    if patient is None and PATIENT in frame:
        return PATIENT
    if frame.index.name is not None and patient == frame.index.name:
        return None
    if patient is not None and not _is_counted(frame.index):
        return None
    names = list(frame.columns)
    if patient is not None:
        near = only_difference([patient], names)
        raise CohortError(
            f"{what}: no column {patient!r}, and its index counts rows; it has "
            f"{listed(map(repr, names), 12)}{'; ' if near else ''}{near}",
        )
    if _is_counted(frame.index):
        raise CohortError(
            f"{what}: whose row is whose? Its index counts rows, and it has no column "
            f"{PATIENT!r}; say the column of patient ids, `patient=...`, or, where the index does "
            f"hold ids, name it: `frame.rename_axis({PATIENT!r})`; it has "
            f"{listed(map(repr, names), 12)}",
        )
    return None


def _is_counted(index: pd.Index) -> bool:
    """Whether an index is what pandas gives a table without any, or what is left of it."""
    return index.name is None and pd.api.types.is_integer_dtype(index.dtype)


def with_ids(
    frame: pd.DataFrame,
    patient: str | None,
    what: str,
) -> pd.DataFrame:
    """Make a table whose column ``patient`` (``patient_id`` where None) holds the patient ids."""
    name = patient or PATIENT
    column = id_column(frame, patient, what)
    if column is not None:
        return frame.reset_index(drop=True)
    ids = frame.index.to_series(index=pd.RangeIndex(len(frame)))
    rest = frame.reset_index(drop=True)
    return pd.concat(
        [ids.rename(name), rest.drop(columns=name, errors="ignore")], axis=1
    )


def series_table(
    given: pd.Series[Any] | Mapping[str, Any],
    name: str,
    patient: str,
    what: str,
) -> pd.DataFrame:
    """Make a table of patient ids and one column of a Series by patient, or of a mapping.

    Raises
    ------
    CohortError
        When it is neither, or its index counts rows.
    """
    if isinstance(given, Mapping):
        given = pd.Series(dict(given), dtype=object)
    if not isinstance(given, pd.Series):
        raise CohortError(
            f"{what}: expected the name of a column, a pandas Series by patient, or a dict, got "
            f"{type(given).__name__}",
        )
    if _is_counted(given.index):
        raise CohortError(
            f"{what}: whose value is whose? The index of this Series counts rows; give it the "
            "patient ids as index",
        )
    return with_ids(given.rename(name).to_frame(), patient, what)


def text_table(
    frame: pd.DataFrame,
    patient: str,
    what: str,
) -> pd.DataFrame:
    """Write every cell as text, as `DataFrame.to_csv` and then a reader of CSV would.

    Parameters
    ----------
    frame : DataFrame
    patient : str
        Column of patient ids, which lose surrounding blanks.
    what : str
        Name of the argument, for messages.

    Returns
    -------
    DataFrame of str
        Of the same columns; what is missing is empty.

    Raises
    ------
    InputError
        When a row has no id, or a cell is a list or the like.
    """
    _refuse_nested(frame, patient, what)
    texts = cell_texts(frame)
    ids = texts[patient].str.strip()
    blank = np.flatnonzero(ids == "") + 1
    if len(blank):
        raise InputError(
            f"{what}: row {listed(blank)}: {patient!r} is empty, expected an id",
        )
    refuse_strange(what, ids, f"{patient!r} in data row")
    texts[patient] = ids
    texts.attrs = {"source": what, "notes": ()}
    return texts


def cell_texts(frame: pd.DataFrame) -> pd.DataFrame:
    """Cells as `DataFrame.to_csv` writes them, ``""`` where missing; a plain row index."""
    columns: dict[str, Any] = {}
    others = []
    for name, column in frame.items():
        if isinstance(column.dtype, np.dtype) and column.dtype.kind in "iuf":
            columns[str(name)] = _numbers_as_text(column.to_numpy())
        else:
            others.append(name)
    if others:
        columns |= _written(frame[others])
    ordered = {str(name): pd.Series(columns[str(name)], dtype=object) for name in frame}
    return pd.DataFrame(ordered, columns=list(map(str, frame.columns)))


def _numbers_as_text(values: Any) -> Any:
    """Numbers as pandas writes them, without writing them to a text first."""
    if values.dtype == np.float64:  # much faster than NumPy, and the same texts
        cells = np.array(list(map(repr, values.tolist())), object)
    else:
        cells = values.astype(str).astype(object)
    if values.dtype.kind == "f":
        cells[np.isnan(values)] = ""
    return cells


def _written(frame: pd.DataFrame) -> dict[str, list[str]]:
    """Cells by column, written by pandas and read as CSV."""
    for name, column in frame.items():
        returns = [isinstance(cell, str) and "\r" in cell for cell in column]
        if any(returns):
            cell = column.iloc[returns.index(True)]
            raise InputError(
                f"column {name!r}: {cell[:40]!r} holds the character U+000D; remove it"
            )
    text = frame.to_csv(index=False, header=False, lineterminator="\n")
    rows = list(csv.reader(io.StringIO(text, newline="")))
    cells = [[composed(cell) for cell in row] for row in rows]
    by_column = zip(*cells, strict=True) if cells else ([] for _ in frame.columns)
    return {
        str(name): list(column)
        for name, column in zip(frame.columns, by_column, strict=True)
    }


def _refuse_nested(frame: pd.DataFrame, patient: str, what: str) -> None:
    for name, column in frame.items():
        if column.dtype != object:
            continue
        nested = [isinstance(cell, _NESTED) for cell in column]
        if any(nested):
            row = nested.index(True)
            cell, owner = column.iloc[row], frame[patient].iloc[row]
            raise InputError(
                f"{what}: column {name!r}, patient {owner!r}: expected one value in a cell, got "
                f"{type(cell).__name__}; drop the column, or make one column of each value",
            )
