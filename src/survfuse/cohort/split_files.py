"""Splits that others published: read as they are, checked for shared patients, never repaired in silence.

Read are the ragged tables of CLAM, MCAT and SurvPath (``splits_0.csv`` …, also in their
boolean form), the tables of Patho-Bench (``k=all.tsv``), the folders of MMP
(``TASK_k=0/train.csv`` …) and the ``splits.json`` of STAMP.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from survfuse._errors import CohortError, LeakageError, context, listed
from survfuse.cohort.cohort_data import Cohort
from survfuse.cohort.modalities import BagData
from survfuse.cohort.split_formats import RawSplit, read_raw
from survfuse.cohort.splits import Split
from survfuse.readers.cell_text import composed, only_difference
from survfuse.readers.slide_names import slide_stem
from survfuse.readers.table_files import read_table

BARCODE = re.compile(
    r"TCGA-[A-Z0-9]{2}-[A-Z0-9]{4}(?=-)",
)  # the patient part of a TCGA slide name


@dataclass(frozen=True)
class FixedSplits:
    """Splits of a file, for one cohort.

    Attributes
    ----------
    splits : tuple of Split
        One repeat where no patient is tested twice; else repeats that each test
        everyone once, if the order of the file gives such; else each its own repeat.
        ``(repeat, patient)`` is tested at most once.
    notes : tuple of str
        What a reader must know: who was left out, how the file was understood.
    """

    splits: tuple[Split, ...]
    notes: tuple[str, ...]


def read_splits(path: Path | str, cohort: Cohort) -> FixedSplits:
    """Read a splits file, or a folder of them, for a cohort.

    Validation patients join the training patients, because everything is chosen on
    inner folds; where a file has no test patients (MCAT, SurvPath), its validation
    patients are tested.

    Parameters
    ----------
    path : path
        ``splits.json`` (STAMP); a table with ``fold_0``, ``fold_1``, … that hold train,
        val or test, and a column case_id, patient_id or slide_id (Patho-Bench); a
        table with columns train, val and test of ids, or of True and False beside an
        id (CLAM); a folder of ``splits_<number>.csv`` of the latter; a folder of ``train.csv``
        and ``test.csv`` with such ids (MMP), or one of such folders ``TASK_k=<number>``, or
        ``FOLDER/TASK`` where FOLDER has those of several tasks.
    cohort : Cohort
        Ids may be its patients, slides of its bag modalities, or TCGA slide names
        whose first 12 characters are its patients.

    Raises
    ------
    InputError
        When the file is none of these, or a cell means nothing.
    CohortError
        For patients that the cohort does not know, unless its tables list them and it
        left them out; or a split without patients to test or events to train on.
    LeakageError
        When a patient is both trained on and tested in one split.
    """
    source = Path(path)
    ids = _Ids(cohort)
    raw = read_raw(source)
    found = []
    for part in raw:
        with context(part.where):
            found.append((part.where, *ids.patients_of(part)))
    ids.refuse_unknown(source)
    for where, train, test in found:
        with context(where):
            _check(cohort, train, test)
    places = _places([test for _, _, test in found])
    splits = tuple(
        Split(repeat, fold, tuple(sorted(train)), tuple(sorted(test)))
        for (repeat, fold), (_, train, test) in zip(places, found, strict=True)
    )
    notes = [note for part in raw for note in part.notes]
    return FixedSplits(
        splits,
        tuple(dict.fromkeys([*notes, *ids.notes(), *_doubts(cohort, found)])),
    )


# -- ids


@dataclass
class _Ids:
    """From an id of a file to a patient of the cohort; remembers who is not one."""

    cohort: Cohort
    left_out: set[str] = field(default_factory=set)
    unknown: dict[str, None] = field(default_factory=dict)
    twice: dict[str, None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._known = set(self.cohort.patients)
        self._listed = _listed_patients(self.cohort)
        self._slides = _slides_of(self.cohort)

    def patients_of(self, raw: RawSplit) -> tuple[set[str], set[str]]:
        """Patients of the cohort that are trained on, and that are tested.

        Raises
        ------
        LeakageError
            When anyone is both, in this cohort or not.
        """
        train, test = (
            {one: self._patient(one) for one in ids} for ids in (raw.train, raw.test)
        )
        both = sorted(set(train.values()) & set(test.values()))
        if both:
            raise LeakageError(
                f"{len(both)} patient(s) are both trained on and tested: {listed(both, 20)}; "
                "a split is made by patient, all slides of one on the same side",
            )
        for ids in (raw.train, raw.test):
            self.twice |= dict.fromkeys(
                one for one, count in Counter(ids).items() if count > 1
            )
        return set(train.values()) & self._known, set(test.values()) & self._known

    def _patient(self, one: str) -> str:
        """The patient that an id means, noted where the cohort does not have it."""
        candidates = list(_candidates(one, self._slides))
        patient = next((c for c in candidates if c in self._known), None)
        if patient is not None:
            return patient
        patient = next((c for c in candidates if c in self._listed), None)
        if patient is not None:
            self.left_out.add(patient)
            return patient
        self.unknown[one] = None
        return candidates[-1]

    def refuse_unknown(self, source: Path) -> None:
        """Raise for ids that neither the cohort nor its tables know."""
        if self.unknown:
            raise CohortError(
                f"{source}: {len(self.unknown)} id(s) are neither patients nor slides of cohort "
                f"{self.cohort.name!r}: {listed(map(repr, self.unknown), 20)}; its ids look like "
                f"{listed(map(repr, self.cohort.patients), 3)}{self._near()}. Ids that shall "
                "be left out belong under `exclude` in the cohort file",
            )

    def _near(self) -> str:
        """Name the trifle by which ids differ from the cohort's, if there is one."""
        trifle = only_difference(
            map(composed, self.unknown),
            map(composed, sorted(self._listed)),
        )
        return f"; {trifle}" if trifle else ""

    def notes(self) -> list[str]:
        """Tell who was left out, and what stands twice."""
        notes = []
        if self.left_out:
            notes.append(
                f"{len(self.left_out)} patient(s) of the splits were left out of the cohort: "
                f"{listed(sorted(self.left_out), 20)}",
            )
        if self.twice:
            notes.append(
                f"ids that stand more than once on one side of a split: {listed(self.twice, 20)}",
            )
        return notes


