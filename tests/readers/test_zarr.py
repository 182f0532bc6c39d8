"""Stores in wsidata's layout, made with anndata and zarr."""

from __future__ import annotations

import json
import shutil
import struct
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from survfuse._errors import FeatureFileError, MissingExtraError
from survfuse.readers import ReadOptions, read_features

anndata = pytest.importorskip("anndata", reason="the anndata extra is not installed")
zarr = pytest.importorskip("zarr", reason="the anndata extra is not installed")

VALUES = np.random.default_rng(2).normal(size=(5, 4)).astype(np.float32)
CORNERS = np.array([[0, 0], [512, 0], [0, 512], [512, 512], [1024, 0]], float)
SPEC = {
    "width": 256,
    "height": 256,
    "stride_width": 256,
    "mpp": 0.5,
    "base_downsample": 2.0,
    "ops_level": 0,
}


def box(x: float, y: float, side: float) -> bytes:
    points = [x, y, x + side, y, x + side, y + side, x, y + side, x, y]
    return struct.pack("<BIII10d", 1, 3, 1, 5, *points)


def store(
    path: Path,
    *,
    zarr_format: int = 3,
    slide_mpp: float | None = 0.25,
    tables: tuple[str, ...] = ("uni_tiles",),
    tiles: int = 5,
) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        root = zarr.open_group(str(path), mode="w", zarr_format=zarr_format)
        root.attrs.update(
            {
                "tile_spec": {"tiles": SPEC},
                "slide_properties": {"mpp": slide_mpp, "shape": [4000, 4000]},
            },
        )
        root.require_group("tables")
        anndata.settings.zarr_write_format = zarr_format
        for name in tables:
            ids = np.arange(tiles)
            obs = pd.DataFrame(
                {"tile_id": ids, "library_id": pd.Categorical(["tiles"] * tiles)},
                index=ids.astype(str),
            )
            anndata.AnnData(X=VALUES[:tiles], obs=obs).write_zarr(
                str(path / "tables" / name),
            )
    return path


def shapes(path: Path, order: list[int]) -> None:
    folder = path / "shapes" / "tiles"
    folder.mkdir(parents=True, exist_ok=True)
    table = pa.table(
        {"tile_id": order, "geometry": [box(*CORNERS[i], 512.0) for i in order]},
    )
    pq.write_table(table, folder / "shapes.parquet")


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_features_scale_and_boxes(tmp_path: Path, zarr_format: int) -> None:
    path = store(tmp_path / "slide.zarr", zarr_format=zarr_format)
    shapes(path, [3, 1, 4, 0, 2])
    features = read_features(path)
    np.testing.assert_array_equal(features.values, VALUES)
    np.testing.assert_array_equal(features.coords, CORNERS)
    assert (
        features.tool,
        features.encoder,
        features.slide_id,
        features.coord_unit,
    ) == (
        "wsidata",
        "uni",
        "slide",
        "level0_px",
    )
    assert (features.mpp, features.tile_um, features.patch_size_level0) == (
        0.5,
        128.0,
        512.0,
    )
    assert any("joined on tile_id" in note for note in features.notes)


def test_unknown_slide_scale_means_unknown_tile_scale(tmp_path: Path) -> None:
    features = read_features(store(tmp_path / "s.zarr", slide_mpp=None))
    assert (features.mpp, features.tile_um, features.patch_size_level0) == (
        None,
        None,
        512.0,
    )
    assert features.coords is None
    assert any("mpp unknown" in note for note in features.notes)
    assert any("no coordinates" in note for note in features.notes)


def test_obsm_and_obs_coordinates(tmp_path: Path) -> None:
    path = store(tmp_path / "s.zarr")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        frame = pd.DataFrame(
            {"x": CORNERS[:, 0], "y": CORNERS[:, 1]},
            index=list("abcde"),
        )
        anndata.AnnData(X=VALUES, obs=frame).write_zarr(
            str(path / "tables" / "uni_tiles"),
        )
        np.testing.assert_array_equal(read_features(path).coords, CORNERS)
        anndata.AnnData(X=VALUES, obsm={"spatial": CORNERS + 1}).write_zarr(
            str(path / "tables" / "uni_tiles"),
        )
    np.testing.assert_array_equal(read_features(path).coords, CORNERS + 1)


def test_encoder_chooses_a_table(tmp_path: Path) -> None:
    path = store(tmp_path / "s.zarr", tables=("uni_tiles", "conch_v1.5_tiles", "cells"))
    with pytest.raises(
        FeatureFileError,
        match=r"2 feature tables fit, .* conch_v1\.5_tiles \(`encoder: conch_v1",
    ):
        read_features(path)
    assert read_features(path, encoder="CONCH-v1.5").encoder == "conch_v1.5"
    with pytest.raises(
        FeatureFileError,
        match="0 feature tables fit encoder 'virchow'",
    ):
        read_features(path, encoder="virchow")
    with pytest.raises(
        FeatureFileError,
        match="expected a table named <model>_<tiles>, found cells",
    ):
        read_features(store(tmp_path / "t.zarr", tables=("cells",)))


