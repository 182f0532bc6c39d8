"""Ridge Cox on the inputs of some modalities: what every model has to beat."""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from survfuse._errors import NotComputableError
from survfuse._types import BoolArray, FloatArray, IntArray
from survfuse.cohort.batches import BatchSource
from survfuse.cohort.cohort import Cohort
from survfuse.cohort.components import principal_axes
from survfuse.cohort.splits import inner_folds
from survfuse.cohort.transforms import Transforms
from survfuse.config import FitConfig
from survfuse.evaluation.learner import outcomes
from survfuse.survival.cox import ridge_cox_cv

BAG_COMPONENTS = 32  # principal components of a mean-pooled bag before the ridge Cox
INNER_FOLDS = 5
REMEMBERED = 1024  # sets of risks that learners on the same fold share; a few KB each


@dataclass(frozen=True)
class RidgeInputs:
    """Which inputs a ridge Cox reads, and the seed of its inner folds.

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
        return FitConfig.of(modalities=self.modalities, allow_followup=self.allow_followup, device="cpu")


@dataclass(frozen=True, eq=False)
class Components:
    """Principal components of some rows, each scaled to unit variance among them."""

    centre: FloatArray  # (features,)
    axes: FloatArray  # (components, features)
    deviations: FloatArray  # (components,)

    @classmethod
    def fit(cls, x: FloatArray, most: int) -> Components:
        """Find at most `most` components of the rows of `x`.

        Raises
        ------
        NotComputableError
            When all rows are equal.
        """
        centre = x.mean(axis=0)
        axes, deviations = principal_axes(x - centre, most)
        if len(axes) == 0:
            raise NotComputableError("the training patients' mean tiles are all equal; nothing to learn from")
        return cls(centre, axes, deviations)

    def apply(self, x: FloatArray) -> FloatArray:
        """Scores of any rows; (rows, components)."""
        return np.asarray((x - self.centre) @ self.axes.T / self.deviations)


@dataclass(frozen=True, eq=False)
class RidgeCox:
    """One fitted ridge Cox and the way from a patient to its inputs.

    Attributes
    ----------
    transforms : Transforms
    bags : mapping of bag modality to Components
        Of the mean tiles of the training patients.
    centre, coef : array, (features,)
        Mean of each input over the training patients who have its modality; weights.
    penalty : float
    note : str
    """

    transforms: Transforms
    bags: Mapping[str, Components]
    centre: FloatArray
    coef: FloatArray
    penalty: float
    note: str

    @classmethod
    def fit(cls, cohort: Cohort, train: Sequence[str], inputs: RidgeInputs) -> RidgeCox:
        """Fit on the training patients who have any of the modalities, penalty by inner cross-validation."""
        transforms = Transforms.fit(cohort, train, inputs.config)
        raw = _raw(BatchSource(cohort, transforms, train))
        bags = {
            name: Components.fit(x[has], BAG_COMPONENTS)
            for name, (x, has) in raw.items()
            if name in transforms.bag_scaler
        }
        blocks = _projected(raw, bags)
        centre = np.concatenate([x[has].mean(axis=0) for x, has in blocks])
        x, has = _joined(blocks, centre)
        time, event = outcomes(cohort, train)
        path = ridge_cox_cv(
            x[has], time[has], event[has], folds=inner_fold_count(event[has]), seed=inputs.seed
        )
        return cls(transforms, bags, centre, path.coef, float(path.penalty), path.note)

    def risk(self, cohort: Cohort, ids: Sequence[str]) -> tuple[FloatArray, BoolArray]:
        """Log-risk above the training mean, and who has any modality; (patients,) each.

        A patient without a modality gets its training mean; without any, 0.
        """
        raw = _raw(BatchSource(cohort, self.transforms, ids))
        x, has = _joined(_projected(raw, self.bags), self.centre)
        return np.asarray(x @ self.coef), has


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
    """

    train: FloatArray
    out_of_fold: FloatArray
    inner: IntArray
    test: FloatArray
    train_has: BoolArray
    test_has: BoolArray
    penalty: float
    note: str = ""


def ridge_risks(
    cohort: Cohort, target: Cohort, train: tuple[str, ...], test: tuple[str, ...], inputs: RidgeInputs
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
    cohort: Cohort, target: Cohort, train: tuple[str, ...], test: tuple[str, ...], inputs: RidgeInputs
) -> RidgeRisks:
    _, event = outcomes(cohort, train)
    inner = inner_folds(event, inner_fold_count(event), inputs.seed)
    out_of_fold = np.empty(len(train))
    for fold in np.unique(inner):
        held = inner == fold
        kept = [train[row] for row in np.flatnonzero(~held)]
        other = [train[row] for row in np.flatnonzero(held)]
        out_of_fold[held] = RidgeCox.fit(cohort, kept, inputs).risk(cohort, other)[0]
    final = RidgeCox.fit(cohort, train, inputs)
    train_risk, train_has = final.risk(cohort, train)
    test_risk, test_has = final.risk(target, test)
    return RidgeRisks(
        train_risk, out_of_fold, inner, test_risk, train_has, test_has, final.penalty, final.note
    )


def inner_fold_count(event: BoolArray) -> int:
    """Inner folds that these patients can fill: each needs an event."""
    return max(2, min(INNER_FOLDS, int(event.sum())))


def mean_tiles(source: BatchSource, modality: str, patients: int = 32) -> tuple[FloatArray, BoolArray]:
    """Mean scaled tile of each patient; (patients, features), zeros where absent, and presence."""
    means, present = [], []
    for start in range(0, len(source), patients):
        batch = source.batch(np.arange(start, min(start + patients, len(source))))
        tiles, offsets = batch.bags[modality].numpy().astype(np.float64), batch.offsets[modality].numpy()
        counts = np.diff(offsets)
        total = np.zeros((len(counts), tiles.shape[1]))
        np.add.at(total, np.repeat(np.arange(len(counts)), counts), tiles)
        means.append(total / np.maximum(counts, 1)[:, None])
        present.append(batch.present[modality].numpy())
    return np.concatenate(means), np.concatenate(present)


_Block = tuple[FloatArray, BoolArray]


def _raw(source: BatchSource) -> dict[str, _Block]:
    """Vector, or mean tile, of each patient in each modality, and who has it."""
    prepared = source.prepared
    return {
        name: (prepared.vectors[name].astype(np.float64), has)
        if name in prepared.vectors
        else mean_tiles(source, name)
        for name, has in prepared.present.items()
    }


def _projected(raw: Mapping[str, _Block], bags: Mapping[str, Components]) -> list[_Block]:
    return [(bags[name].apply(x) if name in bags else x, has) for name, (x, has) in raw.items()]


def _joined(blocks: Sequence[_Block], centre: FloatArray) -> _Block:
    """Blocks side by side, centred, zero where a patient lacks the modality; and who has any."""
    parts, start = [], 0
    for x, has in blocks:
        parts.append(np.where(has[:, None], x - centre[start : start + x.shape[1]], 0.0))
        start += x.shape[1]
    return np.concatenate(parts, axis=1), np.any([has for _, has in blocks], axis=0)
