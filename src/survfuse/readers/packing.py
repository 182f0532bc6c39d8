"""Make a bag store: slides stream through one by one and must agree with each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from survfuse._errors import FeatureFileError, context, listed
from survfuse._gate import boundary
from survfuse._places import disk_errors, staged_folder, sweep_stage, try_folder
from survfuse._storage import sha256_array, sha256_text
from survfuse._types import AnyArray
from survfuse.readers.arrays import side_files
from survfuse.readers.bag_checks import FILES, BagChecks
from survfuse.readers.bag_files import FORMAT, Index, MatrixWriter, Slide, read_store
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
class _Packer:
    """The records of the slides so far, and what all must share: by which file it is known."""

    encoder: str | None
    mpp: float | None
    dim: int | None = None
    magnification: float | None = None
    by: str = "the declaration"
    slides: list[Slide] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.encoder is not None:
            self.encoder = normalise_encoder(self.encoder)

    def check(self, features: Features, name: str) -> None:
        """Take over what is still unknown; refuse what disagrees."""
        for what, (text, share) in _SHARED.items():
            value, known = getattr(features, what) or None, getattr(self, what)
            if known is None:
                setattr(self, what, value)
            elif value is not None and not _same(value, known):
                raise FeatureFileError(
                    f"{name}: {text.format(value, self.by, known)}; one cohort has one {share}",
                )
        if self.by == "the declaration":
            self.by = name

    def add(
        self,
        features: Features,
        patient: str,
        source: str = "",
        digest: str = "",
    ) -> None:
        """Record a slide after the others."""
        start = self.slides[-1].stop if self.slides else 0
        slide = Slide(
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
        self.slides.append(slide)

    def width(self) -> int:
        """Features per tile, once a slide has tiles."""
        if self.dim is None:
            raise FeatureFileError(
                f"none of {len(self.slides)} slides has a tile, so there is nothing to pack",
            )
        return self.dim


_SHARED = {
    "dim": ("{:d} features per tile, {} has {:d}", "encoder"),
    "encoder": ("made by encoder {!r}, {} says {!r}", "encoder"),
    "mpp": ("tiles at mpp {:g}, {} says {:g}", "scale"),
    "magnification": ("tiles at magnification {:g}, {} says {:g}", "scale"),
}
"""What all slides of a store share: how a difference is said, and of what there is one."""


def _same(value: Any, known: Any) -> bool:
    if isinstance(value, float):
        return bool(abs(value - known) <= SAME_SCALE * known)
    return bool(value == known)


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
    packer = _Packer(encoder, mpp)
    values: list[AnyArray] = []
    coords: list[AnyArray] = []
    for slide_id, patient_id, block, *rest in slides:
        corners = rest[0] if rest else None
        draft = Draft(np.asarray(block), "arrays", corners, coord_unit="level0_px")
        features = draft.finish(Path(str(slide_id)), str(slide_id))
        packer.check(features, f"slide {slide_id}")
        packer.add(features, str(patient_id))
        if len(features):
            values.append(features.values)
            coords.append(_coords(features))
    dim = packer.width()
    dtype = np.result_type(*values) if values else np.dtype(np.float32)
    records = tuple(packer.slides)
    index = Index(records, dim, dtype.name, packer.encoder, packer.mpp)
    index.check(Path("arrays"))
    nothing = np.zeros((0, dim), dtype)
    matrix = np.concatenate([nothing, *values], dtype=dtype)
    return index, matrix, np.concatenate([np.zeros((0, 2)), *coords])


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
    _refuse_repeated(items)
    packer = _Packer(encoder, mpp)
    with disk_errors(out, FeatureFileError):
        sweep_stage(out, error=FeatureFileError)
        taken = out.exists() or out.is_symlink()
        if taken:
            _refuse_foreign(out)
            out = out.resolve()  # a link to a store stays
    if taken and not overwrite:
        difference = _difference(items, out, packer, options, allow_empty)
        if difference is None:
            return
        raise FeatureFileError(
            f"{out}: exists, but is not a whole store of these files ({difference}); "
            "pass overwrite=True (`--force`) to replace it",
        )
    try_folder(out.parent if taken else out, error=FeatureFileError)
    with staged_folder(out, error=FeatureFileError) as folder:
        _stream(items, folder, packer, encoder, options, progress, allow_empty)


def _refuse_repeated(items: Sequence[Item]) -> None:
    counts = Counter(item[0] for item in items)
    twice = sorted(slide for slide in counts if counts[slide] > 1)
    if twice:
        raise FeatureFileError(f"slide ids given twice: {listed(twice)}")


def _stream(
    items: Sequence[Item],
    folder: Path,
    packer: _Packer,
    encoder: str | None,
    options: ReadOptions,
    progress: Progress | None,
    allow_empty: bool,
) -> None:
    """Read the files one by one, and write the three files of a store."""
    matrix: MatrixWriter | None = None
    places = MatrixWriter(folder / "coords.npy", 2, np.dtype(np.float64))
    try:
        for done, (slide_id, patient_id, path) in enumerate(items, start=1):
            with context(f"slide {slide_id} of patient {patient_id}"):
                features = read_features(
                    path,
                    encoder=encoder,
                    options=options,
                )
                packer.check(features, str(path))
                if not len(features) and not allow_empty:
                    raise FeatureFileError(
                        f"{path}: no tiles; extract the slide again, leave it out of the slide "
                        "table, or pass allow_empty=True to record it as empty",
                    )
            # the id is the slide table's, whatever the file is called
            features = replace(features, slide_id=slide_id)
            digest = _source_sha256(path)
            packer.add(features, patient_id, path.as_posix(), digest)
            if len(features):
                dim, dtype = features.dim, features.values.dtype
                matrix = matrix or MatrixWriter(folder / "features.npy", dim, dtype)
                matrix.append(features.values)
                places.append(_coords(features))
            if progress is not None:
                progress(done, len(items), slide_id)
        dim, dtype = packer.width(), np.dtype(np.float32)
        matrix = matrix or MatrixWriter(folder / "features.npy", dim, dtype)
        matrix.finish()
        places.finish()
    finally:
        places.close()
        if matrix is not None:
            matrix.close()
    name = encoder_without(packer.encoder, options.exclude_features)
    slides, dtype = tuple(packer.slides), matrix.dtype
    Index(slides, dim, dtype.name, name, packer.mpp, options).write(folder)


def encoder_without(
    encoder: str | None,
    columns: Sequence[int],
) -> str | None:
    """Name an encoder of which some features are left out.

    >>> encoder_without("uni", [17, 3])
    'uni_without_3_17'
    """
    if not columns:
        return encoder
    return "_".join([encoder or "unnamed", "without", *map(str, sorted(columns))])


def _difference(
    items: Sequence[Item],
    out: Path,
    packer: _Packer,
    options: ReadOptions,
    allow_empty: bool,
) -> str | None:
    """Say why `out` is not a whole store of these files and declarations; None if it is."""
    try:
        index = _open_whole(out)
    except FeatureFileError as error:
        return str(error)
    encoder = encoder_without(packer.encoder, options.exclude_features)
    slides = [(slide.slide_id, slide.patient_id) for slide in index.slides]
    faults = {
        "it has other slides, or they are of other patients": slides
        != [item[:2] for item in items],
        "it was packed with other declarations": options != index.options
        or packer.mpp not in (None, index.mpp),
        f"it is of encoder {index.encoder!r}, not {encoder!r}": packer.encoder
        is not None
        and index.encoder != encoder,
        "it has slides without tiles": not allow_empty
        and not all(slide.tiles for slide in index.slides),
    }
    for message, applies in faults.items():
        if applies:
            return message
    return _changed_file(index, items)


def _changed_file(
    index: Index,
    items: Sequence[Item],
) -> str | None:
    """Say which file is not the one that was packed."""
    for slide, (_, _, path) in zip(index.slides, items, strict=True):
        if not path.exists() or slide.sha256 != _source_sha256(path):
            return f"{path} has changed"
    return None


def _open_whole(out: Path) -> Index:
    """Read the index of a store, every number of which is what was packed."""
    index, features, coords = read_store(out)
    BagChecks(out, index, features, coords).verify()
    return index


def _source_sha256(path: Path) -> str:
    """Hash a feature file, with the files beside it that are read with it."""
    with boundary(path, "a file that can be read", error=FeatureFileError):
        hashes = [sha256_path(file) for file in (path, *side_files(path))]
    return hashes[0] if len(hashes) == 1 else sha256_text("\n".join(hashes))


def _refuse_foreign(out: Path) -> None:
    """Let nothing be replaced but a store, which may be damaged, or an empty folder."""
    names = {entry.name for entry in out.iterdir()} if out.is_dir() else {""}
    if not names or names == set(FILES):
        return
    index = out / "index.json"
    if names < set(FILES) and index.is_file():
        with index.open("rb") as file:
            if FORMAT.encode() in file.read(_HEAD_BYTES):
                return
    raise FeatureFileError(
        f"{out}: not a bag store, so it is not overwritten; choose another folder",
    )
