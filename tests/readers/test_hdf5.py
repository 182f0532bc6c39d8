"""HDF5 of CLAM, TRIDENT and STAMP; and files that lie."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from survfuse._errors import FeatureFileError
from survfuse.readers import ReadOptions, read_features

RNG = np.random.default_rng(0)


def clam(path: Path, tiles: int = 7, dim: int = 5) -> np.ndarray:
    values = RNG.normal(size=(tiles, dim)).astype(np.float32)
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file["features"] = values
        file["coords"] = np.arange(2 * tiles, dtype=np.int32).reshape(tiles, 2)
    return values


def test_clam_with_its_patch_file(tmp_path: Path) -> None:
    values = clam(tmp_path / "h5_files" / "007.h5")
    (tmp_path / "patches").mkdir()
    with h5py.File(tmp_path / "patches" / "007.h5", "w") as file:
        file["coords"] = np.zeros((7, 2), int)
        file["coords"].attrs.update(
            {"patch_size": 256, "patch_level": 1, "downsample": np.array([4.0, 4.0])},
        )
    features = read_features(tmp_path / "h5_files" / "007.h5")
    np.testing.assert_array_equal(features.values, values)
    assert features.values.dtype == np.float32
    assert features.coords is not None
    assert features.coords.dtype == np.int64
    assert (features.tool, features.coord_unit, features.slide_id) == (
        "clam",
        "level0_px",
        "007",
    )
    assert (features.patch_size_level0, features.encoder, features.mpp) == (
        1024.0,
        None,
        None,
    )
    assert len(features) == 7
    assert features.dim == 5


@pytest.mark.parametrize("named", [True, False])
def test_trident(tmp_path: Path, named: bool) -> None:
    folder = tmp_path / "features_uni_v1"
    folder.mkdir()
    with h5py.File(folder / "a.b.h5", "w") as file:
        stored = file.create_dataset(
            "features",
            data=RNG.normal(size=(1, 4, 3)).astype(np.float16),
            compression="gzip",
        )
        if named:
            stored.attrs["encoder"] = "UNI-v1"
        at = file.create_dataset("coords", data=np.zeros((4, 2), np.int64))
        at.attrs.update(
            {
                "patch_size": 256,
                "patch_size_level0": 509.3,
                "target_magnification": 20,
                "overlap": 0,
            },
        )
    features = read_features(folder / "a.b.h5")
    assert features.values.shape == (4, 3)
    assert features.values.dtype == np.float16
    assert (features.tool, features.encoder, features.slide_id) == (
        "trident",
        "uni_v1",
        "a.b",
    )
    assert (features.patch_size_level0, features.magnification, features.mpp) == (
        509.3,
        20.0,
        None,
    )
    assert bool(features.notes) is not named


def test_stamp(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "s.h5", "w") as file:
        file["feats"] = np.ones((3, 4), np.float16)
        file["coords"] = np.array([[0, 0], [256.0, 0], [0, 256.0]], np.float32)
        file.attrs.update(
            {
                "extractor": "uni2",
                "unit": "um",
                "tile_size_um": 256.0,
                "tile_size_px": 224,
                "feat_type": "tile",
            },
        )
    features = read_features(tmp_path / "s.h5")
    assert (features.tool, features.encoder, features.coord_unit, features.tile_um) == (
        "stamp",
        "uni2",
        "um",
        256.0,
    )
    assert features.mpp == pytest.approx(256 / 224)
    with h5py.File(tmp_path / "s.h5", "r+") as file:
        file.attrs["feat_type"] = "slide"
    with pytest.raises(
        FeatureFileError,
        match=r"s\.h5: holds slide-level features, expected one row per tile or one",
    ):
        read_features(tmp_path / "s.h5")


def test_slide_vectors_of_stamp_and_trident(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "s.h5", "w") as file:
        file["feats"] = np.ones(8, np.float32)
        file.attrs.update({"encoder": "cobra", "feat_type": "slide"})
    features = read_features(tmp_path / "s.h5")
    assert (features.values.shape, features.tool, features.encoder) == (
        (1, 8),
        "stamp",
        "cobra",
    )
    (tmp_path / "slide_features_titan").mkdir()
    clam(tmp_path / "slide_features_titan" / "t.h5")
    with h5py.File(tmp_path / "slide_features_titan" / "t.h5", "r+") as file:
        del file["features"]
        file["features"] = np.ones(8, np.float32)
    features = read_features(tmp_path / "slide_features_titan" / "t.h5")
    assert (features.values.shape, features.coords, features.encoder) == (
        (1, 8),
        None,
        "titan",
    )
    with h5py.File(tmp_path / "s.h5", "r+") as file:
        file.attrs["feat_type"] = "cell"
    with pytest.raises(
        FeatureFileError,
        match="feat_type is 'cell', expected tile, slide or patient",
    ):
        read_features(tmp_path / "s.h5")


def test_features_left_out_keep_the_numbers_of_the_others(tmp_path: Path) -> None:
    values = np.arange(12, dtype=np.float32).reshape(2, 6)
    values[0, 4] = np.nan
    with h5py.File(tmp_path / "n.h5", "w") as file:
        file["features"] = values
    with pytest.raises(
        FeatureFileError,
        match=r"columns 4 .*`exclude_features: \[1, 3, 4\]`",
    ):
        read_features(tmp_path / "n.h5", options=ReadOptions(exclude_features=(1, 3)))
    features = read_features(
        tmp_path / "n.h5",
        options=ReadOptions(exclude_features=(1, 3, 4)),
    )
    np.testing.assert_array_equal(features.values, values[:, [0, 2, 5]])
    with pytest.raises(
        FeatureFileError,
        match=r"has 6 features per tile, counted from 0, .* no feature 6, 9",
    ):
        read_features(tmp_path / "n.h5", options=ReadOptions(exclude_features=(6, 9)))


@pytest.mark.parametrize(("shape", "dim"), [((0, 8), 8), ((0,), 0)])
def test_empty_slides(tmp_path: Path, shape: tuple[int, ...], dim: int) -> None:
    with h5py.File(tmp_path / "e.h5", "w") as file:
        file["features"] = np.zeros(shape, np.float32)
        file["coords"] = np.zeros(shape[:1], np.int64)
    features = read_features(tmp_path / "e.h5")
    assert (len(features), features.dim) == (0, dim)


def test_key_order_and_cast(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "k.h5", "w") as file:
        file["patch_embeddings"] = np.full((2, 3), 3.0)
        file["feats"] = np.full((2, 3), 2.0)
        file["features"] = np.full((2, 3), 1.0)
    assert read_features(tmp_path / "k.h5").values.tolist() == np.ones((2, 3)).tolist()
    assert read_features(tmp_path / "k.h5").values.dtype == np.float32
    with h5py.File(tmp_path / "k.h5", "r+") as file:
        del file["features"]
    assert read_features(tmp_path / "k.h5").values[0, 0] == 2


def test_declared_encoder(tmp_path: Path) -> None:
    clam(tmp_path / "c.h5")
    assert read_features(tmp_path / "c.h5", encoder="UNI v2").encoder == "uni_v2"
    with h5py.File(tmp_path / "c.h5", "r+") as file:
        file["features"].attrs["encoder"] = "conch"
    with pytest.raises(
        FeatureFileError,
        match=r"c\.h5: made by encoder 'conch', but 'uni' was declared",
    ):
        read_features(tmp_path / "c.h5", encoder="uni")


# -- hostile and broken


def test_a_small_file_that_claims_terabytes(tmp_path: Path) -> None:
    path = tmp_path / "bomb.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset(
            "features",
            shape=(2_000_000_000, 1536),
            dtype="f4",
            chunks=(1024, 1536),
        )
    assert path.stat().st_size < 10_000
    with pytest.raises(
        FeatureFileError,
        match=r"bomb\.h5: 'features' claims shape .* GiB; at most 16 GiB",
    ):
        read_features(path)


@pytest.mark.parametrize("chunks", [None, (64, 8)])
def test_values_never_written(tmp_path: Path, chunks: tuple[int, int] | None) -> None:
    path = tmp_path / "unwritten.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("features", shape=(1000, 8), dtype="f4", chunks=chunks)
    with pytest.raises(
        FeatureFileError,
        match=r"unwritten\.h5: 'features': claims 31\.2 KiB where 0 bytes are stored",
    ):
        read_features(path)


def test_one_chunk_missing(tmp_path: Path) -> None:
    path = tmp_path / "partial.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("features", shape=(128, 8), dtype="f4", chunks=(64, 8))[
            :64
        ] = 1.0
    with pytest.raises(FeatureFileError, match=r"part of 'features' was never written"):
        read_features(path)


def test_compression_bomb(tmp_path: Path) -> None:
    path = tmp_path / "ones.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset(
            "features",
            data=np.ones((4096, 1024), np.float32),
            chunks=(64, 1024),
            compression=9,
        )
    assert read_features(path).values.shape == (
        4096,
        1024,
    )  # they compress well, and are no bomb


def test_a_slide_of_zeros_is_refused_and_a_tile_of_zeros_is_not(tmp_path: Path) -> None:
    values = np.zeros((4, 8), np.float32)
    np.save(tmp_path / "s.npy", values)
    with pytest.raises(
        FeatureFileError,
        match="every feature of its 4 tiles is 0, so nothing was extracted",
    ):
        read_features(tmp_path / "s.npy")
    values[2, 1] = 0.5
    np.save(tmp_path / "s.npy", values)
    assert read_features(tmp_path / "s.npy").values.shape == (4, 8)


def test_links_are_not_followed(tmp_path: Path) -> None:
    clam(tmp_path / "secret.h5")
    with h5py.File(tmp_path / "external.h5", "w") as file:
        file["features"] = h5py.ExternalLink("secret.h5", "/features")
    with h5py.File(tmp_path / "soft.h5", "w") as file:
        file["hidden"] = np.ones((2, 2), np.float32)
        file["features"] = h5py.SoftLink("/hidden")
    with pytest.raises(FeatureFileError, match="'features' is a link to another file"):
        read_features(tmp_path / "external.h5")
    with pytest.raises(FeatureFileError, match="'features' is a soft link"):
        read_features(tmp_path / "soft.h5")


def test_virtual_dataset(tmp_path: Path) -> None:
    clam(tmp_path / "real.h5")
    layout = h5py.VirtualLayout(shape=(7, 5), dtype="f4")
    layout[:] = h5py.VirtualSource(tmp_path / "real.h5", "features", shape=(7, 5))
    with h5py.File(tmp_path / "virtual.h5", "w") as file:
        file.create_virtual_dataset("features", layout)
    with pytest.raises(FeatureFileError, match="is a virtual dataset over other files"):
        read_features(tmp_path / "virtual.h5")


def test_external_storage(tmp_path: Path) -> None:
    (tmp_path / "passwords").write_bytes(b"x" * 64)
    with h5py.File(tmp_path / "outside.h5", "w") as file:
        file.create_dataset(
            "features",
            shape=(4, 4),
            dtype="f4",
            external=[(str(tmp_path / "passwords"), 0, 64)],
        )
    with pytest.raises(FeatureFileError, match="keeps its values in another file"):
        read_features(tmp_path / "outside.h5")


def test_truncated(tmp_path: Path) -> None:
    clam(tmp_path / "t.h5", tiles=500)
    data = (tmp_path / "t.h5").read_bytes()
    (tmp_path / "t.h5").write_bytes(data[: len(data) // 2])
    with pytest.raises(FeatureFileError, match=r"t\.h5: not a whole HDF5 file"):
        read_features(tmp_path / "t.h5")
    (tmp_path / "t.h5").write_bytes(b"")
    with pytest.raises(FeatureFileError, match=r"t\.h5: not a whole HDF5 file"):
        read_features(tmp_path / "t.h5")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.array([b"a", b"b"]), "has dtype .S1, expected plain numbers"),
        (np.ones((2, 2), np.int32), "has dtype int32, expected plain numbers"),
        (
            np.ones((2, 2, 2, 2), np.float32),
            r"has shape \(2, 2, 2, 2\), expected \(tiles, columns\)",
        ),
        (np.ones((2, 2, 2), np.float32), r"shape \(2, 2, 2\), expected \(tiles, dim\)"),
        (np.ones((4, 0), np.float32), r"shape \(4, 0\), expected \(tiles, dim\)"),
        (
            np.array([[1.0, np.nan], [np.inf, 1.0], [1.0, 1.0]]),
            r"2 of 6 feature values are NaN or infinite \(in 2 of 3 tiles\): columns 0, 1 \(",
        ),
        (np.array([[1e300]]), "1 of 1 feature values are NaN or infinite"),
        (
            np.array([[np.nan, np.nan, np.nan], [1.0, np.nan, 1.0], [1.0, 1.0, 1.0]]),
            r"2 of 3 tiles\): 1 tiles without a finite value \(rows 0, counted from 0\) and columns 1",
        ),
        (
            np.array([[np.nan, 1.0, 1.0], [np.nan, 1.0, np.inf]]),
            r"columns 0, 2 \(counted from 0\); `exclude_features: \[0, 2\]` leaves them out of every slide; ",
        ),
    ],
)
def test_wrong_features(tmp_path: Path, values: np.ndarray, message: str) -> None:
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file["features"] = values
    with pytest.raises(FeatureFileError, match=r"w\.h5: .*" + message):
        read_features(tmp_path / "w.h5")


def test_coordinates_must_pair(tmp_path: Path) -> None:
    clam(tmp_path / "c.h5")
    with h5py.File(tmp_path / "c.h5", "r+") as file:
        del file["coords"]
        file["coords"] = np.zeros((6, 2), int)
    with pytest.raises(
        FeatureFileError,
        match=r"7 tiles have features, but the coordinates have shape \(6, 2\)",
    ):
        read_features(tmp_path / "c.h5")


def test_no_features_says_what_is_there(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "p.h5", "w") as file:
        file["coords"] = np.zeros((6, 2), int)
    with pytest.raises(
        FeatureFileError,
        match=r"expected one of features, feats, patch_embeddings, .*, found coords",
    ):
        read_features(tmp_path / "p.h5")
    with h5py.File(tmp_path / "e.h5", "w") as file:
        file["embeddings"], file["coords"] = (
            np.ones((6, 3), np.float32),
            np.zeros((6, 2), int),
        )
        file["elsewhere"] = h5py.ExternalLink("p.h5", "/coords")
        file.create_group("more")
    with pytest.raises(
        FeatureFileError,
        match=r"found coords \(6, 2\), elsewhere \(a link\), emb.* `key: NAME`",
    ):
        read_features(tmp_path / "e.h5")
    assert read_features(
        tmp_path / "e.h5",
        options=ReadOptions(key="embeddings"),
    ).values.shape == (6, 3)
    with pytest.raises(FeatureFileError, match="'elsewhere' is a link to another file"):
        read_features(tmp_path / "e.h5", options=ReadOptions(key="elsewhere"))
    with h5py.File(tmp_path / "g.h5", "w") as file:
        file.create_group("features")
    with pytest.raises(FeatureFileError, match="'features' is a group"):
        read_features(tmp_path / "g.h5")


# -- our own bags


def own(path: Path, **attrs: object) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("features", data=np.ones((2, 3), np.float16)).attrs[
            "encoder"
        ] = "UNI"
        file.create_dataset("coords", data=np.zeros((2, 2), np.int64)).attrs.update(
            {
                "patch_size": 224,
                "patch_size_level0": 448.0,
                "target_magnification": 20.0,
            },
        )
        file.attrs.update(
            {
                "format": "survfuse-bag",
                "version": 1,
                "mpp": 0.5,
                "tile_um": 112.0,
                **attrs,
            },
        )


def test_our_own_bags_say_the_scale(tmp_path: Path) -> None:
    (tmp_path / "features_other").mkdir()
    own(tmp_path / "features_other" / "s.h5")
    features = read_features(tmp_path / "features_other" / "s.h5")
    assert (features.tool, features.encoder, features.coord_unit) == (
        "survfuse",
        "uni",
        "level0_px",
    )
    assert (features.mpp, features.tile_um, features.patch_size_level0) == (
        0.5,
        112.0,
        448.0,
    )
    assert (
        features.magnification is None
    )  # µm/px is exact; a rounded power would contradict it
    assert features.notes == ()


def test_our_own_bags_of_a_later_version_are_refused(tmp_path: Path) -> None:
    own(tmp_path / "s.h5", version=2)
    with pytest.raises(
        FeatureFileError,
        match=r"s\.h5: survfuse-bag of version 2, 1 can be read; update",
    ):
        read_features(tmp_path / "s.h5")


def test_our_own_bags_are_judged_like_any_stranger(tmp_path: Path) -> None:
    own(tmp_path / "s.h5", mpp="half", tile_um=float("nan"))
    features = read_features(tmp_path / "s.h5")
    assert (features.mpp, features.tile_um) == (None, None)
    with h5py.File(tmp_path / "s.h5", "r+") as file:
        file["features"][0, 0] = np.nan
    with pytest.raises(FeatureFileError, match="1 of 6 feature values are NaN"):
        read_features(tmp_path / "s.h5")
