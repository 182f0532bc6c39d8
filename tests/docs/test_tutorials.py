"""Every tutorial, and pages that are snippets, run as they stand, from an empty folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from docs_pages import DOCS, blocks, run_page

PAGES = sorted((DOCS / "tutorials").glob("*.md"))
TUTORIALS = [page for page in PAGES if page.stem != "index"]


@pytest.mark.slow
@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_tutorial_runs(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its blocks, in order."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert blocks(page)
    run_page(page, tmp_path)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::survfuse._errors.NothingLearnedWarning")  # noise
@pytest.mark.parametrize("page", ["notebooks.md", "python.md"])
def test_snippets_run(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tables in memory, and the estimator under scikit-learn."""
    monkeypatch.chdir(tmp_path)
    assert len(blocks(DOCS / page)) >= 5
    run_page(DOCS / page, tmp_path)


def test_index_lists_every_tutorial() -> None:
    """A tutorial that nobody can find is none."""
    index = (DOCS / "tutorials" / "index.md").read_text(encoding="utf-8")
    for page in TUTORIALS:
        assert f"({page.name})" in index
        assert f"\n{page.stem}\n" in index
