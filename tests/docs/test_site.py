"""The site names what there is, and links to what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import survfuse
from docs_pages import DOCS

PAGES = sorted(DOCS.rglob("*.md"))


def test_reference_has_every_public_name() -> None:
    """A name that is exported stands on the page of the Python reference."""
    page = (DOCS / "reference" / "api.md").read_text(encoding="utf-8")
    names = set(re.findall(r"^   (?:survfuse\.)?(\w+)$", page, flags=re.M))
    assert names >= set(survfuse.__all__) - {"__version__"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_to_files_exist(page: Path) -> None:
    """Relative links lead to a page, or to one that the build writes."""
    generated = {"cli.md", "cohort_file.md"}
    prose = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.M | re.S)
    for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", prose):
        path = (page.parent / target).resolve()
        assert path.exists() or path.name in generated, target


def test_every_check_has_a_title_that_says_what_should_be_true() -> None:
    """Pages of checks are listed by their titles."""
    for page in sorted((DOCS / "checks").glob("SRV*.md")):
        assert page.read_text(encoding="utf-8").startswith(f"# {page.stem}: ")


def test_every_page_stands_in_one_list() -> None:
    """A page in two tables of contents has two places in the navigation."""
    listed: list[Path] = []
    for page in PAGES:
        for entries in re.findall(
            r"```\{toctree\}\n(.*?)```", page.read_text("utf-8"), flags=re.S
        ):
            names = [line for line in entries.splitlines() if line[:1] not in ("", ":")]
            listed += [
                (page.parent / name.split("<")[-1].strip(">")).resolve()
                for name in names
                if "*" not in name
            ]
    assert len(listed) == len(set(listed))
    assert DOCS / "howto" / "index" in listed
