from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from painted_explanation import painted_cohort, painted_explanation, painted_model
from small_explanations import small_explanation
from survfuse._errors import InputError
from survfuse.cohort import Cohort
from survfuse.cohort.modalities import BagData
from survfuse.explanations import explain
from survfuse.explanations.slide_maps import slide_maps
from survfuse.readers.bags import BagStore


def test_scores_are_those_of_the_table_and_lie_where_it_says() -> None:
    explanation = painted_explanation()
    for patient in explanation.patients[:3]:
        frame = explanation.tiles(patient)
        maps = explanation.slide_maps(patient)
        assert list(maps) == list(dict.fromkeys(frame["slide"]))
        for slide, one in maps.items():
            rows = frame[frame["slide"] == slide]
            np.testing.assert_array_equal(one.places.corners, rows[["x", "y"]])
            for name in ("tile_risk", "contribution"):
                np.testing.assert_array_equal(one.score(name).values, rows[name])
            image = one.image_of("contribution")
            assert np.nansum(image) == pytest.approx(rows["contribution"].sum())


def test_percentiles_and_limits_are_of_the_patient() -> None:
    patient = painted_cohort().patients[0]
    maps = painted_explanation().slide_maps(patient).values()
    ranks = np.concatenate([one.score("percentile").values for one in maps])
    assert ranks.mean() == pytest.approx(50)
    assert len({one.score("tile_risk").limit for one in maps}) == 1
    for one in maps:
        assert "Gaussian kernel" in one.score("tile_risk_smoothed").says


def changed(cohort: Cohort, patient: str, **fields: object) -> Cohort:
    """Say something else of the slides of a patient."""
    data = cohort.modalities["slides"]
    assert isinstance(data, BagData)
    said = []
    for slide in data.store.slides:
        own = slide.patient_id == patient
        said.append(replace(slide, **fields) if own else slide)
    index = replace(data.store._index, slides=tuple(said))
    store = BagStore(index, data.store.features, data.store._coords)
    bags = BagData("slides", store, data.patients)
    return replace(cohort, modalities={**cohort.modalities, "slides": bags})


def test_a_slide_that_cannot_be_placed_is_told_or_noted() -> None:
    patient = painted_cohort().patients[0]
    cohort = changed(painted_cohort(), patient, coord_unit=None)
    explanation = explain(painted_model(), cohort, [patient])
    with pytest.raises(InputError, match="not known where its tiles lie"):
        explanation.slide_maps(patient)
    failed: dict[str, str] = {}
    assert slide_maps(explanation, patient, failed=failed) == {}
    assert len(failed) == 1
    assert "feature files with coordinates are needed" in next(iter(failed.values()))


def test_what_is_asked_for_must_be_there() -> None:
    with pytest.raises(InputError, match="nobody"):
        small_explanation().slide_maps("nobody")
    with pytest.raises(InputError, match="clinical"):
        small_explanation().slide_maps("001", "clinical")
