"""Genes that stand in several columns of a matrix: refused, or made one by a rule that is said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from survfuse._errors import InputError, listed
from survfuse._types import AnyArray
from survfuse.readers.genes import is_date

Duplicates = Literal["refuse", "mean", "max", "sum", "first"]
DUPLICATES: tuple[str, ...] = get_args(Duplicates)
"""What becomes of a gene of several columns, for each patient by itself: it is refused, or its
value is the mean or the largest of the known values, their sum, or that of the first column."""

LINEAR = ("counts", "tpm", "fpkm")
"""Units of which values can be added up."""
_RULES = {
    "mean": "the mean of its known values",
    "max": "the largest of its known values",
    "sum": "the sum of its values (missing where one of them is)",
    "first": "the value of its first column",
}


def check_duplicates(
    source: Path | str,
    rule: str,
    unit: str,
) -> None:
    """Refuse a rule that is unknown, or that makes no sense for a unit.

    Raises
    ------
    InputError
        On `sum` where values are logarithms or z-scores.
    """
    if rule not in DUPLICATES:
        raise InputError(
            f"{source}: unknown rule for duplicates {rule!r}; known: {', '.join(DUPLICATES)}",
        )
    if rule == "sum" and unit not in LINEAR:
        what = "z-scores" if unit == "zscore" else "logarithms"
        raise InputError(
            f"{source}: `duplicates: sum` adds values up, but {unit} are {what}, whose sum is no "
            "amount of anything; say mean, max or first, or give counts, tpm or fpkm",
        )


def one_of_each(
    before: Sequence[str],
    genes: Sequence[str],
    values: AnyArray,
    rule: str,
    source: Path | str,
) -> tuple[list[str], AnyArray, list[str]]:
    """Make one column of those of a gene, also of those under two versions of its id.

    Parameters
    ----------
    before, genes : sequence of str, (columns,)
        Names as they stand in the file and as they are compared.
    values : ndarray, (patients, columns)
    rule : str
        One of :data:`DUPLICATES`.
    source : path or str
        For messages.

    Returns
    -------
    genes : list of str
        Unique, in the order of their first columns.
    values : ndarray, (patients, genes)
    notes : list of str
        How many genes the rule made, if any.

    Raises
    ------
    InputError
        Names the genes, where they are refused or a spreadsheet made dates of several symbols.
    """
    counts = Counter(genes)
    twice = sorted(gene for gene, n in counts.items() if n > 1)
    if not twice:
        return list(genes), values, []
    _refuse(before, genes, twice, rule, source)
    first: dict[str, int] = {}
    for place, gene in enumerate(genes):
        first.setdefault(gene, place)
    places = np.array(list(first.values()))
    merged = values[:, places]
    if rule != "first":
        columns: dict[str, list[int]] = {gene: [] for gene in twice}
        for place, gene in enumerate(genes):
            if gene in columns:
                columns[gene].append(place)
        to = {gene: place for place, gene in enumerate(first)}
        for gene, own in columns.items():
            merged[:, to[gene]] = _merged(values[:, own], rule)
    total = sum(counts[gene] for gene in twice)
    note = (
        f"{len(twice)} gene(s) stand in several columns ({total} in all); "
        f"the value of each is {_RULES[rule]}: {listed(twice, 5)}"
    )
    return list(first), merged, [note]


def _merged(values: AnyArray, rule: str) -> AnyArray:
    """One value per row."""
    if rule == "sum":
        total: AnyArray = values.sum(axis=1)
        return total
    known = ~np.isnan(values)
    if rule == "max":
        largest: AnyArray = np.where(known, values, -np.inf).max(axis=1)
        return np.where(known.any(axis=1), largest, np.nan)
    total = np.where(known, values, 0).sum(axis=1)
    count = known.sum(axis=1)
    mean = np.full(len(values), np.nan)
    np.divide(total, count, out=mean, where=count > 0)
    return mean


def _refuse(
    before: Sequence[str],
    genes: Sequence[str],
    twice: list[str],
    rule: str,
    source: Path | str,
) -> None:
    dates = [gene for gene in twice if is_date(gene)]
    if dates:
        raise InputError(
            f"{source}: genes appear twice: {listed(twice)}; a spreadsheet made dates of several "
            f"genes ({listed(dates)}): give their symbols back",
        )
    if rule != "refuse":
        return
    advice = (
        "keep one of each, or say what becomes of them: `duplicates: mean` (or max, first; sum of "
        "counts, tpm and fpkm)"
    )
    names = sorted(
        {name for name, gene in zip(before, genes, strict=True) if gene == twice[0]},
    )
    if len(names) > 1:
        raise InputError(
            f"{source}: {listed(names)} are one gene under several ids ({len(twice)} such genes: "
            f"{listed(twice)}); {advice}",
        )
    raise InputError(f"{source}: genes appear twice: {listed(twice)}; {advice}")
