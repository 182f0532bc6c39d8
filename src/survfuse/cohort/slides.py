"""Slide tables and feature files, packed once into a store that is reused while its sources are the same."""

from __future__ import annotations

import os
from pathlib import Path, PurePath

import pandas as pd

from survfuse._errors import CohortError, FeatureFileError, listed
from survfuse._storage import read_json, sha256_text, to_json, write_json
from survfuse.cohort.problems import Problems
from survfuse.cohort.sources import Sources
from survfuse.cohort.spec import SlidesSpec, load_spec
from survfuse.readers.bags import BagStore, pack
from survfuse.readers.features import find_features, read_features
from survfuse.readers.record import normalise_encoder, sha256_path

CACHE = ".survfuse"
SLIDE_SUFFIXES = (".svs", ".tif", ".tiff", ".ndpi", ".mrxs", ".scn", ".vms", ".bif", ".dcm", ".czi")

MPP_TOLERANCE = 0.02  # relative

SlideFile = tuple[str, str, Path]  # slide_id, patient_id, feature file


def read_slides(name: str, spec: SlidesSpec, sources: Sources) -> BagStore | None:
    """Open or make the packed store of a bag modality; None (problems noted) when that fails.

    Parameters
    ----------
    name : str
        Name of the modality.
    spec : SlidesSpec
        Its section.
    sources : Sources
        Reads the slide table and collects problems.
    """
    with sources.problems.catch(name):
        if spec.packed is not None:
            return _checked(BagStore.open(sources.path(spec.packed)), spec)
        items = _match(name, spec, sources)
        if items:
            return _pack_or_report(name, items, spec, sources)
        if not any(problem.where == name for problem in sources.problems.errors):
            sources.problems.error(
                name,
                f"{spec.table}: no slide with a feature file is listed",
                hint="list slide_id and patient_id, or take this section out",
            )
    return None


def _pack_or_report(name: str, items: list[SlideFile], spec: SlidesSpec, sources: Sources) -> BagStore | None:
    """Pack; when a file is refused, look at each so that all refusals are told at once."""
    try:
        store = _packed(items, spec, sources.root)
    except FeatureFileError as error:
        refused = False
        for slide, patient, path in items:
            try:
                read_features(path, encoder=spec.encoder)
            except FeatureFileError as single:
                refused = True
                sources.problems.error(name, f"slide {slide!r}: {single}", patients=[patient])
        if not refused:
            raise error
        return None
    empty = [slide.slide_id for slide in store.slides if not slide.tiles]
    if empty:
        sources.problems.warning(name, f"{len(empty)} slide(s) without tiles: {listed(empty, 20)}")
    return _checked(store, spec)


def pack_cohort(path: Path | str, *, out: Path | None = None, overwrite: bool = False) -> dict[str, BagStore]:
    """Pack the feature files of every bag modality of a cohort file.

    Loading does this by itself; packing ahead is for read-only folders and clusters.

    Parameters
    ----------
    path : path
        The cohort file.
    out : path, optional
        The store to write (``NAME.bags``); with several bag modalities a folder that gets
        one ``MODALITY.bags`` each. Where not given, the place that loading looks at.
    overwrite : bool
        Replace a different store at `out`.

    Returns
    -------
    dict of modality to BagStore
        A modality that is declared as packed is opened.

    Raises
    ------
    CohortError
        When there is no bag modality, or lists what is wrong with slide tables and files.
    FeatureFileError
        When `out` holds something else.
    """
    spec = load_spec(path)
    sections = {name: one for name, one in spec.sections().items() if isinstance(one, SlidesSpec)}
    if not sections:
        raise CohortError(f"{path}: no slides and no other bag modality, so there is nothing to pack")
    sources = Sources(Path(path).resolve().parent, Problems())
    stores: dict[str, BagStore | None] = {}
    for name, section in sections.items():
        if out is None or section.packed is not None:
            stores[name] = read_slides(name, section, sources)
            continue
        target = out if len(sections) == 1 else out / f"{name}.bags"
        items = _match(name, section, sources)
        sources.problems.raise_errors(path)
        stores[name] = pack(
            items,
            target,
            encoder=section.encoder,
            mpp=section.mpp,
            overwrite=overwrite,
            allow_empty=True,
        )
    sources.problems.raise_errors(path)
    return {name: store for name, store in stores.items() if store is not None}


def _checked(store: BagStore, spec: SlidesSpec) -> BagStore:
    """Refuse a store that is not what the cohort file says."""
    encoder = None if spec.encoder is None else normalise_encoder(spec.encoder)
    other_encoder = encoder and store.encoder and encoder != store.encoder
    other_mpp = spec.mpp and store.mpp and abs(store.mpp / spec.mpp - 1) > MPP_TOLERANCE
    if other_encoder or other_mpp:
        raise CohortError(
            f"the features are of {store.encoder!r} at {store.mpp} mpp, but the cohort file says "
            f"{spec.encoder!r} at {spec.mpp} mpp; correct it or point it at other features"
        )
    return store


