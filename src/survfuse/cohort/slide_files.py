"""Which feature file belongs to which row of a slide table: by name, never by position."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from survfuse._errors import listed
from survfuse.cohort.problems import Severity
from survfuse.cohort.sources import Sources
from survfuse.cohort.spec import SlidesSpec
from survfuse.readers.cell_text import composed, only_difference
from survfuse.readers.features import FeatureFiles, list_features
from survfuse.readers.slide_names import match_names, slide_stem

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
    if table is None:
        return []
    pairing = _Pairing(name, spec, spec.table, spec.features, sources)
    if pairing.not_extracted(table):
        return []
    return pairing.run(dict(zip(table[spec.slide], table[spec.patient], strict=True)))


@dataclass(frozen=True)
class _Pairing:
    """Pairs the rows of one slide table with the feature files of one folder; problems are noted."""

    name: str
    spec: SlidesSpec
    table: Path
    features: Path
    sources: Sources

    def not_extracted(self, table: pd.DataFrame) -> bool:
        """Note that images are declared and no feature file is there yet."""
        if self.spec.images is None and "path" not in table:
            return False
        folder = self.sources.path(self.features)
        if folder.is_dir() and list_features(folder).ready:
            return False
        self._note(
            "error",
            f"the {len(table)} slides have no features yet",
            file=self.features,
            hint="run `survfuse extract` on this cohort file first",
        )
        return True

    def run(self, owners: dict[str, str]) -> list[SlideFile]:
        """Pair slides with files; `owners` are their patients by slide."""
        files = list_features(self.sources.path(self.features))
        pairs = match_names(owners, files.ready)
        unused = sorted(set(files.ready) - set(pairs.values()))
        for slide in self._excluded(owners):
            del owners[slide]
            pairs.pop(slide, None)
        self._report_absent(owners, pairs, files)
        self._report_shared(owners, pairs)
        self._report_other_case(pairs)
        if unused:
            self._note(
                "warning",
                f"{len(unused)} feature file(s) not in the slide table, not used: "
                f"{listed(unused, MOST_NAMED)}",
            )
        items = [
            (slide, owners[slide], files.ready[file]) for slide, file in pairs.items()
        ]
        return sorted(items, key=lambda item: (item[1], item[0]))

    def _excluded(self, slides: Iterable[str]) -> set[str]:
        """Rows that `exclude_slides` names; a name that fits none is noted."""
        rows = match_names(self.spec.exclude_slides, slides)
        unknown = [repr(one) for one in self.spec.exclude_slides if one not in rows]
        if unknown:
            self._note(
                "warning",
                f"exclude_slides: no such slide: {listed(unknown, MOST_NAMED)}",
                column=self.spec.slide,
            )
        return set(rows.values())

    def _report_absent(
        self,
        owners: Mapping[str, str],
        pairs: Mapping[str, str],
        files: FeatureFiles,
    ) -> None:
        """Note slides whose files are still being written, slides without a file, and patients so lost."""
        absent = [slide for slide in owners if slide not in pairs]
        severity: Severity = "warning" if pairs else "error"
        written = match_names(absent, files.locked)
        if written:
            self._note(
                severity,
                f"{len(written)} slide(s) not used, as a .lock file lies beside their feature file: "
                f"{listed(written, MOST_NAMED)}",
                file=self.features,
                hint="wait until they are written; if their writer died, remove the .lock and extract them "
                "again",
            )
        rest = [slide for slide in absent if slide not in written]
        trifle = only_difference(rest, sorted(set(files.ready) - set(pairs.values())))
        if rest and not pairs:
            self._note(
                severity,
                f"none of the {len(absent)} slides of the table ({listed(rest, 3)}) has a feature file; "
                f"the folder has {listed(files.ready, 3) or 'none'}{_longer(rest, files.ready)}",
                file=self.features,
                hint=trifle
                or "slide_id must be the feature file's name, with or without endings such as .svs and .h5",
            )
        elif rest:
            self._note(
                severity,
                f"{len(rest)} slide(s) without a feature file: {listed(rest, MOST_NAMED)}"
                f"{_longer(rest, files.ready)}",
                file=self.features,
                hint=trifle or "extract them, or remove them from the slide table",
            )
        lost = set(map(owners.__getitem__, absent)) - set(
            map(owners.__getitem__, pairs),
        )
        if lost and pairs:
            self._note(
                "warning",
                f"{len(lost)} patient(s) of the slide table have no slide that can be used and count as "
                "without slides",
                patients=sorted(lost),
            )

    def _report_shared(
        self,
        owners: Mapping[str, str],
        pairs: Mapping[str, str],
    ) -> None:
        """Note rows that have one file."""
        rows: dict[str, list[str]] = defaultdict(list)
        for slide, file in pairs.items():
            rows[file].append(slide)
        for file, slides in rows.items():
            if len(slides) > 1:
                self._note(
                    "error",
                    f"slides {listed(map(repr, slides))} differ in their endings only and have one feature "
                    f"file, {file!r}",
                    patients=sorted(set(map(owners.__getitem__, slides))),
                    column=self.spec.slide,
                    hint="keep one of these rows",
                )

    def _report_other_case(self, pairs: Mapping[str, str]) -> None:
        """Note rows that have their file's name but for letter case."""
        other = []
        for slide, file in pairs.items():
            if slide != file and slide_stem(composed(slide)) != slide_stem(
                composed(file),
            ):
                other.append(f"{slide!r} ({file!r})")
        if other:
            self._note(
                "warning",
                f"{len(other)} slide(s) differ from their feature file only in letter case or a final "
                f"'.0', and are taken for the same: {listed(other, MOST_NAMED)}",
                column=self.spec.slide,
            )

    def _note(
        self,
        severity: Severity,
        message: str,
        *,
        file: Path | None = None,
        **about: Any,
    ) -> None:
        note = (
            self.sources.problems.error
            if severity == "error"
            else self.sources.problems.warning
        )
        note(self.name, message, file=file or self.table, **about)


def _longer(slides: Iterable[str], files: Iterable[str]) -> str:
    """Name slides that are called like a file up to a dot, as TCGA's without the last part of their name."""
    shorter = {composed(file).partition(".")[0]: file for file in files}
    pairs = []
    for slide in slides:
        file = shorter.get(slide_stem(composed(slide)))
        if file is not None:
            pairs.append(f"{slide!r} ({file!r})")
    return (
        f"; files whose names go on after a dot are other slides: {listed(pairs, 3)}"
        if pairs
        else ""
    )


def slide_table(
    name: str,
    spec: SlidesSpec,
    file: Path,
    sources: Sources,
) -> pd.DataFrame | None:
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
