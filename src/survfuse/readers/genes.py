"""Names of genes: what is no gene, which names are one gene, and of which kind they are."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from survfuse._errors import InputError, listed
from survfuse._types import IntArray

GeneIds = Literal["symbol", "ensembl", "entrez"]
GENE_IDS: tuple[str, ...] = get_args(GeneIds)

_ENSEMBL = re.compile(
    r"(ENS[A-Z]{0,6}G\d{6,})(\.\d+(?:_\d+)?)?(?=$|[^\d.])(.*)",
    re.IGNORECASE,
)
_ENTREZ = re.compile(
    r"X?(\d+)(?:\.0)?",
)  # R writes X before a number, pandas .0 behind it
_NUMBER = re.compile(r"\d+(?:\.0)?")
_TRANSCRIPT = re.compile(r"ENS[A-Z]{0,6}T\d{6,}.*|[NX][MR]_\d+.*", re.IGNORECASE)
_MONTH = r"(?:jan|feb|mar|mär|mrz|apr|may|mai|jun|jul|aug|sep|oct|okt|nov|dec|dez)[a-zäéû]{0,6}"
_DATE = re.compile(
    rf"X?\d{{1,2}}[-./ ]+{_MONTH}|{_MONTH}[-./ "
    rf"]+\d{{1,4}}|\d{{4}}-\d\d-\d\d.*|\d{{1,2}}/\d{{1,2}}/\d{{2,4}}",
    re.IGNORECASE,
)
_DAY_NUMBER = re.compile(r"\d{5}")
_DAYS = range(36526, 54789)  # the years 2000 to 2049 as Excel counts days
_AS_UNDERSCORE = str.maketrans(" .-", "___")
_NAMES = json.loads(Path(__file__).with_name("gene_names.json").read_text("utf-8"))
_SUMMARIES = frozenset(_NAMES["summaries"])
_DESCRIPTIONS = frozenset(_NAMES["descriptions"])
_COMMON = frozenset(_NAMES["common_symbols"])


def is_summary(name: str) -> bool:
    """Tell whether a name is one under which an aligner or a counter sums reads up, and no gene.

    >>> [is_summary(name) for name in ("N_unmapped", "__no_feature", "library.size", "TP53")]
    [True, True, True, False]
    """
    plain = name.strip().casefold().translate(_AS_UNDERSCORE)
    return plain in _SUMMARIES or plain.startswith(("__", "unassigned_"))


def is_description(name: str) -> bool:
    """Whether a name heads a column that describes genes (``gene_name``, ``Length``)."""
    return name.strip().casefold().translate(_AS_UNDERSCORE) in _DESCRIPTIONS


def is_date(name: str) -> bool:
    """Tell whether a spreadsheet has made a date of a gene symbol.

    >>> [is_date(name) for name in ("1-Mar", "Sep-02", "2024-09-02", "MARCHF1", "HLA-A")]
    [True, True, True, False, False]
    """
    plain = name.strip()
    return bool(_DATE.fullmatch(plain)) or (
        _DAY_NUMBER.fullmatch(plain) is not None and int(plain) in _DAYS
    )


def plain_name(gene: str, kind: str) -> str:
    """Return the name under which a gene is known, whatever the release or the tool that wrote it.

    Of an Ensembl id the version goes (``ENSG00000141510.18``); what follows it stays (``_PAR_Y``).
    Of an Entrez id go the ``X`` of R and the ``.0`` of a number. A symbol stays as it is.

    >>> plain_name("ENSG00000182378.15_PAR_Y", "ensembl"), plain_name("X7157", "entrez")
    ('ENSG00000182378_PAR_Y', '7157')
    """
    gene = gene.strip()
    if kind == "ensembl" and (match := _ENSEMBL.fullmatch(gene)):
        return match[1].upper() + match[3]
    if kind == "entrez" and (match := _ENTREZ.fullmatch(gene)):
        return match[1]
    return gene


def check_genes(
    genes: Sequence[str],
    kind: str,
    path: Path | str,
    other_orientation: str,
) -> None:
    """Refuse gene ids that are plainly of another kind than declared.

    Parameters
    ----------
    genes : sequence of str
    kind : str
        One of :data:`GENE_IDS`.
    path : path or str
        For messages.
    other_orientation : str
        What to declare if these are patients.

    Raises
    ------
    InputError
        When `kind` is unknown, or most ids contradict it (naming one).
    """
    if kind not in GENE_IDS:
        raise InputError(
            f"{path}: unknown gene ids {kind!r}; known: {', '.join(GENE_IDS)}",
        )
    strangers = [gene for gene in genes if not fits_kind(gene, kind)]
    if 2 * len(strangers) <= len(genes):
        return
    if _TRANSCRIPT.fullmatch(strangers[0]):
        raise InputError(
            f"{path}: declared genes by {kind}, but {strangers[0]!r} is a transcript; "
            "add the values of each gene's transcripts up (tximport does) and give genes",
        )
    raise InputError(
        f"{path}: declared genes by {kind}, but only {len(genes) - len(strangers)} of "
        f"{len(genes)} ids look so (not {strangers[0]!r}); correct `genes`, or declare orientation "
        f"{other_orientation!r} if these are patients",
    )


def fits_kind(gene: str, kind: str) -> bool:
    """Tell whether a name can be an id of a kind; a symbol is whatever is plainly nothing else."""
    if kind == "ensembl":
        return _ENSEMBL.fullmatch(gene) is not None
    if kind == "entrez":
        return _ENTREZ.fullmatch(gene) is not None
    return not any(
        pattern.fullmatch(gene) for pattern in (_ENSEMBL, _TRANSCRIPT, _NUMBER)
    )


def doubtful_names(
    genes: Sequence[str],
    kind: str,
) -> list[str]:
    """Say what is strange about names of genes: dates, and differences in letter case alone."""
    if kind != "symbol":
        return []
    doubts = []
    dates = [gene for gene in genes if is_date(gene)]
    if dates:
        doubts.append(
            f"{len(dates)} gene name(s) are dates that a spreadsheet made of symbols: "
            f"{listed(dates, 20)}; "
            "give the symbols back (1-Mar is MARCHF1 or MTARC1, 2-Sep is SEPTIN2, 1-Dec is "
            "DELEC1): under these names no gene set and no other cohort has them",
        )
    alike = _alike(genes)
    if alike:
        doubts.append(
            f"gene names that differ by letter case alone are kept apart: {listed(alike)}",
        )
    return doubts


def _alike(genes: Sequence[str]) -> list[str]:
    counts = Counter(gene.casefold() for gene in genes)
    return sorted(gene for gene in genes if counts[gene.casefold()] > 1)


def looks_like_genes(ids: Sequence[str]) -> bool:
    """Tell whether ids are certainly genes: Ensembl ids, or several of the best-known symbols.

    >>> looks_like_genes(["TP53", "EGFR", "MYC", "KRAS", "A1BG"])
    True
    >>> looks_like_genes(["TCGA-05-4249", "TCGA-05-4250"])
    False
    """
    stable = sum(
        1 for one in ids if _ENSEMBL.fullmatch(one) or _TRANSCRIPT.fullmatch(one)
    )
    return 2 * stable > len(ids) or len(_COMMON.intersection(ids)) >= 4


def match_genes(
    wanted: Sequence[str],
    measured: Sequence[str],
    kind: str,
) -> tuple[IntArray, list[tuple[str, str]]]:
    """Find genes by name: the same text first, else the same but for what carries no meaning.

    That is the version of an Ensembl id, letter case, composed letters, and the dot that R
    writes for a hyphen. A name that fits two genes so fits none.

    Parameters
    ----------
    wanted, measured : sequence of str
        Unique names.
    kind : str
        One of :data:`GENE_IDS`.

    Returns
    -------
    places : ndarray, (wanted,) int64
        Of each in `measured`; -1 where it is not there.
    spellings : list of (wanted, measured)
        Those of which the texts differ.

    Examples
    --------
    >>> match_genes(["TP53", "HLA-A", "MYC"], ["HLA.A", "tp53"], "symbol")
    (array([ 1,  0, -1]), [('TP53', 'tp53'), ('HLA-A', 'HLA.A')])
    """
    exact = {gene: place for place, gene in enumerate(measured)}
    places = np.array([exact.get(gene, -1) for gene in wanted], np.int64)
    if (places >= 0).all():
        return places, []
    taken = set(places.tolist())
    free = _unique_keys(
        ((gene, place) for gene, place in exact.items() if place not in taken),
        kind,
    )
    open_ = [(gene, row) for row, gene in enumerate(wanted) if places[row] < 0]
    spellings = []
    for key, row in _unique_keys(open_, kind).items():
        if key in free:
            places[row] = free[key]
            spellings.append((wanted[row], measured[free[key]]))
    return places, spellings


def _unique_keys(
    names: Iterable[tuple[str, int]],
    kind: str,
) -> dict[str, int]:
    """Places by simplified name, of names that no other one equals when simplified."""
    places: dict[str, int] = {}
    twice = set()
    for name, place in names:
        key = (
            unicodedata.normalize("NFKC", plain_name(name, kind))
            .casefold()
            .replace("-", ".")
        )
        if key in places:
            twice.add(key)
        places[key] = place
    return {key: place for key, place in places.items() if key not in twice}
