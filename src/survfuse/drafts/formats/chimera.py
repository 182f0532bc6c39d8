"""The CHIMERA challenge, task 3: one JSON of clinical data and one of RNA per patient, slides."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from survfuse._errors import ConfigError, listed
from survfuse.drafts.draft import Draft, Section
from survfuse.drafts.formats.chimera_fields import (
    ENDPOINT,
    MISSING,
    TIMES,
    Fields,
    column_spec,
    read_fields,
)
from survfuse.drafts.formats.chimera_rna import put_expression
from survfuse.drafts.formats.layout import files_below, folder_of
from survfuse.drafts.formats.slides import feature_width, put_slide_table
from survfuse.drafts.given import Format, Given
from survfuse.drafts.guess import Guess

UNI = 1024
"""Width of the features that the challenge released."""
_NEEDS = "--outcome FOLDER with <ID>_CD.json, <ID>_RNA.json below [--features FOLDER of <ID>_HE.pt]"


def draft_chimera(given: Given) -> Draft:
    """Draft a cohort file from the training folder of the challenge.

    Raises
    ------
    ConfigError
        When there are no clinical JSONs, or they hold no labels.
    InputError
        When a JSON cannot be read.
    """
    root = folder_of(given, "chimera", "of the challenge's training data")
    data = root / "data" if (root / "data").is_dir() else root
    files = {
        file.name.removesuffix("_CD.json"): file
        for file in files_below(data, "*_CD.json")
    }
    if not files:
        raise ConfigError(
            f"--format chimera: {data} has no <ID>_CD.json: the clinical data, one file per "
            "patient beside <ID>_RNA.json",
        )
    fields = read_fields(files)
    draft = Draft(
        name=given.name,
        title=[
            "Drafted by --format chimera: the challenge's training folder, a JSON per patient.",
            "patients.csv is made of <ID>_CD.json: one row per patient, fields in one spelling.",
            *fields.notes,
        ],
    )
    draft.tables["patients.csv"] = fields.table
    _put_outcome(draft, fields)
    _put_clinical(draft, fields)
    put_expression(draft, data)
    _put_slides(draft, given, root, data, fields)
    if fields.twice:
        names = ", ".join(
            f"{first} and {second}" for first, second in fields.twice.items()
        )
        draft.add(
            "exclude",
            list(fields.twice.values()),
            f"one patient under two ids: {names}",
        )
    return draft


def _put_outcome(draft: Draft, fields: Fields) -> None:
    section = draft.section("outcome")
    section.add("table", Path("patients.csv"), f"{len(fields.patients)} patients")
    section.add("patient", "patient_id", "from the names of the files")
    time = next((name for name in TIMES if name in fields.columns), None)
    if time is None or ENDPOINT not in fields.columns:
        raise ConfigError(
            f"--format chimera: no labels: expected the fields {ENDPOINT} and {TIMES[0]} (older: "
            f"{', '.join(TIMES[1:])}) in <ID>_CD.json, got {listed(fields.columns, 20)}",
        )
    section.add("time", time, "to progression, or to the end of follow-up")
    section.add("unit", "months", "the challenge's")
    section.add("event", ENDPOINT, fields.seen(ENDPOINT))
    section.add("endpoint", "progression")
    without = fields.without(time, ENDPOINT)
    if without:
        section.add("exclude_invalid", True, f"no label: {listed(without, 5)}")
    section.add("missing", list(MISSING), "the challenge's words for not known")


def _put_clinical(draft: Draft, fields: Fields) -> None:
    section = draft.section("clinical")
    section.add("table", Path("patients.csv"))
    section.add("patient", "patient_id")
    columns = section.section("columns")
    for name in fields.columns:
        if name in (*TIMES, ENDPOINT):
            continue
        spec = column_spec(name, fields)
        if spec is None:
            section.note(
                f"{name}: no field of the challenge, left out: {fields.seen(name)}"
            )
        else:
            columns.put(name, Guess(*spec))
    section.add("missing", list(MISSING), "the challenge's words for not known")
    if not columns.items:
        del draft.items["clinical"]


def _put_slides(
    draft: Draft, given: Given, root: Path, data: Path, fields: Fields
) -> None:
    place = given.slides or data
    tensors = _of_patients(given.features or root, "_HE.pt", fields)
    images = _of_patients(place, "_HE.tif", fields)
    if not tensors and not images:
        draft.note("no slides: neither <ID>_HE.pt (released features) nor <ID>_HE.tif")
        return
    section = draft.section("slides")
    owners = {f"{patient}_HE": patient for patient in {**images, **tensors}}
    columns: dict[str, dict[str, str]] = {}
    if images:
        masks = _of_patients(place, "_HE_mask.tif", fields)
        columns = {"path": _places(images, place), "mask": _places(masks, place)}
    put_slide_table(draft, section, owners, "<ID>_HE is the slide of <ID>", columns)
    if images:
        section.add("images", place, f"{len(images)} slides")
        section.add("masks", place, f"{len(columns['mask'])} tissue masks")
    _put_features(section, tensors)


def _put_features(section: Section, tensors: Mapping[str, Path]) -> None:
    if not tensors:
        section.add(
            "features",
            Path("features"),
            "no <ID>_HE.pt: `survfuse extract` writes them",
        )
        return
    folder = Path(os.path.commonpath([file.parent for file in tensors.values()]))
    section.add("features", folder, f"{len(tensors)} files")
    width = feature_width(folder)
    if width == UNI:
        section.add("encoder", "uni", f"{UNI} wide, as the released features")
    else:
        section.note(
            f"{width} features a tile: not the released ones (UNI, {UNI}); add `encoder`"
        )


def _of_patients(folder: Path, ending: str, fields: Fields) -> dict[str, Path]:
    """Files of this ending, by patient; of patients without clinical data none."""
    files: dict[str, Path] = {}
    for file in files_below(folder, f"*{ending}"):
        patient = file.name.removesuffix(ending)
        if patient in fields.patients:
            files.setdefault(patient, file)
    return files


def _places(files: Mapping[str, Path], folder: Path) -> dict[str, str]:
    """Places of files relative to a folder, by slide."""
    return {
        f"{patient}_HE": file.relative_to(folder).as_posix()
        for patient, file in files.items()
    }


CHIMERA = Format(
    name="chimera",
    what="CHIMERA task 3: <ID>_CD.json, <ID>_RNA.json, <ID>_HE.tif and masks, or <ID>_HE.pt",
    needs=_NEEDS,
    draft=draft_chimera,
    takes=("outcome", "features", "slides"),
)
