"""The terms of a stack: a Cox regression per modality, an interaction per pair, and weights."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np

from survfuse._errors import NotComputableError
from survfuse._types import BoolArray, FloatArray, IntArray
from survfuse.estimators.blocks import Blocks
from survfuse.estimators.interactions import Interaction
from survfuse.estimators.linear_cox import LinearCox, MissingIndicators, without_missing
from survfuse.survival.stacking import TrustFit, fit_trust, gains

MODALITY_PENALTY, PAIR_PENALTY = 20.0, 5.0
"""On weights, on the scale of the log-likelihood (decision 0011)."""
BAG_MUST_ADD = 3.84
"""Twice the log-likelihood: 5 % of chi-squared with one degree (decision 0011)."""

Pair = tuple[str, str]


def term_names(
    modalities: Collection[str],
    models: Collection[str] = (),
) -> tuple[str, ...]:
    """Names of the terms: modalities, other models, then pairs of modalities as ``a*b``."""
    pairs = itertools.combinations(modalities, 2)
    return (*modalities, *models, *(f"{left}*{right}" for left, right in pairs))


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
    ) -> Terms:
        """Fit every modality alone, and every pair in addition to the sum of all modalities.

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
        """
        missing = missing or {}
        modalities, plain = {}, {}
        for name, block in blocks.items():
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
        for pair in itertools.combinations(blocks, 2):
            sides = plain[pair[0]], plain[pair[1]]
            pairs[pair] = Interaction.fit(*sides, time, event, offset, ties=ties)
        return cls(modalities, pairs)

    @property
    def names(self) -> tuple[str, ...]:
        """Modalities, then pairs as ``a*b``."""
        return term_names(self.modalities)

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
class TermRisks:
    """Out-of-fold log-risk of every term, from which the weights of the terms are fitted.

    Attributes
    ----------
    risks : array, (patients, terms)
        Modalities first, then pairs; of each patient by terms that other inner folds gave.
    inner : array of int, (patients,)
        Inner fold of each patient.
    time, event : array, (patients,)
    modalities : int
        How many of the terms are modalities.
    bags : tuple of int
        Which of these are bags.
    """

    risks: FloatArray
    inner: IntArray
    time: FloatArray
    event: BoolArray
    modalities: int
    bags: tuple[int, ...] = ()

    def weights(self, rows: BoolArray | None = None) -> tuple[FloatArray, float]:
        """Fit the weight of each term, >= 0, on some of the patients.

        A modality whose out-of-fold risks, with weight 1, have no larger likelihood than no risk
        is excluded (weight 0), unless it is the only one. A bag, which may choose between two
        readings of its tiles, must besides add significantly to the others. Patients are
        compared within their inner fold; without an event among them every weight is 0.

        Returns
        -------
        weights : array, (terms,)
        effective : float
            Effective parameters of the weights.
        """
        part = self if rows is None else self._rows(rows)
        is_modality = np.arange(self.risks.shape[1]) < self.modalities
        included = np.ones(len(is_modality), dtype=bool)
        if self.modalities > 1:
            gain = gains(part.risks, part.time, part.event, fold=part.inner)
            included = ~is_modality | (gain > 0)
        if not (part.event.any() and included.any()):
            return np.zeros(len(included)), 0.0
        fit = part._fit(included)
        for bag in self.bags:
            without = included & (np.arange(len(included)) != bag)
            if not (included[bag] and (without & is_modality).any()):
                continue
            other = part._fit(without)
            if 2 * (fit.log_likelihood - other.log_likelihood) < BAG_MUST_ADD:
                fit, included = other, without
        weights = np.zeros(len(included))
        weights[included] = fit.trust
        return weights, fit.effective

    def _rows(self, rows: BoolArray) -> TermRisks:
        return replace(
            self,
            risks=self.risks[rows],
            inner=self.inner[rows],
            time=self.time[rows],
            event=self.event[rows],
        )

    def _fit(self, included: BoolArray) -> TrustFit:
        is_modality = (np.arange(len(included)) < self.modalities)[included]
        return fit_trust(
            self.risks[:, included],
            self.time,
            self.event,
            prior=np.where(is_modality, 1.0, 0.0),
            penalty=np.where(is_modality, MODALITY_PENALTY, PAIR_PENALTY),
            fold=self.inner,
        )

    def out_of_fold(self) -> FloatArray:
        """Sum of each patient's risks with weights that the other inner folds gave; (patients,)."""
        total = np.empty(len(self.time))
        for number in np.unique(self.inner):
            held = self.inner == number
            total[held] = self.risks[held] @ self.weights(~held)[0]
        return total
