"""Slides whose scanned area is a part of level 0: OpenSlide tells their bounds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile

Pixels = npt.NDArray[Any]


def leica_slide(
    path: Path, pyramid: list[Pixels], side: int, at: tuple[int, int]
) -> Path:
    """Write a slide of Leica's format that was scanned in part, at 0.5 µm/px.

    Parameters
    ----------
    path : Path
    pyramid : list of array, (height, width, 3) uint8
        The scanned area, a square; finest first.
    side : int, px
        Of the whole slide.
    at : (int, int), px
        x, y of the upper left corner of the scanned area.
    """
    nm = 500
    macro = np.full((side // 64, side // 64, 3), 235, np.uint8)
    head = '<creationDate>2012-01-01T00:00:00Z</creationDate><device model="Leica SCN400" version="1"/>'

    def image(
        name: str,
        levels: list[Pixels],
        first: int,
        corner: tuple[int, int],
        wide: int,
        lens: float,
    ) -> str:
        sizes = "".join(
            f'<dimension sizeX="{one.shape[1]}" sizeY="{one.shape[0]}" r="{number}" ifd="{first + number}"/>'
            for number, one in enumerate(levels)
        )
        view = f'offsetX="{corner[0] * nm}" offsetY="{corner[1] * nm}" sizeX="{wide * nm}" sizeY="{wide * nm}"'
        return (
            f'<image name="{name}" uuid="{name}">{head}<view {view}/><scanSettings><objectiveSettings>'
            f"<objective>{lens}</objective></objectiveSettings><illuminationSettings><numericalAperture>0.4"
            "</numericalAperture><illuminationSource>brightfield</illuminationSource></illuminationSettings>"
            "</scanSettings>"
            f'<pixels sizeX="{levels[0].shape[1]}" sizeY="{levels[0].shape[0]}">{sizes}</pixels></image>'
        )

    text = (
        '<?xml version="1.0"?><scn xmlns="http://www.leica-microsystems.com/scn/2010/10/01">'
        f'<collection name="c" uuid="u" sizeX="{side * nm}" sizeY="{side * nm}"><barcode>QQ==</barcode>'
        f"{image('macro', [macro], 0, (0, 0), side, 0.6)}{image('main', pyramid, 1, at, len(pyramid[0]), 20)}"
        "</collection></scn>"
    )
    how: dict[str, Any] = {
        "tile": (256, 256),
        "photometric": "rgb",
        "compression": "jpeg",
        "metadata": None,
    }
    with tifffile.TiffWriter(path, bigtiff=True) as file:
        file.write(
            macro,
            description=text,
            resolution=(1e4 / 32,) * 2,
            resolutionunit="CENTIMETER",
            **how,
        )
        for one in pyramid:
            scale = 1e4 / 0.5 * one.shape[0] / len(pyramid[0])
            file.write(
                one,
                resolution=(scale, scale),
                resolutionunit="CENTIMETER",
                **how,
            )
    return path
