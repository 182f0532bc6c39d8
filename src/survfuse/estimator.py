"""`SurvivalFusion`: patients in, log-risks, survival curves and times out.

The same object trains, cross-validates and serves, so that a patient is
transformed in one way only.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from survfuse._errors import ConfigError, TransformError, listed
from survfuse._types import BoolArray, FloatArray
from survfuse.bundle import load_fitted, save_fitted
from survfuse.cohort.batch_source import BatchSource
from survfuse.cohort.cohort import Cohort
from survfuse.config import FitConfig, parameters_of
from survfuse.fitting import Fitted, fit_model, log_risks
from survfuse.prediction import Prediction
from survfuse.recalibration import calibration_patients, recalibrated
from survfuse.survival.calibration import Calibrator, KmRankCalibrator
from survfuse.training import Hook

__all__ = ["Prediction", "SurvivalFusion", "load"]


def _signature() -> inspect.Signature:
    """Signature with every parameter of a model."""
    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [inspect.Parameter("preset", keyword, default="default")]
    for name in FitConfig().parameters():
        if name != "preset":
            parameters.append(inspect.Parameter(name, keyword, default=None))
    return inspect.Signature(parameters)


class SurvivalFusion:
    """Multimodal survival model: attention over slides, encoders for vectors, a fusion, a calibrated risk.

    Parameters
    ----------
    preset : {"default", "paper"}
        Recipe that every parameter not given is taken from.
    **parameters
        Any of :data:`survfuse.config.PARAMETERS`: ``fusion``, ``rank``, ``modalities``…

    Examples
    --------
    >>> model = SurvivalFusion(fusion="pairwise", rank=64)
    >>> model.get_params()["rank"]
    64
    """

    __signature__ = _signature()

    def __init__(self, **parameters: Any) -> None:
        self._given = parameters_of(parameters)
        self.config = FitConfig.of(**parameters)
        self.fitted: Fitted | None = None

    @classmethod
    def from_config(cls, config: FitConfig) -> SurvivalFusion:
        """Make an unfitted model from a resolved configuration."""
        return cls(**config.parameters())

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in self._given.items())
        return f"SurvivalFusion({given})"

    # -- scikit-learn's conventions

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Every parameter with its value, given or from the preset."""
        return {**self.config.parameters(), **self._given}

    def set_params(self, **parameters: Any) -> SurvivalFusion:
        """Change parameters; the model must be fitted again."""
        parameters = parameters_of(parameters)
        given = {**self._given, **parameters}
        if parameters.get("preset", self.config.preset) != self.config.preset:
            # A clone gives every parameter; those that repeat the old preset make room for the new one's.
            old = FitConfig.of(self.config.preset).parameters()
            given = {
                name: value
                for name, value in given.items()
                if name in parameters or value != old[name]
            }
        self.config = FitConfig.of(**given)
        self._given = given
        self.fitted = None
        return self

    # -- fit and predict

    def fit(
        self,
        cohort: Cohort,
        patients: Sequence[str] | None = None,
        *,
        hooks: Sequence[Hook] = (),
        checkpoints: Path | str | None = None,
    ) -> SurvivalFusion:
        """Learn from the patients of a cohort that have an outcome.

        Parameters
        ----------
        cohort : Cohort
        patients : sequence of str, optional
            Training patients; everyone by default.
        hooks : sequence of Hook
            Watchers of every training run.
        checkpoints : path, optional
            Folder for checkpoints; a fit that was killed goes on from there.

        Raises
        ------
        CohortError
            No outcome, unknown patients, or a modality that the cohort does not have.
        LeakageError
            A column known only during follow-up would be an input.
        """
        folder = None if checkpoints is None else Path(checkpoints)
        self.fitted = fit_model(
            cohort,
            patients,
            self.config,
            hooks=tuple(hooks),
            folder=folder,
        )
        return self

    def predict(
        self,
        cohort: Cohort,
        patients: Sequence[str] | None = None,
    ) -> Prediction:
        """Predict patients of a cohort; no outcome is needed or read.

        Raises
        ------
        TransformError
            Data that do not fit the training cohort (unit, genes, encoder, coverage).
        """
        fitted = self._need_fit()
        ids = tuple(cohort.patients if patients is None else patients)
        source = BatchSource(cohort, fitted.transforms, ids)
        prepared = source.prepared
        log_risk = log_risks(fitted.networks, source, fitted.config)
        wild = [
            patient
            for patient, risk in zip(ids, log_risk, strict=True)
            if not np.isfinite(risk)
        ]
        if wild:
            raise TransformError(
                f"no finite risk for {listed(wild)}; look for values far outside training",
            )
        time = fitted.calibrator.predicted_time(log_risk)
        in_training = seen = None
        if fitted.trained is not None:
            in_training = fitted.trained.among(ids)
            seen = fitted.trained.unchanged(cohort, ids, fitted.transforms.dims)
        drift = None if fitted.drift is None else fitted.drift.judge(source, seen)
        return Prediction(
            patient_id=ids,
            log_risk=log_risk,
            predicted_time=time,
            risk_group=np.searchsorted(fitted.risk_cuts, log_risk, side="left"),
            unit=str(fitted.summary["unit"]),
            calibrator=fitted.calibrator,
            notes=(
                *_in_sample(ids, in_training, seen),
                *_notes(prepared.report, ids, prepared.present),
                *_beyond(
                    fitted.calibrator,
                    ids,
                    log_risk,
                    time,
                    str(fitted.summary["unit"]),
                ),
                *(() if drift is None else drift.notes),
            ),
            drift=drift,
            bound=fitted.bound,
            in_training=in_training,
        )

    def recalibrate(
        self,
        cohort: Cohort,
        patients: Sequence[str] | None = None,
    ) -> SurvivalFusion:
        """Fit slope and baseline hazard anew on patients that the model was not trained on.

        Networks, transforms and risk groups stay; the new model's calibrator is
        `breslow_cal`, and a conformal bound, where there is one, is set anew too.

        Parameters
        ----------
        cohort : Cohort
            With an outcome in the unit that was trained in.
        patients : sequence of str, optional
            Calibration patients; everyone with an outcome by default. With fewer than 50
            events a note says that the result is uncertain.

        Returns
        -------
        SurvivalFusion
            A new object; this one stays as it is.

        Raises
        ------
        LeakageError
            When a patient was trained on.
        CohortError
            No outcome, unknown patients, no event, or another unit of time.
        BundleError
            When the bundle is so old that it does not say who was trained on.
        """
        fitted = self._need_fit()
        prediction = self.predict(
            cohort,
            calibration_patients(fitted, cohort, patients),
        )
        other = SurvivalFusion.from_config(self.config)
        other.fitted = recalibrated(
            fitted,
            cohort,
            prediction.patient_id,
            prediction.log_risk,
        )
        return other

    def save(self, folder: Path | str, *, force: bool = False) -> Path:
        """Write the fitted model as a bundle: safetensors and JSON, each file hashed.

        Parameters
        ----------
        folder : path
            A new folder; its parents are created.
        force : bool
            Replace a bundle that is there already. Anything else is never replaced.

        Raises
        ------
        BundleError
            When the folder is taken, or nothing can be written there.
        """
        return save_fitted(self._need_fit(), folder, force=force)

    @classmethod
    def load(cls, folder: Path | str) -> SurvivalFusion:
        """Read a bundle that :meth:`save` wrote (see :func:`survfuse.bundle.load_fitted`)."""
        fitted = load_fitted(folder)
        model = cls.from_config(fitted.config)
        model.fitted = fitted
        return model

    def _need_fit(self) -> Fitted:
        if self.fitted is None:
            raise ConfigError(
                "this SurvivalFusion is not fitted yet; call fit(cohort) or load(folder)",
            )
        return self.fitted


