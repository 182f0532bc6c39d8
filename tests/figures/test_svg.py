from __future__ import annotations

import re

import matplotlib.style
import pytest
from matplotlib.figure import Figure

from figures.drawn import forms
from survfuse.figures.plotting import BLUE
from survfuse.figures.svg import (
    COLOURS,
    DARK_PAPER,
    STYLE_SHEET,
    draw,
    draw_both,
)


def paint(figure: Figure) -> None:
    figure.subplots().plot([0, 1], [0, 1], color=BLUE)


def test_equal_input_gives_equal_bytes() -> None:
    first, second = (draw("line", (3, 2), paint, "a line") for _ in range(2))
    assert first == second
    assert first.startswith(
        "<svg role='img' class='drawing' aria-label=\"a line\"",
    )


def test_the_style_of_the_user_does_not_change_a_page() -> None:
    first = draw("line", (3, 2), paint, "a line")
    with matplotlib.style.context("dark_background"):
        assert draw("line", (3, 2), paint, "a line") == first


def test_a_figure_has_two_widths_whose_ids_differ() -> None:
    widths = []

    def paint_either(figure: Figure, narrow: bool) -> None:
        widths.append((narrow, figure.get_figwidth()))
        paint(figure)

    both = draw_both("line", (6, 2), (3, 2), paint_either, "a line")
    assert widths == [(False, 6), (True, 3)]
    assert [one.get("class") for one in forms(both)] == [
        "drawing wide",
        "drawing narrow",
    ]
    ids = re.findall(r' id="([^"]+)"', both)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:url\(#|href="#)([^)"]+)', both)) == set(ids)


def test_every_colour_can_be_replaced_by_a_page() -> None:
    svg = draw("line", (3, 2), paint, "a line")
    assert f"var(--fig-blue, {BLUE})" in svg
    bare = re.sub(r"var\(--fig-\w+, #[0-9a-f]{6}\)", "", svg)
    assert not re.search(r"#[0-9a-f]{6}", bare)
    for name, (_, dark) in COLOURS.items():
        assert f"--fig-{name}: {dark};" in STYLE_SHEET


def luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [
        x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("name", ["ink", "muted", "blue", "orange", "grey"])
def test_lines_and_texts_are_seen_on_light_and_on_dark_pages(name: str) -> None:
    light, dark = COLOURS[name]
    assert contrast(light, "#ffffff") >= 4.5  # of texts, WCAG 2.2 AA
    assert contrast(dark, DARK_PAPER) >= 4.5
