"""Tiny pyramidal TIFF slides for tests: white glass, pink tissue with dark nuclei, exact scale."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

GLASS = 244
Box = tuple[int, int, int, int]  # x, y, width, height in level-0 px


def tissue_pixels(height: int, width: int, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Paint eosin-pink stroma with scattered haematoxylin-dark nuclei, (height, width, 3)."""
    pixels = np.empty((height, width, 3), np.float32)
    pixels[:] = (214.0, 150.0, 190.0)
    pixels += rng.normal(0.0, 9.0, (height, width, 1))
    rows, columns = np.mgrid[0:8, 0:8]
    disc = (rows - 3.5) ** 2 + (columns - 3.5) ** 2 <= 12.0
    for _ in range(height * width // 600):
        y, x = int(rng.integers(0, max(1, height - 8))), int(rng.integers(0, max(1, width - 8)))
        spot = pixels[y : y + 8, x : x + 8]
        spot[disc[: spot.shape[0], : spot.shape[1]]] = (92.0, 62.0, 140.0)
    return np.clip(pixels, 0, 255).astype(np.uint8)


def tiny_slide(
    path: Path,
    size: int | tuple[int, int] = 1024,
    mpp: float | None = 0.5,
    *,
    tissue: Sequence[Box] | None = None,
    levels: int = 3,
    tile: int = 256,
    compression: str | None = "jpeg",
    shade: float = 1.0,
    seed: int = 0,
) -> Path:
    """Write a pyramidal TIFF (plain IFDs, every level half of the one before) and return its path.

    Parameters
    ----------
    path : Path
        Where it shall lie; folders are made.
    size : int or (width, height)
        Level-0 pixels.
    mpp : float or None
        Level-0 µm per pixel in the resolution tags; None writes none that means anything.
    tissue : sequence of (x, y, width, height), optional
        Boxes of tissue on white glass; the middle half of the slide by default, [] for none.
    levels, tile : int
        Pyramid levels; side of the TIFF's own tiles.
    compression : str or None
        "jpeg", "deflate" or None.
    shade : float
        Brightness of the tissue; the `FragileEncoder` dies of 0.6.
    seed : int
        Same seed, same pixels.
    """
    import tifffile

    width, height = (size, size) if isinstance(size, int) else size
    boxes = [(width // 4, height // 4, width // 2, height // 2)] if tissue is None else tissue
    rng = np.random.default_rng(seed)
    image = np.full((height, width, 3), GLASS, np.uint8)
    for x, y, w, h in boxes:
        image[y : y + h, x : x + w] = tissue_pixels(h, w, rng) * shade
    path.parent.mkdir(parents=True, exist_ok=True)
    with tifffile.TiffWriter(path) as file:
        for level in range(levels):
            scale = {} if mpp is None else {"resolution": (1e4 / (mpp * 2**level),) * 2}
            file.write(
                np.ascontiguousarray(image),
                photometric="rgb",
                tile=(tile, tile),
                compression=compression,
                subfiletype=1 if level else 0,
                resolutionunit="NONE" if mpp is None else "CENTIMETER",
                metadata=None,
                **scale,
            )
            h, w = image.shape[0] // 2 * 2, image.shape[1] // 2 * 2
            blocks = image[:h, :w].reshape(h // 2, 2, w // 2, 2, 3)
            image = blocks.mean(axis=(1, 3)).round().astype(np.uint8)
    return path


def tiny_mask(path: Path, size: int | tuple[int, int], boxes: Sequence[Box], *, downsample: int = 16) -> Path:
    """Write a one-channel tissue mask of a slide of `size` level-0 px: 1 inside the boxes, else 0."""
    import tifffile

    width, height = (size, size) if isinstance(size, int) else size
    mask = np.zeros((height // downsample, width // downsample), np.uint8)
    for x, y, w, h in boxes:
        mask[y // downsample : (y + h) // downsample, x // downsample : (x + w) // downsample] = 1
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, mask, photometric="minisblack", metadata=None)
    return path


def cut_in_the_middle(path: Path, share: float = 0.5) -> Path:
    """Overwrite the middle of a slide's pixel data with noise: it opens, but some tiles cannot be decoded."""
    data = bytearray(path.read_bytes())
    start, length = int(len(data) * (0.5 - share / 2)), int(len(data) * share)
    data[start : start + length] = bytes(length)
    path.write_bytes(bytes(data))
    return path


class MeanEncoder:
    """Mean colour of each tile and of its quarters: an encoder for tests that needs nothing."""

    name, dim, px = "mean_colour", 15, 64

    class card:
        """What settings ask of a card."""

        mpp = 0.5

        @staticmethod
        def check_px(px: int) -> None:
            """Take any."""

    def __init__(self, version: int = 1) -> None:
        self.version = version
        self.seen = 0

    def encode(self, tiles: npt.NDArray[np.uint8]) -> npt.NDArray[np.float16]:
        """Encode tiles, (tiles, 15)."""
        self.seen += len(tiles)
        half = tiles.shape[1] // 2
        parts = [tiles, *(tiles[:, y : y + half, x : x + half] for y in (0, half) for x in (0, half))]
        means = [part.mean(axis=(1, 2), dtype=np.float64) / 255 for part in parts]
        return np.concatenate(means, axis=1).astype(np.float16)

    def identity(self) -> dict[str, object]:
        """Say what it is."""
        return {"name": self.name, "version": self.version}


class FragileEncoder(MeanEncoder):
    """Takes its process with it when it sees a dark slide, as a fault in C code does."""

    def encode(self, tiles: npt.NDArray[np.uint8]) -> npt.NDArray[np.float16]:
        """Encode tiles, (tiles, 15), or die."""
        if tiles.mean() < 130:
            os.kill(os.getpid(), signal.SIGSEGV)
        return super().encode(tiles)


class SlowEncoder(MeanEncoder):
    """Waits at every batch, so that a test can kill it in the middle."""

    def encode(self, tiles: npt.NDArray[np.uint8]) -> npt.NDArray[np.float16]:
        """Encode tiles, (tiles, 15), after a while."""
        time.sleep(0.05)
        return super().encode(tiles)


class SlowFragileEncoder(FragileEncoder):
    """Both."""

    def encode(self, tiles: npt.NDArray[np.uint8]) -> npt.NDArray[np.float16]:
        """Encode tiles, (tiles, 15), after a while, or die."""
        time.sleep(0.05)
        return super().encode(tiles)


def slow_fragile_encoder(_config: object = None) -> SlowFragileEncoder:
    """Make one."""
    return SlowFragileEncoder()


def fragile_encoder(_config: object = None) -> FragileEncoder:
    """Make one."""
    return FragileEncoder()


def slow_encoder(_config: object = None) -> SlowEncoder:
    """Make one."""
    return SlowEncoder()


def mean_encoder(_config: object = None) -> MeanEncoder:
    """Make one; importable, so that workers can."""
    return MeanEncoder()