def _in_sample(
    ids: Sequence[str],
    in_training: BoolArray | None,
    seen: BoolArray | None,
) -> list[tuple[str, str]]:
    """Say that some of the patients are those that the model was made from."""
    if in_training is None or seen is None or not in_training.any():
        return []
    who = np.array(ids, dtype=object)
    notes = [
        f"{in_training.sum()} of {len(ids)} patients were trained on (in_training: "
        f"{listed(who[in_training])}): what is predicted for them fits better than it would for new patients "
        "and must not be scored",
    ]
    if seen.any():
        notes.append(
            f"drift is not judged for the {seen.sum()} of them whose data were trained on",
        )
    if (changed := in_training & ~seen).any():
        notes.append(
            f"{listed(who[changed])}: other data than those trained on; other people under the same ids? "
            "then rename them",
        )
    return [("", "; ".join(notes))]


def _beyond(
    calibrator: Calibrator,
    ids: Sequence[str],
    log_risk: FloatArray,
    time: FloatArray,
    unit: str,
) -> list[tuple[str, str]]:
    """Patients whom the rank map puts on the last plateau of the training curve: later than is known."""
    if not isinstance(calibrator, KmRankCalibrator):
        return []
    beyond = calibrator.beyond(log_risk)
    return [
        (
            patient,
            f"predicted_time: later than {when:g} {unit} (last plateau of the training Kaplan-Meier curve)",
        )
        for patient, when, late in zip(ids, time, beyond, strict=True)
        if late
    ]


def _notes(
    report: pd.DataFrame,
    ids: Sequence[str],
    present: Mapping[str, BoolArray],
) -> tuple[tuple[str, str], ...]:
    """What a reader must know of each patient's prediction."""
    notes = [
        (
            str(row.patient_id),
            f"{row.modality}: {row.feature}: {row.kind}: {row.detail}",
        )
        for row in report.itertuples(index=False)
    ]
    for name, has in present.items():
        notes += [
            (patient, f"{name}: absent")
            for patient, there in zip(ids, has, strict=True)
            if not there
        ]
    nothing = ~np.any(np.stack(list(present.values())), axis=0)
    notes += [
        (
            patient,
            "no modality at all: the risk is the network's constant, not this patient's",
        )
        for patient, bare in zip(ids, nothing, strict=True)
        if bare
    ]
    return tuple(notes)


def load(folder: Path | str) -> SurvivalFusion:
    """Read a bundle that :meth:`SurvivalFusion.save` wrote.

    Raises
    ------
    BundleError
        When it is broken, changed, or newer than this version reads.
    """
    return SurvivalFusion.load(folder)
