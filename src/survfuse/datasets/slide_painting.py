"""Painting a slide: tissue regions of a patient, stained, with nuclei, pen and camera noise.

A patient's slide factors
change what tumour shows: the first how many nuclei there are and how large, the second
the balance of haematoxylin and eosin. Immune infiltrate changes along the same two
lines by amounts that mean nothing, as in :mod:`survfuse.datasets.simulated_tissue`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import cv2
import numpy as np

from survfuse._types import ByteArray, FloatArray, IntArray
from survfuse.datasets.simulated_tissue import CLASSES
from survfuse.datasets.slide_layout import BACKGROUND, STEP, draw_layout
from survfuse.datasets.slide_light import SLIDE, Stain, add_noise, develop, draw_pen
from survfuse.datasets.slide_textures import SHEET, Sheets, cut, nuclei

MPP = 0.5  # µm per px of what is painted

_CROWDING = 0.26  # log-density of nuclei for a factor of 1
_GROWTH = 0.12  # log-radius of nuclei for a factor of 1
_BALANCE = 0.25  # log-amount of haematoxylin up, and of eosin down, for a factor of 1
_FACTOR_LIMIT = 2.0
_STAMPS = 64  # different nuclei of a class on one slide
# What enlarging twice (cubic) and averaging back leaves of a pixel and its neighbours.
_ENLARGED_AND_BACK = np.array([-0.0176, 0.0781, 0.8790, 0.0781, -0.0176])
_FOCUS = 0.65  # px, standard deviation of the optics' blur

Places = IntArray


@dataclass(frozen=True)
class Kind:
    """How a class of tissue is painted.

    Attributes
    ----------
    sheet : str
        Field of :class:`Sheets` that its ground is cut from.
    eosin, haematoxylin : (float, float)
        Amount where the sheet is lowest and highest, in hundredths of optical density.
    spacing, radius : float, px
        Of its nuclei.
    strength : float
        Haematoxylin of a nucleus.
    elongation : float
        Length over width of a nucleus.
    """

    sheet: str
    eosin: tuple[float, float]
    haematoxylin: tuple[float, float]
    spacing: float
    radius: float
    strength: float
    elongation: float

    def changed(self, factors: FloatArray) -> Kind:
        """The kind as slide factors, (FACTORS,), change it; zeros change nothing."""
        first, second = np.clip(factors, -_FACTOR_LIMIT, _FACTOR_LIMIT).tolist()
        more = np.exp(_BALANCE * second)
        return replace(
            self,
            eosin=(self.eosin[0] / more, self.eosin[1] / more),
            haematoxylin=(self.haematoxylin[0] * more, self.haematoxylin[1] * more),
            spacing=self.spacing * np.exp(-0.5 * _CROWDING * first),
            radius=self.radius * np.exp(_GROWTH * first),
            strength=self.strength * more,
        )


KINDS: Mapping[str, Kind] = {
    "tumour": Kind("cloud", (22, 54), (14, 44), 20.5, 7.5, 132.0, 1.3),
    "immune": Kind("cloud", (12, 34), (12, 34), 14.5, 5.0, 152.0, 1.1),
    "stroma": Kind("fibres", (10, 84), (2, 14), 42.0, 4.6, 120.0, 3.4),
    "muscle": Kind("muscle", (34, 122), (5, 22), 54.0, 5.0, 115.0, 3.8),
    "necrosis": Kind("cloud", (26, 96), (2, 40), 38.0, 3.2, 120.0, 1.4),
}


@dataclass(frozen=True)
class Painted:
    """A painted slide.

    Attributes
    ----------
    image : ndarray, (height, width, 3) uint8
        RGB, `mpp` µm per px.
    mpp : float, µm per px
    classes : ndarray, (rows, columns) uint8
        Index into :data:`survfuse.datasets.simulated_tissue.CLASSES`, `STEP` times `MPP` µm a cell.
    chips : int
        Pieces of tissue.
    pen : str or None
        Colour of the pen mark.
    """

    image: ByteArray
    mpp: float
    classes: ByteArray
    chips: int
    pen: str | None


@dataclass(frozen=True)
class Look:
    """What a patient's slides have in common.

    Attributes
    ----------
    shares : ndarray, (classes - 1,)
    tumour, immune : ndarray, (FACTORS,)
        The slide factors, and the amounts that mean nothing.
    stain : Stain
    """

    shares: FloatArray
    tumour: FloatArray
    immune: FloatArray
    stain: Stain


def paint(
    sheets: Sheets,
    look: Look,
    height: int,
    width: int,
    rng: np.random.Generator,
    *,
    finer: int = 1,
    pen: str | None = None,
) -> Painted:
    """Paint one slide.

    Parameters
    ----------
    sheets : Sheets
    look : Look
        Of its patient.
    height, width : int, px of `MPP`
        Multiples of `STEP`; the slide may be turned by a quarter.
    rng : Generator
        This slide's own.
    finer : int
        So many pixels instead of one along each axis: 2 gives ``MPP / 2``.
    pen : str, optional
        Draw over it with a pen of this colour (a key of `PENS`).
    """
    classes, chips = draw_classes(look.shares, height, width, rng)
    haematoxylin, eosin = _amounts(sheets, look, classes, rng)
    image = develop(look.stain.shifted(SLIDE, rng), haematoxylin, eosin)
    # A stream of its own, so that a pen mark moves nothing else.
    hand = np.random.default_rng(rng.integers(2**63))
    if pen is not None:
        draw_pen(image, pen, hand)
    turns = int(rng.integers(4))
    image = _magnified(np.ascontiguousarray(np.rot90(image, turns)), finer)
    small = np.rot90(cells(classes), turns)
    return Painted(
        image=add_noise(image, sheets, finer, rng),
        mpp=MPP / finer,
        classes=np.ascontiguousarray(small),
        chips=chips,
        pen=pen,
    )


def draw_classes(
    shares: FloatArray,
    height: int,
    width: int,
    rng: np.random.Generator,
) -> tuple[ByteArray, int]:
    """Draw the class of every pixel, (height, width), and the number of pieces of tissue."""
    coarse, chips = draw_layout(height // STEP, width // STEP, shares, rng)
    blocks = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_NEAREST)
    return np.asarray(cv2.medianBlur(blocks, 2 * STEP - 1), dtype=np.uint8), chips


def cells(classes: ByteArray) -> ByteArray:
    """Give the class in the middle of every square of `STEP` pixels, (rows, columns)."""
    return classes[STEP // 2 :: STEP, STEP // 2 :: STEP]


def _magnified(image: ByteArray, finer: int) -> ByteArray:
    """More pixels for the same picture, which looks the same again at `MPP`."""
    if finer == 1:
        kernel = _ENLARGED_AND_BACK
        return np.asarray(cv2.sepFilter2D(image, -1, kernel, kernel), dtype=np.uint8)
    larger = cv2.resize(
        image,
        None,
        fx=finer,
        fy=finer,
        interpolation=cv2.INTER_CUBIC,
    )
    return np.asarray(larger, dtype=np.uint8)


def _amounts(
    sheets: Sheets,
    look: Look,
    classes: ByteArray,
    rng: np.random.Generator,
) -> tuple[ByteArray, ByteArray]:
    """Amounts of haematoxylin and eosin, (height, width) each, nuclei included."""
    haematoxylin, eosin = np.zeros_like(classes), np.zeros_like(classes)
    nuclei_seen = np.zeros_like(classes)
    factors = {"tumour": look.tumour, "immune": look.immune}
    for index, name in enumerate(CLASSES[:BACKGROUND]):
        # A stream of its own, so that no class depends on the area of another.
        own = np.random.default_rng(rng.integers(2**63))
        area = np.asarray(classes == index, dtype=np.uint8)
        if not area.any():
            continue
        kind = KINDS[name].changed(factors.get(name, np.zeros(2)))
        top, left = own.integers(0, SHEET, 2).tolist()
        ground = cut(getattr(sheets, kind.sheet), top, left, *classes.shape)
        cv2.copyTo(cv2.LUT(ground, _ramp(kind.haematoxylin)), area, haematoxylin)
        cv2.copyTo(cv2.LUT(ground, _ramp(kind.eosin)), area, eosin)
        _add_nuclei(nuclei_seen, kind, area, own)
    haematoxylin = np.maximum(haematoxylin, nuclei_seen)
    blurred = [
        cv2.GaussianBlur(amount, (5, 5), _FOCUS) for amount in (haematoxylin, eosin)
    ]
    return np.asarray(blurred[0], np.uint8), np.asarray(blurred[1], np.uint8)


def _ramp(ends: tuple[float, float]) -> ByteArray:
    return np.asarray(np.clip(np.linspace(*ends, 256), 0, 255), dtype=np.uint8)


def _add_nuclei(
    canvas: ByteArray,
    kind: Kind,
    area: ByteArray,
    rng: np.random.Generator,
) -> None:
    """Lay nuclei with their centres in an area, in place; where several lie the darkest shows."""
    stamps = nuclei(
        _STAMPS,
        kind.radius,
        kind.strength,
        rng,
        elongation=kind.elongation,
    )
    side = stamps.shape[1]
    points = _scatter(area, kind.spacing, rng) - side // 2
    inside = (points >= 0) & (points <= np.array(area.shape) - side)
    points = points[inside.all(axis=1)]
    chosen = rng.integers(0, _STAMPS, len(points))
    for stamp, (y, x) in zip(chosen.tolist(), points.tolist(), strict=True):
        window = canvas[y : y + side, x : x + side]
        np.maximum(window, stamps[stamp], out=window)


def _scatter(
    area: ByteArray,
    spacing: float,
    rng: np.random.Generator,
) -> Places:
    """Points inside an area, (points, 2) as y, x: a lattice of alternating rows, shaken."""
    height, width = area.shape
    rows, columns = int(height / (spacing * 0.87)) + 1, int(width / spacing) + 1
    y, x = np.mgrid[:rows, :columns].reshape(2, -1).astype(np.float64)
    points = np.stack([y * 0.87, x + 0.5 * (y % 2)], axis=1)
    points += 0.24 * rng.standard_normal(points.shape) + rng.random(2)
    places = np.rint(points * spacing).astype(np.int64)
    places = places[rng.random(len(places)) > 0.08]
    inside = (places >= 0) & (places < (height, width))
    places = places[inside.all(axis=1)]
    return np.asarray(places[area[places[:, 0], places[:, 1]] > 0])
