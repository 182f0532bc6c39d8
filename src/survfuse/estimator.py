"""`SurvivalFusion`: patients in, log-risks, survival curves and times out.

The same object trains, cross-validates and serves, so that a patient is
transformed in one way only.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from survfuse._errors import ConfigError
from survfuse.bundle import load_fitted, save_fitted
from survfuse.cohort.cohort import Cohort
from survfuse.cohort.tile_clusters import fit_clusters
from survfuse.cohort.transforms import check_followup
from survfuse.config import FitConfig, parameters_of
from survfuse.estimators import Fitted, FoldContext, fit_model
from survfuse.fit_summary import kaplan_meier_of
from survfuse.prediction import Prediction
from survfuse.recalibration import calibration_patients, recalibrated
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
    """Multimodal survival model, fitted by the estimator that `fusion` names.

    The default, ``fusion="anchored"``, is no neural network: it is a stack of Cox regressions.
    Each modality alone has a ridge Cox (a bag's reads the mean of its tiles, expression its
    principal components), each pair of modalities a low-rank product; they are added with
    weights >= 0 that are fitted to out-of-fold risks on inner folds. Nothing is trained by
    gradients but the attention network that may take the place of a bag's mean tile. Other
    fusions (``concat``, ``pairwise``, ...) train a network: attention over slides, encoders for
    vectors, the fusion, and a head. ``ridge_cox``, ``sparse_cox``, ``late_cox`` and
    ``kaplan_meier`` are the baselines. Log-risks of all of them are calibrated in the same way.

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

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Every parameter with its value, given or from the preset."""
        return {**self.config.parameters(), **self._given}

    def set_params(self, **parameters: Any) -> SurvivalFusion:
        """Change parameters; the model must be fitted again."""
        parameters = parameters_of(parameters)
        given = {**self._given, **parameters}
        if parameters.get("preset", self.config.preset) != self.config.preset:
            # A clone gives every parameter; the new preset replaces what repeats the old one.
            old = FitConfig.of(self.config.preset).parameters()
            for name in set(given) - set(parameters):
                if given[name] == old[name]:
                    del given[name]
        self.config = FitConfig.of(**given)
        self._given = given
        self.fitted = None
        return self

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
        check_followup(cohort, self.config)
        folder = None if checkpoints is None else Path(checkpoints)
        fold = FoldContext.of(
            cohort,
            patients,
            hooks=hooks,
            folder=folder,
        )
        fitted = fit_model(fold, self.config)
        scalers = fitted.transforms.bag_scaler
        clusters = fit_clusters(cohort, fold.ids, scalers)
        curve = kaplan_meier_of(fold.time, fold.event)
        summary = {**fitted.summary, "kaplan_meier": curve}
        self.fitted = replace(fitted, clusters=clusters, summary=summary)
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
        fitted = self.need_fitted()
        return fitted.predict(
            cohort,
            tuple(cohort.patients if patients is None else patients),
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
            When a patient was trained on, or a prior of the model was learned from one.
        CohortError
            No outcome, unknown patients, no event, or another unit of time.
        BundleError
            When the bundle is so old that it does not say who was trained on.
        """
        fitted = self.need_fitted()
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

    def save(
        self,
        folder: Path | str,
        *,
        force: bool = False,
    ) -> Path:
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
        return save_fitted(self.need_fitted(), folder, force=force)

    @classmethod
    def load(cls, folder: Path | str) -> SurvivalFusion:
        """Read a bundle that :meth:`save` wrote (see :func:`survfuse.bundle.load_fitted`)."""
        fitted = load_fitted(folder)
        model = cls.from_config(fitted.config)
        model.fitted = fitted
        return model

    def need_fitted(self) -> Fitted:
        """What was learned.

        Raises
        ------
        ConfigError
            When nothing was.
        """
        if self.fitted is None:
            raise ConfigError(
                "this SurvivalFusion is not fitted yet; call fit(cohort) or load(folder)",
            )
        return self.fitted


def load(folder: Path | str) -> SurvivalFusion:
    """Read a bundle that :meth:`SurvivalFusion.save` wrote.

    Raises
    ------
    BundleError
        When it is broken, changed, or newer than this version reads.
    """
    return SurvivalFusion.load(folder)
