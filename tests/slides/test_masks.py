from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import imagecodecs
import numpy as np
import numpy.typing as npt
import pytest
import tifffile

from slide_files import raw_tiff, tiff_tags
from survfuse._errors import MissingExtraError, SlideError
from survfuse.slides import mask_files
from survfuse.slides.masks import given_mask, pair_masks
from survfuse.slides.reading import Level

AREA = 1.92  # mm², of SMALL on the slide below


def slide(width: int = 16_000, height: int = 8_000) -> Any:
    bounds = (0, 0, width, height)
    return SimpleNamespace(
        path=Path("A1.svs"),
        levels=(Level(width, height, 1.0),),
        bounds=bounds,
    )


def small() -> npt.NDArray[np.uint8]:
    mask = np.zeros((500, 1000), np.uint8)
    mask[100:200, 100:400] = 1
    return mask


def enlarged(times: int) -> npt.NDArray[np.uint8]:
    return np.repeat(np.repeat(small(), times, 0), times, 1)


# -- values

VALUES: dict[str, tuple[Any, dict[str, Any]]] = {
    "0/1": (small(), {}),
    "0/255": (small() * 255, {"compression": "lzw"}),
    "labels": (small().astype(np.uint16) * 7, {"compression": "zlib"}),
    "float": (small().astype(np.float32), {}),
    "NaN": (np.where(small() > 0, 1, np.nan).astype(np.float32), {}),
    "negative": (np.where(small() > 0, 1, -1).astype(np.int32), {}),
    "bool": (small().astype(bool), {}),
    "white is 0": (small().astype(bool), {"photometric": "miniswhite"}),
    "RGB": (np.stack([small() * 255] * 3, -1), {"photometric": "rgb"}),
    "one colour": (
        np.stack([small() * 0, small() * 0, small() * 200], -1),
        {"photometric": "rgb"},
    ),
    "RGBA": (
        np.stack([*[small() * 255] * 3, np.full((500, 1000), 255, np.uint8)], -1),
        {"photometric": "rgb", "extrasamples": ["unassalpha"]},
    ),
    "planes": (
        np.stack([small() * 255] * 3),
        {"photometric": "rgb", "planarconfig": "separate"},
    ),
    "palette": (
        small(),
        {"photometric": "palette", "colormap": np.full((3, 256), 65535, np.uint16)},
    ),
    "JPEG": (small() * 255, {"compression": "jpeg", "compressionargs": {"level": 60}}),
}


@pytest.mark.parametrize("kind", sorted(VALUES))
def test_any_way_to_write_a_mask(tmp_path: Path, kind: str) -> None:
    values, options = VALUES[kind]
    tifffile.imwrite(tmp_path / "A1.tif", values, **options)
    tissue = given_mask(tmp_path / "A1.tif", slide(), 0.5)
    assert tissue.source == "given"
    assert tissue.area_mm2 == pytest.approx(AREA, rel=0.01)
    assert tissue.components == 1
    assert tissue.scale == (16.0, 16.0)
    np.testing.assert_array_equal(tissue.mask[105:195, 105:395], True)
    assert not tissue.mask[:95].any()


def test_a_lossy_mask_says_so(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "A1.tif", small() * 255, compression="jpeg")
    assert "stored with loss" in given_mask(tmp_path / "A1.tif", slide(), 0.5).notes[0]


def test_every_label_is_tissue(tmp_path: Path) -> None:
    labels = small()
    labels[300:400, 100:400] = 5
    tifffile.imwrite(tmp_path / "A1.tif", labels)
    tissue = given_mask(tmp_path / "A1.tif", slide(), 0.5)
    assert tissue.area_mm2 == pytest.approx(2 * AREA)
    assert tissue.components == 2


# -- sizes and levels


@pytest.mark.parametrize("times", [1, 2, 4, 8])
def test_a_mask_of_any_level_gives_the_same_tissue(tmp_path: Path, times: int) -> None:
    tifffile.imwrite(
        tmp_path / "A1.tif",
        enlarged(times),
        tile=(256, 256),
        compression="zlib",
    )
    tissue = given_mask(tmp_path / "A1.tif", slide(), 0.5)
    assert tissue.mask.shape == (500, 1000)  # 8 µm/px is fine enough
    np.testing.assert_array_equal(tissue.mask, small() > 0)


