from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from running import loaded, small
from survfuse.cohort.cohort import Cohort
from survfuse.cohort.modalities import BagData
from survfuse.evaluation.checks import Evidence
from survfuse.evaluation.checks.slide_checks import slides_alike
from survfuse.evaluation.checks.vectors import MOST_TILES, raw_vectors, vectors_of
from survfuse.readers.bags import BagStore


def with_slides(cohort: Cohort, **traits: list[object]) -> Cohort:
    """The cohort with the slides of its store saying something else, slide by slide."""
    data = cohort.modalities["slides"]
    assert isinstance(data, BagData)
    store = data.store
    slides = [
        replace(
            slide,
            **{name: values[i % len(values)] for name, values in traits.items()},
        )
        for i, slide in enumerate(store.slides)
    ]
    index = replace(store._index, slides=tuple(slides))
    changed = BagData(
        "slides",
        BagStore(index, store.features, store._coords),
        data.patients,
    )
    return replace(cohort, modalities={**cohort.modalities, "slides": changed})


def test_slides_of_one_encoder_and_scale_are_in_order(cohort: Cohort) -> None:
    found = slides_alike(Evidence(cohort=cohort))
    assert found[:2] == (
        "ok",
        "slides: encoder uni: 25 slides; slides: mpp 0.5: 25 slides; slides: tile width (µm) not said",
    )
    near = with_slides(cohort, mpp=[0.499, 0.503])  # one scanner and another
    assert slides_alike(Evidence(cohort=near)).status == "ok"


@pytest.mark.parametrize(
    ("traits", "told"),
    [
        (
            {"encoder": ["uni", "conch"]},
            "slides: encoder conch: 12 slides, uni: 13 slides",
        ),
        ({"mpp": [0.25, 0.5]}, "slides: mpp 0.25: 13 slides, 0.5: 12 slides"),
        (
            {"tile_um": [112.0, 112.0, 256.0]},
            "slides: tile width (µm) 110: 17 slides, 260: 8 slides",
        ),
    ],
)
def test_mixed_slides_are_counted(
    cohort: Cohort,
    traits: dict[str, list[object]],
    told: str,
) -> None:
    assert slides_alike(Evidence(cohort=with_slides(cohort, **traits)))[:2] == (
        "warning",
        told,
    )


def test_the_external_cohort_must_fit(cohort: Cohort) -> None:
    other = with_slides(cohort, encoder=["conch"])
    found = slides_alike(Evidence(cohort=cohort, external=other))
    assert found[:2] == ("warning", "slides: encoder conch: 25 slides, uni: 25 slides")


def test_a_cohort_without_slides_does_not_apply(tmp_path: Path) -> None:
    table = loaded(small(tmp_path, modalities=("clinical",)))
    assert slides_alike(Evidence(cohort=table))[:2] == (
        "not applicable",
        "the cohort has no slides",
    )


def test_a_patient_is_the_mean_of_all_its_tiles(cohort: Cohort) -> None:
    data = cohort.modalities["slides"]
    assert isinstance(data, BagData)
    means = raw_vectors(data)
    assert means is not None
    for patient in ("001", "017"):  # the first has two slides
        tiles, _ = data.store.gather([patient])
        np.testing.assert_allclose(
            means[data.patients.index(patient)],
            tiles.mean(axis=0),
            rtol=1e-6,
        )
    made = vectors_of(cohort)
    assert list(made) == ["expression", "slides"]
    np.testing.assert_allclose(made["slides"].values.std(axis=0), 1, rtol=1e-12)
    np.testing.assert_allclose(made["slides"].values.mean(axis=0), 0, atol=1e-12)


def test_evenly_spaced_tiles_stand_for_a_large_bag() -> None:
    tiles = np.repeat(np.arange(3 * MOST_TILES)[:, None], 2, axis=1).astype(np.float32)
    data = BagData("slides", BagStore.from_arrays([("s", "P", tiles)]), ("P",))
    means = raw_vectors(data)
    assert means is not None
    assert means[0] == pytest.approx(tiles.mean(axis=0), rel=1e-3)


def test_distances_are_those_of_the_values(cohort: Cohort) -> None:
    made = vectors_of(cohort)["expression"]
    distance = made.distances()
    assert distance[3, 8] == pytest.approx(
        np.linalg.norm(made.values[3] - made.values[8]),
    )
    assert np.isinf(np.diag(distance)).all()
