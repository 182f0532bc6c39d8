from __future__ import annotations

import io
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread

import bagged
from painted_explanation import (
    painted_cohort,
    painted_cohort_file,
    painted_explanation,
)
from survfuse._errors import InputError
from survfuse.cohort import Cohort
from survfuse.cohort.modalities import BagData
from survfuse.explanations import Explanation, tile_gallery
from survfuse.explanations.tile_gallery import contact_sheet, tile_pictures
from survfuse.readers.bags import BagStore
from survfuse.slides.opening import open_slide


@pytest.fixture(scope="module")
def slides() -> Path:
    return painted_cohort_file().parent


@pytest.fixture(scope="module")
def cohort() -> Cohort:
    return painted_cohort()


@pytest.fixture(scope="module")
def explanation() -> Explanation:
    return painted_explanation()


def changed(cohort: Cohort, scale: float = 1.0, **fields: object) -> Cohort:
    """Say something else of all slides; coordinates times a scale."""
    data = cohort.modalities["slides"]
    assert isinstance(data, BagData)
    said = tuple(replace(slide, **fields) for slide in data.store.slides)
    index = replace(data.store._index, slides=said)
    store = BagStore(index, data.store.features, data.store._coords * scale)
    bags = BagData("slides", store, data.patients)
    return replace(cohort, modalities={**cohort.modalities, "slides": bags})


def pixels_of(png: bytes) -> np.ndarray:
    return np.round(255 * imread(io.BytesIO(png), format="png")).astype(np.uint8)


def test_examples_are_the_nearest_tiles_of_each_cluster(
    cohort: Cohort,
    explanation: Explanation,
) -> None:
    examples = explanation.tile_examples(count=2)
    assert explanation.explained.fitted.clusters["slides"] is not None
    clusters = explanation.explained.fitted.clusters["slides"]
    assert list(examples["group"].unique()) == [
        f"cluster {number}" for number in range(len(clusters))
    ]
    assert examples.groupby("group").size().max() == 2
    assert not examples.duplicated(["group", "patient_id"]).any()
    scaler = explanation.explained.fitted.transforms.bag_scaler["slides"]
    data = cohort.modalities["slides"]
    tables = []
    for patient in cohort.patients:
        frame = explanation.tiles(patient)
        scaled = scaler.scale(data.store.features[data.rows(patient)])
        own = frame["cluster"].to_numpy(np.int64)
        apart = np.sqrt(clusters.distances(scaled)[np.arange(len(own)), own])
        tables.append(frame.assign(patient_id=patient, distance=apart))
    every = pd.concat(tables)
    for group, rows in examples.groupby("group", sort=False):
        own = every[every["cluster"] == int(group.split()[1])]
        best = own.groupby("patient_id")["distance"].min().sort_values()
        np.testing.assert_allclose(rows["distance"], best.iloc[: len(rows)], rtol=1e-5)
        nearest = own.loc[own["distance"] == best.iloc[0]].iloc[0]
        columns = ["patient_id", "slide", "tile", "x", "y"]
        assert rows.iloc[0][columns].tolist() == nearest[columns].tolist()


