"""Which feature file belongs to which row of a slide table: by name, never by position."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from survfuse._errors import listed
from survfuse.cohort.members import without
from survfuse.cohort.problems import Place, Severity
from survfuse.cohort.slide_rows import slide_rows
from survfuse.cohort.sources import Sources
from survfuse.cohort.spec import SlidesSpec
from survfuse.readers.cell_text import composed, only_difference
from survfuse.readers.features import FeatureFiles, list_features
from survfuse.readers.slide_names import match_names, slide_stem

MOST_NAMED = 20

SlideFile = tuple[str, str, Path]  # slide_id, patient_id, feature file


def match_files(
    name: str,
    spec: SlidesSpec,
    sources: Sources,
) -> list[SlideFile]:
    """Pair the rows of a slide table with feature files, sorted by patient and slide.

    Slides of `exclude_slides` are left out. Every slide and file without a partner is a problem.

    Parameters
    ----------
    name : str
        Name of the modality.
    spec : SlidesSpec
        Its section, with `table` and `features`.
    sources : Sources
        Reads the slide table and collects problems.
    """
    assert spec.table is not None
    assert spec.features is not None
    listing = slide_rows(name, spec, spec.table, sources)
    if listing is None:
        return []
    table = listing.frame
    rows = sources.problems.at(name, spec.table)
    folder = sources.problems.at(name, spec.features)
    extracts = spec.images is not None or "path" in table
    path = sources.path(spec.features)
    if extracts and not (path.is_dir() and list_features(path).ready):
        folder.error(
            f"the {len(table)} slides have no features yet",
            hint="run `survfuse extract` on this cohort file first",
        )
        return []
    owners = dict(zip(table[spec.slide], listing.owners, strict=True))
    files = list_features(path)
    pairs = match_names(owners, files.ready)
    unused = sorted(set(files.ready) - set(pairs.values()))
    for slide in _excluded(spec, owners, rows):
        del owners[slide]
        pairs.pop(slide, None)
    _report_absent(owners, pairs, files, folder)
    _report_lost_patients(owners, pairs, rows)
    names = sources.problems.at(name, spec.table, spec.slide)
    _report_shared(owners, pairs, names)
    _report_other_case(pairs, names)
    if unused:
        rows.warning(
            f"{len(unused)} feature file(s) not in the slide table, not used: "
            f"{listed(unused, MOST_NAMED)}",
        )
    items = [(slide, owners[slide], files.ready[file]) for slide, file in pairs.items()]
    return sorted(items, key=lambda item: (item[1], item[0]))


def _excluded(
    spec: SlidesSpec,
    slides: Iterable[str],
    place: Place,
) -> set[str]:
    """Rows that `exclude_slides` names; a name that fits none is noted."""
    rows = match_names(spec.exclude_slides, slides)
    unknown = without(spec.exclude_slides, rows)
    if unknown:
        place.warning(
            f"exclude_slides: no such slide: {listed(map(repr, unknown), MOST_NAMED)}",
        )
    return set(rows.values())


def _report_absent(
    owners: Mapping[str, str],
    pairs: Mapping[str, str],
    files: FeatureFiles,
    place: Place,
) -> None:
    """Report slides whose files are still being written, and slides without a file."""
    absent = without(owners, pairs)
    severity: Severity = "warning" if pairs else "error"
    locked = match_names(absent, files.locked)
    if locked:
        place.report(
            severity,
            f"{len(locked)} slide(s) not used, as a .lock file lies beside their feature file: "
            f"{listed(locked, MOST_NAMED)}",
            hint="wait until they are written; if their writer died, remove the .lock and extract "
            "them again",
        )
    rest = without(absent, locked)
    if not rest:
        return
    message = f"{len(rest)} slide(s) without a feature file: {listed(rest, MOST_NAMED)}"
    hint = "extract them, or remove them from the slide table"
    if not pairs:
        message = (
            f"none of the {len(absent)} slides of the table ({listed(rest, 3)}) has a feature "
            f"file; the folder has {listed(files.ready, 3) or 'none'}"
        )
        hint = (
            "slide_id must be the feature file's name, with or without endings such as "
            ".svs and .h5"
        )
    difference = only_difference(rest, sorted(set(files.ready) - set(pairs.values())))
    place.report(
        severity,
        message + _longer(rest, files.ready),
        hint=difference or hint,
    )


def _report_lost_patients(
    owners: Mapping[str, str],
    pairs: Mapping[str, str],
    place: Place,
) -> None:
    lost = set(owners.values()).difference(map(owners.__getitem__, pairs))
    if lost and pairs:
        place.warning(
            f"{len(lost)} patient(s) of the slide table have no slide that can be used and count "
            "as without slides",
            patients=sorted(lost),
        )


def _report_shared(
    owners: Mapping[str, str],
    pairs: Mapping[str, str],
    place: Place,
) -> None:
    """Report rows that have one file."""
    rows: dict[str, list[str]] = defaultdict(list)
    for slide, file in pairs.items():
        rows[file].append(slide)
    shared = {file: slides for file, slides in rows.items() if len(slides) > 1}
    if not shared:
        return
    named = []
    for file, slides in shared.items():
        text = f"slides {listed(map(repr, slides))} differ in their endings only"
        named.append(f"{text} and have one feature file, {file!r}")
    patients = {owners[slide] for slides in shared.values() for slide in slides}
    place.error(
        listed(named),
        patients=sorted(patients),
        hint="keep one row of each file",
    )


def _report_other_case(
    pairs: Mapping[str, str],
    place: Place,
) -> None:
    """Report rows that have their file's name but for letter case."""
    other = []
    for slide, file in pairs.items():
        if slide_stem(composed(slide)) != slide_stem(composed(file)):
            other.append(f"{slide!r} ({file!r})")
    if other:
        place.warning(
            f"{len(other)} slide(s) differ from their feature file only in letter case or a "
            f"final '.0', and are taken for the same: {listed(other, MOST_NAMED)}",
        )


def _longer(
    slides: Iterable[str],
    files: Iterable[str],
) -> str:
    """Name slides that are called like a file up to a dot, as TCGA's without their last part."""
    shorter = {composed(file).partition(".")[0]: file for file in files}
    pairs = []
    for slide in slides:
        file = shorter.get(slide_stem(composed(slide)))
        if file is not None:
            pairs.append(f"{slide!r} ({file!r})")
    if not pairs:
        return ""
    return f"; files whose names go on after a dot are other slides: {listed(pairs, 3)}"
