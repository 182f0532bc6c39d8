"""Every layout of an HDF5 file gives its numbers; every lie of one is refused unread."""

from __future__ import annotations

import os
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from survfuse._errors import FeatureFileError
from survfuse.readers import read_features
from survfuse.readers.hdf5_files import dataset, look, read_numbers, read_values

RNG = np.random.default_rng(0)


def numbers(path: Path, name: str = "x") -> np.ndarray:
    nodes = look(path, [name])
    return read_numbers(path, name, dataset(path, nodes, name, kinds="fiub"))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"chunks": True},
        {"chunks": (7, 70)},
        {"chunks": (7, 9)},
        {"chunks": (1024, 128), "maxshape": (None, 128)},
        {"compression": "gzip"},
        {"compression": "gzip", "shuffle": True, "chunks": (33, 70)},
        {"shuffle": True},
        {"fletcher32": True},
        {"compression": "gzip", "fletcher32": True},
        {"compression": "lzf"},
        {"scaleoffset": 4},
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", ["<f2", "<f4", ">f8", "<i8", "u1"])
@pytest.mark.parametrize("rows", [3, 2000])
def test_every_layout_gives_what_h5py_gives(
    tmp_path: Path,
    settings: dict[str, Any],
    dtype: str,
    rows: int,
) -> None:
    width = 128 if "maxshape" in settings else 70
    settings = {**settings}
    if (
        rows < 7
        and "maxshape" not in settings
        and isinstance(settings.get("chunks"), tuple)
    ):
        settings["chunks"] = (2, settings["chunks"][1])
    if "scaleoffset" in settings and dtype == "u1":
        settings["scaleoffset"] = 7
    if "scaleoffset" in settings and dtype == "<f2":
        pytest.skip("HDF5 cannot scale float16")
    values = np.abs(RNG.normal(size=(rows, width)) * 10).astype(dtype)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", data=values, **settings)
    with h5py.File(tmp_path / "a.h5") as file:
        expected = file["x"][...]
    found = numbers(tmp_path / "a.h5")
    assert found.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(found, expected)
    nodes = look(
        tmp_path / "a.h5",
        ["x"],
    )  # a small array comes with its description: read it anew
    again = read_numbers(tmp_path / "a.h5", "x", replace(nodes["x"], values=None))
    np.testing.assert_array_equal(again, expected)


def test_compact_and_enumerated_numbers_and_those_behind_a_user_block(
    tmp_path: Path,
) -> None:
    with h5py.File(tmp_path / "a.h5", "w", userblock_size=512) as file:
        file["x"] = np.arange(100_000.0)
        file["b"] = np.array([True, False])
        settings = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        settings.set_layout(h5py.h5d.COMPACT)
        space = h5py.h5s.create_simple((3,))
        stored = h5py.h5d.create(file.id, b"c", h5py.h5t.IEEE_F64LE, space, settings)
        stored.write(h5py.h5s.ALL, h5py.h5s.ALL, np.array([1.0, 2.0, 3.0]))
    np.testing.assert_array_equal(numbers(tmp_path / "a.h5"), np.arange(100_000.0))
    assert numbers(tmp_path / "a.h5", "b").tolist() == [True, False]
    assert numbers(tmp_path / "a.h5", "c").tolist() == [1, 2, 3]


