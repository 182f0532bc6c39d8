"""Which image belongs to which slide of a cohort, by path or by name, never by position."""

from __future__ import annotations

import math
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from survfuse._errors import CohortError, listed
from survfuse.cohort.problems import Problems
from survfuse.cohort.slide_files import slide_table
from survfuse.cohort.sources import Sources
from survfuse.cohort.spec import SlidesSpec, load_spec
from survfuse.readers.cell_text import composed
from survfuse.readers.matrices import MISSING
from survfuse.readers.slide_names import SLIDE_SUFFIXES, name_stems, slide_stem

MOST_TOLD = 5
_LIKE = {
    "mpp": "µm per pixel of level 0, such as 0.25",
    "objective": "its power, such as 40",
}


@dataclass(frozen=True)
class SlideImage:
    """One row of a slide table with its image.

    Attributes
    ----------
    slide_id, patient_id : str
    path : Path
        The image; it is there.
    mpp : float or None, µm/px
        Of level 0, from the column `mpp`.
    objective : float or None
        Power, from the column `objective`.
    mask : Path or None
        Its tissue mask, from the column `mask`.
    """

    slide_id: str
    patient_id: str
    path: Path
    mpp: float | None = None
    objective: float | None = None
    mask: Path | None = None


@dataclass(frozen=True)
class SlideImages:
    """The images of a cohort's slides.

    Attributes
    ----------
    name : str
        Of the modality.
    spec : SlidesSpec
    images : tuple of SlideImage
        Sorted by slide id.
    masks, features : Path or None
        Folders of the tissue masks and of the feature files, as the cohort file says.
    """

    name: str
    spec: SlidesSpec
    images: tuple[SlideImage, ...]
    masks: Path | None
    features: Path | None


def find_images(path: Path | str, *, modality: str = "slides") -> SlideImages:
    """Find the image of every slide of a cohort.

    A slide is the file that the column `path` of the slide table names (relative to `images`
    where the section has it, else to the cohort file); without the column it is the one file
    below `images` that is called like the slide id. Masks are never taken for slides.

    Parameters
    ----------
    path : path
        The cohort file.
    modality : str
        Its bag modality.

    Raises
    ------
    CohortError
        Lists everything that is wrong: slides without an image or with several, images of two
        slides, numbers that are none.
    """
    spec = load_spec(path)
    section = spec.sections().get(modality)
    if not isinstance(section, SlidesSpec) or section.table is None:
        raise CohortError(
            f"{path}: no slides to extract: expected a section `{modality}:` with `table:` (slide_id, "
            "patient_id) and either a column `path` in that table or `images: FOLDER`",
        )
    sources = Sources(Path(path).resolve().parent, Problems())
    images = _Search(modality, section, section.table, sources).run()
    sources.problems.raise_errors(path)

    def place(relative: Path | None) -> Path | None:
        return None if relative is None else sources.path(relative)

    return SlideImages(
        modality,
        section,
        images,
        place(section.masks),
        place(section.features),
    )


