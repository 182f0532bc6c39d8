"""Patients whose tiles are damaged on the disk."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from survfuse._errors import FeatureFileError
from survfuse.cohort.cohort import Cohort
from survfuse.cohort.modalities import BagData


def damaged_patients(
    cohort: Cohort,
    patients: Sequence[str],
    modalities: Collection[str],
) -> dict[str, str]:
    """Patients of whom a tile is not as it was packed, and what is wrong.

    Parameters
    ----------
    cohort : Cohort
    patients : sequence of str
    modalities : collection of str
        Bags among them are read, and verified once.
    """
    damaged: dict[str, str] = {}
    for name in modalities:
        data = cohort.modalities.get(name)
        if not isinstance(data, BagData):
            continue
        try:
            data.store.verify(patients)  # all at once is faster
        except FeatureFileError:
            for patient in patients:
                try:
                    data.store.verify((patient,))
                except FeatureFileError as error:
                    damaged[patient] = str(error)
    return damaged