def _match(name: str, spec: SlidesSpec, sources: Sources) -> list[SlideFile]:
    """Pair the rows of the slide table with feature files by slide id, never by position."""
    assert spec.table is not None
    assert spec.features is not None
    table = slide_table(name, spec, spec.table, sources)
    if table is None:
        return []
    if _not_extracted(name, spec, table, sources):
        return []
    found = find_features(sources.path(spec.features))
    items: list[SlideFile] = []
    absent = []
    for slide, patient in zip(table[spec.slide], table[spec.patient], strict=True):
        key = slide if slide in found else slide_stem(slide)
        if key in found:
            items.append((slide, patient, found[key]))
        else:
            absent.append(slide)
    _report_unmatched(name, spec, sources, absent, found, {path for _, _, path in items})
    return sorted(items, key=lambda item: (item[1], item[0]))


def _not_extracted(name: str, spec: SlidesSpec, table: pd.DataFrame, sources: Sources) -> bool:
    """Note that images are declared and no feature file is there yet."""
    assert spec.features is not None
    folder = sources.path(spec.features)
    if spec.images is None and "path" not in table:
        return False
    if folder.is_dir() and find_features(folder):
        return False
    sources.problems.error(
        name,
        f"the {len(table)} slides have no features yet",
        file=spec.features,
        hint="run `survfuse extract` on this cohort file first",
    )
    return True


def slide_stem(slide: str) -> str:
    """Take the ending of a slide's image off a name, and no other ending."""
    suffix = PurePath(slide).suffix.lower()
    return slide[: -len(suffix)] if suffix in SLIDE_SUFFIXES else slide


def _report_unmatched(
    name: str,
    spec: SlidesSpec,
    sources: Sources,
    absent: list[str],
    found: dict[str, Path],
    used: set[Path],
) -> None:
    if absent and not used:
        sources.problems.error(
            name,
            f"none of the {len(absent)} slides of the table ({listed(absent, 3)}) has a feature file; "
            f"the folder has {listed(found, 3) or 'none'}",
            file=spec.features or "",
            hint="slide_id must be the feature file's name without its ending",
        )
    elif absent:
        sources.problems.warning(
            name,
            f"{len(absent)} slide(s) without a feature file: {listed(absent, 20)}",
            file=spec.features or "",
            hint="extract them, or remove them from the slide table",
        )
    extra = sorted(slide for slide, path in found.items() if path not in used)
    if extra:
        sources.problems.warning(
            name,
            f"{len(extra)} feature file(s) not in the slide table, not used: {listed(extra, 20)}",
            file=spec.table or "",
        )


def slide_table(name: str, spec: SlidesSpec, file: Path, sources: Sources) -> pd.DataFrame | None:
    """Rows of a slide table, one a slide; None (problems noted) when it cannot be read.

    Parameters
    ----------
    name : str
        Name of the modality.
    spec : SlidesSpec
        Its section.
    file : Path
        The table.
    sources : Sources
        Reads it and collects problems.
    """
    frame = sources.table(file, spec.slide, name)
    if frame is None or sources.column(frame, spec.patient, file, name) is None:
        return None
    sources.check_ids(frame[spec.patient], file, spec.patient, name)
    repeated = frame[spec.slide].duplicated(keep=False)
    for slide, rows in frame[repeated].groupby(spec.slide):
        owners = sorted(set(rows[spec.patient]))
        sources.problems.error(
            name,
            f"slide {slide!r} has {len(rows)} rows (data rows {listed([row + 1 for row in rows.index])})",
            patients=owners,
            file=file,
            column=spec.slide,
            hint="a slide belongs to one patient and has one row",
        )
    return frame[~frame[spec.slide].duplicated()]


def _packed(items: list[SlideFile], spec: SlidesSpec, root: Path) -> BagStore:
    """Reuse the store made of the same files, or pack them now.

    Files of known size and modification time are taken as known; otherwise their
    bytes are hashed, and a store of the same bytes is reused all the same. Stores
    lie in ``<cohort folder>/.survfuse/<hash>.bags``.
    """
    cache = root / CACHE
    about = [spec.encoder, spec.mpp, [[slide, patient] for slide, patient, _ in items]]
    stats = [(path.stat().st_size, path.stat().st_mtime_ns) for path in (_content(p) for _, _, p in items)]
    stat_key = sha256_text(to_json([about, stats, [str(path) for _, _, path in items]]))
    known_file = cache / "bags.json"
    known = read_json(known_file) if known_file.is_file() else {}
    content_key = known.get(stat_key)
    if content_key is None:
        content_key = sha256_text(to_json([about, [sha256_path(path) for _, _, path in items]]))
    store = cache / f"{content_key[:32]}.bags"
    if not store.is_dir():
        _require_writable(root)
        cache.mkdir(exist_ok=True)
        pack(items, store, encoder=spec.encoder, mpp=spec.mpp, allow_empty=True)
    if stat_key not in known and os.access(cache, os.W_OK):
        write_json(known_file, {**known, stat_key: content_key})
    return BagStore.open(store)


def _content(path: Path) -> Path:
    """Find the newest file inside a folder (a zarr store); a file stands for itself."""
    if not path.is_dir():
        return path
    return max(
        (p for p in path.rglob("*") if p.is_file()),
        key=lambda p: (p.stat().st_mtime_ns, str(p)),
        default=path,
    )


def _require_writable(root: Path) -> None:
    if not os.access(root, os.W_OK):
        raise CohortError(
            f"features are packed into {root / CACHE}, but that folder cannot be written; "
            "pack them elsewhere and declare `packed: NAME.bags` instead of `features`"
        )
