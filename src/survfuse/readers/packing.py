"""Make a bag store: slides stream through one by one and must agree with each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from survfuse._errors import FeatureFileError, context, listed
from survfuse._places import disk_errors, staged_folder, sweep_stage, try_folder
from survfuse._storage import sha256_array, sha256_text
from survfuse.readers.array_checks import AnyArray
from survfuse.readers.arrays import side_files
from survfuse.readers.bag_checks import FILES, BagChecks
from survfuse.readers.bag_files import FORMAT, Index, MatrixWriter, Slide, map_matrix
from survfuse.readers.features import read_features
from survfuse.readers.slide_features import (
    Draft,
    Features,
    ReadOptions,
    normalise_encoder,
    sha256_path,
)

Progress = Callable[[int, int, str], None]
Item = tuple[str, str, Path]
SAME_SCALE = 0.02
"""Relative difference below which two scales are one."""
_HEAD_BYTES = 4096  # of an index, in which it names its format


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
                    "one cohort has one encoder",
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
                "one cohort has one encoder",
            )
        self.dim = features.dim

    def _same_scale(self, what: str, said: float | None, name: str) -> None:
        known: float | None = getattr(self, what)
        if said is None:
            return
        if known is not None and abs(said - known) > SAME_SCALE * known:
            raise FeatureFileError(
                f"{name}: tiles at {what} {said:g}, {self.by} says {known:g}; one cohort has one scale",
            )
        if known is None:
            setattr(self, what, said)


def _slide(
    features: Features,
    patient: str,
    start: int,
    source: str,
    digest: str,
) -> Slide:
    return Slide(
        slide_id=features.slide_id,
        patient_id=patient,
        start=start,
        stop=start + len(features),
        source=source,
        sha256=digest,
        content=sha256_array(features.values),
        coords_sha256=sha256_array(_coords(features)),
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
    slides: Iterable[Sequence[Any]],
    *,
    encoder: str | None,
    mpp: float | None,
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
        records.append(
            _slide(
                features,
                str(patient_id),
                records[-1].stop if records else 0,
                "",
                "",
            ),
        )
        if len(features):
            values.append(features.values)
            coords.append(_coords(features))
    dim = _require_tiles(agreed.dim, len(records))
    dtype = max(
        (block.dtype for block in values),
        key=lambda d: d.itemsize,
        default=np.dtype(np.float32),
    )
    index = Index(tuple(records), dim, dtype.name, agreed.encoder, agreed.mpp)
    index.check(Path("arrays"))
    return (
        index,
        np.concatenate(
            [block.astype(dtype) for block in values] or [np.zeros((0, dim), dtype)],
        ),
        np.concatenate(coords or [np.zeros((0, 2))]),
    )


def _require_tiles(dim: int | None, slides: int) -> int:
    if dim is None:
        raise FeatureFileError(
            f"none of {slides} slides has a tile, so there is nothing to pack",
        )
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
    with disk_errors(out, FeatureFileError):
        sweep_stage(out, error=FeatureFileError)
        taken = out.exists() or out.is_symlink()
        if taken:
            _refuse_foreign(out)
            out = out.resolve()  # a link to a store stays
    if taken and not overwrite:
        difference = _difference(items, out, agreed, options, allow_empty)
        if difference is None:
            return
        raise FeatureFileError(
            f"{out}: exists, but is not a whole store of these files ({difference}); "
            "pass overwrite=True (`--force`) to replace it",
        )
    try_folder(out.parent if taken else out, error=FeatureFileError)
    with staged_folder(out, error=FeatureFileError) as folder:
        index = _stream(items, folder, agreed, encoder, options, progress, allow_empty)
        index.write(folder)


def _refuse_repeats(items: Sequence[Item]) -> None:
    twice = sorted(
        slide for slide, n in Counter(slide for slide, _, _ in items).items() if n > 1
    )
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
            records.append(
                _slide(
                    features,
                    patient_id,
                    start,
                    path.as_posix(),
                    _source_sha256(path),
                ),
            )
            if len(features):
                matrix = matrix or MatrixWriter(
                    folder / "features.npy",
                    features.dim,
                    features.values.dtype,
                )
                matrix.append(features.values)
                places.append(_coords(features))
            if progress is not None:
                progress(done, len(items), slide_id)
        dim = _require_tiles(agreed.dim, len(items))
        matrix = matrix or MatrixWriter(
            folder / "features.npy",
            dim,
            np.dtype(np.float32),
        )
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
            "or pass allow_empty=True to record it as empty",
        )


def _difference(
    items: Sequence[Item],
    out: Path,
    agreed: _Agreement,
    options: ReadOptions,
    allow_empty: bool,
) -> str | None:
    """Say in what `out` is not a whole store of these files with these declarations; None if it is."""
    try:
        index = _open_whole(out)
    except FeatureFileError as error:
        return str(error)
    if [(slide.slide_id, slide.patient_id) for slide in index.slides] != [
        item[:2] for item in items
    ]:
        return "it has other slides, or they are of other patients"
    encoder = encoder_without(agreed.encoder, options.exclude_features)
    if options != index.options or agreed.mpp not in (None, index.mpp):
        return "it was packed with other declarations"
    if agreed.encoder is not None and index.encoder != encoder:
        return f"it is of encoder {index.encoder!r}, not {encoder!r}"
    if not allow_empty and not all(slide.tiles for slide in index.slides):
        return "it has slides without tiles"
    for slide, (_, _, path) in zip(index.slides, items, strict=True):
        if not path.exists() or slide.sha256 != _source_sha256(path):
            return f"{path} has changed"
    return None


def _open_whole(out: Path) -> Index:
    """Read the index of a store, every number of which is what was packed."""
    index = Index.read(out)
    features = map_matrix(out / "features.npy", (index.tiles, index.dim), index.dtype)
    coords = map_matrix(out / "coords.npy", (index.tiles, 2), "float64")
    BagChecks(out, index, features, coords).verify()
    return index


def _source_sha256(path: Path) -> str:
    """Hash a feature file, with the files beside it that are read with it."""
    hashes = [sha256_path(file) for file in (path, *side_files(path))]
    return hashes[0] if len(hashes) == 1 else sha256_text("\n".join(hashes))


def _refuse_foreign(out: Path) -> None:
    """Let nothing be replaced but a store, be it damaged, or an empty folder."""
    names = {entry.name for entry in out.iterdir()} if out.is_dir() else {""}
    if (
        names
        and names != set(FILES)
        and not (names < set(FILES) and _names_format(out / "index.json"))
    ):
        raise FeatureFileError(
            f"{out}: not a bag store, so it is not overwritten; choose another folder",
        )


def _names_format(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return FORMAT.encode() in file.read(_HEAD_BYTES)
