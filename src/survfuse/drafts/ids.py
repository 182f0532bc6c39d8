"""Which column holds the patients: by its name, its cells, and what other tables share."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence

import pandas as pd

from survfuse.drafts.guess import Guess
from survfuse.drafts.words import words_of

_PATIENT = {
    "patient",
    "case",
    "subject",
    "participant",
    "individual",
    "donor",
    "pid",
    "mrn",
}
_ID = {
    "id",
    "ids",
    "identifier",
    "barcode",
    "no",
    "nr",
    "number",
    "code",
    "name",
    "uuid",
    "key",
}
_OTHER = {"slide", "sample", "specimen", "aliquot", "filename", "file", "image", "wsi"}
_BARCODE = re.compile(r"TCGA-\w\w-\w{4}(-.*)?", re.IGNORECASE)
PARTICIPANT = 12
"""Characters of a TCGA barcode that name the participant."""


def id_column(
    frame: pd.DataFrame,
    others: Sequence[pd.DataFrame] = (),
    ids: Collection[str] = (),
) -> Guess[str] | None:
    """Guess the column of patient ids; None where no column can be one.

    Parameters
    ----------
    frame : DataFrame of str
    others : sequence of DataFrame of str
        Tables of the same patients.
    ids : collection of str
        Patients that are known already.
    """
    best: tuple[float, str, list[str]] | None = None
    elsewhere = [set(map(participant, ids))] if ids else list(map(_cells, others))
    for place, name in enumerate(frame):
        cells = frame[name]
        if not _can_be_id(cells):
            continue
        score, evidence = _name_score(str(name))
        if place == 0:
            score += 1
        own = set(map(participant, cells))
        shares = [len(own & other) / len(own) for other in elsewhere if other]
        if shares and max(shares) > 0.5:
            score += 6 * max(shares)
            evidence.append(f"{max(shares):.0%} are in the other table")
        if cells.is_unique:
            score += 2
            evidence.append("differs in every row")
        if best is None or score > best[0]:
            best = score, str(name), evidence
    if best is None:
        return None
    score, name, evidence = best
    return Guess(name, ", ".join(evidence), score >= 5)


def participant(one: str) -> str:
    """Patient of a TCGA barcode; any other id as it is.

    >>> participant("TCGA-05-4249-01A"), participant("P1-A")
    ('TCGA-05-4249', 'P1-A')
    """
    return one[:PARTICIPANT].upper() if _BARCODE.fullmatch(one) else one


def are_samples(ids: Iterable[str]) -> bool:
    """Whether ids are TCGA barcodes that name more than the participant."""
    names = list(ids)
    long = [one for one in names if _BARCODE.fullmatch(one) and len(one) > PARTICIPANT]
    return 2 * len(long) > len(names)


def _can_be_id(cells: pd.Series[str]) -> bool:
    """Whether cells are all filled and none is a number with decimals."""
    if not len(cells) or (cells == "").any() or cells.nunique() < min(3, len(cells)):
        return False
    return not cells.str.fullmatch(r"[+-]?\d*\.\d*[1-9]\d*([eE].*)?").any()


def _name_score(name: str) -> tuple[float, list[str]]:
    words = set(words_of(name))
    joined = "".join(words_of(name))
    if words & _OTHER:
        return (
            (0.0, []) if words & _PATIENT else (-3.0 if "slide" in words else 0.5, [])
        )
    if words & _PATIENT and words <= _PATIENT | _ID | {"bcr", "submitter"}:
        return 4.0, ["called as patients are"]
    if joined in ("patientid", "caseid", "subjectid", "rownames", "id", "submitterid"):
        return 3.0, ["called as ids are"]
    return 0.0, []


def _cells(frame: pd.DataFrame) -> set[str]:
    """All short texts of a table."""
    cells: set[str] = set()
    for name in frame:
        if frame[name].nunique() > len(frame) / 2:
            cells.update(map(participant, frame[name]))
    return cells - {""}
