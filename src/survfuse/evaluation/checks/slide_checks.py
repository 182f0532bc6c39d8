"""Check that all slides were cut and encoded alike."""

from __future__ import annotations

from collections import Counter

from survfuse._errors import listed
from survfuse.cohort.cohort_data import Cohort
from survfuse.cohort.modalities import BagData
from survfuse.evaluation.checks.check_cards import check
from survfuse.evaluation.checks.evidence import Evidence, Statements, Verdict

TRAITS = {"encoder": "encoder", "mpp": "mpp", "tile_um": "tile width (µm)"}
DIGITS = 2  # significant digits: scales that agree in them are the same scale


@check("SRV016", "All slides were encoded alike: one encoder, one scale.", "warning")
def slides_alike(evidence: Evidence) -> Verdict:
    """Compare encoder, µm per pixel and tile width between slides, and with the external cohort."""
    statements = Statements()
    for modality, data in evidence.cohort.modalities.items():
        if not isinstance(data, BagData):
            continue
        for trait, title in TRAITS.items():
            counts = _count(evidence.cohort, modality, trait)
            if evidence.external is not None:
                counts += _count(evidence.external, modality, trait)
            values = [
                f"{value}: {slides} slides" for value, slides in sorted(counts.items())
            ]
            text = f"{modality}: {title} {listed(values) or 'not said'}"
            statements.add(text, doubted=len(counts) > 1)
    return statements.verdict(
        nothing="the cohort has no slides",
        advice="Extract all slides with one encoder at one scale; features do not mix.",
    )


def _count(
    cohort: Cohort,
    modality: str,
    trait: str,
) -> Counter[str]:
    """Number of slides by value of a trait; slides that do not state it are left out."""
    data = cohort.modalities.get(modality)
    counts: Counter[str] = Counter()
    if not isinstance(data, BagData):
        return counts
    for patient in data.patients:
        for slide in data.store.slides_of(patient):
            value = getattr(slide, trait) or getattr(data.store, trait, None)
            if isinstance(value, str):
                counts[value] += 1
            elif value is not None:
                counts[f"{float(f'{value:.{DIGITS}g}'):g}"] += 1
    return counts
