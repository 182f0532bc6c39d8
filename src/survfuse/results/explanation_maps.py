"""The maps of an explanation's folder: one slide at a time, each of which may fail alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

from survfuse._errors import InputError, SurvfuseError, listed
from survfuse._storage import atomic_path
from survfuse.cohort.cohort import Cohort
from survfuse.cohort.modalities import BagData
from survfuse.decomposition.readings import term_of
from survfuse.explanations import Explanation
from survfuse.explanations.bag_terms import BagTerm, bags
from survfuse.explanations.slide_maps import slide_maps
from survfuse.explanations.tile_gallery import (
    available_pictures,
    cluster_examples,
    contact_sheet,
    extreme_tiles,
    images_of_bag,
)
from survfuse.maps import MapOptions, SlideMap, file_stems, safe_stem, write_files
from survfuse.maps.files import picture_name
from survfuse.results.explanation_tiles import Step

FOLDER, CLUSTERS = "maps", "clusters.png"
NO_BOUNDS = (
    "some slides have no image at hand, so that their bounds are not known: in the files for "
    "QuPath their tiles count from the corner of level 0, as with --origin full"
)


@dataclass
class MapRecord:
    """What was written of maps, and what was not.

    Attributes
    ----------
    options : MapOptions
    slides : list of dict
        `patient_id, modality, slide_id, tiles, image, files` (below the folder of maps),
        `pictures` (of each score that is drawn over the slide) and `grey`, the scores that do not
        reproduce.
    galleries : list of str
        Files of example tiles.
    failed : list of dict
        `patient_id, modality, slide_id` ("" for all of a patient) and `reason`.
    blank : dict of modality to str
        Why a modality has no maps.
    notes : list of str
    """

    options: MapOptions
    slides: list[dict[str, Any]] = field(default_factory=list)
    galleries: list[str] = field(default_factory=list)
    failed: list[dict[str, str]] = field(default_factory=list)
    blank: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def described(self) -> dict[str, Any]:
        """As JSON, for ``explanation.json``."""
        return {
            "folder": FOLDER,
            "formats": list(self.options.formats),
            "scores": list(self.options.scores),
            "origin": self.options.origin,
            "slides": self.slides,
            "galleries": self.galleries,
            "failed": self.failed,
            "blank": self.blank,
            "notes": list(dict.fromkeys(self.notes)),
        }

    def fail(self, patient: str, modality: str, slide: str, reason: object) -> None:
        """Note a slide that has no map."""
        row = {"patient_id": patient, "modality": modality, "slide_id": slide}
        self.failed.append({**row, "reason": str(reason)})


def write_maps(
    explanation: Explanation,
    folder: Path,
    options: MapOptions | None = None,
    *,
    gallery: bool = True,
    step: Step = lambda what, done, of: None,
) -> MapRecord:
    """Write maps of every slide of every patient: ``maps/PATIENT/SLIDE.*``.

    Parameters
    ----------
    explanation : Explanation
    folder : path
        Of the explanation.
    options : MapOptions, optional
    gallery : bool
        Whether to write example tiles too: of each patient, and of each cluster.
    step : callable
        Told of each patient.

    Returns
    -------
    MapRecord

    Raises
    ------
    InputError
        For a score that no map has.
    """
    record = MapRecord(options or MapOptions())
    names = bags(explanation.explained)
    if not names:
        record.notes.append("the model reads no slides, so there are no maps")
    _check_scores(explanation, names, record.options.scores)
    place = folder / FOLDER
    prefixes = {name: f"{safe_stem(name)}." if len(names) > 1 else "" for name in names}
    galleries = [f"{prefix}{CLUSTERS}" for prefix in prefixes.values()]
    homes = file_stems(explanation.patients, galleries)
    for name in names:
        if why := _why_left_out(explanation, name):
            record.blank[name] = why
            continue
        with_pictures = gallery and _has_images(explanation, name, record)
        prefix = prefixes[name]
        patients = _patients(explanation, name)
        for done, patient in enumerate(patients):
            step(f"maps of {name}", done, len(patients))
            home = place / homes[patient]
            drawn = _write_patient(explanation, patient, name, home, prefix, record)
            if drawn and with_pictures:
                path = f"{home.name}/{prefix}tiles.png"
                _write_extremes(explanation, patient, name, place, path, record)
        if with_pictures:
            _write_clusters(explanation, name, place, f"{prefix}{CLUSTERS}", record)
    return record


def _why_left_out(explanation: Explanation, modality: str) -> str:
    """Why the model has no term of a bag; empty where it has one."""
    if any(modality in term_of(term) for term in explanation.terms.columns[1:]):
        return ""
    try:
        BagTerm.of(explanation.explained, modality)
    except InputError as error:
        return str(error)
    return ""


def _patients(explanation: Explanation, modality: str) -> list[str]:
    """Patients who have a bag."""
    explained = explanation.explained
    there = explained.present(modality)
    return [one for one, has in zip(explained.ids, there, strict=True) if has]


def _check_scores(
    explanation: Explanation,
    modalities: Sequence[str],
    wanted: Sequence[str],
) -> None:
    """Refuse a score that no map has, before anything is written."""
    if not wanted or not modalities:
        return
    names_of_scores: dict[str, None] = {}
    for name in modalities:
        names_of_scores |= dict.fromkeys(_score_names(explanation, name))
    unknown = [name for name in wanted if name not in names_of_scores]
    if (
        unknown and names_of_scores
    ):  # without any, the record says why there are no maps
        raise InputError(
            f"score: no map has {listed(unknown)}; there are: {', '.join(names_of_scores)}",
        )


def _score_names(explanation: Explanation, modality: str) -> list[str]:
    """Scores of the maps of a bag: of the first slide that has a map."""
    for patient in _patients(explanation, modality):
        for one in slide_maps(explanation, patient, modality, failed={}).values():
            return list(one.scores)
    return []


def _write_patient(
    explanation: Explanation,
    patient: str,
    modality: str,
    home: Path,
    prefix: str,
    record: MapRecord,
) -> bool:
    """Write the maps of a patient's slides; whether there is any."""
    failed: dict[str, str] = {}
    try:
        maps = slide_maps(explanation, patient, modality, failed=failed)
    except SurvfuseError as error:
        record.fail(patient, modality, "", error)
        return False
    for slide, reason in failed.items():
        record.fail(patient, modality, slide, reason)
    drawn, stems = False, file_stems(maps)
    for one in maps.values():
        if one.why_blank:
            record.blank[modality] = one.why_blank
            continue
        try:
            _write_slide(one, home, prefix + stems[one.slide_id], record)
            drawn = True
        except SurvfuseError as error:
            record.fail(patient, modality, one.slide_id, error)
    if home.exists() and not any(home.iterdir()):
        home.rmdir()
    return drawn


