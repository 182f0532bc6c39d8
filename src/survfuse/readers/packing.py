"""Make a bag store: slides stream through one by one and must agree with each other."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from survfuse._errors import FeatureFileError, context, listed
from survfuse._storage import sha256_array
from survfuse.readers.array_checks import AnyArray
from survfuse.readers.bag_files import Index, MatrixWriter, Slide, map_matrix
from survfuse.readers.features import read_features
from survfuse.readers.record import Draft, Features, ReadOptions, normalise_encoder, sha256_path

Progress = Callable[[int, int, str], None]
Item = tuple[str, str, Path]
SAME_SCALE = 0.02
"""Relative difference below which two scales are one."""


@dataclass
class _Agreement:
    """What all slides must share, and which file said it first."""

    encoder: str | None
    mpp: float | None
    dim: int | None = None
    magnification: float | None = None
    by: str = "the declaration"

    def admit(self, features: Features, name: str) -> None:
        """Take over what is still unknown; refuse what disagrees."""
        self._same_dim(features, name)
        if features.encoder is not None:
            if self.encoder is not None and features.encoder != self.encoder:
                raise FeatureFileError(
                    f"{name}: made by encoder {features.encoder!r}, {self.by} says {self.encoder!r}; "
                    "one cohort has one encoder"
                )
            self.encoder = features.encoder
        self._same_scale("mpp", features.mpp, name)
        self._same_scale("magnification", features.magnification, name)
        if self.by == "the declaration":
            self.by = name

    def _same_dim(self, features: Features, name: str) -> None:
        if features.dim == 0:
            return
        if self.dim is not None and features.dim != self.dim:
            raise FeatureFileError(
                f"{name}: {features.dim} features per tile, {self.by} has {self.dim}; "
                "one cohort has one encoder"
            )
        self.dim = features.dim

    def _same_scale(self, what: str, said: float | None, name: str) -> None:
        known: float | None = getattr(self, what)
        if said is None:
            return
        if known is not None and abs(said - known) > SAME_SCALE * known:
            raise FeatureFileError(
                f"{name}: tiles at {what} {said:g}, {self.by} says {known:g}; one cohort has one scale"
            )
        if known is None:
            setattr(self, what, said)


def _slide(features: Features, patient: str, start: int, source: str, digest: str) -> Slide:
    return Slide(
        slide_id=features.slide_id,
        patient_id=patient,
        start=start,
        stop=start + len(features),
        source=source,
        sha256=digest,
        content=sha256_array(features.values),
        coord_unit=features.coord_unit,
        encoder=features.encoder,
        mpp=features.mpp,
        tile_um=features.tile_um,
        patch_size_level0=features.patch_size_level0,
        magnification=features.magnification,
        tool=features.tool,
    )


def _coords(features: Features) -> AnyArray:
    if features.coords is None:
        return np.full((len(features), 2), np.nan)
    return features.coords.astype(np.float64)


def collect(
    slides: Iterable[Sequence[Any]], *, encoder: str | None, mpp: float | None
) -> tuple[Index, AnyArray, AnyArray]:
    """Check slides in memory and lay them one after another; see `BagStore.from_arrays`."""
    agreed = _Agreement(None if encoder is None else normalise_encoder(encoder), mpp)
    records: list[Slide] = []
    values: list[AnyArray] = []
    coords: list[AnyArray] = []
    for slide_id, patient_id, block, *rest in slides:
        at = rest[0] if rest else None
        draft = Draft(np.asarray(block), "arrays", coords=at, coord_unit="level0_px")
        features = draft.finish(Path(str(slide_id)), str(slide_id))
        agreed.admit(features, f"slide {slide_id}")
        records.append(_slide(features, str(patient_id), records[-1].stop if records else 0, "", ""))
        if len(features):
            values.append(features.values)
            coords.append(_coords(features))
    dim = _require_tiles(agreed.dim, len(records))
    dtype = max((block.dtype for block in values), key=lambda d: d.itemsize, default=np.dtype(np.float32))
    index = Index(tuple(records), dim, dtype.name, agreed.encoder, agreed.mpp)
    index.check(Path("arrays"))
    return (
        index,
        np.concatenate([block.astype(dtype) for block in values] or [np.zeros((0, dim), dtype)]),
        np.concatenate(coords or [np.zeros((0, 2))]),
    )


def _require_tiles(dim: int | None, slides: int) -> int:
    if dim is None:
        raise FeatureFileError(f"none of {slides} slides has a tile, so there is nothing to pack")
    return dim


def write_store(
    items: Sequence[Item],
    out: Path,
    *,
    encoder: str | None,
    mpp: float | None,
    options: ReadOptions,
    progress: Progress | None,
    overwrite: bool,
    allow_empty: bool,
) -> None:
    """Write a store folder; see `pack`."""
    _refuse_repeats(items)
    agreed = _Agreement(None if encoder is None else normalise_encoder(encoder), mpp)
    if out.exists() and not overwrite:
        if _is_same(items, out, agreed, options, allow_empty):
            return
        raise FeatureFileError(
            f"{out}: exists, but is not a whole store of these files; "
            "pass overwrite=True (`--force`) to replace it"
        )
    if out.exists():
        _refuse_foreign(out)
    with _new_folder(out) as folder:
        index = _stream(items, folder, agreed, encoder, options, progress, allow_empty)
        index.write(folder)


def _refuse_repeats(items: Sequence[Item]) -> None:
    twice = sorted(slide for slide, n in Counter(slide for slide, _, _ in items).items() if n > 1)
    if twice:
        raise FeatureFileError(f"slide ids given twice: {listed(twice)}")


def _stream(
    items: Sequence[Item],
    folder: Path,
    agreed: _Agreement,
    encoder: str | None,
    options: ReadOptions,
    progress: Progress | None,
    allow_empty: bool,
) -> Index:
    records: list[Slide] = []
    matrix: MatrixWriter | None = None
    places = MatrixWriter(folder / "coords.npy", 2, np.dtype(np.float64))
    try:
        for done, (slide_id, patient_id, path) in enumerate(items, start=1):
            with context(f"slide {slide_id} of patient {patient_id}"):
                features = read_features(path, encoder=encoder, options=options)
                agreed.admit(features, str(path))
                _refuse_empty(features, allow_empty)
            start = records[-1].stop if records else 0
            # the id is the slide table's, whatever the file is called
            features = replace(features, slide_id=slide_id)
            records.append(_slide(features, patient_id, start, path.as_posix(), sha256_path(path)))
            if len(features):
                matrix = matrix or MatrixWriter(folder / "features.npy", features.dim, features.values.dtype)
                matrix.append(features.values)
                places.append(_coords(features))
            if progress is not None:
                progress(done, len(items), slide_id)
        dim = _require_tiles(agreed.dim, len(items))
        matrix = matrix or MatrixWriter(folder / "features.npy", dim, np.dtype(np.float32))
        matrix.finish()
        places.finish()
    finally:
        places.close()
        if matrix is not None:
            matrix.close()
    name = encoder_without(agreed.encoder, options.exclude_features)
    return Index(tuple(records), dim, matrix.dtype.name, name, agreed.mpp, options)


def encoder_without(encoder: str | None, columns: Sequence[int]) -> str | None:
    """Name an encoder of which some features are left out.

    >>> encoder_without("uni", [17, 3])
    'uni_without_3_17'
    """
    if not columns:
        return encoder
    return "_".join([encoder or "unnamed", "without", *map(str, sorted(columns))])


def _refuse_empty(features: Features, allow_empty: bool) -> None:
    if not len(features) and not allow_empty:
        raise FeatureFileError(
            f"{features.path}: no tiles; extract the slide again, leave it out of the slide table, "
            "or pass allow_empty=True to record it as empty"
        )


def _is_same(
    items: Sequence[Item], out: Path, agreed: _Agreement, options: ReadOptions, allow_empty: bool
) -> bool:
    """Tell whether `out` holds exactly these files with these declarations, whole."""
    try:
        index = Index.read(out)
        map_matrix(out / "features.npy", (index.tiles, index.dim), index.dtype)
        map_matrix(out / "coords.npy", (index.tiles, 2), "float64")
    except FeatureFileError:
        return False
    said = [(slide.slide_id, slide.patient_id) for slide in index.slides]
    return (
        said == [(slide, patient) for slide, patient, _ in items]
        and options == index.options
        and (
            agreed.encoder is None
            or index.encoder == encoder_without(agreed.encoder, options.exclude_features)
        )
        and agreed.mpp in (None, index.mpp)
        and (allow_empty or all(slide.tiles for slide in index.slides))
        and all(
            path.exists() and slide.sha256 == sha256_path(path)
            for slide, (_, _, path) in zip(index.slides, items, strict=True)
        )
    )


def _refuse_foreign(out: Path) -> None:
    known = {"index.json", "features.npy", "coords.npy"}
    if not out.is_dir() or {entry.name for entry in out.iterdir()} - known:
        raise FeatureFileError(f"{out}: not a bag store, so it is not overwritten; choose another folder")


@contextmanager
def _new_folder(out: Path) -> Iterator[Path]:
    """Yield a temporary folder that takes the place of `out` when the block succeeds."""
    out.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}.", suffix=".part"))
    try:
        yield folder
        folder.chmod(0o755)
        _put_in_place(folder, out)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _put_in_place(folder: Path, out: Path) -> None:
    try:
        if not out.exists():
            folder.rename(out)
            return
        old = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}.", suffix=".old"))
        out.rename(old / out.name)
        folder.rename(out)
        shutil.rmtree(old)
    except OSError as error:
        raise FeatureFileError(
            f"{out}: cannot be put in place ({error}); is another run packing it?"
        ) from None
