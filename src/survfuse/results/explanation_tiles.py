"""Tables of tiles as Parquet, some patients at a time, so that memory does not grow with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pandas as pd
import pyarrow as pa
from pyarrow import parquet

from survfuse._errors import SurvfuseError
from survfuse.explanations.bag_terms import bags
from survfuse.explanations.cluster_contributions import cluster_rows
from survfuse.explanations.explained import Explained
from survfuse.explanations.tile_tables import tile_tables

ROWS = 65_536
"""Tiles in a row group of Parquet, which are held in memory until they are written."""
_KINDS = {"tile": pa.int32(), "cluster": pa.int32()}
_TEXTS = ("patient_id", "modality", "slide")

Step = Callable[[str, int, int], None]
"""Called with what is done now, how much of it is done, and of how much."""


class TileWriter:
    """A Parquet file that tables of tiles are added to; it is made with the first of them.

    Parameters
    ----------
    path : path
    columns : mapping
        Whose keys are the columns that are kept, in order.
    """

    def __init__(
        self,
        path: Path,
        columns: Mapping[str, str],
    ) -> None:
        fields = []
        for name in columns:
            kind = pa.string() if name in _TEXTS else _KINDS.get(name, pa.float64())
            fields.append(pa.field(name, kind))
        self.rows = 0
        self._path, self._schema = path, pa.schema(fields)
        self._file: Any = None
        self._waiting: list[pd.DataFrame] = []
        self._waiting_rows = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._write()
        if self._file is not None:
            self._file.close()

    def add(self, frame: pd.DataFrame) -> None:
        """Add rows; they are written once there are enough for a row group."""
        self._waiting.append(frame[self._schema.names])
        self._waiting_rows += len(frame)
        self.rows += len(frame)
        if self._waiting_rows >= ROWS:
            self._write()

    def _write(self) -> None:
        if not self._waiting_rows:
            return
        frame = pd.concat(self._waiting, ignore_index=True)
        table = pa.Table.from_pandas(frame, self._schema, preserve_index=False)
        if self._file is None:
            self._file = parquet.ParquetWriter(self._path, self._schema)
        self._file.write_table(table, row_group_size=ROWS)
        self._waiting, self._waiting_rows = [], 0


@dataclass(frozen=True)
class TileResult:
    """What came of writing tiles.

    Attributes
    ----------
    rows : int
    clusters : DataFrame
        As `Explanation.clusters`, added up on the way; empty where no clusters are known.
    reasons : tuple of str
        Why bags are left out.
    notes : tuple of str
        What must be known of the columns.
    """

    rows: int
    clusters: pd.DataFrame
    reasons: tuple[str, ...]
    notes: tuple[str, ...]


def write_tiles(
    explained: Explained,
    path: Path,
    columns: Mapping[str, str],
    step: Step,
) -> TileResult:
    """Write every tile of every bag, each read once.

    Parameters
    ----------
    explained : Explained
    path : path
        Not made where there is no tile.
    columns : mapping
        Whose keys are the columns of the file.
    step : callable
        Told of each patient.
    """
    reasons, sums, notes = [], [], dict[str, None]()
    with TileWriter(path, columns) as writer:
        for name in bags(explained):
            total = int(explained.present(name).sum())
            try:
                for done, (patient, frame) in enumerate(tile_tables(explained, name)):
                    step(name, done, total)
                    writer.add(frame.assign(patient_id=patient))
                    sums.append(cluster_rows(patient, frame))
                    notes |= dict.fromkeys(frame.attrs["notes"])
            except SurvfuseError as error:
                reasons.append(str(error))
    filled = [table for table in sums if len(table)]
    clusters = pd.concat(filled, ignore_index=True) if filled else pd.DataFrame()
    return TileResult(writer.rows, clusters, tuple(reasons), tuple(notes))
