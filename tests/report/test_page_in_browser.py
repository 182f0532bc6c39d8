from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from browsing import DESKTOP, opened_browser, opened_page, overflow, violations
from survfuse.report import write_report


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with opened_browser() as one:
        yield one


@pytest.mark.parametrize("viewport", [DESKTOP], ids=["desktop"])
def test_the_report_is_accessible_and_fits(
    browser: Any,
    run_folder: Path,
    viewport: dict[str, int],
) -> None:
    address = write_report(run_folder).as_uri()
    with opened_page(browser, address, viewport=viewport) as page:
        assert violations(page) == []
        assert overflow(page) <= 0
