"""µm per pixel is said, never guessed, and whoever else says it is held against it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from survfuse._errors import SlideError
from survfuse.slides.scales import RESOLUTION_TAGS, Scale, of_power
from survfuse.slides.spacing import Spacing, slide_spacing

MPP = "the file's description (MPP)"


def reader(*scales: Scale, side: int = 20_000, notes: tuple[str, ...] = ()) -> Any:
    return SimpleNamespace(
        path="s.svs",
        scales=scales,
        bounds=(0, 0, side, side // 2),
        notes=notes,
    )


def tags(mpp: float) -> Scale:
    return Scale(mpp, RESOLUTION_TAGS)


def lens(power: float) -> Scale:
    return of_power(power, "the file's objective")


def test_the_slide_tables_column_comes_first_and_tells_where_it_differs() -> None:
    found = slide_spacing(reader(tags(0.25)), column=0.5, stated=0.5, stated_power=20)
    assert (found.mpp, found.source) == (0.5, "column")
    assert found.notes == (
        f"{RESOLUTION_TAGS}: 0.25 µm/px, but the slide table's column `mpp`: 0.5 µm/px; "
        "the latter was followed",
    )
    assert slide_spacing(reader(tags(0.499)), column=0.5) == Spacing(0.5, "column")


def test_the_file_comes_before_the_tables_objective_and_before_flags() -> None:
    assert slide_spacing(reader(tags(0.25)), power=40, stated=0.25) == Spacing(
        0.25,
        "file",
    )
    found = slide_spacing(reader(tags(0.25)), stated=0.5)
    assert (found.mpp, found.source) == (0.25, "file")
    assert found.notes[0].startswith(
        "--slide-mpp: 0.5 µm/px, but the file's resolution tags: 0.25 µm/px",
    )


def test_what_is_stated_serves_files_that_say_nothing() -> None:
    assert slide_spacing(reader(), stated=0.46, stated_power=20) == Spacing(
        0.46,
        "flag",
    )
    assert slide_spacing(reader(), stated_power=40) == Spacing(0.25, "objective")
    assert slide_spacing(reader(), power=20, stated=0.5) == Spacing(0.5, "objective")


def test_the_slides_own_row_comes_before_flags_of_the_run() -> None:
    found = slide_spacing(reader(), power=40, stated=0.5)
    assert (found.mpp, found.source) == (0.25, "objective")
    assert (
        "--slide-mpp: 0.5 µm/px, but the slide table's column `objective`: 40x"
        in found.notes[0]
    )


def test_nobody_says_it_names_the_three_ways_and_does_not_guess_from_the_objective() -> (
    None
):
    with pytest.raises(
        SlideError,
        match=r"column `mpp`.*--slide-mpp.*--objective-power 40",
    ) as refused:
        slide_spacing(reader(lens(20)))
    assert (
        "the file's objective: 20x, about 0.5 µm/px (a power alone is not taken"
        in str(refused.value)
    )
    with pytest.raises(
        SlideError,
        match=r"resolution tags: 352 µm/px, which no scanner has",
    ):
        slide_spacing(reader(tags(352)))
    with pytest.raises(SlideError, match="OME-XML is broken"):
        slide_spacing(reader(notes=("the file's OME-XML is broken",)))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"column": 250.0}, "column `mpp`: 250 µm/px, which no scanner has"),  # nm
        ({"column": 0.00025}, "column `mpp`: 0.00025 µm/px"),  # mm
        ({"column": 40.0}, "column `mpp`: 40 µm/px"),  # a power
        ({"column": 5.0}, "column `mpp`: 5 µm/px"),  # 0.5
        ({"column": 0.05}, "column `mpp`: 0.05 µm/px"),  # 0.5
        ({"column": 0.023}, "column `mpp`: 0.023 µm/px"),  # 0.23
        ({"stated": 0.001}, "--slide-mpp: 0.001 µm/px"),
        ({"power": 0.5}, "column `objective`: 0.5x, about 20 µm/px"),  # a scale
        ({"stated_power": 400}, "--objective-power: 400x, about 0.025 µm/px"),
    ],
)
def test_a_number_that_no_scanner_has_is_refused(
    given: dict[str, float],
    told: str,
) -> None:
    with pytest.raises(SlideError, match=told.replace("(", r"\(")):
        slide_spacing(reader(tags(0.25)), **given)


@pytest.mark.parametrize("mpp", [0.05, 0.025, 0.0005, 5.0, 500.0])
def test_a_file_that_says_what_no_scanner_has_is_not_followed(mpp: float) -> None:
    with pytest.raises(
        SlideError,
        match=rf"does not say its µm/px: {MPP[:8]}.* {mpp:g} µm/px, which no",
    ):
        slide_spacing(reader(Scale(mpp, MPP)))
    found = slide_spacing(reader(Scale(mpp, MPP)), stated=0.5)
    assert (found.mpp, found.source) == (0.5, "flag")
    assert f"{mpp:g} µm/px, which no scanner has" in found.notes[0]
    assert "--slide-mpp: 0.5 µm/px" in found.notes[0]


def test_a_screens_resolution_beside_a_scale_is_not_worth_a_word() -> None:
    assert slide_spacing(reader(Scale(0.25, MPP), tags(352.8)), column=0.25) == Spacing(
        0.25,
        "column",
    )
    assert slide_spacing(reader(Scale(0.25, MPP), tags(352.8))).notes == ()


# -- a flag against the file


@pytest.mark.parametrize("flag", [{"stated_power": 40}, {"stated": 0.25}])
def test_a_flag_that_the_files_objective_contradicts_is_refused(
    flag: dict[str, float],
) -> None:
    with pytest.raises(
        SlideError,
        match=r"0\.25 µm/px, but the file's objective: 20x.*a flag is for slides",
    ):
        slide_spacing(reader(lens(20)), **flag)


@pytest.mark.parametrize(
    "row",
    [{"power": 40}, {"column": 0.25}, {"power": 20}, {"column": 0.5}],
)
def test_what_the_refusal_advises_works(row: dict[str, float]) -> None:
    found = slide_spacing(reader(lens(20)), stated_power=40, **row)
    assert found.mpp == row.get("column", 10 / row.get("power", 1))
    assert len(found.notes) == 1  # who was not followed


def test_a_flag_that_the_files_objective_supports_is_taken() -> None:
    assert slide_spacing(reader(lens(20)), stated_power=20) == Spacing(0.5, "objective")
    assert slide_spacing(reader(lens(20)), stated=0.46) == Spacing(0.46, "flag")


def test_two_flags_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(
        SlideError,
        match=r"--slide-mpp: 0\.5 µm/px, but --objective-power: 40x.*give one of both",
    ):
        slide_spacing(reader(), stated=0.5, stated_power=40)


# -- the file against itself


def test_an_adapter_of_the_camera_is_a_note() -> None:
    found = slide_spacing(reader(Scale(0.243, MPP), lens(20)))
    assert found.mpp == 0.243
    assert found.notes[0].startswith(
        "the file's objective: 20x, about 0.5 µm/px, but the file's description",
    )


@pytest.mark.parametrize(
    ("scales", "told"),
    [
        (
            (Scale(0.5, MPP), tags(2.0)),
            "0.5 µm/px, but the file's resolution tags: 2 µm/px",
        ),
        (
            (tags(0.1), lens(10)),
            "0.1 µm/px, but the file's objective: 10x, about 1 µm/px (a factor of ten)",
        ),
        (
            (tags(2.5), lens(40)),
            "2.5 µm/px, but the file's objective: 40x, about 0.25 µm/px (a factor of ten)",
        ),
    ],
)
def test_scales_that_cannot_be_of_one_slide_are_refused(
    scales: tuple[Scale, ...],
    told: str,
) -> None:
    with pytest.raises(
        SlideError,
        match="so that two agree: columns `mpp` and `objective`",
    ) as refused:
        slide_spacing(reader(*scales))
    assert told in str(refused.value)


def test_two_that_agree_outvote_one() -> None:
    found = slide_spacing(reader(Scale(0.5, MPP), tags(2.5), lens(20)))
    assert found.mpp == 0.5
    assert found.notes[0].startswith(
        "the file's resolution tags: 2.5 µm/px, but the file's description",
    )
    found = slide_spacing(reader(tags(2.0)), column=0.5, power=20)
    assert (found.mpp, len(found.notes)) == (0.5, 1)
    with pytest.raises(SlideError, match="so that two agree"):
        slide_spacing(reader(tags(2.0)), column=0.5)


def test_an_inch_taken_for_a_cm_is_named() -> None:
    (note,) = slide_spacing(reader(Scale(0.5, MPP), tags(1.27))).notes
    assert "1.27 µm/px" in note
    assert "0.5 µm/px (as an inch is to a cm)" in note


# -- one source alone


@pytest.mark.parametrize("mpp", [0.1, 0.098, 2.5])
def test_an_unusual_scale_that_nothing_else_says_is_a_note(mpp: float) -> None:
    notes = slide_spacing(reader(tags(mpp))).notes
    assert (
        "which is unusual (slides have 0.15 to 2.1) and said by nothing else"
        in notes[0]
    )
    assert slide_spacing(reader(tags(mpp)), column=mpp).notes == ()


@pytest.mark.parametrize(
    ("mpp", "told"),
    [
        (1.27, "unit is cm, it is 0.5"),
        (0.635, "unit is cm, it is 0.25"),
        (0.197, "unit is inch, it is 0.5"),
    ],
)
def test_tags_that_fit_another_unit_are_a_note(mpp: float, told: str) -> None:
    assert told in slide_spacing(reader(tags(mpp))).notes[0]


@pytest.mark.parametrize(
    "mpp",
    [0.1725, 0.2208, 0.23, 0.25, 0.2628, 0.274, 0.325, 0.345, 0.46, 0.499, 0.65, 1, 2],
)
def test_what_scanners_have_is_no_doubt(mpp: float) -> None:
    assert slide_spacing(reader(tags(mpp))) == Spacing(mpp, "file")


def test_a_slide_longer_than_glass_is_not_believed() -> None:
    assert slide_spacing(reader(tags(0.25), side=280_000)).notes == ()  # 70 mm
    (note,) = slide_spacing(reader(tags(0.5), side=240_000)).notes
    assert (
        "the scanned area is 120 mm long; an ordinary slide has 76. Is the scale right?"
        in note
    )
    with pytest.raises(
        SlideError,
        match=r"2 µm/px, with which the scanned area is 240 mm long",
    ):
        slide_spacing(reader(tags(2.0), side=120_000))
