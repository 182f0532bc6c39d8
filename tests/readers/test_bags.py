"""The packed store: streamed, whole or absent, and quick to gather from."""

from __future__ import annotations

import errno
import io
import json
import multiprocessing
import os
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from survfuse._errors import FeatureFileError
from survfuse.readers import BagStore, Features, bag_files, pack, packing, read_features

Items = list[tuple[str, str, Path]]


def slide(
    path: Path,
    tiles: int,
    *,
    dim: int = 4,
    dtype: str = "f2",
    encoder: str | None = None,
    seed: int = 0,
) -> Path:
    values = (
        np.random.default_rng([seed, tiles]).normal(size=(tiles, dim)).astype(dtype)
    )
    with h5py.File(path, "w") as file:
        stored = file.create_dataset("features", data=values)
        file["coords"] = np.arange(2 * tiles).reshape(tiles, 2)
        if encoder:
            stored.attrs["encoder"] = encoder
    return path


@pytest.fixture
def items(tmp_path: Path) -> Items:
    folder = tmp_path / "features"
    folder.mkdir()
    owners = {"s0": "P1", "s1": "P2", "s2": "P1", "s3": "P1", "s4": "P3"}
    return [
        (s, p, slide(folder / f"{s}.h5", 5 + i))
        for i, (s, p) in enumerate(owners.items())
    ]


def reference(items: Items, patients: list[str]) -> list[np.ndarray]:
    """Slow and plain: read each file again."""
    return [
        np.concatenate(
            [
                read_features(path).values
                for _, owner, path in items
                if owner == patient
            ],
        )
        for patient in patients
    ]


def test_pack_and_gather_equal_the_files(tmp_path: Path, items: Items) -> None:
    calls: list[tuple[int, int, str]] = []
    store = pack(items, tmp_path / "a.bags", progress=lambda *call: calls.append(call))
    assert calls == [(i + 1, 5, f"s{i}") for i in range(5)]
    assert (store.dim, store.tiles, store.patients, store.encoder) == (
        4,
        35,
        ("P1", "P2", "P3"),
        None,
    )
    assert store.features.dtype == np.float16
    assert not store.features.flags.writeable
    features, offsets = store.gather(["P3", "P1"])
    assert features.dtype == np.float32
    assert offsets.dtype == np.int64
    assert offsets.tolist() == [0, 9, 9 + 5 + 7 + 8]
    np.testing.assert_array_equal(
        features,
        np.concatenate(reference(items, ["P3", "P1"])).astype(np.float32),
    )
    assert store.rows("P1") == (slice(0, 5), slice(11, 18), slice(18, 26))
    assert store.slide_of("P1").tolist() == ["s0"] * 5 + ["s2"] * 7 + ["s3"] * 8
    assert store.coords("P1").shape == (20, 2)
    assert store.coords("P1")[5].tolist() == [0, 1]
    assert [s.slide_id for s in store.slides_of("P1")] == ["s0", "s2", "s3"]
    assert store.slides[0].source.endswith("features/s0.h5")
    assert store.slides[0].coord_unit == "level0_px"
    assert sorted(p.name for p in (tmp_path / "a.bags").iterdir()) == [
        "coords.npy",
        "features.npy",
        "index.json",
    ]


def test_patients_without_tiles_get_none(tmp_path: Path, items: Items) -> None:
    store = pack(items, tmp_path / "a.bags")
    features, offsets = store.gather(["nobody", "P2", "nobody"])
    assert offsets.tolist() == [0, 0, 6, 6]
    assert len(features) == 6
    assert store.rows("nobody") == ()
    assert store.coords("nobody").shape == (0, 2)
    assert store.slide_of("nobody").shape == (0,)
    assert store.gather([])[0].shape == (0, 4)


