"""Expression matrices: patients in rows, genes in columns, the unit declared and held to it."""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from survfuse._errors import InputError, MissingExtraError, listed
from survfuse._storage import read_json
from survfuse.readers.array_checks import AnyArray
from survfuse.readers.hdf5 import refuse_hostile
from survfuse.readers.record import sha256_path
from survfuse.readers.tables import format_of, read_parquet, refuse_repeated, text_rows
from survfuse.readers.units import check_genes, check_unit, looks_like_genes

Orientation = Literal["patients_by_genes", "genes_by_patients"]
_Raw = tuple[list[str], list[str], AnyArray]
"""Row ids, column names, values (rows, columns) float64 with NaN for missing."""


@dataclass(frozen=True, eq=False)
class Expression:
    """Gene expression of some patients.

    Attributes
    ----------
    values : ndarray, (patients, genes), float32
        NaN where missing.
    genes, patients : tuple of str
        Unique names of columns and rows.
    unit : str
        counts, tpm, log2tpm, log2counts, vst, zscore, fpkm or log2fpkm.
    gene_ids : str
        symbol, ensembl or entrez.
    source, sha256 : str
        Path and hash of the file, or of all files of a folder.
    """

    values: npt.NDArray[np.float32] = field(repr=False)
    genes: tuple[str, ...] = field(repr=False)
    patients: tuple[str, ...] = field(repr=False)
    unit: str
    gene_ids: str
    source: str
    sha256: str


def read_expression(
    path: Path | str,
    *,
    unit: str,
    genes: str,
    patient_column: str | None = None,
    orientation: Orientation = "patients_by_genes",
    gene_suffix: str | None = None,
) -> Expression:
    """Read an expression matrix from a table, an ``.h5ad`` or a folder of one JSON per patient.

    Parameters
    ----------
    path : path
        ``.csv``, ``.tsv`` (also ``.gz``), ``.parquet``, ``.h5ad``, one ``.json`` or a folder of them
        (``{gene: value}``; the file's stem, minus a final ``_RNA``, is the patient).
    unit : str
        What the numbers are; never guessed, but refused where they contradict it.
    genes : {"symbol", "ensembl", "entrez"}
        What the gene ids are, likewise.
    patient_column : str or None
        Column of patient ids (of ``obs`` in an ``.h5ad``); null takes the first column (the index).
    orientation : {"patients_by_genes", "genes_by_patients"}
        With the second, the first column holds genes and the header holds patients.
    gene_suffix : str or None
        Take only columns that end so, and take the ending off (``_rnaseq``).

    Returns
    -------
    Expression
        An empty cell, a JSON null and a gene that a patient's JSON lacks are NaN.

    Raises
    ------
    InputError
        On repeated genes or patients (named), cells that are not numbers (naming patient and
        gene), a contradicted unit, or genes in rows where patients were declared.
    MissingExtraError
        For ``.h5ad`` without the anndata package.
    """
    source = Path(path)
    rows, columns, values = _reader(source)(source, patient_column)
    if orientation == "genes_by_patients":
        rows, columns, values = columns, rows, values.T
    elif orientation != "patients_by_genes":
        raise InputError(
            f"{source}: unknown orientation {orientation!r}; patients_by_genes or genes_by_patients"
        )
    if looks_like_genes(rows):
        other = "genes_by_patients" if orientation == "patients_by_genes" else "patients_by_genes"
        raise InputError(
            f"{source}: expected patients, got genes ({listed(rows, 3)}); declare orientation {other!r}, "
            "or name the patient column"
        )
    if gene_suffix is not None:
        columns, values = _only(columns, values, gene_suffix, source)
    _refuse_twice(source, "patient", rows)
    _refuse_twice(source, "gene", columns)
    check_genes(columns, genes, source)
    check_unit(values, unit, source)
    return Expression(
        values=np.ascontiguousarray(values, dtype=np.float32),
        genes=tuple(columns),
        patients=tuple(rows),
        unit=unit,
        gene_ids=genes,
        source=str(source),
        sha256=sha256_path(source),
    )


