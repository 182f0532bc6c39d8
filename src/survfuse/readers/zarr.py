"""Zarr stores of wsidata / LazySlide: ``tables/<model>_<tiles>`` beside ``shapes/<tiles>``.

The arrays are read one by one, so that no codec that could execute something,
no absent chunk (it would read as zeros) and no link out of the store gets by.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from survfuse._errors import FeatureFileError, InputError, MissingExtraError
from survfuse._storage import read_json
from survfuse.readers.array_checks import AnyArray, check_claim
from survfuse.readers.record import USUAL, Draft, ReadOptions, normalise_encoder

# fmt: off
_CODECS = frozenset([
    "blosc", "zstd", "zlib", "gzip", "lz4", "lzma", "bz2", "bytes", "transpose", "crc32c", "shuffle", "delta",
    "sharding_indexed", "vlen-utf8",
])
# fmt: on


@dataclass(frozen=True)
class _Table:
    """A feature table ``<model>_<tiles>``: which encoder, on which tile grid."""

    name: str
    model: str
    tiles: str


def read_wsidata(path: Path, *, encoder: str | None = None, options: ReadOptions = USUAL) -> Draft:
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
        When the store has no feature table, or several and neither `encoder` nor `tiles` chooses one.
    MissingExtraError
        Without the zarr package.
    """
    try:
        import zarr
    except ImportError:
        raise MissingExtraError(
            f"{path}: reading a zarr store needs the zarr package: pip install survfuse[anndata]"
        ) from None
    _refuse_links(path)
    try:
        store = zarr.open_group(str(path), mode="r", use_consolidated=False)
        return _read(store, path, encoder, options)
    except (FeatureFileError, MissingExtraError):
        raise
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, OverflowError) as error:
        raise FeatureFileError(
            f"{path}: not a whole wsidata store ({type(error).__name__}: {error})"
        ) from None


def _read(store: Any, path: Path, encoder: str | None, options: ReadOptions) -> Draft:
    specs = store.attrs.get("tile_spec", {})
    specs = specs if isinstance(specs, Mapping) else {}
    table = _choose(_tables(store, specs, path, options.tiles), path, encoder, options.tiles)
    group = store["tables"][table.name]
    draft = Draft(
        values=_array(path / "tables" / table.name / "X", path, kinds="f", complete=True),
        tool="wsidata",
        encoder=table.model,
    )
    _scale(draft, specs.get(table.tiles), store.attrs.get("slide_properties"))
    _locate(draft, group, path, table.name, table.tiles)
    return draft


def _tables(store: Any, specs: Mapping[str, Any], path: Path, tiles: str | None) -> list[_Table]:
    """Feature tables of a store, sorted by name."""
    names = sorted(store["tables"].group_keys()) if "tables" in store else []
    grids = {*specs, *(store["shapes"].group_keys() if "shapes" in store else ()), *filter(None, [tiles])}
    tables = []
    for name in names:
        grid = _grid_of(name, grids)
        if grid is not None:
            tables.append(_Table(name, normalise_encoder(name.removesuffix(f"_{grid}")), grid))
    if not tables:
        raise FeatureFileError(
            f"{path}: expected a table named <model>_<tiles>, found {', '.join(names) or 'no tables'}"
        )
    return tables


def _grid_of(name: str, grids: Collection[str]) -> str | None:
    """Take the tile grid from a table's name: one that the store lists, else tiles, tiles2 or so on."""
    listed = [grid for grid in grids if name.endswith(f"_{grid}")]
    if listed:
        return max(listed, key=len)
    usual = re.search(r"_(tiles\d*)$", name)
    return None if usual is None else usual[1]


def _choose(tables: Sequence[_Table], path: Path, encoder: str | None, tiles: str | None) -> _Table:
    """The one table of the encoder and the grid that were named."""
    expected = None if encoder is None else normalise_encoder(encoder)
    chosen = [table for table in tables if expected in (None, table.model) and tiles in (None, table.tiles)]
    if len(chosen) == 1:
        return chosen[0]
    wanted = [f"encoder {encoder!r}"] if encoder is not None else []
    wanted += [f"tiles {tiles!r}"] if tiles is not None else []
    known = [f"{table.name} (`encoder: {table.model}`, `tiles: {table.tiles}`)" for table in tables]
    raise FeatureFileError(
        f"{path}: {len(chosen)} feature tables fit{' ' if wanted else ''}{' and '.join(wanted)}, expected "
        f"one; the store has {', '.join(known)}: write both lines of the one that is meant into the "
        "section of the cohort file"
    )


def _scale(draft: Draft, spec: Any, slide: Any) -> None:
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
            "the slide's own mpp is unknown, so the requested one was not applied: mpp unknown"
        )
        return
    draft.mpp = _float(spec.get("mpp"))
    if draft.mpp and width:
        draft.tile_um = draft.mpp * width