def _slides_of(cohort: Cohort) -> dict[str, str]:
    """Patients by slide id, and by slide id without endings where that means one patient."""
    slides = [
        slide
        for data in cohort.modalities.values()
        if isinstance(data, BagData)
        for slide in data.store.slides
    ]
    owners: dict[str, set[str]] = {}
    for slide in slides:
        owners.setdefault(slide_stem(composed(slide.slide_id)), set()).add(
            slide.patient_id,
        )
    found = {
        stem: next(iter(patients))
        for stem, patients in owners.items()
        if len(patients) == 1
    }
    return found | {slide.slide_id: slide.patient_id for slide in slides}


def _candidates(one: str, slides: Mapping[str, str]) -> Iterable[str]:
    """What an id may mean, likeliest first: a patient, a slide, a TCGA slide, a number written 12.0."""
    yield one
    yield from (
        slides[name] for name in (one, slide_stem(composed(one))) if name in slides
    )
    if re.fullmatch(r"\d+\.0", one):
        yield one.removesuffix(
            ".0",
        )  # pandas writes whole numbers so in a column with empty cells
    if found := BARCODE.match(one):
        yield found[0]


def _listed_patients(cohort: Cohort) -> set[str]:
    """Ids that the cohort file's tables list, in the cohort or not, as far as they can still be read."""
    found = {*cohort.patients, *cohort.spec.exclude}
    found.update(
        patient for data in cohort.modalities.values() for patient in data.patients
    )
    found.update(
        slide.patient_id
        for data in cohort.modalities.values()
        if isinstance(data, BagData)
        for slide in data.store.slides
    )
    outcome = cohort.spec.outcome
    if outcome is not None and (cohort.root / outcome.table).exists():
        found.update(
            read_table(cohort.root / outcome.table, id_column=outcome.patient)[
                outcome.patient
            ],
        )
    return found


# -- splits


def _check(cohort: Cohort, train: set[str], test: set[str]) -> None:
    if not test:
        raise CohortError(
            "nobody of the cohort is tested; expected one patient or more",
        )
    if (
        cohort.outcome is not None
        and not cohort.outcome.loc[sorted(train), "event"].any()
    ):
        raise CohortError(
            f"none of the {len(train)} training patients has an event; nothing can be learned",
        )


def _doubts(
    cohort: Cohort,
    found: Sequence[tuple[str, set[str], set[str]]],
) -> list[str]:
    """Tell folds without events, and patients that no split names or tests."""
    notes = []
    for where, train, test in found:
        if (
            cohort.outcome is not None
            and not cohort.outcome.loc[sorted(test), "event"].any()
        ):
            notes.append(
                f"{where}: no event among the {len(test)} tested; no concordance can be computed there",
            )
        absent = set(cohort.patients) - train - test
        if absent:
            notes.append(
                f"{where}: {len(absent)} patient(s) of the cohort are neither trained on nor tested: "
                f"{listed(sorted(absent), 5)}",
            )
    never = set(cohort.patients) - {patient for _, _, test in found for patient in test}
    if never:
        notes.append(
            f"{len(never)} patient(s) of the cohort are never tested: {listed(sorted(never), 5)}",
        )
    return notes


def _places(tests: Sequence[set[str]]) -> list[tuple[int, int]]:
    """Repeat and fold of each split, so that nobody is tested twice in a repeat."""
    everyone = set().union(*tests)
    places: list[tuple[int, int]] = []
    seen: set[str] = set()
    repeat = fold = 0
    whole = True  # every repeat so far, but the last, tests everyone
    for test in tests:
        if seen & test:
            whole = whole and seen == everyone
            repeat, fold, seen = repeat + 1, 0, set()
        places.append((repeat, fold))
        fold, seen = fold + 1, seen | test
    if repeat == 0 or (whole and seen == everyone):
        return places
    return [(number, 0) for number in range(len(tests))]
