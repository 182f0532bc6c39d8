from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from running import loaded, small
from survfuse.cohort import Cohort, tile_moments
from survfuse.cohort.batch_source import BatchSource
from survfuse.cohort.modalities import BagData
from survfuse.cohort.transforms import Transforms
from survfuse.config import FitConfig


@pytest.fixture
def cohort(tmp_path: Path) -> Cohort:
    """A cohort whose store no other test has read."""
    return loaded(small(tmp_path))


def slides(cohort: Cohort) -> BagData:
    data = cohort.modalities["slides"]
    assert isinstance(data, BagData)
    return data


def tiles_of(data: BagData, patient: str) -> np.ndarray:
    return np.concatenate(
        [data.store.features[rows] for rows in data.store.rows(patient)],
    ).astype(np.float64)


@pytest.mark.parametrize("most", [2000, 3])
def test_moments_are_those_of_the_tiles(
    cohort: Cohort,
    monkeypatch: pytest.MonkeyPatch,
    most: int,
) -> None:
    monkeypatch.setattr(tile_moments, "MOST_TILES", most)
    monkeypatch.setattr(tile_moments, "BLOCK", 2)
    data = slides(cohort)
    for patient in data.patients[:5]:
        tiles = tiles_of(data, patient)
        few = (
            tiles
            if len(tiles) <= most
            else tiles[np.linspace(0, len(tiles) - 1, most).round().astype(int)]
        )
        found = tile_moments.tile_moments(data, patient)
        assert found.count == len(few)
        np.testing.assert_allclose(found.mean, few.mean(axis=0), atol=1e-12)
        np.testing.assert_allclose(found.squares, few.var(axis=0) * len(few), atol=1e-9)
        np.testing.assert_array_equal(found.largest, np.abs(few).max(axis=0))
        np.testing.assert_allclose(found.mean_of_all, tiles.mean(axis=0), atol=1e-9)


def test_they_are_read_once_and_kept_within_the_budget(
    cohort: Cohort,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data, read = slides(cohort), []
    compute = tile_moments._moments
    monkeypatch.setattr(
        tile_moments,
        "_moments",
        lambda d, patient: read.append(patient) or compute(d, patient),
    )
    monkeypatch.setattr(tile_moments, "BUDGET", 2 * 4 * 8 * data.features)
    first, second, third = data.patients[:3]
    for patient in (first, second, third, first, second, third):
        tile_moments.tile_moments(data, patient)
    assert read == [first, second, third, third]


@pytest.mark.parametrize("components", [None, 3])
def test_the_mean_of_scaled_tiles_is_the_scaled_mean(
    cohort: Cohort,
    components: int | None,
) -> None:
    config = FitConfig(bag_components=components)
    source = BatchSource(
        cohort,
        Transforms.fit(cohort, cohort.patients, config),
        cohort.patients,
    )
    means, present = source.mean_tiles("slides")
    assert present.all()
    for row in (0, 8, 20):
        tiles = source.batch(np.array([row])).bags["slides"].numpy()
        np.testing.assert_allclose(means[row], tiles.mean(axis=0), atol=1e-5)


def test_who_has_no_slide_has_no_mean(tmp_path: Path) -> None:
    files = small(tmp_path)
    assert files.slides is not None
    files.slides = files.slides[files.slides["patient_id"] != "003"]
    cohort = loaded(files)
    source = BatchSource(
        cohort,
        Transforms.fit(cohort, cohort.patients, FitConfig()),
        cohort.patients,
    )
    means, present = source.mean_tiles("slides")
    assert np.flatnonzero(~present).tolist() == [cohort.patients.index("003")]
    assert not means[~present].any()
