"""The registry of feature formats."""

from __future__ import annotations

from collections import Counter

from survfuse.readers.formats import feature_formats


def test_every_ending_has_one_format() -> None:
    cards = [feature_formats.build(name) for name in feature_formats]
    counts = Counter(suffix for card in cards for suffix in card.suffixes)
    assert set(counts.values()) == {1}
    assert set(counts) >= {".h5", ".zarr", ".pt", ".npy", ".npz", ".safetensors"}
