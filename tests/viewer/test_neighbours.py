from __future__ import annotations

import numpy as np

import viewed
from survfuse.cohort.modalities import BagData
from survfuse.viewer import neighbours
from survfuse.viewer.neighbours import nearest_in_cluster


def test_neighbours_are_the_nearest_of_the_cluster_on_any_slide(
    monkeypatch: object,
) -> None:
    study = viewed.study()
    explained = study.explanation("001").explained
    maps, _ = study.maps("001", "slides")
    found = nearest_in_cluster(explained, maps, viewed.SECOND, 10, count=4)
    data = explained.cohort.modalities["slides"]
    assert isinstance(data, BagData)
    scaler = explained.fitted.transforms.bag_scaler["slides"]
    tiles = scaler.scale(data.store.features[data.rows("001")]).astype(np.float64)
    cluster = np.concatenate([one.clusters for one in maps.values()])
    chosen = maps[viewed.FIRST].tiles + 10
    same = np.flatnonzero(cluster == cluster[chosen])
    distances = np.linalg.norm(tiles - tiles[chosen], axis=1)
    nearest = sorted(same[same != chosen], key=lambda row: distances[row])[:4]
    assert found["of"] == len(same)
    assert found["cluster"] == cluster[chosen]
    for own, row in zip(found["tiles"], nearest, strict=True):
        first = row < maps[viewed.FIRST].tiles
        assert own["slide"] == (viewed.FIRST if first else viewed.SECOND)
        assert own["tile"] == (row if first else row - maps[viewed.FIRST].tiles)
        assert abs(own["distance"] - distances[row]) < 1e-5
        corner = maps[own["slide"]].places.corners[own["tile"]]
        assert [own["x"], own["y"]] == corner.tolist()


def test_without_clusters_it_says_so() -> None:
    from dataclasses import replace

    study = viewed.study()
    maps, _ = study.maps("001", "slides")
    without = {name: replace(one, clusters=None) for name, one in maps.items()}
    explained = study.explanation("001").explained
    found = nearest_in_cluster(explained, without, viewed.FIRST, 0)
    assert found == {
        "cluster": None, "of": 0, "tiles": [], "why": neighbours.NO_CLUSTERS,
    }  # fmt: skip


def test_a_slide_without_a_map_moves_no_tile() -> None:
    whole = viewed.study()
    maps, _ = whole.maps("001", "slides")
    explained = whole.explanation("001").explained
    second = {viewed.SECOND: maps[viewed.SECOND]}
    found = nearest_in_cluster(explained, second, viewed.SECOND, 5, count=10_000)
    all_of_them = nearest_in_cluster(explained, maps, viewed.SECOND, 5, count=10_000)
    expected = [row for row in all_of_them["tiles"] if row["slide"] == viewed.SECOND]
    assert found["tiles"] == expected
    assert expected
