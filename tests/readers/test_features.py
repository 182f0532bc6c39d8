"""The door: names, locks, folders."""

from __future__ import annotations

import logging
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from survfuse._errors import FeatureFileError
from survfuse.readers import (
    find_features,
    normalise_encoder,
    read_features,
    slide_id_of,
)
from survfuse.readers.features import list_features


def save(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        np.save(file, np.ones((2, 3), np.float32))
    return path


@pytest.mark.parametrize(
    ("name", "slide"),
    [
        ("001.h5", "001"),
        ("TCGA-05-4249-01Z-00-DX1.9fce.H5", "TCGA-05-4249-01Z-00-DX1.9fce"),
        ("a_patches.pt", "a"),
        ("dispatches.pt", "dispatches"),
        ("a_patches_patches.h5", "a_patches"),
        ("slide.zarr", "slide"),
        ("3A_001_HE.pt", "3A_001_HE"),
    ],
)
def test_slide_ids(name: str, slide: str) -> None:
    assert slide_id_of(Path("folder") / name) == slide


def test_encoder_names() -> None:
    assert normalise_encoder(" Prov-GigaPath") == "prov_gigapath"


@pytest.mark.parametrize("lock", ["a.npy.lock", "a.lock"])
def test_locked_files_wait(
    tmp_path: Path,
    lock: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    save(tmp_path / "a.npy")
    save(tmp_path / "b.npy")
    (tmp_path / lock).touch()
    with pytest.raises(FeatureFileError, match=r"a\.npy: a \.lock file lies beside it"):
        read_features(tmp_path / "a.npy")
    with caplog.at_level(logging.WARNING):
        assert list(find_features(tmp_path)) == ["b"]
    assert "a.npy: left out" in caplog.text


def test_find_looks_into_the_folders_of_tools(tmp_path: Path) -> None:
    save(tmp_path / "20x_256px" / "features_uni" / "b.h5")
    save(tmp_path / "20x_256px" / "patches" / "b_patches.h5")
    save(tmp_path / "a.pt")
    save(tmp_path / "a.npy")  # its coordinates
    save(tmp_path / "s.index.npz")
    save(tmp_path / "notes.txt")
    save(tmp_path / ".hidden.h5")
    save(tmp_path / "done.bags" / "features.npy")
    (tmp_path / "w.zarr").mkdir()
    save(tmp_path / "w.zarr" / "inside.npy")
    found = find_features(tmp_path)
    assert list(found) == ["a", "b", "w"]
    assert found["a"].name == "a.pt"


def test_find_prefers_h5_of_clam_and_refuses_two_encoders(tmp_path: Path) -> None:
    save(tmp_path / "clam" / "pt_files" / "a.pt")
    kept = save(tmp_path / "clam" / "h5_files" / "a.h5")
    assert find_features(tmp_path / "clam") == {"a": kept}
    save(tmp_path / "features_uni" / "a.h5")
    with pytest.raises(
        FeatureFileError,
        match=r"slide 'a' has two feature files, .* point `features:`",
    ):
        find_features(tmp_path)


def test_two_files_of_one_slide_in_one_folder(tmp_path: Path) -> None:
    save(tmp_path / "a.h5")
    save(tmp_path / "a.pt")
    with pytest.raises(
        FeatureFileError,
        match=r"two feature files, .*a\.h5 and .*a\.pt; keep one of them",
    ):
        find_features(tmp_path)


def test_a_lock_without_a_file_is_a_file_to_come(tmp_path: Path) -> None:
    save(tmp_path / "a.h5")
    (tmp_path / "b.h5.lock").touch()
    (tmp_path / "TCGA.DX1.9fce.lock").touch()
    files = list_features(tmp_path)
    assert (list(files.ready), list(files.locked)) == (["a"], ["TCGA.DX1.9fce", "b"])


def test_a_folder_in_place_of_a_file(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "a.h5").mkdir()
    with pytest.raises(FeatureFileError, match=r"a\.h5: expected a file, got a folder"):
        read_features(tmp_path / "a.h5")
    with pytest.raises(
        FeatureFileError,
        match=r"b\.zarr: expected a folder, got a file",
    ):
        read_features(save(tmp_path / "b.zarr"))
    path = save(tmp_path / "c.npy")

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(
        FeatureFileError,
        match=r"c\.npy: cannot be opened \(Permission denied\)",
    ):
        read_features(path)


def test_absent_and_unknown(tmp_path: Path) -> None:
    with pytest.raises(FeatureFileError, match="no such folder of features"):
        find_features(tmp_path / "none")
    with pytest.raises(FeatureFileError, match=r"x\.h5: no such file"):
        read_features(tmp_path / "x.h5")
    with pytest.raises(
        FeatureFileError,
        match=r"expected a feature file \(\.h5, .*got '\.pkl'",
    ):
        read_features(tmp_path / "x.pkl")


def test_folders_that_lead_back_are_searched_once(tmp_path: Path) -> None:
    kept = save(tmp_path / "a" / "one.npy")
    for number in range(30):
        (tmp_path / f"b{number}").symlink_to(tmp_path)
        (tmp_path / "a" / f"c{number}").symlink_to(tmp_path / "a")
    assert find_features(tmp_path) == {"one": kept}


def test_a_folder_of_too_many_files(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for number in range(6):
        save(tmp_path / f"{number % 2}" / f"{number}.npy")
    monkeypatch.setattr("survfuse.readers.features._MOST_ENTRIES", 8)
    assert len(find_features(tmp_path)) == 6
    monkeypatch.setattr("survfuse.readers.features._MOST_ENTRIES", 7)
    with pytest.raises(
        FeatureFileError,
        match="more than 7 files below; point `features:` at the folder",
    ):
        find_features(tmp_path)


@pytest.mark.parametrize(
    "name",
    ["a\0.npy", "x" * 5000 + ".npy", "a\0.zarr", "\udcff.npy"],
)
def test_names_that_no_file_can_have(name: str) -> None:
    with pytest.raises(FeatureFileError, match=r"no such file|NUL|too long") as caught:
        read_features(name)
    assert str(caught.value).isprintable()
    with pytest.raises(FeatureFileError, match="no such folder"):
        find_features(name)


VECTOR = np.arange(8, dtype=np.float32)


def save_slide(path: Path, key: str, values: np.ndarray, coords: bool) -> Path:
    """Write the one vector of a slide, with the coordinates of its tiles if wanted."""
    arrays = {key: values} | ({"coords": np.zeros((30, 2), np.int64)} if coords else {})
    if path.suffix == ".h5":
        with h5py.File(path, "w") as file:
            for name, array in arrays.items():
                file[name] = array
    elif path.suffix == ".npz":
        np.savez(path, **arrays)
    elif path.suffix == ".pt":
        torch.save({name: torch.tensor(array) for name, array in arrays.items()}, path)
    return path


@pytest.mark.parametrize(
    "key",
    ["features", "feats", "slide_embedding", "image_embedding", "last_layer_embed"],
)
@pytest.mark.parametrize("suffix", [".h5", ".npz", ".pt"])
@pytest.mark.parametrize("coords", [False, True])
@pytest.mark.parametrize("shape", [(8,), (1, 8)])
def test_one_vector_of_a_slide_as_its_maker_writes_it(
    tmp_path: Path,
    key: str,
    suffix: str,
    coords: bool,
    shape: tuple[int, ...],
) -> None:
    path = save_slide(tmp_path / f"s{suffix}", key, VECTOR.reshape(shape), coords)
    got = read_features(path)
    assert got.coords is None
    np.testing.assert_array_equal(got.values, [VECTOR])


def test_the_other_outputs_of_slide_encoders_are_left_aside(tmp_path: Path) -> None:
    layers = {f"layer_{n}_embed": torch.ones(1, 8) for n in range(3)}
    saved = {**layers, "last_layer_embed": torch.tensor(VECTOR)[None]}
    torch.save(saved, tmp_path / "gigapath.pt")
    saved = {
        "image_latents": torch.ones(1, 512, 8),
        "image_embedding": torch.tensor(VECTOR)[None],
    }
    torch.save(saved, tmp_path / "prism.pt")
    for name in ("gigapath", "prism"):
        got = read_features(tmp_path / f"{name}.pt")
        np.testing.assert_array_equal(got.values, [VECTOR])


def test_tiles_come_before_the_vector_of_their_slide(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "s.h5", "w") as file:
        file["features"], file["slide_embedding"] = np.ones((3, 8), np.float32), VECTOR
    assert read_features(tmp_path / "s.h5").values.shape == (3, 8)