def _reader(source: Path) -> Callable[[Path, str | None], _Raw]:
    if not source.exists():
        raise InputError(f"{source}: no such file or folder")
    if source.is_dir() or source.suffix.lower() == ".json":
        return _json
    if source.suffix.lower() == ".h5ad":
        return _h5ad
    return _parquet if format_of(source) == ".parquet" else _delimited


def _only(columns: list[str], values: AnyArray, suffix: str, source: Path) -> tuple[list[str], AnyArray]:
    keep = [place for place, name in enumerate(columns) if name.endswith(suffix)]
    if not keep:
        raise InputError(f"{source}: no column ends in {suffix!r}; it has {listed(columns)}")
    return [columns[place].removesuffix(suffix) for place in keep], values[:, keep]


def _refuse_twice(source: Path, what: str, names: Sequence[str]) -> None:
    twice = sorted(name for name, n in Counter(names).items() if n > 1)
    if twice:
        raise InputError(f"{source}: {what}s appear twice: {listed(twice)}; keep one of each")
    if any(not name.strip() for name in names):
        raise InputError(f"{source}: a {what} has an empty name")


# -- text


def _delimited(source: Path, patient_column: str | None) -> _Raw:
    lines = text_rows(source)
    _, header = next(lines)
    names = [name.strip() for name in header]
    place = _id_place(source, names, patient_column)
    columns = names[:place] + names[place + 1 :]
    refuse_repeated(source, columns)
    ids: list[str] = []
    rows: list[AnyArray] = []
    for line, cells in lines:
        who = cells.pop(place).strip()
        if not who:
            raise InputError(f"{source}: line {line}: the id in column {names[place]!r} is empty")
        ids.append(who)
        rows.append(_numbers(cells, who, columns, source))
    return ids, columns, np.stack(rows) if rows else np.zeros((0, len(columns)))


def _id_place(source: Path, names: Sequence[str], patient_column: str | None) -> int:
    if patient_column is None:
        return 0
    if patient_column not in names:
        raise InputError(f"{source}: no column {patient_column!r}; it has {listed(map(repr, names), 10)}")
    return names.index(patient_column)


def _numbers(cells: Sequence[str], who: str, columns: Sequence[str], source: Path) -> npt.NDArray[np.float64]:
    """Turn one row into numbers: at once if every cell is one, else cell by cell."""
    try:
        row = np.array([float(cell) for cell in cells])
        if np.isfinite(row).all() and "_" not in "".join(cells):
            return row
    except ValueError:
        pass
    return np.array([_number(cell, who, name, source) for cell, name in zip(cells, columns, strict=True)])


def _number(cell: str, who: str, name: str, source: Path) -> float:
    if not cell.strip():
        return math.nan
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or "_" in cell:  # Python reads 1_000 as a number; nobody else does
        raise InputError(
            f"{source}: {who!r}, {name!r}: {cell[:40]!r} is not a finite number; "
            "leave the cell empty if it is missing"
        )
    return value


# -- Parquet


def _parquet(source: Path, patient_column: str | None) -> _Raw:
    import pyarrow as pa

    table = read_parquet(source)
    names = [str(name) for name in table.column_names]
    place = _id_place(source, names, patient_column or _pandas_index(table, names))
    ids = ["" if v is None else str(v).strip() for v in table.column(place).to_pylist()]
    rest = [i for i in range(len(names)) if i != place]
    for i in rest:
        kind = table.column(i).type
        if not (pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_null(kind)):
            raise InputError(f"{source}: column {names[i]!r} has type {kind}, expected numbers")
    values = np.empty((table.num_rows, len(rest)))
    for column, i in enumerate(rest):
        values[:, column] = table.column(i).cast(pa.float64()).to_numpy()
    _refuse_infinite(values, ids, [names[i] for i in rest], source)
    return ids, [names[i] for i in rest], values


