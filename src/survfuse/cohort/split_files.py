"""Splits that others published: read as they are, checked for shared patients.

Read are the ragged tables of CLAM, MCAT and SurvPath (``splits_0.csv`` …, also in their
boolean form), the tables of Patho-Bench (``k=all.tsv``), the folders of MMP
(``TASK_k=0/train.csv`` …) and the ``splits.json`` of STAMP.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from survfuse._errors import CohortError, LeakageError, context, listed
from survfuse.cohort.cohort_data import Cohort
from survfuse.cohort.members import among
from survfuse.cohort.modalities import BagData
from survfuse.cohort.patient_ids import patients_of
from survfuse.cohort.problems import Problems
from survfuse.cohort.sources import Sources
from survfuse.cohort.split_formats import RawSplit, read_raw
from survfuse.cohort.splits import Split
from survfuse.readers.bag_files import Slide
from survfuse.readers.cell_text import composed, only_difference
from survfuse.readers.slide_names import slide_stem

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


def read_splits(
    path: Path | str,
    cohort: Cohort,
) -> FixedSplits:
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
    parts = []
    notes: list[str] = []
    for part in raw:
        notes += part.notes
        with context(part.where):
            parts.append((part.where, *ids.patients_of(part)))
    ids.refuse_unknown(source)
    for where, train, test in parts:
        with context(where):
            _check(cohort, train, test)
    splits = []
    places = _places([test for _, _, test in parts])
    for (repeat, fold), (_, train, test) in zip(places, parts, strict=True):
        splits.append(Split(repeat, fold, tuple(sorted(train)), tuple(sorted(test))))
    notes += [*ids.notes(), *_doubts(cohort, parts)]
    return FixedSplits(tuple(splits), tuple(dict.fromkeys(notes)))


# -- ids


class _Ids:
    """From an id of a file to a patient of the cohort; remembers who is not one."""

    def __init__(self, cohort: Cohort) -> None:
        self.cohort = cohort
        self._known = set(cohort.patients)
        self.left_out: set[str] = set()
        self.unknown: dict[str, None] = {}
        self.twice: dict[str, None] = {}
        slides: list[Slide] = []
        self._listed = {*cohort.patients, *cohort.spec.exclude, *_outcome_ids(cohort)}
        for data in cohort.modalities.values():
            self._listed.update(data.patients)
            if isinstance(data, BagData):
                slides += data.store.slides
        self._listed.update(slide.patient_id for slide in slides)
        self._slides = _owners(slides)

    def patients_of(self, raw: RawSplit) -> tuple[set[str], set[str]]:
        """Patients of the cohort that are trained on, and that are tested.

        Raises
        ------
        LeakageError
            When anyone is both, in this cohort or not.
        """
        train, test = (set(map(self._patient, ids)) for ids in (raw.train, raw.test))
        both = sorted(train & test)
        if both:
            raise LeakageError(
                f"{len(both)} patient(s) are both trained on and tested: {listed(both, 20)}; "
                "a split is made by patient, all slides of one on the same side",
            )
        for ids in (raw.train, raw.test):
            counts = Counter(ids)
            self.twice |= dict.fromkeys(one for one in counts if counts[one] > 1)
        return train & self._known, test & self._known

    def _patient(self, one: str) -> str:
        """The patient that an id means, noted where the cohort does not have it."""
        candidates = self._candidates(one)
        known = among(candidates, self._known)
        listed_only = among(candidates, self._listed)
        if not known and listed_only:
            self.left_out.add(listed_only[0])
        elif not known:
            self.unknown[one] = None
        return (known or listed_only or candidates[-1:])[0]

    def _candidates(self, one: str) -> list[str]:
        """What an id may mean: a patient, a slide, a number written 12.0, a TCGA slide."""
        candidates = [one]
        for name in (one, slide_stem(composed(one))):
            if name in self._slides:
                candidates.append(self._slides[name])
        if re.fullmatch(r"\d+\.0", one):
            # pandas writes whole numbers so in a column with empty cells
            candidates.append(one.removesuffix(".0"))
        barcode = BARCODE.match(one)
        if barcode:
            candidates.append(barcode[0])
        return candidates

    def refuse_unknown(self, source: Path) -> None:
        """Raise for ids that neither the cohort nor its tables know."""
        if not self.unknown:
            return
        near = only_difference(
            map(composed, self.unknown),
            map(composed, sorted(self._listed)),
        )
        raise CohortError(
            f"{source}: {len(self.unknown)} id(s) are neither patients nor slides of cohort "
            f"{self.cohort.name!r}: {listed(map(repr, self.unknown), 20)}; its ids look like "
            f"{listed(map(repr, self.cohort.patients), 3)}{f'; {near}' if near else ''}. Ids that "
            "shall be left out belong under `exclude` in the cohort file",
        )

    def notes(self) -> list[str]:
        """Who was left out, and what is listed twice."""
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


def _owners(slides: Sequence[Slide]) -> dict[str, str]:
    """Patients by slide id, and by slide id without endings where that means one patient."""
    by_stem: dict[str, set[str]] = defaultdict(set)
    by_id = {}
    for slide in slides:
        by_stem[slide_stem(composed(slide.slide_id))].add(slide.patient_id)
        by_id[slide.slide_id] = slide.patient_id
    owners = {}
    for stem, patients in by_stem.items():
        if len(patients) == 1:
            (owners[stem],) = patients
    return owners | by_id


def _outcome_ids(cohort: Cohort) -> list[str]:
    """Ids that the outcome's table lists, in the cohort or not, where it can still be read."""
    outcome = cohort.spec.outcome
    if outcome is None or not (cohort.root / outcome.table).exists():
        return []
    sources = Sources(cohort.root, Problems(), match=cohort.spec.match)
    rule = sources.rule(outcome.patient)
    table = sources.table(outcome.table, str(rule), "outcome")
    sources.problems.raise_errors(outcome.table)
    if table is None:
        return []
    ids = patients_of(table[str(rule)], rule, sources.problems.at("outcome"))
    return [] if ids is None else ids.tolist()


# -- splits


def _has_event(cohort: Cohort, patients: set[str]) -> bool:
    """Whether a patient has the event; True where no outcome is known."""
    outcome = cohort.outcome
    return outcome is None or bool(outcome.loc[sorted(patients), "event"].any())


def _check(
    cohort: Cohort,
    train: set[str],
    test: set[str],
) -> None:
    if not test:
        raise CohortError(
            "nobody of the cohort is tested; expected one patient or more",
        )
    if not _has_event(cohort, train):
        raise CohortError(
            f"none of the {len(train)} training patients has an event; nothing can be learned",
        )


def _doubts(
    cohort: Cohort,
    parts: Sequence[tuple[str, set[str], set[str]]],
) -> list[str]:
    """Folds without events, and patients that no split names or tests."""
    notes = []
    never = set(cohort.patients)
    for where, train, test in parts:
        never -= test
        if not _has_event(cohort, test):
            notes.append(
                f"{where}: no event among the {len(test)} tested; no concordance can be computed "
                "there",
            )
        absent = set(cohort.patients) - train - test
        if absent:
            notes.append(
                f"{where}: {len(absent)} patient(s) of the cohort are neither trained on nor "
                f"tested: {listed(sorted(absent), 5)}",
            )
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
