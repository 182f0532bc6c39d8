"""Bare arrays and the neighbours that hold their coordinates."""

from __future__ import annotations

import io
import os
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_tensors

from survfuse._errors import FeatureFileError
from survfuse.readers import ReadOptions, read_features

VALUES = np.random.default_rng(1).normal(size=(6, 4)).astype(np.float32)
COORDS = np.arange(12).reshape(6, 2)


class Boom:
    """Would run on unpickling."""

    def __reduce__(self) -> tuple[object, ...]:
        return (print, ("executed",))  # Ray puts a function of its own in its place


@pytest.mark.parametrize("zipped", [True, False])
def test_bare_tensor(tmp_path: Path, zipped: bool) -> None:
    torch.save(
        torch.from_numpy(VALUES),
        tmp_path / "a.pt",
        _use_new_zipfile_serialization=zipped,
    )
    features = read_features(tmp_path / "a.pt")
    np.testing.assert_array_equal(features.values, VALUES)
    assert (features.tool, features.coords, features.coord_unit) == (
        "torch",
        None,
        None,
    )


def test_dict_of_features_and_coords(tmp_path: Path) -> None:
    torch.save(
        {
            "features": torch.from_numpy(VALUES)[None].half(),
            "coords": torch.from_numpy(COORDS),
        },
        tmp_path / "a.pt",
    )
    features = read_features(tmp_path / "a.pt")
    assert features.values.dtype == np.float16
    np.testing.assert_array_equal(features.coords, COORDS)
    torch.save({"x": torch.zeros(2), "y": 1}, tmp_path / "a.pt")
    with pytest.raises(
        FeatureFileError,
        match=r"a\.pt: expected one of features, .*, found x \(2,\), y \(int\)",
    ):
        read_features(tmp_path / "a.pt")


def test_bfloat16_becomes_float32(tmp_path: Path) -> None:
    torch.save(
        torch.ones(3, 2, dtype=torch.bfloat16, requires_grad=True),
        tmp_path / "b.pt",
    )
    assert read_features(tmp_path / "b.pt").values.dtype == np.float32


@pytest.mark.parametrize("zipped", [True, False])
def test_objects_are_never_unpickled(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    zipped: bool,
) -> None:
    torch.save(
        {"features": Boom()},
        tmp_path / "evil.pt",
        _use_new_zipfile_serialization=zipped,
    )
    with pytest.raises(
        FeatureFileError,
        match=r"evil\.pt: expected plain tensors .* holds [\w.]*print\); objects are never unpickled",
    ):
        read_features(tmp_path / "evil.pt")
    assert "executed" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "content",
    [b"", b"garbage", b"PK\x03\x04rest", b"\x80\x02garbage"],
)
def test_garbage_pt(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "g.pt").write_bytes(content)
    with pytest.raises(
        FeatureFileError,
        match=r"g\.pt: expected plain tensors or arrays",
    ):
        read_features(tmp_path / "g.pt")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            torch.zeros(1).expand(10**12).reshape(10**6, 10**6),
            r"claims shape \(1000000, 1000000\)",
        ),
        (torch.zeros(2, 2, dtype=torch.bool), "has dtype torch.bool, expected floats"),
        (torch.eye(2).to_sparse(), "expected a dense tensor"),
        (torch.zeros(2, 2, dtype=torch.int64), "features have dtype int64"),
        ([1.0, 2.0], "'features' is list, expected a dense tensor"),
    ],
)
def test_wrong_tensors(tmp_path: Path, value: object, message: str) -> None:
    torch.save(value, tmp_path / "w.pt")
    with pytest.raises(FeatureFileError, match=message):
        read_features(tmp_path / "w.pt")


def test_truncated_pt(tmp_path: Path) -> None:
    torch.save(torch.zeros(100, 100), tmp_path / "t.pt")
    (tmp_path / "t.pt").write_bytes((tmp_path / "t.pt").read_bytes()[:20_000])
    with pytest.raises(
        FeatureFileError,
        match=r"t\.pt: expected plain tensors or arrays",
    ):
        read_features(tmp_path / "t.pt")


