"""Write the tables of an explanation; those of tiles some patients at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from survfuse._errors import SurvfuseError
from survfuse._storage import atomic_path
from survfuse.explanations import Explanation
from survfuse.explanations.agreement_tables import (
    MEASURE,
    growth_frame,
    selection_frame,
)
from survfuse.results.csv_files import write_table
from survfuse.results.explanation_schema import TABLES, TableFile
from survfuse.results.explanation_tiles import Step, write_tiles

NOTHING, NOT_ASKED = "this model has nothing of it", "not asked for"
WHY_EMPTY = {"agreement": MEASURE, "growth": MEASURE}


@dataclass(frozen=True)
class Written:
    """What was written, and what was not.

    Attributes
    ----------
    rows : dict of table to int
        Rows of each table that was written.
    left_out : dict of table to str
        Why others were not.
    notes : list of str
        What must be known of them.
    """

    rows: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def described(self) -> dict[str, Any]:
        """Each table that was written: files, rows, and what its columns mean."""
        described = {}
        for table in TABLES:
            if table.name in self.rows:
                described[table.name] = {
                    "files": list(table.files),
                    "rows": self.rows[table.name],
                    "a_row_is": table.about,
                    "columns": dict(table.columns),
                    "further_columns": table.others,
                }
        return described


def write_tables(
    explanation: Explanation,
    folder: Path,
    *,
    horizons: Sequence[float],
    tiles: bool = True,
    step: Step = lambda what, done, of: None,
) -> Written:
    """Write every table of an explanation that can be computed and has a row.

    Parameters
    ----------
    explanation : Explanation
    folder : path
    horizons : sequence of float
        Of the percentage points.
    tiles : bool
        Whether to write a row for each tile.
    step : callable
        Told of progress.
    """
    written = Written()
    makers = _makers(explanation, horizons)
    if tiles:
        clusters = _write_tiles(explanation, folder, written, step)
        if len(clusters):
            makers["clusters"] = lambda: clusters
    else:
        written.left_out["tiles"] = NOT_ASKED
    for table in TABLES:
        if table.name == "tiles":
            continue
        step(table.name, 0, 1)
        try:
            frame = makers[table.name]()
        except SurvfuseError as error:
            written.left_out[table.name] = str(error)
            continue
        if len(frame) and len(frame.columns):
            _write(folder, table, frame)
            written.rows[table.name] = len(frame)
        else:
            written.left_out[table.name] = WHY_EMPTY.get(table.name, NOTHING)
    return written


def _write_tiles(
    explanation: Explanation,
    folder: Path,
    written: Written,
    step: Step,
) -> pd.DataFrame:
    """Write a row for each tile; the clusters that are found on the way."""
    (table,) = (table for table in TABLES if table.name == "tiles")
    path = folder / "tiles.parquet"
    result = write_tiles(explanation.explained, path, table.columns, step)
    written.notes.extend(result.notes)
    if result.rows:
        written.rows["tiles"] = result.rows
    if result.reasons or not result.rows:
        written.left_out["tiles"] = "; ".join(result.reasons) or NOTHING
    return result.clusters


def terms_table(explanation: Explanation) -> pd.DataFrame:
    """Terms of each patient, their sum, and their uncertainty where there is any."""
    table = explanation.terms.copy()
    table.insert(0, "log_risk", explanation.prediction.log_risk)
    for prefix, values in (("se", explanation.errors), ("sd", explanation.spread)):
        for name in values.columns:
            if (values[name] != 0).any():
                table[f"{prefix} {name}"] = values[name]
    return table


def points_table(
    explanation: Explanation,
    horizons: Sequence[float],
) -> pd.DataFrame:
    """Percentage points of each patient at each horizon."""
    blocks = []
    for horizon in horizons:
        frame = explanation.points(horizon)
        blocks.append(frame.assign(horizon=float(horizon)))
    return pd.concat(blocks) if blocks else pd.DataFrame()


def genes_table(explanation: Explanation) -> pd.DataFrame:
    """Genes, and how many half models have each in their list, where that was measured."""
    table = explanation.genes
    chosen = selection_frame(explanation.explained.fitted.agreement)
    if len(chosen):
        chosen = chosen.rename(columns={"share": "selected"})
        table = table.merge(chosen, how="left", on=["modality", "gene"])
        table["selected"] = table["selected"].fillna(0.0)
    return table


def growth_table(explanation: Explanation) -> pd.DataFrame:
    """Agreement that larger cohorts would reach; no row where none was measured."""
    agreement = explanation.explained.fitted.agreement
    return pd.DataFrame() if agreement is None else growth_frame(agreement)


def _makers(
    explanation: Explanation,
    horizons: Sequence[float],
) -> dict[str, Callable[[], pd.DataFrame]]:
    """How each table is made."""
    makers: dict[str, Callable[[], pd.DataFrame]] = {
        "terms": lambda: terms_table(explanation),
        "points": lambda: points_table(explanation, horizons),
        "genes": lambda: genes_table(explanation),
        "growth": lambda: growth_table(explanation),
    }
    for table in TABLES:
        makers.setdefault(table.name, partial(getattr, explanation, table.name))
    return makers


def _write(
    folder: Path,
    table: TableFile,
    frame: pd.DataFrame,
) -> None:
    if frame.index.name is not None:
        frame = frame.reset_index()
    if absent := [name for name in table.columns if name not in frame.columns]:
        raise ValueError(f"table {table.name}: column(s) {absent} are missing")
    others = [name for name in frame.columns if name not in table.columns]
    frame = frame[[*table.columns, *others]]
    if table.csv:
        write_table(folder / f"{table.name}.csv", frame)
    if table.parquet:
        with atomic_path(folder / f"{table.name}.parquet") as place:
            _as_texts(frame).to_parquet(place, index=False)


def _as_texts(frame: pd.DataFrame) -> pd.DataFrame:
    """Cells of columns that may hold numbers and texts as texts: Parquet knows one type."""
    table = frame.copy(deep=False)
    for name in table.select_dtypes(object).columns:
        table[name] = table[name].map(str, na_action="ignore")
    return table
