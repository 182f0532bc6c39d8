"""What is compared on the same folds: the model, and the baselines nobody may leave out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from survfuse._errors import NotComputableError
from survfuse._types import BoolArray, FloatArray, IntArray
from survfuse.cohort.batches import BatchSource
from survfuse.cohort.cohort import Cohort
from survfuse.cohort.components import principal_axes
from survfuse.cohort.splits import inner_folds
from survfuse.cohort.transforms import Transforms
from survfuse.config import FitConfig
from survfuse.estimator import Prediction, SurvivalFusion
from survfuse.fitting import risk_cuts
from survfuse.survival.calibration import fit_calibrator
from survfuse.survival.cox import ridge_cox_cv
from survfuse.training import Hook

BAG_COMPONENTS = 32  # principal components of a mean-pooled bag before the ridge Cox
INNER_FOLDS = 5


class Learner(Protocol):
    """Something that learns from some patients of a cohort and predicts others."""

    @property
    def name(self) -> str:
        """What it is called in tables."""
        ...

    def identity(self) -> dict[str, Any]:
        """Everything that the predictions depend on besides patients and data."""
        ...

    def fit_predict(
        self,
        cohort: Cohort,
        train: Sequence[str],
        test: Sequence[str],
        hooks: Sequence[Hook],
        folder: Path | None,
    ) -> tuple[Prediction, dict[str, Any]]:
        """Learn from `train`, predict `test`; the summary tells what was learned."""
        ...


@dataclass(frozen=True)
class NetworkLearner:
    """A :class:`SurvivalFusion` under a name."""

    name: str
    config: FitConfig

    def identity(self) -> dict[str, Any]:
        """Return the resolved configuration."""
        return {"learner": "network", "config": self.config.model_dump(mode="json")}

    def fit_predict(
        self,
        cohort: Cohort,
        train: Sequence[str],
        test: Sequence[str],
        hooks: Sequence[Hook],
        folder: Path | None,
    ) -> tuple[Prediction, dict[str, Any]]:
        """Fit the model on `train` and predict `test`."""
        model = SurvivalFusion.from_config(self.config).fit(cohort, train, hooks=hooks, checkpoints=folder)
        assert model.fitted is not None
        return model.predict(cohort, test), dict(model.fitted.summary)


@dataclass(frozen=True)
class RidgeLearner:
    """Ridge Cox on one modality, penalty by inner cross-validation, calibrated out of fold.

    Clinical columns and tables enter as they are transformed, expression as
    principal components, bags as the principal components of their mean tile.
    A patient without the modality gets the training mean's risk.
    """

    name: str
    modality: str
    allow_followup: tuple[str, ...] = ()
    seed: int = 0

    @property
    def config(self) -> FitConfig:
        """The inputs' configuration: the default preset with this modality alone."""
        return FitConfig.of(modalities=(self.modality,), allow_followup=self.allow_followup, device="cpu")

    def identity(self) -> dict[str, Any]:
        """Return modality, seed and the inputs' configuration."""
        return {"learner": "ridge", "seed": self.seed, "config": self.config.model_dump(mode="json")}

    def fit_predict(
        self,
        cohort: Cohort,
        train: Sequence[str],
        test: Sequence[str],
        hooks: Sequence[Hook],
        folder: Path | None,
    ) -> tuple[Prediction, dict[str, Any]]:
        """Fit on `train`, calibrate on inner out-of-fold risks, predict `test`."""
        time, event = _outcome(cohort, train)
        inner = inner_folds(event, _folds(event), self.seed)
        out_of_fold = np.empty(len(train))
        ids = np.asarray(train, dtype=object)
        for fold in np.unique(inner):
            held = inner == fold
            out_of_fold[held] = self._risks(cohort, ids[~held], ids[held])[1]
        train_risk, test_risk, penalty = self._risks(cohort, ids, np.asarray(test, dtype=object))
        calibrator = fit_calibrator(
            "breslow_oof", time, event, train_risk, out_of_fold=out_of_fold, fold=inner
        )
        cuts = risk_cuts(train_risk, out_of_fold, inner)
        prediction = Prediction(
            patient_id=tuple(test),
            log_risk=test_risk,
            predicted_time=calibrator.predicted_time(test_risk),
            risk_group=np.searchsorted(cuts, test_risk, side="left"),
            unit=str(cohort.spec.outcome.unit) if cohort.spec.outcome else "",
            calibrator=calibrator,
        )
        return prediction, {"penalty": penalty, "calibration_note": calibrator.note}

    def _risks(self, cohort: Cohort, train: Any, test: Any) -> tuple[FloatArray, FloatArray, float]:
        x, has = self._inputs(cohort, train, test)
        cut = len(train)
        time, event = _outcome(cohort, train)
        known = has[:cut]
        path = ridge_cox_cv(
            x[:cut][known], time[known], event[known], folds=_folds(event[known]), seed=self.seed
        )
        risk = np.where(has, (x - x[:cut][known].mean(axis=0)) @ path.coef, 0.0)
        return risk[:cut], risk[cut:], float(path.penalty)

    def _inputs(self, cohort: Cohort, train: Any, test: Any) -> tuple[FloatArray, Any]:
        """Matrix of training rows, then test rows; (patients, features) and (patients,) presence."""
        ids = [*train, *test]
        transforms = Transforms.fit(cohort, list(train), self.config)
        source = BatchSource(cohort, transforms, ids)
        prepared = source.prepared
        if self.modality in prepared.vectors:
            return prepared.vectors[self.modality].astype(np.float64), prepared.present[self.modality]
        means, present = mean_tiles(source, self.modality)
        return principal_components(means, np.flatnonzero(present[: len(train)]), BAG_COMPONENTS), present


