"""Shared fixtures: where the data lie, and one thread so that sums come out the same everywhere."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ.setdefault(
    "OMP_NUM_THREADS",
    "1",
)  # read when torch is first imported, and by child processes


def _data_root() -> Path:
    default = Path(__file__).resolve().parents[1].parent / "shared" / "data"
    return Path(os.environ.get("SURVFUSE_DATA", default))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real cohorts; skips, saying so, where it is absent."""
    root = _data_root()
    if not root.is_dir():
        pytest.skip(f"no real data at {root}; point SURVFUSE_DATA at it")
    return root


@pytest.fixture(scope="session")
def shared(shared_data: Path) -> Path:
    """Folder that holds the golden numbers (`parity/`, `reference/`) beside the data."""
    root = shared_data.parent
    if not (root / "parity").is_dir():
        pytest.skip(f"no golden numbers at {root}")
    return root


@pytest.fixture(autouse=True)
def _figures_closed() -> Iterator[None]:
    """Close what a test drew, so that no other counts it."""
    yield
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is not None:
        pyplot.close("all")
