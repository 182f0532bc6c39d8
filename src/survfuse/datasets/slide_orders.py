"""Which slides a simulated patient has, and how they look, before any is painted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from survfuse._types import ByteArray
from survfuse.datasets.population import FACTORS, Patients
from survfuse.datasets.slide_light import LABORATORY, PATIENT, PENS, STANDARD, Stain
from survfuse.datasets.slide_painting import (
    Look,
    Painted,
    cells,
    draw_classes,
    paint,
)
from survfuse.datasets.slide_textures import Sheets, draw_sheets

# Of the classes of tissue, without glass.
_SHARES = 2 * np.array([3.0, 2.5, 3.0, 1.5, 0.7])
_DECOY_SD = 1.2  # of what immune infiltrate shows and means nothing; a factor's is 1
_FINE = 0.35  # share of slides at half the µm per px
_PENNED = 0.08  # share of slides with a pen mark
_SMALLEST = 0.8  # of the side asked for
_ROUND = 64  # px of 0.5 µm; sides are multiples of it


@dataclass(frozen=True)
class Workshop:
    """What all painted slides of one seed share.

    Attributes
    ----------
    sheets : Sheets
    laboratories : tuple of Stain
        One per site, or one.
    """

    sheets: Sheets
    laboratories: tuple[Stain, ...]


@dataclass(frozen=True)
class Order:
    """One slide of a patient, to be painted or only laid out.

    Attributes
    ----------
    look : Look
    height, width : int, px of 0.5 µm
    rng : Generator
        This slide's own.
    finer : int
        Pixels along each axis in place of one.
    pen : str or None
        Colour of its pen mark.
    """

    look: Look
    height: int
    width: int
    rng: np.random.Generator
    finer: int
    pen: str | None

    def paint(self, sheets: Sheets) -> Painted:
        """Paint the slide."""
        return paint(
            sheets,
            self.look,
            self.height,
            self.width,
            self.rng,
            finer=self.finer,
            pen=self.pen,
        )

    def classes(self) -> ByteArray:
        """Class of every cell, as the painted slide would have them but for its turn."""
        return cells(
            draw_classes(self.look.shares, self.height, self.width, self.rng)[0],
        )


def workshop(
    sites: int,
    seed: np.random.SeedSequence,
) -> Workshop:
    """Draw textures, and how each site stains."""
    textures, stains = (np.random.default_rng(child) for child in seed.spawn(2))
    laboratories = tuple(STANDARD.shifted(LABORATORY, stains) for _ in range(sites))
    return Workshop(draw_sheets(textures), laboratories or (STANDARD,))


def order_slides(
    shop: Workshop,
    patients: Patients,
    row: int,
    *,
    side: int,
    slides: int,
    seed: np.random.SeedSequence,
) -> Iterator[Order]:
    """Yield the slides of the patient in a row of `patients`, 1 to `slides`, uniformly.

    Parameters
    ----------
    shop : Workshop
    patients : Patients
    row : int
    side : int, px of 0.5 µm
        Longest side of a slide.
    slides : int
        Most slides.
    seed : SeedSequence
        This patient's own.
    """
    person, *streams = seed.spawn(1 + slides)
    rng = np.random.default_rng(person)
    stain = shop.laboratories[int(patients.site[row])].shifted(PATIENT, rng)
    decoy = _DECOY_SD * rng.standard_normal(FACTORS)
    look = Look(rng.dirichlet(_SHARES), patients.slide_factor[row], decoy, stain)
    for stream in streams[: int(rng.integers(1, slides + 1))]:
        own = np.random.default_rng(stream)
        height, width = _sides(side, own)
        pen = str(own.choice(list(PENS))) if own.random() < _PENNED else None
        finer = 2 if own.random() < _FINE else 1
        yield Order(look, height, width, own, finer, pen)


def _sides(
    longest: int,
    rng: np.random.Generator,
) -> tuple[int, int]:
    drawn = longest * rng.uniform(_SMALLEST, 1.0, 2)
    height, width = np.maximum(drawn // _ROUND, 1).astype(int).tolist()
    return height * _ROUND, width * _ROUND
