"""A mask shows the whole slide or its scanned area; proportions alone do not decide."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import tifffile

from survfuse._errors import SlideError
from survfuse.slides.frames import frame_part, frames_of
from survfuse.slides.masks import given_mask
from survfuse.slides.reading import Level
from survfuse.slides.tissue import Tissue

MPP = 0.5
BOUNDS = (6000, 9000, 4096, 4096)
Mask = npt.NDArray[np.bool_]


def slide(
    side: int = 20_000,
    bounds: tuple[int, int, int, int] = BOUNDS,
    height: int | None = None,
) -> Any:
    levels = (Level(side, height or side, 1.0),)
    return SimpleNamespace(path=Path("A1.mrxs"), levels=levels, bounds=bounds)


def boxed(
    shape: tuple[int, int],
    box: tuple[float, float, float, float],
) -> npt.NDArray[np.uint8]:
    """Mark x, y, width and height, as shares."""
    mask = np.zeros(shape, np.uint8)
    rows, columns = shape
    x, y, width, height = box
    mask[
        round(y * rows) : round((y + height) * rows),
        round(x * columns) : round((x + width) * columns),
    ] = 255
    return mask


def read(
    tmp_path: Path,
    mask: Any,
    reader: Any,
    stained: Mask | None = None,
    **how: Any,
) -> Tissue:
    tifffile.imwrite(
        tmp_path / "A1.tif",
        mask,
        compression="zlib",
        metadata=None,
        **how,
    )
    return given_mask(tmp_path / "A1.tif", reader, MPP, stained)


def extent(tissue: Tissue) -> tuple[int, int, int, int]:
    """Marked level-0 px: left, top, right and bottom."""
    rows, columns = (
        np.flatnonzero(tissue.mask.any(1)),
        np.flatnonzero(tissue.mask.any(0)),
    )
    across, down = tissue.scale
    left, right = round(columns[0] * across), round((columns[-1] + 1) * across)
    return left, round(rows[0] * down), right, round((rows[-1] + 1) * down)


def near(found: tuple[int, ...], right: tuple[int, ...], px: int = 40) -> bool:
    return bool(np.abs(np.subtract(found, right)).max() <= px)


INSIDE = (0.25, 0.5, 0.5, 0.25)
IN_SCANNED = (6000 + 1024, 9000 + 2048, 6000 + 3072, 9000 + 3072)


def test_a_mask_of_the_scanned_area_lies_there(tmp_path: Path) -> None:
    tissue = read(tmp_path, boxed((512, 512), INSIDE), slide())
    assert near(extent(tissue), IN_SCANNED)
    assert tissue.area_mm2 == pytest.approx(2048 * 1024 * MPP**2 / 1e6, rel=0.03)
    assert tissue.mask.shape == (1250, 1250)  # of the whole slide, at 8 µm/px
    (note,) = tissue.notes
    assert note.startswith(
        "the mask was taken to show the scanned area (4096 × 4096) (its pixels are 8 px of the",
    )
    assert "of what it marks would lie outside the scanned area" in note


def test_a_mask_of_the_whole_slide_lies_there(tmp_path: Path) -> None:
    box = (0.35, 0.55, 0.1, 0.05)
    tissue = read(tmp_path, boxed((625, 625), box), slide())
    assert near(extent(tissue), (7000, 11000, 9000, 12000))
    assert tissue.notes == (
        "the mask was taken to show the whole slide (20000 × 20000) "
        "(its pixels are 32 px of the slide wide: the whole slide)",
    )


def test_proportions_of_the_scanned_area_alone_are_enough(tmp_path: Path) -> None:
    reader = slide(20_000, (4000, 2000, 8000, 3000))
    tissue = read(tmp_path, boxed((300, 800), INSIDE), reader)
    assert near(extent(tissue), (6000, 3500, 10_000, 4250))


def test_what_is_not_certain_is_refused_and_the_hints_work(tmp_path: Path) -> None:
    box = (0.4, 0.55, 0.05, 0.05)  # inside the scanned area either way
    with pytest.raises(
        SlideError,
        match=r"700 × 700 px, which has the proportions of .* is not certain; write",
    ):
        read(tmp_path, boxed((700, 700), box), slide())
    scale = {
        "resolution": (1e4 / (20_000 * MPP / 700),) * 2,
        "resolutionunit": "CENTIMETER",
    }
    tissue = read(tmp_path, boxed((700, 700), box), slide(), **scale)
    assert "its own scale makes it 10 mm wide: the whole slide" in tissue.notes[0]
    assert near(extent(tissue), (8000, 11_000, 9000, 12_000))
    assert near(
        extent(read(tmp_path, boxed((625, 625), box), slide())),
        (8000, 11_000, 9000, 12_000),
    )


def test_its_own_scale_in_ome_xml_decides_too(tmp_path: Path) -> None:
    tifffile.imwrite(
        tmp_path / "A1.ome.tif",
        boxed((700, 700), INSIDE),
        ome=True,
        metadata={
            "axes": "YX",
            "PhysicalSizeX": 4096 * MPP / 700,
            "PhysicalSizeY": 4096 * MPP / 700,
        },
    )
    tissue = given_mask(tmp_path / "A1.ome.tif", slide(), MPP)
    assert near(extent(tissue), IN_SCANNED)
    assert "its own scale makes it 2.048 mm wide: the scanned area" in tissue.notes[0]


def test_evidence_that_contradicts_itself_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        SlideError,
        match=r"is contradictory \(its pixels are 32 px .*; of the whole slide, 100%",
    ):
        read(tmp_path, boxed((625, 625), (0.1, 0.1, 0.1, 0.1)), slide())


def test_marks_where_nothing_was_scanned_are_refused_or_left_out(
    tmp_path: Path,
) -> None:
    reader = slide(20_000, (4000, 0, 8000, 10_000), height=10_000)
    with pytest.raises(
        SlideError,
        match=r"100% of what the mask marks lies where nothing was scanned .*another",
    ):
        read(tmp_path, boxed((500, 1000), (0.7, 0.1, 0.2, 0.5)), reader)
    tissue = read(tmp_path, boxed((500, 1000), (0.15, 0.1, 0.3, 0.5)), reader)
    assert near(extent(tissue), (4000, 1000, 9000, 6000))
    assert (
        "16.3% of what the mask marks lies where nothing was scanned and was left out"
        in tissue.notes
    )


def test_a_full_mask_and_an_empty_one_need_no_frame(tmp_path: Path) -> None:
    full = read(tmp_path, np.ones((700, 700), np.uint8), slide())
    assert near(extent(full), (6000, 9000, 10_096, 13_096))
    empty = read(tmp_path, np.zeros((700, 700), np.uint8), slide())
    assert (empty.area_mm2, empty.notes) == (0.0, ("the mask marks no tissue",))


def test_a_scanned_area_that_is_nearly_all_is_all(tmp_path: Path) -> None:
    reader = slide(20_000, (100, 100, 19_800, 19_800))
    assert read(tmp_path, boxed((700, 700), INSIDE), reader).notes == ()


def test_the_stain_decides_where_nothing_else_does(tmp_path: Path) -> None:
    stained = (
        boxed((1000, 1000), (0.3512, 0.5524, 0.1024, 0.0512)) > 0
    )  # INSIDE of the scanned area
    tissue = read(
        tmp_path,
        boxed((700, 700), INSIDE),
        slide(bounds=(6000, 9000, 4096, 4096)),
        stained,
    )
    assert near(extent(tissue), IN_SCANNED)


@pytest.mark.parametrize("name", ["whole slide", "scanned area"])
def test_the_stain_tells_frames_that_are_nearly_one(tmp_path: Path, name: str) -> None:
    reader = slide(20_000, (1600, 1600, 18_000, 18_000))
    whole, scanned, canvas = *frames_of(reader), np.zeros((1000, 1000), bool)
    for left, top in ((0.1, 0.2), (0.4, 0.5), (0.7, 0.3)):
        canvas |= boxed(canvas.shape, (left, top, 0.12, 0.12)) > 0
    part = canvas if name == "whole slide" else frame_part(canvas, whole, scanned)
    mask = cv2.resize(
        part.astype(np.uint8),
        (700, 700),
        interpolation=cv2.INTER_NEAREST,
    )
    tissue = read(tmp_path, mask, reader, canvas)
    assert f"the mask was taken to show the {name}" in tissue.notes[0]
    assert near(extent(tissue), (2000, 4000, 16_400, 12_400))


# -- mirrored, turned, exchanged


def spot(times: int = 1) -> Mask:
    """Tissue that no turn or mirror takes to itself."""
    mask = np.zeros((200, 200), bool)
    mask[20:80, 20:150] = True
    mask[80:150, 20:60] = True
    return np.repeat(np.repeat(mask, times, 0), times, 1)


TURNS = {
    "mirrored left to right": np.fliplr,
    "mirrored top to bottom": np.flipud,
    "turned by 180°": lambda mask: np.rot90(mask, 2),
    "turned by 90°": lambda mask: np.rot90(mask, 3),
    "rows and columns exchanged": np.transpose,
}


@pytest.mark.parametrize("turn", sorted(TURNS))
def test_a_mask_that_lies_otherwise_than_the_slide_is_refused(
    tmp_path: Path,
    turn: str,
) -> None:
    reader = slide(16_000, (0, 0, 16_000, 16_000))
    with pytest.raises(
        SlideError,
        match=rf"A1\.tif: \d+% .*is stained, but 100% when it is .*{turn}; write it",
    ):
        read(tmp_path, TURNS[turn](spot()).astype(np.uint8), reader, spot(3))
    assert read(tmp_path, spot().astype(np.uint8), reader, spot(3)).notes == ()


def test_a_small_mirrored_part_is_refused_and_a_right_one_is_not(
    tmp_path: Path,
) -> None:
    reader, part = slide(16_000, (0, 0, 16_000, 16_000)), np.zeros((200, 200), np.uint8)
    part[25:70, 25:75] = 1
    assert read(tmp_path, part, reader, spot()).notes == ()
    (note,) = read(tmp_path, part[::-1], reader, spot()).notes
    assert note.startswith(
        "31% of what the mask marks is stained, but 100% when it is mirrored top to bottom; does",
    )
    with pytest.raises(
        SlideError,
        match="0% of what the mask marks is stained, but 100% when it is turned by 180°",
    ):
        read(tmp_path, part[::-1, ::-1], reader, spot())


def test_symmetric_tissue_is_no_doubt(tmp_path: Path) -> None:
    whole = boxed((200, 200), (0.2, 0.2, 0.6, 0.6))
    reader = slide(16_000, (0, 0, 16_000, 16_000))
    assert read(tmp_path, whole, reader, whole > 0).notes == ()


def test_marks_on_glass_are_a_note(tmp_path: Path) -> None:
    reader = slide(16_000, (0, 0, 16_000, 16_000))
    stained = boxed((200, 200), (0.4, 0.4, 0.2, 0.2)) > 0
    (note,) = read(
        tmp_path,
        boxed((200, 200), (0.0, 0.4, 0.2, 0.2)),
        reader,
        stained,
    ).notes
    assert note.startswith(
        "only 0.0% of what the mask marks is stained; is it this slide's mask, and of all of it?",
    )


def test_exchanged_sides_of_an_oblong_slide_are_named(tmp_path: Path) -> None:
    reader = slide(16_000, (0, 0, 16_000, 8000), height=8000)
    with pytest.raises(SlideError, match="Are its rows and columns exchanged"):
        read(tmp_path, boxed((1000, 500), INSIDE), reader)


# -- another scale


def test_a_mask_of_another_size_in_mm_is_a_note(tmp_path: Path) -> None:
    reader = slide(16_000, (0, 0, 16_000, 16_000))
    scale = {"resolution": (1e4 / 8,) * 2, "resolutionunit": "CENTIMETER"}
    assert read(tmp_path, boxed((1000, 1000), INSIDE), reader, **scale).notes == ()
    (note,) = read(tmp_path, boxed((500, 500), INSIDE), reader, **scale).notes
    assert note.startswith(
        "by its own scale the mask covers 4 × 4 mm, but the whole slide (16000 × 16000) is 8 × 8",
    )


def test_a_mask_of_a_part_of_the_slide_is_refused(tmp_path: Path) -> None:
    reader = slide(16_000, (0, 0, 16_000, 16_000))
    part = spot()[:100, :100].astype(np.uint8)  # the upper left quarter
    scale = {"resolution": (1e4 / 40,) * 2, "resolutionunit": "CENTIMETER"}
    with pytest.raises(
        SlideError,
        match=r"covers 4 × 4 mm, but the whole slide .*Is it of a part of the slide",
    ):
        read(tmp_path, part, reader, np.roll(spot(), 40, axis=(0, 1)), **scale)


@pytest.mark.parametrize("mpp", [MPP, 25_400 / 72])
def test_a_scale_copied_from_the_slide_or_of_a_screen_is_none(
    tmp_path: Path,
    mpp: float,
) -> None:
    reader = slide(16_000, (0, 0, 16_000, 16_000))
    scale = {"resolution": (1e4 / mpp,) * 2, "resolutionunit": "CENTIMETER"}
    assert read(tmp_path, boxed((500, 500), INSIDE), reader, **scale).notes == ()


def test_a_mask_that_had_to_be_stretched_tells(tmp_path: Path) -> None:
    reader = slide(16_000, (0, 0, 16_000, 16_000))
    (note,) = read(tmp_path, boxed((500, 509), INSIDE), reader).notes
    assert (
        note
        == "the mask is 509 × 500 px and shows the whole slide (16000 × 16000): it was stretched a little"
    )
