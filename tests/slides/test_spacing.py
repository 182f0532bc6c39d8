"""µm per pixel is said, never guessed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from survfuse._errors import SlideError
from survfuse.slides.spacing import Spacing, slide_spacing


def reader(mpp: float | None = None, objective: float | None = None, notes: tuple[str, ...] = ()) -> Any:
    return SimpleNamespace(path="s.svs", mpp=mpp, objective=objective, notes=notes)


def test_the_slide_tables_column_comes_first_and_tells_where_it_differs() -> None:
    found = slide_spacing(reader(0.25), column=0.5, stated=1.0, objective=40)
    assert (found.mpp, found.source) == (0.5, "column")
    assert found.notes == ("the slide table says 0.5 µm/px, the file 0.25; the table was followed",)
    assert slide_spacing(reader(0.499), column=0.5).notes == ()


def test_the_file_comes_before_what_is_stated_for_the_whole_run() -> None:
    assert slide_spacing(reader(0.25), stated=0.5, objective=20) == Spacing(0.25, "file")


def test_what_is_stated_serves_files_that_say_nothing() -> None:
    assert slide_spacing(reader(), stated=0.5, objective=40) == Spacing(0.5, "flag")
    assert slide_spacing(reader(), objective=40) == Spacing(0.25, "objective")


def test_nobody_says_it_names_the_three_ways_and_does_not_guess_from_the_objective() -> None:
    with pytest.raises(SlideError, match=r"column `mpp`.*--slide-mpp.*--objective-power 40") as refused:
        slide_spacing(reader(objective=20))
    assert "objective of 20x, which alone is not taken" in str(refused.value)
    with pytest.raises(SlideError, match="352 µm/px, which no scanner has"):
        slide_spacing(reader(notes=("the file says 352 µm/px, which no scanner has; taken as not said",)))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"column": 250.0}, "mpp column gives 250"),
        ({"stated": 0.001}, "--slide-mpp gives 0.001"),
        ({"objective": 0.5}, "objective power gives 20"),
    ],
)
def test_a_number_that_no_scanner_has_is_refused(given: dict[str, float], told: str) -> None:
    with pytest.raises(SlideError, match=told):
        slide_spacing(reader(), **given)