def test_zip_bomb_in_pt(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "z.pt", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("z/data.pkl", bytes(50_000_000))
    with pytest.raises(FeatureFileError, match=r"where 7.* are stored; refused unread"):
        read_features(tmp_path / "z.pt")


# -- neighbours


def test_slideflow_index(tmp_path: Path) -> None:
    torch.save(torch.from_numpy(VALUES), tmp_path / "s.pt")
    np.savez(tmp_path / "s.index.npz", COORDS)
    features = read_features(tmp_path / "s.pt")
    assert features.tool == "slideflow"
    np.testing.assert_array_equal(features.coords, COORDS)


@pytest.mark.parametrize("apart", [True, False])
def test_structured_coordinates_beside(tmp_path: Path, apart: bool) -> None:
    (tmp_path / "features").mkdir()
    (tmp_path / "coordinates").mkdir()
    torch.save(torch.from_numpy(VALUES), tmp_path / "features" / "3A_001_HE.pt")
    table = np.zeros(6, dtype=[("x", int), ("y", int), ("tile_size_lv0", int)])
    table["x"], table["y"], table["tile_size_lv0"] = COORDS[:, 0], COORDS[:, 1], 448
    place = tmp_path / ("coordinates" if apart else "features") / "3A_001_HE.npy"
    np.save(place, table)
    features = read_features(tmp_path / "features" / "3A_001_HE.pt")
    assert (features.slide_id, features.patch_size_level0) == ("3A_001_HE", 448.0)
    np.testing.assert_array_equal(features.coords, COORDS)
    np.save(place, table[:5])
    with pytest.raises(
        FeatureFileError,
        match=r"6 tiles have features, but the coordinates have shape \(5, 2\)",
    ):
        read_features(tmp_path / "features" / "3A_001_HE.pt")
    np.save(place, np.zeros(6, dtype=[("a", int)]))
    with pytest.raises(
        FeatureFileError,
        match="expected coordinates with fields x and y, found a",
    ):
        read_features(tmp_path / "features" / "3A_001_HE.pt")


def test_clam_pt_takes_coordinates_of_its_h5(tmp_path: Path) -> None:
    for name in ("pt_files", "h5_files"):
        (tmp_path / name).mkdir()
    torch.save(torch.from_numpy(VALUES), tmp_path / "pt_files" / "a.pt")
    assert read_features(tmp_path / "pt_files" / "a.pt").coords is None
    with h5py.File(tmp_path / "h5_files" / "a.h5", "w") as file:
        file["coords"] = COORDS
    features = read_features(tmp_path / "pt_files" / "a.pt")
    assert features.tool == "clam"
    np.testing.assert_array_equal(features.coords, COORDS)


def test_trident_pt_takes_coordinates_of_its_patches(tmp_path: Path) -> None:
    for name in ("features_uni_v1", "patches"):
        (tmp_path / name).mkdir()
    torch.save(VALUES, tmp_path / "features_uni_v1" / "a.b.pt")
    assert read_features(tmp_path / "features_uni_v1" / "a.b.pt").encoder is None
    with h5py.File(tmp_path / "patches" / "a.b_patches.h5", "w") as file:
        file["coords"] = COORDS
        file["coords"].attrs.update(
            {"patch_size": 256, "patch_size_level0": 512, "target_magnification": 20},
        )
    features = read_features(tmp_path / "features_uni_v1" / "a.b.pt")
    assert (features.tool, features.encoder, features.coord_unit) == (
        "trident",
        "uni_v1",
        "level0_px",
    )
    assert (features.patch_size_level0, features.magnification) == (512.0, 20.0)
    np.testing.assert_array_equal(features.coords, COORDS)


# -- numpy and safetensors


def test_npy_npz_safetensors(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", VALUES.astype(np.float64))
    np.savez_compressed(
        tmp_path / "b.npz",
        features=VALUES,
        coords=COORDS,
        names=np.array(["x", "y"]),
    )
    np.savez(tmp_path / "c.npz", VALUES)
    save_file({"embeddings": VALUES, "coords": COORDS}, tmp_path / "d.safetensors")
    for name in ("a.npy", "b.npz", "c.npz", "d.safetensors"):
        features = read_features(tmp_path / name)
        assert features.values.dtype == np.float32
        np.testing.assert_allclose(features.values, VALUES)
        assert (features.coords is not None) == (name[0] in "bd")


def test_bfloat16_in_safetensors(tmp_path: Path) -> None:
    tensor = torch.tensor([[1.5, -2.0], [0.25, 8.0]], dtype=torch.bfloat16)
    content = {
        "features": tensor,
        "coords": torch.zeros(2, 2, dtype=torch.int64),
        "kept": torch.ones(2) > 0,
    }
    save_tensors(content, tmp_path / "b.safetensors")
    features = read_features(tmp_path / "b.safetensors")
    assert features.values.dtype == np.float32
    assert features.values.tolist() == [[1.5, -2.0], [0.25, 8.0]]
    assert features.coords is not None
    save_tensors({"a": tensor, "b": tensor.clone()}, tmp_path / "c.safetensors")
    with pytest.raises(FeatureFileError, match=r"found a \(2, 2\), b \(2, 2\); point"):
        read_features(tmp_path / "c.safetensors")


def save_vector(path: Path, vector: np.ndarray) -> None:
    """Write one vector, and coordinates of thirty tiles where the format has room for them."""
    coords = np.zeros((30, 2), int)
    if path.suffix == ".h5":
        with h5py.File(path, "w") as file:
            file["features"], file["coords"] = vector, coords
    elif path.suffix == ".pt":
        torch.save(
            {"features": torch.from_numpy(vector), "coords": torch.from_numpy(coords)},
            path,
        )
    elif path.suffix == ".npz":
        np.savez(path, features=vector, coords=coords)
    elif path.suffix == ".safetensors":
        save_file({"features": vector, "coords": coords}, path)
    else:
        np.save(path, vector)


@pytest.mark.parametrize("ending", [".h5", ".pt", ".npz", ".safetensors", ".npy"])
@pytest.mark.parametrize("shape", [(16,), (1, 16), (1, 1, 16)])
def test_a_slide_vector_is_a_bag_of_one(
    tmp_path: Path,
    ending: str,
    shape: tuple[int, ...],
) -> None:
    vector = np.arange(16, dtype=np.float32).reshape(shape)
    save_vector(tmp_path / f"s{ending}", vector)
    features = read_features(tmp_path / f"s{ending}")
    np.testing.assert_array_equal(features.values, vector.reshape(1, 16))
    assert features.coords is None
    if ending != ".npy":
        assert features.notes[-1].startswith(
            "one vector for the whole slide: the coordinates of 30 tiles",
        )


@pytest.mark.parametrize("ending", [".h5", ".pt", ".npz", ".safetensors", ".npy"])
def test_an_empty_vector_stays_empty(tmp_path: Path, ending: str) -> None:
    save_vector(tmp_path / f"s{ending}", np.zeros(0, np.float32))
    if ending == ".npy":
        assert len(read_features(tmp_path / f"s{ending}")) == 0
    else:
        with pytest.raises(
            FeatureFileError,
            match=r"0 tiles have features, but the coordinates have shape",
        ):
            read_features(tmp_path / f"s{ending}")


def test_one_tile_keeps_its_place(tmp_path: Path) -> None:
    np.savez(
        tmp_path / "s.npz",
        features=np.ones((1, 4), np.float32),
        coords=np.array([[7, 9]]),
    )
    assert read_features(tmp_path / "s.npz").coords is not None


def test_object_arrays_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "o.npy", np.array([Boom()], dtype=object), allow_pickle=True)
    np.savez(
        tmp_path / "o.npz",
        features=np.array([Boom()], dtype=object),
        allow_pickle=True,
    )
    with pytest.raises(
        FeatureFileError,
        match=r"o\.npy: 'o\.npy' has dtype object, expected plain",
    ):
        read_features(tmp_path / "o.npy")
    with pytest.raises(
        FeatureFileError,
        match=r"o\.npz: .*(dtype object|pickled objects)",
    ):
        read_features(tmp_path / "o.npz")


def test_truncated_numpy(tmp_path: Path) -> None:
    np.save(tmp_path / "t.npy", np.zeros((100, 10), np.float32))
    np.savez(tmp_path / "t.npz", features=np.zeros((100, 10), np.float32))
    save_file({"features": VALUES}, tmp_path / "t.safetensors")
    for name in ("t.npy", "t.npz", "t.safetensors"):
        data = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(data[: len(data) - 80])
        with pytest.raises(FeatureFileError, match=rf"{name}: expected a whole"):
            read_features(tmp_path / name)


def header(shape: tuple[int, ...]) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        buffer,
        {"descr": "<f4", "fortran_order": False, "shape": shape},
    )
    return buffer.getvalue()


