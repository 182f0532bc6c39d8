"""Ridge and sparse Cox regressions on the inputs of some modalities.

The penalty is the one of least cross-validated deviance, over `REPEATS` deals of the patients
into folds (one for pairs and for genes, whose many features take most of the time). The deals
do not depend on any seed that is set: a model and a baseline that see the same inputs of the
same patients have the same penalty. No penalty lies below `SMALLEST` per event: where two
event-free patients alone carry a feature, the coefficient has no finite maximum and every
smaller penalty looks better than the last. On eight cancers of TCGA (four modalities each) no
penalty that `GIVE_UP` leaves out was the best.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from survfuse._storage import stored_array
from survfuse._types import BoolArray, FloatArray
from survfuse.estimators.blocks import Block, Blocks, Components, any_present, centred
from survfuse.survival.cox import RidgeCoxPath, ridge_cox_cv
from survfuse.survival.sparse_cox import SparseCoxPath, sparse_cox_cv

SMALLEST = 0.01
"""Smallest penalty per event, on inputs of about unit variance."""
REPEATS = 3
FOLDS = 5
SEED = 0
GIVE_UP = 5
"""Penalties in a row that are worse than the best, after which no smaller one is tried."""
BAG_COMPONENTS = 32
"""Principal components of a bag's mean tiles that a ridge Cox reads."""
MIXING = 0.5
"""Of the sparse Cox, half lasso and half ridge: correlated genes are selected together."""

MissingIndicators = Mapping[int, tuple[int, ...]]
"""Of each 0/1 feature that marks a missing cell, the features with its column's value."""


def inner_fold_count(event: BoolArray) -> int:
    """Inner folds that these patients can fill: each needs an event."""
    return max(2, min(FOLDS, int(event.sum())))


def penalty_choice(
    event: BoolArray,
    repeats: int | None = None,
) -> dict[str, Any]:
    """Arguments of `ridge_cox_cv` and `sparse_cox_cv` that say how the penalty is chosen."""
    return {
        "smallest": SMALLEST,
        "folds": inner_fold_count(event),
        "repeats": REPEATS if repeats is None else repeats,
        "seed": SEED,
    }


@dataclass(frozen=True, eq=False)
class LinearCox:
    """One fitted Cox regression on one or several modalities.

    Attributes
    ----------
    centre, coef : mapping of modality to array, (features,)
        Mean of each input over the training patients who have the modality; weights of the
        inputs themselves (mean tiles, not their components).
    penalty : float
        NaN where nothing was fitted.
    note : str
    effective : float
        Effective parameters (`survival.degrees_of_freedom`).
    """

    centre: Mapping[str, FloatArray]
    coef: Mapping[str, FloatArray]
    penalty: float = np.nan
    note: str = ""
    effective: float = 0.0

    @classmethod
    def constant(cls, blocks: Blocks, note: str) -> LinearCox:
        """Give everyone risk 0, and a reason."""
        zeros = {name: np.zeros(x.shape[1]) for name, (x, _) in blocks.items()}
        return cls(zeros, zeros, np.nan, note)

    @classmethod
    def known(cls, name: str, slope: float) -> LinearCox:
        """Regression of one standardised feature whose coefficient is known beforehand."""
        return cls({name: np.zeros(1)}, {name: np.array([slope])})

    @classmethod
    def fit(
        cls,
        blocks: Blocks,
        time: FloatArray,
        event: BoolArray,
        *,
        bags: Collection[str] = (),
        missing: Mapping[str, MissingIndicators] | None = None,
        ties: str = "efron",
        sparse: bool = False,
    ) -> LinearCox:
        """Fit a Cox regression on the patients who have any of the modalities.

        Parameters
        ----------
        blocks : mapping of modality to (values, presence)
        time, event : array, (patients,)
        bags : collection of str
            Modalities that enter as components of unit variance of their mean tile.
        missing : mapping of modality to MissingIndicators, optional
            See :func:`limit_missing`.
        ties : {"efron", "breslow"}
        sparse : bool
            Elastic net, most of whose weights are 0, instead of a ridge.

        Raises
        ------
        NotComputableError
            With fewer than two events, or mean tiles that are all equal.
        """
        centre, parts, turn = {}, [], {}
        for name, (x, present) in blocks.items():
            centre[name] = x[present].mean(axis=0)
            part = centred((x, present), centre[name])
            if name in bags:
                turn[name] = Components.fit(x[present], BAG_COMPONENTS).standard
                part = part @ turn[name]
            parts.append(part)
        has = any_present(blocks)
        data = np.concatenate(parts, axis=1)[has], time[has], event[has]
        path: RidgeCoxPath | SparseCoxPath
        if sparse:
            choice = penalty_choice(event[has], repeats=1)
            path = sparse_cox_cv(*data, mixing=MIXING, ties=ties, **choice)
        else:
            choice = penalty_choice(event[has])
            path = ridge_cox_cv(*data, ties=ties, give_up=GIVE_UP, **choice)
        cuts = np.cumsum([part.shape[1] for part in parts])[:-1]
        coef = dict(zip(blocks, np.split(path.coef, cuts), strict=True))
        for name, axes in turn.items():
            coef[name] = axes @ coef[name]
        for name, features in (missing or {}).items():
            coef[name] = limit_missing(blocks[name], coef[name], features)
        return cls(centre, coef, float(path.penalty), path.note, path.effective)

    def risk(self, blocks: Blocks) -> FloatArray:
        """Log-risk above the training mean; 0 for the part of a missing modality; (patients,)."""
        parts = []
        for name, coef in self.coef.items():
            parts.append(centred(blocks[name], self.centre[name]) @ coef)
        return np.asarray(np.sum(parts, axis=0))

    def arrays(self) -> dict[str, FloatArray]:
        """Arrays that :meth:`from_arrays` makes the same risks of."""
        stored = {}
        for name in self.coef:
            stored[f"{name}/centre"] = self.centre[name]
            stored[f"{name}/coef"] = self.coef[name]
        return stored

    @classmethod
    def from_arrays(
        cls,
        arrays: Mapping[str, Any],
        dims: Mapping[str, int],
    ) -> LinearCox:
        """Read what :meth:`arrays` wrote, for modalities of these numbers of features."""
        centre, coef = {}, {}
        for name, features in dims.items():
            centre[name] = stored_array(arrays, f"{name}/centre", (features,))
            coef[name] = stored_array(arrays, f"{name}/coef", (features,))
        return cls(centre, coef)


def limit_missing(
    block: Block,
    coef: FloatArray,
    indicators: MissingIndicators,
) -> FloatArray:
    """Limit what a missing cell contributes to what known values of its column do; (features,).

    A missing value stands at the training mean; where enough training patients lack it, a 0/1
    feature marks it. The weight of that feature is clipped so that the contribution of a missing
    cell lies within those of the column's known values in the training patients.

    Parameters
    ----------
    block : (values, presence) of the training patients
    coef : array, (features,)
    indicators : mapping of feature to features
    """
    x, has = block
    limited = coef.copy()
    for feature, values in indicators.items():
        contribution = x[has][:, values] @ coef[list(values)]
        missing = x[has][:, feature] > 0
        known = contribution[~missing]
        at_mean = contribution[missing].mean()
        limited[feature] = np.clip(
            coef[feature],
            known.min() - at_mean,
            known.max() - at_mean,
        )
    return limited


def without_missing(
    block: Block,
    indicators: MissingIndicators,
) -> Block:
    """Make missing cells of a table read as the mean alone."""
    x, has = block
    plain = x.copy()
    plain[:, list(indicators)] = 0.0
    return plain, has
