"""Baselines that need no network: Kaplan-Meier, ridge Cox, and the late fusion of ridge Cox models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from survfuse._errors import context
from survfuse._types import BoolArray, FloatArray, IntArray
from survfuse.anchors.blocks import outcomes
from survfuse.anchors.ridge import RidgeInputs, RidgeRisks, ridge_risks
from survfuse.cohort.cohort import Cohort
from survfuse.estimator import Prediction
from survfuse.evaluation.learner import MIDDLE_GROUP, FoldResult, Role
from survfuse.fitting import risk_cuts
from survfuse.survival.calibration import fit_calibrator
from survfuse.survival.degrees_of_freedom import events_per_effective
from survfuse.training import Hook

SILENT = 0.01  # standard deviation of log-risks (log hazard ratios) below which a ridge Cox found nothing


@dataclass(frozen=True)
class KaplanMeierLearner:
    """Everyone gets the Kaplan-Meier curve of the training patients."""

    name: str = "km"
    role: Role = "baseline"
    modalities: tuple[str, ...] = ()

    def identity(self) -> dict[str, Any]:
        """Nothing but its kind."""
        return {"learner": "km"}

    def fit_predict(
        self,
        cohort: Cohort,
        train: Sequence[str],
        test: Sequence[str],
        hooks: Sequence[Hook] = (),
        folder: Path | None = None,
        *,
        target: Cohort | None = None,
    ) -> FoldResult:
        """Draw the curve of `train`; log-risk 0 and the middle risk group for everyone."""
        (target or cohort).check_patients(test)
        time, event = outcomes(cohort, sorted(train))
        calibrator = fit_calibrator("km", time, event, np.zeros(len(time)))
        nothing = np.zeros(len(test))
        prediction = Prediction(
            patient_id=tuple(test),
            log_risk=nothing,
            predicted_time=calibrator.predicted_time(nothing),
            risk_group=np.full(len(test), MIDDLE_GROUP),
            unit=str(cohort.unit or ""),
            calibrator=calibrator,
        )
        return FoldResult(
            prediction,
            {"patients": len(train), "events": int(event.sum())},
        )


@dataclass(frozen=True)
class RidgeLearner:
    """Ridge Cox on the concatenated inputs of some modalities, calibrated out of fold.

    A patient without a modality gets its training mean (see :class:`RidgeInputs`).
    """

    name: str
    modalities: tuple[str, ...]
    allow_followup: tuple[str, ...] = ()
    seed: int = 0
    role: Role = "baseline"

    @property
    def inputs(self) -> RidgeInputs:
        """What it reads."""
        return RidgeInputs(self.modalities, self.allow_followup, self.seed)

    def identity(self) -> dict[str, Any]:
        """Return seed and the inputs' configuration."""
        config = self.inputs.config.identity()
        return {"learner": "ridge", "seed": self.seed, "config": config}

    def fit_predict(
        self,
        cohort: Cohort,
        train: Sequence[str],
        test: Sequence[str],
        hooks: Sequence[Hook] = (),
        folder: Path | None = None,
        *,
        target: Cohort | None = None,
    ) -> FoldResult:
        """Fit on `train`, calibrate on inner out-of-fold risks, predict `test`."""
        ids = tuple(sorted(train))
        risks = ridge_risks(cohort, target or cohort, ids, tuple(test), self.inputs)
        prediction = _calibrated(
            cohort,
            ids,
            test,
            risks.train,
            risks.out_of_fold,
            risks.inner,
            risks.test,
        )
        return FoldResult(
            prediction,
            {
                "penalty": risks.penalty,
                "ridge_note": risks.note,
                "events": (events := int(outcomes(cohort, ids)[1].sum())),
                "parameters": risks.inputs,
                "effective_parameters": risks.effective,
                "events_per_effective_parameter": events_per_effective(
                    [events],
                    [risks.effective],
                ),
                "calibration_note": prediction.calibrator.note,
            },
        )


