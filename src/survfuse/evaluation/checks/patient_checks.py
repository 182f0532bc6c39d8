"""Check for one patient under two ids."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping

import numpy as np

from survfuse._errors import listed
from survfuse._types import BoolArray
from survfuse.cohort.cohort_data import Cohort
from survfuse.cohort.modalities import BagData, TableData
from survfuse.evaluation.checks.check_cards import check
from survfuse.evaluation.checks.evidence import (
    Evidence,
    Verdict,
    doubt,
    not_applicable,
    ok,
)
from survfuse.evaluation.checks.vectors import Vectors

MIN_COLUMNS = 5  # clinical columns that must agree before two patients look like one
NEAR = 0.1  # of the typical distance to the nearest other patient: twins
CROWD = 3  # others together with a patient: not twins, but vectors that say nothing of the patient

Pairs = dict[tuple[str, str], list[str]]  # two ids -> what they share


@check("SRV007", "No patient is listed under two ids.", "warning")
def patients_differ(evidence: Evidence) -> Verdict:
    """Look for ids that are one id in two spellings, and for data that two patients share."""
    if len(evidence.cohort) < 2:
        return not_applicable("there is one patient")
    pairs = twins(evidence)
    if not pairs:
        looked = ["ids", *evidence.vectors, *_clinical(evidence.cohort)]
        return ok(
            f"no two of {len(evidence.cohort)} patients are alike in {', '.join(looked)}",
        )
    return doubt(
        _named(pairs),
        "If they are one patient, list one under `exclude:` of the cohort file.",
    )


@check(
    "SRV024",
    "No two ids that may be one patient lie on both sides of a split.",
    "error",
    ("splits",),
)
def twins_stay_together(evidence: Evidence) -> Verdict:
    """Look for such pairs of ids of which one is trained on where the other is tested."""
    pairs = twins(evidence)
    torn = {pair: pairs[pair] for pair in _across(evidence, pairs)}
    if not torn:
        return ok(f"none of {len(pairs)} such pairs")
    return doubt(
        _named(torn),
        "If they are one patient, a model saw a test patient: list one of each under `exclude:` "
        "of the "
        "cohort file and run again.",
    )


def _named(pairs: Pairs) -> str:
    texts = [f"{a} and {b} ({', '.join(why)})" for (a, b), why in pairs.items()]
    return listed(texts, 10)


@check("SRV019", "Slides and expression differ between patients.", "warning")
def vectors_say_something(evidence: Evidence) -> Verdict:
    """Look for patients whose mean tile or expression lies in one place with several others'."""
    if not evidence.vectors:
        return not_applicable("no slides and no expression")
    crowds = {name: crowd(vectors) for name, vectors in evidence.vectors.items()}
    texts = [
        f"{name}: {len(ids)} patients hardly differ ({listed(ids)})"
        for name, ids in crowds.items()
        if ids
    ]
    if not texts:
        return ok(f"no crowd of patients in {', '.join(evidence.vectors)}")
    return doubt(
        "; ".join(texts),
        "Look at their slides (glass, pen, background?) or samples; tiles without tissue belong "
        "in no bag.",
    )


def twins(evidence: Evidence) -> Pairs:
    """Pairs of patients that may be one, and why."""
    reasons: Pairs = defaultdict(list)
    for why, pairs in _suspects(evidence):
        for a, b in pairs:
            reasons[min(a, b), max(a, b)].append(why)
    return dict(sorted(reasons.items()))


def _suspects(evidence: Evidence) -> Iterable[tuple[str, Iterable[tuple[str, str]]]]:
    cohort = evidence.cohort
    yield (
        "ids differ in punctuation or case only",
        _grouped({i: spelling(i) for i in cohort.patients}),
    )
    for name, data in cohort.modalities.items():
        if isinstance(data, BagData):
            yield f"{name}: a slide is the same", _same_slides(data)
        elif (
            isinstance(data, TableData)
            and data.kind == "clinical"
            and cohort.outcome is not None
        ):
            yield f"{name} and outcome are the same", _same_rows(data, evidence)
    for name, vectors in evidence.vectors.items():
        yield f"{name} is nearly the same", near_pairs(vectors)


def spelling(patient: str) -> str:
    """Fold an id: case, outer punctuation and the kind of separator do not count.

    >>> spelling("3B_417_") == spelling(" 3b-417")
    True
    >>> spelling("P-1-11") == spelling("P-11-1")
    False
    """
    return "-".join(re.findall(r"[^\W_]+", patient.casefold()))


def near_pairs(vectors: Vectors) -> list[tuple[str, str]]:
    """Pairs of patients much nearer to each other than patients usually are to their nearest.

    "Much" is `NEAR` of the median over patients of the distance to the nearest other.
    Patients in a crowd are not pairs (:func:`crowd`).
    """
    first, second, distance = vectors.together
    crowded = _crowded(vectors)
    near = (distance <= NEAR) & ~crowded[first] & ~crowded[second]
    pairs = zip(first[near], second[near], strict=True)
    return [(vectors.patients[a], vectors.patients[b]) for a, b in pairs]


def crowd(vectors: Vectors) -> list[str]:
    """Patients with `CROWD` or more others within `TOGETHER` of the usual nearest distance."""
    return [vectors.patients[row] for row in np.flatnonzero(_crowded(vectors))]


def _crowded(vectors: Vectors) -> BoolArray:
    """Who has `CROWD` others or more within `TOGETHER`; (patients,)."""
    first, second, _ = vectors.together
    others = np.bincount(np.append(first, second), minlength=len(vectors.patients))
    return np.asarray(others >= CROWD)


def _grouped(keys: Mapping[str, object]) -> list[tuple[str, str]]:
    """Pairs that share a key: the first of each group with each other."""
    groups: dict[object, list[str]] = defaultdict(list)
    for patient, key in keys.items():
        groups[key].append(patient)
    return [(group[0], other) for group in groups.values() for other in group[1:]]


def _same_slides(data: BagData) -> list[tuple[str, str]]:
    owners: dict[str, set[str]] = defaultdict(set)
    for patient in data.patients:
        for slide in data.store.slides_of(patient):
            if slide.content:
                owners[slide.content].add(patient)
    pairs = []
    for group in owners.values():
        first, *others = sorted(group)
        pairs += [(first, other) for other in others]
    return pairs


def _same_rows(
    data: TableData,
    evidence: Evidence,
) -> list[tuple[str, str]]:
    columns = [data.texts(column) for column in data.columns]
    outcome = evidence.outcome
    keys: dict[str, object] = {}
    for patient in outcome.index.intersection(list(data.patients)):
        row = tuple(column[patient] for column in columns)
        if sum(cell is not None for cell in row) >= MIN_COLUMNS:
            keys[str(patient)] = (row, *outcome.loc[patient, ["time", "event"]])
    return _grouped(keys)


def _clinical(cohort: Cohort) -> list[str]:
    return [name for name, data in cohort.modalities.items() if data.kind == "clinical"]


def _across(
    evidence: Evidence,
    pairs: Pairs,
) -> list[tuple[str, str]]:
    """Pairs of which one is trained on where the other is tested."""
    torn = set()
    for split in evidence.splits:
        train, test = set(split.train), set(split.test)
        torn |= {
            (a, b)
            for a, b in pairs
            if (a in train and b in test) or (b in train and a in test)
        }
    return sorted(torn)
