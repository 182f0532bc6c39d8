"""Which column holds the patients: by its name, its cells, and what other tables share."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence

import pandas as pd

from survfuse.cohort.patient_ids import barcode
from survfuse.drafts.guess import Guess
from survfuse.drafts.words import TIMES, words_of

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
_PARTICIPANT = re.compile(r"TCGA-[A-Z0-9]{2}-[A-Z0-9]{4}(?![A-Z0-9])")


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
    elsewhere = [set(map(participant, ids))] if ids else list(map(_cells, others))
    best, best_score = None, 0.0
    for place, name in enumerate(map(str, frame)):
        if not _can_be_id(name, frame[name]):
            continue
        score, evidence = _name_score(name)
        own = set(map(participant, frame[name]))
        shares = [len(own & other) / len(own) for other in elsewhere if other]
        shared = max(shares, default=0.0)
        if shared > 0.5:
            score += 6 * shared
            evidence.append(f"{shared:.0%} are in the other table")
        if frame[name].is_unique:
            score += 2
            evidence.append("differs in every row")
        score += place == 0
        if evidence and (best is None or score > best_score):
            best, best_score = Guess(name, ", ".join(evidence), score >= 5), score
    return best


def participant(one: str) -> str:
    """Patient of a TCGA barcode, also with R's points; any other id as it is.

    >>> participant("TCGA-05-4249-01A"), participant("tcga.05.4249"), participant("P1-A")
    ('TCGA-05-4249', 'TCGA-05-4249', 'P1-A')
    """
    match = _PARTICIPANT.match(barcode(one))
    return one if match is None else match[0]


def are_samples(ids: Iterable[str]) -> bool:
    """Whether ids are TCGA barcodes that are not the participant's alone."""
    names = list(ids)
    return 2 * sum(participant(one) != one for one in names) > len(names)


def _can_be_id(name: str, cells: pd.Series[str]) -> bool:
    """Whether this is no age or time, all cells are filled and none is a number with decimals."""
    if {"age", *TIMES} & {*words_of(name)}:
        return False
    if not len(cells) or (cells == "").any() or cells.nunique() < min(3, len(cells)):
        return False
    return not cells.str.fullmatch(r"[+-]?\d*\.\d*[1-9]\d*([eE].*)?").any()


def _name_score(name: str) -> tuple[float, list[str]]:
    parts = set(words_of(name))
    joined = "".join(words_of(name))
    if parts & _OTHER:
        if parts & _PATIENT:
            return 0.0, []
        return (-3.0 if "slide" in parts else 0.5), []
    if parts & _PATIENT and parts <= _PATIENT | _ID | {"bcr", "submitter"}:
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
