"""How a TIFF slide stores its colours: what would come out black, grey or as noise is refused."""

from __future__ import annotations

from collections.abc import Sequence

from survfuse._errors import SlideError
from survfuse.slides.reading import Level
from survfuse.slides.tiff_header import TiffImage

PLAIN_BITS, DEEP_BITS = 8, 16
_GREY = (0, 1)  # white is 0, black is 0
_UNSIGNED = 1
_CONVERT = "convert it to an 8-bit RGB pyramid"


def check_samples(images: Sequence[TiffImage], whole: Level) -> int:
    """Refuse a TIFF whose level 0 is not in colours of 8 or 16 bits; anything else than a TIFF passes.

    Parameters
    ----------
    images : sequence of TiffImage
        Of the file; none where it is no TIFF.
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
    tiled = [one for one in images if one.tiled]
    if not tiled:
        return PLAIN_BITS
    level0 = [
        one for one in tiled if (one.width, one.height) == (whole.width, whole.height)
    ]
    first = level0[0] if level0 else max(tiled, key=lambda one: (one.width, one.height))
    if first.photometric in _GREY:
        raise SlideError(_grey_text(first, len(level0)))
    if first.bits not in (PLAIN_BITS, DEEP_BITS) or first.format != _UNSIGNED:
        kind = {2: "signed integers", 3: "floating point"}.get(
            first.format,
            "unsigned integers",
        )
        raise SlideError(
            f"stored in samples of {first.bits} bits ({kind}), expected 8: {_CONVERT}",
        )
    return first.bits


def _grey_text(samples: TiffImage, images: int) -> str:
    """Say that there is no colour; channels may be stored one image each."""
    channels = max(samples.samples, images)
    many = "one grey value" if channels == 1 else f"{channels} grey channels"
    return (
        f"stored as {many} per pixel ({samples.bits} bits), without colour; tissue and its stains are told "
        f"by colour: {_CONVERT}"
    )