def test_names_within_groups_and_what_is_not_there(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["g/x"] = np.ones(3)
        file["g/soft"] = h5py.SoftLink("/g/x")
        file["loop"] = file["/"]
        file["type"] = np.dtype("f4")
    names = [
        "g/x",
        "/g/x",
        "g/none",
        "g/./x",
        "g/x/y",
        "g//x",
        "g/soft",
        "loop/g/x",
        "type",
        "",
        "a\0b",
    ]
    nodes = look(tmp_path / "a.h5", names)
    kinds = {name: node.kind for name, node in nodes.items()}
    assert kinds == {
        **dict.fromkeys(["g/x", "/g/x", "loop/g/x"], "dataset"),
        "g/soft": "soft link",
        "type": "type",
        "": "group",
    }
    assert set(look(tmp_path / "a.h5", ["*"])) == {"g", "loop", "type"}
    with pytest.raises(FeatureFileError, match=r"a\.h5: has no 'nothing'"):
        dataset(tmp_path / "a.h5", nodes, "nothing")


def test_attributes_that_are_texts_numbers_or_lists_of_them(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs.update(
            {"t": "é", "b": np.bytes_(b"x"), "n": np.float32(0.5), "i": np.arange(3)},
        )
        file.attrs.update(
            {
                "s": ["a", "b"],
                "r": file.ref,
                "e": h5py.Empty("f4"),
                "l": np.zeros(2000),
            },
        )
    attributes = look(tmp_path / "a.h5", [""], None)[""].attributes
    known = {
        "t": "é",
        "b": "x",
        "n": 0.5,
        "i": [0, 1, 2],
        "s": ["a", "b"],
        "r": None,
        "e": None,
        "l": None,
    }
    assert attributes == known
    assert look(tmp_path / "a.h5", [""], ["n", "absent"])[""].attributes == {"n": 0.5}


def test_a_pipe_and_a_name_with_nul_are_refused_unopened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "p.h5")
    with pytest.raises(FeatureFileError, match=r"p\.h5: expected a file, got a pipe"):
        look(tmp_path / "p.h5", [""])
    with pytest.raises(FeatureFileError, match="NUL"):
        look(tmp_path / "a\0.h5", [""])


# -- lies


def direct(
    path: Path,
    shape: tuple[int, ...],
    chunk: tuple[int, ...],
    packed: bytes,
) -> None:
    """A dataset of one chunk, packed by us."""
    with h5py.File(path, "w") as file:
        limits = (None,) * len(shape)
        stored = file.create_dataset(
            "features",
            shape,
            "f4",
            maxshape=limits,
            chunks=chunk,
            compression="gzip",
        )
        stored.id.write_direct_chunk((0,) * len(shape), packed)


def test_a_chunk_that_is_far_larger_than_its_array(tmp_path: Path) -> None:
    direct(tmp_path / "c.h5", (10, 1024), (800_000, 1024), zlib.compress(bytes(2**20)))
    with pytest.raises(
        FeatureFileError,
        match=r"takes 40\.0 KiB, but has chunks of 3\.1 GiB",
    ):
        read_features(tmp_path / "c.h5")


@pytest.mark.parametrize(
    "packed",
    [
        zlib.compress(bytes(100)),
        zlib.compress(RNG.bytes(400_000))[:-10],
        b"no zlib" * 1000,
    ],
    ids=["short", "cut off", "damaged"],
)
@pytest.mark.parametrize("rows", [10, 100])
def test_a_chunk_that_is_not_what_it_claims(
    tmp_path: Path,
    packed: bytes,
    rows: int,
) -> None:
    direct(tmp_path / "c.h5", (rows, 1000), (rows, 1000), packed)
    with pytest.raises(
        FeatureFileError,
        match=r"c\.h5.* whole HDF5 file|refused unread",
    ):
        read_features(tmp_path / "c.h5")


@pytest.mark.slow
def test_a_chunk_that_unpacks_to_far_more_than_it_claims(tmp_path: Path) -> None:
    direct(tmp_path / "c.h5", (100, 1000), (100, 1000), zlib.compress(bytes(2**30)))
    with pytest.raises(
        FeatureFileError,
        match=r"c\.h5: not a whole HDF5 file",
    ):
        read_features(tmp_path / "c.h5")


@pytest.mark.parametrize(
    "settings",
    [{"fletcher32": True}, {"compression": "gzip"}],
    ids=str,
)
@pytest.mark.parametrize("rows", [10, 1000])
def test_a_damaged_value_does_not_pass_its_checksum(
    tmp_path: Path,
    settings: dict[str, Any],
    rows: int,
) -> None:
    with h5py.File(tmp_path / "s.h5", "w") as file:
        stored = file.create_dataset(
            "features",
            data=RNG.normal(size=(rows, 64)),
            chunks=(rows, 64),
            **settings,
        )
        place = stored.id.get_chunk_info(0).byte_offset
    data = bytearray((tmp_path / "s.h5").read_bytes())
    data[place + 1000] ^= 1
    (tmp_path / "s.h5").write_bytes(data)
    with pytest.raises(FeatureFileError, match=r"s\.h5.* whole HDF5 file"):
        read_features(tmp_path / "s.h5")


def test_a_filter_that_is_not_installed_is_named(tmp_path: Path) -> None:
    direct(tmp_path / "f.h5", (10, 10), (10, 10), zlib.compress(bytes(400)))
    data = (tmp_path / "f.h5").read_bytes()
    changed = data.replace(
        b"\x01\x00\x08\x00\x01\x00\x01\x00deflate",
        b"\x0a\x7d\x08\x00\x01\x00\x01\x00deflate",
    )
    assert changed != data
    (tmp_path / "f.h5").write_bytes(changed)
    with pytest.raises(
        FeatureFileError,
        match=r"not installed, deflate \(number 32010\); pip install hdf5plugin",
    ):
        read_features(tmp_path / "f.h5")


def test_values_beyond_the_end_of_the_file(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "e.h5", "w") as file:
        file["features"] = RNG.normal(size=(1000, 64))
        place = file["features"].id.get_offset()
    data = (tmp_path / "e.h5").read_bytes()
    changed = data.replace(place.to_bytes(8, "little"), (2**40).to_bytes(8, "little"))
    assert changed != data
    (tmp_path / "e.h5").write_bytes(changed)
    with pytest.raises(
        FeatureFileError,
        match=r"e\.h5.*(whole HDF5 file|beyond the end)",
    ):
        read_features(tmp_path / "e.h5")


def test_texts_that_all_refer_to_one_large_text(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "t.h5", "w") as file:
        stored = file.create_dataset("x", (20_000,), h5py.string_dtype())
        stored[0] = "a" * 2**20
        place = stored.id.get_offset()
    data = bytearray((tmp_path / "t.h5").read_bytes())
    data[place : place + 16 * 20_000] = data[place : place + 16] * 20_000
    (tmp_path / "t.h5").write_bytes(data)
    node = look(tmp_path / "t.h5", ["x"])["x"]
    with pytest.raises(FeatureFileError, match=r"t\.h5: not a whole HDF5 file"):
        read_values(tmp_path / "t.h5", "x", node)


def test_texts_of_a_gigabyte_that_were_never_written(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "t.h5", "w") as file:
        file.create_dataset("x", (10,), np.dtype("S1000000000"), chunks=(1,))
        file.create_dataset("matrix", (10, 10), "f4")
    nodes = look(tmp_path / "t.h5", ["x", "matrix"])
    with pytest.raises(
        FeatureFileError,
        match=r"'x': claims 9\.3 GiB where 0 bytes are stored",
    ):
        read_values(tmp_path / "t.h5", "x", nodes["x"])
    with pytest.raises(
        FeatureFileError,
        match=r"'matrix' is a dataset of shape \(10, 10\), expected one axis",
    ):
        read_values(tmp_path / "t.h5", "matrix", nodes["matrix"])


def test_a_heap_of_texts_that_has_no_end(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "h.h5", "w") as file:
        file["features"] = np.ones((2, 3), np.float32)
        file["features"].attrs["encoder"] = "uni"
    data = bytearray((tmp_path / "h.h5").read_bytes())
    heap = data.index(b"GCOL")
    data[heap + 16 : heap + 2048] = bytes(
        2032,
    )  # free space of size 0, which is followed by itself
    (tmp_path / "h.h5").write_bytes(data)
    with pytest.raises(FeatureFileError, match=r"h\.h5: not a whole HDF5 file"):
        read_features(tmp_path / "h.h5")


def test_bytes_changed_anywhere_give_features_or_an_answer(tmp_path: Path) -> None:
    path = tmp_path / "m.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset(
            "features",
            data=RNG.normal(size=(8, 4)),
            compression="gzip",
        ).attrs["encoder"] = "uni"
        file["coords"] = np.arange(16).reshape(8, 2)
    data = path.read_bytes()
    refused = 0
    for place in range(8, len(data), max(1, len(data) // 150)):
        path.write_bytes(data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :])
        try:
            assert read_features(path).values.shape[1] > 0
        except FeatureFileError:
            refused += 1
    assert refused
