"""`SurvivalFusion`: patients in, log-risks, survival curves and times out.

The same object trains, cross-validates and serves, so that a patient is
transformed in one way only.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
from sklearn.base import BaseEstimator

from survfuse._errors import (
    ConfigError,
    NotComputableError,
    NothingLearnedWarning,
)
from survfuse._types import AnyArray
from survfuse.bundle import load_fitted, save_fitted
from survfuse.cohort.cohort import Cohort
from survfuse.cohort.given_patients import outcome_or_patients, rows_of
from survfuse.cohort.rows import CohortRows
from survfuse.cohort.rows_of_table import is_table
from survfuse.cohort.tile_clusters import fit_clusters
from survfuse.cohort.transforms import check_followup
from survfuse.config import FitConfig, parameters_numpydoc, parameters_of
from survfuse.estimators import Fitted, FoldContext, fit_model
from survfuse.fit_summary import kaplan_meier_of, nothing_learned, time_followed
from survfuse.prediction import Prediction
from survfuse.recalibration import calibration_patients, recalibrated
from survfuse.survival.concordance import uno_c
from survfuse.survival.patient_functions import PredictsCurves
from survfuse.training import Hook
from survfuse.training.progress import watch_fit

Patients = Cohort | CohortRows | pd.DataFrame | AnyArray
"""What X may be."""
__all__ = ["Prediction", "SurvivalFusion", "load"]


def _signature() -> inspect.Signature:
    """Signature with every parameter of a model and its default."""
    kind = inspect.Parameter.KEYWORD_ONLY
    parameters = []
    for name, value in FitConfig().parameters().items():
        parameters.append(inspect.Parameter(name, kind, default=value))
    return inspect.Signature(parameters)


class SurvivalFusion(PredictsCurves, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Multimodal survival model, fitted by the estimator that `fusion` names.

    The default, ``fusion="anchored"``, is no neural network: it is a stack of Cox regressions.
    Each modality alone has a ridge Cox (a bag's reads the mean of its tiles, expression its
    principal components), each pair of modalities a low-rank product; they are added with
    weights >= 0 that are fitted to out-of-fold risks on inner folds. Nothing is trained by
    gradients but the attention network that may take the place of a bag's mean tile. Other
    fusions (``concat``, ``pairwise``, ...) train a network: attention over slides, encoders for
    vectors, the fusion, and a head. ``ridge_cox``, ``sparse_cox``, ``late_cox`` and
    ``kaplan_meier`` are the baselines. Log-risks of all of them are calibrated in the same way.

    It is an estimator of scikit-learn: ``clone``, ``cross_val_score`` and ``GridSearchCV`` take it,
    with a cohort as X (docs/python.md).

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    config : FitConfig
        The parameters, checked.
    fitted : Fitted or None
        What was learned.

    Examples
    --------
    >>> model = SurvivalFusion(fusion="pairwise", rank=64)
    >>> model.get_params()["rank"]
    64
    """

    def __init__(self, **parameters: Any) -> None:
        self._given = parameters_of(parameters)
        self.config = FitConfig.of(**parameters)
        self.fitted: Fitted | None = None
        self._columns: Mapping[str, Any] | None = None  # of the table it was fitted on

    @classmethod
    def from_config(cls, config: FitConfig) -> SurvivalFusion:
        """Make an unfitted model from a resolved configuration."""
        return cls(**config.parameters())

    def __repr__(self) -> str:
        defaults = FitConfig.of(self.config.preset).parameters()
        defaults["preset"] = FitConfig().preset
        changed = {n: v for n, v in self.get_params().items() if v != defaults[n]}
        given = ", ".join(f"{name}={value!r}" for name, value in changed.items())
        nothing = "" if self.fitted is None else nothing_learned(self.fitted.summary)
        return f"SurvivalFusion({given})" + (f"  # {nothing}" if nothing else "")

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
        X: Patients,
        y: Any = None,
        *,
        patients: Sequence[str] | None = None,
        unit: str | None = None,
        hooks: Sequence[Hook] = (),
        checkpoints: Path | str | None = None,
        progress: bool | None = None,
    ) -> SurvivalFusion:
        """Learn from the patients of a cohort that have an outcome.

        Parameters
        ----------
        X : Cohort, CohortRows, DataFrame or array (patients, columns)
            A cohort, or some of its patients, as scikit-learn takes them out of it. A table or an
            array is one of clinical variables; an index of texts names its patients.
        y : structured array, (patients,), optional
            Events and times as scikit-survival has them. With a cohort it is ``cohort.y``, and must
            be the outcome that the cohort has. A sequence of ids in its place is `patients`.
        patients : sequence of str, optional
            Training patients; everyone by default.
        unit : {"days", "months", "years"}, optional
            Of the times of `y`, needed where X is a table.
        hooks : sequence of Hook
            Watchers of every training run.
        checkpoints : path, optional
            Folder for checkpoints; a fit that was killed goes on from there.
        progress : bool, optional
            Whether to show a bar; by default on terminals and in notebooks.

        Raises
        ------
        CohortError
            No outcome, unknown patients, or a modality that the cohort does not have.
        InputError
            When `y` is not the outcome of the patients.
        LeakageError
            A column known only during follow-up would be an input.

        Warns
        -----
        NothingLearnedWarning
            When the log-risk is the same for everyone.
        """
        y, patients = outcome_or_patients(y, patients)
        self.fitted = None
        rows = rows_of(X, y, patients, unit=unit)
        cohort = rows.cohort
        check_followup(cohort, self.config)
        folder = None if checkpoints is None else Path(checkpoints)
        with watch_fit(progress, self.config.fusion) as watchers:
            fold = FoldContext.of(
                cohort,
                rows.patients,
                hooks=(*hooks, *watchers),
                folder=folder,
            )
            fitted = fit_model(fold, self.config)
            scalers = fitted.transforms.bag_scaler
            clusters = fit_clusters(cohort, fold.ids, scalers)
        summary = {
            **fitted.summary,
            "kaplan_meier": kaplan_meier_of(fold.time, fold.event),
            "score_time": time_followed(fold.time),
        }
        self._columns = cohort.columns if is_table(X) else None
        self.fitted = replace(fitted, clusters=clusters, summary=summary)
        nothing = nothing_learned(summary)
        if nothing:
            warnings.warn(nothing, NothingLearnedWarning, stacklevel=2)
        return self

    def predict(
        self,
        X: Patients,
        patients: Sequence[str] | None = None,
    ) -> Prediction:
        """Predict patients of a cohort; no outcome is needed or read.

        Parameters
        ----------
        X : Cohort, CohortRows, DataFrame or array (patients, columns)
        patients : sequence of str, optional
            Everyone by default.

        Returns
        -------
        Prediction
            ``np.asarray`` of it is the log-risk of each patient.

        Raises
        ------
        TransformError
            Data that do not fit the training cohort (unit, genes, encoder, coverage).
        """
        fitted = self.need_fitted()
        rows = rows_of(X, None, patients, columns=self._columns)
        return fitted.predict(rows.cohort, rows.patients)

    def score(
        self,
        X: Patients,
        y: Any = None,
        *,
        tau: float | None = None,
    ) -> float:
        """Uno's C of some patients: 0.5 is chance, 1 a perfect order; larger is better.

        Parameters
        ----------
        X : Cohort, CohortRows, DataFrame or array (patients, columns)
            Patients with an outcome.
        y : structured array, (patients,), optional
            ``cohort.y``.
        tau : float, optional
            Truncation time, in the unit of the cohort: events after it do not count. By default
            the time that a tenth of the training patients was followed for, so that
            all models of one training fold are scored up to the same time.

        Returns
        -------
        float
            With censoring weights of the scored patients themselves.

        Raises
        ------
        NotComputableError
            When these patients cannot give it, such as without two that can be compared.
            ``cross_val_score`` then writes its `error_score`.
        """
        fitted = self.need_fitted()
        unit = str(fitted.summary["unit"])
        rows = rows_of(X, y, unit=unit, columns=self._columns)
        outcome = rows.y
        if tau is None:
            tau = fitted.summary.get("score_time", fitted.summary.get("longest_time"))
        risk = fitted.predict(rows.cohort, rows.patients).log_risk
        estimate = uno_c(outcome["time"], outcome["event"], risk, tau)
        if estimate.value is None:
            raise NotComputableError(f"Uno's C: {estimate.note}")
        return float(estimate.value)

    def __sklearn_is_fitted__(self) -> bool:
        return self.fitted is not None

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.input_tags.allow_nan = True
        tags.no_validation = True  # X is a cohort, which was checked when it was made
        return tags

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
        other._columns = self._columns
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


_SIGNATURE = _signature()
_SELF = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
# The constructor has every parameter too: scikit-learn asks it for their names.
SurvivalFusion.__init__.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
    [_SELF, *_SIGNATURE.parameters.values()],
)
SurvivalFusion.__signature__ = _SIGNATURE
if SurvivalFusion.__doc__ is not None:  # python -OO has none
    SurvivalFusion.__doc__ = inspect.cleandoc(SurvivalFusion.__doc__).format(
        parameters=parameters_numpydoc(),
    )


def load(folder: Path | str) -> SurvivalFusion:
    """Read a bundle that :meth:`SurvivalFusion.save` wrote.

    Raises
    ------
    BundleError
        When it is broken, changed, or newer than this version reads.
    """
    return SurvivalFusion.load(folder)
