from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from builders import CohortFiles, cohort_files, patient_ids
from survfuse.cohort import BagData, BatchSource, Cohort, Transforms, load_cohort
from survfuse.cohort.transform_bags import BagScaler
from survfuse.config import FitConfig
from survfuse.readers.bags import BagStore

TRAIN = patient_ids(12)


@pytest.fixture
def fitted(files: CohortFiles) -> tuple[Cohort, Transforms]:
    assert files.slides is not None
    files.slides = files.slides[files.slides["patient_id"] != "004"]
    files.bags = {
        name: values
        for name, values in files.bags.items()
        if not name.startswith("004")
    }
    cohort = load_cohort(files.write())
    return cohort, Transforms.fit(cohort, TRAIN, FitConfig())


def scaled_bag(cohort: Cohort, transforms: Transforms, patient: str) -> np.ndarray:
    data = cohort.modalities["slides"]
    assert isinstance(data, BagData)
    return transforms.bag_scaler["slides"].scale(data.store.gather([patient])[0])


def test_training_tiles_are_standardised(fitted: tuple[Cohort, Transforms]) -> None:
    cohort, transforms = fitted
    tiles = BatchSource(cohort, transforms, TRAIN).batch().bags["slides"].double()
    np.testing.assert_allclose(tiles.mean(dim=0), 0, atol=1e-6)
    np.testing.assert_allclose(tiles.std(dim=0, correction=0), 1, rtol=1e-6)


@pytest.mark.parametrize(
    "budget",
    [2**30, 19 * 9 * 4 * 2, 0],
    ids=["scaled", "stored", "mapped"],
)
def test_any_rows_bring_their_own_tiles(tmp_path: Path, budget: int) -> None:
    files = cohort_files(tmp_path)
    files.bags = {
        name: values.astype(np.float16) for name, values in files.bags.items()
    }
    cohort = load_cohort(files.write())
    transforms = Transforms.fit(cohort, TRAIN, FitConfig())
    source = BatchSource(cohort, transforms, cohort.patients, budget=budget)
    first = source.batch([4, 0, 4])
    source.batch()
    batch = source.batch([4, 0, 4])
    assert torch.equal(first.bags["slides"], batch.bags["slides"])
    assert batch.patient_id == ("005", "001", "005")
    bounds = batch.offsets["slides"].tolist()
    for row, patient in enumerate(batch.patient_id):
        tiles = batch.bags["slides"][bounds[row] : bounds[row + 1]].numpy()
        assert tiles.dtype == np.float32
        np.testing.assert_array_equal(tiles, scaled_bag(cohort, transforms, patient))


def test_vectors_outcome_and_presence_go_with_the_patient(
    fitted: tuple[Cohort, Transforms],
) -> None:
    cohort, transforms = fitted
    source = BatchSource(cohort, transforms, cohort.patients)
    batch = source.batch(np.array([3, 2]))
    assert cohort.outcome is not None
    assert batch.time.dtype == torch.float64
    assert batch.time.tolist() == cohort.outcome["time"].loc[["004", "003"]].tolist()
    assert batch.event.tolist() == [True, False]
    assert batch.present["slides"].tolist() == [False, True]
    assert batch.offsets["slides"].tolist()[:2] == [0, 0]
    prepared = transforms.apply(cohort, ["004", "003"])
    for name, values in batch.vectors.items():
        np.testing.assert_array_equal(values.numpy(), prepared.vectors[name])


def test_the_whole_is_the_same_as_its_parts(fitted: tuple[Cohort, Transforms]) -> None:
    cohort, transforms = fitted
    source = BatchSource(cohort, transforms, cohort.patients)
    whole = source.batch()
    parts = [source.batch([row]).bags["slides"] for row in range(len(source))]
    assert torch.equal(whole.bags["slides"], torch.cat(parts))


def test_draws_depend_on_seed_and_patient_alone(
    fitted: tuple[Cohort, Transforms],
) -> None:
    cohort, transforms = fitted
    source = BatchSource(cohort, transforms, cohort.patients)
    together = source.batch([0, 5, 7], max_tiles=3, seed=11)
    bounds = together.offsets["slides"]
    alone = source.batch([5], max_tiles=3, seed=11).bags["slides"]
    assert torch.equal(together.bags["slides"][bounds[1] : bounds[2]], alone)
    reordered = BatchSource(cohort, transforms, cohort.patients[::-1]).batch(
        [14],
        max_tiles=3,
        seed=11,
    )
    assert torch.equal(reordered.bags["slides"], alone)
    others = [
        source.batch([5], max_tiles=3, seed=seed).bags["slides"] for seed in range(10)
    ]
    assert not all(torch.equal(alone, draw) for draw in others)


