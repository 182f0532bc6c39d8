"""Names of slides and of their files: endings, and which names are one."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

from survfuse.readers.cell_text import composed
from survfuse.readers.formats import format_by_suffix

SLIDE_SUFFIXES = (
    ".svs",
    ".tif",
    ".tiff",
    ".ndpi",
    ".mrxs",
    ".scn",
    ".vms",
    ".bif",
    ".dcm",
    ".czi",
)
# of slides that are not read here
_OTHER_IMAGES = (".vmu", ".svslide", ".qptiff", ".isyntax", ".vsi")
_ENDINGS = (*SLIDE_SUFFIXES, *_OTHER_IMAGES, ".ome")


def name_stems(name: str) -> tuple[str, ...]:
    """Name a slide or file as it stands, then with one ending after the other taken off.

    Only endings of slides and of feature files are taken off, and the ``.ome`` of ``.ome.tiff``,
    in any letter case, so that dots in an id survive.

    >>> name_stems("a.ome.tiff")
    ('a.ome.tiff', 'a.ome', 'a')
    >>> name_stems("TCGA-05-4249-01Z-00-DX1.9FCE.svs.H5")[-1]
    'TCGA-05-4249-01Z-00-DX1.9FCE'
    """
    stems = [name]
    while (ending := _ending_of(stems[-1])) is not None:
        stems.append(stems[-1][: -len(ending)])
    return tuple(stems)


def _ending_of(name: str) -> str | None:
    small = name.lower()
    for ending in (*format_by_suffix(), *_ENDINGS):
        if small.endswith(ending) and len(small) > len(ending):
            return ending
    return None


def slide_stem(slide: str) -> str:
    """Name a slide without folder and endings.

    >>> slide_stem("site1/slide_0.ndpi")
    'slide_0'
    """
    return name_stems(_without_folder(slide))[-1]


def _without_folder(name: str) -> str:
    return PurePosixPath(name.replace("\\", "/")).name or name


def match_names(
    wanted: Iterable[str],
    known: Iterable[str],
) -> dict[str, str]:
    """Pair ids of slides with the names of files, each file with at most one id.

    The same text goes first; then the same text but for endings, folders and the way in which
    letters with marks are composed; then, where exactly one id and one file are left over that
    are called so, the same text but for letter case.

    Parameters
    ----------
    wanted : iterable of str
        Ids, as a table has them.
    known : iterable of str
        Names of files without the ending of their format.

    Returns
    -------
    dict of str to str
        From id to name. Ids without a file are left out; two ids may have the same file where
        they differ in endings only.

    Examples
    --------
    >>> match_names(["a.svs", "B.h5"], ["a", "b", "c"])
    {'a.svs': 'a', 'B.h5': 'b'}
    """
    ids, names = list(wanted), list(known)
    exact = set(names)
    pairs = {one: one for one in ids if one in exact}
    by_stem = _by_stem(names)
    for one in ids:
        if one not in pairs and (name := _lookup(one, by_stem)) is not None:
            pairs[one] = name
    used = set(pairs.values())
    rest = [one for one in ids if one not in pairs]
    return pairs | _same_but_for_case(
        rest,
        [name for name in names if name not in used],
    )


def _by_stem(names: Iterable[str]) -> dict[str, str | None]:
    """From every stem to the name that has it; None where several have."""
    owners: dict[str, str | None] = {}
    for name in names:
        for stem in name_stems(composed(name)):
            owners[stem] = None if owners.get(stem, name) != name else name
    return owners


def _lookup(
    one: str,
    by_stem: Mapping[str, str | None],
) -> str | None:
    for stem in name_stems(composed(_without_folder(one))):
        if by_stem.get(stem) is not None:
            return by_stem[stem]
    return None


def _same_but_for_case(
    ids: list[str],
    names: list[str],
) -> dict[str, str]:
    id_counts = Counter(map(_lowered, ids))
    name_counts = Counter(map(_lowered, names))
    name_of = {_lowered(name): name for name in names}
    pairs: dict[str, str] = {}
    for one in ids:
        plain = _lowered(one)
        if id_counts[plain] == 1 and name_counts[plain] == 1:
            pairs[one] = name_of[plain]
    return pairs


def _lowered(name: str) -> str:
    plain = slide_stem(composed(name)).casefold()
    return re.sub(
        r"^(\d+)\.0$",
        r"\1",
        plain,
    )  # so pandas writes whole numbers beside an empty cell