def test_headers_that_claim_too_much(tmp_path: Path) -> None:
    (tmp_path / "h.npy").write_bytes(header((10**9, 1024)) + bytes(64))
    with pytest.raises(
        FeatureFileError,
        match=r"h\.npy: 'h\.npy' claims shape \(1000000000, 1024\)",
    ):
        read_features(tmp_path / "h.npy")
    with zipfile.ZipFile(tmp_path / "h.npz", "w") as archive:
        archive.writestr("features.npy", header((10**9, 1024)) + bytes(64))
    with pytest.raises(
        FeatureFileError,
        match=r"h\.npz: 'features' claims shape \(1000000000, 1024\)",
    ):
        read_features(tmp_path / "h.npz")


def test_npz_without_features_names_what_it_has(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", a=VALUES, b=VALUES)
    with pytest.raises(
        FeatureFileError,
        match=r"expected one of features, feats, patch_embeddings, .*, found a \(6, 4\), b",
    ):
        read_features(tmp_path / "x.npz")
    np.testing.assert_array_equal(
        read_features(tmp_path / "x.npz", options=ReadOptions(key="b")).values,
        VALUES,
    )


@pytest.mark.parametrize("ending", [".npz", ".safetensors"])
def test_every_key_is_named_where_none_is_meant(tmp_path: Path, ending: str) -> None:
    content = {"embeddings": VALUES, "coords": COORDS, "inside": np.ones(6, bool)}
    path = tmp_path / f"x{ending}"
    if ending == ".npz":
        np.savez(path, **content)
    else:
        save_file(content, path)
    with pytest.raises(
        FeatureFileError,
        match=r"expected one of features, .* found ",
    ) as caught:
        read_features(path)
    for shown in ("embeddings (6, 4)", "coords (6, 2)", "inside (6,)"):
        assert shown in str(caught.value)
    features = read_features(path, options=ReadOptions(key="embeddings"))
    np.testing.assert_array_equal(features.values, VALUES)
    np.testing.assert_array_equal(features.coords, COORDS)
    with pytest.raises(FeatureFileError, match="expected one of none, found "):
        read_features(path, options=ReadOptions(key="none"))


def test_memory_order_is_kept_simple(tmp_path: Path) -> None:
    np.save(tmp_path / "f.npy", np.asfortranarray(VALUES.astype(">f4")))
    values = read_features(tmp_path / "f.npy").values
    assert values.flags["C_CONTIGUOUS"]
    assert values.dtype == np.dtype("=f4")
    np.testing.assert_array_equal(values, VALUES)


def test_ordered_dict_is_plain(tmp_path: Path) -> None:
    torch.save(OrderedDict(feats=torch.from_numpy(VALUES)), tmp_path / "o.pt")
    np.testing.assert_array_equal(read_features(tmp_path / "o.pt").values, VALUES)


# -- what lies beside, and what is no file


@pytest.mark.parametrize(
    "ending",
    [".pt", ".npy", ".npz", ".safetensors", ".zarr", ".h5"],
)
def test_pipes_and_devices_are_not_opened(tmp_path: Path, ending: str) -> None:
    os.mkfifo(tmp_path / f"a{ending}")
    (tmp_path / f"b{ending}").symlink_to("/dev/zero")
    with pytest.raises(
        FeatureFileError,
        match=rf"a\{ending}: expected a file, got a pipe",
    ):
        read_features(tmp_path / f"a{ending}")
    with pytest.raises(
        FeatureFileError,
        match=rf"b\{ending}: expected a file, got a device",
    ):
        read_features(tmp_path / f"b{ending}")


@pytest.mark.parametrize(
    "beside",
    [
        "a.index.npz",
        "a.npy",
        "bags_config.json",
        "../coordinates/a.npy",
        "../patches/a_patches.h5",
    ],
)
@pytest.mark.parametrize("kind", ["a pipe", "a device", "a folder", "no such file"])
def test_what_lies_beside_is_a_file_or_absent(
    tmp_path: Path,
    beside: str,
    kind: str,
) -> None:
    path = tmp_path / "features" / "a.pt"
    place = path.parent / beside
    path.parent.mkdir()
    place.parent.mkdir(exist_ok=True)
    torch.save(torch.from_numpy(VALUES), path)
    if kind == "a pipe":
        os.mkfifo(place)
    elif kind == "a folder":
        place.mkdir()
    else:
        place.symlink_to("/dev/zero" if kind == "a device" else "gone")
    with pytest.raises(FeatureFileError, match=rf"{place.name}: .*{kind}"):
        read_features(path)


def test_a_name_of_the_greatest_length_has_no_neighbours(tmp_path: Path) -> None:
    path = tmp_path / ("a" * 250 + ".pt")
    torch.save(torch.from_numpy(VALUES), path)
    np.testing.assert_array_equal(read_features(path).values, VALUES)


@pytest.mark.parametrize(
    ("places", "message"),
    [
        (
            np.array([2**64 - 5, 0, 0, 0, 0, 0], np.uint64),
            "coordinates from 0 to 18446744073709551611, expected",
        ),
        (
            np.array([-(2**62), 0, 0, 0, 0, 0]),
            "coordinates from -4611686018427387904 to 0, expected places",
        ),
        (
            np.array([1e300, 0, 0, 0, 0, 0]),
            r"coordinates from 0\.0 to 1e\+300, expected places on a slide",
        ),
        (np.array([np.nan, 0, 0, 0, 0, 0]), "coordinates hold NaN"),
        (np.array(["1"] * 6), "coordinates have dtype <U1, expected numbers"),
    ],
)
def test_coordinates_beyond_any_slide(
    tmp_path: Path,
    places: np.ndarray,
    message: str,
) -> None:
    torch.save(torch.from_numpy(VALUES), tmp_path / "a.pt")
    table = np.zeros(6, dtype=[("x", places.dtype), ("y", places.dtype)])
    table["x"] = table["y"] = places
    np.save(tmp_path / "a.npy", table)
    with pytest.raises(FeatureFileError, match=message):
        read_features(tmp_path / "a.pt")


# -- headers of numpy and safetensors


def npy(about: str, stored: bytes = bytes(64), version: bytes = b"\x01\x00") -> bytes:
    text = about.encode().ljust(117) + b"\n"
    return b"\x93NUMPY" + version + struct.pack("<H", len(text)) + text + stored


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            npy(
                "{'descr': '<f4', 'fortran_order': False, 'shape': (4, 4)}",
                bytes(224),
            ),
            "224 bytes after .* 64",
        ),
        (
            npy("{'descr': '<f4', 'fortran_order': False, 'shape': (4, 4)}", bytes(60)),
            "60 bytes after .* 64",
        ),
        (
            npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-4, -4)}"),
            "expected counts >= 0",
        ),
        (
            npy(
                f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({2**40}, {2**40})}}",
            ),
            "at most 16 GiB",
        ),
        (
            npy("{'descr': '<f4', 'fortran_order': False, 'shape': (4, 4]}"),
            "Cannot parse header",
        ),
        (npy("(" * 100), r"h\.npy: expected a whole \.npy file"),
        (npy("'\\ud800"), r"h\.npy: expected a whole \.npy file"),
        (
            npy(
                "{'descr': ('<f4', (1000000000,)), 'fortran_order': False, 'shape': (1,)}",
            ),
            "h.npy: expected a",
        ),
        (
            npy("{'descr': '|V2147483647', 'fortran_order': False, 'shape': (1,)}"),
            "expected plain numbers",
        ),
        (
            npy(
                "{'descr': '<f4', 'fortran_order': False, 'shape': (4, 4)}",
                version=b"\x09\x00",
            ),
            "is unknown",
        ),
        (b"\x93NUM", r"h\.npy: expected a whole \.npy file"),
    ],
)
def test_headers_of_numpy_that_lie(
    tmp_path: Path,
    content: bytes,
    message: str,
) -> None:
    (tmp_path / "h.npy").write_bytes(content)
    with pytest.raises(FeatureFileError, match=message):
        read_features(tmp_path / "h.npy")
    with zipfile.ZipFile(tmp_path / "h.npz", "w") as archive:
        archive.writestr("features.npy", content)
    with pytest.raises(FeatureFileError, match=r"h\.npz: "):
        read_features(tmp_path / "h.npz")


