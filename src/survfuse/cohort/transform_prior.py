"""A prior into a vector of one feature: its risk, z-scored by the training patients."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from survfuse._errors import InputError, TransformError, listed
from survfuse._storage import stored_array, stored_texts
from survfuse._types import AnyArray, Arrays, FloatArray, State
from survfuse.cohort.gene_choice import Genes, respelled, usable_genes
from survfuse.cohort.log_scale import LogScale, log_scale_of, measured
from survfuse.cohort.modalities import ExpressionData, PriorData
from survfuse.cohort.transform_tables import Remark, Vectors
from survfuse.readers.genes import GENE_IDS, match_genes
from survfuse.readers.priors import (
    USUAL_SLOPE,
    USUAL_SPREAD,
    Prior,
    barcode_hashes,
)

FARTHEST = 5.0
"""Deviations from the training mean to which a risk is limited."""
MOMENTS = ("mean", "sd", "limited_mean", "limited_sd")


@dataclass(frozen=True, eq=False)
class GeneRisk:
    """A weighted sum of genes, each z-scored on a log scale by the training patients.

    Z-scores are limited to `prior.limit` deviations, where there is a limit, and z-scored again,
    as those that the prior was fitted on.

    Attributes
    ----------
    prior : Prior
        Weights of the genes that the training cohort has, under its names.
    modality : str
        Expression modality that the genes are read from.
    unit : str
        Scale of its values in training.
    mean, sd : array, (genes,) float64
        Of the known training values on the log scale. A gene that is missing takes the mean.
    limited_mean, limited_sd : array, (genes,) float64
        Of the limited training z-scores; 0 and 1 where there is no limit.
    min_coverage : float
        Smallest share of the squared weights whose genes a patient must have.
    scale : LogScale or None
        How values of a linear unit are taken to a log scale first.
    """

    prior: Prior
    modality: str
    unit: str
    mean: FloatArray
    sd: FloatArray
    limited_mean: FloatArray
    limited_sd: FloatArray
    min_coverage: float
    scale: LogScale | None = None

    @classmethod
    def fit(
        cls,
        data: PriorData,
        patients: Sequence[str],
        min_coverage: float,
        notes: list[str],
    ) -> tuple[GeneRisk, FloatArray]:
        """Learn from the training patients, who have a row; also their risks, (patients,).

        Raises
        ------
        TransformError
            When the matrix has no gene of the prior that varies.
        """
        whole, source = data.prior, data.source
        assert whole is not None
        assert isinstance(source, ExpressionData)
        scale = log_scale_of(source, patients)
        genes, weights = _weighted_genes(data, whole, source, notes)
        values = _log_values(source, patients, list(genes), scale)[0]
        usable = usable_genes(genes, values, data.name, notes, keep_constant=False)
        genes, values, weights = genes[usable], values[:, usable], weights[usable]
        share = float((weights**2).sum() / (whole.weights**2).sum())
        notes.append(
            f"{data.name}: {len(genes)} of {len(whole.genes)} genes of prior {whole.name!r}, "
            f"which hold {share:.0%} of its squared weights",
        )
        own = replace(
            whole,
            genes=tuple(map(str, genes)),
            weights=weights,
            errors=None,
            # of a risk that lacks genes, less is expected
            slope=whole.slope * share**0.5,
            card={},
        )
        mean, sd = _moments(values)
        limited_mean, limited_sd = np.zeros_like(mean), np.ones_like(sd)
        if own.limit is not None:
            limited = np.clip((values - mean) / sd, -own.limit, own.limit)
            limited_mean, limited_sd = _moments(limited)
        fitted = cls(
            own,
            source.name,
            source.expression.unit,
            mean,
            sd,
            limited_mean,
            limited_sd,
            min_coverage,
            scale,
        )
        return fitted, fitted._sum(values)

    def check(self, name: str, data: ExpressionData) -> None:
        """Refuse another unit or naming of genes than in training."""
        for what, trained, here in (
            ("unit", self.unit, data.expression.unit),
            ("gene ids", self.prior.gene_ids, data.expression.gene_ids),
        ):
            if trained != here:
                raise TransformError(
                    f"{name}: trained on expression of {what} {trained!r}, {data.name} of this "
                    f"cohort has {here!r}; convert it to {trained!r}",
                )

    def risk(
        self,
        data: ExpressionData,
        patients: Sequence[str],
    ) -> tuple[FloatArray, FloatArray, str]:
        """Risk and coverage of each patient, (patients,), and a note on library sizes."""
        values, note = _log_values(data, patients, self.prior.genes, self.scale)
        squares = self.prior.weights**2
        coverage = ~np.isnan(values) @ squares / squares.sum()
        return self._sum(values), coverage, note

    def _sum(self, values: FloatArray) -> FloatArray:
        """Weighted sum of z-scores of values on the log scale, (patients, genes)."""
        z_scores = (values - self.mean) / self.sd
        if self.prior.limit is not None:
            np.clip(z_scores, -self.prior.limit, self.prior.limit, out=z_scores)
        filled = np.where(np.isnan(z_scores), self.limited_mean, z_scores)
        steps = self.prior.weights / self.limited_sd
        return filled @ steps - self.limited_mean @ steps

    def state(self) -> State:
        """Everything learned: JSON and arrays."""
        own = self.prior
        state = {
            "prior": own.name,
            "modality": self.modality,
            "unit": self.unit,
            "gene_ids": own.gene_ids,
            "genes": list(own.genes),
            "patients": sorted(own.patients),
            "min_coverage": self.min_coverage,
            "limit": own.limit,
        }
        arrays: Arrays = {"weights": own.weights}
        arrays |= {part: getattr(self, part) for part in MOMENTS}
        if self.scale is not None:
            state["log_scale"], library = self.scale.state()
            arrays |= library
        return state, arrays

    @classmethod
    def from_state(
        cls,
        state: Mapping[str, Any],
        arrays: Mapping[str, AnyArray],
        slope: float,
        slope_spread: float,
    ) -> GeneRisk:
        """Make it again from :meth:`state`.

        Raises
        ------
        InputError
            When texts and arrays do not fit each other.
        """
        plain = [state[key] for key in ("prior", "modality", "unit", "gene_ids")]
        name, modality, unit, gene_ids = stored_texts(plain, "names")
        genes = stored_texts(state["genes"], "genes")
        if len(set(genes)) < len(genes) or gene_ids not in GENE_IDS:
            raise InputError(f"expected genes, each once, by {' or '.join(GENE_IDS)}")
        weights = stored_array(arrays, "weights", (len(genes),))
        moments = {}
        for part in MOMENTS:
            moments[part] = stored_array(arrays, part, (len(genes),))
        deviations = np.stack([moments["sd"], moments["limited_sd"]])
        least = _stored_number(state, "min_coverage")
        limit = None if state["limit"] is None else _stored_number(state, "limit")
        if not (deviations > 0).all() or not weights.any() or not 0 <= least <= 1:
            raise InputError(
                "expected deviations above 0, a weight other than 0 and min_coverage as a share",
            )
        if limit is not None and not limit > 0:
            raise InputError(f"limit: expected a number above 0 or null, got {limit}")
        scale = None
        if "log_scale" in state:
            scale = LogScale.from_state(unit, state["log_scale"], arrays)
        prior = Prior(
            name,
            gene_ids,
            genes,
            weights,
            slope=slope,
            slope_spread=slope_spread,
            patients=frozenset(stored_texts(state["patients"], "patients")),
            limit=limit,
        )
        return cls(
            prior,
            modality,
            unit,
            **moments,
            min_coverage=least,
            scale=scale,
        )


@dataclass(frozen=True, eq=False)
class PriorTransform:
    """The risk of a prior into one feature of training mean 0 and deviation 1.

    Attributes
    ----------
    name : str
    mean, sd : float
        Of the risk of the training patients.
    slope, slope_spread : float
        Log hazard ratio per deviation of the risk that is expected in a new cohort, less where
        genes are missing, and its standard deviation between cohorts.
    genes : GeneRisk or None
        How the risk is computed; None where a column holds it.
    notes : tuple of str
    """

    name: str
    mean: float
    sd: float
    slope: float = USUAL_SLOPE
    slope_spread: float = USUAL_SPREAD
    genes: GeneRisk | None = None
    notes: tuple[str, ...] = ()
    kind: ClassVar[str] = "prior"
    features: ClassVar[tuple[str, ...]] = ("risk",)

    @classmethod
    def fit(
        cls,
        data: PriorData,
        patients: Sequence[str],
        min_coverage: float,
    ) -> PriorTransform:
        """Learn from the training patients that have the risk.

        Parameters
        ----------
        data : PriorData
        patients : sequence of str
        min_coverage : float
            Smallest share of the squared weights whose genes a patient must have.

        Raises
        ------
        TransformError
            When nothing varies among them.
        """
        notes: list[str] = []
        slope, spread, genes = USUAL_SLOPE, USUAL_SPREAD, None
        if data.prior is not None:
            genes, risk = GeneRisk.fit(data, patients, min_coverage, notes)
            slope, spread = genes.prior.slope, genes.prior.slope_spread
        else:
            risk = data.column_values(patients)
        if not np.ptp(risk) > 0:
            raise TransformError(
                f"{data.name}: the risk does not vary among the {len(patients)} training "
                "patients; leave this prior out",
            )
        mean, sd = float(risk.mean()), float(risk.std())
        return cls(data.name, mean, sd, slope, spread, genes, tuple(notes))

    def check(self, data: PriorData) -> None:
        """Refuse a risk that is made otherwise than in training.

        Raises
        ------
        TransformError
            Names what was expected and what came.
        """
        if self.genes is None:
            if data.prior is not None:
                raise TransformError(
                    f"{self.name}: was a column in training, here it is prior {data.prior.name!r} "
                    "of genes; give the column, or leave it out",
                )
            return
        if not isinstance(data.source, ExpressionData):
            raise TransformError(
                f"{self.name}: was prior {self.genes.prior.name!r} of genes in training, here it "
                f"is column {listed(map(repr, data.columns))}; leave it out: the model holds the "
                "weights and reads the expression modality",
            )
        self.genes.check(self.name, data.source)

    def apply(
        self,
        data: PriorData,
        patients: Sequence[str],
    ) -> Vectors:
        """Risks of patients that have one.

        Returns
        -------
        values : array, (patients, 1) float32
        coverage : array, (patients,), or None
            Share of the squared weights whose genes each patient has; None without genes.
        remarks : list of rows of ``REPORT_COLUMNS``

        Raises
        ------
        TransformError
            Names the patients whose coverage is below the smallest allowed.
        """
        risk, coverage, remarks = self._risk(data, patients)
        known = self.learned_from(data, patients)
        if known:
            detail = (
                f"learned from {len(known)} of these patients ({listed(known)}): what is predicted "
                "for them fits better than it would for new patients and must not be scored"
            )
            remarks.append(("", self.name, "", "in training of the prior", detail))
        if self.genes is not None and data.prior is not None:
            remarks += self._other_weights(data.prior, self.genes.prior)
        z_scores = (risk - self.mean) / self.sd
        for row in np.flatnonzero(np.abs(z_scores) > FARTHEST).tolist():
            detail = f"{z_scores[row]:.3g} deviations; limited to {FARTHEST:g}"
            who = str(patients[row])
            remarks.append((who, self.name, "", "far from training", detail))
        limited = np.clip(z_scores, -FARTHEST, FARTHEST).astype(np.float32)
        return limited[:, None], coverage, remarks

    def learned_from(
        self,
        data: PriorData,
        patients: Iterable[str],
    ) -> list[str]:
        """Patients that the risk was learned from: by the table, or the barcodes of the prior.

        Whatever prior the cohort names, the weights of training are used.
        """
        known = set(data.in_training)
        if self.genes is not None:
            for patient, digest in barcode_hashes(data.patients).items():
                if digest in self.genes.prior.patients:
                    known.add(patient)
        return [patient for patient in patients if patient in known]

    def _other_weights(self, named: Prior, own: Prior) -> list[Remark]:
        """Remark that the prior which a cohort names has other weights than that of training."""
        places, _ = match_genes(own.genes, named.genes, own.gene_ids)
        weights = named.weights[np.maximum(places, 0)]
        if (places >= 0).all() and np.array_equal(weights, own.weights):
            return []
        detail = f"prior {named.name!r} of this cohort has others; those of training are used"
        return [("", self.name, "", "weights", detail)]

    def _risk(
        self,
        data: PriorData,
        patients: Sequence[str],
    ) -> tuple[FloatArray, FloatArray | None, list[Remark]]:
        source, own = data.source, self.genes
        if own is None:
            return data.column_values(patients), None, []
        assert isinstance(source, ExpressionData)
        remarks: list[Remark] = []
        names = source.expression.genes
        _, spellings = match_genes(own.prior.genes, names, own.prior.gene_ids)
        if spellings:
            remarks.append(("", self.name, "", "gene names", respelled(spellings)))
        risk, coverage, note = own.risk(source, patients)
        if note:
            remarks.append(("", self.name, "", "library size", note))
        low = np.flatnonzero(coverage < own.min_coverage).tolist()
        if low:
            shares = (f"{patients[row]} ({coverage[row]:.1%})" for row in low)
            raise TransformError(
                f"{self.name}: {len(low)} patient(s) have too few of the {len(own.prior.genes)} "
                f"genes that training had ({listed(own.prior.genes, 3)}), by their squared "
                f"weights: {listed(shares, 10)}; at least {own.min_coverage:.0%} are needed "
                f"(expression_min_coverage); genes of this cohort are called {listed(names, 3)}",
            )
        for row in np.flatnonzero(coverage < 1 - 1e-9).tolist():
            detail = (
                f"{1 - coverage[row]:.1%} of the squared weights; training means used"
            )
            remarks.append((str(patients[row]), self.name, "", "missing genes", detail))
        return risk, coverage, remarks

    def state(self) -> State:
        """Everything learned: JSON and arrays."""
        state: dict[str, Any] = {
            "name": self.name,
            "mean": self.mean,
            "sd": self.sd,
            "slope": self.slope,
            "slope_spread": self.slope_spread,
            "notes": list(self.notes),
        }
        if self.genes is None:
            return state, {}
        state["genes"], arrays = self.genes.state()
        return state, arrays

    @classmethod
    def from_state(
        cls,
        state: dict[str, Any],
        arrays: Arrays,
    ) -> PriorTransform:
        """Make the transform again from :meth:`state`.

        Raises
        ------
        InputError
            When a number is none, or texts and arrays do not fit each other.
        """
        (name,) = stored_texts([state["name"]], "name")
        mean, sd, slope, spread = (
            _stored_number(state, key)
            for key in ("mean", "sd", "slope", "slope_spread")
        )
        if not min(sd, slope, spread) > 0:
            raise InputError("sd, slope and slope_spread: expected numbers above 0")
        genes = None
        if "genes" in state:
            genes = GeneRisk.from_state(state["genes"], arrays, slope, spread)
        notes = stored_texts(state["notes"], "notes")
        return cls(name, mean, sd, slope, spread, genes, notes)


def _weighted_genes(
    data: PriorData,
    prior: Prior,
    source: ExpressionData,
    notes: list[str],
) -> tuple[Genes, FloatArray]:
    """Genes with a weight that a matrix has, under its names, and their weights."""
    present = np.flatnonzero((data.places >= 0) & (prior.weights != 0))
    genes = np.array(source.expression.genes, dtype=object)[data.places[present]]
    wanted = np.array(prior.genes, dtype=object)[present]
    pairs = zip(wanted.tolist(), genes.tolist(), strict=True)
    spellings = [(name, here) for name, here in pairs if name != here]
    if spellings:
        notes.append(f"{data.name}: {respelled(spellings)}")
    return genes, prior.weights[present]


def _moments(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean and deviation of the known values of each gene, (genes,)."""
    if np.isnan(values).any():
        return np.nanmean(values, axis=0), np.nanstd(values, axis=0)
    return values.mean(axis=0), values.std(axis=0)


def _log_values(
    data: ExpressionData,
    patients: Sequence[str],
    genes: Sequence[str],
    scale: LogScale | None,
) -> tuple[FloatArray, str]:
    """Values of genes on the log scale, (patients, genes), NaN where missing; and a note."""
    if scale is None:
        return measured(data, patients, genes), ""
    return scale.values(data, patients, genes)


def _stored_number(state: Mapping[str, Any], key: str) -> float:
    value: Any = state.get(key)
    if type(value) not in (int, float) or not np.isfinite(value):
        raise InputError(f"{key}: expected a finite number, got {value!r}")
    return float(value)