def _write_slide(
    slide_map: SlideMap,
    home: Path,
    stem: str,
    record: MapRecord,
) -> None:
    """Write the maps of a slide: all of its files or none."""
    home.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=home) as stage:
        written = write_files(slide_map, stage, record.options, stem=stem)
        files = [path.replace(home / path.name) for path in written]
    record.notes += slide_map.notes
    options = record.options
    if (
        slide_map.image is None
        and "qupath" in options.formats
        and options.origin == "bounds"
    ):
        record.notes.append(NO_BOUNDS)
    names = [path.relative_to(home.parent).as_posix() for path in files]
    pictures = {}
    for score in record.options.drawn(slide_map):
        picture = f"{home.name}/{picture_name(stem, score)}"
        if picture in names:
            pictures[score] = picture
    record.slides.append(
        {
            "patient_id": slide_map.patient_id,
            "modality": slide_map.modality,
            "slide_id": slide_map.slide_id,
            "tiles": slide_map.tiles,
            "image": slide_map.image is not None,
            "grey": [one.name for one in slide_map.scores.values() if one.grey],
            "files": names,
            "pictures": pictures,
        },
    )


def _has_images(explanation: Explanation, modality: str, record: MapRecord) -> bool:
    """Whether tiles of any slide can be shown; says of which they cannot."""
    cohort = explanation.explained.cohort
    available, data = images_of_bag(cohort, modality), cohort.modalities[modality]
    if not available.images:
        record.notes.append(f"no galleries: {available.why_none()}")
        return False
    assert isinstance(data, BagData)
    slides = []
    for patient in _patients(explanation, modality):
        slides += [slide.slide_id for slide in data.store.slides_of(patient)]
    absent = available.without(slides)
    if absent:
        record.notes.append(f"{modality}: {absent}: on blank paper, in no gallery")
    return True


def _write_extremes(
    explanation: Explanation,
    patient: str,
    modality: str,
    folder: Path,
    path: str,
    record: MapRecord,
) -> None:
    """Write the tiles of a patient with the highest and the lowest risk."""
    explained = explanation.explained
    try:
        wanted = extreme_tiles(explained, patient, modality)
        examples, pictures = _readable(explained.cohort, wanted, record)
    except SurvfuseError as error:
        record.notes.append(f"patient {patient}: no gallery: {error}")
        return
    if not len(examples):
        return
    captions = [f"{risk:+.2f}".replace("-", "−") for risk in examples["tile_risk"]]
    grey = False
    for row in record.slides:
        if (row["patient_id"], row["modality"]) == (patient, modality):
            grey = grey or "tile_risk" in row["grey"]
    after = "\n(does not\nreproduce)" if grey else "\ntile risk"
    examples["group"] += after
    _save(folder, path, contact_sheet(examples, pictures, captions), record)


def _readable(
    cohort: Cohort,
    examples: pd.DataFrame,
    record: MapRecord,
) -> tuple[pd.DataFrame, list[bytes]]:
    """Example tiles whose pixels can be read, and these; the other slides are noted."""
    pictures, errors = available_pictures(cohort, examples)
    record.notes += [f"not in a gallery: {error}" for error in errors.values()]
    there = [picture is not None for picture in pictures]
    readable = examples[there].reset_index(drop=True)
    return readable, [picture for picture in pictures if picture is not None]


def _write_clusters(
    explanation: Explanation,
    modality: str,
    folder: Path,
    path: str,
    record: MapRecord,
) -> None:
    """Write the tiles nearest to the centre of each cluster, where a slide has a map."""
    if not any(row["modality"] == modality for row in record.slides):
        return
    explained = explanation.explained
    try:
        wanted = cluster_examples(explained, modality)
        examples, pictures = _readable(explained.cohort, wanted, record)
    except SurvfuseError as error:
        record.notes.append(f"{modality}: no gallery of clusters: {error}")
        return
    if len(examples):
        _save(folder, path, contact_sheet(examples, pictures), record)


def _save(folder: Path, name: str, figure: Any, record: MapRecord) -> None:
    """Write a figure as PNG below the folder of maps."""
    with atomic_path(folder / name, durable=False) as place:
        figure.savefig(place, format="png", facecolor="white")
    record.galleries.append(name)
