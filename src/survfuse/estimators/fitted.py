"""A fitted, calibrated model: log-risks of any estimator turned into curves, times and groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from survfuse._errors import ConfigError, SurvfuseError, TransformError, listed
from survfuse._types import BoolArray, FloatArray, IntArray
from survfuse.cohort.batch_source import BatchSource
from survfuse.cohort.cohort import Cohort
from survfuse.cohort.drift import Drift
from survfuse.cohort.patient_hashes import PatientHashes
from survfuse.cohort.tile_clusters import TileClusters
from survfuse.cohort.transform_inputs import mean_inputs
from survfuse.cohort.transforms import Transforms
from survfuse.config import FitConfig
from survfuse.decomposition import Agreement, Reference
from survfuse.estimators.base import Fit, RiskModel, foreign_code, make_estimator
from survfuse.estimators.fold_context import FoldContext
from survfuse.estimators.model_parts import ModelParts
from survfuse.fit_summary import learned_from, size_summary
from survfuse.prediction import Prediction
from survfuse.survival.calibration import (
    Calibrator,
    KmRankCalibrator,
    centred_in_folds,
    fit_calibrator,
)
from survfuse.survival.conformal import ConformalBound
from survfuse.survival.degrees_of_freedom import likelihood_ratio
from survfuse.survival.stacking import gains
from survfuse.training import Ranks
from survfuse.tuning.search import search, trial_file

RISK_GROUPS = 3


@dataclass(frozen=True)
class Fitted:
    """Everything that was learned from the training patients.

    Attributes
    ----------
    config : FitConfig
    transforms : Transforms
    model : RiskModel
    calibrator : Calibrator
    risk_cuts : array, (groups - 1,)
        Tertiles of the training risks, out of fold where they were made.
    summary : mapping
        Patients, events, unit, epochs, versions: plain values for people and JSON.
    trained : PatientHashes or None
        Training patients; None in bundles that older versions wrote, and of baselines.
    drift : Drift or None
        What training patients look like; None in bundles that older versions wrote, and of
        baselines.
    bound : ConformalBound or None
        Where the configuration asks for one.
    reference : Reference or None
        What the model reads of its training patients, which explanations compare with; None in
        folds and in bundles that older versions wrote, and of models that cannot be explained or
        read single tiles.
    clusters : mapping of bag to TileClusters
        Of the training tiles; empty where they were not made.
    agreement : Agreement or None
        How far models of halves of the training patients explain alike
        (:mod:`survfuse.explanations.agreement`); None where it was not measured.
    """

    config: FitConfig
    transforms: Transforms
    model: RiskModel
    calibrator: Calibrator
    risk_cuts: FloatArray
    summary: Mapping[str, Any]
    trained: PatientHashes | None = None
    drift: Drift | None = None
    bound: ConformalBound | None = None
    reference: Reference | None = None
    clusters: Mapping[str, TileClusters] = field(default_factory=dict)
    agreement: Agreement | None = None

    def source(
        self,
        cohort: Cohort,
        ids: Sequence[str],
    ) -> BatchSource:
        """Transform patients for the model, which does not get their outcomes."""
        return BatchSource(replace(cohort, outcome=None), self.transforms, ids)

    def prediction(
        self,
        ids: Sequence[str],
        log_risk: FloatArray,
    ) -> Prediction:
        """Calibrate log-risks (patients,): curves, times and groups, without notes."""
        return Prediction(
            patient_id=tuple(ids),
            log_risk=log_risk,
            predicted_time=self.calibrator.predicted_time(log_risk),
            risk_group=np.searchsorted(self.risk_cuts, log_risk, side="left"),
            unit=str(self.summary["unit"]),
            calibrator=self.calibrator,
            bound=self.bound,
        )

    def predict(
        self,
        cohort: Cohort,
        ids: Sequence[str],
        source: BatchSource | None = None,
        log_risk: FloatArray | None = None,
    ) -> Prediction:
        """Predict patients of a cohort, with notes on each; no outcome is needed or read.

        Parameters
        ----------
        cohort : Cohort
        ids : sequence of str
        source : BatchSource, optional
            What :meth:`source` gave for these patients, so that they are not transformed again.
        log_risk : array, (patients,), optional
            What the model gave for them, so that their tiles are not read again.

        Raises
        ------
        TransformError
            Data that do not fit the training cohort (unit, genes, encoder, coverage).
        """
        cohort = self.transforms.with_priors(cohort)
        if source is None:
            source = self.source(cohort, ids)
        if log_risk is None:
            log_risk = self.model.log_risk(source)
        infinite = np.array(ids, dtype=object)[~np.isfinite(log_risk)]
        if len(infinite):
            raise TransformError(
                f"no finite risk for {listed(infinite)}; look for values far outside training",
            )
        prediction = self.prediction(ids, log_risk)
        drift = in_training = unchanged = None
        if self.trained is not None:
            in_training = self.trained.among(ids)
            unchanged = self.trained.unchanged(cohort, ids, self.transforms.dims)
        if self.drift is not None:
            drift = self.drift.judge(source, unchanged, in_training)
        notes = [
            *_training_notes(ids, in_training, unchanged),
            *_input_notes(source),
            *_late_notes(prediction),
            *(() if drift is None else drift.notes),
        ]
        if in_training is not None:
            in_training |= self.transforms.known_to_priors(cohort, ids)
        return replace(
            prediction,
            notes=tuple(notes),
            drift=drift,
            in_training=in_training,
        )


def fit_model(fold: FoldContext, config: FitConfig) -> Fitted:
    """Choose hyper-parameters, fit the estimator, and describe the fit and its reference, in turn.

    Parameters
    ----------
    fold : FoldContext
    config : FitConfig

    Raises
    ------
    CohortError
        With too few events to select on.
    LeakageError
        When a column that is known only during follow-up would be an input.
    """
    config, log = searched(fold, config)
    fit = make_estimator(config).fit(fold)
    fitted = described(fold, fit, config, log)
    try:
        parts = fit.model.parts(fit.transforms)
    except ConfigError:
        return fitted
    if parts.needs_tiles:
        return fitted
    reference = reference_of(fold, fit, parts, config.training.seed)
    return replace(fitted, reference=reference)


def described(
    fold: FoldContext,
    fit: Fit,
    config: FitConfig,
    log: Mapping[str, Any] | None = None,
) -> Fitted:
    """Calibrate a fit, with all that its predictions and its bundle need; clear its checkpoints.

    Parameters
    ----------
    fold : FoldContext
    fit : Fit
        Of the fold.
    config : FitConfig
        That it was fitted by.
    log : mapping, optional
        Of the search that chose the configuration (:func:`searched`).
    """
    fitted = calibrated(fold, fit, config)
    ratio = None
    if config.network.head == "cox":
        # The paper's loss knows no ties.
        ties = "breslow" if config.training.loss == "paper" else config.training.loss
        ratio = likelihood_ratio(fold.time, fold.event, fit.in_sample, ties=ties)
    size = replace(fit.effective, ratio=ratio)
    dims, events = fit.transforms.dims, int(fold.event.sum())
    summary = {
        **learned_from(fold.cohort, fold.ids, fold.time, fold.event, dims),
        "parameters": fit.parameters,
        "events_per_parameter": events / fit.parameters if fit.parameters else None,
        **size_summary(size, events),
        "epochs": list(fit.epochs),
        **fit.details,
        **({} if log is None else {"search": log}),
        **_spread_of(fit),
        "calibration_note": fitted.calibrator.note,
        "transform_notes": [str(note) for note in fit.transforms.notes],
    }
    bound = None
    if config.calibration.conformal is not None and fit.out_of_fold is not None:
        centred = centred_in_folds(fit.out_of_fold, fit.inner, len(fold.ids))
        bound = ConformalBound.fit(
            fold.time,
            fold.event,
            centred + fit.in_sample.mean(),
            fitted.calibrator,
            config.calibration.conformal,
        )
    fitted = replace(
        fitted,
        summary=summary,
        trained=PatientHashes.with_data(fold.cohort, fold.ids, dims),
        drift=Drift.fit(fit.source),
        bound=bound,
    )
    fold.clear()
    return fitted


def _spread_of(fit: Fit) -> dict[str, float]:
    """How far the log-risks of the training patients differ, where they can at all."""
    if not fit.model.ranks_patients:
        return {}
    return {"risk_deviation": float(fit.in_sample.std())}


def reference_of(
    fold: FoldContext,
    fit: Fit,
    parts: ModelParts,
    seed: int,
) -> Reference:
    """What a model, taken apart, reads of its training patients."""
    return Reference.of(
        parts.read(fit.source),
        from_background=parts.from_background,
        seed=seed,
        inputs=mean_inputs(fit.transforms, fold.cohort, fit.source.prepared),
    )


def calibrated(
    fold: FoldContext,
    fit: Fit,
    config: FitConfig,
) -> Fitted:
    """Turn the log-risk of any estimator into curves, times and risk groups.

    Parameters
    ----------
    fold : FoldContext
    fit : Fit
        Of the fold.
    config : FitConfig
        Its `calibration` is read.
    """
    calibrator = fit_calibrator(
        config.calibration.method,
        fold.time,
        fold.event,
        fit.in_sample,
        out_of_fold=fit.out_of_fold,
        fold=None if fit.out_of_fold is None else fit.inner,
    )
    # Where risks cannot differ, everyone is in the middle group.
    cuts = np.array([-1.0, 1.0])
    if fit.model.ranks_patients:
        cuts = risk_cuts(fit.in_sample, fit.out_of_fold, fit.inner)
    events = int(fold.event.sum())
    sizes = {}
    if fit.parameters is not None:
        sizes = {"parameters": fit.parameters, **size_summary(fit.effective, events)}
    summary = {
        "unit": str(fold.cohort.unit or ""),
        "patients": len(fold.ids),
        "events": events,
        **fit.details,
        **sizes,
        "calibration_note": calibrator.note,
    }
    return Fitted(config, fit.transforms, fit.model, calibrator, cuts, summary)


def risk_cuts(
    log_risk: FloatArray,
    out_of_fold: FloatArray | None,
    inner: IntArray,
) -> FloatArray:
    """Cut-offs that split training patients into equal risk groups; (groups - 1,).

    Out-of-fold risks are used where there are any, each fold centred on its own
    mean and the whole moved to the mean of the final model's risks, because
    in-sample risks of a flexible model are spread too far.
    """
    risks = log_risk
    if out_of_fold is not None:
        means = np.bincount(inner, weights=out_of_fold) / np.bincount(inner)
        risks = out_of_fold - means[inner] + log_risk.mean()
    return np.quantile(risks, np.arange(1, RISK_GROUPS) / RISK_GROUPS)


def searched(
    fold: FoldContext,
    config: FitConfig,
) -> tuple[FitConfig, Mapping[str, Any] | None]:
    """Choose hyper-parameters, if the configuration asks for it; and the log of the search."""
    if config.search.method == "none":
        return config, None
    if Ranks.here().count > 1:
        raise ConfigError(
            f"search: {config.search.method!r} runs on one process, for each has a clock of its "
            "own; search without torchrun, then train with the fields that search.json names",
        )

    def score(
        tried: FitConfig,
        label: str,
    ) -> tuple[float, tuple[int, ...]]:
        """Out-of-fold log partial likelihood per event, above that of no risk; and epochs."""
        tried = tried.model_copy(
            update={"calibration": "breslow_oof", "conformal": None},
        )
        trial = replace(
            fold,
            label=fold.label + label,
            checkpoints=set(),
        )
        estimator = make_estimator(tried)
        try:
            risks, epochs = estimator.out_of_fold(trial)
        except SurvfuseError:
            trial.clear()
            raise
        trial.clear()
        inner = estimator.inner(trial)
        (gain,) = gains(risks[:, None], fold.time, fold.event, fold=inner)
        return float(gain / fold.event.sum()), epochs

    modalities = fold.cohort.modalities
    names = config.inputs.modalities or tuple(modalities)
    kinds = {modalities[name].kind for name in names if name in modalities}
    key = fold.identity(config, foreign_code(config))
    result = search(
        config,
        kinds,
        score,
        folder=fold.folder,
        key=key,
    )
    if fold.folder is not None:
        for trial in result.log["trials"]:
            fold.checkpoints.add(trial_file(fold.folder, trial["number"]))
    return result.config, result.log


def _training_notes(
    ids: Sequence[str],
    in_training: BoolArray | None,
    unchanged: BoolArray | None,
) -> list[tuple[str, str]]:
    """Note on patients that the model was trained on."""
    if in_training is None or unchanged is None or not in_training.any():
        return []
    names = np.array(ids, dtype=object)
    notes = [
        f"{in_training.sum()} of {len(ids)} patients were trained on (in_training: "
        f"{listed(names[in_training])}): these predictions are in sample, fit better than they "
        "would for new patients, and must not be scored",
    ]
    if unchanged.any():
        notes.append(
            f"drift is not judged for the {unchanged.sum()} of them whose data were trained on",
        )
    changed = in_training & ~unchanged
    if changed.any():
        notes.append(
            f"{listed(names[changed])}: other data than those trained on; other people under "
            "the same ids? then rename them",
        )
    return [("", "; ".join(notes))]


def _input_notes(source: BatchSource) -> list[tuple[str, str]]:
    """Notes on what was assumed about patients, and what they lack."""
    prepared, notes = source.prepared, []
    for remark in prepared.report.itertuples(index=False):
        text = f"{remark.modality}: {remark.feature}: {remark.kind}: {remark.detail}"
        notes.append((str(remark.patient_id), text))
    lacks_all = np.full(len(source), bool(prepared.present))
    for name, has in prepared.present.items():
        lacks_all &= ~has
        for row in np.flatnonzero(~has):
            notes.append((source.patients[row], f"{name}: absent"))
    for row in np.flatnonzero(lacks_all):
        text = (
            "no modality at all: the risk is the network's constant, not this patient's"
        )
        notes.append((source.patients[row], text))
    return notes


def _late_notes(prediction: Prediction) -> list[tuple[str, str]]:
    """Patients whom the rank map puts on the last plateau of the training curve."""
    calibrator, notes = prediction.calibrator, []
    if isinstance(calibrator, KmRankCalibrator):
        for row in np.flatnonzero(calibrator.beyond(prediction.log_risk)):
            text = (
                f"predicted_time: later than {prediction.predicted_time[row]:g} {prediction.unit} "
                "(last plateau of the training Kaplan-Meier curve)"
            )
            notes.append((prediction.patient_id[row], text))
    return notes