@dataclass(frozen=True)
class LateFusionLearner:
    """Sum over modalities of the z-scored risk of each modality's own ridge Cox.

    Every fit's risks are standardised by themselves: those of the final fit by its
    training patients', out-of-fold risks within their inner fold, because each fit chose
    its own penalty and with it its own scale. A fit whose risks hardly differ
    (deviation below `SILENT`) found nothing and stays silent; who lacks a modality gets
    its mean, 0. Every other modality has the same weight, so that nothing more is
    learned; the sum is calibrated (Cox slope, Breslow baseline) out of fold.
    """

    name: str
    modalities: tuple[str, ...]
    allow_followup: tuple[str, ...] = ()
    seed: int = 0
    role: Role = "baseline"

    def identity(self) -> dict[str, Any]:
        """Return modalities, seed and the inputs' configuration."""
        config = RidgeInputs(self.modalities, self.allow_followup).config.identity()
        return {"learner": "late", "seed": self.seed, "config": config}

    def fit_predict(
        self,
        cohort: Cohort,
        train: Sequence[str],
        test: Sequence[str],
        hooks: Sequence[Hook] = (),
        folder: Path | None = None,
        *,
        target: Cohort | None = None,
    ) -> FoldResult:
        """Fit a ridge Cox on each modality of `train`, add their z-scores, calibrate, predict `test`."""
        ids = tuple(sorted(train))
        found: dict[str, RidgeRisks] = {}
        for name in self.modalities:
            inputs = RidgeInputs((name,), self.allow_followup, self.seed)
            with context(name):
                found[name] = ridge_risks(
                    cohort,
                    target or cohort,
                    ids,
                    tuple(test),
                    inputs,
                )
        in_sample = np.sum(
            [_z(one.train, one.train_has, one) for one in found.values()],
            axis=0,
        )
        out_of_fold = np.sum([_z_within(one) for one in found.values()], axis=0)
        told = np.sum(
            [_z(one.test, one.test_has, one) for one in found.values()],
            axis=0,
        )
        inner = next(
            iter(found.values()),
        ).inner  # the same folds for every modality: same patients, same seed
        prediction = _calibrated(cohort, ids, test, in_sample, out_of_fold, inner, told)
        return FoldResult(
            prediction,
            {
                "penalties": {name: one.penalty for name, one in found.items()},
                "ridge_notes": {
                    name: one.note for name, one in found.items() if one.note
                },
                "calibration_note": prediction.calibrator.note,
            },
        )


def _z(values: FloatArray, has: BoolArray, risks: RidgeRisks) -> FloatArray:
    """Standardise risks of the final fit by those of its training patients; 0 without the modality."""
    return _standardised(values, has, risks.train[risks.train_has])


def _z_within(risks: RidgeRisks) -> FloatArray:
    """Standardise out-of-fold risks within their inner fold; 0 without the modality."""
    found = np.zeros(len(risks.out_of_fold))
    for fold in np.unique(risks.inner):
        held = risks.inner == fold
        has = risks.train_has[held]
        values = risks.out_of_fold[held]
        found[held] = _standardised(values, has, values[has])
    return found


def _standardised(values: FloatArray, has: BoolArray, known: FloatArray) -> FloatArray:
    spread = float(known.std()) if len(known) else 0.0
    if spread < SILENT:
        return np.zeros(len(values))
    return np.where(has, (values - known.mean()) / spread, 0.0)


def _calibrated(
    cohort: Cohort,
    train: Sequence[str],
    test: Sequence[str],
    in_sample: FloatArray,
    out_of_fold: FloatArray,
    inner: IntArray,
    log_risk: FloatArray,
) -> Prediction:
    """Prediction of the test patients, calibrated on the training patients' out-of-fold risks."""
    time, event = outcomes(cohort, train)
    calibrator = fit_calibrator(
        "breslow_oof",
        time,
        event,
        in_sample,
        out_of_fold=out_of_fold,
        fold=inner,
    )
    cuts = risk_cuts(in_sample, out_of_fold, inner)
    return Prediction(
        patient_id=tuple(test),
        log_risk=log_risk,
        predicted_time=calibrator.predicted_time(log_risk),
        risk_group=np.searchsorted(cuts, log_risk, side="left"),
        unit=str(cohort.unit or ""),
        calibrator=calibrator,
    )