def test_sampling_is_seeded_and_without_replacement(
    tmp_path: Path,
    items: Items,
) -> None:
    store = pack(items, tmp_path / "a.bags")
    one, offsets = store.gather(["P1", "P2"], max_tiles=6, rng=np.random.default_rng(3))
    two, _ = store.gather(["P1", "P2"], max_tiles=6, rng=np.random.default_rng(3))
    np.testing.assert_array_equal(one, two)
    assert offsets.tolist() == [0, 6, 12]
    whole = {tuple(row) for row in store.gather(["P1"])[0]}
    drawn = [tuple(row) for row in one[:6]]
    assert len(set(drawn)) == 6
    assert set(drawn) <= whole
    np.testing.assert_array_equal(one[6:], store.gather(["P2"])[0])
    with pytest.raises(ValueError, match="max_tiles needs rng"):
        store.gather(["P1"], max_tiles=2)
    with pytest.raises(ValueError, match="max_tiles must be at least 1, got 0"):
        store.gather(["P1"], max_tiles=0, rng=np.random.default_rng(0))


def test_every_tile_is_equally_likely(tmp_path: Path, items: Items) -> None:
    store = pack(items, tmp_path / "a.bags")
    place = {tuple(row): i for i, row in enumerate(store.gather(["P1"])[0])}
    rng = np.random.default_rng(0)
    seen = np.zeros(20)
    for _ in range(1000):
        for row in store.gather(["P1"], max_tiles=5, rng=rng)[0]:
            seen[place[tuple(row)]] += 1
    assert abs(seen - 250).max() < 5 * np.sqrt(250 * 0.75)


def test_mixed_dtypes_become_float32(tmp_path: Path, items: Items) -> None:
    items[2] = ("s2", "P1", slide(tmp_path / "features" / "s2.h5", 7, dtype="f8"))
    store = pack(items, tmp_path / "a.bags")
    assert store.features.dtype == np.float32
    np.testing.assert_array_equal(
        store.gather(["P1"])[0],
        np.concatenate(reference(items, ["P1"])),
    )
    np.testing.assert_array_equal(store.gather(["P3"])[0], reference(items, ["P3"])[0])


def test_another_process_maps_the_same_files(tmp_path: Path, items: Items) -> None:
    store = pack(items, tmp_path / "a.bags")
    build, arguments = store.__reduce__()[:2]
    assert arguments == (tmp_path / "a.bags", None)
    assert build(*arguments).fingerprint() == store.fingerprint()
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(BagStore.fingerprint, (store,)) == store.fingerprint()


# -- agreement between files


def test_dimensions_must_agree(tmp_path: Path, items: Items) -> None:
    slide(items[3][2], 8, dim=6)
    with pytest.raises(
        FeatureFileError,
        match=r"slide s3 of patient P1: .*s3\.h5: 6 features per tile, .*s0\.h5 has 4",
    ):
        pack(items, tmp_path / "a.bags")
    assert [p.name for p in tmp_path.iterdir()] == [
        "features",
    ]  # nothing half-made stays


def test_encoders_must_agree(tmp_path: Path, items: Items) -> None:
    slide(items[1][2], 6, encoder="UNI-v1")
    slide(items[3][2], 8, encoder="uni_v1")
    store = pack(items, tmp_path / "a.bags")
    assert (
        store.encoder == "uni_v1"
    )  # the unnamed are taken to be of the one that is named
    slide(items[4][2], 9, encoder="conch")
    with pytest.raises(
        FeatureFileError,
        match=r"s4\.h5: made by encoder 'conch', .* says 'uni_v1'",
    ):
        pack(items, tmp_path / "b.bags")
    with pytest.raises(
        FeatureFileError,
        match=r"s1\.h5: made by encoder 'uni_v1', but 'virchow' was declared",
    ):
        pack(items, tmp_path / "b.bags", encoder="virchow")


