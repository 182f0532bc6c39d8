"""Painted overviews of glass slides whose tissue is known: what a tissue finder meets in real life."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
MPP = 8.0

HAEMATOXYLIN = np.array(
    [0.65, 0.70, 0.29],
)  # optical density per unit of stain (Ruifrok & Johnston 2001)
EOSIN = np.array([0.09, 0.96, 0.26])
INKS = {
    "blue": (35, 55, 175),
    "green": (25, 125, 70),
    "black": (28, 28, 32),
    "red": (205, 25, 45),
}


@dataclass(frozen=True)
class Painted:
    """An overview, where its tissue and its pen marks lie, and its scale."""

    name: str
    image: Image
    tissue: Mask
    pen: Mask
    mpp: float = MPP

    @property
    def scale(self) -> tuple[float, float]:
        """Level-0 px per overview px for a slide scanned at 0.5 µm/px."""
        return (self.mpp / 0.5, self.mpp / 0.5)


def paint(
    name: str,
    tissue: Mask,
    rng: np.random.Generator,
    *,
    haematoxylin: float = 0.35,
    eosin: float = 0.35,
    glass: tuple[float, float, float] = (238, 236, 226),
    gradient: float = 12.0,
    noise: float = 1.5,
) -> Painted:
    """Lay stained tissue (densities per stain, by Beer-Lambert) on glass with a light gradient and noise."""
    height, width = tissue.shape
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    light = (
        np.asarray(glass)
        + gradient * (0.6 * x + 0.4 * y - 0.5 * (x**2 + y**2))[..., None]
    )
    soft = cv2.GaussianBlur(tissue.astype(np.float32), (0, 0), 0.8)[..., None]
    density = (
        haematoxylin * _texture(tissue.shape, rng, 1.0)[..., None] * HAEMATOXYLIN
        + eosin * _texture(tissue.shape, rng, 3.0)[..., None] * EOSIN
    )
    image = light * np.exp(-density * soft) + rng.normal(0, noise, (height, width, 3))
    return Painted(name, _bytes(image), tissue, np.zeros_like(tissue))


def blobs(
    shape: tuple[int, int],
    spots: list[tuple[float, float, float]],
    rng: np.random.Generator,
) -> Mask:
    """Draw ragged pieces: (x, y, radius), all as shares of the height."""
    height = shape[0]
    mask = np.zeros(shape, np.uint8)
    angle = np.linspace(0, 2 * np.pi, 120, endpoint=False)
    for x, y, radius in spots:
        ragged = 1 + sum(
            rng.normal(0, 0.08) * np.sin(k * angle + rng.uniform(0, 6.3))
            for k in range(2, 7)
        )
        points = np.stack(
            [
                x * height + radius * height * ragged * np.cos(angle),
                (y + radius * ragged * np.sin(angle)) * height,
            ],
            1,
        )
        cv2.fillPoly(mask, [points.round().astype(np.int32)], 1)
    return mask.astype(bool)


def stroke(
    painted: Painted,
    ink: str,
    points: list[tuple[float, float]],
    width_um: float = 700.0,
) -> Painted:
    """Draw with a marker pen on the coverslip: almost opaque, with a soft edge."""
    height = painted.image.shape[0]
    line = np.zeros(painted.image.shape[:2], np.uint8)
    track = (np.asarray(points) * height).round().astype(np.int32)
    cv2.polylines(line, [track], False, 255, round(width_um / painted.mpp), cv2.LINE_AA)
    cover = (
        0.93 * cv2.GaussianBlur(line, (0, 0), 1.2)[..., None].astype(np.float64) / 255
    )
    image = painted.image * (1 - cover) + np.asarray(INKS[ink]) * cover
    pen = painted.pen | (line > 127)
    return Painted(painted.name, _bytes(image), painted.tissue & ~pen, pen, painted.mpp)


def section(
    shape: tuple[int, int] = (1000, 1500),
    seed: int = 1,
    name: str = "H&E",
    **stains: float,
) -> Painted:
    """One ordinary section of two pieces."""
    rng = np.random.default_rng(seed)
    return paint(
        name,
        blobs(shape, [(0.45, 0.5, 0.28), (1.1, 0.45, 0.2)], rng),
        rng,
        **stains,
    )  # type: ignore[arg-type]


def chips(shape: tuple[int, int] = (1500, 2500), seed: int = 2) -> Painted:
    """TURBT: dozens of pieces of 0.05 to 2 mm² that do not touch."""
    rng = np.random.default_rng(seed)
    spots = []
    for row in range(6):
        for column in range(10):
            area_um2 = np.exp(rng.uniform(np.log(0.05e6), np.log(2e6)))
            radius = np.sqrt(area_um2 / np.pi) / MPP / shape[0]
            jitter = rng.uniform(-0.01, 0.01, 2)
            spots.append(
                (
                    0.09 + column * 0.165 + jitter[0],
                    0.09 + row * 0.16 + jitter[1],
                    radius,
                ),
            )
    return paint("TURBT chips", blobs(shape, spots, rng), rng)


def blank(shape: tuple[int, int] = (1000, 1500), seed: int = 3) -> Painted:
    """No tissue: noise, the edge of a coverslip, an air bubble and dust."""
    rng = np.random.default_rng(seed)
    image = paint("blank", np.zeros(shape, bool), rng, noise=3.0).image
    cv2.line(image, (0, 70), (1499, 55), (150, 150, 148), 3, cv2.LINE_AA)
    cv2.line(image, (60, 0), (75, 999), (190, 189, 185), 2, cv2.LINE_AA)
    cv2.circle(image, (1200, 700), 90, (170, 170, 168), 3, cv2.LINE_AA)
    dust(image, rng)
    return Painted(
        "blank, edge, dust",
        image,
        np.zeros(shape, bool),
        np.zeros(shape, bool),
    )


def dust(image: Image, rng: np.random.Generator, many: int = 60) -> None:
    """Strew dark, brownish and bluish specks of up to 60 µm, and two grey fibres."""
    height, width = image.shape[:2]
    for _ in range(many):
        centre = (int(rng.integers(width)), int(rng.integers(height)))
        colour = [(60, 55, 50), (120, 90, 60), (90, 80, 140)][rng.integers(3)]
        cv2.circle(image, centre, int(rng.integers(1, 5)), colour, -1, cv2.LINE_AA)
    for _ in range(2):
        x, y = rng.integers(width), rng.integers(height)
        cv2.ellipse(
            image,
            (int(x), int(y)),
            (80, 40),
            20,
            0,
            200,
            (120, 118, 116),
            2,
            cv2.LINE_AA,
        )


def full(seed: int = 4, **stains: float) -> Painted:
    """Tissue from edge to edge: no glass to compare with."""
    rng = np.random.default_rng(seed)
    return paint("full of tissue", np.ones((1000, 1500), bool), rng, **stains)  # type: ignore[arg-type]


def fat(seed: int = 5) -> Painted:
    """A section with large white holes, which are not tissue, and many small ones, which are."""
    rng = np.random.default_rng(seed)
    shape = (1000, 1500)
    whole = blobs(shape, [(0.7, 0.5, 0.4)], rng)
    large = blobs(shape, [(0.55, 0.4, 0.09), (0.85, 0.6, 0.11), (0.6, 0.7, 0.07)], rng)
    spots = [(x, y, 0.006) for x, y in rng.uniform([0.4, 0.2], [1.0, 0.8], (150, 2))]
    pores = blobs(shape, spots, rng) & ~cv2.dilate(
        large.astype(np.uint8),
        np.ones((25, 25)),
    ).astype(bool)
    painted = paint("holes of fat", whole & ~large & ~pores, rng)
    return Painted(painted.name, painted.image, whole & ~large, painted.pen)


def padded(value: int, seed: int = 6) -> Painted:
    """Scanned area in the middle of exact black or white, as scanners fill what they did not scan."""
    inner = section(seed=seed)
    image = np.full((1400, 2100, 3), value, np.uint8)
    tissue = np.zeros((1400, 2100), bool)
    image[200:1200, 300:1800] = inner.image
    tissue[200:1200, 300:1800] = inner.tissue
    return Painted(f"padding of {value}", image, tissue, np.zeros_like(tissue))


def penned(ink: str) -> Painted:
    """A stroke beside the tissue, one that runs over it, and dots."""
    painted = section(seed=7, name=f"{ink} pen")
    painted = stroke(painted, ink, [(0.06, 0.06), (0.06, 0.93), (0.3, 0.93)])
    painted = stroke(painted, ink, [(0.55, 0.1), (0.8, 0.35), (1.2, 0.4)], 500)
    return stroke(painted, ink, [(1.35, 0.85), (1.4, 0.85)], 900)


def dusty() -> Painted:
    """A section with dust on the glass, which is small."""
    painted = section(seed=8, name="H&E with dust")
    dust(painted.image, np.random.default_rng(8))
    return painted


SCENES: dict[str, Callable[[], Painted]] = {
    "he": lambda: section(),
    "dusty": dusty,
    "pale": lambda: section(seed=9, name="pale eosin", haematoxylin=0.02, eosin=0.10),
    "lymphoid": lambda: section(
        seed=10,
        name="blue lymphoid",
        haematoxylin=1.0,
        eosin=0.05,
    ),
    "mixed": lambda: mixed(),
    "yellow": lambda: section(
        seed=11,
        name="yellow glass",
        glass=(236, 228, 200),
        gradient=25.0,
    ),  # type: ignore[arg-type]
    "chips": chips,
    "blank": blank,
    "tinted": lambda: tinted(),
    "jpeg": lambda: compressed(
        section(seed=14, name="pale, JPEG 30", haematoxylin=0.05, eosin=0.12),
    ),
    "chips_jpeg": lambda: compressed(chips(seed=15)),
    "full": full,
    "full_pale": lambda: full(seed=12, haematoxylin=0.03, eosin=0.12),
    "fat": fat,
    "padded_black": lambda: padded(0),
    "padded_white": lambda: padded(255),
    **{ink: (lambda ink=ink: penned(ink)) for ink in INKS},
}


def mixed() -> Painted:
    """A dark lymphoid piece beside a pale one: a single global threshold loses the pale one."""
    rng = np.random.default_rng(13)
    dark, pale = (
        blobs((1000, 1500), [(0.4, 0.5, 0.25)], rng),
        blobs((1000, 1500), [(1.1, 0.5, 0.25)], rng),
    )
    one = paint("dark beside pale", dark, rng, haematoxylin=1.2, eosin=0.2)
    two = paint("", pale, rng, haematoxylin=0.03, eosin=0.12)
    image = np.where((np.arange(1500) < 750)[None, :, None], one.image, two.image)
    return Painted(one.name, image, dark | pale, np.zeros_like(dark))


def tinted() -> Painted:
    """No tissue, and glass with a touch of pink: Otsu's threshold would halve the noise."""
    rng = np.random.default_rng(16)
    return paint(
        "blank, pinkish",
        np.zeros((1000, 1500), bool),
        rng,
        glass=(240, 233, 238),
        noise=1.5,
    )


def compressed(painted: Painted, quality: int = 30) -> Painted:
    """Through JPEG with halved chroma, as most slides are stored."""
    _, stored = cv2.imencode(
        ".jpg",
        painted.image[..., ::-1],
        [cv2.IMWRITE_JPEG_QUALITY, quality],
    )
    image = cv2.imdecode(stored, cv2.IMREAD_COLOR)[..., ::-1].copy()
    return Painted(painted.name, image, painted.tissue, painted.pen, painted.mpp)


def overlap(found: Mask, truth: Mask) -> float:
    """Intersection over union; 1 when both are empty."""
    union = np.count_nonzero(found | truth)
    return np.count_nonzero(found & truth) / union if union else 1.0


def _texture(
    shape: tuple[int, int],
    rng: np.random.Generator,
    grain: float,
) -> npt.NDArray[np.float64]:
    """Positive, mean 1: what nuclei and fibres leave of a stain at 8 µm/px."""
    field = cv2.GaussianBlur(rng.normal(0, 1, shape), (0, 0), grain)
    return np.clip(1 + 0.35 * field / (field.std() or 1), 0.15, None)


def _bytes(image: npt.NDArray[np.float64]) -> Image:
    return np.clip(np.rint(image), 1, 254).astype(np.uint8)
