"""Pages in Debian's Chromium: console errors, accessibility, sizes and screenshots."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa")
OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


def chromium() -> str:
    """Path of the browser; the test is skipped without it, and fails in CI."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    if os.environ.get("SURVFUSE_NEED_BROWSER"):
        pytest.fail("no Chromium: apt-get install chromium")
    pytest.skip(
        "no Chromium (apt-get install chromium), so that no page can be looked at"
    )


@contextmanager
def opened_browser() -> Iterator[Any]:
    """Browser of Playwright; for fixtures of the scope of a module."""
    from playwright.sync_api import sync_playwright

    path = chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=OPTIONS)
        yield browser
        browser.close()


@contextmanager
def opened_page(browser: Any, address: str, **options: Any) -> Iterator[Any]:
    """A page whose console must stay without errors; `viewport`, `color_scheme` and others."""
    errors: list[str] = []
    context = browser.new_context(**{"viewport": DESKTOP, **options})
    page = context.new_page()
    page.on("console", lambda one: one.type == "error" and errors.append(one.text))
    page.on("pageerror", lambda one: errors.append(str(one)))
    page.goto(address)
    yield page
    context.close()
    assert not errors


def violations(page: Any) -> list[str]:
    """What axe finds against WCAG 2.2 AA: the rule, and the first elements."""
    from axe_playwright_python.sync_playwright import Axe

    options = {"runOnly": {"type": "tag", "values": list(RULES)}}
    response = Axe().run(page, options=options).response
    found = []
    for one in response["violations"]:
        where = "; ".join(node["html"][:120] for node in one["nodes"][:3])
        found.append(f"{one['id']}: {one['help']}: {where}")
    return found


def height(page: Any) -> int:
    """Height of the whole page, px."""
    return int(page.evaluate("document.documentElement.scrollHeight"))


def overflow(page: Any) -> int:
    """Px by which the page is wider than its window: what a phone would scroll sideways."""
    return int(
        page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
    )
