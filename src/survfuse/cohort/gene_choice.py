"""Which genes are used: those of a list or of gene sets, those that vary, the most variable."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from survfuse._errors import TransformError, listed
from survfuse._gate import read_text
from survfuse.cohort.modalities import ExpressionData
from survfuse.readers.genes import match_genes

SIZE_LIMIT = 64 * 2**20  # bytes of a list of genes or gene sets

Genes = npt.NDArray[np.object_]
Values = npt.NDArray[np.float64]


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
        genes = tuple(dict.fromkeys(gene.strip() for gene in rest[1:] if gene.strip()))
        if not genes:
            raise TransformError(
                f"{path}: line {number}: expected NAME<tab>DESCRIPTION<tab>GENE..., got {line[:60]!r}",
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
    genes = tuple(
        dict.fromkeys(
            t for line in _lines(path) if (t := line.strip()) and not t.startswith("#")
        ),
    )
    if not genes:
        raise TransformError(f"{path}: names no gene; expected one a line")
    return genes


def _lines(path: Path | str) -> list[str]:
    return read_text(path, limit=SIZE_LIMIT, error=TransformError).splitlines()


def respelled(spellings: Sequence[tuple[str, str]]) -> str:
    """Say which genes were found under another spelling, of pairs (wanted, measured)."""
    examples = listed((f"{given} for {wanted}" for wanted, given in spellings), 5)
    return (
        f"{len(spellings)} gene(s) have the same name but for letter case, version or punctuation, and are "
        f"taken for the same: {examples}"
    )


def listed_genes(
    genes: Genes,
    values: Values,
    path: Path | None,
    data: ExpressionData,
    notes: list[str],
) -> tuple[Genes, Values]:
    """Keep the genes that a file lists, in the matrix's order; all where there is no file."""
    if path is None:
        return genes, values
    wanted = read_gene_list(path)
    places, spellings = match_genes(wanted, genes.tolist(), data.expression.gene_ids)
    keep = np.unique(places[places >= 0])
    if not len(keep):
        raise TransformError(
            f"{path}: none of its {len(wanted)} genes ({listed(wanted, 3)}) is measured in {data.name!r}, "
            f"which has {listed(genes, 3)}",
        )
    if spellings:
        notes.append(f"{data.name}: {respelled(spellings)} ({path.name})")
    absent = sorted(
        gene for gene, place in zip(wanted, places, strict=True) if place < 0
    )
    if absent:
        notes.append(
            f"{data.name}: {len(absent)} listed genes are not measured: {listed(absent, 20)}",
        )
    return genes[keep], values[:, keep]


def usable_genes(
    genes: Genes,
    values: Values,
    name: str,
    notes: list[str],
    *,
    keep_constant: bool,
) -> tuple[Genes, Values]:
    """Drop genes that no training patient has, and constant ones unless the scale is kept as it is."""
    measured = ~np.isnan(values).all(axis=0)
    if not measured.all():
        notes.append(
            f"{name}: {int((~measured).sum())} genes without any training value dropped: "
            f"{listed(genes[~measured])}",
        )
        genes, values = genes[measured], values[:, measured]
    if not keep_constant and len(genes):
        varies = np.nanmax(values, axis=0) > np.nanmin(values, axis=0)
        if not varies.all():
            notes.append(
                f"{name}: {int((~varies).sum())} genes constant in training dropped: {listed(genes[~varies])}",
            )
            genes, values = genes[varies], values[:, varies]
    if not len(genes):
        raise TransformError(
            f"{name}: no gene varies among the {len(values)} training patients",
        )
    return genes, values


def most_variable(
    genes: Genes,
    values: Values,
    top: int | None,
) -> tuple[Genes, Values]:
    """Keep the genes of largest training variance, in the file's order; ties go by name."""
    if top is None or top >= len(genes):
        return genes, values
    variance = np.nanvar(values, axis=0)
    keep = np.sort(np.lexsort((genes.astype(str), -variance))[:top])
    return genes[keep], values[:, keep]
