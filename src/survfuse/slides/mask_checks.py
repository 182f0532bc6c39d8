"""Whether a tissue mask lies on the stain of its slide: a mirrored or turned one does not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from survfuse._errors import SlideError
from survfuse.slides.frames import overlap

Mask = npt.NDArray[np.bool_]

_TURNS: dict[str, Callable[[Any], Any]] = {
    "mirrored left to right": np.fliplr,
    "mirrored top to bottom": np.flipud,
    "turned by 180°": lambda mask: np.rot90(mask, 2),
    "turned by 90°": lambda mask: np.rot90(mask, 1),
    "turned by 270°": lambda mask: np.rot90(mask, 3),
    "with rows and columns exchanged": np.transpose,
    "with rows and columns exchanged and turned by 180°": lambda mask: np.rot90(
        mask.T,
        2,
    ),
}
_FITS, _BETTER = 0.8, 0.15
"""Intersection over union with the stain, of a mask of all tissue; and by how much it is more when turned."""
_ON_STAIN, _PARTLY, _OFF_STAIN = 0.8, 0.5, 0.2
"""Share of the marked area that is stained, of a mask of a part: in its place, in doubt, in a wrong one."""
_HARDLY = 0.1


def is_off_stain(mask: Mask, stained: Mask) -> bool:
    """Whether less than half of what a mask marks is stained, on a slide where something is."""
    return bool(stained.any()) and _fit(mask, stained)[0] < _PARTLY


def check_place(path: Path, mask: Mask, stained: Mask) -> list[str]:
    """Hold a mask against what is stained in its frame.

    Parameters
    ----------
    path : Path
        Of the mask.
    mask : ndarray, (height, width) bool
    stained : ndarray, (height, width) bool
        Of the same part of the slide, at any size.

    Returns
    -------
    list of str
        A note where hardly any of the marked area is stained.

    Raises
    ------
    SlideError
        When it fits well mirrored or turned, and not as it is.
    """
    if not stained.any() or not mask.any():
        return []
    on, same = _fit(mask, stained)
    fits = {name: _fit(turn(mask), stained) for name, turn in _TURNS.items()}
    name = max(fits, key=lambda turned: fits[turned][1])
    turned_on, turned_same = fits[name]
    part_fits = turned_on >= _ON_STAIN and on <= _PARTLY
    text = f"{on:.0%} of what the mask marks is stained, but {turned_on:.0%} when it is {name}"
    if (turned_same >= _FITS and turned_same - same >= _BETTER) or (
        part_fits and on <= _OFF_STAIN
    ):
        raise SlideError(
            f"{path}: {text}; write it the way the slide lies, with row 0 at its top",
        )
    if part_fits:
        return [f"{text}; does it lie the way the slide does?"]
    if on < _HARDLY:
        return [
            f"only {on:.1%} of what the mask marks is stained; is it this slide's mask, and of all of it?",
        ]
    return []


def _fit(mask: Mask, stained: Mask) -> tuple[float, float]:
    """Share of the marked area that is stained; intersection over union."""
    import cv2

    size = (stained.shape[1], stained.shape[0])
    marked = (
        cv2.resize(mask.astype(np.uint8) * 255, size, interpolation=cv2.INTER_AREA)
        >= 128
    )
    return overlap(marked, stained)
