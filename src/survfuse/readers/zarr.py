"""Zarr stores of wsidata / LazySlide: ``tables/<model>_<tiles>`` beside ``shapes/<tiles>``.

The arrays are read one by one, so that no codec that could execute something,
no absent chunk (it would read as zeros) and no link out of the store gets by.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from survfuse._errors import FeatureFileError, MissingExtraError
from survfuse._gate import boundary, regular_file
from survfuse._types import AnyArray
from survfuse.readers.array_checks import check_stored
from survfuse.readers.formats import feature_format
from survfuse.readers.slide_features import USUAL, Draft, ReadOptions, normalise_encoder
from survfuse.readers.zarr_arrays import (
    attributes,
    groups,
    has_chunks,
    is_group,
    read_array,
    refuse_links,
)


@dataclass(frozen=True)
class _Table:
    """A feature table ``<model>_<tiles>``: which encoder, on which tile grid."""

    name: str
    model: str
    tiles: str


@feature_format(
    "zarr",
    ".zarr",
    summary="wsidata / LazySlide (extra `anndata`)",
    source="wsidata",
    is_folder=True,
)
def read_wsidata(
    path: Path,
    encoder: str | None = None,
    options: ReadOptions = USUAL,
) -> Draft:
    """Read one feature table of a wsidata store.

    The table ``<model>_<tiles>`` names its encoder (`model`) and its tiles. Coordinates come
    from ``obsm/spatial`` or columns ``x`` and ``y`` of the table, else from ``shapes/<tiles>``
    (boxes joined on ``tile_id``). The scale comes from ``tile_spec``, but only where the slide's
    own scale was known: without it wsidata ignores the scale that was wanted for.

    Parameters
    ----------
    path : Path
        The ``.zarr`` folder.
    encoder : str or None
        Which table, where a store holds several.
    options : ReadOptions
        Its `tiles` names the tile grid, where one encoder was run on several.

    Raises
    ------
    FeatureFileError
        When the store has no feature table, or several and neither `encoder` nor `tiles` chooses
        one.
    MissingExtraError
        Without the zarr package.
    """
    if find_spec("zarr") is None:
        raise MissingExtraError(
            f"{path}: reading a zarr store needs the zarr package: pip install survfuse[anndata]",
        )
    refuse_links(path)
    with boundary(
        path,
        "a whole wsidata store",
        error=FeatureFileError,
        remedy="copy the store again, or write it again",
    ):
        if not is_group(path):
            raise FeatureFileError(
                f"{path}: not a whole wsidata store: no zarr.json or .zgroup; copy it again",
            )
        return _read(path, encoder, options)


def _read(
    path: Path,
    encoder: str | None,
    options: ReadOptions,
) -> Draft:
    about = attributes(path)
    specs = about.get("tile_spec", {})
    specs = specs if isinstance(specs, Mapping) else {}
    table = _choose(_tables(specs, path, options.tiles), path, encoder, options.tiles)
    at = path / "tables" / table.name
    draft = Draft(
        values=read_array(at / "X", kinds="f"),
        tool="wsidata",
        encoder=table.model,
    )
    _scale(draft, specs.get(table.tiles), about.get("slide_properties"))
    _locate(draft, at, path / "shapes" / table.tiles / "shapes.parquet")
    return draft


def _tables(
    specs: Mapping[str, Any],
    path: Path,
    tiles: str | None,
) -> list[_Table]:
    """Feature tables of a store, sorted by name."""
    names = groups(path / "tables")
    grids = {*specs, *groups(path / "shapes"), *filter(None, [tiles])}
    tables = []
    for name in names:
        grid = _grid_of(name, grids)
        if grid is not None:
            tables.append(
                _Table(name, normalise_encoder(name.removesuffix(f"_{grid}")), grid),
            )
    if not tables:
        raise FeatureFileError(
            f"{path}: expected a table named <model>_<tiles>, found "
            f"{', '.join(names) or 'no tables'}",
        )
    return tables


def _grid_of(name: str, grids: Collection[str]) -> str | None:
    """Take the tile grid from a table's name: one in the store, else tiles, tiles2, ..."""
    listed = [grid for grid in grids if name.endswith(f"_{grid}")]
    if listed:
        return max(listed, key=len)
    usual = re.search(r"_(tiles\d*)$", name)
    return None if usual is None else usual[1]


def _choose(
    tables: Sequence[_Table],
    path: Path,
    encoder: str | None,
    tiles: str | None,
) -> _Table:
    """The one table of the encoder and the grid that were named."""
    expected = None if encoder is None else normalise_encoder(encoder)
    chosen = [
        table
        for table in tables
        if expected in (None, table.model) and tiles in (None, table.tiles)
    ]
    if len(chosen) == 1:
        return chosen[0]
    wanted = [f"encoder {encoder!r}"] if encoder is not None else []
    wanted += [f"tiles {tiles!r}"] if tiles is not None else []
    known = [
        f"{table.name} (`encoder: {table.model}`, `tiles: {table.tiles}`)"
        for table in tables
    ]
    raise FeatureFileError(
        f"{path}: {len(chosen)} feature tables fit{' ' if wanted else ''}{' and '.join(wanted)}, "
        "expected "
        f"one; the store has {', '.join(known)}: write both lines of the one that is meant into "
        "the section of the cohort file",
    )