def test_declared_encoder_names_the_unnamed(tmp_path: Path, items: Items) -> None:
    assert pack(items, tmp_path / "a.bags", encoder="UNI").encoder == "uni"
    assert BagStore.open(tmp_path / "a.bags").slides[0].encoder == "uni"


def test_scales_must_agree(tmp_path: Path, items: Items) -> None:
    with h5py.File(tmp_path / "features" / "stamp.h5", "w") as file:
        file["feats"] = np.ones((3, 4), np.float16)
        file.attrs.update(
            {
                "extractor": "uni",
                "unit": "um",
                "tile_size_um": 256.0,
                "tile_size_px": 256,
            },
        )
    items.append(("stamp", "P4", tmp_path / "features" / "stamp.h5"))
    assert pack(items, tmp_path / "a.bags").mpp == 1.0
    assert pack(items, tmp_path / "b.bags", mpp=1.01).mpp == 1.01
    with pytest.raises(
        FeatureFileError,
        match=r"stamp\.h5: tiles at mpp 1, .* says 0\.5",
    ):
        pack(items, tmp_path / "c.bags", mpp=0.5)


def test_bad_slides_are_named(tmp_path: Path, items: Items) -> None:
    with h5py.File(items[2][2], "r+") as file:
        file["features"][3, 1] = np.nan
    with pytest.raises(
        FeatureFileError,
        match=r"slide s2 of patient P1: .*s2\.h5: 1 of 28 feature values are NaN",
    ):
        pack(items, tmp_path / "a.bags")
    with pytest.raises(FeatureFileError, match="slide ids given twice: s1"):
        pack([*items, items[1]], tmp_path / "a.bags")


def test_empty_slides_need_permission(tmp_path: Path, items: Items) -> None:
    slide(items[4][2], 0, dim=0)
    with pytest.raises(
        FeatureFileError,
        match=r"s4\.h5: no tiles; .* allow_empty=True",
    ):
        pack(items, tmp_path / "a.bags")
    store = pack(items, tmp_path / "a.bags", allow_empty=True)
    assert store.patients == ("P1", "P2")
    assert store.slides[-1].tiles == 0
    with pytest.raises(FeatureFileError, match="none of 1 slides has a tile"):
        pack(items[4:], tmp_path / "b.bags", allow_empty=True)


def test_duplicates_across_patients(tmp_path: Path, items: Items) -> None:
    for place in (1, 2, 3):
        slide(items[place][2], 6)  # s1 of P2; s2 and s3 of P1: the same tiles
    assert pack(items, tmp_path / "a.bags").duplicates() == [("s1", "s2"), ("s1", "s3")]


# -- what lies there already


def test_same_files_are_not_packed_twice(tmp_path: Path, items: Items) -> None:
    pack(items, tmp_path / "a.bags")
    before = (tmp_path / "a.bags" / "features.npy").stat().st_ino
    pack(items, tmp_path / "a.bags")
    assert (tmp_path / "a.bags" / "features.npy").stat().st_ino == before
    slide(items[0][2], 9, seed=1)
    with pytest.raises(
        FeatureFileError,
        match=r"a\.bags: exists, but .* pass overwrite=True \(`--force`\)",
    ):
        pack(items, tmp_path / "a.bags")
    assert pack(items, tmp_path / "a.bags", overwrite=True).tiles == 39
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.bags", "features"]


def test_a_link_to_a_store_stays(tmp_path: Path, items: Items) -> None:
    place = tmp_path / "disk" / "a.bags"
    pack(items[:1], place)
    (tmp_path / "a.bags").symlink_to(place)
    store = pack(items, tmp_path / "a.bags", overwrite=True)
    assert (tmp_path / "a.bags").is_symlink()
    assert BagStore.open(place).tiles == store.tiles


def test_other_folders_are_never_overwritten(tmp_path: Path, items: Items) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").touch()
    with pytest.raises(
        FeatureFileError,
        match="thesis: not a bag store, so it is not overwritten",
    ):
        pack(items, tmp_path / "thesis", overwrite=True)
    assert (tmp_path / "thesis" / "chapter1.tex").exists()


