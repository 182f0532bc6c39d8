"""One slide's tile features, checked once at the gate: below it a wrong value cannot exist."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from survfuse._errors import FeatureFileError, listed
from survfuse._storage import sha256_file, sha256_text
from survfuse._types import AnyArray
from survfuse.readers.array_checks import (
    as_coords,
    as_matrix,
    check_finite,
    rows_of,
    without_columns,
)

CoordUnit = Literal["level0_px", "um"]

FEATURE_KEYS = ("features", "feats", "patch_embeddings")
"""Where other tools keep the matrix, in the order in which we look."""
SLIDE_KEYS = ("slide_embedding", "image_embedding", "last_layer_embed")
"""Where TITAN, PRISM and GigaPath keep the one vector of a slide; looked for after the matrix."""
COORD_KEYS = ("coords", "coordinates")


@dataclass(frozen=True)
class ReadOptions:
    """What a cohort says of its feature files where they leave a choice.

    Attributes
    ----------
    key : str or None
        Name of the array of features, where it is none of the usual ones.
    tiles : str or None
        Which tile grid of a zarr store, such as "tiles2".
    exclude_features : tuple of int
        Columns left out, counted from 0, each once.
    """

    key: str | None = None
    tiles: str | None = None
    exclude_features: tuple[int, ...] = ()

    @property
    def feature_keys(self) -> tuple[str, ...]:
        """Names under which the features are looked for, in this order."""
        return (*FEATURE_KEYS, *SLIDE_KEYS) if self.key is None else (self.key,)


USUAL = ReadOptions()


@dataclass(frozen=True, eq=False)
class Features:
    """Tile features of one slide, whichever tool wrote them.

    Attributes
    ----------
    values : ndarray, (tiles, dim), float16 or float32
        As stored; float64 and bfloat16 are cast to float32. Finite.
    coords : ndarray or None, (tiles, 2), int64 or float64
        Upper left corner of each tile (x, y), as the tool wrote it.
    coord_unit : {"level0_px", "um"} or None
        Unit of `coords`; None when there are none, or the file does not say.
    encoder : str or None
        Name of the tile encoder, normalised by :func:`normalise_encoder`.
    mpp : float or None, µm per pixel
        Scale at which the encoder saw the tiles.
    tile_um, patch_size_level0 : float or None, µm and level-0 pixels
        Side of a tile on the glass and on the slide's finest level.
    magnification : float or None
        Target magnification, where a tool says that instead of `mpp` (TRIDENT).
    slide_id : str
        See :func:`survfuse.readers.slide_id_of`.
    tool : str
        Who wrote the file, as far as the file shows.
    path : Path
        Where it came from.
    notes : tuple of str
        What the reader derived or could not know.
    """

    values: AnyArray = field(repr=False)
    coords: AnyArray | None = field(repr=False)
    coord_unit: CoordUnit | None
    encoder: str | None
    mpp: float | None
    tile_um: float | None
    patch_size_level0: float | None
    slide_id: str
    tool: str
    path: Path
    magnification: float | None = None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.values)

    @property
    def dim(self) -> int:
        """Features per tile; 0 where an empty file does not say."""
        return int(self.values.shape[1])


@dataclass
class Draft:
    """What a format's reader found, before the checks that all formats share."""

    values: AnyArray
    tool: str
    coords: AnyArray | None = None
    coord_unit: CoordUnit | None = None
    encoder: str | None = None
    mpp: float | None = None
    tile_um: float | None = None
    patch_size_level0: float | None = None
    magnification: float | None = None
    notes: list[str] = field(default_factory=list)

    def finish(
        self,
        path: Path,
        slide_id: str,
        exclude_features: Sequence[int] = (),
    ) -> Features:
        """Check everything and freeze it.

        A single vector beside coordinates of several tiles is an embedding of the whole slide:
        one row, without coordinates.

        Raises
        ------
        FeatureFileError
            When features are not a finite (tiles, dim) float matrix, or the
            coordinates do not pair with them.
        """
        values = as_matrix(self.values, path)
        values = without_columns(values, exclude_features, path)
        check_finite(values, path, exclude_features)
        if values.size and not values[0].any() and not values.any():
            raise FeatureFileError(
                f"{path}: every feature of its {len(values)} tiles is 0, so nothing was "
                "extracted; extract this slide again, or leave it out",
            )
        coords = self.coords
        if coords is not None and len(values) == 1 and (places := rows_of(coords)) != 1:
            self.notes.append(
                f"one vector for the whole slide: the coordinates of {places} tiles beside it "
                "are not used",
            )
            coords = None
        if coords is not None:
            coords = as_coords(coords, len(values), path)
        return Features(
            values=values,
            coords=coords,
            coord_unit=None if coords is None else self.coord_unit,
            encoder=None if self.encoder is None else normalise_encoder(self.encoder),
            mpp=_positive(self.mpp),
            tile_um=_positive(self.tile_um),
            patch_size_level0=_positive(self.patch_size_level0),
            magnification=_positive(self.magnification),
            slide_id=slide_id,
            tool=self.tool,
            path=path,
            notes=tuple(self.notes),
        )


def no_features(
    path: Path,
    options: ReadOptions,
    names: Sequence[str],
) -> str:
    """Say that a file has no array of features, what it has, and how to name the right one."""
    return (
        f"{path}: expected one of {', '.join(options.feature_keys)}, found "
        f"{listed(names, 10) or 'nothing'}; "
        "point `features:` at the folder of feature files, or, where one of these is the features, "
        "name it with `key: NAME` beside `features:` in the cohort file"
    )


def normalise_encoder(name: str) -> str:
    """Write an encoder's name in one way: lower case, hyphens and blanks as underscores.

    >>> normalise_encoder("UNI-v1 ")
    'uni_v1'
    """
    return name.strip().lower().replace("-", "_").replace(" ", "_")


def with_encoder(
    features: Features,
    declared: str | None,
) -> Features:
    """Hold what a file says of its encoder against what was declared.

    A file that names no encoder takes the declared one.

    Raises
    ------
    FeatureFileError
        When the file names another encoder.
    """
    if declared is None:
        return features
    expected = normalise_encoder(declared)
    if features.encoder is None:
        return replace(features, encoder=expected)
    if features.encoder != expected:
        raise FeatureFileError(
            f"{features.path}: made by encoder {features.encoder!r}, but {expected!r} was "
            "declared; "
            f"declare `encoder: {features.encoder}` or point at the features of {expected!r}",
        )
    return features


def _positive(number: float | None) -> float | None:
    if number is None or not math.isfinite(number) or number <= 0:
        return None
    return float(number)


def sha256_path(path: Path | str) -> str:
    """Hash a file, or a folder by the relative names and hashes of all its files."""
    target = Path(path)
    if not target.is_dir():
        return sha256_file(target)
    files = sorted(f for f in target.rglob("*") if f.is_file())
    return sha256_text(
        "\n".join(
            f"{f.relative_to(target).as_posix()} {sha256_file(f)}" for f in files
        ),
    )
