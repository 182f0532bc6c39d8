"""Published signatures: genes and their weights in a text file, read as a prior."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from survfuse._errors import InputError, listed
from survfuse._gate import read_text
from survfuse.readers.genes import GeneIds
from survfuse.readers.priors import Prior

LARGEST = 16 * 2**20  # bytes of a signature's file


def read_signature(
    path: Path | str,
    *,
    name: str,
    genes: GeneIds = "symbol",
) -> Prior:
    """Read the weights of a published signature.

    Parameters
    ----------
    path : path
        Lines of GENE<tab>WEIGHT, of which the first may be a header, or one line
        NAME<tab>DESCRIPTION<tab>GENE,WEIGHT<tab>GENE,WEIGHT… as in a GMT file with weights.
        Lines that start with # are skipped.
    name : str
        What the prior is called.
    genes : {"symbol", "ensembl", "entrez"}
        Naming of the genes.

    Returns
    -------
    Prior
        Without standard errors; its slope in a new cohort is the usual one of unknown risks.

    Raises
    ------
    InputError
        When a line is neither, a weight is no number, a gene stands twice, or all weights are 0.
    """
    lines = []
    for number, line in enumerate(read_text(path, limit=LARGEST).splitlines(), start=1):
        if line.strip() and not line.startswith("#"):
            lines.append((number, [cell.strip() for cell in line.split("\t")]))
    if len(lines) == 1 and len(lines[0][1]) > 2:
        number, cells = lines[0]
        lines = [(number, list(cell.rpartition(",")[::2])) for cell in cells[2:]]
    weights: dict[str, float] = {}
    for row, (number, cells) in enumerate(lines):
        gene, weight = _gene_weight(f"{path}: line {number}", cells)
        if gene in weights:
            raise InputError(f"{path}: line {number}: gene {gene!r} appears twice")
        if weight is not None:
            weights[gene] = weight
        elif row > 0:
            raise InputError(
                f"{path}: line {number}: the weight of {gene!r} is no number, got {cells[1]!r}",
            )
    if not any(weights.values()):
        raise InputError(
            f"{path}: no gene has a weight other than 0; expected lines of GENE<tab>WEIGHT, got "
            f"{listed(weights) or 'none'}",
        )
    return Prior(name, genes, tuple(weights), np.array(list(weights.values())))


def _gene_weight(where: str, cells: list[str]) -> tuple[str, float | None]:
    """Gene and weight of a line; no weight where it is no finite number."""
    if len(cells) != 2 or not cells[0]:
        raise InputError(
            f"{where}: expected GENE<tab>WEIGHT (or one line "
            f"NAME<tab>DESCRIPTION<tab>GENE,WEIGHT…), got {' '.join(cells)[:60]!r}",
        )
    try:
        weight = float(cells[1])
    except ValueError:
        return cells[0], None
    return cells[0], weight if np.isfinite(weight) else None