@pytest.mark.parametrize(
    "names",
    [["features.npy"], ["features.npy", "coords.npy"], ["index.json"]],
)
def test_files_that_are_called_as_ours_are_never_overwritten(
    tmp_path: Path,
    items: Items,
    names: list[str],
) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    for name in names:
        (mine / name).write_text("my own work")
    with pytest.raises(
        FeatureFileError,
        match="mine: not a bag store, so it is not overwritten",
    ):
        pack(items, mine, overwrite=True)
    assert [(mine / name).read_text() for name in names] == ["my own work"] * len(names)


@pytest.mark.parametrize("name", ["index.json", "features.npy", "coords.npy"])
def test_a_damaged_store_can_be_packed_again(
    tmp_path: Path,
    items: Items,
    name: str,
) -> None:
    folder = tmp_path / "a.bags"
    before = pack(items, folder).fingerprint()
    (folder / name).unlink()
    if name == "index.json":  # nothing says any more whose it was
        with pytest.raises(FeatureFileError, match="not a bag store"):
            pack(items, folder, overwrite=True)
        return
    with pytest.raises(
        FeatureFileError,
        match=r"not a whole store of these files .*`--force`",
    ):
        pack(items, folder)
    assert pack(items, folder, overwrite=True).fingerprint() == before


def test_devices_are_never_replaced(items: Items) -> None:
    with pytest.raises(FeatureFileError, match="/dev/full: not a bag store"):
        pack(items, "/dev/full", overwrite=True)
    assert Path("/dev/full").is_char_device()


