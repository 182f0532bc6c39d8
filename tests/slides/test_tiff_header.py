"""A TIFF is judged by its directories before a library opens it, as a slide and as a mask."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tifffile

from slide_files import raw_tiff, tiff_tags
from survfuse._errors import SlideError
from survfuse.slides.masks import given_mask
from survfuse.slides.opening import open_slide
from survfuse.slides.reading import Level
from survfuse.slides.tiff_header import MOST_IMAGES, TiffImage, tiff_images

SLIDES = Path(os.environ.get("SURVFUSE_DATA", "../shared/data")) / "slides"


def blank() -> Any:
    return SimpleNamespace(
        path=Path("a.svs"),
        levels=(Level(512, 512, 1.0),),
        bounds=(0, 0, 512, 512),
    )


def test_an_honest_tiff_says_its_images(tmp_path: Path) -> None:
    plain = TiffImage(512, 512, 128, 128, True, 8, 1, 2, 3)
    assert tiff_images(raw_tiff(tmp_path / "a.tif", tiff_tags())) == (plain,)
    assert (plain.pixel_bytes, plain.bytes) == (3, 512 * 512 * 3)


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("big", [False, True])
def test_every_way_to_write_numbers_is_read(
    tmp_path: Path,
    byteorder: Any,
    big: bool,
) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path, byteorder=byteorder, bigtiff=big) as file:
        file.write(
            np.zeros((100, 90, 3), np.uint16),
            tile=(32, 48),
            photometric="rgb",
            subifds=1,
        )
        file.write(np.zeros((50, 45, 3), np.uint8), photometric="rgb", rowsperstrip=20)
        file.write(np.zeros((10, 20), np.float32), photometric="minisblack")
    images = tiff_images(path)
    assert images is not None
    assert [
        (one.width, one.height, one.tile_width, one.tile_height, one.tiled)
        for one in images
    ] == [
        (90, 100, 48, 32, True),
        (45, 50, 45, 20, False),
        (20, 10, 20, 10, False),
    ]
    assert [(one.bits, one.format, one.samples) for one in images] == [
        (16, 1, 3),
        (8, 1, 3),
        (32, 3, 1),
    ]


@pytest.mark.parametrize(
    "content",
    [b"", b"II", b"hello", b"\x89PNG\r\n\x1a\n" + bytes(30), b"II\x2c\0" + bytes(30)],
)
def test_what_is_no_tiff_is_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(content)
    assert tiff_images(path) is None


@pytest.mark.skipif(
    not SLIDES.is_dir(),
    reason=f"no slides in {SLIDES} (set SURVFUSE_DATA)",
)
def test_real_slides_pass() -> None:
    assert [
        len(tiff_images(path) or ()) for path in sorted(SLIDES.glob("*.[st][vi]*"))
    ] == [4, 4, 3]


HOSTILE: dict[str, tuple[Callable[[Path], Path], str]] = {
    "a tile of more bytes than the file": (
        lambda path: raw_tiff(path, tiff_tags(stored=3_400_000_000)),
        r"one tile or strip claims 3\.2 GiB of a file of .*, for pixels of 48",
    ),
    "a vast tile": (
        lambda path: raw_tiff(
            path,
            tiff_tags(tile_width=2**31 - 16, tile_height=2**31 - 16, tiles=1),
        ),
        "stored in tiles of 2147483632 × 2147483632 px, at most 64,000,000 px",
    ),
    "a tile of many samples": (
        lambda path: raw_tiff(path, tiff_tags() | {277: (3, [65000])}),
        "stored in tiles of 128 × 128 px, at most",
    ),
    "no tile": (
        lambda path: raw_tiff(path, tiff_tags(tile_width=0)),
        "stored in tiles of 0 × 128 px",
    ),
    "no bits": (
        lambda path: raw_tiff(path, tiff_tags() | {258: (3, [0])}),
        "px of 0 bits",
    ),
    "no size": (
        lambda path: raw_tiff(path, tiff_tags(width=0)),
        "an image of 0 × 512 px, expected 1 to",
    ),
    "a vast image": (
        lambda path: raw_tiff(path, tiff_tags(width=2**40, height=2**40)),
        "an image of 1099511627776",
    ),
    "a long image": (
        lambda path: raw_tiff(path, tiff_tags(width=2**31, height=1)),
        "an image of 2147483648 × 1 px",
    ),
    "one tile for all of a large image": (
        lambda path: raw_tiff(
            path,
            tiff_tags(
                width=200_000,
                height=200_000,
                tile_width=4096,
                tile_height=4096,
                tiles=2401,
            ),
        ),
        r"takes 111\.8 GiB, which a file of .* does not hold",
    ),
    "very many tiles": (
        lambda path: raw_tiff(
            path,
            tiff_tags(width=100_000, height=100_000, tile_width=16, tile_height=16),
        ),
        "is stored in 39,062,500 tiles, at most 5,000,000",
    ),
    "a short table": (
        lambda path: raw_tiff(path, tiff_tags(tiles=9)),
        "table of tiles has 9 entries instead of 16",
    ),
    "a table of 10^9 entries": (
        lambda path: raw_tiff(path, tiff_tags(), claims={324: (10**9, 16)}),
        "tag 324 lies outside the file",
    ),
    "a table of 2^61 entries": (
        lambda path: raw_tiff(path, tiff_tags(), claims={325: (2**61, 16)}),
        "tag 325 lies outside the file",
    ),
    "a table of fractions": (
        lambda path: raw_tiff(path, tiff_tags() | {325: (5, [1, 1] * 16)}),
        "tag 325 holds no whole numbers",
    ),
    "a directory that leads to itself": (
        lambda path: raw_tiff(path, tiff_tags(), next_of_last=1),
        "its directories lead in a circle",
    ),
    "directories in a circle": (
        lambda path: raw_tiff(
            path,
            tiff_tags(),
            tiff_tags(),
            tiff_tags(),
            next_of_last=2,
        ),
        "its directories lead in a circle",
    ),
    "an image within itself": (
        lambda path: raw_tiff(path, tiff_tags() | {330: (16, [16 + 128 * 128 * 3])}),
        "its directories lead in a circle",
    ),
    "very many images within one": (
        lambda path: raw_tiff(path, tiff_tags() | {330: (16, range(1, 6000))}),
        f"more than {MOST_IMAGES} images",
    ),
    "very many images": (
        lambda path: raw_tiff(path, *[{254: (4, [0])}] * (MOST_IMAGES + 5)),
        f"more than {MOST_IMAGES} images",
    ),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_what_no_file_can_hold_is_refused_as_slide_and_as_mask(
    tmp_path: Path,
    kind: str,
) -> None:
    make, told = HOSTILE[kind]
    path = make(tmp_path / "a.tif")
    with pytest.raises(SlideError, match=rf"a\.tif: .*{told}"):
        open_slide(path)
    with pytest.raises(SlideError, match=rf"a\.tif: .*{told}"):
        given_mask(path, blank(), 0.5)


def test_a_directory_that_says_a_tag_twice_is_refused(tmp_path: Path) -> None:
    path = raw_tiff(tmp_path / "a.tif", tiff_tags())
    data = bytearray(path.read_bytes())
    first = 16 + 128 * 128 * 3 + 8
    data[first + 20 : first + 22] = data[first : first + 2]
    path.write_bytes(bytes(data))
    with pytest.raises(SlideError, match="a directory says tag 256 twice"):
        tiff_images(path)


def test_what_others_put_into_a_directory_may_lie_anywhere(tmp_path: Path) -> None:
    tags = tiff_tags() | {65000: (7, bytes(100))}
    path = raw_tiff(tmp_path / "a.tif", tags, claims={65000: (2**33, 2**40)})
    assert len(tiff_images(path) or ()) == 1


@pytest.mark.parametrize("length", [7, 20, 2000, 50_000])
def test_a_file_cut_anywhere_is_read_or_refused(tmp_path: Path, length: int) -> None:
    path = raw_tiff(tmp_path / "a.tif", tiff_tags(), tiff_tags())
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(
        SlideError,
        match=r"the file ends within its directories|lies outside the file|not a whole-slide image",
    ):
        open_slide(path)


def blank_tiles(path: Path, side: int, compression: str, **more: Any) -> Path:
    """A mask of `side` px whose tiles are all the same."""
    tile = np.full((1024, 1024), 1, np.uint8)
    tifffile.imwrite(
        path,
        (tile for _ in range((side // 1024) ** 2)),
        shape=(side, side),
        dtype=np.uint8,
        tile=(1024, 1024),
        photometric="minisblack",
        compression=compression,
        **more,
    )
    return path


@pytest.mark.slow
@pytest.mark.parametrize("compression", ["zstd", "webp", "jpeg2000", "lzma", "deflate"])
def test_what_compresses_well_is_no_bomb(tmp_path: Path, compression: str) -> None:
    """Of an image of 1.6 GiB, a thousandth and less is stored."""
    path = tmp_path / "a.tif"
    if compression == "webp":  # knows no grey; only the directories are read here
        tags = tiff_tags(width=40960, height=40960, tile_width=1024, tile_height=1024)
        tags |= {259: (3, [50001]), 325: (16, [40] * 1600), 324: (16, [16] * 1600)}
        assert tiff_images(raw_tiff(path, tags)) is not None
        return
    blank_tiles(path, 40960, compression)
    images = tiff_images(path)
    assert images is not None
    assert images[0].bytes > 2**30
    assert images[0].bytes > 900 * path.stat().st_size


def test_a_large_mask_that_compresses_well_is_read(tmp_path: Path) -> None:
    path = blank_tiles(tmp_path / "a.tif", 40960, "zstd")
    assert 1100 * path.stat().st_size < 40960**2
    slide = blank()
    slide.levels, slide.bounds = (Level(40960, 40960, 1.0),), (0, 0, 40960, 40960)
    tissue = given_mask(path, slide, 0.25)
    assert tissue.mask.all()
    assert tissue.area_mm2 == pytest.approx((40960 * 0.25e-3) ** 2)


def test_tiles_that_were_never_written_take_nothing(tmp_path: Path) -> None:
    tags = tiff_tags(width=2**17, height=2**17, tile_width=4096, tile_height=4096)
    counts = [4096**2 * 3] * 2 + [0] * 1022
    tags |= {324: (16, [16] * 1024), 325: (16, counts)}
    pixels = bytes(4096**2 * 3)
    assert tiff_images(raw_tiff(tmp_path / "a.tif", tags, pixels=pixels)) is not None
    tags[325] = (16, [128 * 128 * 3] * 1024)
    with pytest.raises(
        SlideError,
        match=r"takes 48\.0 GiB, which a file of .* does not",
    ):
        tiff_images(raw_tiff(tmp_path / "b.tif", tags, pixels=pixels))


def test_a_tile_that_does_not_fit_in_memory_is_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("survfuse._gate.free_memory", lambda: 2**20)
    tags = tiff_tags(
        width=8192,
        height=8192,
        tile_width=4096,
        tile_height=4096,
        tiles=4,
    )
    with pytest.raises(
        SlideError,
        match=r"4096 × 4096 px: takes 48\.0 MiB of memory, 1\.0",
    ):
        tiff_images(raw_tiff(tmp_path / "a.tif", tags))
