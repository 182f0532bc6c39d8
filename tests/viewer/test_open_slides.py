from __future__ import annotations

import threading
from pathlib import Path

import pytest

from slide_files import tiny_slide
from survfuse._errors import SlideError
from survfuse.slides.opening import open_slide
from survfuse.slides.reading import SlideReader
from survfuse.viewer.open_slides import OpenSlides


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    return [tiny_slide(tmp_path / f"{name}.tif", 256, levels=1) for name in "abc"]


class Counting:
    """Opens slides, and knows which are open."""

    def __init__(self) -> None:
        self.open: dict[int, Path] = {}
        self.times = 0

    def __call__(self, path: Path) -> SlideReader:
        reader = open_slide(path)
        self.times += 1
        self.open[id(reader)] = path
        close = reader.close

        def closed() -> None:
            self.open.pop(id(reader), None)
            close()

        reader.close = closed  # type: ignore[method-assign]
        return reader


@pytest.fixture
def counting() -> Counting:
    return Counting()


def test_slides_stay_open_and_the_oldest_is_closed(
    paths: list[Path], counting: Counting
) -> None:
    slides = OpenSlides(most=2, opener=counting)
    for path in (paths[0], paths[1], paths[0], paths[2]):
        with slides.reading(path) as zoom:
            assert zoom.reader.path == path
    assert counting.times == 3
    assert sorted(counting.open.values()) == [paths[0], paths[2]]
    assert len(slides) == 2
    slides.close()
    assert not counting.open


def test_many_threads_read_few_open_slides(
    paths: list[Path], counting: Counting
) -> None:
    slides, done = OpenSlides(most=1, opener=counting), []

    def read(number: int) -> None:
        for turn in range(6):
            with slides.reading(paths[(number + turn) % 3]) as zoom:
                done.append(zoom.pixels(zoom.picture.levels - 1, 0, 0).shape)

    threads = [threading.Thread(target=read, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert done == 36 * [(256, 256, 3)]
    assert len(counting.open) == 1
    slides.close()


def test_a_slide_that_cannot_be_opened_says_so_each_time(tmp_path: Path) -> None:
    slides = OpenSlides()
    (tmp_path / "no.svs").write_text("nothing")
    for _ in range(2):
        with (
            pytest.raises(SlideError, match=r"no\.svs: not a whole-slide image"),
            slides.reading(tmp_path / "no.svs"),
        ):
            pass
    slides.close()
