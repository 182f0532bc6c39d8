"""Which image belongs to which slide of a cohort, by path or by name, never by position."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from survfuse._errors import CohortError, listed
from survfuse.cohort.problems import Place, Problems
from survfuse.cohort.slide_rows import slide_rows
from survfuse.cohort.sources import Sources
from survfuse.cohort.spec import CohortSpec, SlidesSpec, load_spec
from survfuse.cohort.table_file import TableFile
from survfuse.readers.cell_text import composed
from survfuse.readers.matrices import MISSING
from survfuse.readers.slide_names import SLIDE_SUFFIXES, name_stems, slide_stem

MOST_NAMED = 5
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


@dataclass(frozen=True)
class AvailableImages:
    """The images of a bag that are at hand, and why the others are not.

    Attributes
    ----------
    images : mapping of slide to SlideImage
    reasons : mapping of slide to str
        Why a slide has none.
    why : str
        Of slides for which no reason of their own is known.
    mpp : mapping of slide to float, µm/px
        Of level 0, as the slide table tells it, also of slides without an image.
    """

    images: Mapping[str, SlideImage]
    reasons: Mapping[str, str]
    why: str = "the slide table names no image"
    mpp: Mapping[str, float] = field(default_factory=dict)

    def why_absent(self, slide: str) -> str:
        """Why a slide has no image; empty where it has one."""
        return "" if slide in self.images else self.reasons.get(slide, self.why)

    def why_none(self) -> str:
        """Why no slide at all has an image, by the first of them."""
        return next(iter(self.reasons.values()), self.why)

    def without(self, slides: Iterable[str]) -> str:
        """Which of some slides have no image, and why; empty where all have one."""
        absent = [slide for slide in slides if slide not in self.images]
        reasons = (f"{slide!r} ({self.why_absent(slide)})" for slide in absent)
        return f"no image of slide {listed(reasons, MOST_NAMED)}" if absent else ""


def find_images(
    path: Path | str,
    *,
    modality: str = "slides",
) -> SlideImages:
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
    return images_of(
        load_spec(path),
        Path(path).resolve().parent,
        modality=modality,
        where=path,
    )


def images_of(
    spec: CohortSpec,
    root: Path,
    *,
    modality: str,
    where: Path | str,
) -> SlideImages:
    """Find the images of a cohort whose file was read; see :func:`find_images`.

    Parameters
    ----------
    spec : CohortSpec
    root : Path
        Folder that its paths are relative to.
    modality : str
    where : path or str
        The cohort, for messages.
    """
    section = spec.sections().get(modality)
    if not isinstance(section, SlidesSpec) or section.table is None:
        raise CohortError(
            f"{where}: no slides to extract: expected a section `{modality}:` with `table:` "
            "(slide_id, patient_id) and either a column `path` in that table or `images: FOLDER`",
        )
    sources = Sources(root, Problems(), match=spec.match)
    images = _Search(modality, section, section.table, sources).run()
    sources.problems.raise_errors(where)
    masks = section.masks and sources.path(section.masks)
    features = section.features and sources.path(section.features)
    return SlideImages(modality, section, images, masks, features)


def available_images(
    spec: CohortSpec,
    root: Path,
    *,
    modality: str,
) -> AvailableImages:
    """Find the images of a bag that are there; slides without one are no error.

    An image of which it is doubtful whether it is that of the slide (listed twice, several of its
    name, a µm per px that is none) counts as absent.

    Parameters
    ----------
    spec : CohortSpec
    root : Path
        Folder that its paths are relative to.
    modality : str
    """
    section = spec.sections().get(modality)
    if not isinstance(section, SlidesSpec) or section.table is None:
        why = (
            "the cohort file names no images of slides: the section needs `table:` with a column "
            "`path`, or `images: FOLDER`"
        )
        return AvailableImages({}, {}, f"{modality}: {why}")
    sources = Sources(root, Problems(), match=spec.match)
    search = _Search(modality, section, section.table, sources)
    images = {image.slide_id: image for image in search.run()}
    errors = sources.problems.errors
    if errors and not images and not search.reasons:
        why = "; ".join(map(str, errors))
        return AvailableImages({}, {}, why, search.mpp)
    for slide in search.reasons:
        images.pop(slide, None)
    return AvailableImages(images, search.reasons, mpp=search.mpp)


@dataclass(frozen=True)
class _Search:
    """Pairs the rows of one slide table with files; problems are noted.

    `reasons` is filled with what keeps a slide from having its image, `mpp` with µm per px.
    """

    name: str
    spec: SlidesSpec
    table: TableFile
    sources: Sources
    reasons: dict[str, str] = field(default_factory=dict)
    mpp: dict[str, float] = field(default_factory=dict)

    def at(
        self,
        column: str = "",
        file: Path | None = None,
    ) -> Place:
        return self.sources.problems.at(self.name, file or self.table, column)

    def run(self) -> tuple[SlideImage, ...]:
        listing = slide_rows(self.name, self.spec, self.table, self.sources)
        if listing is None:
            return ()
        frame = listing.frame
        rows = frame.apply(lambda column: column.str.strip()).set_index(self.spec.slide)
        rows = rows.mask(rows.isin(MISSING))
        owners = listing.owners.str.strip().set_axis(rows.index)
        paths = self._by_path(rows) if "path" in rows else self._by_name(rows.index)
        masks = self._named(rows, "mask", self.spec.masks or self.spec.images)
        self._refuse_shared(owners, [*paths.items(), *masks.items()])
        self.mpp.update(self._numbers(rows, "mpp"))
        objective = self._numbers(rows, "objective")
        images = []
        for slide in sorted(paths):
            numbers = self.mpp.get(slide), objective.get(slide)
            images.append(
                SlideImage(
                    slide,
                    owners[slide],
                    paths[slide],
                    *numbers,
                    masks.get(slide),
                ),
            )
        return tuple(images)

    def _by_path(self, rows: pd.DataFrame) -> dict[str, Path]:
        empty = rows.index[rows["path"].isna()]
        if len(empty):
            self.at("path").error(
                f"no path for slide {listed(map(repr, empty))}",
                hint="fill it in",
            )
            self.reasons.update(dict.fromkeys(empty, "the slide table has no `path`"))
        return self._named(rows, "path", self.spec.images)

    def _named(
        self,
        rows: pd.DataFrame,
        column: str,
        folder: Path | None,
    ) -> dict[str, Path]:
        """Read paths of an optional column, by slide; absent files are reported."""
        if column not in rows:
            return {}
        root = self.sources.path(folder or Path())
        paths: dict[str, Path] = {}
        absent = []
        in_folder: dict[Path, dict[str, Path]] = {}
        for slide, cell in rows[column].dropna().items():
            path = _as_written(root / cell, in_folder)
            if os.path.exists(path):
                paths[str(slide)] = path
            else:
                absent.append(f"{slide!r} ({path})")
                if column == "path":
                    self.reasons[str(slide)] = f"{path} is not there"
        if absent:
            self.at(column).error(
                f"{len(absent)} of {len(rows)} files are not there: "
                f"{listed(absent, MOST_NAMED)}",
                hint="correct the paths, get the files, or take these rows out",
            )
        return paths

    def _by_name(self, slides: Iterable[str]) -> dict[str, Path]:
        if self.spec.images is None:
            self.at().error(
                "nothing says where the images lie",
                hint="add a column `path` to the slide table, or `images: FOLDER` to the section",
            )
            return {}
        place = self.at(file=self.spec.images)
        root = self.sources.path(self.spec.images)
        if not root.is_dir():
            place.error("no such folder of images", hint="correct `images:`")
            return {}
        masks = self.spec.masks and self.sources.path(self.spec.masks)
        by_stem: dict[str, list[Path]] = defaultdict(list)
        for file in _images_below(root, masks):
            by_stem[slide_stem(composed(file.name))].append(file)
        paths = {}
        absent, several = [], []
        for slide in slides:
            files = _called(slide, by_stem)
            if len(files) == 1:
                paths[slide] = files[0]
            elif files:
                named = listed(files, MOST_NAMED)
                self.reasons[slide] = f"its image could be {named}"
                several.append(f"slide {slide!r} could be {named}")
            else:
                absent.append(slide)
                self.reasons[slide] = f"{root} has no image of its name"
        if several:
            place.error(
                listed(several),
                hint="keep one of them, or add a column `path` to the slide table",
            )
        if absent:
            place.error(
                f"{len(absent)} of {len(list(slides))} slides have no image of their name: "
                f"{listed(map(repr, absent), MOST_NAMED)}; the folder has "
                f"{listed(map(repr, sorted(by_stem)), 3) or 'none'}{_nearly(absent, by_stem)}",
                hint="slide_id must be the image's file name without its ending; or add a column "
                "`path`",
            )
        return paths

    def _refuse_shared(
        self,
        owners: pd.Series[str],
        files: Iterable[tuple[str, Path]],
    ) -> None:
        """Report files that stand for more than one slide, or for a slide and its mask."""
        same: dict[Path, list[str]] = defaultdict(list)
        for slide, path in files:
            same[path.resolve()].append(slide)
        reasons = {}
        for path, slides in same.items():
            if len(slides) > 1:
                reason = f"{path} is listed for slides {listed(map(repr, slides))}"
                reasons[reason] = slides
                self.reasons.update(dict.fromkeys(slides, reason))
        if reasons:
            shared = [slide for slides in reasons.values() for slide in slides]
            self.at().error(
                listed(reasons),
                patients=sorted(set(owners[shared])),
                hint="one file is the image, or the mask, of one slide; correct the rows",
            )

    def _numbers(
        self,
        rows: pd.DataFrame,
        column: str,
    ) -> dict[str, float]:
        """Read numbers > 0 of an optional column, by slide; empty cells are left out."""
        if column not in rows:
            return {}
        cells = rows[column].dropna()
        values = pd.to_numeric(cells, errors="coerce")
        valid = (values > 0) & (values < np.inf)
        wrong = cells[~valid]
        if column == "mpp":
            for slide, cell in wrong.items():
                reason = f"its `mpp` is no number > 0, but {cell!r}"
                self.reasons[str(slide)] = reason
        if len(wrong):
            named = [f"{cell!r} (slide {slide!r})" for slide, cell in wrong.items()]
            self.at(column).error(
                f"expected a number > 0, got {listed(named)}",
                hint=f"write {_LIKE[column]}, with a decimal point and without a unit, or leave "
                "it empty",
            )
        return {str(slide): float(value) for slide, value in values[valid].items()}


def _as_written(
    path: Path,
    in_folder: dict[Path, dict[str, Path]],
) -> Path:
    """Find a file whose name has letters or blanks that reading a table writes in another way.

    `in_folder` remembers the files of a folder by their name as tables are read.
    """
    folder = path.parent
    if os.path.exists(path) or not folder.is_dir():
        return path
    if folder not in in_folder:
        in_folder[folder] = {composed(file.name): file for file in folder.iterdir()}
    return in_folder[folder].get(path.name, path)


def _nearly(
    absent: Iterable[str],
    stems: Iterable[str],
) -> str:
    """Name slides that differ from an image in letter case only."""
    by_case = {stem.casefold(): stem for stem in stems}
    same = []
    for slide in absent:
        plain = slide_stem(composed(slide)).casefold()
        if plain in by_case:
            same.append(f"{slide!r} ({by_case[plain]!r})")
    return f"; in another letter case only: {listed(same, MOST_NAMED)}" if same else ""


def _called(
    slide: str,
    by_stem: Mapping[str, list[Path]],
) -> list[Path]:
    """Find the files that a slide id names; an id that ends like a slide names that very file."""
    plain = composed(slide)
    same = by_stem.get(slide_stem(plain), [])
    exact = [file for file in same if composed(file.name) == plain]
    if not exact:  # a.SVS is a.svs too
        exact = [file for file in same if composed(file.name).lower() == plain.lower()]
    if exact or plain.lower().endswith(SLIDE_SUFFIXES):
        return exact
    return [file for file in same if plain in name_stems(composed(file.name))] or same


def _images_below(
    root: Path,
    masks: Path | None,
) -> Iterator[Path]:
    """Slide files below a folder, sorted; hidden ones and the folder of masks are left out.

    A folder that links lead to again is read once.
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
