"""AnnData files, ``.h5ad``: the matrix X and the names of its rows and columns; nothing else is opened.

References
----------
The on-disk format of AnnData, https://anndata.readthedocs.io/en/latest/fileformat-prose.html, and,
of versions before 0.7, data frames as arrays of records.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from survfuse._errors import InputError, listed
from survfuse._gate import refuse_claim, regular_file
from survfuse.readers.array_checks import AnyArray
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
_NULLABLE = ("nullable-integer", "nullable-boolean", "nullable-string-array")


def read_h5ad(
    path: Path,
    id_column: str | None,
) -> tuple[list[str], list[str], AnyArray]:
    """Read names of rows, names of columns, and X as float64.

    Parameters
    ----------
    path : Path
    id_column : str or None
        Column of ``obs`` that names the rows; None takes its index.

    Raises
    ------
    InputError
        When a part is missing, is of an unknown encoding, or contradicts another.
    """
    names = ["X", "X/data", "X/indices", "X/indptr", "obs", "var"]
    nodes = look(path, names, _ATTRIBUTES)
    rows = _Frame.of(path, nodes, "obs").names(id_column)
    columns = _Frame.of(path, nodes, "var").names(None)
    matrix = inside(path, nodes, "X") if "X" in nodes else Node("dataset")
    if matrix.kind == "dataset" and matrix.shape is None:
        raise InputError(f"{path}: X is empty, expected (patients, genes)")
    shape = (len(rows), len(columns))
    if matrix.kind == "dataset":
        return rows, columns, _dense(path, nodes, shape)
    return rows, columns, _sparse(path, nodes, shape)


# -- obs and var


@dataclass(frozen=True)
class _Frame:
    """A data frame: a group of one dataset per column, or, of old versions, one array of records."""

    path: Path
    name: str
    node: Node
    index: str
    columns: Sequence[str]

    @classmethod
    def of(cls, path: Path, nodes: Mapping[str, Node], name: str) -> _Frame:
        node = inside(path, nodes, name)
        if node.kind == "dataset" and node.fields:
            return cls(path, name, node, node.fields[0], node.fields[1:])
        index, columns = (
            node.attributes.get("_index"),
            node.attributes.get("column-order") or [],
        )
        if (
            node.kind != "group"
            or not isinstance(index, str)
            or not isinstance(columns, list)
        ):
            raise InputError(
                f"{path}: {name} is no data frame of AnnData (a group with the attributes _index and "
                "column-order); write the file again with anndata",
            )
        return cls(path, name, node, index, [str(column) for column in columns])

    def names(self, column: str | None) -> list[str]:
        """Values of a column as text, by default of the index."""
        if column is not None and column not in self.columns:
            raise InputError(
                f"{self.path}: {self.name} has no column {column!r}; it has {listed(map(repr, self.columns))}",
            )
        key = self.index if column is None else column
        values = self._values(key) if self.node.kind == "group" else self._field(key)
        unnamed = [
            row for row, value in enumerate(values) if value is None or value != value
        ]
        if unnamed:
            raise InputError(
                f"{self.path}: {self.name}, column {key!r}: {len(unnamed)} missing "
                f"(rows {listed(unnamed)}, counted from 0); remove these rows or name them",
            )
        return [str(value) for value in values]

    def _values(self, column: str) -> list[Any]:
        place = f"{self.name}/{column}"
        old = f"{self.name}/__categories/{column}"
        parts = [
            f"{place}/{part}" for part in ("codes", "categories", "values", "mask")
        ]
        nodes = look(self.path, [place, old, *parts], _ATTRIBUTES)
        node = inside(self.path, nodes, place)
        encoding = node.attributes.get("encoding-type")
        if node.kind == "dataset":
            values = self._list(nodes, place)
            return (
                self._labels(values, self._list(nodes, old))
                if "categories" in node.attributes
                else values
            )
        if encoding == "categorical":
            return self._labels(
                self._list(nodes, parts[0]),
                self._list(nodes, parts[1]),
            )
        if encoding in _NULLABLE:
            pairs = zip(
                self._list(nodes, parts[2]),
                self._list(nodes, parts[3]),
                strict=False,
            )
            return [None if missing else value for value, missing in pairs]
        raise InputError(
            f"{self.path}: {place} is encoded as {encoding!r}, expected texts, numbers or categories; "
            "write that column as text",
        )

    def _field(self, column: str) -> list[Any]:
        """One column of records; its categories, if any, lie in ``uns``."""
        values = read_values(self.path, self.name, self.node, column)
        place = f"uns/{column}_categories"
        nodes = look(self.path, [place])
        return (
            self._labels(values, self._list(nodes, place)) if place in nodes else values
        )

    def _list(self, nodes: Mapping[str, Node], place: str) -> list[Any]:
        return read_values(self.path, place, inside(self.path, nodes, place))

    def _labels(self, codes: Sequence[Any], categories: Sequence[Any]) -> list[Any]:
        """Replace codes of categories, of which -1 is missing, by what they stand for."""
        for code in codes:
            if not isinstance(code, int) or not -1 <= code < len(categories):
                raise InputError(
                    f"{self.path}: {self.name} has the code {code!r} of {len(categories)} categories; "
                    "write the file again with anndata",
                )
        return [None if code == -1 else categories[code] for code in codes]


# -- X


def _dense(path: Path, nodes: Mapping[str, Node], shape: tuple[int, int]) -> AnyArray:
    node = dataset(path, nodes, "X", kinds="fiub")
    _refuse_shape(path, node.shape or (), shape)
    refuse_claim(f"{path}: X", shape[0] * shape[1] * 8)
    return read_numbers(path, "X", node).astype(np.float64)


def _refuse_shape(path: Path, claimed: Sequence[Any], shape: tuple[int, int]) -> None:
    if tuple(claimed) != shape:
        raise InputError(
            f"{path}: X has shape {tuple(claimed)}, but obs names {shape[0]} rows and var {shape[1]} "
            "columns; write the file again with anndata",
        )


def _sparse(path: Path, nodes: Mapping[str, Node], shape: tuple[int, int]) -> AnyArray:
    about = nodes["X"].attributes
    kind = str(about.get("encoding-type") or about.get("h5sparse_format")).removesuffix(
        "_matrix",
    )
    if kind not in ("csr", "csc"):
        raise InputError(
            f"{path}: X is encoded as {kind!r}, expected a dense array, csr_matrix or csc_matrix",
        )
    claimed = about.get("shape") or about.get("h5sparse_shape")
    _refuse_shape(path, claimed if isinstance(claimed, list) else (), shape)
    refuse_claim(f"{path}: X", shape[0] * shape[1] * 8, regular_file(path))
    numbers = {}
    for part, kinds in (("data", "fiub"), ("indices", "iu"), ("indptr", "iu")):
        node = dataset(path, nodes, f"X/{part}", kinds=kinds)
        numbers[part] = read_numbers(path, f"X/{part}", node)
        if numbers[part].ndim != 1:
            raise InputError(
                f"{path}: X/{part} has shape {node.shape}, expected one axis",
            )
    indptr, indices = (
        numbers["indptr"].astype(np.int64),
        numbers["indices"].astype(np.int64),
    )
    across = shape if kind == "csr" else shape[::-1]
    fault = _fault(numbers["data"], indices, indptr, across)
    if fault is None:
        values = np.zeros(across)
        line = np.repeat(np.arange(across[0]), np.diff(indptr))
        values[line, indices] = numbers["data"]
        fault = _twice(line, indices, across)
    if fault is not None:
        raise InputError(
            f"{path}: X is no whole {kind} matrix of shape {shape}: {fault}; "
            "write the file again with anndata",
        )
    return values if kind == "csr" else values.T


def _fault(
    data: AnyArray,
    indices: AnyArray,
    indptr: AnyArray,
    shape: tuple[int, int],
) -> str | None:
    """Say what is wrong with a sparse matrix of `shape` (lines, length of a line)."""
    if len(indptr) != shape[0] + 1:
        return f"indptr has {len(indptr)} values, expected {shape[0] + 1}"
    if indptr[0] != 0 or indptr[-1] != len(indices) or (indptr[1:] < indptr[:-1]).any():
        return f"indptr does not rise from 0 to {len(indices)}, the number of indices"
    if len(data) != len(indices):
        return f"{len(data)} values, but {len(indices)} indices"
    if len(indices) and not 0 <= indices.min() <= indices.max() < shape[1]:
        return f"indices from {indices.min()} to {indices.max()}, expected 0 to {shape[1] - 1}"
    return None


def _twice(line: AnyArray, indices: AnyArray, shape: tuple[int, int]) -> str | None:
    """Say whether a place has two values: which of them holds, or their sum, is not known."""
    filled = np.zeros(shape, np.bool_)
    filled[line, indices] = True
    twice = len(line) - int(filled.sum())
    return (
        f"{twice} places have more than one value (X.sum_duplicates() adds them)"
        if twice
        else None
    )
