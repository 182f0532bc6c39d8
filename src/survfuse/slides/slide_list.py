"""Which slides are to be extracted: ids that can name files, each image once."""

from __future__ import annotations

import os
import unicodedata
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
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
    if slide_id_of(f"{slide_id}.h5") != slide_id:
        return f"would be read back as {slide_id_of(f'{slide_id}.h5')!r}"
    return ""


def check_items(items: Iterable[SlideItem]) -> tuple[SlideItem, ...]:
    """Return the items sorted by slide id, after checking that they can be kept apart.

    Raises
    ------
    SlideError
        Names every id that cannot name a file, every id used twice (also when it differs in letter case or in
        how accents are coded alone, which some file systems do not keep apart) and every image listed twice.
    """
    given = sorted(items, key=lambda item: item.slide_id)
    wrong = [
        f"slide id {item.slide_id!r} {why}"
        for item in given
        if (why := id_problem(item.slide_id))
    ]
    by_id = _grouped(
        given,
        [unicodedata.normalize("NFC", item.slide_id.casefold()) for item in given],
    )
    wrong += [_clash(same) for same in by_id]
    by_path = _grouped(given, [os.path.realpath(item.path) for item in given])
    wrong += [
        f"{same[0].path} is listed for slides {listed(repr(one.slide_id) for one in same)} "
        f"of patients {listed(sorted({one.patient_id for one in same}))}"
        for same in by_path
    ]
    if wrong:
        raise SlideError(
            f"{listed(wrong, 10)}; expected one safe, different name and one image per slide: "
            "correct the slide table",
        )
    return tuple(given)


def _clash(same: Sequence[SlideItem]) -> str:
    ids = sorted({item.slide_id for item in same})
    if len(ids) == 1:
        return f"slide id {ids[0]!r} is used {len(same)} times"
    return (
        f"slide ids {' and '.join(map(ascii, ids))} are one name to file systems that ignore letter case or "
        "how accents are coded"
    )


def _grouped(
    items: Sequence[SlideItem],
    keys: Sequence[Hashable],
) -> list[list[SlideItem]]:
    """Items that share a key with another one, group by group."""
    groups: Mapping[Hashable, list[SlideItem]] = defaultdict(list)
    for item, key in zip(items, keys, strict=True):
        groups[key].append(item)
    return [same for same in groups.values() if len(same) > 1]
