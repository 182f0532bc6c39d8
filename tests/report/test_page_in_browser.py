"""The report in a browser: sizes, folding, accessibility, and what a phone shows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from browsing import (
    DESKTOP,
    PHONE,
    height,
    opened_browser,
    opened_page,
    overflow,
    violations,
)
from report.conftest import Builder, edit
from report.reading import Page
from survfuse.report import write_report

SMALLEST_TEXT = 11.0  # px, on a phone
SIZES_OF_TEXT = """() => [...document.querySelectorAll("svg text")]
  .filter(text => text.checkVisibility() && text.getBoundingClientRect().width)
  .map(text => {
    const svg = text.ownerSVGElement, box = svg.viewBox.baseVal;
    const scale = svg.getBoundingClientRect().width / box.width;
    return parseFloat(getComputedStyle(text).fontSize) * scale;
  })"""

SIZES_OF_WORDS = """() => [...document.querySelectorAll("main *:not(svg *)")]
  .filter(one => one.checkVisibility()
    && [...one.childNodes].some(node => node.nodeType === 3 && node.data.trim()))
  .map(one => parseFloat(getComputedStyle(one).fontSize))"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with opened_browser() as one:
        yield one


@pytest.fixture(scope="module")
def address(full: Page, full_folder: Path) -> str:
    assert full.text
    return (full_folder / "report.html").as_uri()


@pytest.mark.parametrize(
    ("viewport", "scheme"),
    [(DESKTOP, "light"), (PHONE, "dark")],
    ids=["desktop", "phone"],
)
def test_the_report_is_accessible_and_short(
    browser: Any,
    address: str,
    viewport: dict[str, int],
    scheme: str,
) -> None:
    looks = {"viewport": viewport, "color_scheme": scheme}
    with opened_page(browser, address, **looks) as page:
        assert violations(page) == []
        assert overflow(page) <= 0
        assert height(page) <= 8000


@pytest.mark.parametrize(
    ("viewport", "scheme"),
    [(DESKTOP, "dark"), (PHONE, "light")],
    ids=["desktop", "phone"],
)
def test_unfolded_it_is_accessible_too(
    browser: Any,
    address: str,
    viewport: dict[str, int],
    scheme: str,
) -> None:
    looks = {"viewport": viewport, "color_scheme": scheme}
    with opened_page(browser, address, **looks) as page:
        folded = height(page)
        page.check("#everything")
        assert height(page) > 2 * folded
        assert violations(page) == []
        assert overflow(page) <= 0


def test_the_first_screen_holds_the_summary(browser: Any, address: str) -> None:
    with opened_page(browser, address) as page:
        box = page.locator("#summary").bounding_box()
        assert box["y"] + box["height"] <= DESKTOP["height"]


def test_figures_and_words_are_legible_on_a_phone(browser: Any, address: str) -> None:
    with opened_page(browser, address, viewport=PHONE) as page:
        page.check("#everything")
        sizes = page.evaluate(SIZES_OF_TEXT)
        assert len(sizes) > 100
        assert min(sizes) >= SMALLEST_TEXT
        assert min(page.evaluate(SIZES_OF_WORDS)) >= SMALLEST_TEXT


def test_a_link_opens_what_it_leads_to(browser: Any, address: str) -> None:
    with opened_page(browser, address) as page:
        assert not page.locator("#term-concordance").is_visible()
        page.locator("a.term[href='#term-concordance']").first.click()
        assert page.locator("#term-concordance").is_visible()


def test_the_contents_stay_in_sight(browser: Any, address: str) -> None:
    with opened_page(browser, address) as page:
        page.evaluate("window.scrollTo(0, 3000)")
        assert page.locator(".side").bounding_box()["y"] >= 0
    with opened_page(browser, address, viewport=PHONE) as page:
        page.evaluate("window.scrollTo(0, 3000)")
        page.locator(".contents summary").click()
        page.locator(".contents a[href='#checks']").click()
        over = page.locator(".contents").bounding_box()
        below = page.locator("#checks").bounding_box()["y"]
        assert over["y"] + over["height"] <= below < PHONE["height"]


def test_it_prints_on_few_pages_and_unfolded_on_more(
    browser: Any, address: str
) -> None:
    def pages(page: Any) -> int:
        written = page.pdf(format="A4", prefer_css_page_size=True)
        return len(re.findall(rb"/Type\s*/Page\b", written))

    with opened_page(browser, address) as page:
        folded = pages(page)
        page.check("#everything")
        assert folded <= 6 < pages(page)


@pytest.mark.usefixtures("undrawn")
def test_names_that_cannot_be_broken_make_no_page_scroll(
    browser: Any,
    make_run: Builder,
) -> None:
    out = make_run(patients=40, model="m" * 130, comparators={"x_" * 60: 2.0})
    names = {"name": "cohort_" * 18, "endpoint": "e" * 90}
    edit(out / "cohort.json", lambda cohort: cohort.update(names))
    page = write_report(out).as_uri()
    with opened_page(browser, page, viewport=PHONE) as opened:
        opened.check("#everything")
        assert overflow(opened) <= 0