@pytest.mark.slow
def test_an_archive_of_zeros_is_not_unpacked(tmp_path: Path) -> None:
    with (
        zipfile.ZipFile(tmp_path / "z.npz", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("features.npy", "w") as member,
    ):
        member.write(header((2**17, 1024)))
        for _ in range(512):
            member.write(bytes(2**20))
    with pytest.raises(
        FeatureFileError,
        match=r"claims 512\.0 MiB where .* KiB are stored; refused unread",
    ):
        read_features(tmp_path / "z.npz")


@pytest.mark.parametrize(
    "text",
    [
        '{"features":{"dtype":"F32","shape":[1000000,1000000],"data_offsets":[0,4000000000000]}}',
        '{"features":{"dtype":"F32","shape":[4,4],"data_offsets":[0,64]},"coords":{"dtype":"F32","shape":[4,4],'
        '"data_offsets":[0,64]}}',
        '{"features":{"dtype":"Q32","shape":[4,4],"data_offsets":[0,64]}}',
        '{"features":[1]}',
        "[" * 500,
    ],
)
def test_headers_of_safetensors_that_lie(tmp_path: Path, text: str) -> None:
    (tmp_path / "s.safetensors").write_bytes(
        struct.pack("<Q", len(text)) + text.encode() + bytes(64),
    )
    with pytest.raises(
        FeatureFileError,
        match=r"s\.safetensors: expected a whole safetensors file",
    ):
        read_features(tmp_path / "s.safetensors")