def test_one_encoder_on_two_grids(tmp_path: Path) -> None:
    path = store(tmp_path / "s.zarr", tables=("uni_tiles", "uni_tiles2", "conch_tiles"))
    root = zarr.open_group(str(path), mode="r+")
    coarse = SPEC | {"mpp": 1.0, "base_downsample": 4.0}
    root.attrs["tile_spec"] = {"tiles": SPEC, "tiles2": coarse}
    both = r"uni_tiles \(`encoder: uni`, `tiles: tiles`\), uni_tiles2 \(`encoder: uni`, `tiles: tiles2`\)"
    with pytest.raises(
        FeatureFileError,
        match=f"2 feature tables fit encoder 'uni', .*{both}: write both",
    ):
        read_features(path, encoder="uni")
    for tiles, mpp in (("tiles", 0.5), ("tiles2", 1.0)):
        assert (
            read_features(path, encoder="uni", options=ReadOptions(tiles=tiles)).mpp
            == mpp
        )
    with pytest.raises(
        FeatureFileError,
        match="0 feature tables fit encoder 'uni' and tiles 'tiles3'",
    ):
        read_features(path, encoder="uni", options=ReadOptions(tiles="tiles3"))


def test_a_grid_without_a_record_is_told_by_its_name(tmp_path: Path) -> None:
    path = store(tmp_path / "s.zarr", tables=("uni_tiles2", "uni_mine"))
    assert read_features(path).mpp is None  # of tiles2 nothing is written down
    assert read_features(path, options=ReadOptions(tiles="mine")).encoder == "uni"


def test_tiles_without_a_box(tmp_path: Path) -> None:
    path = store(tmp_path / "s.zarr")
    shapes(path, [0, 1, 2, 3])
    with pytest.raises(
        FeatureFileError,
        match="1 of 5 tiles of the table have no box here",
    ):
        read_features(path)
    shapes(path, [0, 1, 2, 3, 3])
    with pytest.raises(FeatureFileError, match="a tile_id appears twice"):
        read_features(path)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_the_only_tile_has_the_only_box(tmp_path: Path, zarr_format: int) -> None:
    path = store(
        tmp_path / "s.zarr",
        zarr_format=zarr_format,
        tiles=1,
    )  # zarr writes no chunk for its id, 0
    shapes(path, [2])
    np.testing.assert_array_equal(read_features(path).coords, CORNERS[[2]])
    shapes(path, [0, 1])
    with pytest.raises(FeatureFileError, match="2 boxes for 1 tiles"):
        read_features(path)


def test_coordinates_of_which_all_are_zero_have_no_chunk(tmp_path: Path) -> None:
    path = store(tmp_path / "s.zarr")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        frame = pd.DataFrame(
            {"x": np.zeros(5), "y": CORNERS[:, 1]},
            index=list("abcde"),
        )
        table = anndata.AnnData(X=VALUES, obs=frame)
        table.write_zarr(str(path / "tables" / "uni_tiles"))
    x = path / "tables" / "uni_tiles" / "obs" / "x"
    assert {entry.name for entry in x.iterdir()} == {"zarr.json"}
    coords = read_features(path).coords
    np.testing.assert_array_equal(
        coords,
        np.stack([np.zeros(5), CORNERS[:, 1]], axis=1),
    )


# -- hostile and broken


def test_absent_chunk_is_not_zeros(tmp_path: Path) -> None:
    path = store(tmp_path / "s.zarr")
    shutil.rmtree(path / "tables" / "uni_tiles" / "X" / "c")
    with pytest.raises(
        FeatureFileError,
        match=r"X: not a whole zarr array .*chunk c/0/0 is absent.*; copy the store again",
    ):
        read_features(path)


def test_pickle_codec_is_not_run(tmp_path: Path) -> None:
    path = store(tmp_path / "s.zarr", zarr_format=2)
    meta = path / "tables" / "uni_tiles" / "X" / ".zarray"
    said = json.loads(meta.read_text())
    said["filters"] = [{"id": "pickle", "protocol": 5}]
    meta.write_text(json.dumps(said))
    with pytest.raises(
        FeatureFileError,
        match="X: packed with pickle, which is not read",
    ):
        read_features(path)


def test_huge_claim_and_links(tmp_path: Path) -> None:
    path = store(tmp_path / "s.zarr")
    meta = path / "tables" / "uni_tiles" / "X" / "zarr.json"
    said = json.loads(meta.read_text())
    said["shape"] = [10**9, 4096]
    meta.write_text(json.dumps(said))
    with pytest.raises(
        FeatureFileError,
        match=r"claims shape \(1000000000, 4096\).* at most 16 GiB",
    ):
        read_features(path)
    (path / "tables" / "uni_tiles" / "X" / "c" / "0" / "1").symlink_to("/etc/hostname")
    with pytest.raises(
        FeatureFileError,
        match="is a symbolic link, which is not followed",
    ):
        read_features(path)


def test_not_a_store(tmp_path: Path) -> None:
    (tmp_path / "e.zarr").mkdir()
    with pytest.raises(FeatureFileError, match=r"e\.zarr: not a whole wsidata store"):
        read_features(tmp_path / "e.zarr")


def test_missing_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "s.zarr").mkdir()
    monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(MissingExtraError, match=r"pip install survfuse\[anndata\]"):
        read_features(tmp_path / "s.zarr")
