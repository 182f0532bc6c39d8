"""Example tiles of each cluster, and of a patient, with their pixels where slides are at hand."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from survfuse._errors import InputError, MissingExtraError, SurvfuseError, listed
from survfuse._types import FloatArray
from survfuse.cohort.cohort import Cohort
from survfuse.cohort.members import without
from survfuse.cohort.modalities import BagData
from survfuse.cohort.slide_images import AvailableImages, SlideImage, available_images
from survfuse.explanations.bag_terms import TILES_AT_ONCE, bag_name
from survfuse.explanations.cluster_contributions import NO_CLUSTERS
from survfuse.explanations.explained import Explained
from survfuse.explanations.tile_tables import TileIndex, tiles
from survfuse.maps import TilePlaces
from survfuse.maps.overlay import check_corners
from survfuse.readers.bag_files import Slide
from survfuse.survival.argument_checks import as_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure


EXAMPLES = 6
MOST_PATIENTS = 100
"""Patients, evenly spaced, whose tiles are looked through for examples."""
PICTURE_PX = 128
WHERE = ("group", "patient_id", "modality", "slide", "tile", "x", "y")


def cluster_examples(
    explained: Explained,
    modality: str | None = None,
    *,
    count: int = EXAMPLES,
) -> pd.DataFrame:
    """Tiles nearest to the centre of each cluster, at most one of a patient.

    Parameters
    ----------
    explained : Explained
        At most 100 of its patients are looked through, evenly spaced.
    modality : str, optional
        A bag; the only one where not given.
    count : int
        Tiles of each cluster; fewer where fewer patients have it.

    Returns
    -------
    DataFrame
        `group` ("cluster 0", ...), `patient_id, modality, slide, tile, x, y`, and `distance` to
        the centre, among scaled features; the nearest first.

    Raises
    ------
    InputError
        When there is no such bag, or its model holds no clusters.
    """
    count = as_whole(count, "count", 0)
    name = bag_name(explained, modality)
    if name not in explained.fitted.clusters:
        raise InputError(f"{name}: {NO_CLUSTERS}")
    has = np.flatnonzero(explained.present(name))
    places = np.linspace(0, len(has) - 1, min(len(has), MOST_PATIENTS)).round()
    nearest = [pd.DataFrame(columns=[*WHERE, "cluster", "distance"])]
    for row in has[places.astype(np.int64)]:
        nearest.append(nearest_tiles(explained, name, explained.ids[row]))
    joined = pd.concat(nearest[1:] or nearest, ignore_index=True)
    ordered = joined.sort_values(["cluster", "distance"], kind="stable")
    examples = ordered.groupby("cluster", sort=False).head(count)
    return examples.drop(columns="cluster").reset_index(drop=True)


def extreme_tiles(
    explained: Explained,
    patient: str,
    modality: str | None = None,
    *,
    term: str | None = None,
    count: int = EXAMPLES,
) -> pd.DataFrame:
    """Tiles of a patient with the highest and the lowest risk.

    Returns
    -------
    DataFrame
        `group` ("highest", "lowest"), `patient_id, modality, slide, tile, x, y, tile_risk,
        contribution`; no tile is in both groups.
    """
    count = as_whole(count, "count", 0)
    frame = tiles(explained, patient, modality, term=term, removal=False)
    frame.insert(0, "patient_id", patient)
    ordered = frame.sort_values("tile_risk", ascending=False, kind="stable")
    most = min(count, len(ordered) // 2)
    highest, lowest = ordered.head(most), ordered.tail(most)[::-1]
    chosen = pd.concat([highest, lowest], ignore_index=True)
    chosen.insert(0, "group", ["highest"] * most + ["lowest"] * most)
    return chosen[[*WHERE, "tile_risk", "contribution"]]


def tile_pictures(
    cohort: Cohort,
    examples: pd.DataFrame,
    *,
    side: int = PICTURE_PX,
) -> list[bytes]:
    """Read the pixels of example tiles from the slides of a cohort.

    Parameters
    ----------
    cohort : Cohort
        Whose slide table names images, or whose section has ``images:``.
    examples : DataFrame
        Of one bag; columns `patient_id, modality, slide, x, y`.
    side : int, px
        Of a picture.

    Returns
    -------
    list of bytes
        A PNG for each row.

    Raises
    ------
    InputError
        When tiles have no coordinates or no known size, or images are absent.
    SlideError
        When a slide cannot be read.
    MissingExtraError
        Without the extra `slides`.
    """
    pictures, errors = available_pictures(cohort, examples, side=side)
    for error in errors.values():
        raise error
    return [picture for picture in pictures if picture is not None]


def available_pictures(
    cohort: Cohort,
    examples: pd.DataFrame,
    *,
    side: int = PICTURE_PX,
) -> tuple[list[bytes | None], dict[str, SurvfuseError]]:
    """Read the pixels of example tiles, as :func:`tile_pictures` does, of slides that can be read.

    Returns
    -------
    pictures : list of bytes or None
        A PNG for each row; None where the slide cannot be shown.
    errors : dict of slide to SurvfuseError
        Why it cannot.

    Raises
    ------
    InputError
        When the table has no such columns.
    MissingExtraError
        Without the extra `slides`.
    """
    if not len(examples):
        return [], {}
    absent = without(["patient_id", "modality", "slide", "x", "y"], examples.columns)
    if absent:
        raise InputError(
            f"examples: expected a table of tiles, as tile_examples gives it; no column "
            f"{listed(absent)}",
        )
    name, numbered = str(examples["modality"].iloc[0]), examples.reset_index(drop=True)
    available = images_of_bag(cohort, name)
    pictures: list[bytes | None] = [None] * len(numbered)
    errors: dict[str, SurvfuseError] = {}
    for slide_id, rows in numbered.groupby("slide", sort=False):
        try:
            slide, corners = _slide(cohort, name, rows)
            if why := available.why_absent(slide.slide_id):
                raise InputError(f"{name}: no image of slide {slide_id!r}: {why}")
            image = available.images[slide.slide_id]
            read = _read(image, slide, corners, rows, side)
        except MissingExtraError:
            raise
        except SurvfuseError as error:
            errors[str(slide_id)] = error
            continue
        for place, picture in zip(rows.index, read, strict=True):
            pictures[place] = picture
    return pictures, errors


def cluster_pictures(
    explained: Explained,
    modality: str | None = None,
    *,
    count: int = EXAMPLES,
    side: int = PICTURE_PX,
) -> dict[int, list[bytes]]:
    """Pictures of the tiles nearest to the centre of each cluster, as PNG; by cluster.

    Raises
    ------
    InputError
        As :func:`tile_pictures`, before any tile is read.
    """
    available = images_of_bag(explained.cohort, bag_name(explained, modality))
    if not available.images:
        raise InputError(available.why_none())
    examples = cluster_examples(explained, modality, count=count)
    pictures: dict[int, list[bytes]] = {}
    read = tile_pictures(explained.cohort, examples, side=side)
    for group, picture in zip(examples["group"], read, strict=True):
        cluster = int(str(group).removeprefix("cluster "))
        pictures.setdefault(cluster, []).append(picture)
    return pictures


def contact_sheet(
    examples: pd.DataFrame,
    pictures: Sequence[bytes],
    captions: Sequence[str] | None = None,
) -> Figure:
    """Draw example tiles, a line for each group.

    Parameters
    ----------
    examples : DataFrame
        With a column `group`.
    pictures : sequence of bytes
        PNG of each row.
    captions : sequence of str, optional
        What stands below each.
    """
    from matplotlib.figure import Figure
    from matplotlib.image import imread

    groups = list(dict.fromkeys(examples["group"]))
    columns = int(examples["group"].value_counts().max())
    tall = 1.15 if captions is None else 1.35
    figure = Figure(figsize=(1.1 * columns + 1.2, tall * len(groups)), dpi=110)
    axes = figure.subplots(len(groups), columns, squeeze=False)
    for one in axes.flat:
        one.set_axis_off()
    for line, group in zip(axes, groups, strict=True):
        places = np.flatnonzero(examples["group"] == group).tolist()
        for one, place in zip(line, places, strict=False):
            one.imshow(imread(io.BytesIO(pictures[place]), format="png"))
            if captions is not None:
                one.set_title(captions[place], fontsize=8, y=-0.2)
        text = {"transform": line[0].transAxes, "ha": "right", "va": "center"}
        line[0].text(-0.08, 0.5, group, fontsize=9, **text)
    width = figure.get_figwidth()
    gap, bottom = (0.06, 0.01) if captions is None else (0.25, 0.2 / len(groups))
    figure.subplots_adjust(1.1 / width, bottom, 0.99, 0.99, wspace=0.04, hspace=gap)
    return figure


def nearest_tiles(
    explained: Explained,
    modality: str,
    patient: str,
) -> pd.DataFrame:
    """The patient's tile that is nearest to each centre, of clusters that it belongs to.

    Parameters
    ----------
    explained : Explained
    modality : str
        A bag whose tiles the model clusters.
    patient : str
        Who has the bag.

    Returns
    -------
    DataFrame
        As of :func:`cluster_examples`, and `cluster`.
    """
    data = explained.cohort.modalities[modality]
    assert isinstance(data, BagData)
    clusters = explained.fitted.clusters[modality]
    scaler = explained.fitted.transforms.bag_scaler[modality]
    rows, index = data.rows(patient), TileIndex.of(data, patient)
    best = np.full(len(clusters), np.inf)
    place = np.zeros(len(clusters), np.int64)
    for start in range(0, len(rows), TILES_AT_ONCE):
        raw = data.store.features[rows[start : start + TILES_AT_ONCE]]
        distances = clusters.distances(scaler.scale(raw))
        own = distances.argmin(axis=1)[:, None] == np.arange(len(clusters))
        distances[~own] = np.inf
        nearer = distances.min(axis=0) < best
        place[nearer] = start + distances.argmin(axis=0)[nearer]
        best[nearer] = distances.min(axis=0)[nearer]
    there = np.flatnonzero(np.isfinite(best))
    at = place[there]
    columns = {
        "group": [f"cluster {number}" for number in there],
        "patient_id": patient,
        "modality": modality,
        "slide": index.slide[at],
        "tile": index.tile[at],
        "x": index.corners[at, 0],
        "y": index.corners[at, 1],
        "cluster": there,
        "distance": np.sqrt(best[there]),
    }
    return pd.DataFrame(columns)


def _slide(
    cohort: Cohort,
    modality: str,
    rows: pd.DataFrame,
) -> tuple[Slide, FloatArray]:
    """The slide of some tiles, whose places must be known, and the corners of all of its tiles."""
    patient, slide_id = rows["patient_id"].iloc[0], rows["slide"].iloc[0]
    data = cohort.modalities.get(modality)
    by_id, starts, start = {}, {}, 0
    if isinstance(data, BagData):
        for slide in data.store.slides_of(patient):
            by_id[slide.slide_id], starts[slide.slide_id] = slide, start
            start += slide.tiles
    if slide_id not in by_id:
        raise InputError(
            f"{modality}: patient {patient} has no slide {slide_id!r} in this cohort, but "
            f"{listed(by_id) or 'none'}",
        )
    unknown = bool(rows[["x", "y"]].isna().any(axis=None))
    if unknown or by_id[slide_id].coord_unit is None:
        raise InputError(
            f"{modality}: slide {slide_id!r} of patient {patient}: it is not known where its tiles "
            "lie, so their pixels cannot be shown; feature files with coordinates are needed",
        )
    assert isinstance(data, BagData)
    own, first = by_id[slide_id], starts[slide_id]
    return own, data.store.coords(patient)[first : first + own.tiles]


def images_of_bag(cohort: Cohort, modality: str) -> AvailableImages:
    """Images of the slides of a bag, and why the others have none; looked for once."""
    data, section = (
        cohort.modalities.get(modality),
        cohort.spec.sections().get(modality),
    )
    computed = {} if data is None else data.fits
    key = ("images", str(cohort.root), repr(section))
    if key not in computed:
        computed[key] = available_images(cohort.spec, cohort.root, modality=modality)
    images: AvailableImages = computed[key]
    return images


def _read(
    image: SlideImage,
    slide: Slide,
    corners: FloatArray,
    rows: pd.DataFrame,
    side: int,
) -> list[bytes]:
    """Read tiles of one slide as PNG; `corners` are those of all of its tiles."""
    from survfuse.slides import _opencv as cv2
    from survfuse.slides.opening import open_slide
    from survfuse.slides.reading import level_for

    pictures = []
    with open_slide(image.path) as reader:
        mpp = image.mpp or reader.mpp
        all_of_it = TilePlaces.of(slide, corners, mpp)
        if np.isnan(all_of_it.side):
            raise InputError(
                f"slide {slide.slide_id!r}: the size of its tiles is not known in px of the slide, "
                "so their pixels cannot be shown; give µm per px in the column `mpp` of the slide "
                "table, or feature files that tell the size of a tile",
            )
        check_corners(slide.slide_id, all_of_it.corners, all_of_it.side, reader)
        number = level_for(reader, 1.0, max(all_of_it.side / side, 1.0))
        down = reader.levels[number].downsample
        read_px = max(1, round(all_of_it.side / down))
        wanted = TilePlaces.of(slide, rows[["x", "y"]].to_numpy(np.float64), mpp)
        for x, y in wanted.corners / down:
            pixels = reader.region(number, round(x), round(y), read_px, read_px)
            small = cv2.resize(pixels, (side, side), interpolation=cv2.INTER_AREA)
            pictures.append(cv2.imencode(".png", small[..., ::-1])[1].tobytes())
    return pictures
