"""The registry of feature formats: one card is all that another package writes."""

from __future__ import annotations

from collections import Counter
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest

from survfuse import _registry
from survfuse.readers import find_features, read_features, slide_id_of
from survfuse.readers.formats import feature_format, feature_formats
from survfuse.readers.slide_features import Draft, ReadOptions
from survfuse.readers.slide_names import name_stems


def test_every_ending_has_one_format() -> None:
    cards = [feature_formats.build(name) for name in feature_formats]
    counts = Counter(suffix for card in cards for suffix in card.suffixes)
    assert set(counts.values()) == {1}
    assert set(counts) >= {".h5", ".zarr", ".pt", ".npy", ".npz", ".safetensors"}


def register() -> None:
    @feature_format("toy", ".toy", summary="numbers as text")
    def read_toy(path: Path, encoder: str | None, options: ReadOptions) -> Draft:
        return Draft(np.loadtxt(path, np.float32, ndmin=2), "toy", encoder=encoder)


def test_another_package_adds_a_format(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Point(EntryPoint):
        def load(self) -> None:
            register()

    point = Point("toy", "toy_reader", "survfuse.readers")
    cards = dict(feature_formats._cards)
    monkeypatch.setattr(feature_formats, "_cards", cards)
    monkeypatch.setattr(feature_formats, "_plugins_loaded", False)
    monkeypatch.setattr(_registry, "entry_points", lambda group: [point])
    (tmp_path / "slide.a.toy").write_text("1 2\n3 4\n")
    features = read_features(tmp_path / "slide.a.toy", encoder="UNI")
    np.testing.assert_array_equal(features.values, [[1, 2], [3, 4]])
    assert (features.tool, features.encoder) == ("toy", "uni")
    assert find_features(tmp_path) == {"slide.a": tmp_path / "slide.a.toy"}
    assert slide_id_of("x.TOY") == "x"
    assert name_stems("x.toy")[-1] == "x"
