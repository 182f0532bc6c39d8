"""`explain`: why a model gives each patient the risk that it gives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from survfuse._errors import InputError, listed
from survfuse.cohort.cohort import Cohort
from survfuse.estimator import Prediction, SurvivalFusion
from survfuse.explanations.agreement_tables import agreement_frame, check_frame
from survfuse.explanations.cluster_contributions import clusters
from survfuse.explanations.column_contributions import hazard_ratios, variables
from survfuse.explanations.excluded import alone, excluded
from survfuse.explanations.explained import FLAT, Explained, is_flat
from survfuse.explanations.figures import plot_terms
from survfuse.explanations.gene_sets import gene_sets, in_gene_sets
from survfuse.explanations.gene_weights import genes, genes_of
from survfuse.explanations.input_figures import (
    plot_clusters,
    plot_genes,
    plot_variables,
)
from survfuse.explanations.logits import logits
from survfuse.explanations.map_figure import plot_map
from survfuse.explanations.points import cloglog, points
from survfuse.explanations.risk_range import LEVEL, risk_range
from survfuse.explanations.shares import shares
from survfuse.explanations.slide_maps import slide_maps
from survfuse.explanations.summary_html import summary_html
from survfuse.explanations.terms import error_frame, spread_frame, term_frame
from survfuse.explanations.tile_gallery import (
    EXAMPLES,
    PICTURE_PX,
    cluster_examples,
    cluster_pictures,
    extreme_tiles,
    tile_pictures,
)
from survfuse.explanations.tile_tables import slides_of, tiles
from survfuse.maps import SlideMap


class Explanation:
    """Terms of the log-risk of some patients, and what they are made of.

    Every table is computed when it is first asked for. Log-risks compare with the training
    cohort: a term of 0 is that of its average patient (functional ANOVA under the product over
    modalities of the training patients' distributions).
    """

    def __init__(self, explained: Explained) -> None:
        self.explained = explained

    def __repr__(self) -> str:
        names = ", ".join(self.terms.columns[1:])
        return f"Explanation({len(self.patients)} patients; terms: {names})"

    def _repr_html_(self) -> str:
        return summary_html(self)

    plot_terms = plot_terms
    plot_variables = plot_variables
    plot_genes = plot_genes
    plot_clusters = plot_clusters
    plot_map = plot_map

    @property
    def patients(self) -> tuple[str, ...]:
        """The patients, in order."""
        return self.explained.ids

    @property
    def prediction(self) -> Prediction:
        """What is explained."""
        return self.explained.prediction

    @property
    def notes(self) -> tuple[str, ...]:
        """What cannot be explained, and why."""
        return self.explained.notes

    @cached_property
    def terms(self) -> pd.DataFrame:
        """Terms of each patient's log-risk: a row adds up to it.

        Returns
        -------
        DataFrame
            Index `patient_id`; columns `constant`, a main effect per modality, and interactions as
            ``a*b`` and ``a*b*c``.
        """
        return term_frame(self.explained)

    @cached_property
    def errors(self) -> pd.DataFrame:
        """Standard error of each term that is an average over draws; as `terms`, 0 where exact."""
        return error_frame(self.explained)

    @cached_property
    def spread(self) -> pd.DataFrame:
        """Standard deviation of each term over the members of the model; as `terms`."""
        return spread_frame(self.explained)

    @cached_property
    def shapley(self) -> pd.DataFrame:
        """Shapley value of each modality: its main effect and its part of each interaction.

        Returns
        -------
        DataFrame
            Index `patient_id`, a column per modality; with the constant a row adds up to the
            log-risk.
        """
        return term_frame(self.explained, shapley=True)

    @cached_property
    def shares(self) -> pd.DataFrame:
        """Share of the variance of the log-risk that each term has; see `explanations.shares`."""
        return shares(self.explained)

    @cached_property
    def excluded(self) -> pd.DataFrame:
        """Terms that the model leaves out, and why; see `explanations.excluded`."""
        return excluded(self.explained)

    @cached_property
    def alone(self) -> pd.DataFrame:
        """What left-out modalities would say by themselves: not part of any prediction."""
        return alone(self.explained)

    @cached_property
    def variables(self) -> pd.DataFrame:
        """Contribution of each column of each table; see `explanations.column_contributions`."""
        return variables(self.explained)

    @cached_property
    def hazard_ratios(self) -> pd.DataFrame:
        """Hazard ratio of each column in its own unit; see `explanations.column_contributions`."""
        return hazard_ratios(self.explained)

    @cached_property
    def genes(self) -> pd.DataFrame:
        """Weight of each gene; see `explanations.gene_weights`."""
        return genes(self.explained)

    @cached_property
    def gene_sets(self) -> pd.DataFrame:
        """Weight of each gene set, of models that read some; see `explanations.gene_sets`."""
        return gene_sets(self.explained)

    def genes_of(self, patient: str) -> pd.DataFrame:
        """Contribution of each gene to a patient's log-risk; see `explanations.gene_weights`."""
        return genes_of(self.explained, patient)

    def in_gene_sets(self, path: Path | str) -> pd.DataFrame:
        """Contributions of genes added up over the gene sets of a GMT file, of any model."""
        return in_gene_sets(self.explained, path)

    @cached_property
    def clusters(self) -> pd.DataFrame:
        """Contribution of each cluster of tiles to each patient's log-risk."""
        return clusters(self.explained)

    def tiles(
        self,
        patient: str,
        modality: str | None = None,
        *,
        term: str | None = None,
        removal: bool = True,
    ) -> pd.DataFrame:
        """Risk and contribution of each tile of a patient; see `explanations.tile_tables`."""
        return tiles(self.explained, patient, modality, term=term, removal=removal)

    def slides(
        self,
        patient: str,
        modality: str | None = None,
        *,
        term: str | None = None,
    ) -> pd.DataFrame:
        """Contribution of each slide of a patient; see `explanations.tile_tables`."""
        return slides_of(self.explained, patient, modality, term=term)

    def tile_examples(
        self,
        modality: str | None = None,
        *,
        count: int = EXAMPLES,
    ) -> pd.DataFrame:
        """Tiles nearest to the centre of each cluster; see `explanations.tile_gallery`."""
        return cluster_examples(self.explained, modality, count=count)

    def extreme_tiles(
        self,
        patient: str,
        modality: str | None = None,
        *,
        term: str | None = None,
        count: int = EXAMPLES,
    ) -> pd.DataFrame:
        """Tiles of a patient with the highest and lowest risk; see `explanations.tile_gallery`."""
        return extreme_tiles(self.explained, patient, modality, term=term, count=count)

    def slide_maps(
        self,
        patient: str,
        modality: str | None = None,
        *,
        failed: dict[str, str] | None = None,
    ) -> dict[str, SlideMap]:
        """Maps of the slides of a patient, by slide; see `explanations.slide_maps`."""
        return slide_maps(self, patient, modality, failed=failed)

    def tile_pictures(self, examples: pd.DataFrame) -> list[bytes]:
        """Pixels of example tiles as PNG; see `explanations.tile_gallery`."""
        return tile_pictures(self.explained.cohort, examples)

    def cluster_pictures(
        self,
        modality: str | None = None,
        *,
        count: int = EXAMPLES,
        side: int = PICTURE_PX,
    ) -> dict[int, list[bytes]]:
        """Pictures of each cluster of tiles, as PNG; see `explanations.tile_gallery`."""
        return cluster_pictures(self.explained, modality, count=count, side=side)

    def points(self, horizon: float) -> pd.DataFrame:
        """Percentage points of the risk at a horizon by modality; see `explanations.points`."""
        return points(self.explained, horizon)

    def risk_range(self, horizon: float, *, level: float = LEVEL) -> pd.DataFrame:
        """Risks that models of other cohorts of this size would give; see `risk_range`."""
        return risk_range(self.explained, horizon, level=level)

    @cached_property
    def agreement(self) -> pd.DataFrame:
        """Whether another cohort would give the same; see `explanations.agreement_tables`.

        Returns
        -------
        DataFrame
            `level, modality, name, agreement, low, high, expected, splits, status, says`; no row
            where the model was trained without measuring it.
        """
        return agreement_frame(self.explained.fitted.agreement)

    def check(self) -> pd.DataFrame:
        """Check SRV025: say of each thing that is shown whether it may be read.

        Returns
        -------
        DataFrame
            `check, level, modality, name, status` ("pass", "grey", "not used" or "not measured")
            and `reason`.
        """
        fitted = self.explained.fitted
        unread = FLAT if is_flat(fitted) else ""
        return check_frame(fitted.agreement, self.terms.columns[1:], unread)

    def cloglog(self, horizon: float) -> pd.DataFrame:
        """Terms of ``log(−log S(horizon))``, which add up exactly; see `explanations.points`."""
        return cloglog(self.explained, horizon)

    @cached_property
    def logits(self) -> pd.DataFrame:
        """Terms of the hazard of each time bin, of head ``discrete``; see `explanations.logits`."""
        return logits(self.explained)

    @property
    def largest_difference(self) -> float:
        """Largest difference between the sum of a patient's terms and the predicted log-risk."""
        totals = self.terms.sum(axis=1).to_numpy()
        return float(np.abs(totals - self.prediction.log_risk).max())


def explain(
    model: SurvivalFusion,
    cohort: Cohort,
    patients: Sequence[str] | None = None,
    *,
    reference: Cohort | None = None,
) -> Explanation:
    """Explain the log-risks of some patients.

    Parameters
    ----------
    model : SurvivalFusion
        Fitted or loaded.
    cohort : Cohort
        No outcome is needed or read.
    patients : sequence of str, optional
        Everyone in the cohort where not given.
    reference : Cohort
        Patients to compare with, where the model does not hold what it reads of its training
        patients (bundles of older versions; the fusion ``coattention``), or other ones are wanted.

    Returns
    -------
    Explanation

    Raises
    ------
    InputError
        For no patient, or patients that are no list of ids.
    ConfigError
        For a model that is not fitted, that cannot be explained, or whose modalities have the
        name of another column.
    TransformError
        Data that do not fit the training cohort.
    """
    if not isinstance(model, SurvivalFusion):
        raise InputError(f"model: expected a SurvivalFusion, got {_kind(model)}")
    if not isinstance(cohort, Cohort):
        raise InputError(f"cohort: expected a Cohort, got {_kind(cohort)}")
    if not isinstance(reference, Cohort | None):
        raise InputError(f"reference: expected a Cohort, got {_kind(reference)}")
    fitted = model.need_fitted()
    ids = _ids(cohort.patients if patients is None else patients)
    return Explanation(Explained.of(fitted, cohort, ids, reference))


def _kind(given: object) -> str:
    return type(given).__name__


def _ids(patients: Iterable[str]) -> tuple[str, ...]:
    """Check ids: some, each a text, each once."""
    if isinstance(patients, str | bytes) or not isinstance(patients, Iterable):
        raise InputError(f"patients: expected a list of ids, got {patients!r}")
    ids = []
    for one in patients:
        if not isinstance(one, str):
            raise InputError(f"patients: expected ids that are text, got {one!r}")
        ids.append(str(one))  # also of NumPy's texts
    if not ids:
        raise InputError("no patient to explain")
    repeated = sorted(one for one, count in Counter(ids).items() if count > 1)
    if repeated:
        raise InputError(f"patients named twice: {listed(repeated)}")
    return tuple(ids)
