"""Everything that is known of the tiles of one slide, in the frame of level 0."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np

from survfuse._errors import InputError
from survfuse._types import FloatArray, IntArray
from survfuse.maps.lattice import Lattice
from survfuse.maps.scores import Score
from survfuse.readers.bag_files import Slide

FORMAT, VERSION = "survfuse-map", 1
"""Of all files of maps."""
MOST_SIDE = 2**17
"""Level-0 px of the side of a tile, at most."""


@dataclass(frozen=True, eq=False)
class TilePlaces:
    """Where the tiles of a slide lie.

    Attributes
    ----------
    corners : array, (tiles, 2)
        Upper left corners x, y, level-0 px.
    side : float, level-0 px
        Of a tile; NaN where it is not known.
    """

    corners: FloatArray
    side: float

    @classmethod
    def of(
        cls,
        slide: Slide,
        corners: FloatArray,
        mpp: float | None,
    ) -> Self:
        """Convert what a feature file says.

        Parameters
        ----------
        slide : Slide
            Which tells the unit of its coordinates and the size of its tiles.
        corners : array, (tiles, 2)
            In that unit.
        mpp : float or None, µm/px
            Of level 0.

        Raises
        ------
        InputError
            When it is not known where the tiles lie on level 0, or no tile is so large.
        """
        in_um = slide.coord_unit == "um"
        if slide.coord_unit is None or np.isnan(corners).any():
            raise InputError(
                f"slide {slide.slide_id!r}: it is not known where its tiles lie, so there is no "
                "map of it; feature files with coordinates are needed",
            )
        if in_um and mpp is None:
            raise InputError(
                f"slide {slide.slide_id!r}: its tiles lie at µm, and the µm per px of the slide "
                "are not known; give them in the column `mpp` of the slide table",
            )
        side = slide.patch_size_level0
        if side is None and slide.tile_um is not None and mpp is not None:
            side = slide.tile_um / mpp
        if side is not None and side > MOST_SIDE:
            raise InputError(
                f"slide {slide.slide_id!r}: tiles of {side:.6g} px, expected at most "
                f"{MOST_SIDE:,}; correct the size of a tile that its feature file tells",
            )
        scale = 1 / float(mpp) if in_um and mpp is not None else 1.0
        return cls(corners * scale, float("nan" if side is None else side))


@dataclass(frozen=True, eq=False)
class SlideMap:
    """Scores of the tiles of a slide, where they lie.

    Attributes
    ----------
    patient_id, modality, slide_id : str
    places : TilePlaces
    scores : mapping of name to Score
        In the order in which they are offered. Empty where the model has no use for the slide.
    clusters : array of int, (tiles,), or None
        Where the model holds no clusters.
    mpp : float or None, µm/px
        Of level 0, where the slide table tells it.
    image : path or None
        The slide; None where no image of it is at hand.
    why_no_image : str
    why_blank : str
        Why there is no score; empty where there is one.
    """

    patient_id: str
    modality: str
    slide_id: str
    places: TilePlaces
    scores: Mapping[str, Score]
    clusters: IntArray | None = None
    mpp: float | None = None
    image: Path | None = None
    why_no_image: str = ""
    why_blank: str = ""
    notes: tuple[str, ...] = field(default=())

    @property
    def tiles(self) -> int:
        """Number of tiles."""
        return len(self.places.corners)

    @cached_property
    def lattice(self) -> Lattice:
        """The pixels of the map, one a tile."""
        return Lattice.of(self.places.corners, self.places.side)

    @property
    def side(self) -> float:
        """Side of a tile, level-0 px; that of a pixel of the map where it is not known."""
        known = not np.isnan(self.places.side)
        return self.places.side if known else self.lattice.step[0]

    def image_of(self, name: str) -> FloatArray:
        """A score as an image, (rows, columns); NaN where no tile lies.

        Where several tiles lie in one pixel, it has their mean, but of categories the last one's.

        Raises
        ------
        InputError
            For a score that the map does not have.
        """
        score, lattice = self.score(name), self.lattice
        if score.kind != "categories":
            return lattice.image(score.values)
        image = np.full((lattice.rows, lattice.columns), np.nan)
        known = np.isfinite(score.values)
        image[lattice.row[known], lattice.column[known]] = score.values[known]
        return image

    def score(self, name: str) -> Score:
        """A score by its name.

        Raises
        ------
        InputError
            For one that the map does not have.
        """
        if name not in self.scores:
            names = ", ".join(self.scores) or f"none: {self.why_blank}"
            raise InputError(
                f"slide {self.slide_id!r}: no score {name!r}; there are: {names}",
            )
        return self.scores[name]

    def described(self) -> dict[str, Any]:
        """Everything but the numbers of tiles, as JSON: what a viewer needs to place the map."""
        lattice = self.lattice
        return {
            "patient_id": self.patient_id,
            "modality": self.modality,
            "slide_id": self.slide_id,
            "tiles": self.tiles,
            "side": self.side,
            "mpp": self.mpp,
            "origin": list(lattice.origin),
            "step": list(lattice.step),
            "rows": lattice.rows,
            "columns": lattice.columns,
            "scores": [score.described() for score in self.scores.values()],
            "why_blank": self.why_blank,
            "notes": list(self.notes),
        }
