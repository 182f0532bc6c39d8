"""Slide tables and feature files, packed once into a store that is reused while its sources are the same."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path

from survfuse._errors import CohortError, FeatureFileError, InputError, listed
from survfuse._places import disk_errors, sweep_stage
from survfuse._storage import file_stamp, read_json, sha256_text, to_json, write_json
from survfuse.cohort.problems import Problems
from survfuse.cohort.slide_files import MOST_NAMED, SlideFile, match_files
from survfuse.cohort.sources import Sources
from survfuse.cohort.spec import SlidesSpec, load_spec
from survfuse.readers.arrays import side_files
from survfuse.readers.bag_files import PACK_AGAIN
from survfuse.readers.bags import BagStore, pack
from survfuse.readers.features import read_features
from survfuse.readers.packing import encoder_without
from survfuse.readers.slide_features import ReadOptions, normalise_encoder, sha256_path

CACHE = ".survfuse"
SAME_CAUSE = 2  # more slides than this that are refused alike are one problem

_KEY = re.compile("[0-9a-f]{64}")
MPP_TOLERANCE = 0.02  # relative


def read_slides(
    name: str,
    spec: SlidesSpec,
    sources: Sources,
    *,
    exclude: Collection[str] = (),
) -> BagStore | None:
    """Open or make the packed store of a bag modality; None (problems noted) when that fails.

    Parameters
    ----------
    name : str
        Name of the modality.
    spec : SlidesSpec
        Its section.
    sources : Sources
        Reads the slide table and collects problems.
    exclude : collection of str
        Patients that the cohort leaves out: files of theirs that cannot be read are no problem.
    """
    with sources.problems.catch(name):
        if spec.packed is not None:
            store = _checked(BagStore.open(sources.path(spec.packed)), spec)
            if sources.verify:
                _verify(name, store, sources)
            _report_contents(name, store, sources)
            return store
        items = match_files(name, spec, sources)
        if items:
            return _pack_or_report(
                name,
                items,
                spec,
                sources,
                exclude,
                lambda these: _packed(name, these, spec, sources),
            )
        if not any(problem.where == name for problem in sources.problems.errors):
            sources.problems.error(
                name,
                f"{spec.table}: no slide with a feature file is listed",
                hint="list slide_id and patient_id, or take this section out",
            )
    return None


def _pack_or_report(
    name: str,
    items: list[SlideFile],
    spec: SlidesSpec,
    sources: Sources,
    exclude: Collection[str],
    make: Callable[[list[SlideFile]], BagStore],
) -> BagStore | None:
    """Pack; when a file is refused, look at each so that all refusals are told at once."""
    try:
        store = make(items)
    except FeatureFileError as error:
        if not any(
            f"slide {slide} of patient {patient}:" in str(error)
            for slide, patient, _ in items
        ):
            raise  # no file is at fault
        refused = _refused(items, spec)
        whole = [item for item in items if item[0] not in refused]
        named = [
            item for item in items if item[0] in refused and item[1] not in exclude
        ]
        _report_refused(name, named, refused, sources, can_exclude=bool(whole))
        if named:
            return None
        if not refused or not whole:
            raise
        store = make(whole)
    _report_contents(name, store, sources)
    return _checked(store, spec)


def _refused(items: list[SlideFile], spec: SlidesSpec) -> dict[str, str]:
    """Why files cannot be used, by slide."""
    refused: dict[str, str] = {}
    for slide, _, path in items:
        try:
            read_features(path, encoder=spec.encoder, options=_options(spec))
        except FeatureFileError as error:
            refused[slide] = str(error)
    return refused


def _report_refused(
    name: str,
    named: list[SlideFile],
    refused: Mapping[str, str],
    sources: Sources,
    *,
    can_exclude: bool,
) -> None:
    """Note each refused slide; many that are refused for one reason are one problem."""
    alike: dict[str, list[SlideFile]] = {}
    for item in named:
        reason = refused[item[0]].replace(str(item[2]), "")
        reason = re.sub(
            r"\(\d[\d, ]*\)",
            "",
            reason,
        )  # shapes differ from slide to slide
        alike.setdefault(reason, []).append(item)
    for same in alike.values():
        groups = [same] if len(same) > SAME_CAUSE else [[item] for item in same]
        for group in groups:
            slides = [slide for slide, _, _ in group]
            what = f"slide {slides[0]!r}"
            if len(slides) > 1:
                what = f"{len(slides)} slides ({listed(map(repr, slides), MOST_NAMED)}), the first of which"
            ids = ", ".join(map(json.dumps, slides))
            sources.problems.error(
                name,
                f"{what}: {refused[slides[0]]}",
                patients=dict.fromkeys(patient for _, patient, _ in group),
                hint=f"`exclude_slides: [{ids}]` in this section leaves them out"
                if can_exclude
                else "",
            )


def _report_contents(name: str, store: BagStore, sources: Sources) -> None:
    """Note slides without tiles, and what they cost; and slides that are one vector each."""
    empty = [slide for slide in store.slides if not slide.tiles]
    if empty:
        lost = sorted({slide.patient_id for slide in empty} - set(store.patients))
        cost = ""
        if lost:
            cost = (
                f"; {len(lost)} patient(s) have no other slide and count as without slides: "
                f"{listed(lost, MOST_NAMED)}"
            )
        sources.problems.warning(
            name,
            f"{len(empty)} slide(s) without tiles: {listed((s.slide_id for s in empty), MOST_NAMED)}: "
            f"their feature files have no rows{cost}",
        )
    full = len(store.slides) - len(empty)
    if full > 1 and store.tiles == full:
        sources.problems.warning(
            name,
            f"each of {full} slides has one feature vector: taken as an embedding of the whole slide",
        )


def _options(spec: SlidesSpec) -> ReadOptions:
    return ReadOptions(spec.key, spec.tiles, tuple(sorted(set(spec.exclude_features))))


def pack_cohort(
    path: Path | str,
    *,
    out: Path | None = None,
    overwrite: bool = False,
) -> dict[str, BagStore]:
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
        When `out` holds something else, or a modality that is declared as packed is damaged.
    """
    spec = load_spec(path)
    sections = {
        name: one
        for name, one in spec.sections().items()
        if isinstance(one, SlidesSpec)
    }
    if not sections:
        raise CohortError(
            f"{path}: no slides and no other bag modality, so there is nothing to pack",
        )
    sources = Sources(Path(path).resolve().parent, Problems())
    stores: dict[str, BagStore | None] = {}
    for name, section in sections.items():
        if out is None or section.packed is not None:
            stores[name] = read_slides(name, section, sources, exclude=spec.exclude)
            continue
        target = out if len(sections) == 1 else out / f"{name}.bags"
        items = match_files(name, section, sources)
        sources.problems.raise_errors(path)
        stores[name] = _pack_or_report(
            name,
            items,
            section,
            sources,
            spec.exclude,
            partial(_pack, spec=section, store=target, overwrite=overwrite),
        )
    sources.problems.raise_errors(path)
    packed = {name: store for name, store in stores.items() if store is not None}
    for store in packed.values():
        store.verify()
    return packed


