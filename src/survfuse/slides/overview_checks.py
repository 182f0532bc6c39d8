"""Whether a slide can be judged at all: light enough, and in colour; else it fails and is not `empty`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from survfuse._errors import SlideError
from survfuse.slides.overviews import Overview, shrunk
from survfuse.slides.reading import Pixels, SlideReader

DARK, DARK_DEEP = 48, 128
"""Grey levels that the brightest px reach on glass and in tissue, of 8-bit slides and of 16-bit ones (15 used
bits of 16 end at 127)."""
_BRIGHTEST = 99.5  # percentile
_MOST_DARK = 0.5  # share of px, black padding left out
_PADDING = 4
_GREY = 8  # largest colour less smallest of a px, after JPEG
_SHADE = 0.85  # of the glass
_MOST_SHADE = 0.02  # share of px: dust and the edge of a coverslip


def check_overview(reader: SlideReader, view: Overview) -> None:
    """Refuse a slide that shows nothing that tissue could be told by.

    Parameters
    ----------
    reader : SlideReader
    view : Overview
        Of that slide.

    Raises
    ------
    SlideError
        When it is nearly black, or grey things lie on it and nothing has a colour.
    """
    image = shrunk(view.image).reshape(-1, 3)
    seen = image[image.min(axis=1) < 255]
    if len(seen):
        _refuse_dark(reader, seen)
        _refuse_grey(reader, seen)


def _refuse_dark(reader: SlideReader, seen: Pixels) -> None:
    most = seen.max(axis=1)
    brightest = float(np.percentile(most, _BRIGHTEST))
    deep = reader.sample_bits > 8
    if brightest < (DARK_DEEP if deep else DARK):
        cause = (
            f"it stores samples of {reader.sample_bits} bits, of which fewer seem to be used (12-bit data?): "
            "scale them to 8 bits"
            if deep
            else "it is no bright-field scan, or a converter spoilt its colours"
        )
        raise SlideError(
            f"{reader.path}: nearly black: its brightest pixels have {brightest:.0f} of 255; {cause}",
        )
    lit = most[most > _PADDING]
    dark = float((lit < DARK).mean())
    if dark > _MOST_DARK:
        raise SlideError(
            f"{reader.path}: {dark:.0%} of what was scanned is nearly black (below {DARK} of 255); stained "
            "tissue on bright glass is expected. Is it a fluorescence scan, or inverted?",
        )


def _refuse_grey(reader: SlideReader, seen: Pixels) -> None:
    spread = seen.max(axis=1).astype(np.int16) - seen.min(axis=1)
    if np.percentile(spread, _BRIGHTEST) >= _GREY:
        return
    green: npt.NDArray[np.uint8] = seen[:, 1]
    shade = float((green < _SHADE * np.percentile(green, 95)).mean())
    if shade > _MOST_SHADE:
        raise SlideError(
            f"{reader.path}: no colour: all its pixels are grey, {shade:.0%} of them dark; tissue and its "
            "stains are told by colour. Scan or convert it in colour",
        )
