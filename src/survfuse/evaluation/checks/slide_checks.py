"""Check that all slides were cut and encoded alike."""

from __future__ import annotations

from collections import Counter

from survfuse._errors import listed
from survfuse.cohort.cohort_data import Cohort
from survfuse.cohort.modalities import BagData
from survfuse.evaluation.checks.check_cards import check
from survfuse.evaluation.checks.evidence import (
    Evidence,
    Verdict,
    doubt,
    not_applicable,
    ok,
)

TRAITS = {"encoder": "encoder", "mpp": "mpp", "tile_um": "tile width (µm)"}
DIGITS = 2  # significant digits in which two scales may differ without a word


@check("SRV016", "All slides were encoded alike: one encoder, one scale.", "warning")
def slides_alike(evidence: Evidence) -> Verdict:
    """Compare encoder, µm per pixel and tile width between slides, and with the external cohort."""
    cohorts = [
        cohort for cohort in (evidence.cohort, evidence.external) if cohort is not None
    ]
    names = [
        name
        for name, data in evidence.cohort.modalities.items()
        if isinstance(data, BagData)
    ]
    if not names:
        return not_applicable("the cohort has no slides")
    mixed, told = [], []
    for name in names:
        for trait, word in TRAITS.items():
            counts = sum(
                (_traits(cohort, name, trait) for cohort in cohorts),
                Counter(),
            )
            known = [
                f"{value}: {slides} slides" for value, slides in sorted(counts.items())
            ]
            told.append(f"{name}: {word} {listed(known) or 'not said'}")
            if len(counts) > 1:
                mixed.append(told[-1])
    if not mixed:
        return ok("; ".join(told))
    return doubt(
        "; ".join(mixed),
        "Extract all slides with one encoder at one scale; features do not mix.",
    )


def _traits(cohort: Cohort, name: str, trait: str) -> Counter[str]:
    """How many slides say what."""
    data = cohort.modalities.get(name)
    if not isinstance(data, BagData):
        return Counter()
    values = [
        getattr(slide, trait) or getattr(data.store, trait, None)
        for patient in data.patients
        for slide in data.store.slides_of(patient)
    ]
    return Counter(
        v if isinstance(v, str) else f"{float(f'{v:.{DIGITS}g}'):g}"
        for v in values
        if v is not None
    )
