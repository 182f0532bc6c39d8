"""Names of the columns of a matrix, without its numbers."""

from __future__ import annotations

from pathlib import Path

from survfuse.readers.delimited import DELIMITERS, layout_of, text_rows
from survfuse.readers.text_files import format_of_text


def column_names(path: Path) -> list[str]:
    """Names of columns of a text or Parquet file; empty for other formats."""
    if path.is_dir():
        return []
    if path.suffix.lower() == ".parquet":
        import pyarrow.parquet as pq

        from survfuse._gate import boundary

        with boundary(path, "a whole Parquet file"):
            return [str(name).strip() for name in pq.read_schema(path).names]
    if format_of_text(path) not in DELIMITERS:
        return []
    _, header = next(text_rows(path, layout_of(path)))
    return [name.strip() for name in header]
