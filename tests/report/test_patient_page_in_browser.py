from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from browsing import DESKTOP, PHONE, opened_browser, opened_page, overflow, violations
from patients import crowded, painted
from survfuse.explanations import Explanation
from survfuse.report.patient_files import write_pages
from survfuse.report.patient_page import patient_page

LEAST_PX = 11.0
"""Of a letter that a reader must make out."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with opened_browser() as one:
        yield one


@pytest.fixture(scope="module")
def explanation(tmp_path_factory: pytest.TempPathFactory) -> Explanation:
    return painted(tmp_path_factory.mktemp("painted"))


@pytest.fixture(scope="module")
def pages(explanation: Explanation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the pages of all patients."""
    folder = tmp_path_factory.mktemp("why")
    write_pages(folder, explanation, {"cohort": "painted"})
    return folder / "pages"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_a_page_is_accessible_fits_and_is_legible(
    browser: Any,
    explanation: Explanation,
    pages: Path,
    viewport: dict[str, int],
    scheme: str,
) -> None:
    address = (pages / f"{explanation.patients[0]}.html").as_uri()
    how = {"viewport": viewport, "color_scheme": scheme}
    with opened_page(browser, address, **how) as page:
        assert violations(page) == []
        assert overflow(page) <= 0
        assert _smallest_letters(page) >= LEAST_PX


@pytest.mark.parametrize("kind", ["usual", "crowded"])
def test_a_page_prints_on_two_sheets(
    browser: Any,
    explanation: Explanation,
    tmp_path: Path,
    kind: str,
) -> None:
    shown = explanation if kind == "usual" else crowded(tmp_path)
    path = tmp_path / "page.html"
    path.write_text(patient_page(shown, shown.patients[0]), encoding="utf-8")
    with opened_page(browser, path.as_uri(), viewport=PHONE) as page:
        assert violations(page) == []
        assert overflow(page) <= 0
        written = page.pdf(prefer_css_page_size=True, print_background=True)
    assert len(re.findall(rb"/Type\s*/Page\b", written)) == 2


def test_the_list_leads_to_the_pages(
    browser: Any,
    explanation: Explanation,
    pages: Path,
) -> None:
    with opened_page(browser, (pages / "index.html").as_uri(), viewport=PHONE) as page:
        assert violations(page) == []
        assert overflow(page) <= 0
        page.click(f"text={explanation.patients[2]}")
        assert page.inner_text("h1") == f"Patient {explanation.patients[2]}"


def test_a_word_longer_than_a_line_is_broken(
    browser: Any,
    explanation: Explanation,
    tmp_path: Path,
) -> None:
    path, word = tmp_path / "page.html", "W" * 100
    html = patient_page(explanation, explanation.patients[0], pictures=False)
    html = html.replace("<h2", f"<h2>{word}</h2><p>{word}</p><h2")
    path.write_text(html, encoding="utf-8")
    with opened_page(browser, path.as_uri(), viewport=PHONE) as page:
        assert overflow(page) <= 0


def _smallest_letters(page: Any) -> float:
    """Height of the smallest text as it is seen, px; that of figures shrinks with them."""
    script = """
    () => Math.min(...[...document.querySelectorAll('svg text, body *')]
      .filter(one => [...one.childNodes].some(n => n.nodeType === 3 && n.data.trim()))
      .filter(one => one.checkVisibility())
      .map(one => {
        const size = parseFloat(getComputedStyle(one).fontSize);
        const box = one.ownerSVGElement;
        return box ? size * box.clientWidth / box.viewBox.baseVal.width : size;
      }))
    """
    return float(page.evaluate(script))
