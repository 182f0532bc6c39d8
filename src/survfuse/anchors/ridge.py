"""Ridge Cox on the inputs of some modalities: what every model must beat, and what `anchored` starts from."""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from survfuse._types import BoolArray, FloatArray, IntArray
from survfuse.anchors.blanks import Blanks, hold_blanks
from survfuse.anchors.blocks import Block, Blocks, Components, outcomes, read_blocks
from survfuse.anchors.linear import LinearCox, anyone, centred
from survfuse.anchors.penalty import inner_fold_count, penalty_choice
from survfuse.cohort.batch_source import BatchSource
from survfuse.cohort.cohort import Cohort
from survfuse.cohort.splits import inner_folds
from survfuse.cohort.transforms import Transforms
from survfuse.config import FitConfig
from survfuse.survival.cox import ridge_cox_cv

BAG_COMPONENTS = 32  # principal components of a mean-pooled bag before the ridge Cox
REMEMBERED = 1024  # sets of risks that learners on the same fold share; a few KB each


@dataclass(frozen=True, eq=False)
class RidgeCox(LinearCox):
    """A ridge Cox; its penalty is on components of unit variance where a modality is a bag."""

    @classmethod
    def fit(
        cls,
        blocks: Blocks,
        time: FloatArray,
        event: BoolArray,
        *,
        bags: Collection[str],
        blanks: Blanks | None = None,
        ties: str = "efron",
    ) -> RidgeCox:
        """Fit on the patients who have any of the modalities, penalty as `anchors.penalty` says.

        Parameters
        ----------
        blocks : mapping of modality to (values, presence)
        time, event : array, (patients,)
        bags : collection of str
            Modalities that enter as components of their mean tile.
        blanks : mapping of modality to mapping, optional
            Features that say that a cell is missing, with those that hold its column's value; their
            weights are held within what known values contribute (`anchors.blanks`).
        ties : {"efron", "breslow"}

        Raises
        ------
        NotComputableError
            With fewer than two events, or mean tiles that are all equal.
        """
        turn = {
            name: Components.fit(x[has], BAG_COMPONENTS).standard
            for name, (x, has) in blocks.items()
            if name in bags
        }
        centre = {name: x[has].mean(axis=0) for name, (x, has) in blocks.items()}
        parts = [
            centred(block, centre[name]) @ turn[name]
            if name in turn
            else centred(block, centre[name])
            for name, block in blocks.items()
        ]
        has = anyone(blocks)
        path = ridge_cox_cv(
            np.concatenate(parts, axis=1)[has],
            time[has],
            event[has],
            ties=ties,
            **penalty_choice(event[has]),
        )
        cuts = np.cumsum([part.shape[1] for part in parts])[:-1]
        found = dict(zip(blocks, np.split(path.coef, cuts), strict=True))
        coef = {
            name: turn[name] @ b if name in turn else b for name, b in found.items()
        }
        for name, features in (blanks or {}).items():
            coef[name] = hold_blanks(blocks[name], coef[name], features)
        return cls(centre, coef, float(path.penalty), path.note, path.effective)


@dataclass(frozen=True)
class RidgeInputs:
    """Which inputs a ridge Cox reads, and the seed of the folds of its out-of-fold risks.

    Attributes
    ----------
    modalities : tuple of str
        Clinical columns and tables enter as they are transformed, expression as
        principal components, bags as the principal components of their mean tile.
    allow_followup : tuple of str
        See :class:`survfuse.config.FitConfig`.
    seed : int
    """

    modalities: tuple[str, ...]
    allow_followup: tuple[str, ...] = ()
    seed: int = 0

    @property
    def config(self) -> FitConfig:
        """The inputs' configuration: the default preset with these modalities alone."""
        return FitConfig.of(
            modalities=self.modalities,
            allow_followup=self.allow_followup,
            device="cpu",
        )