def _outcome(cohort: Cohort, ids: Sequence[str]) -> tuple[FloatArray, BoolArray]:
    """Times and events of patients, in their order."""
    assert cohort.outcome is not None
    outcome = cohort.outcome.loc[list(ids)]
    return outcome["time"].to_numpy(float), outcome["event"].to_numpy(bool)


def _folds(event: BoolArray) -> int:
    """Inner folds that these patients can fill: each needs an event."""
    return max(2, min(INNER_FOLDS, int(event.sum())))


def mean_tiles(source: BatchSource, modality: str, patients: int = 32) -> tuple[FloatArray, Any]:
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


def principal_components(x: FloatArray, rows: IntArray, components: int) -> FloatArray:
    """Scores of all rows on the principal components of `rows`, each scaled to unit training variance."""
    centre = x[rows].mean(axis=0)
    axes, deviations = principal_axes(x[rows] - centre, components)
    if len(axes) == 0:
        raise NotComputableError("the training patients' mean tiles are all equal; nothing to learn from")
    return np.asarray((x - centre) @ axes.T / deviations)


def comparators(cohort: Cohort, config: FitConfig, *, networks: bool, seed: int) -> list[Learner]:
    """Baselines that run beside a model: ridge Cox on each modality, and its network on each alone.

    The clinical table comes first; its ridge Cox is the line every model must beat.
    """
    names = [name for name in cohort.modalities if config.modalities is None or name in config.modalities]
    names.sort(key=lambda name: cohort.modalities[name].kind != "clinical")
    every: list[Learner] = [
        RidgeLearner(f"ridge:{name}", name, config.allow_followup, seed) for name in names
    ]
    clinical = [name for name in cohort.modalities if cohort.modalities[name].kind == "clinical"]
    every[:0] = [
        RidgeLearner(f"ridge:{name}", name, config.allow_followup, seed)
        for name in clinical
        if name not in names
    ]
    if networks and len(names) > 1:
        every += [
            NetworkLearner(f"network:{name}", config.model_copy(update={"modalities": (name,)}))
            for name in names
        ]
    return every
