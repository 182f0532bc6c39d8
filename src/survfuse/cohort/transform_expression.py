"""Expression into a vector: chosen genes, scale, gene sets or components, all from training patients."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from survfuse._errors import TransformError, listed
from survfuse._storage import stored_array, stored_texts
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
from survfuse.cohort.transform_tables import Remark
from survfuse.config import FitConfig
from survfuse.readers.genes import match_genes

SMALLEST_SET = 5  # measured genes


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
    mean: npt.NDArray[np.float64]
    sd: npt.NDArray[np.float64]
    center: bool
    features: tuple[str, ...]
    min_coverage: float
    sets: sparse.csr_array | None = None
    components: npt.NDArray[np.float64] | None = None
    notes: tuple[str, ...] = ()
    set_names: tuple[str, ...] = ()
    scale: LogScale | None = None

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
        genes = np.array(data.expression.genes, dtype=object)
        scale, values = fit_scale(
            data,
            data.values(patients).astype(np.float64),
            config,
            notes,
        )
        genes, values = listed_genes(
            genes,
            values,
            config.expression_genes,
            data,
            notes,
        )
        as_they_are = (
            config.expression_scaling == "none"
            and config.expression_components is None
            and config.expression_gene_sets is None
        )
        genes, values = usable_genes(
            genes,
            values,
            data.name,
            notes,
            keep_constant=as_they_are,
        )
        genes, values = most_variable(genes, values, config.expression_top)
        mean = np.nanmean(values, axis=0)
        z_scores = (
            config.expression_scaling == "standard"
            or config.expression_gene_sets is not None
        )
        sd = np.nanstd(values, axis=0) if z_scores else np.ones(len(genes))
        center = z_scores or config.expression_components is not None
        fitted = cls(
            data.name,
            data.expression.unit,
            data.expression.gene_ids,
            tuple(str(gene) for gene in genes),
            mean,
            sd,
            center,
            tuple(str(gene) for gene in genes),
            config.expression_min_coverage,
            scale=scale,
        )
        if config.expression_gene_sets is not None:
            fitted = fitted._with_sets(config.expression_gene_sets, notes)
            fitted = (
                fitted._weighed() if config.expression_encoder == "gene_set" else fitted
            )
        elif config.expression_components is not None:
            fitted = fitted._with_components(
                values,
                config.expression_components,
                notes,
            )
        return replace(fitted, notes=tuple(notes))

    def _with_sets(self, path: Path, notes: list[str]) -> ExpressionTransform:
        sets = read_gmt(path)
        position = self._positions(
            {gene: None for genes in sets.values() for gene in genes},
            path,
            notes,
        )
        names, members, small = [], [], []
        for name, wanted in sets.items():
            found = sorted({position[gene] for gene in wanted if gene in position})
            if len(found) < SMALLEST_SET:
                small.append(name)
            else:
                names.append(name)
                members.append(found)
        if small:
            notes.append(
                f"{self.name}: gene sets with under {SMALLEST_SET} measured genes dropped: "
                f"{listed(small, 20)}",
            )
        if not names and not small:
            raise TransformError(
                f"{path}: holds no gene set; expected lines of name, description and genes",
            )
        if not names:
            raise TransformError(
                f"{path}: none of its gene sets has {SMALLEST_SET} genes among the {len(self.genes)} usable "
                f"ones ({listed(self.genes, 3)}); are both {self.gene_ids} ids?",
            )
        rows = np.repeat(np.arange(len(members)), [len(found) for found in members])
        weights = np.concatenate(
            [np.full(len(found), 1 / len(found)) for found in members],
        )
        sets = sparse.csr_array(
            (weights, (rows, np.concatenate(members))),
            shape=(len(names), len(self.genes)),
        )
        return replace(self, sets=sets, features=tuple(names))

    def _positions(
        self,
        wanted: Iterable[str],
        path: Path,
        notes: list[str],
    ) -> dict[str, int]:
        """Places in `genes` of the genes that a file names."""
        names = tuple(wanted)
        places, spellings = match_genes(names, self.genes, self.gene_ids)
        if spellings:
            notes.append(f"{self.name}: {respelled(spellings)} ({path.name})")
        return {
            gene: int(place)
            for gene, place in zip(names, places, strict=True)
            if place >= 0
        }

    def _weighed(self) -> ExpressionTransform:
        """Hand over the genes that any set has, and leave it to a network to weigh them."""
        assert self.sets is not None
        read = np.flatnonzero(self.sets.sum(axis=0) > 0)
        genes = tuple(self.genes[place] for place in read)
        return replace(
            self,
            genes=genes,
            features=genes,
            mean=self.mean[read],
            sd=self.sd[read],
            sets=self.sets[:, read],
            set_names=self.features,
        )

    @property
    def members(self) -> tuple[tuple[int, ...], ...]:
        """Places among `features` of each set's genes, where a network weighs them; empty otherwise."""
        if self.sets is None or not self.set_names:
            return ()
        ends = self.sets.indptr
        return tuple(
            tuple(sorted(int(gene) for gene in self.sets.indices[a:b]))
            for a, b in itertools.pairwise(ends.tolist())
        )

    def _with_components(
        self,
        values: npt.NDArray[np.float64],
        wanted: int,
        notes: list[str],
    ) -> ExpressionTransform:
        scaled = self._scaled(values)
        axes, deviations = principal_axes(scaled, min(wanted, max(len(values) - 1, 1)))
        kept = len(axes)
        if kept == 0:
            raise TransformError(
                f"{self.name}: its {len(self.genes)} genes do not differ between training patients",
            )
        if kept < wanted:
            notes.append(
                f"{self.name}: {kept} components, not {wanted}: {len(values)} training patients give no more",
            )
        names = tuple(f"component_{index + 1}" for index in range(kept))
        return replace(self, components=axes / deviations[0], features=names)

    def check(self, data: ExpressionData) -> None:
        """Refuse another scale or naming of genes.

        Raises
        ------
        TransformError
            Names what was expected and what came.
        """
        for what, trained, given in (
            ("unit", self.unit, data.expression.unit),
            ("gene ids", self.gene_ids, data.expression.gene_ids),
        ):
            if trained != given:
                raise TransformError(
                    f"{self.name}: trained on {what} {trained!r}, this cohort has {given!r}; "
                    f"convert it to {trained!r}",
                )

    def apply(
        self,
        data: ExpressionData,
        patients: Sequence[str],
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64], list[Remark]]:
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
        if self.scale is None:
            values = measured(data, patients, self.genes)
        else:
            values, note = self.scale.values(data, patients, self.genes)
            remarks += [("", self.name, "", "library size", note)] if note else []
        known = ~np.isnan(values)
        coverage = known.mean(axis=1)
        self._require_coverage(data, patients, known)
        ids = np.array(patients, dtype=object)
        lacking = len(self.genes) - known.sum(axis=1)
        remarks += [
            (
                str(i),
                self.name,
                "",
                "missing genes",
                f"{n} of {len(self.genes)} genes; training means used",
            )
            for i, n in zip(ids[lacking > 0], lacking[lacking > 0], strict=True)
        ]
        vector = self._scaled(values)
        if self.sets is not None and not self.set_names:
            vector = np.asarray((self.sets @ vector.T).T)
        elif self.components is not None:
            vector = vector @ self.components.T
        return vector.astype(np.float32), coverage, remarks

    def _scaled(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        filled = np.where(np.isnan(values), self.mean, values)
        return (filled - self.mean) / self.sd if self.center else filled

    def _require_coverage(
        self,
        data: ExpressionData,
        patients: Sequence[str],
        known: npt.NDArray[np.bool_],
    ) -> None:
        coverage = known.mean(axis=1)
        low = np.flatnonzero(coverage < self.min_coverage).tolist()
        if not low:
            return
        if not set(self.genes).isdisjoint(data.expression.patients):
            raise TransformError(
                f"{self.name}: expected patients in rows, got training genes "
                f"({listed(data.expression.patients, 3)}); declare the other `orientation` in the cohort file",
            )
        named = listed((f"{patients[row]} ({coverage[row]:.1%})" for row in low), 10)
        raise TransformError(
            f"{self.name}: {len(low)} patient(s) have too few of the {len(self.genes)} training genes: "
            f"{named}; at least {self.min_coverage:.0%} are needed (expression_min_coverage)"
            f"{self._names_apart(data, known)}",
        )

    def _names_apart(self, data: ExpressionData, known: npt.NDArray[np.bool_]) -> str:
        """Show how genes are called on both sides where no patient has enough of them."""
        if known.any(axis=0).mean() >= self.min_coverage:
            return ""
        theirs = listed(data.expression.genes, 3)
        return f"; training genes are called {listed(self.genes, 3)}, those of this cohort {theirs}"

    def state(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Everything learned: JSON and arrays."""
        about = {
            "name": self.name,
            "unit": self.unit,
            "gene_ids": self.gene_ids,
            "genes": list(self.genes),
            "center": self.center,
            "features": list(self.features),
            "min_coverage": self.min_coverage,
            "notes": list(self.notes),
            **({"set_names": list(self.set_names)} if self.set_names else {}),
        }
        tensors: dict[str, npt.NDArray[Any]] = {"mean": self.mean, "sd": self.sd}
        if self.components is not None:
            tensors["components"] = self.components
        if self.scale is not None:
            about["log_scale"] = {"library": list(self.scale.library)}
            tensors |= (
                {} if self.scale.share is None else {"library_share": self.scale.share}
            )
        if self.sets is not None:
            tensors |= {
                f"sets_{part}": getattr(self.sets, part)
                for part in ("data", "indices", "indptr")
            }
        return about, tensors

    @classmethod
    def from_state(
        cls,
        state: dict[str, Any],
        tensors: dict[str, npt.NDArray[Any]],
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
        keys = ("genes", "features", "notes", "set_names")
        texts = {key: stored_texts(state.get(key, []), key) for key in keys}
        genes = len(texts["genes"])
        about = {key: value for key, value in state.items() if key != "log_scale"}
        scale = None
        if "log_scale" in state:
            library = stored_texts(state["log_scale"]["library"], "library")
            share = (
                stored_array(tensors, "library_share", (len(library),))
                if library
                else None
            )
            scale = LogScale(state["unit"], library, share)
        sets = None
        if "sets_data" in tensors:
            weights = stored_array(tensors, "sets_data", (None,))
            places = tuple(tensors[f"sets_{part}"] for part in ("indices", "indptr"))
            sets = sparse.csr_array(
                (weights, *places),
                shape=(len(places[1]) - 1, genes),
            )
            sets.check_format(
                full_check=True,
            )  # an index out of range would read foreign memory
        arrays = {
            name: stored_array(tensors, name, (genes,)) for name in ("mean", "sd")
        }
        components = None
        if "components" in tensors:
            components = stored_array(tensors, "components", (None, genes))
        made = cls(
            **{
                **about,
                **texts,
                **arrays,
                "components": components,
                "sets": sets,
                "scale": scale,
            },
        )
        made._require_whole()
        return made

    def _require_whole(self) -> None:
        """Refuse a saved state whose names do not match what comes out."""
        if len(set(self.genes)) < len(self.genes):
            raise TransformError(f"{self.name}: a gene is listed twice")
        width = len(self.genes)
        if self.sets is not None and not self.set_names:
            width = self.sets.shape[0]
        elif self.components is not None:
            width = len(self.components)
        weighed = 0 if self.sets is None else self.sets.shape[0]
        if len(self.features) != width or len(self.set_names) not in (0, weighed):
            raise TransformError(
                f"{self.name}: {len(self.features)} names for {width} features",
            )
        if not 0 <= self.min_coverage <= 1 or type(self.center) is not bool:
            raise TransformError(
                f"{self.name}: min_coverage must be a share, center true or false",
            )
