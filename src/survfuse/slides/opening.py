"""The choice of the reader of a slide; readers do not import it."""

from __future__ import annotations

from pathlib import Path

from survfuse._errors import MissingExtraError, SlideError
from survfuse._gate import regular_file
from survfuse.slides.reading import SlideReader


def open_slide(path: Path | str) -> SlideReader:
    """Open a whole-slide image.

    The native tiles of a tiled TIFF are decoded directly where a sample of them equals OpenSlide's
    pixels; everything else is read by OpenSlide.

    Parameters
    ----------
    path : path
        Any format OpenSlide reads (SVS, NDPI, MRXS, SCN, BIF, DICOM, CZI, tiled TIFF).

    Raises
    ------
    SlideError
        When the file is absent, of no known format, or damaged.
    MissingExtraError
        Without the extra `slides`.
    """
    source = Path(path)
    regular_file(source, error=SlideError)
    try:
        from survfuse.slides.openslide import OpenSlideReader
        from survfuse.slides.tiff import native_or_none
    except ImportError as error:
        raise MissingExtraError(
            f"{source}: reading slides needs {error.name or 'more packages'}: "
            "pip install 'survfuse[slides]'",
        ) from None
    reader = OpenSlideReader(source)
    return native_or_none(reader) or reader
