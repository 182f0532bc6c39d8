from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from predicted import File, written


@pytest.fixture
def file(tmp_path: Path) -> File:
    """Write a table or a text under a name: ``file(table)``, ``file("a,b", "u.csv")``."""

    def write(content: pd.DataFrame | str, name: str = "predictions.csv") -> Path:
        path = tmp_path / name
        if isinstance(content, pd.DataFrame):
            return written(content, path)
        path.write_bytes(content.encode())
        return path

    return write
