"""Values and modalities lost on purpose, as if they had never come from the files."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import replace

import numpy as np

from survfuse._errors import ConfigError
from survfuse.cohort.cohort_data import Cohort
from survfuse.cohort.modalities import PriorData, TableData


def lose_modalities(
    cohort: Cohort,
    names: Collection[str],
) -> Cohort:
    """Copy a cohort without some modalities: nobody has them.

    Patients who had nothing else stay, with no modality at all. A prior stays without patients:
    a model that holds its weights would otherwise compute it from the expression.
    """
    rest = {}
    for name, data in cohort.modalities.items():
        if name not in names:
            rest[name] = data
        elif isinstance(data, PriorData):
            rest[name] = data.subset(())
    return replace(cohort, modalities=rest)


def with_readers(
    cohort: Cohort,
    name: str,
) -> list[str]:
    """Name a modality and the priors that are computed from it: without it they are lost, too."""
    names = [name]
    for other, data in cohort.modalities.items():
        if isinstance(data, PriorData) and data.source.name == name and other != name:
            names.append(other)
    return names


def lose_values(
    data: TableData,
    share: float,
    seed: int,
) -> TableData:
    """Copy a table of which every cell is lost with the same chance, completely at random.

    A lost cell reads as "not known" from here on, whatever stood in it, and rows without any
    known value count as absent, as when they are read from a file.

    Parameters
    ----------
    data : TableData
    share : float
        Chance of each cell, in [0, 1]. Losses are nested: what is lost at one share is lost
        at every larger one.
    seed : int
        With table, column and patient id it decides whether a cell is lost; neither the order
        nor the choice of patients and columns does.

    Raises
    ------
    ConfigError
        For a share outside [0, 1].
    """
    if not 0 <= share <= 1:
        raise ConfigError(f"share of values to lose must lie in [0, 1], got {share}")
    digests = []
    for patient in data.frame.index:
        for column in data.frame.columns:
            text = f"{seed}\0{data.name}\0{column}\0{patient}"
            digests.append(hashlib.sha256(text.encode()).digest()[:8])
    drawn = np.frombuffer(b"".join(digests), dtype="<u8").reshape(data.frame.shape)
    lost = (drawn >> np.uint64(11)).astype(np.float64) * 2.0**-53 < share
    return replace(
        data,
        frame=data.frame.astype(object).mask(lost, None),
    ).without_blank_rows()