def _locate(draft: Draft, group: Any, path: Path, table: str, tiles: str) -> None:
    at = path / "tables" / table
    obs = group.get("obs", {})
    if "obsm" in group and "spatial" in group["obsm"]:
        draft.coords = _array(at / "obsm" / "spatial", path, kinds="fiu")
        draft.notes.append("coordinates from obsm/spatial, taken as level-0 pixels")
    elif "x" in obs and "y" in obs:
        columns = [_array(at / "obs" / name, path, kinds="fiu") for name in "xy"]
        draft.coords = np.stack(columns, axis=1)
        draft.notes.append("coordinates from obs columns x and y, taken as level-0 pixels")
    elif (path / "shapes" / tiles / "shapes.parquet").is_file():
        ids = _array(at / "obs" / "tile_id", path, kinds="iu") if "tile_id" in obs else None
        draft.coords = _boxes(path / "shapes" / tiles / "shapes.parquet", ids, len(draft.values))
        draft.notes.append(
            f"coordinates: upper left corners of the boxes in shapes/{tiles}, joined on tile_id"
        )
    else:
        draft.notes.append(f"no coordinates: neither obsm/spatial, obs x and y, nor shapes/{tiles}")
        return
    draft.coord_unit = "level0_px"


def _boxes(path: Path, ids: AnyArray | None, tiles: int) -> AnyArray:
    """Upper left corners of GeoParquet boxes (WKB polygons of five points), in the order of `ids`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        frame = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise FeatureFileError(f"{path}: not a Parquet file of shapes ({error})") from None
    if "geometry" not in frame.column_names:
        raise FeatureFileError(f"{path}: expected a column `geometry`, found {', '.join(frame.column_names)}")
    blobs = frame["geometry"].to_pylist()
    if any(blob is None or len(blob) != 93 or blob[:13] != _BOX_HEADER for blob in blobs):
        raise FeatureFileError(f"{path}: expected one box per tile (WKB polygon of five points)")
    points = np.frombuffer(b"".join(blob[13:] for blob in blobs), dtype="<f8").reshape(-1, 5, 2)
    corners: AnyArray = points.min(axis=1)
    if ids is None or "tile_id" not in frame.column_names:
        if len(corners) != tiles:
            raise FeatureFileError(
                f"{path}: {len(corners)} boxes for {tiles} tiles, and no tile_id to join them on"
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
            f"{path}: {int((~fits).sum())} of {len(ids)} tiles of the table have no box here"
        )
    joined: AnyArray = corners[order[place]]
    return joined


# little endian, a polygon, one ring, five points
_BOX_HEADER = b"\x01\x03\x00\x00\x00\x01\x00\x00\x00\x05\x00\x00\x00"


def _array(folder: Path, path: Path, *, kinds: str, complete: bool = False) -> AnyArray:
    """Read one array after judging its codecs, dtype, size and (features) its chunks.

    It is opened by its own folder: metadata consolidated further up could say other things.
    """
    import zarr

    name = f"{folder.parent.name}/{folder.name}"
    _refuse_codecs(folder, name, path)
    array = zarr.open_array(str(folder), mode="r")
    check_claim(path, name, tuple(array.shape), np.dtype(str(array.dtype)), kinds=kinds)
    if complete and array.size and array.nchunks_initialized < array.nchunks:
        raise FeatureFileError(
            f"{path}: {array.nchunks - array.nchunks_initialized} of {array.nchunks} chunks of {name} "
            "are absent; copy the store again"
        )
    return np.asarray(array[...])


def _refuse_codecs(folder: Path, name: str, path: Path) -> None:
    """Accept compressors by name: a pickle codec would execute what it decodes."""
    files = [folder / meta for meta in ("zarr.json", ".zarray") if (folder / meta).is_file()]
    if len(files) != 1:
        raise FeatureFileError(
            f"{path}: {name} is not one dense array: {len(files)} files zarr.json and .zarray, expected one"
        )
    try:
        meta = read_json(files[0])
    except InputError as error:
        raise FeatureFileError(str(error)) from None
    if not isinstance(meta, Mapping) or meta.get("node_type", "array") != "array":
        raise FeatureFileError(f"{path}: {name} is a group, as of a sparse matrix, expected a dense array")
    named: set[str] = set()
    listed = [meta.get("compressor"), *(meta.get("filters") or []), *(meta.get("codecs") or [])]
    while listed:
        codec = listed.pop()
        if isinstance(codec, Mapping):
            named.add(str(codec.get("name", codec.get("id"))))
            inner = codec.get("configuration", {})
            if isinstance(inner, Mapping):
                listed += [*(inner.get("codecs") or []), *(inner.get("index_codecs") or [])]
    unknown = sorted(codec for codec in named if codec.removeprefix("numcodecs.") not in _CODECS)
    if unknown:
        raise FeatureFileError(f"{path}: {name} is packed with {', '.join(unknown)}, which is not read")


def _refuse_links(path: Path) -> None:
    for root, folders, files in os.walk(path):
        for name in (*folders, *files):
            if os.path.islink(os.path.join(root, name)):
                raise FeatureFileError(
                    f"{path}: {name} is a symbolic link, which is not followed inside a store"
                )


def _float(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
