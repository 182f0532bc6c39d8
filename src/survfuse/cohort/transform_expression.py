"""Expression into a vector: chosen genes, scale, gene sets or components."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from scipy import sparse

from survfuse._errors import TransformError, listed
from survfuse._storage import stored_array, stored_texts
from survfuse._types import Arrays, BoolArray, Float32Array, FloatArray, State
from survfuse.cohort.gene_choice import (
    listed_genes,
    most_variable,
    read_gmt,
    respelled,
    usable_genes,
)
from survfuse.cohort.log_scale import LogScale, fit_scale, measured
from survfuse.cohort.modalities import ExpressionData
from survfuse.cohort.principal_components import principal_axes
from survfuse.cohort.tail_scale import TailScale
from survfuse.cohort.transform_tables import Remark
from survfuse.config import FitConfig
from survfuse.readers.genes import match_genes

SMALLEST_SET = 5  # measured genes
MANY_FAR = 0.05  # of the genes of a patient, that are worth a remark
PLAIN = ("name", "unit", "gene_ids", "center", "min_coverage")
TEXTS = ("genes", "features", "notes", "set_names")
SPARSE = ("data", "indices", "indptr")


@dataclass(frozen=True, eq=False)
class ExpressionTransform:
    """Genes into a vector.

    Attributes
    ----------
    name, unit, gene_ids : str
        The modality, and the scale and gene naming of training.
    genes : tuple of str
        Genes read, in the order of the training file.
    mean, sd : array, (genes,) float64
        Of the known training values; a gene that is missing takes the mean. `sd` is
        ones where the declared scale is kept.
    center : bool
        Whether `mean` is subtracted (it is not where the declared scale is kept).
    sets : sparse array, (gene sets, genes), or None
        Rows average the z-scores of a set's genes.
    set_names : tuple of str
        Names of the sets where a network weighs their genes; what comes out are then the genes.
    scale : LogScale or None
        How values of a linear unit are taken to a log scale first; None leaves them as they are.
    clip : float or None
        Z-scores are limited to this many deviations on either side, so that no single gene
        decides what is said of a patient; None where they are not, and where there are none.
    tails : TailScale or None
        How published z-scores are taken to a scale without long tails, before `mean` and `sd`;
        None where they are not standardised, and in bundles of older versions.
    components : array, (components, genes) float64, or None
        Principal axes over `score_sd`, so that the first component has deviation 1 and
        the others keep their smaller share of the variance.
    features : tuple of str
        Names of what comes out.
    min_coverage : float
        Smallest share of `genes` that a patient must have.
    """

    name: str
    unit: str
    gene_ids: str
    genes: tuple[str, ...]
    mean: FloatArray
    sd: FloatArray
    center: bool
    features: tuple[str, ...]
    min_coverage: float
    sets: sparse.csr_array | None = None
    components: FloatArray | None = None
    notes: tuple[str, ...] = ()
    set_names: tuple[str, ...] = ()
    scale: LogScale | None = None
    clip: float | None = None
    tails: TailScale | None = None
    kind: ClassVar[str] = "expression"

    @classmethod
    def fit(
        cls,
        data: ExpressionData,
        patients: Sequence[str],
        config: FitConfig,
    ) -> ExpressionTransform:
        """Learn from the training patients that have a row.

        Raises
        ------
        TransformError
            When no gene can be used, or a gene list or gene-set file fits none.
        """
        notes: list[str] = []
        has_sets = config.inputs.expression_gene_sets is not None
        has_components = config.inputs.expression_components is not None
        z_scores = config.inputs.expression_scaling == "standard" or has_sets
        genes = np.array(data.expression.genes, dtype=object)
        scale, values = fit_scale(data, patients, config, notes)
        if config.inputs.expression_genes is not None:
            places = listed_genes(genes, config.inputs.expression_genes, data, notes)
            genes, values = genes[places], values[:, places]
        as_they_are = not z_scores and not has_components
        places = usable_genes(
            genes,
            values,
            data.name,
            notes,
            keep_constant=as_they_are,
        )
        if len(places) < len(genes):
            genes, values = genes[places], values[:, places]
        if (
            config.inputs.expression_top is not None
            and config.inputs.expression_top < len(genes)
        ):
            places = most_variable(genes, values, config.inputs.expression_top)
            genes, values = genes[places], values[:, places]
        names = tuple(map(str, genes))
        tails = None
        if z_scores and data.expression.unit == "zscore":
            tails = TailScale.fit(values)
        own = values if tails is None else tails.apply(values)
        fitted = cls(
            data.name,
            data.expression.unit,
            data.expression.gene_ids,
            names,
            mean=np.nanmean(own, axis=0),
            sd=np.nanstd(own, axis=0) if z_scores else np.ones(len(genes)),
            center=z_scores or has_components,
            features=names,
            min_coverage=config.inputs.expression_min_coverage,
            scale=scale,
            clip=config.inputs.expression_clip if z_scores else None,
            tails=tails,
        )
        if config.inputs.expression_gene_sets is not None:
            fitted = fitted._with_sets(config.inputs.expression_gene_sets, notes)
            if config.network.expression_encoder == "gene_set":
                fitted = fitted._weighed()
        elif config.inputs.expression_components is not None:
            wanted = config.inputs.expression_components
            fitted = fitted._with_components(values, wanted, notes)
        return replace(fitted, notes=tuple(notes))

    def _with_sets(
        self,
        path: Path,
        notes: list[str],
    ) -> ExpressionTransform:
        """Average the z-scores of the genes of each set of a file."""
        sets = read_gmt(path)
        if not sets:
            raise TransformError(
                f"{path}: holds no gene set; expected lines of name, description and genes",
            )
        named = tuple(dict.fromkeys(itertools.chain.from_iterable(sets.values())))
        places, spellings = match_genes(named, self.genes, self.gene_ids)
        if spellings:
            notes.append(f"{self.name}: {respelled(spellings)} ({path.name})")
        place_of = dict(zip(named, places, strict=True))
        names, small, rows = [], [], []
        for name, genes in sets.items():
            members = np.unique([place_of[gene] for gene in genes])
            members = members[members >= 0]
            if len(members) < SMALLEST_SET:
                small.append(name)
                continue
            row = np.zeros(len(self.genes))
            row[members] = 1 / len(members)
            names.append(name)
            rows.append(sparse.csr_array(row[None]))
        if small:
            notes.append(
                f"{self.name}: gene sets with under {SMALLEST_SET} measured genes dropped: "
                f"{listed(small, 20)}",
            )
        if not names:
            raise TransformError(
                f"{path}: none of its gene sets has {SMALLEST_SET} genes among the "
                f"{len(self.genes)} usable ones ({listed(self.genes, 3)}); are both "
                f"{self.gene_ids} ids?",
            )
        weights = sparse.csr_array(sparse.vstack(rows))
        return replace(
            self,
            sets=weights,
            features=tuple(names),
        )

    def _weighed(self) -> ExpressionTransform:
        """Hand over the genes that any set has, and leave it to a network to weigh them."""
        assert self.sets is not None
        read = np.flatnonzero(self.sets.sum(axis=0) > 0)
        genes = tuple(self.genes[place] for place in read)
        return replace(
            self,
            genes=genes,
            features=genes,
            tails=self.tails
            and TailScale(self.tails.middle[read], self.tails.spread[read]),
            mean=self.mean[read],
            sd=self.sd[read],
            sets=self.sets[:, read],
            set_names=self.features,
        )

    @property
    def members(self) -> tuple[tuple[int, ...], ...]:
        """Places in `features` of each set's genes, where a network weighs them; else empty."""
        if self.sets is None or not self.set_names:
            return ()
        members = np.split(self.sets.indices, self.sets.indptr[1:-1])
        return tuple(tuple(sorted(genes.tolist())) for genes in members)

    def _with_components(
        self,
        values: FloatArray,
        wanted: int,
        notes: list[str],
    ) -> ExpressionTransform:
        most = min(wanted, max(len(values) - 1, 1))
        axes, deviations = principal_axes(self._scaled(values), most)
        count = len(axes)
        if count == 0:
            raise TransformError(
                f"{self.name}: its {len(self.genes)} genes do not differ between training patients",
            )
        if count < wanted:
            notes.append(
                f"{self.name}: {count} components, not {wanted}: {len(values)} training patients "
                "give no more",
            )
        names = tuple(f"component_{index + 1}" for index in range(count))
        return replace(
            self,
            components=axes / deviations[0],
            features=names,
        )

    def check(self, data: ExpressionData) -> None:
        """Refuse another scale or naming of genes.

        Raises
        ------
        TransformError
            Names what was expected and what came.
        """
        for what, trained, here in (
            ("unit", self.unit, data.expression.unit),
            ("gene ids", self.gene_ids, data.expression.gene_ids),
        ):
            if trained != here:
                raise TransformError(
                    f"{self.name}: trained on {what} {trained!r}, this cohort has {here!r}; "
                    f"convert it to {trained!r}",
                )

    def apply(
        self,
        data: ExpressionData,
        patients: Sequence[str],
    ) -> tuple[Float32Array, FloatArray, list[Remark]]:
        """Vectors of patients that have a row.

        Returns
        -------
        values : array, (patients, features) float32
        coverage : array, (patients,)
            Share of the training genes that each patient has.
        remarks : list of rows of ``REPORT_COLUMNS``

        Raises
        ------
        TransformError
            Names the patients whose coverage is below the smallest allowed.
        """
        remarks: list[Remark] = []
        _, spellings = match_genes(self.genes, data.expression.genes, self.gene_ids)
        if spellings:
            remarks.append(("", self.name, "", "gene names", respelled(spellings)))
        values, note = self._values(data, patients)
        if note:
            remarks.append(("", self.name, "", "library size", note))
        known = ~np.isnan(values)
        coverage = known.mean(axis=1)
        if (coverage < self.min_coverage).any():
            raise self._too_few_genes(data, patients, known)
        lacking = len(self.genes) - known.sum(axis=1)
        for row in np.flatnonzero(lacking).tolist():
            detail = f"{lacking[row]} of {len(self.genes)} genes; training means used"
            remark = (str(patients[row]), self.name, "", "missing genes", detail)
            remarks.append(remark)
        remarks += self._far_remarks(values, patients)
        vector = self.of_z_scores(self._scaled(values))
        return vector.astype(np.float32), coverage, remarks

    def z_scores(
        self,
        data: ExpressionData,
        patients: Sequence[str],
    ) -> FloatArray:
        """What features are made from, (patients, genes): values as scaled and limited.

        A missing gene is the training mean: 0, where the mean is subtracted.
        """
        return self._scaled(self._values(data, patients)[0])

    def of_z_scores(self, z_scores: FloatArray) -> FloatArray:
        """Features (patients, features) of z-scores (patients, genes), a linear map."""
        if self.sets is not None and not self.set_names:
            return np.asarray((self.sets @ z_scores.T).T)
        if self.components is not None:
            return np.asarray(z_scores @ self.components.T)
        return z_scores

    def to_genes(self, weights: FloatArray) -> FloatArray:
        """Weights (rows, genes) of z-scores, of weights (rows, features) of features."""
        if self.sets is not None and not self.set_names:
            return np.asarray((self.sets.T @ weights.T).T)
        if self.components is not None:
            return np.asarray(weights @ self.components)
        return weights

    def _values(
        self,
        data: ExpressionData,
        patients: Sequence[str],
    ) -> tuple[FloatArray, str]:
        """Values on the scale of training, NaN where missing, and a note on library sizes."""
        if self.scale is None:
            return measured(data, patients, self.genes), ""
        return self.scale.values(data, patients, self.genes)

    def _scaled(self, values: FloatArray) -> FloatArray:
        scaled = self._standardised(values)
        return scaled if self.clip is None else np.clip(scaled, -self.clip, self.clip)

    def _standardised(self, values: FloatArray) -> FloatArray:
        if self.tails is not None:
            values = self.tails.apply(values)
        filled = np.where(np.isnan(values), self.mean, values)
        return (filled - self.mean) / self.sd if self.center else filled

    def _far_remarks(
        self,
        values: FloatArray,
        patients: Sequence[str],
    ) -> list[Remark]:
        """Patients with many genes far from the training patients."""
        if self.clip is None:
            return []
        far = (np.abs(self._standardised(values)) > self.clip).sum(axis=1)
        remarks = []
        for row in np.flatnonzero(far > MANY_FAR * len(self.genes)).tolist():
            detail = f"{far[row]} of {len(self.genes)} genes limited to {self.clip:g} deviations"
            who = str(patients[row])
            remarks.append((who, self.name, "", "far from training", detail))
        return remarks

    def _too_few_genes(
        self,
        data: ExpressionData,
        patients: Sequence[str],
        known: BoolArray,
    ) -> TransformError:
        """Error that names patients with too few genes, and why that may be."""
        matrix = data.expression
        if not set(self.genes).isdisjoint(matrix.patients):
            return TransformError(
                f"{self.name}: expected patients in rows, got training genes "
                f"({listed(matrix.patients, 3)}); declare the other `orientation` in the cohort "
                "file",
            )
        coverage = known.mean(axis=1)
        low = np.flatnonzero(coverage < self.min_coverage).tolist()
        names = listed((f"{patients[row]} ({coverage[row]:.1%})" for row in low), 10)
        naming = ""
        if known.any(axis=0).mean() < self.min_coverage:
            naming = (
                f"; training genes are called {listed(self.genes, 3)}, those of this cohort "
                f"{listed(matrix.genes, 3)}"
            )
        return TransformError(
            f"{self.name}: {len(low)} patient(s) have too few of the {len(self.genes)} training "
            f"genes: {names}; at least {self.min_coverage:.0%} are needed "
            f"(expression_min_coverage){naming}",
        )

    def state(self) -> State:
        """Everything learned: JSON and arrays."""
        state: dict[str, Any] = {key: getattr(self, key) for key in PLAIN}
        state |= {key: list(getattr(self, key)) for key in TEXTS}
        if not self.set_names:
            del state["set_names"]
        if self.clip is not None:
            state["clip"] = self.clip
        arrays: Arrays = {"mean": self.mean, "sd": self.sd}
        if self.components is not None:
            arrays["components"] = self.components
        if self.tails is not None:
            arrays |= {"middle": self.tails.middle, "spread": self.tails.spread}
        if self.scale is not None:
            state["log_scale"], library = self.scale.state()
            arrays |= library
        if self.sets is not None:
            for part in SPARSE:
                arrays[f"sets_{part}"] = getattr(self.sets, part)
        return state, arrays

    @classmethod
    def from_state(
        cls,
        state: dict[str, Any],
        arrays: Arrays,
    ) -> ExpressionTransform:
        """Make the transform again from :meth:`state`.

        Raises
        ------
        InputError
            When texts and arrays do not fit each other.
        """
        stored_texts(
            [state[key] for key in ("name", "unit", "gene_ids")],
            "name, unit and gene_ids",
        )
        learned: dict[str, Any] = {
            key: stored_texts(state.get(key, []), key) for key in TEXTS
        }
        genes = len(learned["genes"])
        for name in ("mean", "sd"):
            learned[name] = stored_array(arrays, name, (genes,))
        if "components" in arrays:
            learned["components"] = stored_array(arrays, "components", (None, genes))
        if "middle" in arrays:
            learned["tails"] = TailScale(
                stored_array(arrays, "middle", (genes,)),
                stored_array(arrays, "spread", (genes,)),
            )
        if "log_scale" in state:
            own = state["unit"], state["log_scale"], arrays
            learned["scale"] = LogScale.from_state(*own)
        if "sets_data" in arrays:
            stored_array(arrays, "sets_data", (None,))
            parts = tuple(arrays[f"sets_{part}"] for part in SPARSE)
            sets = sparse.csr_array(parts, shape=(len(parts[2]) - 1, genes))
            # an index out of range would read foreign memory
            sets.check_format(full_check=True)
            learned["sets"] = sets
        plain = {key: value for key, value in state.items() if key != "log_scale"}
        transform = cls(**{**plain, **learned})
        transform._check_state()
        return transform

    def _check_state(self) -> None:
        """Refuse a saved state whose names do not match what comes out."""
        if len(set(self.genes)) < len(self.genes):
            raise TransformError(f"{self.name}: a gene is listed twice")
        sets = 0 if self.sets is None else self.sets.shape[0]
        width = len(self.genes)
        if sets and not self.set_names:
            width = sets
        elif self.components is not None:
            width = len(self.components)
        if len(self.features) != width or len(self.set_names) not in (0, sets):
            raise TransformError(
                f"{self.name}: {len(self.features)} names for {width} features",
            )
        if self.clip is not None and not (type(self.clip) is float and self.clip > 0):
            raise TransformError(
                f"{self.name}: clip must be a number > 0, got {self.clip!r}"
            )
        if not 0 <= self.min_coverage <= 1 or type(self.center) is not bool:
            raise TransformError(
                f"{self.name}: min_coverage must be a share, center true or false",
            )
