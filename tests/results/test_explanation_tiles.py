from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyarrow import parquet

from small_explanations import small_explanation
from survfuse._errors import InputError
from survfuse.results import explanation_tiles
from survfuse.results.explanation_schema import TABLES
from survfuse.results.explanation_tiles import TileWriter, write_tiles

COLUMNS = {table.name: table.columns for table in TABLES}["tiles"]


def tiles(patient: str, count: int) -> pd.DataFrame:
    frame = pd.DataFrame(dict.fromkeys(COLUMNS, np.arange(count, dtype=float)))
    frame["cluster"] = pd.array([pd.NA] * count, dtype="Int64")
    return frame.assign(patient_id=patient, modality="slides", slide="a", other=1)


def silent(what: str, done: int, of: int) -> None:
    pass


def test_rows_wait_until_a_row_group_is_full(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(explanation_tiles, "ROWS", 10)
    path = tmp_path / "tiles.parquet"
    with TileWriter(path, COLUMNS) as writer:
        writer.add(tiles("1", 4))
        assert not path.exists()
        writer.add(tiles("2", 7))  # 11 rows: a group of 10 and one of 1
        assert path.exists()
        writer.add(tiles("3", 25))
        writer.add(tiles("4", 2))
    file = parquet.ParquetFile(path)
    sizes = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
    assert sizes == [10, 1, 10, 10, 5, 2]
    frame = pd.read_parquet(path)
    assert frame["patient_id"].value_counts(sort=False).to_dict() == {
        "1": 4,
        "2": 7,
        "3": 25,
        "4": 2,
    }
    assert list(frame) == list(COLUMNS)
    assert frame["cluster"].isna().all()
    assert writer.rows == 38


def test_no_tile_is_no_file(tmp_path: Path) -> None:
    with TileWriter(tmp_path / "tiles.parquet", COLUMNS) as writer:
        writer.add(tiles("1", 0))
    assert list(tmp_path.iterdir()) == []


def test_tiles_are_those_of_each_patient(tmp_path: Path) -> None:
    explanation = small_explanation()
    result = write_tiles(explanation.explained, tmp_path / "t.parquet", COLUMNS, silent)
    frame = pd.read_parquet(tmp_path / "t.parquet")
    assert result.rows == len(frame)
    assert result.reasons == ()
    for patient in ("001", "017"):
        own = frame[frame["patient_id"] == patient].drop(columns="patient_id")
        expected = explanation.tiles(patient)
        pd.testing.assert_frame_equal(
            own.reset_index(drop=True),
            expected[list(own)],
            check_dtype=False,
        )


def test_a_bag_that_is_left_out_says_why(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(explained: object, modality: str) -> None:
        raise InputError(f"{modality}: not part of this model")

    monkeypatch.setattr(explanation_tiles, "tile_tables", fail)
    path = tmp_path / "t.parquet"
    result = write_tiles(small_explanation().explained, path, COLUMNS, silent)
    assert (result.rows, result.reasons) == (0, ("slides: not part of this model",))
    assert result.clusters.empty
    assert not path.exists()
