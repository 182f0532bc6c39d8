"""Risks and contributions of tiles, and of the slides that they lie on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from survfuse._types import AnyArray, FloatArray, IntArray
from survfuse.cohort.modalities import BagData
from survfuse.explanations.bag_terms import BagTerm
from survfuse.explanations.explained import Explained
from survfuse.explanations.tile_sums import TileSums

COLUMNS = (
    "modality", "slide", "tile", "x", "y", "tile_risk", "share", "contribution", "removal",
    "cluster",
)  # fmt: skip


def tiles(
    explained: Explained,
    patient: str,
    modality: str | None = None,
    *,
    term: str | None = None,
    removal: bool = True,
) -> pd.DataFrame:
    """Risk and contribution of each tile of a patient.

    Parameters
    ----------
    explained : Explained
    patient : str
    modality : str, optional
        A bag; the only one where not given.
    term : str, optional
        An interaction such as ``slides*clinical``, with the partners at the patient's own values;
        the bag's main effect where not given.
    removal : bool
        Whether to compute `removal` also where that takes an evaluation of the term a tile.

    Returns
    -------
    DataFrame
        One row per tile, in the order of the store; empty for a patient without tiles.

        - `modality, slide, tile` (number within the slide, from 0), `x, y` (NaN where not known).
        - `tile_risk`: the term, but for the presence, had the patient only such tiles; 0 is the
          average bag of the training patients.
        - `share`: weight of the tile in the bag. Where several models pool it, the mean of their
          weights by what each adds to the term (the sum of the contributions' sizes).
        - `contribution`: share times tile_risk, of each pooling that the term depends on; with
          `presence` and `remainder` (see below) it adds up to the term.
        - `removal`: exact change of the term without the tile; NaN where a note says why.
        - `cluster`: see `explanations.cluster_contributions`; not known without clusters.

        ``frame.attrs`` has `patient_id, modality, term, value` (of the term), `presence` (the
        term had the patient the mean reading of the training patients who have the bag),
        `remainder` (rounding, but for terms that are not linear in the bag), `coord_units` (of
        each slide) and `notes`.

    Raises
    ------
    InputError
        When the patient, bag or term is not known, or the model leaves the term out.
    """
    bag = BagTerm.of(explained, modality, term)
    return tile_frame(bag, patient, bag.sums(patient, removal=removal))


def tile_sums(
    explained: Explained,
    patient: str,
    modality: str | None = None,
    *,
    term: str | None = None,
) -> TileSums:
    """Sums over the tiles of a patient, as :func:`tiles`; for deletion curves."""
    return BagTerm.of(explained, modality, term).sums(patient)


def tile_tables(
    explained: Explained,
    modality: str | None = None,
    *,
    term: str | None = None,
) -> Iterator[tuple[str, pd.DataFrame]]:
    """Tiles of one patient after another, each read once; see :func:`tiles`.

    Yields
    ------
    patient, frame
        Of the patients who have tiles; `removal` is NaN where it takes an evaluation a tile.
    """
    bag = BagTerm.of(explained, modality, term)
    has = explained.present(bag.modality)
    for row in np.flatnonzero(has):
        patient = explained.ids[row]
        yield patient, tile_frame(bag, patient, bag.sums(patient, removal=False))


def slides_of(
    explained: Explained,
    patient: str,
    modality: str | None = None,
    *,
    term: str | None = None,
) -> pd.DataFrame:
    """Slides of a patient, the largest contribution first.

    Returns
    -------
    DataFrame
        `modality, slide, tiles, share, contribution, tile_risk` (mean of its tiles); attributes as
        of :func:`tiles`.
    """
    bag = BagTerm.of(explained, modality, term)
    frame = tile_frame(bag, patient, bag.sums(patient, removal=False))
    summed = frame.groupby(["modality", "slide"], sort=False, as_index=False).agg(
        tiles=("tile", "size"),
        share=("share", "sum"),
        contribution=("contribution", "sum"),
        tile_risk=("tile_risk", "mean"),
    )
    order = summed["contribution"].abs().argsort(kind="stable")[::-1]
    summed = summed.iloc[order].reset_index(drop=True)
    summed.attrs = {**frame.attrs, "notes": list(bag.notes)}
    return summed


@dataclass(frozen=True)
class TileIndex:
    """Where the tiles of a patient lie.

    Attributes
    ----------
    slide : array of str, (tiles,)
    tile : array of int, (tiles,)
        Number within the slide, from 0.
    corners : array, (tiles, 2)
        Upper left corners (x, y), NaN where not known.
    units : mapping of slide to str or None
        Of its corners: "level0_px" or "um".
    """

    slide: AnyArray
    tile: IntArray
    corners: FloatArray
    units: Mapping[str, str | None]

    @classmethod
    def none(cls) -> TileIndex:
        """Of a patient without tiles."""
        nothing = np.zeros(0, object), np.zeros(0, np.int64), np.zeros((0, 2))
        return cls(*nothing, units={})

    @classmethod
    def of(cls, data: BagData, patient: str) -> TileIndex:
        """Of a patient who has tiles, in the order of the store."""
        slides = data.store.slides_of(patient)
        names = np.array([slide.slide_id for slide in slides], dtype=object)
        counts = [slide.tiles for slide in slides]
        return cls(
            np.repeat(names, counts),
            np.concatenate([np.arange(count) for count in counts]),
            data.store.coords(patient),
            {slide.slide_id: slide.coord_unit for slide in slides},
        )


def tile_frame(
    bag: BagTerm,
    patient: str,
    sums: TileSums,
) -> pd.DataFrame:
    """Table of tiles; see :func:`tiles`."""
    tiles_there, notes = len(sums), list(bag.notes)
    index = TileIndex.none()
    if tiles_there:
        assert bag.data is not None
        index = TileIndex.of(bag.data, patient)
    else:
        notes.append(f"{patient} has no tiles: the term is that of their absence")
    removal = sums.removal
    if removal is None:
        removal = np.full(tiles_there, np.nan)
        notes.append(bag.not_removed)
    clusters: Any = pd.NA if sums.clusters is None else sums.clusters
    columns = {
        "modality": bag.modality,
        "slide": index.slide,
        "tile": index.tile,
        "x": index.corners[:, 0],
        "y": index.corners[:, 1],
        "tile_risk": sums.tile_risk,
        "share": sums.share,
        "contribution": sums.contribution,
        "removal": removal,
        "cluster": pd.Series(clusters, index=range(tiles_there), dtype="Int64"),
    }
    frame = pd.DataFrame(columns, index=range(tiles_there), columns=list(COLUMNS))
    frame["modality"] = frame["modality"].astype(object)
    frame.attrs = {
        "patient_id": patient,
        "modality": bag.modality,
        "term": bag.name,
        "value": sums.value,
        "presence": sums.presence,
        "remainder": sums.remainder,
        "coord_units": dict(index.units),
        "notes": notes,
    }
    return frame
