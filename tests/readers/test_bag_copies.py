"""Copies of packed stores hold the tiles of the chosen patients, unchanged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from survfuse._errors import FeatureFileError
from survfuse.readers import BagStore
from survfuse.readers.bag_copies import copy_store


def store() -> BagStore:
    rng = np.random.default_rng(0)
    slides = []
    for number in range(6):
        values = rng.normal(size=(3 + number, 4))
        dtype = np.float16 if number % 2 else np.float32  # the store is float32
        slides.append(
            (f"s{number}", f"P{number % 3}", values.astype(dtype), values[:, :2])
        )
    return BagStore.from_arrays(slides, encoder="uni", mpp=0.5)


def test_a_copy_is_the_store_of_its_patients(tmp_path: Path) -> None:
    whole = store()
    copy_store(whole, ["P0", "P2"], tmp_path / "some.bags")
    some = BagStore.open(tmp_path / "some.bags")
    some.verify()
    assert some.patients == ("P0", "P2")
    assert (some.encoder, some.mpp, some.dim) == ("uni", 0.5, 4)
    for patient in some.patients:
        np.testing.assert_array_equal(
            some.gather([patient])[0], whole.gather([patient])[0]
        )
        np.testing.assert_array_equal(some.coords(patient), whole.coords(patient))
        pairs = zip(some.slides_of(patient), whole.slides_of(patient), strict=True)
        assert all(one.content == other.content for one, other in pairs)


def test_a_whole_copy_has_the_fingerprint(tmp_path: Path) -> None:
    whole = store()
    copy_store(whole, whole.patients, tmp_path / "all.bags")
    assert BagStore.open(tmp_path / "all.bags").fingerprint() == whole.fingerprint()


def test_a_copy_replaces_nothing(tmp_path: Path) -> None:
    with pytest.raises(FeatureFileError, match="exists; choose another folder"):
        copy_store(store(), ["P0"], tmp_path)
