"""The file of a table, as a cohort file names it: a path, or a path with how to read it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict

from survfuse.config import Frozen


class TableFile(Frozen):
    """Where a table lies, and how it is read.

    A cohort file writes a path alone, ``patients.csv``, or a mapping,
    ``{file: patients.xlsx, sheet: Visits}``.
    """

    model_config = ConfigDict(coerce_numbers_to_str=True)

    file: Path
    """Text (.csv, .tsv, .txt, also .gz or .zip), Parquet, or a workbook (.xlsx, .ods)."""
    sheet: str | None = None
    """Sheet of a workbook; needed where it has several."""
    encoding: str | None = None
    """Encoding of a text that is neither UTF-8 nor UTF-16, such as cp1252."""

    def __fspath__(self) -> str:
        return os.fspath(self.file)

    def __str__(self) -> str:
        return f"{self.file}, sheet {self.sheet!r}" if self.sheet else str(self.file)

    def within(self, root: Path) -> TableFile:
        """Copy this with the path relative to a folder."""
        return self.model_copy(update={"file": root / self.file})


def _table_file(given: Any) -> Any:
    return {"file": given} if isinstance(given, str | Path) else given


Table = Annotated[
    TableFile,
    BeforeValidator(_table_file, json_schema_input_type=str | TableFile),
]
"""Field of a section that names a table."""
