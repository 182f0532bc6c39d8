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
import numpy.typing as npt

from survfuse.datasets.simulated_tissue import CLASSES
from survfuse.datasets.slide_layout import BACKGROUND, STEP, draw_layout
from survfuse.datasets.slide_light import (
    Stain,
    add_noise,
    develop,
    draw_pen,
    slide_stain,
)
from survfuse.datasets.slide_textures import ANGLES, SHEET, Bytes, Sheets, cut, nuclei

MPP = 0.5  # µm per px of what is painted

_CROWDING, _GROWTH = (
    0.26,
    0.12,
)  # log-density and log-radius of nuclei for a factor of 1
_BALANCE = 0.25  # log-amount of haematoxylin up, and of eosin down, for a factor of 1
_FACTOR_LIMIT = 2.0
_STAMPS = 64
# What enlarging twice (cubic) and averaging back leaves of a pixel and its neighbours.
_THERE_AND_BACK = np.array([-0.0176, 0.0781, 0.8790, 0.0781, -0.0176])
_FOCUS = 0.65  # px, standard deviation of the optics' blur


Nuclei = tuple[
    Bytes,
    npt.NDArray[np.int64],
    npt.NDArray[np.int64],
]  # stamps, which, and where (y, x)


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
        Length over width of a nucleus; long ones follow the sheet's direction.
    """

    sheet: str
    eosin: tuple[float, float]
    haematoxylin: tuple[float, float]
    spacing: float
    radius: float
    strength: float
    elongation: float

    def changed(self, factors: npt.NDArray[np.float64]) -> Kind:
        """Give the kind as slide factors, (FACTORS,), make it look; zeros change nothing."""
        first, second = np.clip(factors, -_FACTOR_LIMIT, _FACTOR_LIMIT).tolist()
        more, less = float(np.exp(_BALANCE * second)), float(np.exp(-_BALANCE * second))
        return replace(
            self,
            eosin=(self.eosin[0] * less, self.eosin[1] * less),
            haematoxylin=(self.haematoxylin[0] * more, self.haematoxylin[1] * more),
            spacing=self.spacing * float(np.exp(-0.5 * _CROWDING * first)),
            radius=self.radius * float(np.exp(_GROWTH * first)),
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

    image: Bytes
    mpp: float
    classes: Bytes
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

    shares: npt.NDArray[np.float64]
    tumour: npt.NDArray[np.float64]
    immune: npt.NDArray[np.float64]
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
    coarse, chips = draw_layout(height // STEP, width // STEP, look.shares, rng)
    fine = _enlarge(coarse, height, width)
    haematoxylin, eosin = _ground(sheets, look, fine, rng)
    image = develop(slide_stain(look.stain, rng), haematoxylin, eosin)
    hand = np.random.default_rng(
        rng.integers(2**63),
    )  # so that a pen mark moves nothing else
    if pen is not None:
        draw_pen(image, pen, hand)
    turns, flip = int(rng.integers(4)), bool(rng.integers(2))
    image = _turned(image, turns, flip)
    seen = _turned(fine[STEP // 2 :: STEP, STEP // 2 :: STEP], turns, flip)
    image = _magnified(image, finer)
    return Painted(add_noise(image, sheets, finer, rng), MPP / finer, seen, chips, pen)


def _magnified(image: Bytes, finer: int) -> Bytes:
    """More pixels for the same picture, which looks the same again at `MPP`."""
    if finer == 1:
        return np.asarray(
            cv2.sepFilter2D(image, -1, _THERE_AND_BACK, _THERE_AND_BACK),
            dtype=np.uint8,
        )
    larger = cv2.resize(image, None, fx=finer, fy=finer, interpolation=cv2.INTER_CUBIC)
    return np.asarray(larger, dtype=np.uint8)


def _turned(array: Bytes, turns: int, flip: bool) -> Bytes:
    return np.ascontiguousarray(np.rot90(array[:, ::-1] if flip else array, turns))


def _enlarge(coarse: Bytes, height: int, width: int) -> Bytes:
    """Classes of single pixels, with smooth borders: the class with most weight around."""
    best = np.zeros((height, width), dtype=np.uint8)
    classes = np.full((height, width), BACKGROUND, dtype=np.uint8)
    for index in range(len(CLASSES)):
        share = cv2.GaussianBlur(
            np.where(coarse == index, np.uint8(255), np.uint8(0)),
            (5, 5),
            1.0,
        )
        if not share.any():
            continue
        weight = cv2.resize(share, (width, height), interpolation=cv2.INTER_LINEAR)
        more = cv2.compare(weight, best, cv2.CMP_GT)
        cv2.copyTo(weight, more, best)
        cv2.copyTo(np.full_like(classes, index), more, classes)
    return classes


def _ground(
    sheets: Sheets,
    look: Look,
    classes: Bytes,
    rng: np.random.Generator,
) -> tuple[Bytes, Bytes]:
    """Amounts of haematoxylin and eosin, (height, width) each, nuclei included."""
    haematoxylin, eosin = np.zeros_like(classes), np.zeros_like(classes)
    changes = {"tumour": look.tumour, "immune": look.immune}
    groups: list[Nuclei] = []
    for index, name in enumerate(CLASSES[:BACKGROUND]):
        # A stream of its own, so that no class depends on the area of another.
        own = np.random.default_rng(rng.integers(2**63))
        where = np.asarray(
            cv2.compare(classes, np.array([float(index)]), cv2.CMP_EQ),
            dtype=np.uint8,
        )
        if not where.any():
            continue
        kind = KINDS[name].changed(changes.get(name, np.zeros(2)))
        top, left = own.integers(0, SHEET, 2).tolist()
        source = cut(getattr(sheets, kind.sheet), top, left, *classes.shape)
        cv2.copyTo(cv2.LUT(source, _ramp(kind.haematoxylin)), where, haematoxylin)
        cv2.copyTo(cv2.LUT(source, _ramp(kind.eosin)), where, eosin)
        groups.append(_sow(sheets, kind, where, (top, left), own))
    blurred = [
        cv2.GaussianBlur(each, (5, 5), _FOCUS)
        for each in (_stamp(haematoxylin, groups), eosin)
    ]
    return np.asarray(blurred[0], dtype=np.uint8), np.asarray(
        blurred[1],
        dtype=np.uint8,
    )


def _sow(
    sheets: Sheets,
    kind: Kind,
    where: Bytes,
    corner: tuple[int, int],
    rng: np.random.Generator,
) -> Nuclei:
    """Nuclei of one class: along the sheet's lines where it has lines."""
    points = _scatter(where, kind.spacing, rng)
    directions = {"fibres": sheets.fibre_angle, "muscle": sheets.muscle_angle}.get(
        kind.sheet,
    )
    stamps = nuclei(
        _STAMPS if directions is None else ANGLES,
        kind.radius,
        kind.strength,
        rng,
        elongation=kind.elongation,
        directed=directions is not None,
    )
    if directions is None:
        return stamps, rng.integers(0, _STAMPS, len(points)), points
    y, x = (points + corner).T % SHEET
    return stamps, directions[y, x].astype(np.int64), points


