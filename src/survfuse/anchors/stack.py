"""Anchors, their interactions, and trust in each, cross-fitted on training patients.

::

    log-risk = sum over modalities m of  w_m  b_m . (x_m − c_m)
             + sum over pairs m, n of    w_mn sum_k ((x_m − c_m) L_mn)_k ((x_n − c_n) R_mn)_k

Every ``b_m`` is the ridge Cox (of expression, on request, a sparse Cox) of one modality alone. Trusts
``w`` are never negative. A modality whose out-of-fold risks, taken at their word, are no better than no
risk has no seat: its trust is 0. (A modality alone always has one.) A bag, which may choose between
two readings of its tiles, must besides add to the others: without it their likelihood has to fall
significantly. Trusts of those seated start from 1, those of pairs from 0, and both move only as far as
risks made out of fold pay for it. A missing modality's terms are zero: the risk of an average patient.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np

from survfuse._errors import NotComputableError
from survfuse._types import BoolArray, FloatArray, IntArray
from survfuse.anchors.blanks import Blanks, without_blanks
from survfuse.anchors.blocks import Block, Blocks
from survfuse.anchors.interactions import Interaction
from survfuse.anchors.linear import LinearCox
from survfuse.anchors.ridge import RidgeCox
from survfuse.anchors.sparse import SparseCox
from survfuse.survival.stacking import TrustFit, fit_trust, gains

ANCHOR_PENALTY, PAIR_PENALTY = (
    20.0,
    5.0,
)  # on trusts, on the log-likelihood's scale (decision 0011)
BAG_MUST_ADD = (
    3.84  # twice the log-likelihood: 5 % of chi-squared with one degree (decision 0011)
)

Pair = tuple[str, str]


def term_names(modalities: Collection[str]) -> tuple[str, ...]:
    """Names of the terms of some modalities: themselves, then pairs as ``a*b``."""
    return (
        *modalities,
        *(f"{a}*{b}" for a, b in itertools.combinations(modalities, 2)),
    )


@dataclass(frozen=True, eq=False)
class Terms:
    """Anchors and interactions fitted on the same patients.

    Attributes
    ----------
    anchors : mapping of modality to LinearCox
    pairs : mapping of (modality, modality) to Interaction
    """

    anchors: Mapping[str, LinearCox]
    pairs: Mapping[Pair, Interaction]

    @classmethod
    def fit(
        cls,
        blocks: Blocks,
        time: FloatArray,
        event: BoolArray,
        *,
        bags: frozenset[str],
        blanks: Blanks | None = None,
        ties: str = "efron",
        sparse: Collection[str] = (),
    ) -> Terms:
        """Fit every anchor alone, and every pair beside the sum of all anchors.

        A modality whose ridge Cox cannot be fitted (fewer than two events among its patients, mean
        tiles that are all equal) tells nobody apart; its note says why. Those in `sparse` have a
        sparse Cox. `blanks` are held as in :meth:`RidgeCox.fit`.
        """
        blanks = blanks or {}
        anchors = {
            name: _anchor(
                name,
                block,
                time,
                event,
                bags,
                blanks.get(name, {}),
                ties,
                name in sparse,
            )
            for name, block in blocks.items()
        }
        offset = np.sum([anchors[name].risk(blocks)[0] for name in blocks], axis=0)
        plain = {
            name: without_blanks(block, blanks.get(name, {}))
            for name, block in blocks.items()
        }
        pairs = {
            (a, b): Interaction.fit(plain[a], plain[b], time, event, offset, ties=ties)
            for a, b in itertools.combinations(blocks, 2)
        }
        return cls(anchors, pairs)

    @property
    def names(self) -> tuple[str, ...]:
        """Modalities, then pairs as ``a*b``."""
        return term_names(self.anchors)

    def risks(self, blocks: Blocks) -> FloatArray:
        """Log-risk of every term, anchors first; (patients, terms)."""
        columns = [
            anchor.risk({name: blocks[name]})[0]
            for name, anchor in self.anchors.items()
        ]
        columns += [
            pair.risk(blocks[a], blocks[b]) for (a, b), pair in self.pairs.items()
        ]
        return np.stack(columns, axis=1)


def _anchor(
    name: str,
    block: Block,
    time: FloatArray,
    event: BoolArray,
    bags: frozenset[str],
    blanks: Mapping[int, tuple[int, ...]],
    ties: str,
    sparse: bool,
) -> LinearCox:
    try:
        if sparse:
            return SparseCox.fit(name, block, time, event, ties=ties)
        return RidgeCox.fit(
            {name: block},
            time,
            event,
            bags=bags,
            blanks={name: blanks},
            ties=ties,
        )
    except NotComputableError as error:
        return LinearCox.nothing({name: block}, str(error))


@dataclass(frozen=True, eq=False)
class Columns:
    """Out-of-fold log-risk of every term, and whom each belongs to.

    Attributes
    ----------
    risks : array, (patients, terms)
        Modalities first, then pairs; of each patient by terms that other inner folds gave.
    inner : array of int, (patients,)
        Inner fold of each patient.
    time, event : array, (patients,)
    anchors : int
        How many of the terms are modalities.
    bags : tuple of int
        Which of these are bags.
    """

    risks: FloatArray
    inner: IntArray
    time: FloatArray
    event: BoolArray
    anchors: int
    bags: tuple[int, ...] = ()

    def trust(self, rows: BoolArray | None = None) -> FloatArray:
        """Trust of each term by what these patients' risks are worth; (terms,), >= 0.

        Patients are compared within their inner fold. Without an event among them nothing is trusted.
        """
        return self.fitted(rows)[0]

    def fitted(self, rows: BoolArray | None = None) -> tuple[FloatArray, float]:
        """Trust of each term (terms,), as :meth:`trust` gives it, and effective parameters of the trusts."""
        kept = np.ones(len(self.time), dtype=bool) if rows is None else rows
        part = replace(
            self,
            risks=self.risks[kept],
            time=self.time[kept],
            event=self.event[kept],
            inner=self.inner[kept],
        )
        modality = np.arange(self.risks.shape[1]) < self.anchors
        if self.anchors == 1:
            seated = np.ones(len(modality), dtype=bool)  # nobody else would speak
        else:
            seated = ~modality | (
                gains(part.risks, part.time, part.event, fold=part.inner) > 0
            )
        if not (part.event.any() and seated.any()):
            return np.zeros(len(modality)), 0.0
        found = part._seated(seated)
        for bag in self.bags:
            without = seated & (np.arange(len(seated)) != bag)
            if not (seated[bag] and (without & modality).any()):
                continue
            other = part._seated(without)
            if 2 * (found.log_likelihood - other.log_likelihood) < BAG_MUST_ADD:
                found, seated = other, without
        trust = np.zeros(len(seated))
        trust[seated] = found.trust
        return trust, found.effective

    def _seated(self, seated: BoolArray) -> TrustFit:
        """Fit the trusts of those seated."""
        modality = (np.arange(len(seated)) < self.anchors)[seated]
        return fit_trust(
            self.risks[:, seated],
            self.time,
            self.event,
            prior=np.where(modality, 1.0, 0.0),
            penalty=np.where(modality, ANCHOR_PENALTY, PAIR_PENALTY),
            fold=self.inner,
        )

    def out_of_fold(self) -> FloatArray:
        """Add each patient's risks by trusts that the other inner folds gave; (patients,)."""
        total = np.empty(len(self.time))
        for fold in np.unique(self.inner):
            held = self.inner == fold
            total[held] = self.risks[held] @ self.trust(~held)
        return total
