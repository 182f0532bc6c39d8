"""Maps for QuPath: its tiles with a measurement for each score.

Up to 50,000 tiles are GeoJSON, which QuPath reads as one tree in its memory; more of them are a
table and a script that reads it a line at a time.
"""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, uuid5

import numpy as np

from survfuse._storage import atomic_path, write_text
from survfuse._types import FloatArray
from survfuse.maps.colours import CATEGORIES
from survfuse.maps.measurements import Measurement, Origin, Placed, measurements, placed
from survfuse.maps.slide_map import FORMAT, VERSION, SlideMap

if TYPE_CHECKING:
    from survfuse.slides.reading import SlideReader

MOST_TILES = 50_000
CHUNK = 4096


def write_qupath(
    folder: Path | str,
    stem: str,
    slide_map: SlideMap,
    reader: SlideReader | None = None,
    *,
    origin: Origin = "bounds",
    scores: Sequence[str] | None = None,
) -> tuple[Path, ...]:
    """Write the tiles of a slide for QuPath.

    Parameters
    ----------
    folder : path
    stem : str
        How the files begin: ``STEM.geojson.gz``, or ``STEM.tiles.csv`` and
        ``STEM.import.groovy`` of more than 50,000 tiles.
    slide_map : SlideMap
    reader : SlideReader, optional
        The open slide; without it no bounds are known.
    origin : {"bounds", "full"}
        Whether QuPath shows the scanned area only, or all of level 0.
    scores : sequence of str, optional
        All where not given.

    Returns
    -------
    tuple of Path
        The files.

    Raises
    ------
    InputError
        For a score that the map does not have, another origin, or tiles beyond the slide.
    """
    where = placed(slide_map, reader, origin)
    measured = measurements(slide_map, scores)
    place = Path(folder) / stem
    if slide_map.tiles <= MOST_TILES:
        path = place.with_name(f"{stem}.geojson.gz")
        with atomic_path(path, durable=False) as temporary:
            _write_geojson(temporary, slide_map, where, measured)
        return (path,)
    table = place.with_name(f"{stem}.tiles.csv")
    with atomic_path(table, durable=False) as temporary:
        _write_table(temporary, slide_map, where, measured)
    script = place.with_name(f"{stem}.import.groovy")
    write_text(script, _script(table.name, slide_map, where, measured))
    return table, script


def _write_geojson(
    path: Path,
    slide_map: SlideMap,
    where: Placed,
    measured: Sequence[Measurement],
) -> None:
    """Stream a FeatureCollection; equal maps give equal bytes."""
    head = json.dumps(
        {"type": "FeatureCollection", "survfuse": _header(slide_map, where)}
    )
    with (
        path.open("wb") as raw,
        gzip.GzipFile("", "wb", 6, raw, mtime=0) as packed,
        io.TextIOWrapper(packed, "utf-8", newline="\n") as file,
    ):
        file.write(head[:-1] + ', "features": [\n')
        for start in range(0, slide_map.tiles, CHUNK):
            rows = slice(start, min(slide_map.tiles, start + CHUNK))
            features = ",\n".join(_features(slide_map, where, measured, rows))
            file.write(features if start == 0 else f",\n{features}")
        file.write("\n]}\n")


def _header(slide_map: SlideMap, where: Placed) -> dict[str, Any]:
    """What the file is; QuPath passes over it."""
    frame = (
        "level 0 of the slide, less the offset"
        if where.size
        else "level 0 of the slide"
    )
    return {
        "format": FORMAT,
        "version": VERSION,
        "patient_id": slide_map.patient_id,
        "modality": slide_map.modality,
        "slide_id": slide_map.slide_id,
        "frame": frame,
        "offset": list(where.offset),
        "use": "research only",
    }