def _checked(store: BagStore, spec: SlidesSpec) -> BagStore:
    """Refuse a store that is not what the cohort file says."""
    encoder = None if spec.encoder is None else normalise_encoder(spec.encoder)
    if encoder is not None:
        encoder = encoder_without(encoder, _options(spec).exclude_features)
    other_encoder = encoder and store.encoder and encoder != store.encoder
    other_mpp = spec.mpp and store.mpp and abs(store.mpp / spec.mpp - 1) > MPP_TOLERANCE
    if other_encoder or other_mpp:
        raise CohortError(
            f"the features are of {store.encoder!r} at {store.mpp} mpp, but the cohort file says "
            f"{spec.encoder!r} at {spec.mpp} mpp; correct it or point it at other features",
        )
    return store


def _pack(
    items: list[SlideFile],
    spec: SlidesSpec,
    store: Path,
    overwrite: bool = False,
) -> BagStore:
    return pack(
        items,
        store,
        encoder=spec.encoder,
        mpp=spec.mpp,
        options=_options(spec),
        overwrite=overwrite,
        allow_empty=True,
    )


def _packed(
    name: str,
    items: list[SlideFile],
    spec: SlidesSpec,
    sources: Sources,
) -> BagStore:
    """Reuse the store made of the same files, or pack them now.

    Files of known inode, size and times are taken as known, unless `sources.verify`; otherwise
    their bytes are hashed, and a store of the same bytes is reused all the same. Stores lie in
    ``<cohort folder>/.survfuse/<hash>.bags``; they are ours, so that one that is damaged is
    packed anew, which is noted.
    """
    root = sources.root
    cache = root / CACHE
    owners = [[slide, patient, path.parent.name] for slide, patient, path in items]
    about = [spec.encoder, spec.mpp, asdict(_options(spec)), owners]
    files = [file for _, _, path in items for file in (path, *side_files(path))]
    stat_key = sha256_text(
        to_json([about, list(map(_stamps, files)), list(map(str, files))]),
    )
    known = _known_keys(cache / "bags.json")
    content_key = None if sources.verify else known.get(stat_key)
    if content_key is None:
        content_key = sha256_text(to_json([about, list(map(sha256_path, files))]))
    place = cache / f"{content_key[:32]}.bags"
    _sweep(cache)
    store = _reusable(name, place, items, sources)
    if store is None:
        _require_writable(root)
        with disk_errors(cache, CohortError):
            cache.mkdir(exist_ok=True)
        store = _pack(items, spec, place, overwrite=True)
    if known.get(stat_key) != content_key and os.access(cache, os.W_OK):
        with suppress(OSError):  # a full disk: the files are hashed again next time
            write_json(cache / "bags.json", {**known, stat_key: content_key})
    return store