def counting_cohort(tmp_path: Path, tiles: int) -> tuple[Cohort, Transforms]:
    files = cohort_files(tmp_path, modalities=("slides",), patients=4, dim=1)
    files.bags = {
        name: np.arange(tiles, dtype=np.float32)[:, None] + 100 * i
        for i, name in enumerate(files.bags)
    }
    cohort = load_cohort(files.write())
    return cohort, Transforms.fit(
        cohort,
        cohort.patients,
        FitConfig(bag_scaling="none"),
    )


@pytest.mark.parametrize(
    ("tiles", "most"),
    [(10, 7), (10, 9), (10, 1), (10, 5), (10, 10), (10, 11)],
)
def test_tiles_are_drawn_without_replacement_and_evenly(
    tmp_path: Path,
    tiles: int,
    most: int,
) -> None:
    cohort, transforms = counting_cohort(tmp_path, tiles)
    source = BatchSource(cohort, transforms, ["002", "003"])
    seen = np.zeros(tiles)
    for seed in range(300):
        batch = source.batch(max_tiles=most, seed=seed)
        drawn = (
            batch.bags["slides"][: batch.offsets["slides"][1], 0].numpy().astype(int)
            - 100
        )
        assert len(set(drawn)) == min(tiles, most)
        seen[drawn] += 1
    chance = min(most / tiles, 1)
    np.testing.assert_allclose(seen / 300, chance, atol=0.12)


def test_unseeded_draws_are_refused(fitted: tuple[Cohort, Transforms]) -> None:
    cohort, transforms = fitted
    with pytest.raises(ValueError, match="draws are never unseeded"):
        BatchSource(cohort, transforms, TRAIN).batch([0], max_tiles=3)


def test_without_slides_or_outcome_a_batch_is_still_whole(
    fitted: tuple[Cohort, Transforms],
    tmp_path: Path,
) -> None:
    _, transforms = fitted
    (tmp_path / "new").mkdir()
    files = cohort_files(tmp_path / "new", modalities=("clinical",))
    del files.spec["outcome"]
    cohort = load_cohort(files.write(), need_outcome=False)
    batch = BatchSource(cohort, transforms, ["001", "002"]).batch()
    assert batch.bags["slides"].shape == (0, 4)
    assert batch.offsets["slides"].tolist() == [0, 0, 0]
    assert torch.isnan(batch.time).all()
    assert not batch.event.any()


def test_one_huge_slide_does_not_set_the_scale() -> None:
    generator = np.random.default_rng(0)
    huge = np.full((5000, 2), 9, np.float32)
    small = generator.normal(size=(2000, 2)).astype(np.float32)
    store = BagStore.from_arrays([("s1", "a", huge), ("s2", "b", small)])
    scaler = BagScaler.fit(
        BagData("slides", store, ("a", "b")),
        ("a", "b"),
        scaling="standard",
    )
    assert scaler.mean is not None
    np.testing.assert_allclose(
        scaler.mean,
        (9 + small.mean(axis=0, dtype=np.float64)) / 2,
        rtol=1e-6,
    )


def test_flat_features_keep_deviation_one_and_moments_are_exact() -> None:
    generator = np.random.default_rng(0)
    bags = [
        generator.normal(1000, 1, (size, 3)).astype(np.float32) for size in (3, 40, 7)
    ]
    for bag in bags:
        bag[:, 1] = 0.1
    store = BagStore.from_arrays(
        [(f"s{i}", f"p{i}", bag) for i, bag in enumerate(bags)],
    )
    scaler = BagScaler.fit(
        BagData("slides", store, ("p0", "p1", "p2")),
        ("p2", "p0", "p1"),
        scaling="standard",
    )
    tiles = np.concatenate(bags).astype(np.float64)
    np.testing.assert_allclose(scaler.mean, tiles.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(
        scaler.sd,
        [tiles[:, 0].std(), 1, tiles[:, 2].std()],
        rtol=1e-10,
    )
    assert (
        BagScaler.fit(BagData("s", store, ("p0",)), ("p0",), scaling="none")
        .scale(bags[0])
        .tolist()
        == bags[0].tolist()
    )