def _scale(
    draft: Draft,
    spec: Any,
    slide: Any,
) -> None:
    if not isinstance(spec, Mapping):
        draft.notes.append("no tile_spec: scale and tile size unknown")
        return
    width = _float(spec.get("width"))
    downsample = _float(spec.get("base_downsample"))
    if width and downsample:
        draft.patch_size_level0 = float(int(width * downsample))
    elif "raw_width" in spec:
        draft.patch_size_level0 = _float(spec["raw_width"])
    slide_mpp = _float(slide.get("mpp")) if isinstance(slide, Mapping) else None
    if slide_mpp is None:
        draft.notes.append(
            "the slide's own mpp is unknown, so the requested one was not applied: mpp unknown",
        )
        return
    draft.mpp = _float(spec.get("mpp"))
    if draft.mpp and width:
        draft.tile_um = draft.mpp * width


def _locate(
    draft: Draft,
    table: Path,
    shapes: Path,
) -> None:
    spatial, obs = table / "obsm" / "spatial", table / "obs"
    if spatial.exists():
        draft.coords = read_array(
            spatial,
            kinds="fiu",
            fill=True,
        )
        draft.notes.append("coordinates from obsm/spatial, taken as level-0 pixels")
    elif (obs / "x").exists() and (obs / "y").exists():
        columns = [
            read_array(
                obs / name,
                kinds="fiu",
                fill=True,
            )
            for name in "xy"
        ]
        draft.coords = np.stack(columns, axis=1)
        draft.notes.append(
            "coordinates from obs columns x and y, taken as level-0 pixels",
        )
    elif shapes.exists():
        ids = _tile_ids(obs / "tile_id", len(draft.values))
        draft.coords = _boxes(shapes, ids, len(draft.values))
        draft.notes.append(
            f"coordinates: upper left corners of the boxes in shapes/{shapes.parent.name}, "
            "joined on tile_id",
        )
    else:
        draft.notes.append(
            f"no coordinates: neither obsm/spatial, obs x and y, nor shapes/{shapes.parent.name}",
        )
        return
    draft.coord_unit = "level0_px"


def _tile_ids(folder: Path, tiles: int) -> AnyArray | None:
    """Ids of the tiles; None without ids, or where the only id is 0 (zarr writes no chunk).

    One tile without an id can only be the one box that there is, so nothing is guessed.
    """
    if not folder.exists() or (tiles == 1 and not has_chunks(folder)):
        return None
    return read_array(folder, kinds="iu")


def _boxes(
    path: Path,
    ids: AnyArray | None,
    tiles: int,
) -> AnyArray:
    """Upper left corners of GeoParquet boxes (WKB polygons of 5 points), ordered as `ids`."""
    frame = _read_shapes(path)
    blobs = frame["geometry"].to_pylist()
    if any(
        type(blob) is not bytes or len(blob) != _BOX or blob[:13] != _BOX_HEADER
        for blob in blobs
    ):
        raise FeatureFileError(
            f"{path}: expected one box per tile (WKB polygon of five points)",
        )
    points = np.frombuffer(b"".join(blob[13:] for blob in blobs), dtype="<f8").reshape(
        -1,
        5,
        2,
    )
    corners: AnyArray = points.min(axis=1)
    if ids is None or "tile_id" not in frame.column_names:
        if len(corners) != tiles:
            raise FeatureFileError(
                f"{path}: {len(corners)} boxes for {tiles} tiles, and no tile_id to join them on",
            )
        return corners
    known = frame["tile_id"].to_numpy()
    order = np.argsort(known, kind="stable")
    if len(known) > 1 and (np.diff(known[order]) == 0).any():
        raise FeatureFileError(f"{path}: a tile_id appears twice")
    place = np.searchsorted(known[order], ids)
    fits = place < len(known)
    fits[fits] = known[order][place[fits]] == ids[fits]
    if not fits.all():
        raise FeatureFileError(
            f"{path}: {int((~fits).sum())} of {len(ids)} tiles of the table have no box here",
        )
    joined: AnyArray = corners[order[place]]
    return joined


def _read_shapes(path: Path) -> Any:
    """Read the columns of boxes and ids as a table, once what they claim has been judged."""
    import pyarrow.parquet as pq

    size = regular_file(path, error=FeatureFileError)
    with boundary(
        path,
        "a Parquet file of shapes",
        error=FeatureFileError,
        remedy="copy the store again",
    ):
        file = pq.ParquetFile(path)
        names = file.schema_arrow.names
        if "geometry" not in names:
            raise FeatureFileError(
                f"{path}: expected a column `geometry`, found {', '.join(names)[:200]}",
            )
        groups = [
            file.metadata.row_group(number)
            for number in range(file.metadata.num_row_groups)
        ]
        check_stored(path, file.metadata.num_rows * (_BOX + 8), size)
        check_stored(path, sum(group.total_byte_size for group in groups), size)
        return file.read(
            columns=[name for name in ("geometry", "tile_id") if name in names],
        )


_BOX = 93
"""Bytes of a box."""
# little endian, a polygon, one ring, five points
_BOX_HEADER = b"\x01\x03\x00\x00\x00\x01\x00\x00\x00\x05\x00\x00\x00"


def _float(value: Any) -> float | None:
    return (
        float(value)
        if isinstance(value, (int, float)) and not isinstance(value, bool)
        else None
    )
