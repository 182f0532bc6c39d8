"""Tiles painted from stains, so that what must be measured is known beforehand."""

from __future__ import annotations

import numpy as np

from survfuse.slides.encoders.stain_texture import EOSIN, HAEMATOXYLIN


def render(haematoxylin: np.ndarray, eosin: np.ndarray) -> np.ndarray:
    """RGB bytes of two maps of optical density, (px, px) each (Beer and Lambert)."""
    vectors = np.array([HAEMATOXYLIN, EOSIN])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    density = haematoxylin[..., None] * vectors[0] + eosin[..., None] * vectors[1]
    return np.clip(np.round(256 * 10 ** -np.maximum(density, 0) - 1), 0, 255).astype(
        np.uint8,
    )


def discs(
    centres: list[tuple[int, int]],
    diameter: float,
    *,
    px: int = 224,
    dark: float = 0.9,
    pale: float = 0.1,
    eosin: float = 0.3,
) -> np.ndarray:
    """A tile of round nuclei at (x, y) on even eosin."""
    y, x = np.mgrid[:px, :px]
    haematoxylin = np.full((px, px), pale)
    for cx, cy in centres:
        haematoxylin[(x - cx) ** 2 + (y - cy) ** 2 <= (diameter / 2) ** 2] = dark
    return render(haematoxylin, np.full((px, px), eosin))


def lattice(step: int, px: int = 224) -> list[tuple[int, int]]:
    """Centres on a square lattice."""
    places = range(step // 2, px - step // 2 + 1, step)
    return [(x, y) for y in places for x in places]


def tissue(seed: int, *, px: int = 224, nuclei: int = 60) -> np.ndarray:
    """A tile with nuclei of random place and size, and grain in both stains."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:px, :px]
    haematoxylin = 0.12 + rng.normal(0, 0.03, (px, px))
    for cx, cy, radius in zip(
        *rng.integers(0, px, (2, nuclei)),
        rng.uniform(4, 10, nuclei),
        strict=True,
    ):
        haematoxylin[(x - cx) ** 2 + (y - cy) ** 2 <= radius**2] += 0.6
    return render(haematoxylin, 0.3 + rng.normal(0, 0.05, (px, px)))
