from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from pyarrow import parquet

from maps.drawn_maps import drawn_map
from survfuse._errors import InputError
from survfuse.maps.map_tables import write_hdf5, write_parquet


def test_hdf5_has_what_heat_maps_of_others_have(tmp_path: Path) -> None:
    drawn = drawn_map(40, 30, 256.0, (512.0, 0.0), grey=True, says="agreement .1")
    write_hdf5(tmp_path / "m.h5", drawn)
    with h5py.File(tmp_path / "m.h5") as file:
        assert (file.attrs["format"], file.attrs["version"]) == ("survfuse-map", 1)
        assert (file.attrs["slide_id"], file.attrs["mpp"]) == ("S1", 0.5)
        assert "level 0" in file.attrs["frame"]
        coords = file["coords"]
        assert coords.dtype == np.int64
        np.testing.assert_array_equal(coords[:], drawn.places.corners)
        assert coords.attrs["patch_size_level0"] == 256
        assert file["attention_scores"].shape == (1200, 1)  # as CLAM writes it
        risk = file["scores/tile_risk"]
        assert risk.dtype == np.float32
        assert (risk.attrs["unit"], bool(risk.attrs["grey"])) == ("log-risk", True)
        image = file["images/tile_risk"][:]
    np.testing.assert_allclose(image, drawn.image_of("tile_risk"), rtol=1e-6)


def test_hdf5_takes_any_name_of_a_score_and_no_slide_scale(tmp_path: Path) -> None:
    drawn = drawn_map(mpp=None)
    risk = replace(drawn.score("tile_risk"), name="a/b*c")
    drawn = replace(drawn, scores={"a/b*c": risk}, clusters=None)
    write_hdf5(tmp_path / "m.h5", drawn)
    with h5py.File(tmp_path / "m.h5") as file:
        assert "mpp" not in file.attrs
        assert list(file["scores"]) == ["a∕b*c"]
        assert set(file) == {"coords", "images", "scores"}


def test_parquet_has_a_row_for_each_tile(tmp_path: Path) -> None:
    drawn = drawn_map()
    write_parquet(tmp_path / "m.parquet", drawn, ["tile_risk"])
    table = parquet.read_table(tmp_path / "m.parquet")
    assert table.column_names == ["tile", "x", "y", "cluster", "tile_risk"]
    assert table["x"].to_pylist() == drawn.places.corners[:, 0].tolist()
    assert table["tile_risk"].to_pylist()[-1] == 1
    told = json.loads(table.schema.metadata[b"survfuse"])
    assert (told["format"], told["slide_id"], told["rows"]) == ("survfuse-map", "S1", 4)


@pytest.mark.parametrize("write", [write_hdf5, write_parquet])
def test_a_score_that_is_not_there_leaves_no_file(
    tmp_path: Path, write: object
) -> None:
    with pytest.raises(InputError, match="no score 'x'"):
        write(tmp_path / "m", drawn_map(), ["x"])  # type: ignore[operator]
    assert not list(tmp_path.iterdir())
