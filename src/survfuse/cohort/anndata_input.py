"""Matrices in memory: DataFrames, AnnData and MuData, as expression and as tables.

AnnData and MuData are known by their attributes; neither package is imported.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse

from survfuse._errors import CohortError, InputError, listed
from survfuse._types import AnyArray
from survfuse.cohort.frame_texts import (
    PATIENT,
    as_frame,
    cell_texts,
    id_column,
    with_ids,
)
from survfuse.readers.cell_text import instead_of_number, is_number, only_difference
from survfuse.readers.genes import is_description
from survfuse.readers.matrices import MISSING, NamedMatrix

RNA = "rna"
"""Modality of a MuData that is taken as expression."""


def is_anndata(given: Any) -> bool:
    """Whether something is an AnnData."""
    return all(hasattr(given, name) for name in ("obs", "var", "X", "layers"))


def is_mudata(given: Any) -> bool:
    """Whether something is a MuData."""
    return all(hasattr(given, name) for name in ("obs", "mod", "obsm"))


def table_or_obs(given: Any, what: str) -> pd.DataFrame:
    """Make a DataFrame of a table, or of the ``obs`` of an AnnData or MuData.

    Raises
    ------
    CohortError
        When it is none of these.
    """
    if is_anndata(given) or is_mudata(given):
        obs = as_frame(given.obs, f"{what}.obs")
        return obs.set_axis(obs.index.astype(str).rename("obs_names"), axis=0)
    return as_frame(given, what)


def split_mudata(given: Any) -> tuple[Any, dict[str, Any]]:
    """Split a MuData: the expression (``rna``), and the other modalities by name.

    Raises
    ------
    CohortError
        When it has no modality ``rna``.
    """
    mods = dict(given.mod)
    if RNA not in mods:
        raise CohortError(
            f"expression: the MuData has the modalities {listed(map(repr, mods))}, none of which "
            f"is {RNA!r}; give one as expression, and others as tables: "
            "expression=mdata['NAME'], tables={'NAME': mdata['NAME']}",
        )
    return mods.pop(RNA), mods


def named_matrix(
    given: Any,
    patient: str | None,
    layer: str | None,
    orientation: str,
    what: str,
) -> NamedMatrix:
    """Take a matrix of numbers out of a table or an AnnData.

    Parameters
    ----------
    given : DataFrame, other table, or AnnData
        An AnnData gives X, or a layer, of ``obs_names`` by ``var_names``, sparse or not.
    patient : str or None
        Column of patient ids (of ``obs``); see :func:`~survfuse.cohort.frame_texts.id_column`.
    layer : str or None
    orientation : str
        "patients_by_genes" or "genes_by_patients"; a table of the second kind without an index has
        the genes in its first column.
    what : str
        Name of the argument, for messages.

    Raises
    ------
    InputError
        On an unknown layer, a cell that is no finite number, or rows without ids.
    """
    if is_anndata(given):
        return _of_anndata(given, patient, layer, what)
    if layer is not None:
        raise CohortError(f"{what}: a layer belongs to an AnnData, got a table")
    frame = as_frame(given, what, repeated=True)
    genes_first = orientation == "genes_by_patients"
    if genes_first and not (frame.index.name or patient in frame):
        counted = pd.api.types.is_integer_dtype(frame.index.dtype)
        names = frame.iloc[:, 0].astype(str) if counted else frame.index.astype(str)
        rest = frame.iloc[:, 1:] if counted else frame
        return _of_frame(rest, [name.strip() for name in names], what)
    name = id_column(frame, patient, what)
    if name is None:
        ids = cell_texts(frame.index.to_frame(index=False))
        return _of_frame(frame, ids.iloc[:, 0].str.strip().tolist(), what)
    ids = cell_texts(frame[[name]])
    return _of_frame(frame.drop(columns=name), ids[name].str.strip().tolist(), what)


def _of_anndata(
    given: Any,
    patient: str | None,
    layer: str | None,
    what: str,
) -> NamedMatrix:
    if layer is not None and layer not in given.layers:
        raise CohortError(
            f"{what}: the AnnData has no layer {layer!r}; it has "
            f"{listed(map(repr, given.layers)) or 'none'}, or leave `layer` out to take X",
        )
    stored = given.X if layer is None else given.layers[layer]
    if stored is None:
        raise CohortError(
            f"{what}: the AnnData has no X; say which layer: layer=..., of "
            f"{listed(map(repr, given.layers)) or 'none'}",
        )
    obs = table_or_obs(given, what)
    ids = with_ids(obs, patient, what)
    rows = cell_texts(ids[[patient or PATIENT]]).iloc[:, 0].str.strip().tolist()
    columns = [str(name) for name in given.var_names]
    values = _dense(stored, what)
    return _checked(rows, columns, values, (), what)


def _dense(stored: Any, what: str) -> AnyArray:
    """Make a dense matrix of doubles of one that may be sparse or lie in a file."""
    if hasattr(stored, "to_memory"):
        stored = stored.to_memory()
    if scipy.sparse.issparse(stored):
        stored = stored.toarray()
    values = np.asarray(stored)
    if values.dtype.kind not in "fiub" or values.ndim != 2:
        raise CohortError(
            f"{what}: expected a matrix of numbers, got {values.dtype} of shape {values.shape}",
        )
    return values.astype(np.float64)


def _of_frame(
    frame: pd.DataFrame,
    rows: list[str],
    what: str,
) -> NamedMatrix:
    left_out = [str(name) for name in frame if is_description(str(name))]
    notes: tuple[str, ...] = ()
    if left_out:
        text = "columns that are neither genes nor patients left out: "
        notes = (text + listed(map(repr, left_out)),)
    frame = frame.drop(columns=left_out)
    columns = [str(name) for name in frame]
    if _is_plain(frame):
        return _checked(rows, columns, frame.to_numpy(np.float64), notes, what)
    values = np.empty(frame.shape)
    for place, (name, column) in enumerate(frame.items()):
        values[:, place] = _numbers(column, str(name), rows, what)
    return _checked(rows, columns, values, notes, what)


def _is_plain(frame: pd.DataFrame) -> bool:
    """Whether all columns are numbers of NumPy's own dtypes."""
    for dtype in frame.dtypes.unique():
        if not isinstance(dtype, np.dtype) or dtype.kind not in "fiu":
            return False
    return True


