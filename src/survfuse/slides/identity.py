"""What a bag is made from, as hashes: same key, same features."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from survfuse._errors import SlideError
from survfuse._storage import sha256_file, sha256_text, to_json
from survfuse._version import __version__
from survfuse.slides.settings import ExtractConfig
from survfuse.slides.slide_list import SlideItem

PARTS = (
    "numpy",
    "h5py",
    "openslide-python",
    "openslide-bin",
    "tifffile",
    "imagecodecs",
    "torch",
    "timm",
)


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
        How tissue was told from glass on this slide.
    mask_sha256 : str or None
        Of its mask, where that was used.
    """
    shared = {name: value for name, value in settings.items() if name != "tissue"}
    return sha256_text(
        to_json([slide_sha256, float(slide_mpp).hex(), method, mask_sha256, shared]),
    )


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
    mask = item.mask if config.method_for(item) == "given" else None
    return sha256_text(
        to_json(
            [settings, about, stamp(item.path), None if mask is None else stamp(mask)],
        ),
    )


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
    """Files that make up a slide: itself, and the companions of formats that have them (MRXS, DICOM)."""
    suffix = path.suffix.lower()
    if suffix == ".mrxs" and path.with_suffix("").is_dir():
        return [
            path,
            *sorted(file for file in path.with_suffix("").rglob("*") if file.is_file()),
        ]
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
    """Versions of survfuse and of the parts that touch pixels and numbers."""
    found = {"survfuse": __version__}
    for name in PARTS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
