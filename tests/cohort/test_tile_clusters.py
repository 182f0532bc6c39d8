from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from survfuse._errors import InputError
from survfuse._types import FloatArray
from survfuse.cohort import tile_clusters
from survfuse.cohort.modalities import BagData
from survfuse.cohort.tile_clusters import TileClusters
from survfuse.cohort.transform_bags import BagScaler
from survfuse.readers.bags import BagStore, pack

CENTRES = 6 * np.random.default_rng(0).normal(size=(3, 5))
SIZES = (60, 30, 10)


def bag_of(tiles: dict[str, FloatArray]) -> BagData:
    slides = [(f"{who}_1", who, own.astype(np.float32)) for who, own in tiles.items()]
    return BagData("slides", BagStore.from_arrays(slides), tuple(tiles))


def planted(patients: int = 12, seed: int = 0) -> dict[str, FloatArray]:
    """Tiles of three kinds, in other shares for each patient; 100 of each patient."""
    rng = np.random.default_rng(seed)
    kinds = np.repeat([0, 1, 2], SIZES)
    tiles = {}
    for number in range(patients):
        own = CENTRES[rng.permutation(kinds)]
        tiles[f"P{number}"] = own + rng.normal(size=own.shape)
    return tiles


def fitted(data: BagData, count: int = 3, **how: str) -> tuple[TileClusters, BagScaler]:
    scaler = BagScaler.fit(data, data.patients, scaling=how.get("scaling", "standard"))
    return TileClusters.fit(data, data.patients, scaler, count), scaler


def test_planted_kinds_are_found_the_most_frequent_first() -> None:
    data = bag_of(planted())
    found, scaler = fitted(data)
    np.testing.assert_allclose(found.shares, np.array(SIZES) / 100, atol=1e-3)
    np.testing.assert_allclose(found.centres, scaler.scale(CENTRES), atol=0.1)
    assert found.assign(scaler.scale(CENTRES)).tolist() == [0, 1, 2]
    assert len(found) == 3


def test_the_order_of_patients_does_not_matter() -> None:
    data = bag_of(planted())
    scaler = BagScaler.fit(data, data.patients, scaling="standard")
    first = TileClusters.fit(data, data.patients, scaler, 5)
    second = TileClusters.fit(data, data.patients[::-1], scaler, 5)
    np.testing.assert_array_equal(first.centres, second.centres)
    np.testing.assert_array_equal(first.shares, second.shares)


@pytest.mark.parametrize("components", [None, 2])
@pytest.mark.parametrize("scaling", ["standard", "none"])
def test_tiles_belong_to_the_nearest_centre(
    scaling: str,
    components: int | None,
) -> None:
    data = bag_of(planted())
    scaler = BagScaler.fit(data, data.patients, scaling=scaling, components=components)
    found = TileClusters.fit(data, data.patients, scaler, 6)
    stored = data.store.features[:200]
    scaled = scaler.scale(stored)
    apart = ((scaled[:, None] - found.centres) ** 2).sum(axis=2)
    np.testing.assert_allclose(found.distances(scaled), apart, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(found.assign(scaled), apart.argmin(axis=1))
    np.testing.assert_array_equal(
        found.assign_stored(stored, scaler), apart.argmin(axis=1)
    )
    assert len(set(found.assign(scaled))) > 1


def test_few_or_equal_tiles_make_few_clusters() -> None:
    few, _ = fitted(bag_of({"P1": CENTRES.repeat(7, axis=0)}), 24)
    assert len(few) == 2  # 21 tiles, ten of each cluster
    same, _ = fitted(bag_of({"P1": np.ones((50, 5)), "P2": np.ones((50, 5))}), 24)
    assert len(same) == 1
    np.testing.assert_array_equal(same.shares, [1.0])
    one, _ = fitted(bag_of({"P1": np.ones((1, 5))}), 24)
    assert len(one) == 1


def test_tiles_of_many_patients_are_fewer_of_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken = []
    scale = BagScaler.scale

    def counted(self: BagScaler, tiles: FloatArray) -> FloatArray:
        taken.append(len(tiles))
        return scale(self, tiles)

    monkeypatch.setattr(tile_clusters, "MOST_TILES", 120)
    monkeypatch.setattr(BagScaler, "scale", counted)
    found, _ = fitted(bag_of(planted()))
    assert taken == [10] * 12
    assert found.shares.sum() == pytest.approx(1)


def test_arrays_give_the_clusters_again(tmp_path: Path) -> None:
    found, _ = fitted(bag_of(planted()))
    stored = {f"clusters/slides/{name}": own for name, own in found.arrays().items()}
    again = TileClusters.from_arrays(stored, "clusters/slides/", 5)
    np.testing.assert_array_equal(again.centres, found.centres)
    np.testing.assert_array_equal(again.shares, found.shares)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("shares", np.array([0.5, 0.4, 0.0]), "expected shares that add up to 1"),
        ("shares", np.array([0.6, 0.6, -0.2]), "expected shares that add up to 1"),
        ("shares", np.array([0.5, 0.5]), "shares"),
        ("centres", np.zeros((3, 4)), "centres"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(
    name: str,
    value: FloatArray,
    reason: str,
) -> None:
    found, _ = fitted(bag_of(planted()))
    arrays = {**found.arrays(), name: value}
    with pytest.raises(InputError, match=reason):
        TileClusters.from_arrays(arrays, "", 5)


def test_a_store_in_half_precision_gives_the_same(tmp_path: Path) -> None:
    tiles = {who: own.astype(np.float16) for who, own in planted(4).items()}
    items = []
    for who, own in tiles.items():
        np.save(tmp_path / f"{who}.npy", own)
        items.append((who, who, tmp_path / f"{who}.npy"))
    store = pack(items, tmp_path / "s.bags")
    assert store.features.dtype == np.float16
    half, scaler = fitted(BagData("slides", store, tuple(tiles)))
    single, _ = fitted(bag_of(tiles))
    np.testing.assert_allclose(half.centres, single.centres, atol=1e-5)
    stored = store.features[:50]
    np.testing.assert_array_equal(
        half.assign_stored(stored, scaler), half.assign(scaler.scale(stored))
    )