def _numbers(
    column: pd.Series[Any],
    name: str,
    rows: Sequence[str],
    what: str,
) -> AnyArray:
    """Numbers of a column of other things, NaN where missing."""
    cells = cell_texts(column.to_frame("cell"))["cell"].str.strip()
    unknown = cells.isin(MISSING)
    wrong = np.flatnonzero(~(unknown | cells.map(is_number)))
    if len(wrong):
        cell = cells.iloc[wrong[0]]
        hint = instead_of_number(cell) or "drop the column if it is no gene"
        raise InputError(
            f"{what}: patient {rows[wrong[0]]!r}, {name!r}: {cell[:40]!r} is no number; {hint}",
        )
    # pandas reads numbers a little otherwise than Python
    return np.array([float(cell) for cell in cells.mask(unknown, "nan")])


def _checked(
    rows: list[str],
    columns: list[str],
    values: AnyArray,
    notes: tuple[str, ...],
    what: str,
) -> NamedMatrix:
    """Refuse rows without id, and infinite values."""
    if "" in rows:
        raise InputError(f"{what}: row {rows.index('') + 1} has no patient id")
    infinite = np.argwhere(np.isinf(values))
    if len(infinite):
        row, column = infinite[0]
        raise InputError(
            f"{what}: patient {rows[row]!r}, {columns[column]!r}: {values[row, column]} is not a "
            "finite number; NaN means 'not known'",
        )
    return NamedMatrix(rows, columns, values, notes)


def matrix_table(given: Any, patient: str | None, what: str) -> pd.DataFrame:
    """Make a table of an AnnData (its X by ``var_names``), or give the table that it is."""
    if not is_anndata(given):
        return as_frame(given, what)
    matrix = _of_anndata(given, patient, None, what)
    index = pd.Index(matrix.rows, name=patient or PATIENT, dtype=object)
    return as_frame(pd.DataFrame(matrix.values, index, matrix.columns), what)


def write_obs(
    given: Any,
    table: pd.DataFrame,
    patient: str | None,
    *,
    force: bool,
) -> tuple[str, ...]:
    """Write columns into ``obs``, aligned by patient id; texts become categories.

    Parameters
    ----------
    given : AnnData or MuData
    table : DataFrame
        Indexed by patient id.
    patient : str or None
        Column of ids of ``obs``.
    force : bool
        Whether columns of these names may be replaced.

    Raises
    ------
    InputError
        When no patient is the same, or columns would be replaced.
    """
    if not (is_anndata(given) or is_mudata(given)):
        raise InputError(f"expected an AnnData or a MuData, got {type(given).__name__}")
    there = [name for name in table if name in given.obs]
    if there and not force:
        raise InputError(
            f"obs has the columns {listed(there)}; force=True replaces them, or say another prefix",
        )
    ids = with_ids(table_or_obs(given, "data"), patient, "data")
    owners = cell_texts(ids[[patient or PATIENT]]).iloc[:, 0].str.strip()
    if not owners.isin(table.index).any():
        hint = (
            only_difference(owners, table.index)
            or "say which column of obs: patient=..."
        )
        raise InputError(
            f"obs names none of the {len(table)} predicted patients "
            f"({listed(map(repr, table.index), 3)}), but {listed(map(repr, owners), 3)}; {hint}",
        )
    for name, column in table.items():
        values = column.reindex(owners)
        if values.dtype == object:
            values = values.astype("category")
        given.obs[name] = values.set_axis(given.obs.index)
    return tuple(map(str, table))
