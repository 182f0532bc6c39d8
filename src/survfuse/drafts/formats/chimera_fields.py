"""Fields of the challenge's ``<ID>_CD.json``: their kinds, levels and spellings."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from survfuse._errors import InputError, listed
from survfuse._storage import read_json
from survfuse.readers.cell_text import whole

ENDPOINT = "progression"
TIMES = ("Time_to_prog_or_FUend", "time_to_HG_recur_or_FUend")
"""Times of the label, in newer and older data."""
LABELS = (ENDPOINT, *TIMES)
MISSING = ("", "-1", "NA", "N/A", "nan", "none", "unknown", "?")
"""Cells that mean "not known", in the letter case in which the table has them."""

_YES_NO = ("Yes", "No")
LEVELS: Mapping[str, tuple[str, ...]] = {
    "sex": ("Male", "Female"),
    "smoking": _YES_NO,
    "tumor": ("Primary", "Recurrence"),
    "stage": ("TaHG", "T1HG", "T2HG"),
    "substage": ("T1m", "T1e"),
    "grade": ("G2", "G3"),
    "reTUR": _YES_NO,
    "LVI": _YES_NO,
    "variant": ("UCC", "UCC + Variant"),
    "EORTC": ("Intermediate risk", "High risk", "Highest risk"),
    "BRS": ("BRS1", "BRS2", "BRS3"),
}
"""Levels of each category, in the challenge's spelling."""
_ORDINAL = ("stage", "grade", "EORTC")
_LABELS = {
    "age": "Age (years)",
    "sex": "Sex",
    "smoking": "Smokes",
    "tumor": "Tumour",
    "stage": "Stage",
    "substage": "Substage",
    "grade": "Grade",
    "reTUR": "Second resection",
    "LVI": "Lymphovascular invasion",
    "variant": "Histology",
    "EORTC": "EORTC risk",
    "BRS": "BCG response subtype",
}
DOSES = "no_instillations"
FIELDS = ("age", *LEVELS, DOSES, *LABELS)
_NAMES = {name.casefold(): name for name in FIELDS}


@dataclass(frozen=True)
class Fields:
    """Clinical data of all patients.

    Attributes
    ----------
    patients : dict of str to dict
        Texts by field, by patient.
    columns : tuple of str
        Fields, in the challenge's order; others after them.
    notes : tuple of str
        Which spellings were changed.
    twice : dict of str to str
        Patients that have a second id, and that id.
    """

    patients: dict[str, dict[str, str]]
    columns: tuple[str, ...]
    notes: tuple[str, ...]
    twice: dict[str, str]

    @property
    def table(self) -> str:
        """One row per patient, as CSV."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["patient_id", *self.columns])
        for patient, fields in self.patients.items():
            writer.writerow([patient, *(fields.get(name, "") for name in self.columns)])
        return text.getvalue()

    def values(self, name: str) -> Counter[str]:
        """How often each text stands in a field."""
        return Counter(whole(fields.get(name, "")) for fields in self.patients.values())

    def seen(self, name: str) -> str:
        """Texts of a field and how often they stand there."""
        counts = self.values(name)
        return ", ".join(
            f"{text or 'empty'}: {counts[text]}" for text in sorted(counts)[:8]
        )

    def without(self, *names: str) -> list[str]:
        """Patients for whom one of these fields is not known."""
        patients = []
        for patient, fields in self.patients.items():
            if any(whole(fields.get(name, "")) in MISSING for name in names):
                patients.append(patient)
        return patients


def read_fields(files: Mapping[str, Path]) -> Fields:
    """Read the clinical data of all patients.

    Names of fields and levels are written in the challenge's letter case.

    Parameters
    ----------
    files : mapping of str to path
        ``<ID>_CD.json`` by patient.

    Raises
    ------
    InputError
        When a file is no object of texts and numbers.
    """
    changed: Counter[str] = Counter()
    patients = {}
    for patient, file in sorted(files.items()):
        patients[patient] = _read_patient(file, changed)
    present = {name for fields in patients.values() for name in fields}
    columns = [name for name in FIELDS if name in present]
    columns += sorted(present - set(columns))
    notes = []
    if changed:
        pairs = [f"{change} ({count})" for change, count in sorted(changed.items())]
        notes.append(f"letter case made one: {listed(pairs, 12)}")
    return Fields(patients, tuple(columns), tuple(notes), _same_patient(patients))


def _read_patient(file: Path, changed: Counter[str]) -> dict[str, str]:
    """Texts by field of one patient; spellings that are changed are counted."""
    content = read_json(file)
    if not isinstance(content, dict):
        raise InputError(
            f"{file}: expected an object of fields, got {type(content).__name__}"
        )
    fields: dict[str, str] = {}
    for key, value in content.items():
        name = _NAMES.get(key.strip().casefold()) or str(key)
        if name in fields:
            raise InputError(f"{file}: {name} stands twice, in two letter cases")
        text = _text(value, f"{file}: {key}")
        fields[name] = _level(name, text)
        for before, after in ((key, name), (text, fields[name])):
            if before != after:
                changed[f"{before} to {after}"] += 1
    return fields


def _text(value: Any, where: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str | int | float):
        raise InputError(
            f"{where}: expected a text or a number, got {type(value).__name__}"
        )
    return str(value).strip()


def _level(name: str, text: str) -> str:
    """Write a level as the challenge does, and a word for "not known" as `MISSING` has it."""
    known = {term.casefold(): term for term in (*MISSING, *LEVELS.get(name, ()))}
    return known.get(" ".join(text.split()).casefold(), text)


def _same_patient(patients: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Ids that differ in marks alone and have the same fields, the plainer first."""
    twice: dict[str, str] = {}
    plain: dict[str, str] = {}
    for patient in sorted(patients, key=lambda one: (len(one), one)):
        letters = "".join(filter(str.isalnum, patient)).casefold()
        first = plain.setdefault(letters, patient)
        same = patients[first] == patients[patient]
        if first != patient and same:
            twice[first] = patient
    return twice


def column_spec(
    name: str, fields: Fields
) -> tuple[dict[str, object], str, bool] | None:
    """Say what a field is, with evidence and certainty; None for fields of others."""
    if name == DOSES:
        why = "doses received during follow-up: who relapses early receives fewer"
        return {"kind": "numeric", "known": "followup", "use": False}, why, True
    if name == "age":
        return {"kind": "numeric", "label": _LABELS[name]}, "", True
    if name not in LEVELS:
        return None
    present = [text for text in fields.values(name) if text not in MISSING]
    if not present:
        return None
    spec: dict[str, object] = {"kind": "nominal"}
    foreign = sorted(set(present) - set(LEVELS[name]))
    if name in _ORDINAL and not foreign:
        spec = {"kind": "ordinal", "levels": list(LEVELS[name])}
    evidence = f"no level of the challenge: {listed(foreign)}" if foreign else ""
    return {**spec, "label": _LABELS[name]}, evidence, not foreign