def _pandas_index(table: Any, names: Sequence[str]) -> str | None:
    """Name the column in which pandas keeps its row index, if it wrote one."""
    said = table.schema.pandas_metadata or {}
    index = [
        column for column in said.get("index_columns", []) if isinstance(column, str) and column in names
    ]
    return index[0] if len(index) == 1 else None


def _refuse_infinite(values: AnyArray, ids: Sequence[str], columns: Sequence[str], source: Path) -> None:
    infinite = np.argwhere(np.isinf(values))
    if len(infinite):
        row, column = infinite[0]
        raise InputError(
            f"{source}: {ids[row]!r}, {columns[column]!r}: infinite ({len(infinite)} such values); "
            "leave the cell empty if it is missing"
        )


# -- JSON


def _json(source: Path, patient_column: str | None) -> _Raw:
    if patient_column is not None:
        raise InputError(f"{source}: JSON files are named after their patients; leave `patient_column` out")
    files = sorted(source.glob("*.json")) if source.is_dir() else [source]
    if not files:
        raise InputError(f"{source}: no .json file in this folder, expected one per patient")
    places: dict[str, int] = {}
    rows: list[tuple[tuple[str, ...], AnyArray]] = []
    shared: tuple[str, ...] = ()
    for file in files:
        genes, row = _json_row(file)
        genes = shared if genes == shared else genes
        shared = shared or genes
        if genes is not shared or not places:
            for gene in genes:
                places.setdefault(gene, len(places))
        rows.append((genes, row))
    values = np.full((len(files), len(places)), np.nan)
    for place, (genes, row) in enumerate(rows):
        if genes is shared:
            values[place, : len(genes)] = row
        else:
            values[place, [places[gene] for gene in genes]] = row
    return [file.stem.removesuffix("_RNA") for file in files], list(places), values


def _json_row(file: Path) -> tuple[tuple[str, ...], npt.NDArray[np.float64]]:
    said = read_json(file)
    if not isinstance(said, Mapping) or not said:
        raise InputError(
            f"{file}: expected an object {{gene: value}}, got {type(said).__name__} of nothing usable"
        )
    kinds = {type(value) for value in said.values()}
    if not kinds <= {float, int, type(None)}:
        gene, value = next((g, v) for g, v in said.items() if type(v) not in (float, int, type(None)))
        raise InputError(f"{file}: {gene!r}: {str(value)[:40]!r} is not a number; use null if it is missing")
    try:
        row = np.array([math.nan if v is None else v for v in said.values()], dtype=np.float64)
    except OverflowError:
        raise InputError(f"{file}: an integer does not fit a double") from None
    return tuple(said), row


# -- AnnData


def _h5ad(source: Path, patient_column: str | None) -> _Raw:
    try:
        import anndata
    except ImportError:
        raise MissingExtraError(
            f"{source}: reading .h5ad needs anndata: pip install survfuse[anndata]"
        ) from None
    refuse_hostile(source)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # repeated names are refused by us, not remarked upon
            data = anndata.read_h5ad(source)
    except (OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise InputError(f"{source}: not a whole .h5ad file ({type(error).__name__}: {error})") from None
    if patient_column is not None and patient_column not in data.obs:
        raise InputError(
            f"{source}: obs has no column {patient_column!r}; it has {listed(map(repr, data.obs.columns))}"
        )
    ids = data.obs_names if patient_column is None else data.obs[patient_column]
    matrix = data.X
    if matrix is None:
        raise InputError(f"{source}: X is empty, expected (patients, genes)")
    dense = np.asarray(matrix.toarray() if hasattr(matrix, "toarray") else matrix, dtype=np.float64)
    rows, columns = [str(i).strip() for i in ids], [str(g) for g in data.var_names]
    _refuse_infinite(dense, rows, columns, source)
    return rows, columns, dense