def test_a_coarse_mask_is_taken_as_it_is(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "A1.tif", small()[::50, ::50])
    tissue = given_mask(tmp_path / "A1.tif", slide(), 0.5)
    assert tissue.mask.shape == (10, 20)
    assert tissue.area_mm2 == pytest.approx(AREA)


@pytest.mark.parametrize("layout", ["plain", "subifds"])
def test_of_a_pyramid_a_level_is_read_that_is_fine_enough(
    tmp_path: Path,
    layout: str,
) -> None:
    whole, steps = enlarged(8), (2, 4, 8, 16, 32, 64)
    with tifffile.TiffWriter(tmp_path / "A1.tif") as writer:
        writer.write(
            whole,
            tile=(256, 256),
            subifds=len(steps) if layout == "subifds" else 0,
        )
        for step in steps:
            writer.write(whole[::step, ::step], tile=(256, 256), subfiletype=1)
    tissue = given_mask(tmp_path / "A1.tif", slide(), 0.5)
    assert tissue.mask.shape == (250, 500)  # 16 µm/px
    assert tissue.area_mm2 == pytest.approx(AREA)


def test_pictures_of_other_proportions_are_not_the_mask(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "A1.tif") as writer:
        writer.write(np.full((90, 70), 255, np.uint8))  # a label
        writer.write(small())
    assert given_mask(tmp_path / "A1.tif", slide(), 0.5).area_mm2 == pytest.approx(AREA)


@pytest.mark.parametrize("options", [{"tile": (256, 256)}, {"rowsperstrip": 40}])
@pytest.mark.parametrize("colours", [False, True])
def test_a_huge_mask_is_never_held_whole(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, Any],
    colours: bool,
) -> None:
    monkeypatch.setattr(mask_files, "MOST_PIXELS", 400_000)
    values = enlarged(3)
    tifffile.imwrite(
        tmp_path / "A1.tif",
        np.stack([values * 255] * 3, -1) if colours else values,
        photometric="rgb" if colours else "minisblack",
        compression="zlib",
        **options,
    )
    monkeypatch.setattr(
        tifffile.TiffPage,
        "asarray",
        lambda *_, **__: pytest.fail("read whole"),
    )
    tissue = given_mask(tmp_path / "A1.tif", slide(), 0.5)
    assert tissue.mask.size <= 430_000
    assert tissue.area_mm2 == pytest.approx(AREA, rel=0.03)


def test_a_mask_of_deep_pixels_is_never_held_whole(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = np.stack([enlarged(2).astype(np.float64)] * 3, -1)
    tifffile.imwrite(
        tmp_path / "A1.tif",
        values,
        photometric="rgb",
        tile=(256, 256),
        metadata=None,
    )
    whole = given_mask(tmp_path / "A1.tif", slide(), 0.5)
    monkeypatch.setattr(mask_files, "MOST_PIXELS", values.size // 3)
    sampled: list[int] = []
    by_tile = mask_files._sampled
    monkeypatch.setattr(
        mask_files,
        "_sampled",
        lambda *given: sampled.append(1) or by_tile(*given),
    )
    part = given_mask(tmp_path / "A1.tif", slide(), 0.5)
    assert sampled == [1]
    assert part.area_mm2 == pytest.approx(whole.area_mm2) == AREA


def test_a_huge_mask_in_one_strip_is_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mask_files, "MOST_PIXELS", 200_000)
    tifffile.imwrite(tmp_path / "A1.tif", small(), rowsperstrip=500, compression="zlib")
    with pytest.raises(
        SlideError,
        match=r"500 px in one strip.*write it tiled or smaller",
    ):
        given_mask(tmp_path / "A1.tif", slide(), 0.5)


@pytest.mark.parametrize("shape", [(501, 1000), (499, 1000), (500, 1009), (509, 1000)])
def test_rounding_of_a_size_is_forgiven(tmp_path: Path, shape: tuple[int, int]) -> None:
    tifffile.imwrite(tmp_path / "A1.tif", np.ones(shape, np.uint8))
    tissue = given_mask(tmp_path / "A1.tif", slide(), 0.5)
    assert tissue.scale == (16_000 / shape[1], 8_000 / shape[0])
    assert tissue.area_mm2 == pytest.approx(32.0)


def test_one_px_of_rounding_is_forgiven_in_a_tiny_mask(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "A1.tif", np.ones((6, 10), np.uint8))
    assert given_mask(tmp_path / "A1.tif", slide(), 0.5).mask.all()


@pytest.mark.parametrize("shape", [(1000, 500), (520, 1000), (500, 1030), (8, 10)])
def test_the_mask_of_another_slide_is_refused(
    tmp_path: Path,
    shape: tuple[int, int],
) -> None:
    tifffile.imwrite(tmp_path / "A1.tif", np.ones(shape, np.uint8))
    with pytest.raises(
        SlideError,
        match=rf"A1.tif: the mask is {shape[1]} × {shape[0]} px .*(Is it another|rows and col)",
    ):
        given_mask(tmp_path / "A1.tif", slide(), 0.5)


# -- what it says


def test_an_empty_mask_is_a_result(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "A1.tif", small() * 0)
    tissue = given_mask(tmp_path / "A1.tif", slide(), 0.5)
    assert not tissue.mask.any()
    assert (tissue.area_mm2, tissue.components) == (0.0, 0)
    assert tissue.notes == ("the mask marks no tissue",)


def test_an_inverted_mask_is_taken_at_its_word_with_a_note(tmp_path: Path) -> None:
    inverted = 1 - small()
    inverted[:, 150:] = 1
    tifffile.imwrite(tmp_path / "A1.tif", inverted)
    tissue = given_mask(tmp_path / "A1.tif", slide(), 0.5)
    assert tissue.mask.mean() > 0.95
    assert "99.0% of the slide as tissue; is it inverted?" in tissue.notes[0]


@pytest.mark.parametrize(
    "content",
    [b"", b"II*\0", b"no tiff at all" * 50, b"\x89PNG\r\n\x1a\n" + bytes(64)],
)
def test_what_is_no_tiff_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "A1.tif").write_bytes(content)
    with pytest.raises(
        SlideError,
        match=r"expected a TIFF with a tissue mask|the mask is 0 × 0",
    ):
        given_mask(tmp_path / "A1.tif", slide(), 0.5)


