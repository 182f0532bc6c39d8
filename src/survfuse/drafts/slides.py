"""Slides of a draft: which patient each belongs to, by a column of a table or by its name."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Collection, Mapping, Sequence
from itertools import islice
from pathlib import Path

from survfuse._errors import FeatureFileError, listed
from survfuse._gate import boundary
from survfuse.drafts.draft import Draft, Section
from survfuse.drafts.guess import Choice
from survfuse.drafts.ids import participant
from survfuse.drafts.tables import GivenTable
from survfuse.readers.features import list_features, read_features
from survfuse.readers.slide_names import match_names, slide_stem

SLIDE_TABLE = "slides.csv"
IMAGES = (
    *(
        ".svs",
        ".tif",
        ".tiff",
        ".ndpi",
        ".scn",
        ".mrxs",
        ".vms",
        ".vmu",
        ".bif",
        ".dcm",
        ".svslide",
    ),
    ".czi",
)
_MOST = 500_000  # files
_LOOKED_AT = 6
"""Files, spread over all, that say of which encoder they are."""


def put_features(
    draft: Draft,
    folder: Path,
    ids: Collection[str],
    tables: Sequence[tuple[GivenTable, str]],
) -> None:
    """Write the section `slides` of a folder of feature files.

    Parameters
    ----------
    draft : Draft
        `slides.csv` is added to its tables where it is made from names.
    folder : Path
    ids : collection of str
        Patients of the outcome.
    tables : sequence of (GivenTable, str)
        Tables that may have a column of slides, and their columns of patients.
    """
    files = list_features(folder).ready
    section = draft.section("slides")
    kinds = sorted({path.suffix for path in files.values()})
    put_slide_table(draft, section, list(files), ids, tables)
    section.add(
        "features", folder, f"{len(files)} files ({', '.join(kinds) or 'none'})"
    )
    _put_encoder(section, list(files.values()))


def put_images(
    draft: Draft,
    folder: Path,
    ids: Collection[str],
    tables: Sequence[tuple[GivenTable, str]],
) -> None:
    """Write the section `slides` of a folder of slides whose features are still to be computed."""
    section = draft.section("slides")
    names = find_images(folder)
    if "features" not in section.items:
        put_slide_table(draft, section, names, ids, tables)
        section.add(
            "features",
            Path("features"),
            "`survfuse extract cohort.yaml` writes them here",
        )
    section.add("images", folder, f"{len(names)} slides")


def find_images(folder: Path) -> list[str]:
    """Names of the slides below a folder, without the endings of their formats."""
    names: list[str] = []
    for place, folders, files in os.walk(folder, onerror=_refuse):
        folders[:] = [name for name in sorted(folders) if not name.startswith(".")]
        for file in sorted(files):
            if file.lower().endswith(IMAGES) and not _is_mask(file):
                names.append(file[: file.rindex(".")])
        if len(names) > _MOST or len(Path(place).relative_to(folder).parts) > 4:
            break
    return names


def _refuse(error: OSError) -> None:
    """Refuse a folder that cannot be read, whose slides would be left out unsaid."""
    with boundary(Path(error.filename), "a folder that can be read"):
        raise error


def _is_mask(file: str) -> bool:
    return re.search(r"[_-]mask$", file[: file.rindex(".")], re.IGNORECASE) is not None


def put_slide_table(
    draft: Draft,
    section: Section,
    slides: Sequence[str],
    ids: Collection[str],
    tables: Sequence[tuple[GivenTable, str]],
) -> None:
    """Write which table pairs slides with patients: a given one, or one made from the names."""
    for table, patient in tables:
        column = _slide_column(table, slides)
        if column is not None:
            section.add("table", table.value, f"its column {column!r} names the slides")
            section.add("slide", column)
            section.add("patient", patient)
            return
    pairs = pair_slides(slides, ids)
    if not pairs:
        section.ask(
            "table",
            "a CSV with the columns slide_id and patient_id",
            evidence=f"slides such as {listed(slides, 2)} do not begin with a patient's id",
        )
        return
    draft.tables[SLIDE_TABLE] = slide_table_text(pairs)
    evidence = f"made from the names: {len(pairs)} slides of {len(set(pairs.values()))} patients"
    section.add("table", Path(SLIDE_TABLE), evidence)
    rest = [slide for slide in slides if slide not in pairs]
    if rest:
        section.note(
            f"no patient of the outcome for {len(rest)} slides: {listed(rest)}"
        )


def pair_slides(slides: Sequence[str], ids: Collection[str]) -> dict[str, str]:
    """Pair slides with the patients whose id their name begins with.

    The longest id wins; after it stands no letter or digit. Of TCGA barcodes the participant
    counts.

    Examples
    --------
    >>> pair_slides(["P1-A", "P10_x", "Q"], ["P1", "P10"])
    {'P1-A': 'P1', 'P10_x': 'P10'}
    """
    own = {one.casefold(): one for one in sorted(ids, reverse=True)}
    barcodes = {participant(one): one for one in sorted(ids, reverse=True)}
    pairs = {}
    for slide in slides:
        stem = slide_stem(slide)
        patient = barcodes.get(participant(stem)) or _prefix(stem.casefold(), own)
        if patient is not None:
            pairs[slide] = patient
    return pairs


def slide_table_text(pairs: Mapping[str, str]) -> str:
    """Write pairs of slide and patient as CSV."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["slide_id", "patient_id"])
    writer.writerows(pairs.items())
    return out.getvalue()


