"""From the ids of a table to patients: cut TCGA barcodes, and tell which samples are normal."""

from __future__ import annotations

import re
from collections.abc import Iterable

import pandas as pd

from survfuse._errors import listed
from survfuse.cohort.problems import Place
from survfuse.cohort.spec import PatientColumn

_BARCODE = re.compile(r"(TCGA-[A-Z0-9]{2}-[A-Z0-9]{4})(?![A-Z0-9])")
_SAMPLE = re.compile(r"TCGA-[A-Z0-9]{2}-[A-Z0-9]{4}-([0-9]{2})(?![0-9])")
NORMAL = range(10, 30)
"""Sample types of TCGA that are no tumour: normal tissue and blood, and controls."""


def barcode(text: str) -> str:
    """Write an id in capitals, with dashes where R writes points.

    >>> barcode("tcga.aa.3489.01A")
    'TCGA-AA-3489-01A'
    """
    return text.strip().upper().replace(".", "-")


def is_normal(text: str) -> bool:
    """Whether a TCGA barcode is of a sample that is no tumour.

    >>> [is_normal(one) for one in ("TCGA-AA-3489-11A", "TCGA-AA-3489-01A", "TCGA-AA-3489")]
    [True, False, False]
    """
    sample = _SAMPLE.match(barcode(text))
    return sample is not None and int(sample[1]) in NORMAL


def patients_of(
    ids: pd.Series[str],
    rule: PatientColumn,
    place: Place,
) -> pd.Series[str] | None:
    """Patient of each id; None (problem noted) where an id is not of the declared form.

    Parameters
    ----------
    ids : Series of str
        As they stand in a table.
    rule : PatientColumn
        What is taken of them.
    place : Place
        Where problems go.
    """
    ids = ids.astype(object)
    if rule.take is not None:
        return ids.str.strip().str.slice(0, rule.take).str.strip()
    if rule.match is None:
        return ids
    found = ids.map(lambda text: _BARCODE.match(barcode(text)))
    strange = ids[found.isna()]
    if len(strange):
        place.error(
            f"{len(strange)} of {len(ids)} ids are no TCGA barcodes: "
            f"{listed(map(repr, strange.unique()))}; expected TCGA-AA-1234, alone or with the "
            "sample after it",
            hint="correct them; or say `match: tcga` under `patient:` of the sections with "
            "barcodes alone, not of the whole file",
        )
        return None
    return found.map(lambda match: match[1]).astype(object)


def normal_samples(ids: pd.Series[str], rule: PatientColumn) -> pd.Series[bool]:
    """Which ids are of normal samples, where they are declared to be TCGA barcodes."""
    if rule.match is None:
        return pd.Series(False, index=ids.index)
    return ids.map(is_normal).astype(bool)


def note_normal(
    normal: pd.Series[bool],
    patients: pd.Series[str],
    what: str,
    place: Place,
) -> None:
    """Note rows, samples or slides of normal samples, which are left out; nothing without any."""
    if normal.any():
        place.warning(
            f"{int(normal.sum())} of {len(normal)} {what} (TCGA sample types 10 to 29), left out",
            patients=patients[normal].unique(),
        )


def sample_kinds(ids: Iterable[str]) -> str:
    """Say how many of some ids are normal samples of TCGA; empty where none is."""
    names = list(ids)
    normal = sum(map(is_normal, names))
    return f"{normal} of {len(names)} are normal samples" if normal else ""
