"""Names of the columns of a matrix, without its numbers."""

from __future__ import annotations

from pathlib import Path

from survfuse._gate import boundary
from survfuse.readers.table_rows import PARQUET, rows_of

_OTHER = (".h5ad", ".json")


def column_names(path: Path) -> list[str]:
    """Names of columns of a table; empty for other formats."""
    suffix = path.suffix.lower()
    if path.is_dir() or suffix in _OTHER:
        return []
    if suffix == PARQUET:
        import pyarrow.parquet as pq

        with boundary(path, "a whole Parquet file"):
            return [str(name).strip() for name in pq.read_schema(path).names]
    _, header = next(rows_of(path).rows)
    return [name.strip() for name in header]
