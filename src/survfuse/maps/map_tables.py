"""Scores of tiles as HDF5 and Parquet, with where they lie and what they mean.

HDF5 has `coords` and `attention_scores`, as the heat maps of CLAM have them, and `coords` with the
attributes of TRIDENT's patches.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from survfuse._storage import atomic_path
from survfuse._types import AnyArray
from survfuse._version import __version__
from survfuse.maps.slide_map import FORMAT, VERSION, SlideMap

FRAME = "level 0 of the slide as OpenSlide counts it: x to the right, y down, upper left corners"
ATTENTION = "attention"


def write_hdf5(
    path: Path | str,
    slide_map: SlideMap,
    scores: Sequence[str] | None = None,
) -> None:
    """Write the scores of a slide as HDF5.

    Datasets: ``coords``, (tiles, 2) level-0 px; ``scores/NAME``, (tiles,) float32;
    ``images/NAME``, (rows, columns) float32, the same as an image of one pixel a tile, NaN where no
    tile lies; ``clusters``, (tiles,); ``attention_scores``, (tiles, 1). Attributes name the frame,
    the unit and what is known of each score.

    Parameters
    ----------
    path : path
    slide_map : SlideMap
    scores : sequence of str, optional
        All where not given.

    Raises
    ------
    InputError
        For a score that the map does not have.
    """
    import h5py

    names = list(slide_map.scores if scores is None else scores)
    chosen = [slide_map.score(name) for name in names]
    with atomic_path(path, durable=False) as place, h5py.File(place, "w") as file:
        file.attrs.update(_attributes(slide_map))
        _write(
            file,
            "coords",
            _whole(slide_map.places.corners),
            unit="level-0 px",
            frame=FRAME,
        )
        side = slide_map.side
        file["coords"].attrs.update({"patch_size": side, "patch_size_level0": side})
        if slide_map.clusters is not None:
            _write(file, "clusters", slide_map.clusters)
        for score in chosen:
            about = score.described()
            _write(
                file,
                f"scores/{_key(score.name)}",
                score.values.astype(np.float32),
                **about,
            )
            image = slide_map.image_of(score.name).astype(np.float32)
            _write(file, f"images/{_key(score.name)}", image, **about)
            if score.name == ATTENTION:
                column = score.values.astype(np.float32)[:, None]
                _write(file, "attention_scores", column, **about)


def write_parquet(
    path: Path | str,
    slide_map: SlideMap,
    scores: Sequence[str] | None = None,
) -> None:
    """Write the scores of a slide as Parquet: a row is a tile.

    Columns `tile, x, y` (level-0 px), `cluster` where it is known, and each score as float32. The
    metadata have the key ``survfuse``: JSON, as `SlideMap.described`.

    Parameters
    ----------
    path : path
    slide_map : SlideMap
    scores : sequence of str, optional
        All where not given.

    Raises
    ------
    InputError
        For a score that the map does not have.
    """
    import pyarrow as pa
    from pyarrow import parquet

    corners = slide_map.places.corners
    columns: dict[str, AnyArray] = {
        "tile": np.arange(slide_map.tiles, dtype=np.int32),
        "x": corners[:, 0],
        "y": corners[:, 1],
    }
    if slide_map.clusters is not None:
        columns["cluster"] = slide_map.clusters.astype(np.int32)
    for name in slide_map.scores if scores is None else scores:
        score = slide_map.score(name)
        if score.kind != "categories":
            columns[name] = score.values.astype(np.float32)
    about = {
        "format": FORMAT,
        "version": VERSION,
        "frame": FRAME,
        **slide_map.described(),
    }
    table = pa.table(columns, metadata={"survfuse": json.dumps(about)})
    with atomic_path(path, durable=False) as place:
        parquet.write_table(table, place, compression="zstd")


def _attributes(slide_map: SlideMap) -> dict[str, Any]:
    """What a file of HDF5 says of the whole."""
    lattice = slide_map.lattice
    attributes: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "written_by": f"survfuse {__version__}",
        "use": "research only",
        "patient_id": slide_map.patient_id,
        "modality": slide_map.modality,
        "slide_id": slide_map.slide_id,
        "frame": FRAME,
        "image_origin": lattice.origin,
        "image_step": lattice.step,
        "notes": "\n".join(slide_map.notes),
    }
    if slide_map.mpp is not None:
        attributes["mpp"] = slide_map.mpp
    return attributes


def _write(file: Any, place: str, values: AnyArray, **attributes: Any) -> None:
    """Write a dataset, packed where it is not tiny."""
    packed = {"compression": "gzip", "compression_opts": 4, "shuffle": True}
    dataset = file.create_dataset(
        place, data=values, **(packed if values.size > 256 else {})
    )
    dataset.attrs.update(attributes)


def _key(name: str) -> str:
    """The name of a score as one of HDF5, where / parts groups."""
    return name.replace("/", "∕")


def _whole(corners: AnyArray) -> AnyArray:
    """Coordinates as whole numbers where they all are."""
    rounded = np.rint(corners)
    return rounded.astype(np.int64) if (rounded == corners).all() else corners