def _sweep(cache: Path) -> None:
    """Remove what killed runs left half packed."""
    for stage in cache.glob(".*.bags.part"):
        with suppress(InputError):  # a run that is alive
            sweep_stage(stage.with_name(stage.name[1 : -len(".part")]))


def _reusable(
    name: str,
    place: Path,
    items: list[SlideFile],
    sources: Sources,
) -> BagStore | None:
    """Open a store of the cache where it is whole; None, and a note, where it must be packed anew."""
    if not place.is_dir():
        return None
    try:
        store = BagStore.open(place)
        missing = store.verify()
    except FeatureFileError as error:
        reason = str(error).removesuffix(f"; {PACK_AGAIN}")
        sources.problems.warning(name, f"{reason}: packed anew")
        return None
    if [(slide.slide_id, slide.patient_id) for slide in store.slides] != [
        item[:2] for item in items
    ]:
        sources.problems.warning(
            name,
            f"{place}: holds other slides than it was packed from: packed anew",
        )
        return None
    return None if missing and sources.verify else store


def _verify(name: str, store: BagStore, sources: Sources) -> None:
    """Hold every slide of a store against its hashes; note what an older store has none of."""
    missing = store.verify()
    if missing:
        sources.problems.warning(
            name,
            f"{store.path}: an older version packed it without hashes of its {' and '.join(missing)}, which "
            "cannot be verified",
            hint=PACK_AGAIN,
        )


def _known_keys(path: Path) -> dict[str, str]:
    """Read which files, by name and time, had which content; nothing where it cannot be read."""
    try:
        known = read_json(path)
    except InputError:
        return {}
    if not isinstance(known, dict):
        return {}
    return {
        key: value
        for key, value in known.items()
        if isinstance(value, str) and _KEY.fullmatch(value)
    }


def _stamps(path: Path) -> list[list[int]]:
    """Stamps of a file, or of all files of a folder (a zarr store)."""
    files = (
        sorted(one for one in path.rglob("*") if one.is_file())
        if path.is_dir()
        else [path]
    )
    return list(map(file_stamp, files))


def _require_writable(root: Path) -> None:
    if not os.access(root, os.W_OK):
        raise CohortError(
            f"features are packed into {root / CACHE}, but that folder cannot be written; "
            "pack them elsewhere and declare `packed: NAME.bags` instead of `features`",
        )
