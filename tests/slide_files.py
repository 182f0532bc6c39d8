"""Tiny pyramidal TIFF slides for tests: white glass, pink tissue with dark nuclei, exact scale."""

from __future__ import annotations

import os
import signal
import struct
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

GLASS = 244
Box = tuple[int, int, int, int]  # x, y, width, height in level-0 px


def tissue_pixels(
    height: int,
    width: int,
    rng: np.random.Generator,
) -> npt.NDArray[np.uint8]:
    """Paint eosin-pink stroma with scattered haematoxylin-dark nuclei, (height, width, 3)."""
    pixels = np.empty((height, width, 3), np.float32)
    pixels[:] = (214.0, 150.0, 190.0)
    pixels += rng.normal(0.0, 9.0, (height, width, 1))
    rows, columns = np.mgrid[0:8, 0:8]
    disc = (rows - 3.5) ** 2 + (columns - 3.5) ** 2 <= 12.0
    for _ in range(height * width // 600):
        y, x = (
            int(rng.integers(0, max(1, height - 8))),
            int(rng.integers(0, max(1, width - 8))),
        )
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
    boxes = (
        [(width // 4, height // 4, width // 2, height // 2)]
        if tissue is None
        else tissue
    )
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


def tiny_mask(
    path: Path,
    size: int | tuple[int, int],
    boxes: Sequence[Box],
    *,
    downsample: int = 16,
) -> Path:
    """Write a one-channel tissue mask of a slide of `size` level-0 px: 1 inside the boxes, else 0."""
    import tifffile

    width, height = (size, size) if isinstance(size, int) else size
    mask = np.zeros((height // downsample, width // downsample), np.uint8)
    for x, y, w, h in boxes:
        mask[
            y // downsample : (y + h) // downsample,
            x // downsample : (x + w) // downsample,
        ] = 1
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, mask, photometric="minisblack", metadata=None)
    return path


Tags = Mapping[int, tuple[int, Sequence[int] | bytes]]
"""Of a TIFF directory: kind and values by code."""

_TIFF_KINDS = {1: "B", 3: "H", 4: "I", 5: "I", 7: "B", 16: "Q"}


def tiff_tags(**changes: int) -> dict[int, tuple[int, Sequence[int] | bytes]]:
    """Tags of an image of 512 x 512 px in 16 uncompressed tiles that are all one and the same.

    Parameters
    ----------
    **changes : int
        `width`, `height`, `tile_width`, `tile_height`, `compression`, `tiles`, `offset` and `stored`
        (bytes of each tile).
    """
    said = {
        "width": 512,
        "height": 512,
        "tile_width": 128,
        "tile_height": 128,
        "compression": 1,
        "tiles": 16,
    }
    said |= {"offset": 16, "stored": 128 * 128 * 3, **changes}
    return {
        256: (16, [said["width"]]),
        257: (16, [said["height"]]),
        258: (3, [8, 8, 8]),
        259: (3, [said["compression"]]),
        262: (3, [2]),
        277: (3, [3]),
        284: (3, [1]),
        322: (16, [said["tile_width"]]),
        323: (16, [said["tile_height"]]),
        324: (16, [said["offset"]] * said["tiles"]),
        325: (16, [said["stored"]] * said["tiles"]),
    }


def raw_tiff(
    path: Path,
    *directories: Tags,
    pixels: bytes = bytes(128 * 128 * 3),
    claims: Mapping[int, tuple[int, int]] | None = None,
    next_of_last: int = 0,
) -> Path:
    """Write a BigTIFF as its tags say it, true or not; the pixels lie at byte 16.

    Parameters
    ----------
    path : Path
    *directories : mapping
        Tags of each image.
    pixels : bytes
    claims : mapping, optional
        Count and place that the first image claims of a tag, by code.
    next_of_last : int
        Which directory (from 1) the last one leads to; 0 for none.
    """
    data = bytearray(b"II+\0\x08\0\0\0" + bytes(8) + pixels)
    starts, links = [], [8]
    for number, tags in enumerate(directories):
        starts.append(len(data))
        rows, values = bytearray(len(tags).to_bytes(8, "little")), bytearray()
        after = len(data) + 16 + 20 * len(tags)
        for code, (kind, content) in sorted(tags.items()):
            raw = (
                content
                if isinstance(content, bytes)
                else struct.pack(f"<{len(content)}{_TIFF_KINDS[kind]}", *content)
            )
            count = len(content) // (2 if kind == 5 else 1)
            cell = (
                raw.ljust(8, b"\0")
                if len(raw) <= 8
                else struct.pack("<Q", after + len(values))
            )
            values += raw if len(raw) > 8 else b""
            if number == 0 and claims and code in claims:
                count, place = claims[code]
                cell = struct.pack("<Q", place)
            rows += struct.pack("<HHQ", code, kind, count) + cell
        data += rows + bytes(8) + values
        links.append(after - 8)
    starts.append(starts[next_of_last - 1] if next_of_last else 0)
    for link, start in zip(links, starts, strict=True):
        struct.pack_into("<Q", data, link, start)
    path.write_bytes(bytes(data))
    return path


def vast_vms(path: Path) -> Path:
    """OpenSlide makes room for every image of this slide before it looks for the first."""
    lines = (
        "[Virtual Microscope Specimen]",
        "NoLayers=1",
        "NoJpegColumns=20000",
        "NoJpegRows=20000",
    )
    path.write_text(
        "\n".join(
            [*lines, "ImageFile=a.jpg", "MapFile=b.jpg", "OptimisationFile=c.opt", ""],
        ),
    )
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
        parts = [
            tiles,
            *(
                tiles[:, y : y + half, x : x + half]
                for y in (0, half)
                for x in (0, half)
            ),
        ]
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
