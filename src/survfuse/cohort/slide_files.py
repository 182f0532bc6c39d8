"""Which feature file belongs to which row of a slide table: by name, never by position."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from survfuse._errors import listed
from survfuse.cohort.sources import Sources
from survfuse.cohort.spec import SlidesSpec
from survfuse.readers.features import FeatureFiles, list_features
from survfuse.readers.slide_names import composed, match_names, slide_stem

MOST_NAMED = 20

SlideFile = tuple[str, str, Path]  # slide_id, patient_id, feature file


def match_files(name: str, spec: SlidesSpec, sources: Sources) -> list[SlideFile]:
    """Pair the rows of a slide table with feature files, sorted by patient and slide.

    Slides under `exclude_slides` are left out. Every slide and file without a partner is a problem.

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
    table = slide_table(name, spec, spec.table, sources)
    if table is None or _not_extracted(name, spec, table, sources):
        return []
    files = list_features(sources.path(spec.features))
    owners = dict(zip(table[spec.slide], table[spec.patient], strict=True))
    pairs = match_names(owners, files.ready)
    excluded = _excluded(name, spec, owners, sources)
    unused = set(files.ready) - set(pairs.values())
    pairs = {slide: file for slide, file in pairs.items() if slide not in excluded}
    absent = [slide for slide in owners if slide not in pairs and slide not in excluded]
    _report_absent(name, spec, sources, absent, files, bool(pairs))
    _report_patients(name, spec, sources, {owners[s] for s in absent} - {owners[s] for s in pairs})
    _report_pairs(name, spec, sources, pairs, owners)
    if unused:
        sources.problems.warning(
            name,
            f"{len(unused)} feature file(s) not in the slide table, not used: "
            f"{listed(sorted(unused), MOST_NAMED)}",
            file=spec.table,
        )
    items = [(slide, owners[slide], files.ready[file]) for slide, file in pairs.items()]
    return sorted(items, key=lambda item: (item[1], item[0]))


def _not_extracted(name: str, spec: SlidesSpec, table: pd.DataFrame, sources: Sources) -> bool:
    """Note that images are declared and no feature file is there yet."""
    assert spec.features is not None
    folder = sources.path(spec.features)
    if spec.images is None and "path" not in table:
        return False
    if folder.is_dir() and list_features(folder).ready:
        return False
    sources.problems.error(
        name,
        f"the {len(table)} slides have no features yet",
        file=spec.features,
        hint="run `survfuse extract` on this cohort file first",
    )
    return True


def _excluded(name: str, spec: SlidesSpec, slides: Iterable[str], sources: Sources) -> set[str]:
    """Rows that `exclude_slides` names; a name that fits none is noted."""
    rows = match_names(spec.exclude_slides, slides)
    unknown = [one for one in spec.exclude_slides if one not in rows]
    if unknown:
        sources.problems.warning(
            name,
            f"exclude_slides: no such slide: {listed(map(repr, unknown), MOST_NAMED)}",
            file=spec.table or "",
            column=spec.slide,
        )
    return set(rows.values())


def _report_absent(
    name: str,
    spec: SlidesSpec,
    sources: Sources,
    absent: list[str],
    files: FeatureFiles,
    any_used: bool,
) -> None:
    """Note slides whose files are still being written, and slides without a file."""
    note = sources.problems.warning if any_used else sources.problems.error
    written = match_names(absent, files.locked)
    if written:
        note(
            name,
            f"{len(written)} slide(s) not used, as a .lock file lies beside their feature file: "
            f"{listed(written, MOST_NAMED)}",
            file=spec.features or "",
            hint="wait until they are written; if their writer died, remove the .lock and extract them again",
        )
    rest = [slide for slide in absent if slide not in written]
    if rest and not any_used:
        note(
            name,
            f"none of the {len(absent)} slides of the table ({listed(rest, 3)}) has a feature file; "
            f"the folder has {listed(files.ready, 3) or 'none'}",
            file=spec.features or "",
            hint="slide_id must be the feature file's name, with or without endings such as .svs and .h5",
        )
    elif rest:
        note(
            name,
            f"{len(rest)} slide(s) without a feature file: {listed(rest, MOST_NAMED)}",
            file=spec.features or "",
            hint="extract them, or remove them from the slide table",
        )


def _report_patients(name: str, spec: SlidesSpec, sources: Sources, lost: set[str]) -> None:
    if lost:
        sources.problems.warning(
            name,
            f"{len(lost)} patient(s) of the slide table have no slide that can be used and count as without "
            "slides",
            patients=sorted(lost),
            file=spec.table or "",
        )


def _report_pairs(
    name: str, spec: SlidesSpec, sources: Sources, pairs: Mapping[str, str], owners: Mapping[str, str]
) -> None:
    """Note rows that share a file, and those that match one in another letter case only."""
    rows = defaultdict(list)
    for slide, file in pairs.items():
        rows[file].append(slide)
    for file, slides in rows.items():
        if len(slides) > 1:
            sources.problems.error(
                name,
                f"slides {listed(map(repr, slides))} differ in their endings only and have one feature file, "
                f"{file!r}",
                patients=sorted({owners[slide] for slide in slides}),
                file=spec.table or "",
                column=spec.slide,
                hint="keep one of these rows",
            )
    other_case = [
        f"{slide!r} ({file!r})"
        for slide, file in pairs.items()
        if slide_stem(composed(slide)) != slide_stem(composed(file)) and slide != file
    ]
    if other_case:
        sources.problems.warning(
            name,
            f"{len(other_case)} slide(s) differ from their feature file only in letter case or a final "
            f"'.0', and are taken for the same: {listed(other_case, MOST_NAMED)}",
            file=spec.table or "",
            column=spec.slide,
        )


def slide_table(name: str, spec: SlidesSpec, file: Path, sources: Sources) -> pd.DataFrame | None:
    """Rows of a slide table, one a slide; None (problems noted) when it cannot be read.

    Parameters
    ----------
    name : str
        Name of the modality.
    spec : SlidesSpec
        Its section.
    file : Path
        The table.
    sources : Sources
        Reads it and collects problems.
    """
    frame = sources.table(file, spec.slide, name)
    if frame is None or sources.column(frame, spec.patient, file, name) is None:
        return None
    sources.check_ids(frame[spec.patient], file, spec.patient, name)
    repeated = frame[spec.slide].duplicated(keep=False)
    for slide, rows in frame[repeated].groupby(spec.slide):
        owners = sorted(set(rows[spec.patient]))
        sources.problems.error(
            name,
            f"slide {slide!r} has {len(rows)} rows (data rows {listed([row + 1 for row in rows.index])})",
            patients=owners,
            file=file,
            column=spec.slide,
            hint="a slide belongs to one patient and has one row",
        )
    return frame[~frame[spec.slide].duplicated()]
