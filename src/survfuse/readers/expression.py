"""Expression matrices: patients in rows, genes in columns, the unit declared and held to it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from survfuse._errors import InputError, context, listed
from survfuse._types import AnyArray, Float32Array
from survfuse.readers.cell_text import composed, refuse_strange
from survfuse.readers.genes import (
    check_genes,
    doubtful_names,
    fits_kind,
    is_description,
    is_summary,
    looks_like_genes,
    plain_name,
)
from survfuse.readers.matrices import (
    MISSING,
    NamedMatrix,
    read_matrix,
    refuse_choices,
)
from survfuse.readers.repeated_genes import Duplicates, check_duplicates, one_of_each
from survfuse.readers.slide_features import sha256_path
from survfuse.readers.star_counts import read_star_counts, star_files
from survfuse.readers.units import check_unit

Orientation = Literal["patients_by_genes", "genes_by_patients"]


@dataclass(frozen=True, eq=False)
class Expression:
    """Gene expression of some patients.

    Attributes
    ----------
    values : ndarray, (patients, genes), float32
        NaN where missing.
    genes, patients : tuple of str
        Unique names of columns and rows; Ensembl ids without version.
    unit : str
        counts, tpm, log2tpm, log2counts, vst, zscore, fpkm or log2fpkm.
    gene_ids : str
        symbol, ensembl or entrez.
    source, sha256 : str
        Path and hash of the file, or of all files of a folder.
    notes : tuple of str
        What was read otherwise than it stands, by rule.
    doubts : tuple of str
        What was left out, and what a person should look at.
    """

    values: Float32Array = field(repr=False)
    genes: tuple[str, ...] = field(repr=False)
    patients: tuple[str, ...] = field(repr=False)
    unit: str
    gene_ids: str
    source: str
    sha256: str
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()


MANY_GENES = 20  # that have one value in a sample: of fewer, all may be 0


def read_expression(
    path: Path | str,
    *,
    unit: str,
    genes: str,
    patient_column: str | None = None,
    orientation: Orientation = "patients_by_genes",
    gene_suffix: str | None = None,
    missing: Collection[str] = MISSING,
    sheet: str | None = None,
    encoding: str | None = None,
    layer: str | None = None,
    duplicates: Duplicates = "refuse",
    repeated_patients: bool = False,
) -> Expression:
    """Read an expression matrix from a table, an ``.h5ad`` or a folder of one JSON per patient.

    What is no gene is left out and said in `doubts`: summaries of aligners and counters
    (``N_unmapped``, ``__no_feature``), columns that describe genes (``gene_name``, ``Length``),
    and,
    where Ensembl or Entrez ids are declared, whatever is none. The version of an Ensembl id is no
    part of its name.

    Parameters
    ----------
    path : path
        ``.csv``, ``.tsv``, ``.txt`` (also ``.gz``, ``.zip``), a workbook (``.xlsx``, ``.ods``),
        ``.parquet``, ``.h5ad``, a folder of the GDC's files (see
        :mod:`survfuse.readers.star_counts`), one ``.json`` or a folder of them
        (``{gene: value}``; the file's stem, minus a final ``_RNA``, is the patient).
    unit : str
        What the numbers are; never guessed, but refused where they contradict it.
    genes : {"symbol", "ensembl", "entrez"}
        What the gene ids are, likewise.
    patient_column : str or None
        Column of patient ids (of ``obs`` in an ``.h5ad``), or of gene ids where genes lie in rows;
        null
        takes the first column (the index).
    orientation : {"patients_by_genes", "genes_by_patients"}
        With the second, the first column holds genes and the header holds patients.
    gene_suffix : str or None
        Take only columns that end so, and take the ending off (``_rnaseq``).
    missing : collection of str
        Cells that mean "not known".
    sheet : str or None
        Sheet of a workbook; null takes the only one that has cells.
    encoding : str or None
        Encoding of a text that is neither UTF-8 nor UTF-16.
    layer : str or None
        Layer of an ``.h5ad``; null reads X.
    duplicates : {"refuse", "mean", "max", "sum", "first"}
        What becomes of a gene that stands in several columns (one symbol, or one Ensembl id in
        several versions), for each patient by itself. `sum` is for linear units only.
    repeated_patients : bool
        Let names of patients stand several times; what becomes of them is left to the caller.

    Returns
    -------
    Expression
        A missing cell, a JSON null and a gene that a patient's JSON lacks are NaN.

    Raises
    ------
    InputError
        On repeated genes or patients (named), cells that are not numbers (naming patient and
        gene), a contradicted unit, a patient who was not measured, or genes in rows where patients
        were declared.
    """
    source = Path(path)
    by_patient = _is_by_patient(source, orientation)
    if star_files(source):
        choices = {
            "patient": patient_column,
            "gene_suffix": gene_suffix,
            "sheet": sheet,
            "encoding": encoding,
            "layer": layer,
        }
        refuse_choices(source, **choices)
        matrix = read_star_counts(source, unit, genes, missing)
    else:
        matrix = read_matrix(
            source,
            patient_column,
            missing,
            gene_suffix if by_patient else None,
            unnamed=not by_patient,
            sheet=sheet,
            encoding=encoding,
            layer=layer,
        )
    return expression_of(
        matrix,
        source,
        unit=unit,
        genes=genes,
        sha256=sha256_path(source),
        orientation=orientation,
        gene_suffix=gene_suffix,
        duplicates=duplicates,
        repeated_patients=repeated_patients,
    )


def _is_by_patient(source: Path | str, orientation: str) -> bool:
    if orientation not in ("patients_by_genes", "genes_by_patients"):
        raise InputError(
            f"{source}: unknown orientation {orientation!r}; patients_by_genes or "
            "genes_by_patients",
        )
    return orientation == "patients_by_genes"


def expression_of(
    matrix: NamedMatrix,
    source: Path | str,
    *,
    unit: str,
    genes: str,
    sha256: str,
    orientation: Orientation = "patients_by_genes",
    gene_suffix: str | None = None,
    duplicates: Duplicates = "refuse",
    repeated_patients: bool = False,
) -> Expression:
    """Check a matrix in memory and make it an expression matrix.

    Parameters
    ----------
    matrix : NamedMatrix
        Rows are patients, or genes, as `orientation` says.
    source : path or str
        What the matrix is called in messages.
    sha256 : str
        Hash of its content.
    unit, genes, orientation, gene_suffix, duplicates, repeated_patients
        As for :func:`read_expression`.

    Raises
    ------
    InputError
        As :func:`read_expression`.
    """
    by_patient = _is_by_patient(source, orientation)
    check_duplicates(source, duplicates, unit)
    with context(str(source)):
        rows = list(map(composed, matrix.rows))
        columns = list(map(composed, matrix.columns))
    refuse_strange(source, rows, "name of row")
    refuse_strange(source, columns, "name of column", lines=True)
    values = matrix.values
    notes = list(matrix.notes)
    if not by_patient:
        rows, columns, values = columns, rows, np.ascontiguousarray(values.T)
        columns, values = _named(columns, values, notes)
    other = "genes_by_patients" if by_patient else "patients_by_genes"
    if looks_like_genes(rows):
        raise InputError(
            f"{source}: expected patients, got genes ({listed(rows, 3)}); declare orientation "
            f"{other!r}, or name the patient column",
        )
    if gene_suffix is not None:
        columns, values = _with_suffix(columns, values, gene_suffix, source)
        rows, values = _distinct(rows, values)
    if not repeated_patients:
        _refuse_repeated_patients(source, rows)
    if not all(map(str.strip, rows)):
        raise InputError(f"{source}: a patient has an empty name")
    measured = _select_genes(source, genes, columns, values, other, duplicates)
    doubts = [*notes, *measured.doubts]
    doubts += check_unit(measured.values, unit, source)
    _refuse_unmeasured(rows, measured.values, unit, source)
    return Expression(
        values=np.ascontiguousarray(measured.values, dtype=np.float32),
        genes=tuple(measured.names),
        patients=tuple(rows),
        unit=unit,
        gene_ids=genes,
        source=str(source),
        sha256=sha256,
        notes=tuple(measured.notes),
        doubts=tuple(doubts),
    )


@dataclass
class _Genes:
    """The columns that are genes, under their plain names."""

    names: list[str]
    values: AnyArray
    notes: list[str]
    doubts: list[str]


def _select_genes(
    source: Path | str,
    kind: str,
    columns: Sequence[str],
    values: AnyArray,
    other: str,
    duplicates: Duplicates,
) -> _Genes:
    """Leave out what is no gene of this kind; where most are none, the kind is refused."""
    stripped = pd.Series([name.strip() for name in columns])
    if not stripped.all():
        raise InputError(f"{source}: a gene has an empty name")
    strange = stripped.map(is_summary) | stripped.map(is_description)
    check_genes(stripped[~strange].tolist(), kind, source, other)
    if kind != "symbol":
        strange |= ~stripped.map(lambda name: fits_kind(name, kind))
    before, left_out = stripped[~strange], sorted(set(stripped[strange]))
    if before.empty:
        raise InputError(
            f"{source}: no gene; expected a column of numbers for each, got {listed(columns)}",
        )
    names = before.map(lambda name: plain_name(name, kind))
    genes = _Genes(
        *one_of_each(
            before.tolist(),
            names.tolist(),
            values[:, ~strange.to_numpy()] if left_out else values,
            duplicates,
            source,
        ),
        [],
    )
    if left_out:
        genes.doubts.append(
            f"{len(left_out)} name(s) are no gene and are left out, of library sizes too: "
            f"{listed(left_out, 10)}",
        )
    genes.doubts += doubtful_names(genes.names, kind)
    changed = before[before != names]
    if len(changed):
        what = "read as plain numbers"
        if kind == "ensembl":
            what = "the version is no part of an Ensembl id"
        genes.notes.append(f"{what} ({len(changed)} ids, such as {changed.iloc[0]})")
    return genes


def _named(
    columns: list[str],
    values: AnyArray,
    notes: list[str],
) -> tuple[list[str], AnyArray]:
    """Leave rows without the name of a gene out, and note how many."""
    named = [place for place, name in enumerate(columns) if name.strip()]
    if len(named) == len(columns):
        return columns, values
    notes.append(
        f"{len(columns) - len(named)} row(s) without the name of a gene are left out, of library "
        "sizes too",
    )
    return [columns[place] for place in named], values[:, named]


def _with_suffix(
    columns: list[str],
    values: AnyArray,
    suffix: str,
    source: Path | str,
) -> tuple[list[str], AnyArray]:
    places = [place for place, name in enumerate(columns) if name.endswith(suffix)]
    if not places:
        raise InputError(
            f"{source}: no column ends in {suffix!r}; it has {listed(columns)}",
        )
    return [columns[place].removesuffix(suffix) for place in places], values[:, places]


def _distinct(
    rows: list[str],
    values: AnyArray,
) -> tuple[list[str], AnyArray]:
    """Return the first of equal rows of a patient: other columns may make one row per slide."""
    first: dict[tuple[str, bytes], int] = {}
    for place, patient in enumerate(rows):
        first.setdefault((patient, values[place].tobytes()), place)
    places = list(first.values())
    return [rows[place] for place in places], values[places]


def _refuse_repeated_patients(
    source: Path | str,
    patients: Sequence[str],
) -> None:
    names = pd.Series(patients, dtype=object)
    twice = sorted(names[names.duplicated()].unique())
    if twice:
        raise InputError(
            f"{source}: patients appear twice: {listed(twice)}; keep one of each",
        )


def _refuse_unmeasured(
    patients: Sequence[str],
    values: AnyArray,
    unit: str,
    source: Path | str,
) -> None:
    """Refuse samples that were not measured: all counts 0, or one value for many genes."""
    known = np.isfinite(values).sum(axis=1)
    least = np.nan_to_num(values, nan=np.inf).min(axis=1)
    most = np.nan_to_num(values, nan=-np.inf).max(axis=1)
    same = (least == most) & (known >= MANY_GENES)
    if unit == "counts":
        same = (known > 0) & (most == 0)
    empty = np.flatnonzero(same).tolist()
    if empty:
        what = "count is 0" if unit == "counts" else f"value is {most[empty[0]]:g}"
        raise InputError(
            f"{source}: {listed(patients[row] for row in empty)}: every {what}, so nothing was "
            "measured; "
            "remove them, leave their cells empty, or correct `orientation` if these are genes",
        )
