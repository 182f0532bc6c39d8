"""Published signatures: genes and their weights in a text file, read as a prior."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from survfuse._errors import InputError, context, listed
from survfuse._gate import read_text
from survfuse.readers.cell_text import composed, instead_of_number, is_number
from survfuse.readers.genes import GeneIds
from survfuse.readers.priors import Prior, check_weights

NO_NUMBERS = {"", "nan", "na", "inf", "infinity"}
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
            cells = [composed(cell).strip() for cell in line.rstrip().split("\t")]
            lines.append((number, cells))
    if len(lines) == 1 and len(lines[0][1]) > 2:
        number, cells = lines[0]
        lines = [(number, list(cell.rpartition(",")[::2])) for cell in cells[2:]]
    weights: dict[str, float] = {}
    for row, (number, cells) in enumerate(lines):
        where = f"{path}: line {number}"
        gene, weight = _gene_weight(where, cells)
        if gene in weights:
            raise InputError(f"{where}: gene {gene!r} appears twice; keep one of them")
        if weight is not None:
            weights[gene] = weight
        elif row > 0 or not _heads_weights(cells[1]):
            instead = instead_of_number(cells[1]) or "write a number, or leave it out"
            raise InputError(
                f"{where}: the weight of {gene!r} is no number, got {cells[1]!r} ({instead})",
            )
    if not any(weights.values()):
        raise InputError(
            f"{path}: no gene has a weight other than 0; expected lines of GENE<tab>WEIGHT, got "
            f"{listed(weights) or 'none'}",
        )
    values = np.array(list(weights.values()))
    with context(str(path)):
        check_weights(values)
    return Prior(name, genes, tuple(weights), values)


def _gene_weight(where: str, cells: list[str]) -> tuple[str, float | None]:
    """Gene and weight of a line; no weight where it is no finite number."""
    if len(cells) != 2 or not cells[0]:
        raise InputError(
            f"{where}: expected GENE<tab>WEIGHT (or one line "
            f"NAME<tab>DESCRIPTION<tab>GENE,WEIGHT…), got {' '.join(cells)[:60]!r}",
        )
    if not (cells[1].isascii() and is_number(cells[1])):
        return cells[0], None
    weight = float(cells[1])
    return cells[0], weight if np.isfinite(weight) else None


def _heads_weights(cell: str) -> bool:
    """Whether a cell of the first line is the name of a column, and no number gone wrong."""
    has_digit = any(map(str.isdigit, cell))
    return not has_digit and cell.lower().lstrip("+-") not in NO_NUMBERS