@dataclass(frozen=True)
class _Search:
    """Pairs the rows of one slide table with files; problems are noted."""

    name: str
    spec: SlidesSpec
    table: Path
    sources: Sources

    def run(self) -> tuple[SlideImage, ...]:
        frame = slide_table(self.name, self.spec, self.table, self.sources)
        if frame is None:
            return ()
        frame = frame.apply(lambda column: column.str.strip())
        paths = self._by_path(frame) if "path" in frame else self._by_name(frame)
        masks = self._named(frame, "mask", self.spec.masks or self.spec.images)
        self._refuse_shared(frame, [*paths.items(), *masks.items()])
        mpp, objective = (
            self._numbers(frame, column) for column in ("mpp", "objective")
        )
        found = [
            SlideImage(
                slide,
                patient,
                paths[slide],
                mpp.get(slide),
                objective.get(slide),
                masks.get(slide),
            )
            for slide, patient in zip(
                frame[self.spec.slide],
                frame[self.spec.patient],
                strict=True,
            )
            if slide in paths
        ]
        return tuple(sorted(found, key=lambda image: image.slide_id))

    def _by_path(self, frame: pd.DataFrame) -> dict[str, Path]:
        empty = frame[self.spec.slide][frame["path"].map(_is_empty)]
        if len(empty):
            self._error(
                f"no path for slide {listed(map(repr, empty))}",
                column="path",
                hint="fill it in",
            )
        return self._named(frame, "path", self.spec.images)

    def _named(
        self,
        frame: pd.DataFrame,
        column: str,
        folder: Path | None,
    ) -> dict[str, Path]:
        """Read paths of an optional column, by slide; empty cells are left out, absent files noted."""
        if column not in frame:
            return {}
        root = self.sources.path(folder or Path())
        rows = zip(frame[self.spec.slide], frame[column], strict=True)
        paths = _as_written(
            {slide: root / path for slide, path in rows if not _is_empty(path)},
        )
        absent = {
            slide: path for slide, path in paths.items() if not os.path.exists(path)
        }
        if absent:
            told = listed(
                (f"{slide!r} ({path})" for slide, path in absent.items()),
                MOST_TOLD,
            )
            self._error(
                f"{len(absent)} of {len(frame)} files are not there: {told}",
                column=column,
                hint="correct the paths, get the files, or take these rows out",
            )
        return {slide: path for slide, path in paths.items() if slide not in absent}

    def _by_name(self, frame: pd.DataFrame) -> dict[str, Path]:
        if self.spec.images is None:
            self._error(
                "nothing says where the images lie",
                hint="add a column `path` to the slide table, or `images: FOLDER` to the section",
            )
            return {}
        root = self.sources.path(self.spec.images)
        if not root.is_dir():
            self._error(
                "no such folder of images",
                file=self.spec.images,
                hint="correct `images:`",
            )
            return {}
        masks = (
            None
            if self.spec.masks is None
            else self.sources.path(self.spec.masks).resolve()
        )
        by_stem: Mapping[str, list[Path]] = defaultdict(list)
        for file in _images_below(root, masks):
            by_stem[slide_stem(composed(file.name))].append(file)
        candidates = {
            slide: _called(slide, by_stem) for slide in frame[self.spec.slide]
        }
        self._report(candidates, by_stem)
        return {
            slide: files[0] for slide, files in candidates.items() if len(files) == 1
        }

    def _report(
        self,
        candidates: Mapping[str, list[Path]],
        by_stem: Mapping[str, list[Path]],
    ) -> None:
        absent = [slide for slide, files in candidates.items() if not files]
        if absent:
            self._error(
                f"{len(absent)} of {len(candidates)} slides have no image of their name: "
                f"{listed(map(repr, absent), MOST_TOLD)}; the folder has "
                f"{listed(map(repr, sorted(by_stem)), 3) or 'none'}{_nearly(absent, by_stem)}",
                file=self.spec.images or "",
                hint="slide_id must be the image's file name without its ending; or add a column `path`",
            )
        for slide, files in candidates.items():
            if len(files) > 1:
                self._error(
                    f"slide {slide!r} could be {listed(files, MOST_TOLD)}",
                    file=self.spec.images or "",
                    hint="keep one of them, or add a column `path` to the slide table",
                )

    def _refuse_shared(
        self,
        frame: pd.DataFrame,
        files: Sequence[tuple[str, Path]],
    ) -> None:
        """Note files that stand for more than one slide, or for a slide and its mask."""
        owner = dict(zip(frame[self.spec.slide], frame[self.spec.patient], strict=True))
        same: Mapping[Path, list[str]] = defaultdict(list)
        for slide, path in files:
            same[path.resolve()].append(slide)
        for path, slides in same.items():
            if len(slides) > 1:
                self.sources.problems.error(
                    self.name,
                    f"{path} is listed for slides {listed(map(repr, slides))}",
                    patients=sorted({owner[slide] for slide in slides}),
                    file=self.table,
                    hint="one file is the image, or the mask, of one slide; correct the rows",
                )

    def _numbers(self, frame: pd.DataFrame, column: str) -> dict[str, float]:
        """Read numbers > 0 of an optional column, by slide; empty cells are left out."""
        if column not in frame:
            return {}
        found: dict[str, float] = {}
        for slide, cell in zip(frame[self.spec.slide], frame[column], strict=True):
            if _is_empty(cell):
                continue
            value = _number(cell)
            if value is None:
                self._error(
                    f"slide {slide!r}: expected a number > 0, got {cell!r}",
                    column=column,
                    hint=f"write {_LIKE[column]}, with a decimal point and without a unit, or leave it empty",
                )
            else:
                found[slide] = value
        return found

    def _error(
        self,
        message: str,
        *,
        file: Path | str = "",
        column: str = "",
        hint: str = "",
    ) -> None:
        self.sources.problems.error(
            self.name,
            message,
            file=file or self.table,
            column=column,
            hint=hint,
        )


def _as_written(paths: Mapping[str, Path]) -> dict[str, Path]:
    """Find files whose names have letters or blanks that reading a table writes in another way."""
    found: dict[str, Path] = {}
    named: dict[Path, dict[str, Path]] = {}
    for slide, path in paths.items():
        folder = path.parent
        if not os.path.exists(path) and folder.is_dir():
            if folder not in named:
                named[folder] = {composed(file.name): file for file in folder.iterdir()}
            path = named[folder].get(path.name, path)
        found[slide] = path
    return found


def _nearly(absent: Sequence[str], stems: Iterable[str]) -> str:
    """Name slides that differ from an image in letter case only."""
    by_case = {stem.casefold(): stem for stem in stems}
    same = []
    for slide in absent:
        plain = slide_stem(composed(slide)).casefold()
        if plain in by_case:
            same.append(f"{slide!r} ({by_case[plain]!r})")
    return f"; in another letter case only: {listed(same, MOST_TOLD)}" if same else ""


def _called(slide: str, by_stem: Mapping[str, list[Path]]) -> list[Path]:
    """Find the files that a slide id names; an id that ends like a slide names that very file."""
    plain = composed(slide)
    same = by_stem.get(slide_stem(plain), [])
    exact = [file for file in same if composed(file.name) == plain]
    if not exact:  # a.SVS is a.svs too
        exact = [file for file in same if composed(file.name).lower() == plain.lower()]
    if exact or plain.lower().endswith(SLIDE_SUFFIXES):
        return exact
    return [file for file in same if plain in name_stems(composed(file.name))] or same


def _images_below(root: Path, masks: Path | None) -> Iterator[Path]:
    """Slide files below a folder, sorted; hidden ones and the folder of masks are left out.

    A folder that links lead to again is looked at once.
    """
    seen = {os.path.realpath(one) for one in (root, masks) if one is not None}
    for folder, below, files in os.walk(root, followlinks=True):
        here = Path(folder)
        new = []
        for name in sorted(below):
            real = os.path.realpath(here / name)
            if not name.startswith(".") and real not in seen:
                seen.add(real)
                new.append(name)
        below[:] = new
        for name in sorted(files):
            if not name.startswith(".") and name.lower().endswith(SLIDE_SUFFIXES):
                yield here / name


def _is_empty(cell: object) -> bool:
    return not isinstance(cell, str) or cell.strip() in MISSING


def _number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) and value > 0 else None
