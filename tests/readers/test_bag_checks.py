"""A store is what was packed, bit for bit, or it is not used."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from survfuse._errors import FeatureFileError
from survfuse.readers import BagStore, bag_checks, pack

Flip = Callable[[Path, int], None]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    items = []
    for index, patient in enumerate(("P1", "P2", "P1")):
        path = tmp_path / f"s{index}.npz"
        np.savez(
            path,
            features=rng.normal(size=(4 + index, 3)).astype("f2"),
            coords=np.ones((4 + index, 2)),
        )
        items.append((f"s{index}", patient, path))
    pack(items, tmp_path / "a.bags", encoder="uni", mpp=0.5)
    return tmp_path / "a.bags"


def edit(path: Path, data: bytes) -> None:
    """Write other bytes into a file and set back its time, as a careful hand would."""
    times = path.stat()
    path.write_bytes(data)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def flip(path: Path, byte: int) -> None:
    data = bytearray(path.read_bytes())
    data[byte] ^= 0x10
    edit(path, bytes(data))


@pytest.mark.parametrize("row", range(15))
def test_a_flipped_bit_is_named_by_slide_and_patient(store: Path, row: int) -> None:
    flip(store / "features.npy", 128 + row * 6 + 3)
    slide, patient = [("s0", "P1"), ("s1", "P2"), ("s2", "P1")][(row >= 4) + (row >= 9)]
    found = BagStore.open(store)
    whole = {"P1": "P2", "P2": "P1"}[patient]
    assert found.gather([whole])[1][-1] > 0  # the others are used
    message = rf"a\.bags: the features of slide '{slide}' of patient '{patient}' are not those .*--force"
    for use in (found.rows, found.coords, lambda one: found.gather([one])):
        with pytest.raises(FeatureFileError, match=message):
            use(patient)
    with pytest.raises(FeatureFileError, match=message):
        found.verify()


def test_a_flipped_bit_of_a_coordinate_is_found(store: Path) -> None:
    flip(store / "coords.npy", 128 + 16 * 4 + 1)
    with pytest.raises(
        FeatureFileError,
        match="the coordinates of slide 's1' of patient 'P2'",
    ):
        BagStore.open(store).verify()


def test_no_change_of_the_index_goes_unseen(store: Path) -> None:
    path = store / "index.json"
    text = path.read_text()
    before = BagStore.open(store).fingerprint()
    for byte in range(0, len(text), 7):
        flip(path, byte)
        try:
            found = BagStore.open(store)
            found.verify()
        except FeatureFileError:
            pass
        else:  # the name of a hash was hit: then the store is as one of an older version
            assert found.fingerprint() == before
        edit(path, text.encode())
    swapped = (
        text.replace('"P1"', '"P?"').replace('"P2"', '"P1"').replace('"P?"', '"P2"')
    )
    edit(path, swapped.encode())
    with pytest.raises(
        FeatureFileError,
        match=r"index\.json: was changed since it was written",
    ):
        BagStore.open(store)


def test_hashing_is_done_once_and_again_after_a_change(
    store: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hashed = []
    real = bag_checks.sha256_array
    monkeypatch.setattr(
        bag_checks,
        "sha256_array",
        lambda block: hashed.append(len(block)) or real(block),
    )
    BagStore.open(store).gather(["P2"])
    assert hashed == [5, 5]  # features and coordinates of its one slide
    BagStore.open(store).gather(["P2", "P2"])
    BagStore.open(store).rows("P2")
    assert hashed == [5, 5]
    BagStore.open(store).verify()
    assert sorted(hashed[2:]) == [4, 4, 6, 6]
    flip(store / "features.npy", 128 + 6 * 5)  # the time of modification is set back
    with pytest.raises(FeatureFileError, match="slide 's1'"):
        BagStore.open(store).gather(["P2"])


def test_another_process_need_not_hash_again(
    store: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sender = BagStore.open(store)
    sender.verify(["P1"])
    sent = pickle.dumps(sender)
    monkeypatch.setattr(bag_checks, "_WHOLE", {})  # as in a new process
    received = pickle.loads(sent)  # noqa: S301
    monkeypatch.setattr(bag_checks, "sha256_array", lambda _: "hashed")
    assert received.gather(["P1"])[1][-1] == 10
    with pytest.raises(FeatureFileError, match="slide 's1'"):
        received.gather(["P2"])
    monkeypatch.setattr(bag_checks, "_WHOLE", {})
    os.utime(store / "features.npy")
    with pytest.raises(FeatureFileError, match="slide 's0'"):
        pickle.loads(sent).gather(["P1"])  # noqa: S301


def test_stores_of_older_versions_are_verified_as_far_as_they_can_be(
    store: Path,
) -> None:
    before = BagStore.open(store)
    assert before.verify() == ()
    content = json.loads((store / "index.json").read_text())
    del content["sha256"]
    for slide in content["slides"]:
        del slide["coords_sha256"]
    (store / "index.json").write_text(json.dumps(content))
    old = BagStore.open(store)
    assert old.fingerprint() == before.fingerprint()
    assert old.verify() == ("ids and rows", "coordinates")
    flip(store / "features.npy", 200)
    with pytest.raises(FeatureFileError, match="the features of slide"):
        BagStore.open(store).verify()


@pytest.mark.parametrize("byte", [0, 1, 2, 3])
def test_float16_in_a_store_of_float32_is_verified(tmp_path: Path, byte: int) -> None:
    items = []
    for name, dtype in (("s0", "f2"), ("s1", "f4")):
        np.save(
            tmp_path / f"{name}.npy",
            np.random.default_rng(1).normal(size=(4, 3)).astype(dtype),
        )
        items.append((name, name, tmp_path / f"{name}.npy"))
    folder = tmp_path / "a.bags"
    assert pack(items, folder).verify() == ()
    flip(folder / "features.npy", 128 + byte)
    with pytest.raises(FeatureFileError, match="the features of slide 's0'"):
        BagStore.open(folder).verify()


def test_a_store_in_memory_needs_no_hashing() -> None:
    assert BagStore.from_arrays([("a", "P", np.ones((2, 3)))]).verify() == ()
