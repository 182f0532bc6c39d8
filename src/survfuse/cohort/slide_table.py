"""Slide tables and feature files, packed into a store that is reused while they stay the same."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated

import pandas as pd
from pydantic import Field, TypeAdapter, ValidationError

from survfuse._errors import CohortError, FeatureFileError, InputError, listed
from survfuse._places import disk_errors, sweep_stage
from survfuse._storage import file_stamp, read_json, sha256_text, to_json, write_json
from survfuse.cohort.patient_ids import normal_samples, note_normal, patients_of
from survfuse.cohort.problems import Place, Problems
from survfuse.cohort.slide_files import MOST_NAMED, SlideFile, match_files
from survfuse.cohort.sources import Sources
from survfuse.cohort.spec import PatientColumn, SlidesSpec, load_spec
from survfuse.readers.arrays import side_files
from survfuse.readers.bag_files import PACK_AGAIN
from survfuse.readers.bags import BagStore, pack
from survfuse.readers.features import read_features
from survfuse.readers.packing import encoder_without
from survfuse.readers.slide_features import ReadOptions, normalise_encoder, sha256_path

CACHE = ".survfuse"
SAME_CAUSE = 2  # more slides than this that are refused alike are one problem

_KEYS = TypeAdapter(dict[str, Annotated[str, Field(pattern="^[0-9a-f]{64}$")]])
"""Which files, by name and time, have which content."""
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
            place = sources.problems.at(name)
            packed = _check_encoder(BagStore.open(sources.path(spec.packed)), spec)
            store = of_patients(packed, sources.rule(spec.patient), place)
            if store is None:
                return None
            missing = store.verify() if sources.verify else ()
            if missing:
                place.warning(
                    f"{store.path}: an older version packed it without hashes of its "
                    f"{' and '.join(missing)}, which cannot be verified",
                    hint=PACK_AGAIN,
                )
            _report_contents(store, place)
            return store
        items = match_files(name, spec, sources)
        if items:
            reuse = partial(
                _reuse_or_pack,
                name=name,
                spec=spec,
                sources=sources,
            )
            return _pack_or_report(name, items, spec, sources, exclude, reuse)
        if not any(problem.where == name for problem in sources.problems.errors):
            sources.problems.at(name).error(
                f"{spec.table}: no slide with a feature file is listed",
                hint="list slide_id and patient_id, or take this section out",
            )
    return None


def of_patients(
    store: BagStore,
    rule: PatientColumn,
    place: Place,
) -> BagStore | None:
    """Give the slides of a packed store to the patients that its ids stand for.

    None (problem noted) where ids are not of the declared form.
    """
    slides = pd.Series([slide.slide_id for slide in store.slides], dtype=object)
    ids = pd.Series([slide.patient_id for slide in store.slides], dtype=object)
    patients = patients_of(ids, rule, place)
    if patients is None:
        return None
    normal = normal_samples(ids, rule) | normal_samples(slides, rule)
    note_normal(normal, patients, "slides are of normal samples", place)
    if not normal.any() and patients.equals(ids):
        return store
    return store.of_owners(dict(zip(slides[~normal], patients[~normal], strict=True)))


def _pack_or_report(
    name: str,
    items: list[SlideFile],
    spec: SlidesSpec,
    sources: Sources,
    exclude: Collection[str],
    make: Callable[[list[SlideFile]], BagStore],
) -> BagStore | None:
    """Pack; when a file is refused, read all of them so that all refusals are reported at once."""
    place = sources.problems.at(name)
    try:
        store = make(items)
    except FeatureFileError as error:
        slides = [f"slide {slide} of patient {patient}:" for slide, patient, _ in items]
        if not any(slide in str(error) for slide in slides):
            raise  # no file is at fault
        refused = refused_files(items, spec)
        whole = [item for item in items if item not in refused]
        wrong = {item: why for item, why in refused.items() if item[1] not in exclude}
        _report_refused(wrong, place, can_exclude=bool(whole))
        if wrong:
            return None
        if not refused or not whole:
            raise
        store = make(whole)
    _report_contents(store, place)
    return _check_encoder(store, spec)


def refused_files(
    items: list[SlideFile],
    spec: SlidesSpec,
) -> dict[SlideFile, str]:
    """Files that cannot be used, and why."""
    refused: dict[SlideFile, str] = {}
    for item in items:
        try:
            read_features(
                item[2],
                encoder=spec.encoder,
                options=_options(spec),
            )
        except FeatureFileError as error:
            refused[item] = str(error)
    return refused


def _report_refused(
    refused: Mapping[SlideFile, str],
    place: Place,
    *,
    can_exclude: bool,
) -> None:
    """Report every refused slide; many that are refused for one reason are one problem."""
    alike: dict[str, list[SlideFile]] = {}
    for item, reason in refused.items():
        same = reason.replace(str(item[2]), "")
        same = re.sub(r"\(\d[\d, ]*\)", "", same)  # shapes differ from slide to slide
        alike.setdefault(same, []).append(item)
    for items in alike.values():
        at_once = len(items) if len(items) > SAME_CAUSE else 1
        for start in range(0, len(items), at_once):
            group = items[start : start + at_once]
            slides, patients, _ = zip(*group, strict=True)
            what = f"slide {slides[0]!r}"
            if len(slides) > 1:
                names = listed(map(repr, slides), MOST_NAMED)
                what = f"{len(slides)} slides ({names}), the first of which"
            ids = ", ".join(map(json.dumps, slides))
            hint = f"`exclude_slides: [{ids}]` in this section leaves them out"
            place.error(
                f"{what}: {refused[group[0]]}",
                patients=dict.fromkeys(patients),
                hint=hint if can_exclude else "",
            )


def _report_contents(store: BagStore, place: Place) -> None:
    """Report slides without tiles, and what they cost; and slides that are one vector each."""
    empty = {}
    for slide in store.slides:
        if not slide.tiles:
            empty[slide.slide_id] = slide.patient_id
    if empty:
        lost = sorted(set(empty.values()).difference(store.patients))
        cost = ""
        if lost:
            cost = (
                f"; {len(lost)} patient(s) have no other slide and count as without slides: "
                f"{listed(lost, MOST_NAMED)}"
            )
        names = listed(empty, MOST_NAMED)
        place.warning(
            f"{len(empty)} slide(s) without tiles: {names}: their feature files have no rows{cost}",
        )
    full = len(store.slides) - len(empty)
    if full > 1 and store.tiles == full:
        place.warning(
            f"each of {full} slides has one feature vector: taken as an embedding of the whole "
            "slide",
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
    sources = Sources(Path(path).resolve().parent, Problems(), match=spec.match)
    stores: dict[str, BagStore | None] = {}
    sections = spec.bag_sections()
    for name, section in sections.items():
        if out is None or section.packed is not None:
            stores[name] = read_slides(name, section, sources, exclude=spec.exclude)
            continue
        target = out if len(sections) == 1 else out / f"{name}.bags"
        items = match_files(name, section, sources)
        sources.problems.raise_errors(path)
        make = partial(
            _pack,
            spec=section,
            store=target,
            overwrite=overwrite,
        )
        stores[name] = _pack_or_report(
            name,
            items,
            section,
            sources,
            spec.exclude,
            make,
        )
    if not stores:
        raise CohortError(
            f"{path}: no slides and no other bag modality, so there is nothing to pack",
        )
    sources.problems.raise_errors(path)
    packed = {name: store for name, store in stores.items() if store is not None}
    for store in packed.values():
        store.verify()
    return packed


def _check_encoder(
    store: BagStore,
    spec: SlidesSpec,
) -> BagStore:
    """Refuse a store that is not what the cohort file says."""
    encoder = None
    if spec.encoder is not None:
        columns = _options(spec).exclude_features
        encoder = encoder_without(normalise_encoder(spec.encoder), columns)
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
    overwrite: bool,
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


def _reuse_or_pack(
    items: list[SlideFile],
    name: str,
    spec: SlidesSpec,
    sources: Sources,
) -> BagStore:
    """Reuse the store packed from the same files, or pack them now.

    Files of known inode, size and times are taken as known, unless `sources.verify`; otherwise
    their bytes are hashed, and a store of the same bytes is reused all the same. Stores lie in
    ``<cohort folder>/.survfuse/<hash>.bags``; they are ours, so that one that is damaged is
    packed anew, which is noted.
    """
    root = sources.root
    cache = root / CACHE
    owners, files = [], []
    for slide, patient, path in items:
        owners.append([slide, patient, path.parent.name])
        files += [path, *side_files(path)]
    about = [spec.encoder, spec.mpp, asdict(_options(spec)), owners]
    stamps = [about, list(map(_stamps, files)), list(map(str, files))]
    stat_key = sha256_text(to_json(stamps))
    known: dict[str, str] = {}
    with suppress(InputError, ValidationError):  # no such file, or a damaged one
        known = _KEYS.validate_python(read_json(cache / "bags.json"))
    content_key = None if sources.verify else known.get(stat_key)
    if content_key is None:
        content_key = sha256_text(to_json([about, list(map(sha256_path, files))]))
    target = cache / f"{content_key[:32]}.bags"
    _sweep(cache)
    store = _reusable(target, items, sources.verify, sources.problems.at(name))
    if store is None:
        if not os.access(root, os.W_OK):
            raise CohortError(
                f"features are packed into {cache}, but that folder cannot be written; pack them "
                "elsewhere and declare `packed: NAME.bags` instead of `features`",
            )
        with disk_errors(cache, CohortError):
            cache.mkdir(exist_ok=True)
        store = _pack(items, spec, target, overwrite=True)
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
    path: Path,
    items: list[SlideFile],
    verify: bool,
    place: Place,
) -> BagStore | None:
    """Open a store of the cache; None, and a note, where it must be packed anew."""
    if not path.is_dir():
        return None
    try:
        store = BagStore.open(path)
        missing = store.verify()
    except FeatureFileError as error:
        reason = str(error).removesuffix(f"; {PACK_AGAIN}")
        place.warning(f"{reason}: packed anew")
        return None
    slides = [(slide.slide_id, slide.patient_id) for slide in store.slides]
    if slides != [item[:2] for item in items]:
        place.warning(
            f"{path}: holds other slides than it was packed from: packed anew",
        )
        return None
    return None if missing and verify else store


def _stamps(path: Path) -> list[list[int]]:
    """Stamps of a file, or of all files of a folder (a zarr store)."""
    if not path.is_dir():
        return [file_stamp(path)]
    return [file_stamp(file) for file in sorted(path.rglob("*")) if file.is_file()]
