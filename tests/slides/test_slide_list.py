from __future__ import annotations

from pathlib import Path

import pytest

from survfuse._errors import SlideError
from survfuse.slides import SlideItem
from survfuse.slides.slide_list import check_items, id_problem


def item(slide: str, path: str = "", patient: str = "P") -> SlideItem:
    return SlideItem(slide, patient, Path(path or f"/slides/{slide}.tif"))


@pytest.mark.parametrize(
    "slide",
    ["007", "TCGA-05-4249.9fce", "a.svs", "ünï", "a b", "x_patches_2", "a.zarr"],
)
def test_ids_that_can_name_files(slide: str) -> None:
    assert id_problem(slide) == ""


@pytest.mark.parametrize(
    ("slide", "why"),
    [
        ("a/b", "holds '/'"),
        ("..\\x", r"holds '\\\\'"),
        ("a\0", "holds"),
        ("a\nb", "control character"),
        ("", "is empty"),
        ("..", "begins with a dot"),
        (".hidden", "begins with a dot"),
        (" a", "a space"),
        ("a ", "a space"),
        ("x" * 151, "longer than 150 bytes"),
        ("ü" * 76, "longer than 150 bytes"),
        ("x_patches", "would be read back as 'x'"),
    ],
)
def test_ids_that_cannot(slide: str, why: str) -> None:
    with pytest.raises(SlideError, match=why):
        check_items([item(slide, "/slides/one.tif")])


def test_items_are_sorted_whatever_the_order_of_the_table() -> None:
    items = [item("b"), item("a"), item("c")]
    assert [one.slide_id for one in check_items(items)] == ["a", "b", "c"]
    assert check_items(items) == check_items(items[::-1])
    assert check_items([]) == ()


def test_everything_wrong_is_told_at_once() -> None:
    items = [
        item("a", "/1.tif"),
        item("A", "/2.tif"),
        item("x/y"),
        item("c", "/2.tif", "Q"),
    ]
    with pytest.raises(
        SlideError,
        match=r"'x/y' holds '/', slide ids 'A' and 'a' are one name",
    ) as told:
        check_items(items)
    assert "/2.tif is listed for slides 'A', 'c' of patients P, Q" in str(told.value)
