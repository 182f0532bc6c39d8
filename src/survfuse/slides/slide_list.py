"""Which slides are to be extracted: ids that can name files, each image once."""

from __future__ import annotations

import os
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from survfuse._errors import SlideError, listed
from survfuse.readers.features import slide_id_of

LONGEST_ID = 150
"""Bytes; names of temporary files need the rest of the 255 that file systems allow."""


@dataclass(frozen=True)
class SlideItem:
    """One slide to extract.

    Attributes
    ----------
    slide_id : str
        Names its files.
    patient_id : str
        Whose slide it is.
    path : Path
        The image.
    mpp : float or None, µm/px
        Of level 0, as the slide table says it.
    objective : float or None
        Power of the objective, as the slide table says it.
    mask : Path or None
        Its tissue mask.
    """

    slide_id: str
    patient_id: str
    path: Path
    mpp: float | None = None
    objective: float | None = None
    mask: Path | None = None


def id_problem(slide_id: str) -> str:
    """Say why an id cannot name a file; empty text when it can.

    >>> id_problem("TCGA-05-4249-01Z-00-DX1.9fce")
    ''
    >>> id_problem("a/b")
    "holds '/'"
    """
    bad = [letter for letter in "/\\:\0" if letter in slide_id]
    if bad:
        return f"holds {bad[0]!r}"
    if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in slide_id):
        return "holds a control character"
    if not slide_id or slide_id != slide_id.strip() or slide_id.startswith("."):
        return "is empty, or begins with a dot or a space, or ends with a space"
    if len(slide_id.encode()) > LONGEST_ID:
        return f"is longer than {LONGEST_ID} bytes"
    read_back = slide_id_of(f"{slide_id}.h5")
    return "" if read_back == slide_id else f"would be read back as {read_back!r}"


def check_items(items: Iterable[SlideItem]) -> tuple[SlideItem, ...]:
    """Return the items sorted by slide id, after checking that they can be kept apart.

    Raises
    ------
    SlideError
        Names every id that cannot name a file, every id used twice (also when it differs in letter
        case or in
        how accents are coded alone, which some file systems do not keep apart) and every image
        listed twice.
    """
    given = sorted(items, key=lambda item: item.slide_id)
    wrong = []
    by_name: dict[str, list[SlideItem]] = defaultdict(list)
    by_path: dict[str, list[SlideItem]] = defaultdict(list)
    for item in given:
        if problem := id_problem(item.slide_id):
            wrong.append(f"slide id {item.slide_id!r} {problem}")
        by_name[unicodedata.normalize("NFC", item.slide_id.casefold())].append(item)
        by_path[os.path.realpath(item.path)].append(item)
    for same in by_name.values():
        ids = sorted({item.slide_id for item in same})
        if len(ids) > 1:
            wrong.append(
                f"slide ids {' and '.join(map(ascii, ids))} are one name to file systems that "
                "ignore letter case or how accents are coded",
            )
        elif len(same) > 1:
            wrong.append(f"slide id {ids[0]!r} is used {len(same)} times")
    for same in by_path.values():
        if len(same) > 1:
            slides = listed(repr(item.slide_id) for item in same)
            patients = listed(sorted({item.patient_id for item in same}))
            wrong.append(
                f"{same[0].path} is listed for slides {slides} of patients {patients}",
            )
    if wrong:
        raise SlideError(
            f"{listed(wrong, 10)}; expected one safe, different name and one image per slide: "
            "correct the slide table",
        )
    return tuple(given)