def _prefix(stem: str, ids: Mapping[str, str]) -> str | None:
    """The longest id with which a name begins."""
    for end in range(len(stem), 0, -1):
        ends_here = end == len(stem) or not stem[end].isalnum()
        if ends_here and stem[:end] in ids:
            return ids[stem[:end]]
    return None


def _slide_column(table: GivenTable, slides: Sequence[str]) -> str | None:
    """The column of a table that names most of these slides."""
    for name in map(str, table.frame):
        cells = [cell for cell in table.frame[name].unique() if cell]
        if "slide" not in name.casefold() and "file" not in name.casefold():
            continue
        if slides and 2 * len(set(match_names(cells, slides).values())) > len(slides):
            return name
    return None


def _put_encoder(section: Section, files: Sequence[Path]) -> None:
    """Write the encoder that files say; where they are of several, ask for the folder of one."""
    by_folder: dict[Path, Path] = {}
    for file in files:
        by_folder.setdefault(file.parent, file)
    step = max(1, len(files) // _LOOKED_AT)
    some = dict.fromkeys([*islice(by_folder.values(), _LOOKED_AT), *files[::step]])
    kinds: dict[tuple[str | None, int], Path] = {}
    for file in some:
        try:
            features = read_features(file)
        except FeatureFileError as error:
            section.note(f"{file.name} cannot be read: {error}")
            return
        kinds.setdefault((features.encoder, features.dim), file)
    if len(kinds) > 1:
        _ask_encoder(section, kinds)
        return
    for (encoder, width), file in kinds.items():
        if encoder is None:
            section.note(f"encoder: NAME   # no file names it; {width} features a tile")
        else:
            evidence = f"{file.name} says it; {width} features a tile"
            section.add("encoder", encoder, evidence)


def _ask_encoder(
    section: Section, kinds: Mapping[tuple[str | None, int], Path]
) -> None:
    seen = []
    for (encoder, width), file in kinds.items():
        seen.append(f"{encoder or 'an encoder without name'} ({width}, {file.name})")
    folders = list(dict.fromkeys(file.parent for file in kinds.values()))
    choices = []
    if len(folders) == len(kinds):
        choices = [Choice(str(folder), "features", folder) for folder in folders]
    section.ask(
        "features",
        f"the folder of one encoder; or draft again with --features {folders[0]}",
        *choices,
        evidence=f"files of several encoders: {listed(seen)}",
    )
