"""Writing a cohort folder: whole or absent, and byte for byte the same every time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from survfuse._errors import InputError
from survfuse._places import disk_errors, staged_folder, sweep_stage, try_folder
from survfuse._storage import sha256_array
from survfuse._types import AnyArray, Float32Array, FloatArray
from survfuse.readers.bag_files import Index, MatrixWriter, Slide


def try_new_folder(out: Path | str) -> Path:
    """Refuse, before any work is done, a place where no new folder can be written.

    Returns
    -------
    Path
        `out`, or what it links to.

    Raises
    ------
    InputError
        When `out` is a file or a folder that holds anything (nothing is overwritten), or when
        nothing can be written there.
    """
    target = Path(out)
    with disk_errors(target):
        if target.is_symlink():
            target = target.resolve()
        sweep_stage(target)
        if target.is_dir() and any(target.iterdir()):
            raise InputError(
                f"{target}: expected a new or empty folder; remove it or choose another",
            )
    return try_folder(target)


@contextmanager
def new_folder(out: Path | str) -> Iterator[Path]:
    """Yield a folder beside `out` that becomes `out` when the block succeeds.

    Raises
    ------
    InputError
        As :func:`try_new_folder`.
    """
    with staged_folder(try_new_folder(out)) as folder:
        yield folder


def write_csv(path: Path, frame: pd.DataFrame) -> None:
    """Write a table as UTF-8 CSV without its index."""
    frame.to_csv(
        path,
        index=False,
        lineterminator="\n",
    )


def write_expression(
    path: Path,
    values: Float32Array,
    genes: tuple[str, ...],
    patients: list[str],
) -> None:
    """Write a (patients, genes) matrix as Parquet: `patient_id` and one float32 column a gene."""
    columns: Mapping[str, object] = {
        "patient_id": pa.array(patients, pa.string()),
        **{
            gene: pa.array(np.ascontiguousarray(values[:, i]))
            for i, gene in enumerate(genes)
        },
    }
    pq.write_table(
        pa.table(columns),
        path,
        compression="zstd",
        use_dictionary=False,
        write_statistics=False,
    )


def write_bags(
    slides: Iterable[tuple[str, str, AnyArray, FloatArray | None]],
    out: Path,
    *,
    encoder: str,
    mpp: float | None = None,
) -> None:
    """Write a packed bag store from arrays, one slide in memory at a time.

    Parameters
    ----------
    slides : iterable of (slide_id, patient_id, features, coords)
        At least one; features (tiles, dim) float16 or float32, of one width and type;
        coords (tiles, 2) in level-0 px, or None.
    out : path
        The store's folder, inside a staged folder.
    encoder : str
        In the spelling of stores (lower case, underscores).
    mpp : float, optional, µm per pixel
    """
    out.mkdir()
    places = MatrixWriter(out / "coords.npy", 2, np.dtype(np.float64))
    matrix: MatrixWriter | None = None
    records: list[Slide] = []
    try:
        for slide_id, patient_id, features, coords in slides:
            matrix = matrix or MatrixWriter(
                out / "features.npy",
                features.shape[1],
                features.dtype,
            )
            start, content = matrix.rows, sha256_array(features)
            corners = (
                np.full((len(features), 2), np.nan)
                if coords is None
                else np.asarray(coords, np.float64)
            )
            matrix.append(features)
            places.append(corners)
            records.append(
                Slide(
                    slide_id,
                    patient_id,
                    start,
                    matrix.rows,
                    sha256=content,
                    content=content,
                    coord_unit=None if coords is None else "level0_px",
                    encoder=encoder,
                    mpp=mpp,
                    coords_sha256=sha256_array(corners),
                ),
            )
        if matrix is None:
            raise InputError(
                "no patient has a slide: lower the share of missing slides",
            )
        matrix.finish()
        places.finish()
    finally:
        places.close()
        if matrix is not None:
            matrix.close()
    index = Index(tuple(records), matrix.columns, matrix.dtype.name, encoder, mpp)
    index.check(out)
    index.write(out)


def yaml_columns(
    lines: Mapping[str, str],
    indent: int = 4,
) -> str:
    """Lay out ``name: {kind: ...}`` lines with their names padded to one width."""
    width = max(len(_key(name)) for name in lines) + 1
    return "\n".join(
        f"{' ' * indent}{_key(name) + ':':<{width}} {text}"
        for name, text in lines.items()
    )


def _key(name: str) -> str:
    return name if name.replace("_", "").isalnum() else f'"{name}"'
