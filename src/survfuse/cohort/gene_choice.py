"""Which genes are used: those of a list or of gene sets, those that vary, the most variable."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from survfuse._errors import TransformError, listed
from survfuse._gate import read_text
from survfuse._types import FloatArray
from survfuse.cohort.modalities import ExpressionData
from survfuse.readers.genes import match_genes

SIZE_LIMIT = 64 * 2**20  # bytes of a list of genes or gene sets

Genes = npt.NDArray[np.object_]
Places = npt.NDArray[np.intp]


def read_gmt(path: Path | str) -> dict[str, tuple[str, ...]]:
    """Read gene sets: one a line, tab-separated: name, description, genes.

    Raises
    ------
    TransformError
        When the file is absent, a line has no gene, or a name repeats.
    """
    sets: dict[str, tuple[str, ...]] = {}
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip():
            continue
        name, *rest = line.rstrip("\r\n").split("\t")
        genes = tuple(filter(None, dict.fromkeys(map(str.strip, rest[1:]))))
        if not genes:
            raise TransformError(
                f"{path}: line {number}: expected NAME<tab>DESCRIPTION<tab>GENE..., got "
                f"{line[:60]!r}",
            )
        if name in sets:
            raise TransformError(
                f"{path}: line {number}: gene set {name!r} appears twice",
            )
        sets[name] = genes
    return sets


def read_gene_list(path: Path | str) -> tuple[str, ...]:
    """Read one gene a line; empty lines and lines that start with # are skipped.

    Raises
    ------
    TransformError
        When the file is absent or names no gene.
    """
    genes: dict[str, None] = {}
    for line in _lines(path):
        gene = line.strip()
        if gene and not gene.startswith("#"):
            genes[gene] = None
    if not genes:
        raise TransformError(f"{path}: names no gene; expected one a line")
    return tuple(genes)


def _lines(path: Path | str) -> list[str]:
    return read_text(
        path,
        limit=SIZE_LIMIT,
        error=TransformError,
    ).splitlines()


def respelled(spellings: Sequence[tuple[str, str]]) -> str:
    """Note genes that are measured with another spelling, of pairs (wanted, measured)."""
    examples = listed((f"{given} for {wanted}" for wanted, given in spellings), 5)
    return (
        f"{len(spellings)} gene(s) have the same name but for letter case, version or punctuation, "
        f"and are taken for the same: {examples}"
    )


def listed_genes(
    genes: Genes,
    path: Path,
    data: ExpressionData,
    notes: list[str],
) -> Places:
    """Places of the genes that a file lists, in the matrix's order."""
    names = read_gene_list(path)
    places, spellings = match_genes(names, genes.tolist(), data.expression.gene_ids)
    if (places < 0).all():
        raise TransformError(
            f"{path}: none of its {len(names)} genes ({listed(names, 3)}) is measured in "
            f"{data.name!r}, which has {listed(genes, 3)}",
        )
    if spellings:
        notes.append(f"{data.name}: {respelled(spellings)} ({path.name})")
    absent = np.sort(np.array(names, object)[places < 0])
    if len(absent):
        notes.append(
            f"{data.name}: {len(absent)} listed genes are not measured: {listed(absent, 20)}",
        )
    return np.unique(places[places >= 0])


def usable_genes(
    genes: Genes,
    values: FloatArray,
    name: str,
    notes: list[str],
    *,
    keep_constant: bool,
) -> Places:
    """Places of genes that a training patient has and that vary."""
    measured = np.asarray(~np.isnan(values).all(axis=0))
    usable = measured.copy()
    if not measured.all():
        absent = genes[~measured]
        notes.append(
            f"{name}: {len(absent)} genes without any training value dropped: {listed(absent)}",
        )
    if not keep_constant and measured.any():
        own = values if measured.all() else values[:, measured]
        usable[measured] = np.nanmax(own, axis=0) > np.nanmin(own, axis=0)
        constant = genes[measured & ~usable]
        if len(constant):
            notes.append(
                f"{name}: {len(constant)} genes constant in training dropped: {listed(constant)}",
            )
    if not usable.any():
        raise TransformError(
            f"{name}: no gene varies among the {len(values)} training patients",
        )
    return np.flatnonzero(usable)


def most_variable(
    genes: Genes,
    values: FloatArray,
    top: int,
) -> Places:
    """Places of the genes of largest training variance, in the file's order; ties go by name."""
    variance = np.nanvar(values, axis=0)
    return np.sort(np.lexsort((genes.astype(str), -variance))[:top])