def test_examples_do_not_depend_on_chunks_and_need_few_patients(
    explanation: Explanation,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = explanation.tile_examples()
    monkeypatch.setattr(tile_gallery, "TILES_AT_ONCE", 2)
    pd.testing.assert_frame_equal(explanation.tile_examples(), whole)
    monkeypatch.setattr(tile_gallery, "MOST_PATIENTS", 3)
    assert explanation.tile_examples()["patient_id"].nunique() <= 3


def test_highest_and_lowest_tiles_of_a_patient(
    cohort: Cohort,
    explanation: Explanation,
) -> None:
    patient = cohort.patients[0]
    risks = explanation.tiles(patient)["tile_risk"].sort_values().to_numpy()
    extremes = explanation.extreme_tiles(patient, count=3)
    assert extremes["group"].tolist() == ["highest"] * 3 + ["lowest"] * 3
    assert extremes["tile_risk"].tolist() == [*risks[:-4:-1], *risks[:3]]
    everything = explanation.extreme_tiles(patient, count=10_000)
    assert not everything.duplicated(["slide", "tile"]).any()
    assert len(everything) == 2 * (len(risks) // 2)


@pytest.mark.parametrize("count", [-1, 1.5, True, None, "3"])
def test_a_count_is_a_whole_number(explanation: Explanation, count: Any) -> None:
    with pytest.raises(InputError, match=r"^count must be a whole number >= 0, got"):
        explanation.tile_examples(count=count)
    with pytest.raises(InputError, match=r"^count must be a whole number >= 0, got"):
        explanation.extreme_tiles(explanation.patients[0], count=count)


def test_pictures_are_the_pixels_of_the_tiles(
    slides: Path,
    cohort: Cohort,
    explanation: Explanation,
) -> None:
    examples = explanation.extreme_tiles(cohort.patients[1], count=2)
    pictures = tile_pictures(cohort, examples, side=224)
    data = cohort.modalities["slides"]
    for row, picture in zip(examples.itertuples(), pictures, strict=True):
        (slide,) = data.store.slides_of(row.patient_id)
        side = round(slide.patch_size_level0)
        with open_slide(slides / "slides" / f"{row.slide}.tif") as reader:
            stored = reader.region(0, round(row.x), round(row.y), side, side)
        shown = pixels_of(picture)
        assert shown.shape == (224, 224, 3)
        if side == 224:
            np.testing.assert_array_equal(shown, stored)
        halves = stored.reshape(224, side // 224, 224, side // 224, 3)
        close = np.abs(shown - halves.mean(axis=(1, 3)))
        assert close.mean() < 3
        assert shown.std() > 5
    small = [pixels_of(one).shape for one in explanation.tile_pictures(examples)]
    assert small == [(128, 128, 3)] * 4


def test_coordinates_in_micrometres_show_the_same_pixels(
    cohort: Cohort,
    explanation: Explanation,
) -> None:
    examples = explanation.extreme_tiles(cohort.patients[1], count=1)
    pictures = tile_pictures(cohort, examples)
    data = cohort.modalities["slides"]
    (slide,) = data.store.slides_of(cohort.patients[1])
    mpp = slide.tile_um / slide.patch_size_level0
    in_um = changed(cohort, mpp, coord_unit="um", patch_size_level0=None)
    examples[["x", "y"]] *= mpp
    assert tile_pictures(in_um, examples) == pictures


def test_a_sheet_has_a_line_for_each_group(explanation: Explanation) -> None:
    examples = explanation.tile_examples(count=3)
    figure = contact_sheet(examples, explanation.tile_pictures(examples))
    groups = examples["group"].unique()
    shown = [len(axes.images) for axes in figure.axes]
    assert sum(shown) == len(examples)
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert texts == list(groups)


def test_no_example_needs_no_slide(cohort: Cohort, explanation: Explanation) -> None:
    nothing = explanation.extreme_tiles(cohort.patients[0], count=0)
    assert tile_pictures(cohort, nothing) == []


def test_tiles_of_unknown_places_are_not_shown(tmp_path: Path) -> None:
    cohort = bagged.tiled_cohort(tmp_path)
    explanation = bagged.explained(bagged.fit(cohort, {}), cohort, cohort)
    examples = explanation.tile_examples(count=1)
    assert examples[["x", "y"]].isna().all(axis=None)
    with pytest.raises(InputError, match=r"slide '.*' of patient .*: it is not kno"):
        explanation.tile_pictures(examples)


def test_what_is_missing_for_pictures_is_said(
    cohort: Cohort,
    explanation: Explanation,
) -> None:
    examples = explanation.extreme_tiles(cohort.patients[1], count=1)
    with pytest.raises(InputError, match="it is not known where its tiles lie, so"):
        tile_pictures(changed(cohort, coord_unit=None), examples)
    with pytest.raises(InputError, match="it is not known where its tiles lie, so"):
        tile_pictures(cohort, examples.assign(x=np.nan))
    with pytest.raises(InputError, match=r"^examples: .*; no column modality, slide$"):
        tile_pictures(cohort, examples.drop(columns=["modality", "slide"]))
    sizeless = changed(cohort, patch_size_level0=None, tile_um=None)
    with pytest.raises(InputError, match="the size of its tiles is not known in px"):
        tile_pictures(sizeless, examples)
    with pytest.raises(InputError, match="has no slide 'other' in this cohort, but P0"):
        tile_pictures(cohort, examples.assign(slide="other"))
    packed = cohort.spec.model_copy(update={"slides": None})
    with pytest.raises(InputError, match="slides: the cohort file names no images of"):
        tile_pictures(replace(cohort, spec=packed), examples)


def test_absent_images_are_named(
    slides: Path,
    cohort: Cohort,
    explanation: Explanation,
    tmp_path: Path,
) -> None:
    examples = explanation.extreme_tiles(cohort.patients[1], count=1)
    name = examples["slide"].iloc[0]
    elsewhere = tmp_path / "cohort"
    shutil.copytree(slides, elsewhere, ignore=shutil.ignore_patterns(f"{name}.tif"))
    with pytest.raises(InputError, match=rf"no image of slide '{name}': .* not there"):
        tile_pictures(replace(cohort, root=elsewhere), examples)
