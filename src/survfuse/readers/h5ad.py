"""AnnData files, ``.h5ad``: the matrix X and the names of its rows and columns.

References
----------
The on-disk format of AnnData, https://anndata.readthedocs.io/en/latest/fileformat-prose.html, and,
of versions before 0.7, data frames as arrays of records.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse

from survfuse._errors import InputError, listed
from survfuse._gate import refuse_claim
from survfuse._types import AnyArray
from survfuse.readers.hdf5_files import (
    Node,
    dataset,
    inside,
    look,
    read_numbers,
    read_values,
)

_ATTRIBUTES = (
    *("encoding-type", "shape", "h5sparse_format", "h5sparse_shape"),
    *("_index", "column-order", "categories"),
)
_MOST_SPARSE = 10_000
"""Ratio of a dense matrix to its stored values: real expression is denser than 1 in 5,000."""
_NULLABLE = ("nullable-integer", "nullable-boolean", "nullable-string-array")


def read_h5ad(
    path: Path,
    id_column: str | None,
    layer: str | None = None,
) -> tuple[list[str], list[str], AnyArray]:
    """Read names of rows, names of columns, and X or a layer as float64.

    Parameters
    ----------
    path : Path
    id_column : str or None
        Column of ``obs`` that names the rows; None takes its index.
    layer : str or None
        Name of the layer whose numbers are read; None takes X.

    Raises
    ------
    InputError
        When a part is missing, is of an unknown encoding, or contradicts another.
    """
    place = "X" if layer is None else f"layers/{layer}"
    parts = [place, *(f"{place}/{part}" for part in ("data", "indices", "indptr"))]
    nodes = look(path, [*parts, "obs", "var"], _ATTRIBUTES)
    if layer is not None and (place not in nodes or "/" in layer):
        known = [name.removeprefix("layers/") for name in look(path, ["layers/*"])]
        raise InputError(
            f"{path}: no layer {layer!r}; it has {listed(map(repr, known), 20) or 'none'}",
        )
    rows = _names(path, nodes, "obs", id_column)
    columns = _names(path, nodes, "var", None)
    matrix = inside(path, nodes, place) if place in nodes else Node("dataset")
    if matrix.kind == "dataset" and matrix.shape is None:
        raise InputError(f"{path}: {place} is empty, expected (patients, genes)")
    shape = (len(rows), len(columns))
    read = _dense if matrix.kind == "dataset" else _sparse
    return rows, columns, read(path, nodes, place, shape)


# -- obs and var


def _names(
    path: Path,
    nodes: Mapping[str, Node],
    name: str,
    column: str | None,
) -> list[str]:
    """Values of a column of a data frame as text, by default of its index.

    A data frame is a group of one dataset per column, or, in old versions, an array of records.
    """
    node = inside(path, nodes, name)
    records = node.fields if node.kind == "dataset" else None
    fields = list(records) if records else _fields(path, name, node)
    index, *columns = fields
    if column is not None and column not in columns:
        raise InputError(
            f"{path}: {name} has no column {column!r}; it has {listed(map(repr, columns))}",
        )
    key = index if column is None else column
    values = _field(path, name, node, key) if records else _column(path, name, key)
    unnamed = np.flatnonzero(pd.isna(pd.Series(values, dtype=object))).tolist()
    if unnamed:
        raise InputError(
            f"{path}: {name}, column {key!r}: {len(unnamed)} missing "
            f"(rows {listed(unnamed)}, counted from 0); remove these rows or name them",
        )
    return list(map(str, values))


def _fields(
    path: Path,
    name: str,
    node: Node,
) -> list[str]:
    """Index and columns of a data frame that is a group."""
    index, columns = node.attributes.get("_index"), node.attributes.get("column-order")
    columns = columns or []
    known = isinstance(index, str) and isinstance(columns, list)
    if node.kind != "group" or not known:
        raise InputError(
            f"{path}: {name} is no data frame of AnnData (a group with the attributes _index and "
            "column-order); write the file again with anndata",
        )
    return [str(index), *map(str, columns)]


def _column(
    path: Path,
    name: str,
    column: str,
) -> list[Any]:
    """Values of a column of a group, None where missing."""
    place, old = f"{name}/{column}", f"{name}/__categories/{column}"
    parts = [f"{place}/{part}" for part in ("codes", "categories", "values", "mask")]
    nodes = look(path, [place, old, *parts], _ATTRIBUTES)
    node = inside(path, nodes, place)
    encoding = node.attributes.get("encoding-type")
    if node.kind == "dataset" and "categories" in node.attributes:
        return _labels(path, name, nodes, place, old)
    if node.kind == "dataset":
        return _list(path, nodes, place)
    if encoding == "categorical":
        return _labels(path, name, nodes, parts[0], parts[1])
    if encoding in _NULLABLE:
        values, mask = _list(path, nodes, parts[2]), _list(path, nodes, parts[3])
        pairs = zip(values, mask, strict=False)
        return [None if missing else value for value, missing in pairs]
    raise InputError(
        f"{path}: {place} is encoded as {encoding!r}, expected texts, numbers or categories; "
        "write that column as text",
    )


def _field(
    path: Path,
    name: str,
    node: Node,
    column: str,
) -> list[Any]:
    """One column of records; its categories, if any, lie in ``uns``."""
    values = read_values(path, name, node, column)
    place = f"uns/{column}_categories"
    nodes = look(path, [place])
    if place not in nodes:
        return values
    return _decoded(path, name, values, _list(path, nodes, place))


def _list(
    path: Path,
    nodes: Mapping[str, Node],
    place: str,
) -> list[Any]:
    return read_values(path, place, inside(path, nodes, place))


def _labels(
    path: Path,
    name: str,
    nodes: Mapping[str, Node],
    codes: str,
    categories: str,
) -> list[Any]:
    numbers, labels = _list(path, nodes, codes), _list(path, nodes, categories)
    return _decoded(path, name, numbers, labels)


def _decoded(
    path: Path,
    name: str,
    codes: Sequence[Any],
    categories: Sequence[Any],
) -> list[Any]:
    """Replace codes of categories, of which -1 is missing, by what they stand for."""
    for code in codes:
        if not isinstance(code, int) or not -1 <= code < len(categories):
            raise InputError(
                f"{path}: {name} has the code {code!r} of {len(categories)} categories; "
                "write the file again with anndata",
            )
    return [None if code == -1 else categories[code] for code in codes]


# -- X


def _dense(
    path: Path,
    nodes: Mapping[str, Node],
    place: str,
    shape: tuple[int, int],
) -> AnyArray:
    node = dataset(path, nodes, place, kinds="fiub")
    _check_shape(path, place, node.shape, shape)
    refuse_claim(f"{path}: {place}", shape[0] * shape[1] * 8)
    return read_numbers(path, place, node).astype(np.float64)


def _check_shape(
    path: Path,
    place: str,
    claimed: Any,
    shape: tuple[int, int],
) -> None:
    claimed = tuple(claimed) if isinstance(claimed, list | tuple) else ()
    if claimed != shape:
        raise InputError(
            f"{path}: {place} has shape {claimed}, but obs names {shape[0]} rows and var "
            f"{shape[1]} columns; write the file again with anndata",
        )


def _sparse(
    path: Path,
    nodes: Mapping[str, Node],
    place: str,
    shape: tuple[int, int],
) -> AnyArray:
    about = nodes[place].attributes
    encoding = str(about.get("encoding-type") or about.get("h5sparse_format"))
    kind = encoding.removesuffix("_matrix")
    if kind not in ("csr", "csc"):
        raise InputError(
            f"{path}: {place} is encoded as {kind!r}, expected a dense array, csr_matrix or "
            "csc_matrix",
        )
    _check_shape(path, place, about.get("shape") or about.get("h5sparse_shape"), shape)
    parts = []
    for part, kinds in (("data", "fiub"), ("indices", "iu"), ("indptr", "iu")):
        node = dataset(path, nodes, f"{place}/{part}", kinds=kinds)
        if len(node.shape or ()) != 1:
            raise InputError(
                f"{path}: {place}/{part} has shape {node.shape}, expected one axis",
            )
        numbers = read_numbers(path, f"{place}/{part}", node)
        parts.append(numbers.astype(np.float64 if part == "data" else np.int64))
    data, indices, indptr = parts
    stored = data.nbytes + indices.nbytes
    claimed = shape[0] * shape[1] * 8
    refuse_claim(f"{path}: {place}", claimed, max(stored, 2**14), ratio=_MOST_SPARSE)
    lines, length = shape if kind == "csr" else shape[::-1]
    fault = _fault(data, indices, indptr, lines, length)
    if fault is None:
        matrix = scipy.sparse.csr_matrix((data, indices, indptr), (lines, length))
        matrix.sum_duplicates()
        if matrix.nnz == len(data):
            values: AnyArray = matrix.toarray()
            return values if kind == "csr" else values.T
        # which of the values holds, or their sum, is not known
        fault = (
            f"{len(data) - matrix.nnz} places have more than one value "
            "(X.sum_duplicates() adds them)"
        )
    raise InputError(
        f"{path}: {place} is no whole {kind} matrix of shape {shape}: {fault}; "
        "write the file again with anndata",
    )


def _fault(
    data: AnyArray,
    indices: AnyArray,
    indptr: AnyArray,
    lines: int,
    length: int,
) -> str | None:
    """Say what is wrong with a sparse matrix."""
    if len(indptr) != lines + 1:
        return f"indptr has {len(indptr)} values, expected {lines + 1}"
    if indptr[0] != 0 or indptr[-1] != len(indices) or (indptr[1:] < indptr[:-1]).any():
        return f"indptr does not rise from 0 to {len(indices)}, the number of indices"
    if len(data) != len(indices):
        return f"{len(data)} values, but {len(indices)} indices"
    if len(indices) and not 0 <= indices.min() <= indices.max() < length:
        return f"indices from {indices.min()} to {indices.max()}, expected 0 to {length - 1}"
    return None
