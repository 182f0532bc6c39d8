"""How a TIFF slide stores its colours: what would come out black, grey or as noise is refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import tifffile

from survfuse._errors import SlideError
from survfuse.slides.reading import Level

PLAIN_BITS, DEEP_BITS = 8, 16
_GREY = (0, 1)  # white is 0, black is 0
_UNSIGNED = 1
_MOST_PAGES = 256
_CONVERT = "convert it to an 8-bit RGB pyramid"


@dataclass(frozen=True)
class _Samples:
    """What one TIFF image holds in each pixel."""

    size: tuple[int, int]
    bits: int
    format: int
    photometric: int
    channels: int


def check_samples(path: Path, whole: Level) -> int:
    """Refuse a TIFF whose level 0 is not in colours of 8 or 16 bits; anything else than a TIFF passes.

    Parameters
    ----------
    path : Path
    whole : Level
        Level 0.

    Returns
    -------
    int
        Bits of a sample; of 16, the upper 8 are read.

    Raises
    ------
    SlideError
        Names what is stored.
    """
    try:
        with tifffile.TiffFile(path) as file:
            tiled = list(_tiled(file))
    except (tifffile.TiffFileError, OSError, ValueError, KeyError, IndexError, TypeError, AttributeError):
        return PLAIN_BITS
    if not tiled:
        return PLAIN_BITS
    level0 = [one for one in tiled if one.size == (whole.width, whole.height)]
    first = (level0 or sorted(tiled, key=lambda one: one.size, reverse=True))[0]
    if first.photometric in _GREY:
        raise SlideError(_grey_text(first, len(level0)))
    if first.bits not in (PLAIN_BITS, DEEP_BITS) or first.format != _UNSIGNED:
        kind = {2: "signed integers", 3: "floating point"}.get(first.format, "unsigned integers")
        raise SlideError(f"stored in samples of {first.bits} bits ({kind}), expected 8: {_CONVERT}")
    return first.bits


def _tiled(file: tifffile.TiffFile) -> Iterator[_Samples]:
    for one in islice(file.pages, _MOST_PAGES):
        page: Any = one.aspage()
        if page.is_tiled:
            yield _Samples(
                (page.imagewidth, page.imagelength),
                _largest(page.bitspersample),
                _largest(page.sampleformat),
                int(page.photometric),
                int(page.samplesperpixel),
            )


def _largest(values: Any) -> int:
    return int(max(values) if isinstance(values, tuple) else values)


def _grey_text(samples: _Samples, images: int) -> str:
    """Say that there is no colour; channels may be stored one image each."""
    channels = max(samples.channels, images)
    many = "one grey value" if channels == 1 else f"{channels} grey channels"
    return (
        f"stored as {many} per pixel ({samples.bits} bits), without colour; tissue and its stains are told "
        f"by colour: {_CONVERT}"
    )
