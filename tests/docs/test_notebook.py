"""The notebook of the examples: the tutorial's cells, run by a kernel of Jupyter."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from docs_pages import DOCS, blocks

PAGE = DOCS / "tutorials" / "notebook.md"
NOTEBOOK = DOCS.parent / "examples" / "from_tables.ipynb"
MOST_LINES = 15


def cells() -> list[str]:
    """Code cells of the notebook."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)  # type: ignore[no-untyped-call]
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def test_notebook_has_the_cells_of_the_page() -> None:
    """One text: the page's."""
    assert cells() == [code.strip() for _, code in blocks(PAGE)]


def test_from_tables_to_a_curve_in_few_lines() -> None:
    """Blank lines do not count."""
    lines = [line for line in cells()[1].splitlines() if line.strip()]
    assert len(lines) <= MOST_LINES


@pytest.mark.slow
def test_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every cell runs, and the last one draws."""
    monkeypatch.delenv("MPLBACKEND", raising=False)  # the kernel's own draws
    notebook = nbformat.read(NOTEBOOK, as_version=4)  # type: ignore[no-untyped-call]
    client = NotebookClient(
        notebook,
        timeout=300,
        kernel_name="python3",
        resources={"metadata": {"path": str(tmp_path)}},
    )
    client.execute()
    outputs = notebook.cells[-1].outputs
    assert any("image/png" in output.get("data", {}) for output in outputs)
