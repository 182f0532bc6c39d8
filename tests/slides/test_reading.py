"""Slides as levels of pixels: two ways of reading, one result."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slide_files import GLASS, cut_in_the_middle, tiny_slide
from survfuse._errors import SlideError
from survfuse.slides.opening import open_slide
from survfuse.slides.openslide import OpenSlideReader
from survfuse.slides.reading import level_for
from survfuse.slides.tiff import NativeTiffReader, native_or_none

SLIDES = Path(os.environ.get("SURVFUSE_DATA", "../shared/data")) / "slides"
needs_slides = pytest.mark.skipif(
    not SLIDES.is_dir(),
    reason=f"no slides in {SLIDES} (set SURVFUSE_DATA)",
)


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_slide(tmp_path_factory.mktemp("slides") / "a.tif", size=(1100, 900))


def test_a_tiled_tiff_takes_the_fast_path_and_has_openslides_pixels(
    slide: Path,
) -> None:
    with open_slide(slide) as fast, OpenSlideReader(slide) as plain:
        assert isinstance(fast, NativeTiffReader)
        assert fast.levels == plain.levels
        assert (
            (fast.mpp, fast.bounds)
            == (plain.mpp, plain.bounds)
            == (0.5, (0, 0, 1100, 900))
        )
        for level, x, y, width, height in [
            (0, 200, 150, 300, 280),
            (0, 255, 255, 2, 2),
            (1, 3, 5, 400, 300),
        ]:
            ours = fast.region(level, x, y, width, height).astype(int)
            theirs = plain.region(level, x, y, width, height).astype(int)
            assert ours.shape == (height, width, 3)
            assert np.abs(ours - theirs).max() <= 2  # two JPEG decoders
            assert np.abs(ours - theirs).mean() < 0.5


@pytest.mark.parametrize("compression", [None, "deflate"])
def test_lossless_tiles_are_equal_bit_by_bit(
    tmp_path: Path,
    compression: str | None,
) -> None:
    path = tiny_slide(tmp_path / "a.tif", size=600, compression=compression)
    with open_slide(path) as fast, OpenSlideReader(path) as plain:
        assert isinstance(fast, NativeTiffReader)
        np.testing.assert_array_equal(
            fast.region(0, 100, 90, 400, 300),
            plain.region(0, 100, 90, 400, 300),
        )


@pytest.mark.parametrize("native", [True, False])
def test_outside_the_slide_it_is_white(slide: Path, native: bool) -> None:
    with open_slide(slide) if native else OpenSlideReader(slide) as reader:
        got = reader.region(0, -50, -40, 100, 90)
        assert (got[:40] == 255).all()
        assert (got[:, :50] == 255).all()
        assert (np.abs(got[40:, 50:].astype(int) - GLASS) <= 1).all()
        beyond = reader.region(0, 1050, 850, 100, 100)
        assert (beyond[50:] == 255).all()
        assert (beyond[:, 50:] == 255).all()
        assert (reader.region(0, 5000, 5000, 10, 10) == 255).all()


@pytest.mark.parametrize("native", [True, False])
def test_damage_is_told_and_later_reads_work(tmp_path: Path, native: bool) -> None:
    path = cut_in_the_middle(
        tiny_slide(
            tmp_path / "a.tif",
            size=2048,
            levels=2,
            tissue=[(0, 0, 2048, 2048)],
        ),
    )
    with open_slide(path) if native else OpenSlideReader(path) as reader:
        good, told = 0, []
        for y in range(0, 2048, 256):
            for x in range(0, 2048, 256):
                try:
                    tile = reader.region(0, x, y, 256, 256)
                except SlideError as error:
                    told.append(str(error))
                else:
                    good += tile.std() > 5
        assert len(told) >= 10
        assert good >= 20
        assert good + len(told) == 64
        assert all(str(path) in text and "damaged" in text for text in told)


def test_a_jpeg_tile_cut_short_is_damage_not_grey(tmp_path: Path) -> None:
    path = tiny_slide(tmp_path / "a.tif", size=512, levels=1, tissue=[(0, 0, 512, 512)])
    with OpenSlideReader(path) as whole:
        reader = native_or_none(whole)
        assert reader is not None
        page = reader._pages[0]
        place, count = page.offsets[1], page.counts[1]
    data = bytearray(path.read_bytes())
    data[place + count // 2 : place + count] = bytes(count - count // 2)
    path.write_bytes(bytes(data))
    with (
        open_slide(path) as reader,
        pytest.raises(SlideError, match="damaged tile at level 0, row 0, column 1"),
    ):
        reader.region(0, 256, 0, 256, 256)


def test_what_is_not_there_or_not_a_slide_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SlideError, match=r"gone\.svs: no such file"):
        open_slide(tmp_path / "gone.svs")
    text = tmp_path / "notes.svs"
    text.write_text("not a slide")
    with pytest.raises(
        SlideError,
        match="not a whole-slide image that OpenSlide knows",
    ):
        open_slide(text)
    with pytest.raises(SlideError, match="expected a file, got a folder"):
        open_slide(tmp_path)


def test_a_slide_cut_off_at_its_header_is_refused(tmp_path: Path) -> None:
    path = tiny_slide(tmp_path / "a.tif")
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(SlideError, match=r"a\.tif"):
        open_slide(path)


def test_a_resolution_of_a_screen_is_not_a_scale(tmp_path: Path) -> None:
    with open_slide(tiny_slide(tmp_path / "a.tif", mpp=352.8)) as reader:
        assert reader.mpp is None
        assert [round(scale.mpp, 1) for scale in reader.scales] == [352.8]


def test_the_coarsest_level_that_is_fine_enough_is_read(slide: Path) -> None:
    with open_slide(slide) as reader:
        wanted = {0.5: 0, 0.9: 0, 1.0: 1, 0.99: 1, 1.9: 1, 2.0: 2, 8.0: 2, 0.1: 0}
        assert {mpp: level_for(reader, 0.5, mpp) for mpp in wanted} == wanted


def test_decoded_tiles_are_kept_within_a_bound(
    slide: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("survfuse.slides.tiff._CACHE_BYTES", (0, 3 * 256 * 256 * 3))
    with OpenSlideReader(slide) as whole:
        reader = native_or_none(whole)
        assert reader is not None
        reader.region(0, 0, 0, 1100, 900)
        cache = reader._tile.cache_info()
        assert cache.misses > cache.currsize == cache.maxsize == 3
        reader.close()
        assert reader._tile.cache_info().currsize == 0


@needs_slides
def test_real_slides_open_the_fast_way_with_openslides_pixels() -> None:
    for name, mpp, sizes in [
        ("CMU-1-Small-Region.svs", 0.499, [(2220, 2967)]),
        ("tcga-cr-7395-01a-01-ts1.svs", None, [(4443, 3567), (2221, 1783)]),
    ]:
        with open_slide(SLIDES / name) as fast, OpenSlideReader(SLIDES / name) as plain:
            assert isinstance(fast, NativeTiffReader)
            assert (
                fast.mpp,
                [(level.width, level.height) for level in fast.levels],
            ) == (mpp, sizes)
            ours = fast.region(0, 1000, 1200, 500, 400).astype(int)
            assert np.abs(ours - plain.region(0, 1000, 1200, 500, 400)).mean() < 0.6


@needs_slides
def test_a_lone_dicom_file_is_refused_with_its_reason() -> None:
    with pytest.raises(
        SlideError,
        match=r"a DICOM slide is a folder .* put all its instances into one folder",
    ):
        open_slide(SLIDES / "TCGA-XK-AAJU_small_dicom.dcm")


@needs_slides
def test_the_synthetic_pyramid_opens_and_has_no_scale() -> None:
    with open_slide(SLIDES / "openslide_boxes.tiff") as reader:
        assert len(reader.levels) == 4
        assert reader.mpp is None
        assert [round(scale.mpp, 1) for scale in reader.scales] == [352.8]


def test_a_page_that_only_has_a_levels_size_is_not_taken_for_it(tmp_path: Path) -> None:
    import tifffile

    real = [np.full((side, side, 3), 200, np.uint8) for side in (1024, 512, 256)]
    pages = [
        (real[0], 0),
        (np.zeros_like(real[1]), 0),
        (real[1], 1),
        (real[2], 1),
    ]  # a label among the levels
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for image, kind in pages:
            file.write(
                image,
                tile=(256, 256),
                photometric="rgb",
                subfiletype=kind,
                metadata=None,
            )
    with open_slide(tmp_path / "a.tif") as reader:
        assert len(reader.levels) == 3
        assert (reader.region(1, 0, 0, 512, 512) == 200).all()


def test_a_tile_that_claims_gigabytes_or_lies_nowhere_is_damage(tmp_path: Path) -> None:
    path = tiny_slide(
        tmp_path / "a.tif",
        size=1024,
        levels=2,
        tissue=[(0, 0, 1024, 1024)],
    )
    with OpenSlideReader(path) as whole:
        reader = native_or_none(whole)
        assert reader is not None
        page = reader._pages[0]
    data = bytearray(path.read_bytes())
    frame = data.find(b"\xff\xc0", page.offsets[6])
    data[frame + 5 : frame + 9] = (65500).to_bytes(2, "big") * 2  # 12 GB of pixels
    path.write_bytes(bytes(data))
    with OpenSlideReader(path) as whole:
        reader = native_or_none(whole)
        assert reader is not None
        with pytest.raises(
            SlideError,
            match=r"row 1, column 2 \(65500 x 65500 px instead of 256 x 256\)",
        ):
            reader.region(0, 512, 256, 9, 9)
        reader._pages[0] = replace(page, offsets=(2**63 + 5,) * len(page.offsets))
        with pytest.raises(SlideError, match="the file ends before it"):
            reader.region(0, 300, 600, 9, 9)


def test_a_level_of_which_nothing_can_be_compared_is_left_to_openslide(
    slide: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    decode = NativeTiffReader._decode

    def torn(self: NativeTiffReader, level: int, number: int) -> Any:
        if level == 1:
            raise SlideError("torn")
        return decode(self, level, number)

    monkeypatch.setattr(NativeTiffReader, "_decode", torn)
    with open_slide(slide) as reader:
        assert isinstance(reader, OpenSlideReader)


@pytest.mark.parametrize("path", ["pipe", "/dev/zero", "loop", "n" * 300])
def test_what_is_no_file_is_neither_waited_for_nor_read(
    tmp_path: Path,
    path: str,
) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(
        SlideError,
        match=r"expected a file, got a (pipe|device)|cannot be opened",
    ):
        open_slide(tmp_path / path)


def test_another_compression_is_no_damage(tmp_path: Path) -> None:
    import tifffile

    path = tmp_path / "a.tif"
    how = {"tile": (256, 256), "compression": "webp", "photometric": "rgb"}
    tifffile.imwrite(path, np.zeros((512, 512, 3), np.uint8), metadata=None, **how)
    with pytest.raises(
        SlideError,
        match=r"does not read .*Unsupported TIFF compression.*; convert it",
    ):
        open_slide(path)


def test_a_slide_in_one_vast_tile_is_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tiny_slide(tmp_path / "a.tif", size=600, levels=1, tile=512)
    monkeypatch.setattr("survfuse.slides.openslide.MOST_PIXELS", 512 * 512 - 1)
    with pytest.raises(
        SlideError,
        match="level 0 is stored in tiles of 512 x 512 px, at most 262,143 px",
    ):
        open_slide(path)


# -- levels and samples


def write_levels(path: Path, *images: Any, **options: Any) -> Path:
    import tifffile

    with tifffile.TiffWriter(path) as file:
        for number, image in enumerate(images):
            file.write(
                image,
                tile=(256, 256),
                subfiletype=1 if number else 0,
                metadata=None,
                resolution=(20_000, 20_000),
                resolutionunit="CENTIMETER",
                **{"photometric": "rgb", **options},
            )
    return path


def test_a_level_of_other_proportions_is_left_out_and_told(tmp_path: Path) -> None:
    images = [
        np.full((side, width, 3), 200, np.uint8)
        for side, width in ((1024, 1024), (512, 400), (256, 256))
    ]
    with open_slide(write_levels(tmp_path / "a.tif", *images)) as reader:
        assert [(level.width, level.height) for level in reader.levels] == [
            (1024, 1024),
            (256, 256),
        ]
        assert reader.notes == (
            "a level of 400 × 512 px has not the proportions of the slide (1024 × 1024); it is not read",
        )
        assert reader.region(1, 0, 0, 256, 256).shape == (256, 256, 3)
    with OpenSlideReader(tmp_path / "a.tif") as plain:
        assert (plain.region(1, 0, 0, 256, 256) == 200).all()


@pytest.mark.parametrize(
    "sizes",
    [(1001, 500, 250, 125), (1001, 501, 251, 126), (1001, 334, 111)],
)
def test_the_rounding_of_levels_is_forgiven(
    tmp_path: Path,
    sizes: tuple[int, ...],
) -> None:
    images = [np.full((side, side * 2 // 3, 3), 200, np.uint8) for side in sizes]
    with open_slide(write_levels(tmp_path / "a.tif", *images)) as reader:
        assert len(reader.levels) == len(sizes)
        assert reader.notes == ()


def test_samples_of_16_bits_are_read_as_their_upper_8(tmp_path: Path) -> None:
    image = np.full((512, 512, 3), 200 * 257, np.uint16)
    with open_slide(write_levels(tmp_path / "a.tif", image)) as reader:
        assert (reader.region(0, 0, 0, 512, 512) == 200).all()
        assert (reader.sample_bits, reader.notes) == (
            16,
            ("samples of 16 bits; the upper 8 are read",),
        )


@pytest.mark.parametrize(
    ("kind", "photometric", "shape", "told"),
    [
        (
            "u1",
            "minisblack",
            (512, 512),
            r"one grey value per pixel \(8 bits\), without colour",
        ),
        (
            "u1",
            "miniswhite",
            (512, 512),
            r"one grey value per pixel \(8 bits\), without colour",
        ),
        (
            "u2",
            "minisblack",
            (512, 512),
            r"one grey value per pixel \(16 bits\), without colour",
        ),
        (
            "u2",
            "minisblack",
            (512, 512, 4),
            r"4 grey channels per pixel \(16 bits\), without colour",
        ),
        (
            "f4",
            "rgb",
            (512, 512, 3),
            r"samples of 32 bits \(floating point\), expected 8",
        ),
        (
            "u4",
            "rgb",
            (512, 512, 3),
            r"samples of 32 bits \(unsigned integers\), expected 8",
        ),
        (
            "i2",
            "rgb",
            (512, 512, 3),
            r"samples of 16 bits \(signed integers\), expected 8",
        ),
    ],
)
def test_what_is_not_stored_in_colours_of_8_bits_is_refused(
    tmp_path: Path,
    kind: str,
    photometric: str,
    shape: tuple[int, ...],
    told: str,
) -> None:
    how = {
        "photometric": photometric,
        **({"planarconfig": "contig"} if len(shape) > 2 else {}),
    }
    path = write_levels(tmp_path / "a.tif", np.full(shape, 100, kind), **how)
    with pytest.raises(
        SlideError,
        match=rf"a\.tif: stored .*{told}.*convert it to an 8-bit RGB pyramid",
    ):
        open_slide(path)


def test_colours_stored_one_image_each_are_no_colour(tmp_path: Path) -> None:
    import tifffile

    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for _ in range(3):
            file.write(
                np.full((512, 512), 100, np.uint8),
                tile=(256, 256),
                photometric="minisblack",
                metadata=None,
            )
    with pytest.raises(SlideError, match="3 grey channels per pixel"):
        open_slide(tmp_path / "a.tif")


@pytest.mark.parametrize(
    "how",
    [
        {"planarconfig": "separate"},
        {"compression": "lzw"},
        {"extrasamples": ["unassalpha"]},
    ],
)
def test_other_ways_to_store_colours_of_8_bits_are_read(
    tmp_path: Path,
    how: dict[str, Any],
) -> None:
    image = np.full((512, 512, 4 if "extrasamples" in how else 3), 255, np.uint8)
    image[..., :3] = (200, 120, 160)
    path = write_levels(
        tmp_path / "a.tif",
        np.moveaxis(image, 2, 0) if "planarconfig" in how else image,
        **how,
    )
    with open_slide(path) as reader:
        assert (reader.region(0, 100, 100, 300, 300) == (200, 120, 160)).all()
