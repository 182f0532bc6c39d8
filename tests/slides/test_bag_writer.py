from __future__ import annotations

import resource
from pathlib import Path

import h5py
import numpy as np
import pytest

from survfuse.readers import read_features
from survfuse.slides.bag_writer import BagWriter, read_about, read_key

RNG = np.random.default_rng(3)


def write(
    path: Path,
    blocks: list[int],
    dim: int = 5,
    expected: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    tiles = sum(blocks)
    features = RNG.normal(size=(tiles, dim)).astype(np.float16)
    coords = RNG.integers(0, 10**6, (tiles, 2))
    with BagWriter(
        path,
        dim=dim,
        expected=tiles if expected is None else expected,
    ) as bag:
        start = 0
        for size in blocks:
            bag.append(features[start : start + size], coords[start : start + size])
            start += size
            assert bag.tiles == start
        bag.finish(
            encoder="uni",
            places={"patch_size": 224, "patch_size_level0": 448.0},
            about={
                "key": "k",
                "mpp": 0.5,
                "tile_um": 112.0,
                "encoder": {"name": "uni"},
                "none": None,
            },
        )
    return features, coords


@pytest.mark.parametrize("blocks", [[1], [64, 64, 3], [0, 5, 0], [1] * 40, [200_000]])
def test_what_goes_in_comes_out(tmp_path: Path, blocks: list[int]) -> None:
    features, coords = write(tmp_path / "a.h5", blocks)
    read = read_features(tmp_path / "a.h5", encoder="uni")
    np.testing.assert_array_equal(read.values, features)
    np.testing.assert_array_equal(read.coords, coords)
    assert read.values.dtype == np.float16
    assert (read.tool, read.encoder, read.coord_unit) == (
        "survfuse",
        "uni",
        "level0_px",
    )
    assert (read.mpp, read.tile_um, read.patch_size_level0, read.magnification) == (
        0.5,
        112.0,
        448.0,
        None,
    )


def test_the_rows_do_not_depend_on_the_blocks(tmp_path: Path) -> None:
    features = RNG.normal(size=(1000, 300)).astype(np.float16)
    coords = np.zeros((1000, 2), np.int64)
    bytes_of = []
    for name, step in (("a", 1000), ("b", 7), ("c", 64)):
        with BagWriter(tmp_path / f"{name}.h5", dim=300, expected=4000) as bag:
            for start in range(0, 1000, step):
                bag.append(features[start : start + step], coords[start : start + step])
            bag.finish(encoder="e", places={}, about={"key": "k"})
        bytes_of.append((tmp_path / f"{name}.h5").read_bytes())
    assert bytes_of[0] == bytes_of[1] == bytes_of[2]


@pytest.mark.parametrize("expected", [0, 10])
def test_no_tiles_is_a_file_of_no_rows(tmp_path: Path, expected: int) -> None:
    write(tmp_path / "e.h5", [], dim=7, expected=expected)
    read = read_features(tmp_path / "e.h5")
    assert read.values.shape == (0, 7)
    assert read.coords is not None
    assert read.coords.shape == (0, 2)


def test_more_tiles_than_expected(tmp_path: Path) -> None:
    features, _ = write(tmp_path / "m.h5", [10, 10], expected=3)
    np.testing.assert_array_equal(read_features(tmp_path / "m.h5").values, features)


def test_rows_must_pair(tmp_path: Path) -> None:
    with (
        BagWriter(tmp_path / "x.h5", dim=2, expected=3) as bag,
        pytest.raises(ValueError, match="3 rows of features, 2 of coordinates"),
    ):
        bag.append(np.zeros((3, 2), np.float16), np.zeros((2, 2), np.int64))


def test_about(tmp_path: Path) -> None:
    write(tmp_path / "a.h5", [4])
    about = read_about(tmp_path / "a.h5")
    assert about == {
        "format": "survfuse-bag",
        "version": 1,
        "key": "k",
        "mpp": 0.5,
        "tile_um": 112.0,
        "encoder": {"name": "uni"},
        "tiles": 4,
    }
    assert read_key(tmp_path / "a.h5") == ("k", 4)


def test_what_is_no_whole_bag_of_ours_has_nothing_to_say(tmp_path: Path) -> None:
    assert read_about(tmp_path / "none.h5") is None
    assert read_key(tmp_path / "none.h5") is None
    (tmp_path / "torn.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    assert read_about(tmp_path / "torn.h5") is None
    with h5py.File(tmp_path / "clam.h5", "w") as file:
        file["features"] = np.zeros((2, 2), np.float32)
    assert read_about(tmp_path / "clam.h5") is None
    write(tmp_path / "a.h5", [4])
    whole = (tmp_path / "a.h5").read_bytes()
    (tmp_path / "a.h5").write_bytes(whole[: len(whole) // 2])
    assert read_about(tmp_path / "a.h5") is None
    assert read_key(tmp_path / "a.h5") is None
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file.attrs.update({"format": "survfuse-bag", "version": 1})
    assert read_about(tmp_path / "b.h5") is None
    write(tmp_path / "c.h5", [4])
    with h5py.File(tmp_path / "c.h5", "r+") as file:
        file.attrs["encoder"] = "{not JSON"
    assert read_about(tmp_path / "c.h5") is None


def test_an_unfinished_bag_is_none(tmp_path: Path) -> None:
    with BagWriter(tmp_path / "u.h5", dim=2, expected=3) as bag:
        bag.append(np.zeros((2, 2), np.float16), np.zeros((2, 2), np.int64))
    assert read_about(tmp_path / "u.h5") is None


def test_a_bag_of_200_000_tiles_in_constant_memory(tmp_path: Path) -> None:
    block = RNG.normal(size=(1000, 1024)).astype(np.float16)
    coords = np.zeros((1000, 2), np.int64)
    with BagWriter(tmp_path / "large.h5", dim=1024, expected=200_000) as bag:
        for _ in range(5):
            bag.append(block, coords)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for _ in range(195):
            bag.append(block, coords)
        bag.finish(encoder="e", places={}, about={"key": "k"})
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 20_000  # kB, for 390 MB written
    with h5py.File(tmp_path / "large.h5") as file:
        assert file["features"].shape == (200_000, 1024)
        np.testing.assert_array_equal(file["features"][199_000:], block)
