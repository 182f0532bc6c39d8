from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from halved import CONFIG, pair_of_halves, simulated
from survfuse.cohort.modalities import BagData
from survfuse.explanations.half_models import Pair
from survfuse.explanations.tile_comparisons import (
    CommonClusters,
    common_clusters,
    compare_tiles,
)
from survfuse.explanations.tile_tables import tiles


@cache
def clusters() -> dict[str, CommonClusters]:
    return common_clusters(simulated(), CONFIG)


@cache
def found() -> dict[str, float | None]:
    return {key[0]: value for key, value in compare_tiles(pair_of_halves(), clusters())}


def patients_with_slides() -> list[str]:
    own = pair_of_halves().first
    return [one for one, has in zip(own.ids, own.present("slides"), strict=True) if has]


def maps() -> dict[str, np.ndarray]:
    """Tile risks by both models of each patient who has slides; (2, tiles)."""
    both = {}
    for patient in patients_with_slides():
        own = [
            tiles(one, patient)["tile_risk"].to_numpy() for one in pair_of_halves().both
        ]
        both[patient] = np.stack(own)
    return both


def test_maps_are_compared_within_patients() -> None:
    assert 5 < len(patients_with_slides()) < len(pair_of_halves().first.ids)
    centred = [own - own.mean(axis=1, keepdims=True) for own in maps().values()]
    expected = np.corrcoef(np.concatenate(centred, axis=1))[0, 1]
    assert found()["tiles"] == pytest.approx(expected)


def test_clusters_are_compared_by_their_share_of_the_tiles() -> None:
    common, data = clusters()["slides"], simulated().modalities["slides"]
    assert isinstance(data, BagData)
    share, sums = np.zeros(common.count), np.zeros((2, common.count))
    for patient, own in maps().items():
        for tile, cluster in enumerate(common.label(data, patient)):
            share[cluster] += 1 / own.shape[1]
            sums[:, cluster] += own[:, tile] / own.shape[1]
    seen = share > 0
    means = sums[:, seen] / share[seen]
    centred = means - np.average(means, axis=1, weights=share[seen])[:, None]
    covariance = (centred * share[seen]) @ centred.T
    expected = covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1])
    assert found()["clusters"] == pytest.approx(expected)


def test_a_model_agrees_with_itself() -> None:
    same = Pair(pair_of_halves().first, pair_of_halves().first)
    for _, value in compare_tiles(same, clusters()):
        assert value == pytest.approx(1)


def test_clusters_read_no_outcome() -> None:
    cohort = simulated()
    assert cohort.outcome is not None
    swapped = cohort.with_outcome(
        cohort.outcome.sample(frac=1, random_state=0).set_axis(cohort.outcome.index),
    )
    own, other = clusters()["slides"], common_clusters(swapped, CONFIG)["slides"]
    np.testing.assert_array_equal(own.clusters.centres, other.clusters.centres)


def test_maps_that_one_model_alone_draws_are_not_compared() -> None:
    first, second = pair_of_halves().both
    effects = {
        term: own for term, own in second.terms.effects.items() if term != ("slides",)
    }
    without = replace(second, terms=replace(second.terms, effects=effects))
    one = {
        key[0]: value for key, value in compare_tiles(Pair(first, without), clusters())
    }
    assert (one["tiles"], one["clusters"]) == (None, None)
    for _, value in compare_tiles(Pair(without, without), clusters()):
        assert value is None


def test_maps_are_not_compared_where_nobody_has_tiles() -> None:
    pair = []
    for one in pair_of_halves().both:
        values = dict(one.readings.values)
        values["slides"] = np.zeros_like(values["slides"])
        pair.append(replace(one, readings=replace(one.readings, values=values)))
    assert list(compare_tiles(Pair(*pair), clusters())) == []


def test_only_bags_that_are_read_are_clustered() -> None:
    inputs = CONFIG.inputs.model_copy(update={"modalities": ("clinical",)})
    config = CONFIG.model_copy(update={"inputs": inputs})
    assert common_clusters(simulated(), config) == {}
    cohort = simulated()
    has = set(cohort.modalities["slides"].patients)
    without = [one for one in cohort.patients if one not in has]
    assert common_clusters(cohort.subset(without), CONFIG) == {}
