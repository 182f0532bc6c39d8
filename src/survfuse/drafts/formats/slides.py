"""Slides of a format: its folder of features, and which patient each slide is of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from survfuse._errors import ConfigError, FeatureFileError, listed
from survfuse.drafts.draft import Draft, Section
from survfuse.readers.features import list_features, read_features
from survfuse.readers.slide_names import slide_stem


def put_features(section: Section, folder: Path, *, encoder: str = "") -> None:
    """Write `features`, and `encoder` where the format says it and the files do not.

    Parameters
    ----------
    section : Section
        A bag modality; `table` is written already.
    folder : path
    encoder : str
    """
    files = list_features(folder).ready
    section.add("features", folder, f"{len(files)} files")
    if encoder:
        section.add("encoder", encoder, width_of(folder))


def width_of(folder: Path) -> str:
    """Say how wide the features of a folder are, by its first file; empty where it has none."""
    width = feature_width(folder)
    return f"{width} features a tile" if width else ""


def feature_width(folder: Path) -> int:
    """Features per tile of the first file of a folder; 0 where none can be read."""
    for file in list_features(folder).ready.values():
        try:
            return int(read_features(file).values.shape[1])
        except FeatureFileError:
            return 0
    return 0


def put_slide_table(
    draft: Draft,
    section: Section,
    owners: Mapping[str, str],
    why: str,
    columns: Mapping[str, Mapping[str, str]] | None = None,
) -> None:
    """Write `slides.csv` beside the cohort file, and name it.

    Parameters
    ----------
    draft : Draft
    section : Section
    owners : mapping of str to str
        Patient of each slide.
    why : str
        How the patient of a slide was found.
    columns : mapping of str to mapping, optional
        Further columns by name: text by slide.
    """
    further = columns or {}
    lines = [",".join(("slide_id", "patient_id", *further))]
    for slide, patient in sorted(owners.items()):
        cells = [slide, patient, *(column.get(slide, "") for column in further.values())]
        lines.append(",".join(map(_cell, cells)))
    draft.tables["slides.csv"] = "\n".join(lines) + "\n"
    section.add("table", Path("slides.csv"), f"written beside this file: {why}")


def _cell(text: str) -> str:
    if any(mark in text for mark in ',"\r\n'):
        return '"' + text.replace('"', '""') + '"'
    return text


def owners_by_name(
    slides: Iterable[str],
    patients: Iterable[str],
    *,
    where: str,
) -> tuple[dict[str, str], list[str]]:
    """Find the patient of each slide by the begin of its name.

    The longest id that a slide's name begins with, followed by no letter or digit, is its patient.

    Parameters
    ----------
    slides, patients : iterable of str
    where : str
        For messages.

    Returns
    -------
    owners : dict of str to str
        Patient of each slide.
    others : list of str
        Slides of no patient.

    Raises
    ------
    ConfigError
        When no slide begins with the id of a patient.

    Examples
    --------
    >>> owners_by_name(["P1_a", "P12-b", "x"], ["P1", "P12"], where="")
    ({'P1_a': 'P1', 'P12-b': 'P12'}, ['x'])
    """
    ids = sorted(set(patients), key=len, reverse=True)
    known = set(ids)
    lengths = sorted({len(one) for one in ids}, reverse=True)
    owners: dict[str, str] = {}
    others: list[str] = []
    for slide in slides:
        name = slide_stem(slide)
        begins = [name[:length] for length in lengths if _ends(name, length)]
        patient = next((begin for begin in begins if begin in known), None)
        if patient is None:
            others.append(slide)
        else:
            owners[slide] = patient
    if not owners:
        raise ConfigError(
            f"{where}: no slide is called like a patient: slides {listed(others, 3)}, patients "
            f"{listed(ids, 3)}; name the table of slides and patients by --slides TABLE",
        )
    return owners, others


def _ends(name: str, length: int) -> bool:
    return len(name) >= length and (len(name) == length or not name[length].isalnum())
