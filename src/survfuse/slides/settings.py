"""How slides become features, as one frozen object; what a bag is made from, as hashes."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from survfuse._errors import SlideError
from survfuse._storage import sha256_file, sha256_text, to_json
from survfuse._version import __version__
from survfuse.config import Frozen
from survfuse.slides.slide_list import SlideItem

PACKAGES = (
    "numpy",
    "h5py",
    "openslide-python",
    "openslide-bin",
    "tifffile",
    "imagecodecs",
    "torch",
    "timm",
)
"""Those that touch pixels and numbers; their versions are recorded."""


class ExtractConfig(Frozen):
    """How slides are cut into tiles and what encodes them."""

    # -- the encoder
    encoder: str = "stain_texture"
    """Tile encoder, by the name of its card (docs/encoders.md)."""
    weights: Path | None = None
    """Its weights: safetensors, or a torch file read with `weights_only`; nothing is fetched."""
    sha256: str | None = None
    """What the weights file must hash to."""
    random_weights: int | None = Field(default=None, ge=0)
    """Seed of random weights instead, to try a pipeline; the encoder is then called NAME_random."""
    device: str = "auto"
    """Where networks compute; `auto` takes a GPU if there is one."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Of the encoder; `auto` is the card's on a GPU and fp32 elsewhere."""

    # -- tiles
    tile_px: int | None = Field(
        default=None,
        ge=16,
        le=4096,
    )
    """Side of a tile in pixels, as the encoder sees it; null takes the card's."""
    mpp: float | None = Field(default=None, gt=0)
    """µm per pixel of the tiles; null takes the card's. Slides of other spacing are resampled to
    it."""
    overlap: float = Field(
        default=0.0,
        ge=0,
        lt=0.95,
    )
    """Share of a tile that it has in common with its neighbour."""
    slide_mpp: float | None = Field(default=None, gt=0)
    """µm per pixel of level 0, for slides whose file and table do not say it."""
    objective_power: float | None = Field(default=None, gt=0)
    """Power of the objective, likewise: 20 means 0.5 µm/px, 40 means 0.25."""

    # -- tissue
    tissue: Literal["auto", "given", "otsu", "everything"] = "auto"
    """Where tiles are taken: `given` masks, found by `otsu`, or `everything`; `auto` takes the mask
    where
    there is one and `otsu` elsewhere."""
    min_cover: float = Field(
        default=0.25,
        gt=0,
        le=1,
    )
    """Smallest share of tissue in a tile; a chip that fits in no tile so keeps its best one."""
    min_area_mm2: float = Field(default=0.02, ge=0)
    """Tissue found smaller than this is dust."""
    max_hole_mm2: float = Field(default=0.1, ge=0)
    """Holes in found tissue up to this size are filled."""
    max_background: float = Field(
        default=0.9,
        gt=0,
        le=1,
    )
    """Tiles with a larger share of blank pixels are left out."""
    max_pen: float = Field(
        default=0.3,
        gt=0,
        le=1,
    )
    """Tiles with a larger share of pen marks are left out."""
    max_unreadable: float = Field(
        default=0.05,
        ge=0,
        le=1,
    )
    """Slides with a larger share of tiles that cannot be read fail; up to it, those tiles are left
    out."""

    # -- how it runs: changes no feature
    batch: int = Field(default=64, ge=1)
    """Tiles encoded at once."""
    threads: int = Field(default=1, ge=1)
    """Threads that read tiles beside the one that encodes, per worker."""

    @field_validator("tissue", mode="before")
    @classmethod
    def _removed(cls, value: object) -> object:
        if value == "lazyslide":
            raise ValueError(
                "the tissue finder of lazyslide was removed, it found no more than otsu "
                "(docs/decisions/0017); say otsu",
            )
        return value

    @model_validator(mode="after")
    def _check(self) -> ExtractConfig:
        if self.weights is not None and self.random_weights is not None:
            raise ValueError("weights and random_weights exclude each other")
        if self.sha256 is not None and self.weights is None:
            raise ValueError("sha256 is the checksum of `weights`, which are not given")
        return self

    def method_for(self, item: SlideItem) -> str:
        """Where the tiles of one slide are taken: given, otsu or everything."""
        if self.tissue != "auto":
            return self.tissue
        return "otsu" if item.mask is None else "given"


