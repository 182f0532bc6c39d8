"""Arrays of zarr, packed in every way that is read, and stores that lie about their chunks."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from survfuse._errors import FeatureFileError
from survfuse.readers import read_features

zarr = pytest.importorskip("zarr", reason="the anndata extra is not installed")
numcodecs = pytest.importorskip(
    "numcodecs",
    reason="the anndata extra is not installed",
)

VALUES = np.random.default_rng(2).normal(size=(37, 16)).astype(np.float32)
COORDS = np.arange(74).reshape(37, 2) + 1


def store(path: Path, zarr_format: int = 2, **how: Any) -> Path:
    """Write a store of 4 x 4 chunks of 10 x 4 values, and give the folder of its table."""
    root = zarr.open_group(str(path), mode="w", zarr_format=zarr_format)
    table = root.require_group("tables").require_group("uni_tiles")
    how = {"chunks": (10, 4), "dtype": "float32"} | how
    table.create_array("X", shape=VALUES.shape, **how)[...] = VALUES
    spatial = table.require_group("obsm").create_array(
        "spatial",
        shape=COORDS.shape,
        dtype="int64",
        chunks=(10, 2),
    )
    spatial[...] = COORDS
    return path / "tables" / "uni_tiles"


def check(path: Path) -> None:
    features = read_features(path)
    np.testing.assert_array_equal(features.values, VALUES)
    np.testing.assert_array_equal(features.coords, COORDS)


COMPRESSORS_2 = [
    None,
    numcodecs.Blosc(),
    numcodecs.Blosc("zstd", 5, numcodecs.Blosc.BITSHUFFLE),
    numcodecs.Zstd(),
    numcodecs.Zlib(),
    numcodecs.GZip(),
    numcodecs.LZ4(),
    numcodecs.BZ2(),
    numcodecs.LZMA(),
]


@pytest.mark.parametrize("compressor", COMPRESSORS_2, ids=repr)
@pytest.mark.parametrize("order", ["C", "F"])
def test_compressors_of_format_2(tmp_path: Path, compressor: Any, order: str) -> None:
    store(tmp_path / "s.zarr", compressors=compressor, order=order)
    check(tmp_path / "s.zarr")


@pytest.mark.parametrize(
    "how",
    [
        {"filters": [numcodecs.Shuffle(4)]},
        {"dtype": ">f4"},
        {"chunk_key_encoding": {"name": "v2", "separator": "/"}},
        {"chunks": (100, 100)},
    ],
)
def test_layouts_of_format_2(tmp_path: Path, how: dict[str, Any]) -> None:
    store(tmp_path / "s.zarr", **how)
    check(tmp_path / "s.zarr")


def test_differences_are_summed(tmp_path: Path) -> None:
    store(tmp_path / "s.zarr", filters=[numcodecs.Delta("<f4")])
    np.testing.assert_allclose(
        read_features(tmp_path / "s.zarr").values,
        VALUES,
        atol=1e-5,
    )


@pytest.mark.parametrize("shards", [None, (20, 8), (40, 16)])
@pytest.mark.parametrize(
    "codecs",
    ["none", "blosc", "zstd", "checksum", "gzip", "crc32c after", "crc32c before"],
)
def test_codecs_of_format_3(
    tmp_path: Path,
    codecs: str,
    shards: tuple[int, int] | None,
) -> None:
    from zarr.codecs import BloscCodec, Crc32cCodec, GzipCodec, ZstdCodec

    compressors = {
        "none": None,
        "blosc": BloscCodec(),
        "zstd": ZstdCodec(),
        "checksum": ZstdCodec(checksum=True),
        "gzip": GzipCodec(),
        "crc32c after": [ZstdCodec(), Crc32cCodec()],
        "crc32c before": [Crc32cCodec(), ZstdCodec()],
    }
    store(tmp_path / "s.zarr", 3, compressors=compressors[codecs], shards=shards)
    check(tmp_path / "s.zarr")


def test_layouts_of_format_3(tmp_path: Path) -> None:
    from zarr.codecs import BytesCodec, TransposeCodec

    for number, how in enumerate(
        [
            {"serializer": BytesCodec(endian="big")},
            {"filters": [TransposeCodec(order=(1, 0))]},
            {"filters": [TransposeCodec(order=(1, 0))], "shards": (20, 8)},
            {"chunk_key_encoding": {"name": "v2", "separator": "."}},
            {"chunk_key_encoding": {"name": "default", "separator": "."}},
        ],
    ):
        store(tmp_path / f"{number}.zarr", 3, **how)
        check(tmp_path / f"{number}.zarr")


# -- chunks that are absent, damaged or lie


@pytest.mark.parametrize("array", ["X/1.0", "obsm/spatial/1.0"])
@pytest.mark.parametrize(
    "state",
    ["absent", "empty", "cut", "longer", "pipe", "folder"],
)
def test_every_chunk_must_be_whole(tmp_path: Path, array: str, state: str) -> None:
    chunk = store(tmp_path / "s.zarr") / array
    data = chunk.read_bytes()
    chunk.unlink()
    if state == "pipe":
        os.mkfifo(chunk)
    elif state == "folder":
        chunk.mkdir()
    elif state != "absent":
        chunk.write_bytes(
            {"empty": b"", "cut": data[:-9], "longer": data + bytes(9)}[state],
        )
    message = {
        "absent": r"chunk 1\.0 is absent.*write_empty_chunks.*; copy the store again",
        "empty": "error during blosc decompression|is cut",
        "pipe": "expected a file, got a pipe",
        "folder": r"chunk 1\.0 is absent",
    }.get(state, r"not a whole zarr array .*is cut, or longer.*; copy the store again")
    with pytest.raises(FeatureFileError, match=message):
        read_features(tmp_path / "s.zarr")


def test_a_chunk_that_is_absent_from_a_shard(tmp_path: Path) -> None:
    shard = store(tmp_path / "s.zarr", 3, shards=(20, 8)) / "X" / "c" / "0" / "0"
    data = bytearray(shard.read_bytes())
    data[-20:-4] = b"\xff" * 16
    shard.write_bytes(data)
    with pytest.raises(FeatureFileError, match="computed checksum do not match"):
        read_features(tmp_path / "s.zarr")
    import google_crc32c

    data[-4:] = google_crc32c.value(bytes(data[-68:-4])).to_bytes(4, "little")
    shard.write_bytes(data)
    with pytest.raises(FeatureFileError, match="a chunk of a shard is absent"):
        read_features(tmp_path / "s.zarr")


ZEROS = bytes(2**22)


@pytest.mark.parametrize(
    ("compressor", "chunk"),
    [
        (numcodecs.GZip(), gzip.compress(ZEROS)),
        (numcodecs.Zlib(), zlib.compress(ZEROS)),
        (numcodecs.BZ2(), bz2.compress(ZEROS)),
        (numcodecs.LZMA(), lzma.compress(ZEROS, preset=0)),
        (numcodecs.Zstd(), bytes(numcodecs.Zstd().encode(ZEROS))),
        (numcodecs.LZ4(), b"\xff\xff\xff\x7f" + bytes(60)),
        (numcodecs.Blosc(), bytes(numcodecs.Blosc().encode(ZEROS))),
    ],
    ids=["gzip", "zlib", "bz2", "lzma", "zstd", "lz4", "blosc"],
)
def test_chunks_that_unpack_to_more_than_a_chunk(
    tmp_path: Path,
    compressor: Any,
    chunk: bytes,
) -> None:
    (store(tmp_path / "s.zarr", compressors=compressor) / "X" / "1.0").write_bytes(
        chunk,
    )
    with pytest.raises(
        FeatureFileError,
        match=r"X: not a whole zarr array .*(reshape|MemoryError|is cut).*; copy the store",
    ):
        read_features(tmp_path / "s.zarr")


def change(file: Path, **said: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | said))


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (
            {"chunks": [10**5, 10**4]},
            r"chunks of shape \(100000, 10000\) in an array of shape \(37, 16\)",
        ),
        (
            {"chunks": [1, 1], "shape": [10**4, 1024]},
            "10240000 chunks, at most 50000 are read",
        ),
        (
            {"shape": [10**5, 1024], "chunks": [10**5, 1024]},
            r"claims 781\.2 MiB where 3\.\d KiB are stored",
        ),
        ({"chunks": [0, 0]}, r"chunks of shape \(0, 0\)"),
        ({"chunks": [10]}, r"chunks of shape \(10,\)"),
        ({"shape": [-1, 16]}, "expected a list of counts"),
        ({"shape": [1.5, 16]}, "expected a list of counts"),
        ({"shape": "all"}, "expected a list of counts, got all"),
        ({"shape": [2] * 40, "chunks": [1] * 40}, "expected .tiles, columns"),
        ({"dtype": "|O"}, "expected plain numbers"),
        ({"dtype": [["a", "<f4"]]}, "expected plain numbers"),
        ({"dtype": "<i4"}, r"has dtype int32, expected plain numbers"),
        ({"compressor": {"id": "pickle"}}, "X: packed with pickle, which is not read"),
        ({"compressor": [1]}, "expected a whole wsidata store"),
        (
            {"compressor": {"id": "zlib"}, "filters": [{"id": "gzip"}]},
            "not a whole zarr array .*incorrect header",
        ),
        ({"filters": [{"id": "shuffle", "elementsize": 7}]}, "not a whole zarr array"),
        (
            {"filters": [{"id": "delta", "dtype": "V1000000000"}]},
            "not a whole zarr array",
        ),
        ({"filters": 7}, "expected a whole wsidata store"),
        ({"order": None}, "not a whole zarr array .*Expected one of"),
        ({"dimension_separator": "/../"}, "not a whole zarr array .*separator"),
    ],
)
def test_metadata_that_lie(tmp_path: Path, said: dict[str, Any], message: str) -> None:
    change(store(tmp_path / "s.zarr") / "X" / ".zarray", **said)
    with pytest.raises(FeatureFileError, match=rf"s\.zarr.*({message})"):
        read_features(tmp_path / "s.zarr")


@pytest.mark.parametrize("file", [".zattrs", ".zgroup", "tables/uni_tiles/X/.zarray"])
@pytest.mark.parametrize("text", ["[]", "7", "{", "{'a': 1}", "[" * 99, '"\\ud800"'])
def test_metadata_that_are_no_object(tmp_path: Path, file: str, text: str) -> None:
    store(tmp_path / "s.zarr")
    (tmp_path / "s.zarr" / file).write_text(text)
    if file == ".zgroup":  # nothing is read from it
        check(tmp_path / "s.zarr")
        return
    with pytest.raises(FeatureFileError, match=r"\.zarray|\.zattrs"):
        read_features(tmp_path / "s.zarr")


def test_a_store_of_too_many_files(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store(tmp_path / "s.zarr")
    monkeypatch.setattr("survfuse.readers.zarr_arrays.MOST_ENTRIES", 20)
    with pytest.raises(
        FeatureFileError,
        match="more than 20 files in one store; write it with larger chunks",
    ):
        read_features(tmp_path / "s.zarr")
