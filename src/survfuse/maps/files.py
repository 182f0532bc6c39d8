"""All files of a map of a slide, in the formats that are asked for."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from survfuse._errors import InputError, listed
from survfuse._storage import atomic_path, sha256_text, write_json
from survfuse.maps.measurements import ORIGINS, Origin
from survfuse.maps.slide_map import SlideMap

if TYPE_CHECKING:
    from survfuse.slides.reading import SlideReader

FORMATS = {
    "png": "over the slide, with legend and scale bar; a file for each score",
    "pixels": "PNG of one pixel a tile for each score, and JSON that says where they lie",
    "tiff": "pyramidal TIFF in the frame of the slide; a file for each score",
    "qupath": "tiles with measurements: GeoJSON, or a table and a script of many tiles",
    "hdf5": "scores and images of scores",
    "parquet": "scores; a row is a tile",
}
DRAWN = ("tile_risk", "tile_risk_smoothed", "cluster")
"""Scores that are drawn where none is asked for, and interactions."""
READ_SLIDES = ("png", "tiff", "qupath")
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
"""Names that Windows keeps for devices."""
LONGEST_STEM = 80


@dataclass(frozen=True)
class MapOptions:
    """What is written of maps.

    Attributes
    ----------
    formats : tuple of str
        Of `FORMATS`.
    scores : tuple of str
        Empty: all in tables and for QuPath; as pictures the tile risk, smoothed and not, the
        clusters and the interactions.
    origin : {"bounds", "full"}
        Of QuPath: whether it shows the scanned area of a slide only, or all of level 0.

    Raises
    ------
    InputError
        For a format or an origin that there is not.
    """

    formats: tuple[str, ...] = tuple(FORMATS)
    scores: tuple[str, ...] = ()
    origin: Origin = "bounds"

    def __post_init__(self) -> None:
        unknown = [name for name in self.formats if name not in FORMATS]
        if unknown:
            raise InputError(
                f"format of maps: expected {', '.join(FORMATS)}, got {listed(unknown)}",
            )
        if self.origin not in ORIGINS:
            raise InputError(f"origin: expected bounds or full, got {self.origin!r}")

    def drawn(self, slide_map: SlideMap) -> list[str]:
        """Scores of a map that are drawn."""
        if self.scores:
            return [name for name in self.scores if name in slide_map.scores]
        return [name for name in slide_map.scores if name in DRAWN or "*" in name]

    def tabled(self, slide_map: SlideMap) -> list[str]:
        """Scores of a map that stand in tables."""
        if self.scores:
            return [name for name in self.scores if name in slide_map.scores]
        return list(slide_map.scores)


def write_files(
    slide_map: SlideMap,
    folder: Path | str,
    options: MapOptions | None = None,
    *,
    stem: str = "",
) -> list[Path]:
    """Write a map of a slide in several formats.

    The slide is opened once, where the map knows its image and a format shows it.

    Parameters
    ----------
    slide_map : SlideMap
    folder : path
        Is created.
    options : MapOptions, optional
    stem : str
        How the files begin; the slide id where not given, made safe.

    Returns
    -------
    list of Path

    Raises
    ------
    InputError
        For a map without a score, or tiles that lie beyond the slide.
    SlideError
        When the slide cannot be read.
    MissingExtraError
        Without the extra `slides`, for formats that need it.
    """
    wanted = options or MapOptions()
    if not slide_map.scores:
        raise InputError(f"slide {slide_map.slide_id!r}: no map: {slide_map.why_blank}")
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    with _opened(slide_map, wanted) as reader:
        job = _Job(
            slide_map, place, stem or safe_stem(slide_map.slide_id), wanted, reader
        )
        files: list[Path] = []
        for name in wanted.formats:
            files += _WRITERS[name](job)
    return files


def safe_stem(text: str) -> str:
    """A name of a file on any system.

    Texts that share one are rare; :func:`file_stems` names several without any.

    >>> safe_stem("TCGA-XK-AAJU-01"), safe_stem("a/b")
    ('TCGA-XK-AAJU-01', 'a_b-c14cddc0')
    """
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", text)[:LONGEST_STEM].strip(".")
    if plain.startswith("-") or RESERVED.fullmatch(
        plain
    ):  # "-rf" is an option of commands
        plain = f"_{plain}"
    if plain and plain == text:
        return plain
    return f"{plain or '_'}-{sha256_text(text)[:8]}"


def file_stems(texts: Iterable[str], taken: Iterable[str] = ()) -> dict[str, str]:
    """Names of files, of which no two are the same where capital letters count as small ones.

    Parameters
    ----------
    texts : iterable of str
        Ids, each once.
    taken : iterable of str
        Names that are used already.

    Returns
    -------
    dict of text to str

    Examples
    --------
    >>> file_stems(["p1", "P1", "index"], ["index"])
    {'p1': 'p1', 'P1': 'P1-55a9fde7', 'index': 'index-1bc04b52'}
    """
    stems, used = {}, {name.casefold() for name in taken}
    for text in texts:
        stem = safe_stem(text)
        while stem.casefold() in used:
            stem = f"{stem}-{sha256_text(text)[:8]}"
        used.add(stem.casefold())
        stems[text] = stem
    return stems


@dataclass(frozen=True, eq=False)
class _Job:
    """The files of one slide; a method for each format."""

    slide_map: SlideMap
    folder: Path
    stem: str
    options: MapOptions
    reader: SlideReader | None

    def png(self) -> list[Path]:
        """Pictures for people."""
        from survfuse.maps.overlay import background, png_bytes
        from survfuse.maps.picture import on_background

        base, frame = background(self.slide_map, self.reader)
        files = []
        for name in self.options.drawn(self.slide_map):
            picture = on_background(self.slide_map, name, self.reader, base, frame)
            files.append(self._bytes(f"{_score_stem(name)}.png", png_bytes(picture)))
        return files

    def pixels(self) -> list[Path]:
        """Pictures of one pixel a tile."""
        from survfuse.maps.pixels import pixel_png

        files = []
        for name in self.options.drawn(self.slide_map):
            picture = pixel_png(self.slide_map, name)
            files.append(self._bytes(f"{_score_stem(name)}.pixels.png", picture))
        described = self._path("json")
        write_json(described, self.slide_map.described())
        return [*files, described]

    def tiff(self) -> list[Path]:
        """Pyramids."""
        from survfuse.maps.map_tiff import write_tiff

        files = []
        for name in self.options.drawn(self.slide_map):
            files.append(self._path(f"{_score_stem(name)}.tiff"))
            write_tiff(files[-1], self.slide_map, name, self.reader)
        return files

    def qupath(self) -> list[Path]:
        """Tiles for QuPath."""
        from survfuse.maps.qupath import write_qupath

        return list(
            write_qupath(
                self.folder,
                self.stem,
                self.slide_map,
                self.reader,
                origin=self.options.origin,
                scores=self.options.tabled(self.slide_map),
            ),
        )

    def hdf5(self) -> list[Path]:
        """Scores as HDF5."""
        from survfuse.maps.map_tables import write_hdf5

        path = self._path("h5")
        write_hdf5(path, self.slide_map, self.options.tabled(self.slide_map))
        return [path]

    def parquet(self) -> list[Path]:
        """Scores as Parquet."""
        from survfuse.maps.map_tables import write_parquet

        path = self._path("parquet")
        write_parquet(path, self.slide_map, self.options.tabled(self.slide_map))
        return [path]

    def _path(self, ending: str) -> Path:
        return self.folder / f"{self.stem}.{ending}"

    def _bytes(self, ending: str, content: bytes) -> Path:
        path = self._path(ending)
        with atomic_path(path, durable=False) as temporary:
            temporary.write_bytes(content)
        return path


_WRITERS: dict[str, Callable[[_Job], list[Path]]] = {
    "png": _Job.png,
    "pixels": _Job.pixels,
    "tiff": _Job.tiff,
    "qupath": _Job.qupath,
    "hdf5": _Job.hdf5,
    "parquet": _Job.parquet,
}


def _opened(
    slide_map: SlideMap,
    options: MapOptions,
) -> AbstractContextManager[SlideReader | None]:
    """The open slide, where a format shows it; or nothing."""
    if slide_map.image is None or not set(options.formats) & set(READ_SLIDES):
        return nullcontext()
    from survfuse.slides.opening import open_slide

    return open_slide(slide_map.image)


def picture_name(stem: str, score: str) -> str:
    """Name of the picture of a score over the slide."""
    return f"{stem}.{_score_stem(score)}.png"


def _score_stem(name: str) -> str:
    """A score as a part of a file's name."""
    return safe_stem(name.replace("*", "-x-"))
