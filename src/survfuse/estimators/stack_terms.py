"""The terms of a stack: a Cox regression per modality, an interaction per pair, and weights."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from survfuse._errors import NotComputableError
from survfuse._types import BoolArray, FloatArray, IntArray
from survfuse.cohort.transform_prior import PriorTransform
from survfuse.estimators.blocks import Blocks
from survfuse.estimators.interactions import Interaction
from survfuse.estimators.linear_cox import LinearCox, MissingIndicators, without_missing
from survfuse.survival.calibration import centred_in_folds
from survfuse.survival.stacking import WeightFit, fit_weights

MODALITY_PENALTY, PAIR_PENALTY = 20.0, 5.0
"""On weights, on the scale of the log-likelihood (decision 0011)."""
BAG_MUST_ADD = 1.92
"""Of log-likelihood: 5 % of chi-squared with one degree (decision 0011)."""

Pair = tuple[str, str]


def term_names(
    modalities: Collection[str],
    priors: Collection[str] = (),
) -> tuple[str, ...]:
    """Names of the terms of modalities: themselves, then their pairs as ``a*b``.

    Priors, which are modalities too, are in no pair.
    """
    pairs = paired(modalities, priors)
    return (*modalities, *(f"{left}*{right}" for left, right in pairs))


def paired(
    modalities: Collection[str],
    priors: Collection[str] = (),
) -> tuple[Pair, ...]:
    """Pairs of modalities that are no priors."""
    own = [name for name in modalities if name not in priors]
    return tuple(itertools.combinations(own, 2))


@dataclass(frozen=True, eq=False)
class Terms:
    """Regressions and interactions fitted on the same patients.

    Attributes
    ----------
    modalities : mapping of modality to LinearCox
    pairs : mapping of (modality, modality) to Interaction
    """

    modalities: Mapping[str, LinearCox]
    pairs: Mapping[Pair, Interaction]

    @classmethod
    def fit(
        cls,
        blocks: Blocks,
        time: FloatArray,
        event: BoolArray,
        *,
        bags: Collection[str],
        missing: Mapping[str, MissingIndicators] | None = None,
        ties: str = "efron",
        sparse: Collection[str] = (),
        priors: Mapping[str, PriorTransform] | None = None,
    ) -> Terms:
        """Fit every modality alone, and every pair in addition to the sum of all modalities.

        Of a prior nothing is fitted: its risk, at the slope that it expects, is its term.

        A modality whose regression cannot be fitted (fewer than two events among its patients,
        mean tiles that are all equal) has risk 0 for everyone, and a note that says why.

        Parameters
        ----------
        blocks : mapping of modality to (values, presence)
        time, event : array, (patients,)
        bags : collection of str
            Modalities whose components are read.
        missing : mapping of modality to MissingIndicators, optional
            See :func:`survfuse.estimators.linear_cox.limit_missing`; pairs read a missing
            cell as the mean.
        ties : {"efron", "breslow"}
        sparse : collection of str
            Modalities with an elastic-net Cox.
        priors : mapping of modality to PriorTransform, optional
            Those of the modalities that are priors.
        """
        missing, priors = missing or {}, priors or {}
        modalities, plain = {}, {}
        for name, block in blocks.items():
            if name in priors:
                modalities[name] = LinearCox.known(name, priors[name].slope)
                continue
            own, indicators = {name: block}, missing.get(name, {})
            plain[name] = without_missing(block, indicators)
            try:
                modalities[name] = LinearCox.fit(
                    own,
                    time,
                    event,
                    bags=bags,
                    missing={name: indicators},
                    ties=ties,
                    sparse=name in sparse,
                )
            except NotComputableError as error:
                modalities[name] = LinearCox.constant(own, str(error))
        risks = [cox.risk(blocks) for cox in modalities.values()]
        offset = np.sum(risks, axis=0)
        pairs = {}
        for pair in paired(blocks, priors):
            sides = plain[pair[0]], plain[pair[1]]
            pairs[pair] = Interaction.fit(*sides, time, event, offset, ties=ties)
        return cls(modalities, pairs)

    @property
    def names(self) -> tuple[str, ...]:
        """Modalities, then pairs as ``a*b``."""
        return self.with_models(())

    def with_models(self, models: Collection[str]) -> tuple[str, ...]:
        """Modalities, other models, then pairs as ``a*b``."""
        pairs = [f"{left}*{right}" for left, right in self.pairs]
        return (*self.modalities, *models, *pairs)

    def starts(
        self,
        names: Sequence[str],
        priors: Mapping[str, PriorTransform],
    ) -> tuple[FloatArray, FloatArray]:
        """Weight that each term starts with, and the penalty on moving it; (terms,) each.

        Of a prior, the penalty is that of a normal distribution of its slope in a new cohort
        about the expected one: the random effects of the cohorts that it was fitted on.
        """
        start, penalty = np.ones(len(names)), np.full(len(names), MODALITY_PENALTY)
        for place, name in enumerate(names):
            if "*" in name:
                start[place], penalty[place] = 0.0, PAIR_PENALTY
            elif name in priors:
                prior = priors[name]
                penalty[place] = (prior.slope / prior.slope_spread) ** 2
        return start, penalty

    def parameter_count(self) -> int:
        """Count coefficients, sides of interactions, and weights of terms."""
        coefs = [
            coef.size for cox in self.modalities.values() for coef in cox.coef.values()
        ]
        sides = [pair.left.size + pair.right.size for pair in self.pairs.values()]
        return sum(coefs) + sum(sides) + len(self.names)

    def risks(self, blocks: Blocks) -> FloatArray:
        """Log-risk of every term, modalities first; (patients, terms)."""
        columns = [cox.risk(blocks) for cox in self.modalities.values()]
        for (left, right), pair in self.pairs.items():
            columns.append(pair.risk(blocks[left], blocks[right]))
        return np.stack(columns, axis=1)


@dataclass(frozen=True, eq=False)
class StackWeights:
    """Weights of the terms of a stack.

    Attributes
    ----------
    value, start, errors : array, (terms,)
        Weight, where it starts, and its standard error; 0 and 0 of a term that is left out.
    effective : float
        Effective parameters of the weights.
    left_out : mapping of term to float
        Of each bag that is left out, the log-likelihood that it adds to the other terms;
        `BAG_MUST_ADD` is needed.
    """

    value: FloatArray
    start: FloatArray
    errors: FloatArray
    effective: float = 0.0
    left_out: Mapping[int, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class TermRisks:
    """Out-of-fold log-risk of every term, from which the weights of the terms are fitted.

    Attributes
    ----------
    risks : array, (repeats, patients, terms)
        Of each patient by terms that other inner folds gave; once for each division into folds.
    inner : array of int, (repeats, patients)
        Inner fold of each patient in each division.
    time, event : array, (patients,)
    start, penalty : array, (terms,)
        Weight that each term starts with, and what moving it costs (`fit_weights`).
    must_add : tuple of int
        Terms that are left out unless they add `BAG_MUST_ADD` to the others: bags, which may
        choose between two readings of their tiles.
    """

    risks: FloatArray
    inner: IntArray
    time: FloatArray
    event: BoolArray
    start: FloatArray
    penalty: FloatArray
    must_add: tuple[int, ...] = ()

    def weights(self) -> StackWeights:
        """Fit the weight of each term, >= 0; without an event every weight is 0.

        Patients are compared within their inner fold.
        """
        value, errors = np.zeros((2, len(self.start)))
        if not self.event.any():
            return StackWeights(value, self.start, errors)
        included, left_out = np.ones(len(self.start), dtype=bool), {}
        fit = self._fit(included)
        for term in self.must_add:
            without = included.copy()
            without[term] = False
            if not self.start[without].any():
                continue
            other = self._fit(without)
            added = fit.log_likelihood - other.log_likelihood
            if added < BAG_MUST_ADD:
                fit, included, left_out[term] = other, without, added
        value[included], errors[included] = fit.weights, fit.errors
        return StackWeights(value, self.start, errors, fit.effective, left_out)

    def _fit(self, included: BoolArray) -> WeightFit:
        repeats, patients, _ = self.risks.shape
        folds = self.inner.max(initial=0) + 1
        stratum = self.inner + folds * np.arange(repeats)[:, None]
        return fit_weights(
            self.risks[:, :, included].reshape(repeats * patients, -1),
            np.tile(self.time, repeats),
            np.tile(self.event, repeats),
            start=self.start[included],
            penalty=self.penalty[included],
            fold=stratum.ravel(),
            repeats=repeats,
        )

    def out_of_fold(self) -> FloatArray:
        """Sum of each patient's risks with weights that the other inner folds gave; (patients,).

        Each division into folds has its own weights; the mean over divisions is given, each
        centred in its folds.
        """
        patients = len(self.time)
        totals = []
        for risks, inner in zip(self.risks, self.inner, strict=True):
            total = np.empty(patients)
            for number in np.unique(inner):
                held = inner == number
                others = self._of(risks[~held], inner[~held], ~held)
                total[held] = risks[held] @ others.weights().value
            totals.append(centred_in_folds(total, inner, patients))
        return np.asarray(np.mean(totals, axis=0))

    def _of(
        self,
        risks: FloatArray,
        inner: IntArray,
        rows: BoolArray,
    ) -> TermRisks:
        """One division of some of the patients."""
        return replace(
            self,
            risks=risks[None],
            inner=inner[None],
            time=self.time[rows],
            event=self.event[rows],
        )