@dataclass(frozen=True, eq=False)
class RidgeRisks:
    """Risks of training patients, in sample and out of fold, and of test patients.

    Attributes
    ----------
    train, out_of_fold : array, (training patients,)
        From the final fit; from a fit on the other inner folds.
    inner : array of int, (training patients,)
        Inner fold of each.
    test : array, (test patients,)
    train_has, test_has : array of bool
        Who has any of the modalities.
    penalty : float
        Of the final fit.
    note : str
    inputs : int
        Features it was fitted on.
    effective : float
        Effective parameters of the final fit.
    """

    train: FloatArray
    out_of_fold: FloatArray
    inner: IntArray
    test: FloatArray
    train_has: BoolArray
    test_has: BoolArray
    penalty: float
    note: str = ""
    inputs: int = 0
    effective: float = 0.0


def ridge_risks(
    cohort: Cohort,
    target: Cohort,
    train: tuple[str, ...],
    test: tuple[str, ...],
    inputs: RidgeInputs,
) -> RidgeRisks:
    """Fit a ridge Cox on `train`, and on all inner folds but one for each; predict.

    Parameters
    ----------
    cohort, target : Cohort
        Of the training patients; of the test patients.
    train, test : tuple of str
        Training patients sorted by id, so that the order they are named in never matters.
    inputs : RidgeInputs

    Raises
    ------
    CohortError, NotComputableError, TransformError
        With fewer than two events, or a modality that no training patient has.
    """
    key = (id(cohort), id(target), train, test, inputs)
    known = _REMEMBERED.get(key)
    if known is not None and known[0]() is cohort and known[1]() is target:
        _REMEMBERED.move_to_end(key)
        return known[2]
    risks = _ridge_risks(cohort, target, train, test, inputs)
    _REMEMBERED[key] = (weakref.ref(cohort), weakref.ref(target), risks)
    if len(_REMEMBERED) > REMEMBERED:
        _REMEMBERED.popitem(last=False)
    return risks


_Entry = tuple["weakref.ref[Cohort]", "weakref.ref[Cohort]", RidgeRisks]
_REMEMBERED: OrderedDict[tuple[Any, ...], _Entry] = OrderedDict()


def _ridge_risks(
    cohort: Cohort,
    target: Cohort,
    train: tuple[str, ...],
    test: tuple[str, ...],
    inputs: RidgeInputs,
) -> RidgeRisks:
    _, event = outcomes(cohort, train)
    inner = inner_folds(event, inner_fold_count(event), inputs.seed)
    out_of_fold = np.empty(len(train))
    for fold in np.unique(inner):
        held = inner == fold
        kept = [train[row] for row in np.flatnonzero(~held)]
        other = [train[row] for row in np.flatnonzero(held)]
        transforms, _, fitted = _fit(cohort, kept, inputs)
        out_of_fold[held] = fitted.risk(_read(cohort, transforms, other))[0]
    transforms, blocks, final = _fit(cohort, train, inputs)
    train_risk, train_has = final.risk(blocks)
    test_risk, test_has = final.risk(_read(target, transforms, test))
    return RidgeRisks(
        train_risk,
        out_of_fold,
        inner,
        test_risk,
        train_has,
        test_has,
        final.penalty,
        final.note,
        sum(len(coef) for coef in final.coef.values()),
        final.effective,
    )


def _fit(
    cohort: Cohort,
    train: Sequence[str],
    inputs: RidgeInputs,
) -> tuple[Transforms, Blocks, RidgeCox]:
    transforms = Transforms.fit(cohort, train, inputs.config)
    blocks = _read(cohort, transforms, train)
    time, event = outcomes(cohort, train)
    fitted = RidgeCox.fit(
        blocks,
        time,
        event,
        bags=transforms.bag_scaler,
        blanks=transforms.blanks,
    )
    return transforms, blocks, fitted


def _read(
    cohort: Cohort,
    transforms: Transforms,
    ids: Sequence[str],
) -> dict[str, Block]:
    return read_blocks(BatchSource(cohort, transforms, ids))