def test_a_truncated_or_damaged_mask_is_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 2, (500, 1000), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "A1.tif", noise, compression="zlib", rowsperstrip=50)
    whole = (tmp_path / "A1.tif").read_bytes()
    for content in (
        whole[: len(whole) // 2],
        whole[:900] + b"\xff" * 4000 + whole[4900:],
    ):
        (tmp_path / "B1.tif").write_bytes(content)
        with pytest.raises(
            SlideError,
            match=r"B1\.tif: expected a TIFF with a tissue mask",
        ):
            given_mask(tmp_path / "B1.tif", slide(), 0.5)


def test_an_absent_mask_is_named(tmp_path: Path) -> None:
    with pytest.raises(SlideError, match=r"A9.tif: no such tissue mask"):
        given_mask(tmp_path / "A9.tif", slide(), 0.5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("codec", "number"),
    [("png", 34933), ("jpegxl", 50002), ("webp", 50001)],
)
def test_a_stream_that_is_larger_than_its_tile_is_not_decoded(
    tmp_path: Path,
    codec: str,
    number: int,
) -> None:
    stream = getattr(imagecodecs, f"{codec}_encode")(
        np.zeros((2000, 2000, 3), np.uint8),
    )
    tags = tiff_tags(compression=number, stored=len(stream))
    path = raw_tiff(tmp_path / "a.tif", tags, pixels=stream)
    claim = "(no size|2000 × 2000 px of 4 channels)"
    told = rf"a\.tif: tile or strip 0 is a {codec.upper()} stream that says {claim}"
    with pytest.raises(SlideError, match=told):
        given_mask(path, slide(512, 512), 0.5)


def test_a_pipe_is_no_mask(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.tif")
    with pytest.raises(SlideError, match=r"a\.tif: expected a file, got a pipe"):
        given_mask(tmp_path / "a.tif", slide(), 0.5)


def test_a_folder_is_no_mask(tmp_path: Path) -> None:
    with pytest.raises(SlideError, match="expected a file, got a folder"):
        given_mask(tmp_path, slide(), 0.5)


def test_without_the_extra_the_error_names_it(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "tifffile", None)
    with pytest.raises(
        MissingExtraError,
        match=r"needs tifffile: pip install 'survfuse\[slides\]'",
    ):
        given_mask(tmp_path / "A1.tif", slide(), 0.5)


# -- names


def folder_of(tmp_path: Path, *names: str) -> Path:
    for name in names:
        (tmp_path / name).touch()
    return tmp_path


def test_masks_are_paired_by_name(tmp_path: Path) -> None:
    folder = folder_of(
        tmp_path,
        "A1.tif",
        "A2_mask.tiff",
        "A3_tissue.TIF",
        "A4_tissue_mask.tif",
        "2A_001_HE_mask.tif",
        "A10.tif",
        "._A1.tif",
        "readme.txt",
        "A1.xml",
    )
    slides = ["A10", "A1", "A2", "A3", "A4", "2A_001"]
    pairs = pair_masks(folder, slides)
    assert {slide: file.name for slide, file in pairs.items()} == {
        "A1": "A1.tif",
        "A10": "A10.tif",
        "A2": "A2_mask.tiff",
        "A3": "A3_tissue.TIF",
        "A4": "A4_tissue_mask.tif",
        "2A_001": "2A_001_HE_mask.tif",
    }
    assert pair_masks(folder, slides[::-1]) == pairs


@pytest.mark.parametrize(
    "names",
    [("A1.png",), ("A1.tif", "A2_mask.png"), ("A1.geojson",), ()],
)
def test_masks_that_would_not_be_read_are_refused(
    tmp_path: Path,
    names: tuple[str, ...],
) -> None:
    with pytest.raises(
        SlideError,
        match=r"masks are read from \.tif, \.tiff files, got",
    ):
        pair_masks(folder_of(tmp_path, *names), ["A1", "A2"])


def test_the_chimera_pair(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "2A_001_HE_mask.tif", "2A_002_HE_mask.tif")
    pairs = pair_masks(folder, ["2A_002_HE", "2A_001_HE"])
    assert {slide: file.name for slide, file in pairs.items()} == {
        "2A_001_HE": "2A_001_HE_mask.tif",
        "2A_002_HE": "2A_002_HE_mask.tif",
    }


def test_a_slide_without_a_mask_is_left_out(tmp_path: Path) -> None:
    assert set(pair_masks(folder_of(tmp_path, "A1.tif"), ["A1", "A2"])) == {"A1"}
    assert pair_masks(tmp_path, []) == {}


def test_masks_of_slides_that_are_not_asked_for_do_no_harm(tmp_path: Path) -> None:
    assert set(pair_masks(folder_of(tmp_path, "A1.tif", "A2.tif"), ["A1"])) == {"A1"}


def test_two_masks_of_one_slide_are_refused(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "A1.tif", "A1_mask.tif")
    with pytest.raises(
        SlideError,
        match=r"slide 'A1' has two masks in .*: A1.tif and A1_mask.tif; leave one",
    ):
        pair_masks(folder, ["A1"])


def test_one_mask_of_two_slides_is_refused(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "A1_HE_mask.tif")
    with pytest.raises(
        SlideError,
        match=r"A1_HE_mask.tif: fits slides A1 and A1_HE; rename the mask",
    ):
        pair_masks(folder, ["A1", "A1_HE"])


def test_names_that_do_not_match_are_refused(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "A1.tif", "a2.tif", "A3-mask.tif")
    with pytest.raises(
        SlideError,
        match=r"A3-mask.tif, a2.tif belong to no slide, and slides A2, A3 have",
    ):
        pair_masks(folder, ["A1", "A2", "A3"])


def test_an_absent_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(SlideError, match=r"masks: no such folder of tissue masks"):
        pair_masks(tmp_path / "masks", ["A1"])


def test_a_file_that_only_begins_like_a_tiff_holds_no_image(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(b"II*\0" + b"\xff" * 500)
    with pytest.raises(
        SlideError,
        match=r"a\.tif: the file ends within its directories",
    ):
        given_mask(path, slide(), 0.5)
    path.write_bytes(b"II*\0" + bytes(500))
    with pytest.raises(
        SlideError,
        match=r"a\.tif: expected a TIFF with a tissue mask, but it holds no image",
    ):
        given_mask(path, slide(), 0.5)


def test_masks_are_paired_however_their_letters_are_composed(tmp_path: Path) -> None:
    file = tmp_path / "Mu\u0308ller_mask.tif"
    file.touch()
    assert pair_masks(tmp_path, ["M\u00fcller"]) == {"M\u00fcller": file}
    assert pair_masks(tmp_path, ["Mu\u0308ller"]) == {"Mu\u0308ller": file}
