"""Maps of the slides of a patient, from the tables of tiles."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from survfuse._errors import InputError, SurvfuseError
from survfuse._types import IntArray
from survfuse.cohort.modalities import BagData
from survfuse.cohort.slide_images import SlideImage
from survfuse.decomposition.readings import term_of
from survfuse.explanations.agreement_tables import NOT_MEASURED
from survfuse.explanations.bag_terms import BagTerm, bag_name
from survfuse.explanations.figures import (
    agreement_row,
    grey_terms,
    terms_by_agreement,
)
from survfuse.explanations.tile_gallery import images_of_bag
from survfuse.explanations.tile_tables import tiles
from survfuse.maps import Lattice, Score, SlideMap, TilePlaces
from survfuse.maps.scores import KERNEL, limit_of, percentiles, smoothed
from survfuse.readers.bag_files import Slide

if TYPE_CHECKING:
    from survfuse.explanations.explanation import Explanation

LOG_RISK = "log-risk"


def slide_maps(
    explanation: Explanation,
    patient: str,
    modality: str | None = None,
    *,
    failed: dict[str, str] | None = None,
) -> dict[str, SlideMap]:
    """Maps of the slides of a patient.

    A slide is opened only where its µm per px are needed and nothing else tells them.

    Parameters
    ----------
    explanation : Explanation
    patient : str
    modality : str, optional
        A bag; the only one where not given.
    failed : dict, optional
        Is given the reason of every slide that has no map, which then raises nothing.

    Returns
    -------
    dict of slide to SlideMap
        Empty for a patient without tiles. Scores, where the model has a main effect of the bag:

        - ``tile_risk``, ``contribution``, ``attention`` (the tile's share of the bag), as
          `tiles` has them, and ``tile_risk_smoothed``;
        - ``percentile`` of the tile's risk among all tiles of the patient;
        - ``cluster`` and ``cluster_risk``, the mean risk of the patient's tiles of that
          cluster;

        and for every interaction with the bag, named like its term, the tile's contribution to it
        with the partners at the patient's own values. A map whose model leaves all these terms out
        has no score and says why.

    Raises
    ------
    InputError
        When there is no such patient or bag, or it is not known where the tiles lie.
    SlideError
        When a slide is opened and cannot be read.
    """
    explained = explanation.explained
    name = bag_name(explained, modality)
    explained.row(patient)
    data = explained.cohort.modalities.get(name)
    if not isinstance(data, BagData) or patient not in data.patients:
        return {}
    scorer = _Scorer.of(explanation, patient, name)
    available = images_of_bag(explained.cohort, name)
    corners, maps, start = data.store.coords(patient), {}, 0
    for slide in data.store.slides_of(patient):
        rows = np.arange(start, start + slide.tiles)
        start += slide.tiles
        image = available.images.get(slide.slide_id)
        try:
            mpp = _mpp(slide, image, available.mpp.get(slide.slide_id))
            places = TilePlaces.of(slide, corners[rows], mpp)
            scores = scorer.scores(rows, places)
        except SurvfuseError as error:
            if failed is None:
                raise
            failed[slide.slide_id] = str(error)
            continue
        maps[slide.slide_id] = SlideMap(
            patient_id=patient,
            modality=name,
            slide_id=slide.slide_id,
            places=places,
            scores=scores,
            clusters=scorer.clusters(rows),
            mpp=mpp,
            image=None if image is None else image.path,
            why_no_image=available.why_absent(slide.slide_id),
            why_blank=scorer.why_blank,
            notes=scorer.notes,
        )
    return maps


@dataclass(frozen=True, eq=False)
class _Scorer:
    """Scores of all tiles of a patient, from which those of a slide are taken.

    Attributes
    ----------
    scores_of_all : tuple of Score
    own : DataFrame or None
        Tiles with the bag's main effect; None where the model leaves it out.
    why_blank : str
    notes : tuple of str
    """

    scores_of_all: tuple[Score, ...]
    own: pd.DataFrame | None
    why_blank: str
    notes: tuple[str, ...]

    @classmethod
    def of(cls, explanation: Explanation, patient: str, modality: str) -> _Scorer:
        """Compute every score of a patient's tiles."""
        explained = explanation.explained
        own, scores, why = None, [], ""
        notes: list[str] = []
        try:
            own = tiles(explained, patient, modality, removal=False)
        except InputError as error:
            why = str(error)
        else:
            scores += _own_scores(own, explanation)
            notes += BagTerm.of(explained, modality).notes
        for term in explanation.terms.columns[1:]:
            if modality in term_of(term) and "*" in term:
                pair = tiles(explained, patient, modality, term=term, removal=False)
                scores.append(_pair_score(term, pair, explanation))
        blank = "" if scores else why
        return cls(tuple(scores), own, blank, tuple(dict.fromkeys(notes)))

    def scores(self, rows: IntArray, places: TilePlaces) -> dict[str, Score]:
        """Scores of the tiles of one slide, by name."""
        chosen = {}
        for score in self.scores_of_all:
            chosen[score.name] = replace(score, values=score.values[rows])
            if score.name == "tile_risk":
                lattice = Lattice.of(places.corners, places.side)
                chosen["tile_risk_smoothed"] = replace(
                    score,
                    name="tile_risk_smoothed",
                    title="Tile risk, smoothed",
                    values=smoothed(score.values[rows], lattice),
                    says="; ".join(filter(None, (KERNEL, score.says))),
                )
        return chosen

    def clusters(self, rows: IntArray) -> IntArray | None:
        """Cluster of each tile of one slide."""
        if self.own is None or self.own["cluster"].isna().any():
            return None
        return self.own["cluster"].to_numpy(np.int64)[rows]


def _of_map(explanation: Explanation, level: str, modality: str) -> dict[str, Any]:
    """Whether a map of a bag is grey, and what is said of it."""
    grey, row = agreement_row(explanation, level, modality)
    return {"grey": grey, "says": (row or {}).get("says") or NOT_MEASURED}


def _own_scores(frame: pd.DataFrame, explanation: Explanation) -> list[Score]:
    """Scores of the bag's main effect."""
    modality = str(frame.attrs["modality"])
    of_map = _of_map(explanation, "tiles", modality)
    risk = frame["tile_risk"].to_numpy(np.float64)
    share = frame["share"].to_numpy(np.float64)
    added = frame["contribution"].to_numpy(np.float64)
    scores = [
        Score("tile_risk", "Tile risk", LOG_RISK, "diverging", risk, limit_of(risk), **of_map),
        Score(
            "contribution", "Contribution", LOG_RISK, "diverging", added, limit_of(added), **of_map
        ),
        Score(
            "attention", "Attention", "share of the bag", "sequential", share, limit_of(share),
            grey=of_map["grey"], says="how much a tile counts, not which way",
        ),
        Score(
            "percentile", "Percentile of the tile risk", "percentile", "diverging",
            percentiles(risk), 50.0, 50.0, **of_map,
        ),
    ]  # fmt: skip
    if len(frame) and not frame["cluster"].isna().any():
        number = frame["cluster"].to_numpy(np.float64)
        mean = frame.groupby("cluster")["tile_risk"].transform("mean").to_numpy()
        of_clusters = _of_map(explanation, "clusters", modality)
        scores += [
            Score("cluster", "Clusters of tiles", "cluster", "categories", number, 1.0),
            Score(
                "cluster_risk", "Mean risk of the cluster", LOG_RISK, "diverging",
                np.asarray(mean, np.float64), limit_of(risk), **of_clusters,
            ),
        ]  # fmt: skip
    return scores


def _pair_score(term: str, frame: pd.DataFrame, explanation: Explanation) -> Score:
    """Contribution of tiles to an interaction."""
    values = frame["contribution"].to_numpy(np.float64)
    title = f"Contribution to {term.replace('*', ' × ')}"
    measured = terms_by_agreement(explanation).get(term) or {}
    return Score(
        term,
        title,
        LOG_RISK,
        "diverging",
        values,
        limit_of(values),
        grey=term in grey_terms(explanation),
        says=measured.get("says") or NOT_MEASURED,
    )


def _mpp(
    slide: Slide,
    image: SlideImage | None,
    in_table: float | None,
) -> float | None:
    """µm per px of level 0: of the slide table, or what the feature file implies."""
    if in_table is not None:
        return in_table
    if slide.tile_um is not None and slide.patch_size_level0:
        return float(slide.tile_um / slide.patch_size_level0)
    if image is None or slide.coord_unit != "um":
        return None
    from survfuse.slides.opening import open_slide

    with open_slide(image.path) as reader:
        return reader.mpp