@pytest.mark.parametrize(
    "name",
    ["n" * 300, "x/" + "n" * 300 + "/y", "a\0b", "/dev/null/x", "/proc/x"],
)
def test_a_place_that_cannot_be_written_is_known_before(
    tmp_path: Path,
    items: Items,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delattr(packing, "read_features")  # no file is read before
    with pytest.raises(FeatureFileError, match=r"choose|NUL"):
        pack(items, name)
    assert [one.name for one in tmp_path.iterdir()] == ["features"]


def test_items_of_another_form_are_named(tmp_path: Path, items: Items) -> None:
    with pytest.raises(
        FeatureFileError,
        match=r"items\[1\]: expected \(slide_id, patient_id, path\), got",
    ):
        pack([items[0], items[1][:2]], tmp_path / "a.bags")  # type: ignore[list-item]


def test_coordinates_beside_a_file_are_part_of_it(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("features", "coordinates"):
        (tmp_path / name).mkdir()
    source = tmp_path / "features" / "s.pt"
    torch.save(torch.from_numpy(rng.normal(size=(3, 4)).astype("f4")), source)
    corners = np.zeros(3, dtype=[("x", "<i8"), ("y", "<i8")])
    np.save(tmp_path / "coordinates" / "s.npy", corners)
    pack([("s", "P", source)], tmp_path / "a.bags")
    pack([("s", "P", source)], tmp_path / "a.bags")
    corners["x"] += 7
    np.save(tmp_path / "coordinates" / "s.npy", corners)
    with pytest.raises(FeatureFileError, match=r"s\.pt has changed"):
        pack([("s", "P", source)], tmp_path / "a.bags")


def test_broken_stores_are_refused(tmp_path: Path, items: Items) -> None:
    folder = tmp_path / "a.bags"
    pack(items, folder)
    data = (folder / "features.npy").read_bytes()
    (folder / "features.npy").write_bytes(data[:-8])
    with pytest.raises(FeatureFileError, match=r"features\.npy: cut off"):
        BagStore.open(folder)
    with pytest.raises(FeatureFileError, match="not a whole store of these files"):
        pack(items, folder)
    buffer = io.BytesIO()
    np.save(buffer, np.zeros((34, 4), np.float16))
    (folder / "features.npy").write_bytes(buffer.getvalue())
    with pytest.raises(
        FeatureFileError,
        match=r"float16 of shape \(34, 4\), the index says float16 of shape \(35, 4\)",
    ):
        BagStore.open(folder)
    (folder / "features.npy").unlink()
    with pytest.raises(FeatureFileError, match=r"features\.npy: no such file"):
        BagStore.open(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"version": 2},
            "version 2 of the format, this survfuse reads 1; update survfuse",
        ),
        ({"format": "other"}, "expected format 'survfuse-bags'"),
        ({"dim": -1}, "not a whole index"),
        ({"dim": 10**12}, r"the index says float16 of shape \(35, 1000000000000\)"),
        ({"dim": 4.0}, "not a whole index .dim: Input should be a valid integer"),
        (
            {"dtype": ["float16"]},
            "not a whole index .dtype: Input should be a valid string",
        ),
        ({"encoder": 3}, "not a whole index"),
        ({"mpp": "0.5"}, "not a whole index .mpp: Input should be a valid"),
        ({"options": [1]}, "not a whole index .expected options by name"),
        ({"slides": {"a": 1}}, "not a whole index .expected a list of slides"),
        (
            {"slides": [["a", "b", 0, 1]]},
            "not a whole index .*argument after .. must be a mapping",
        ),
        ({"slides": [{"slide_id": "a"}]}, "not a whole index"),
        (
            {
                "slides": [
                    {
                        "slide_id": "a",
                        "patient_id": "b",
                        "start": 0,
                        "stop": 35,
                        "content": ["x"],
                    },
                ],
            },
            "content: Input should be a valid string",
        ),
        (
            {
                "slides": [
                    {
                        "slide_id": "a",
                        "patient_id": "b",
                        "start": 0,
                        "stop": 35,
                        "tile_um": "8",
                    },
                ],
            },
            "tile_um: Input should be a valid",
        ),
        (
            {
                "slides": [
                    {"slide_id": "a", "patient_id": "b", "start": 0, "stop": 10**18},
                ],
            },
            "the index says float16 of shape",
        ),
        ({"dtype": "object"}, "dtype 'object', expected float16 or float32"),
        (
            {"slides": [{"slide_id": "a", "patient_id": "b", "start": 5, "stop": 9}]},
            r"\[5, 9\), expected to start at 0",
        ),
        (
            {"slides": [{"slide_id": 1, "patient_id": "b", "start": 0, "stop": 9}]},
            "slide_id: Input should be a valid string",
        ),
        (
            {
                "slides": [{"slide_id": "a", "patient_id": "b", "start": 0, "stop": 0}]
                * 2,
            },
            "a slide id appears twice",
        ),
    ],
)
def test_broken_indices_are_refused(
    tmp_path: Path,
    items: Items,
    change: dict[str, object],
    message: str,
) -> None:
    folder = tmp_path / "a.bags"
    pack(items, folder)
    content = json.loads((folder / "index.json").read_text())
    del content["sha256"]  # as in older stores
    (folder / "index.json").write_text(json.dumps(content | change))
    with pytest.raises(FeatureFileError, match=message):
        BagStore.open(folder)


