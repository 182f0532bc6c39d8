"""Contributions of clusters of tiles that look alike to the encoder."""

from __future__ import annotations

import numpy as np
import pandas as pd

from survfuse._errors import InputError
from survfuse.explanations.bag_terms import BagTerm, bags
from survfuse.explanations.explained import Explained
from survfuse.explanations.tile_tables import tile_tables

NO_CLUSTERS = (
    "this model holds no clusters of tiles (it was written by an older version, or is a model of a "
    "cross-validation); train again with `survfuse train` or SurvivalFusion.fit"
)
COLUMNS = ("patient_id", "modality", "cluster", "share", "contribution", "tile_risk")


def clusters(explained: Explained) -> pd.DataFrame:
    """Contribution of each cluster of tiles to the main effect of its bag, for each patient.

    Tiles of one patient are in memory at a time.

    Returns
    -------
    DataFrame
        `patient_id, modality, cluster` (from 0, the most frequent among training tiles first; only
        those that the patient has), `share` (of the patient's tiles), `contribution` (adds up to
        the main effect's part of tiles), `tile_risk` (mean). ``frame.attrs["notes"]`` names bags
        that are not shown, and why.

    Raises
    ------
    InputError
        When no bag can be shown, with the reasons.
    """
    tables, notes = [], []
    for modality in bags(explained):
        try:
            need_clusters(BagTerm.of(explained, modality))
        except InputError as error:
            notes.append(str(error))
            continue
        tables.append(pd.DataFrame(columns=list(COLUMNS)))
        for patient, frame in tile_tables(explained, modality):
            tables.append(cluster_rows(patient, frame))
    if not tables:
        raise InputError(
            "; ".join(notes)
            or "the model reads no bag, so there are no tiles to cluster",
        )
    filled = [table for table in tables if len(table)]
    joined = pd.concat(filled, ignore_index=True) if filled else tables[0]
    joined.attrs = {"notes": notes}
    return joined


def cluster_rows(patient: str, frame: pd.DataFrame) -> pd.DataFrame:
    """Sum a patient's tiles (:func:`survfuse.explanations.tile_tables.tiles`) over clusters.

    Returns
    -------
    DataFrame
        As of :func:`clusters`; empty where no clusters are known.
    """
    if not len(frame) or frame["cluster"].isna().any():
        return pd.DataFrame(columns=list(COLUMNS))
    own = frame["cluster"].to_numpy(np.int64)
    counts = np.bincount(own)
    there = np.flatnonzero(counts)
    contribution = np.bincount(own, weights=frame["contribution"])
    risk = np.bincount(own, weights=frame["tile_risk"])
    columns = {
        "patient_id": patient,
        "modality": frame["modality"].iloc[0],
        "cluster": there,
        "share": counts[there] / len(own),
        "contribution": contribution[there],
        "tile_risk": risk[there] / counts[there],
    }
    return pd.DataFrame(columns)


def need_clusters(bag: BagTerm) -> None:
    """Refuse a bag whose tiles were not clustered.

    Raises
    ------
    InputError
    """
    if bag.clusters is None:
        raise InputError(f"{bag.modality}: {NO_CLUSTERS}")
