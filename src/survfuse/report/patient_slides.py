"""Slides of one patient: maps, clusters of tiles, and the tiles of highest and lowest risk."""

from __future__ import annotations

import io
from base64 import b64encode
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from typing import Any

import numpy as np
import pandas as pd

from survfuse._errors import SurvfuseError
from survfuse.explanations import Explanation
from survfuse.explanations.bag_terms import bags
from survfuse.explanations.cluster_contributions import cluster_rows
from survfuse.explanations.tile_gallery import available_pictures, nearest_tiles
from survfuse.maps import SlideMap
from survfuse.maps.overlay import overlay
from survfuse.report.patient_terms import agreement_of, reasons_left_out

MOST_SLIDES, MOST_CLUSTERS, MOST_TILES = 2, 8, 5
MAP_PX, TILE_PX = 720, 96
"""Longest side of a map, and side of the picture of a tile; together they bound a page's size."""
QUALITY = 80
LEFT_OUT = "pictures were not asked for"


def slides_of(
    explanation: Explanation,
    patient: str,
    *,
    pictures: bool,
) -> list[dict[str, Any]]:
    """Everything about the slides of a patient, of each bag of the model.

    Parameters
    ----------
    explanation : Explanation
    patient : str
    pictures : bool
        Whether to read pixels.

    Returns
    -------
    list of dict
        `name` of the bag, `why_nothing` (empty where there is something), `maps`, `clusters`,
        `highest` and `lowest`, `tiles` and `slides` (counts), `why_no_pictures`, `grey`, `says`.
    """
    explained = explanation.explained
    row, bags_of_patient = explained.row(patient), []
    for name in bags(explained):
        facts: dict[str, Any] = {
            "name": explained.labels.modality(name),
            "why_nothing": "",
        }
        if not explained.present(name)[row]:
            bags_of_patient.append(
                {**facts, "why_nothing": "this patient has no tiles"}
            )
            continue
        try:
            frame = explanation.tiles(patient, name, removal=False)
        except SurvfuseError as error:
            reason = reasons_left_out(explanation).get(name)
            why = f"not used: {reason}" if reason else str(error)
            maps = _maps_of_pairs(explanation, patient, name) if pictures else []
            bags_of_patient.append({**facts, "why_nothing": why, "maps": maps})
            continue
        bags_of_patient.append(
            {**facts, **_slides(explanation, patient, name, frame, pictures)}
        )
    return bags_of_patient


def _maps_of_pairs(
    explanation: Explanation,
    patient: str,
    modality: str,
) -> list[dict[str, Any]]:
    """Maps of the interactions of a bag whose main effect the model leaves out."""
    maps = explanation.slide_maps(patient, modality, failed={})
    largest = sorted(maps.values(), key=lambda one: -one.tiles)[:MOST_SLIDES]
    drawn = []
    for one in largest:
        with suppress(SurvfuseError):  # nobody knows where its tiles lie
            if one.scores:
                drawn.append(_map(one, next(iter(one.scores))))
    return drawn


def _slides(
    explanation: Explanation,
    patient: str,
    modality: str,
    frame: pd.DataFrame,
    pictures: bool,
) -> dict[str, Any]:
    """Facts of a bag that has a main effect."""
    counts = frame["slide"].value_counts(sort=False)
    drawn_slides = counts.sort_values(ascending=False, kind="stable").index[
        :MOST_SLIDES
    ]
    maps, why_no_map = _maps(
        explanation, patient, modality, list(drawn_slides), pictures
    )
    clusters = cluster_rows(patient, frame)
    clusters = clusters.sort_values(
        "contribution", key=np.abs, ascending=False, kind="stable"
    )
    extremes = explanation.extreme_tiles(patient, modality, count=MOST_TILES)
    largest_clusters = clusters.head(MOST_CLUSTERS)
    wanted = [extremes]
    if len(clusters):
        nearest = nearest_tiles(explanation.explained, modality, patient)
        wanted.append(nearest.set_index("cluster").loc[largest_clusters["cluster"]])
    tiles = pd.concat(wanted, ignore_index=True)
    images: list[str] = [""] * len(tiles)
    why_no_pictures = LEFT_OUT
    if pictures:
        images, why_no_pictures = _pictures(explanation, tiles)
    tiles["picture"] = images
    rows: Any = tiles.to_dict("records")
    return {
        "tiles": len(frame),
        "slides": len(counts),
        "maps": maps,
        "why_no_map": why_no_map,
        "clusters": _with_pictures(largest_clusters, rows[len(extremes) :]),
        "more_clusters": len(clusters) - len(largest_clusters),
        "most": float(clusters["contribution"].abs().max()) if len(clusters) else 0.0,
        "highest": [row for row in rows if row["group"] == "highest"],
        "lowest": [row for row in rows if row["group"] == "lowest"],
        "why_no_pictures": why_no_pictures,
        **agreement_of(explanation, "tiles", modality),
    }