def test_an_index_of_empty_lists_is_refused_unread(
    tmp_path: Path,
    items: Items,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path / "a.bags"
    pack(items, folder)
    junk = "[]," * 10_000
    (folder / "index.json").write_text(
        f'{{"format": "survfuse-bags", "slides": [{junk} 1]}}',
    )
    monkeypatch.delattr(bag_files, "read_json")
    with pytest.raises(
        FeatureFileError,
        match=r"index\.json: 10002 lists in \d+ bytes are no index",
    ):
        BagStore.open(folder)


@pytest.mark.parametrize("name", ["index.json", "features.npy", "coords.npy"])
def test_a_pipe_is_no_file_of_a_store(tmp_path: Path, items: Items, name: str) -> None:
    folder = tmp_path / "a.bags"
    pack(items, folder)
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(FeatureFileError, match=rf"{name}: expected a file, got a pipe"):
        BagStore.open(folder)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (
            "{'descr': '<f2', 'fortran_order': False, 'shape': (-35, 4), }",
            r"of shape \(-35, 4\)",
        ),
        (
            "{'descr': '<f2', 'fortran_order': True, 'shape': (35, 4), }",
            "the index says",
        ),
        (
            "{'descr': '|O', 'fortran_order': False, 'shape': (35, 4), }",
            "the index says",
        ),
        ("{'descr': '<f2', 'shape': (35, 4), }", r"a whole \.npy file"),
        ("(" * 90, r"a whole \.npy file"),
    ],
)
def test_hostile_headers_are_refused(
    tmp_path: Path,
    items: Items,
    header: str,
    message: str,
) -> None:
    folder = tmp_path / "a.bags"
    pack(items, folder)
    path = folder / "features.npy"
    data = path.read_bytes()
    path.write_bytes(data[:10] + header.ljust(117).encode() + b"\n" + data[128:])
    with pytest.raises(FeatureFileError, match=message):
        BagStore.open(folder)


def test_bytes_after_the_matrix_are_refused(tmp_path: Path, items: Items) -> None:
    folder = tmp_path / "a.bags"
    pack(items, folder)
    with (folder / "features.npy").open("ab") as file:
        file.write(b"more")
    with pytest.raises(
        FeatureFileError,
        match=r"features\.npy: cut off or added to \(412 bytes, expected 408",
    ):
        BagStore.open(folder)


def test_open_without_a_store(tmp_path: Path) -> None:
    with pytest.raises(
        FeatureFileError,
        match=r"not a bag store: .*index\.json: no such file",
    ):
        BagStore.open(tmp_path / "none.bags")


# -- in memory


def test_from_arrays() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(3, 2)), rng.normal(size=(4, 2)).astype(np.float16)
    store = BagStore.from_arrays(
        [("a", "P1", a), ("b", "P2", b, np.ones((4, 2)))],
        encoder="UNI",
        mpp=0.5,
    )
    assert (store.path, store.encoder, store.mpp, store.features.dtype) == (
        None,
        "uni",
        0.5,
        np.float32,
    )
    np.testing.assert_allclose(
        store.gather(["P2", "P1"])[0],
        np.concatenate([b, a]),
        rtol=1e-6,
    )
    assert np.isnan(store.coords("P1")).all()
    assert store.coords("P2").tolist() == [[1, 1]] * 4
    again = store.__reduce__()
    assert again[0](*again[1]).fingerprint() == store.fingerprint()
    with pytest.raises(FeatureFileError, match="slide c: 3 features per tile"):
        BagStore.from_arrays([("a", "P1", a), ("c", "P2", np.ones((2, 3)))])
    with pytest.raises(FeatureFileError, match="a slide id appears twice"):
        BagStore.from_arrays([("a", "P1", a), ("a", "P2", a)])


def test_fingerprint_follows_content_not_place(tmp_path: Path, items: Items) -> None:
    one, two = pack(items, tmp_path / "a.bags"), pack(items, tmp_path / "b.bags")
    assert one.fingerprint() == two.fingerprint()
    slide(items[0][2], 5, seed=9)
    assert pack(items, tmp_path / "c.bags").fingerprint() != one.fingerprint()
    assert isinstance(read_features(items[0][2]), Features)


def test_a_file_that_may_not_be_read_is_not_called_unwritable(
    tmp_path: Path,
    items: Items,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(path: Path) -> str:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(packing, "sha256_path", refused)
    with pytest.raises(
        FeatureFileError,
        match=r"s0\.h5: cannot be read \(Permission denied\)$",
    ):
        pack(items, tmp_path / "a.bags")