def _features(
    slide_map: SlideMap,
    where: Placed,
    measured: Sequence[Measurement],
    rows: slice,
) -> Iterator[str]:
    """Tiles as texts of GeoJSON."""
    keys = [json.dumps(one.name, ensure_ascii=False) for one in measured]
    table = (
        np.stack([one.values[rows] for one in measured], axis=1) if measured else None
    )
    about = f"survfuse/{slide_map.patient_id}/{slide_map.modality}/{slide_map.slide_id}"
    corners = where.corners[rows].tolist()
    for number, (x, y) in enumerate(corners):
        values = [] if table is None else table[number].tolist()
        numbers = ",".join(
            f"{key}:{value:.6g}"
            for key, value in zip(keys, values, strict=True)
            if np.isfinite(value)
        )
        tile = rows.start + number
        yield (
            f'{{"type":"Feature","id":"{uuid5(NAMESPACE_URL, f"{about}/{tile}")}",'
            f'"geometry":{{"type":"Polygon","coordinates":[{_ring(x, y, slide_map.side)}]}},'
            f'"properties":{{"objectType":"tile"{_class(slide_map, tile)},'
            f'"measurements":{{{numbers}}}}}}}'
        )


def _ring(x: float, y: float, side: float) -> str:
    """The closed outline of a tile."""
    left, top, right, bottom = (f"{value:.10g}" for value in (x, y, x + side, y + side))
    return f"[[{left},{top}],[{right},{top}],[{right},{bottom}],[{left},{bottom}],[{left},{top}]]"


def _class(slide_map: SlideMap, tile: int) -> str:
    """The cluster of a tile as its class."""
    if slide_map.clusters is None:
        return ""
    number = int(slide_map.clusters[tile])
    colour = list(CATEGORIES[number % len(CATEGORIES)])
    return f',"classification":{{"name":"Cluster {number}","color":{colour}}}'


def _write_table(
    path: Path,
    slide_map: SlideMap,
    where: Placed,
    measured: Sequence[Measurement],
) -> None:
    """Stream a CSV of x, y, cluster (−1: none) and the measurements."""
    import pyarrow as pa
    from pyarrow import csv

    clusters = slide_map.clusters
    if clusters is None:
        clusters = np.full(slide_map.tiles, -1, np.int64)
    columns: list[tuple[str, FloatArray | Any]] = [
        ("x", where.corners[:, 0]),
        ("y", where.corners[:, 1]),
        ("cluster", clusters),
        *((one.name, one.values.astype(np.float32)) for one in measured),
    ]
    kinds = {np.dtype(np.float32): pa.float32(), np.dtype(np.int64): pa.int64()}
    fields = [pa.field(name, kinds.get(of.dtype, pa.float64())) for name, of in columns]
    schema = pa.schema(fields)
    with csv.CSVWriter(path, schema) as file:
        for start in range(0, slide_map.tiles, CHUNK):
            rows = slice(start, start + CHUNK)
            arrays = []
            for field, (_, values) in zip(fields, columns, strict=True):
                known = np.where(np.isfinite(values[rows]), values[rows], np.nan)
                plain = values[rows] if field.type == pa.int64() else known
                arrays.append(pa.array(plain, field.type, from_pandas=True))
            file.write_batch(pa.record_batch(arrays, schema=schema))


def _script(
    table: str,
    slide_map: SlideMap,
    where: Placed,
    measured: Sequence[Measurement],
) -> str:
    """The script that adds the tiles of a table to an image."""
    template = resources.files("survfuse.maps") / "import_tiles.groovy"
    width, height = where.size or (0, 0)
    filled = {
        "@TABLE@": _quoted(table),
        "@NAME@": _quoted(f"survfuse {slide_map.slide_id}"),
        "@SIDE@": f"{slide_map.side:.10g}",
        "@WIDTH@": str(width),
        "@HEIGHT@": str(height),
        "@MEASUREMENTS@": ",\n    ".join(_quoted(one.name) for one in measured),
        "@COLOURS@": ", ".join(f"0x{r:02X}{g:02X}{b:02X}" for r, g, b in CATEGORIES),
    }
    text = template.read_text(encoding="utf-8")
    for key, value in filled.items():
        text = text.replace(key, value)
    return text


def _quoted(text: str) -> str:
    """A text of Groovy, without its interpolation."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    plain = "".join(letter if letter.isprintable() else " " for letter in escaped)
    return f"'{plain}'"