REVISION = 2
"""Raised when a change of this program gives other tiles for the same settings."""

_TISSUE = ("min_cover", "min_area_mm2", "max_hole_mm2", "max_background", "max_pen")


def settings_of(
    config: ExtractConfig,
    encoder: Any,
) -> dict[str, Any]:
    """Everything that all bags of one folder share.

    Parameters
    ----------
    config : ExtractConfig
    encoder : TileEncoder
        Gives the tile size and scale where `config` leaves them to the card.

    Returns
    -------
    dict
        `revision`, `tile_px`, `mpp`, `overlap`, `tissue` with its limits, and the encoder's
        `identity()`.

    Raises
    ------
    ConfigError
        When the encoder cannot take tiles of `tile_px`.
    """
    if config.tile_px is not None:
        encoder.card.check_px(config.tile_px)
    return {
        "revision": REVISION,
        "tile_px": encoder.px if config.tile_px is None else config.tile_px,
        "mpp": encoder.card.mpp if config.mpp is None else config.mpp,
        "overlap": config.overlap,
        "tissue": config.tissue,
        **{name: getattr(config, name) for name in _TISSUE},
        "encoder": dict(encoder.identity()),
    }


def content_key(
    settings: Mapping[str, Any],
    *,
    slide_sha256: str,
    slide_mpp: float,
    method: str,
    mask_sha256: str | None,
) -> str:
    """Name the content of one bag: same key, same features.

    Parameters
    ----------
    settings : mapping
        As :func:`settings_of` gives them.
    slide_sha256 : str
        Of the image.
    slide_mpp : float, µm/px
        Of level 0, as decided.
    method : str
        Where its tiles were taken.
    mask_sha256 : str or None
        Of its mask, where that was used.
    """
    shared = {**settings}
    del shared["tissue"]
    about = [slide_sha256, float(slide_mpp).hex(), method, mask_sha256, shared]
    return sha256_text(to_json(about))


def inputs_key(
    item: SlideItem,
    config: ExtractConfig,
    settings: Mapping[str, Any],
) -> str:
    """Name what one slide is made from without opening it: paths, sizes, times and settings.

    While it is the same, finished work stands and a data error is not tried again.
    """
    about = [
        item.mpp,
        item.objective,
        config.slide_mpp,
        config.objective_power,
        config.max_unreadable,
    ]
    mask = None
    if item.mask is not None and config.method_for(item) == "given":
        mask = stamp(item.mask)
    return sha256_text(to_json([settings, about, stamp(item.path), mask]))


def stamp(path: Path) -> list[Any]:
    """Size in bytes and modification time in ns of a slide with the files that belong to it.

    Nothing but the path where it is absent.
    """
    try:
        stats = [file.stat() for file in slide_files(path)]
    except OSError:
        return [str(path)]
    return [sum(one.st_size for one in stats), max(one.st_mtime_ns for one in stats)]


def stamp_there(path: Path) -> tuple[int, int]:
    """Size and time, as :func:`stamp` gives them, of a slide that was opened.

    Raises
    ------
    SlideError
        When it is gone again.
    """
    match stamp(path):
        case [int(size), int(mtime)]:
            return size, mtime
    raise SlideError(
        f"{path}: went away while it was read; put it back and start again",
    )


def slide_files(path: Path) -> list[Path]:
    """Files that make up a slide: itself, and its companions (MRXS, DICOM)."""
    suffix = path.suffix.lower()
    if suffix == ".mrxs":
        return [path, *sorted(filter(Path.is_file, path.with_suffix("").rglob("*")))]
    if suffix == ".dcm":
        return sorted({path, *path.parent.glob("*.dcm")})
    return [path]


def hash_slide(path: Path) -> str:
    """Hash a slide's bytes, together with those of the files that belong to it."""
    files = slide_files(path)
    if len(files) == 1:
        return sha256_file(path)
    return sha256_text("\n".join(f"{file.name} {sha256_file(file)}" for file in files))


def versions() -> dict[str, str]:
    """Versions of survfuse and of `PACKAGES`."""
    installed = {"survfuse": __version__}
    for name in PACKAGES:
        with suppress(PackageNotFoundError):
            installed[name] = version(name)
    return installed
