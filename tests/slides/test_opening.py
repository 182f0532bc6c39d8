"""The reader of a slide is chosen in one place, which the readers do not import."""

from __future__ import annotations

import ast
from pathlib import Path

import survfuse.slides

FOLDER = Path(survfuse.slides.__file__).parent


def imported(module: str) -> set[str]:
    """Modules of the slides that a module imports, wherever it does so."""
    tree = ast.parse((FOLDER / f"{module}.py").read_text(encoding="utf-8"))
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            parts = node.module.split(".")
            if parts[:2] == ["survfuse", "slides"]:
                names |= set(parts[2:3]) or {alias.name for alias in node.names}
    return names


def all_below(module: str) -> set[str]:
    below: set[str] = set()
    waiting = [module]
    while waiting:
        for name in imported(waiting.pop()) - below:
            below.add(name)
            waiting.append(name)
    return below


def test_imports_fall_from_opening_to_the_readers_to_reading() -> None:
    assert {"openslide", "tiff", "reading"} <= imported("opening")
    for reader in ("openslide", "tiff"):
        assert "reading" in imported(reader)
        assert "opening" not in all_below(reader)
    assert not all_below("reading") & {"opening", "openslide", "tiff"}