def _ramp(ends: tuple[float, float]) -> Bytes:
    return np.asarray(np.clip(np.linspace(*ends, 256), 0, 255), dtype=np.uint8)


def _scatter(
    where: Bytes,
    spacing: float,
    rng: np.random.Generator,
) -> npt.NDArray[np.int64]:
    """Points inside an area, (points, 2) as y, x: a lattice of alternating rows, shaken."""
    height, width = where.shape
    rows, columns = int(height / (spacing * 0.87)) + 1, int(width / spacing) + 1
    y, x = np.mgrid[:rows, :columns].astype(np.float64)
    x += 0.5 * (y % 2)
    points = np.stack([y * 0.87, x], axis=2).reshape(
        -1,
        2,
    ) + 0.24 * rng.standard_normal((rows * columns, 2))
    points = np.rint((points + rng.random(2)) * spacing).astype(np.int64)
    points = points[rng.random(len(points)) > 0.08]
    points = points[(points >= 0).all(axis=1) & (points < (height, width)).all(axis=1)]
    inside: npt.NDArray[np.int64] = points[where[points[:, 0], points[:, 1]] > 0]
    return inside


def _stamp(amount: Bytes, groups: list[Nuclei]) -> Bytes:
    """Lay nuclei over the ground; where several lie the darkest shows."""
    margin = max((stamps.shape[1] for stamps, _, _ in groups), default=0)
    canvas = cv2.copyMakeBorder(
        amount,
        margin,
        margin,
        margin,
        margin,
        cv2.BORDER_CONSTANT,
        value=0,
    )
    for stamps, chosen, points in groups:
        side = stamps.shape[1]
        corners = points + (margin - side // 2)
        for stamp, y, x in zip(
            chosen.tolist(),
            corners[:, 0].tolist(),
            corners[:, 1].tolist(),
            strict=True,
        ):
            under = canvas[y : y + side, x : x + side]
            np.maximum(under, stamps[stamp], out=under)
    height, width = amount.shape
    return np.ascontiguousarray(
        canvas[margin : margin + height, margin : margin + width],
    )