def _maps(
    explanation: Explanation,
    patient: str,
    modality: str,
    drawn_slides: Sequence[str],
    pictures: bool,
) -> tuple[list[dict[str, Any]], str]:
    """Maps of some slides as pictures, and why others have none."""
    if not pictures:
        return [], LEFT_OUT
    failed: dict[str, str] = {}
    maps, drawn = explanation.slide_maps(patient, modality, failed=failed), []
    for slide_id in drawn_slides:
        if slide_id not in maps:
            continue
        try:
            drawn.append(_map(maps[slide_id], "tile_risk"))
        except SurvfuseError as error:
            failed[slide_id] = str(error)
    reasons = [failed[slide_id] for slide_id in drawn_slides if slide_id in failed]
    return drawn, "; ".join(dict.fromkeys(reasons)).removeprefix(f"{modality}: ")


def _map(slide_map: SlideMap, name: str) -> dict[str, Any]:
    """A score of a slide over its overview, or over paper, and the key to its colours."""
    score, note = slide_map.score(name), ""
    if slide_map.image is None:
        why = slide_map.why_no_image or "the cohort names no image of this slide"
        note = f"{why}: the map is drawn on blank paper"
    try:
        opened = _opened(slide_map) if slide_map.image is not None else nullcontext()
        with opened as reader:
            picture = overlay(slide_map, name, reader, longest=MAP_PX)
    except (SurvfuseError, OSError) as error:
        picture = overlay(slide_map, name, longest=MAP_PX)
        note = f"the slide cannot be shown ({error}): the map is drawn on blank paper"
    height, width = picture.shape[:2]
    return {
        "slide": slide_map.slide_id,
        "picture": _jpeg(picture),
        "width": width,
        "height": height,
        "limit": score.limit,
        "title": score.title,
        "grey": score.grey,
        "tiles": slide_map.tiles,
        "note": note,
    }


def _opened(slide_map: SlideMap) -> Any:
    from survfuse.slides.opening import open_slide

    assert slide_map.image is not None
    return open_slide(slide_map.image)


def _pictures(
    explanation: Explanation,
    wanted: pd.DataFrame,
) -> tuple[list[str], str]:
    """Pixels of tiles as JPEG in Base64 ("" where there are none), and why some have none."""
    from PIL import Image

    cohort = explanation.explained.cohort
    try:
        read, errors = available_pictures(cohort, wanted, side=TILE_PX)
    except (SurvfuseError, OSError) as error:
        return [""] * len(wanted), str(error)
    images = []
    for png in read:
        images.append("" if png is None else _jpeg(Image.open(io.BytesIO(png))))
    return images, "; ".join(map(str, errors.values()))


def _jpeg(picture: Any) -> str:
    """A picture (an image of Pillow, or RGB) as JPEG in Base64."""
    from PIL import Image

    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "JPEG", quality=QUALITY, optimize=True)
    return b64encode(buffer.getvalue()).decode()


def _with_pictures(
    clusters: pd.DataFrame,
    tiles: Sequence[Mapping[str, Any]],
) -> list[dict[str, Any]]:
    """Clusters, each with the picture of its tile."""
    records: Any = clusters.to_dict("records")
    pairs = zip(records, tiles, strict=True)
    return [{**row, "picture": tile["picture"]} for row, tile in pairs]
