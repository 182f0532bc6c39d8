"""A new calibration of a fitted model, on a cohort that it was not trained on.

Risks of patients whom the model never saw need no out-of-fold fits: the slope of a one-variable
Cox regression on these risks and Breslow's baseline at that slope (van Houwelingen 2000) also
fit the curves to the hospital of this cohort.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from survfuse._errors import BundleError, CohortError, LeakageError, listed
from survfuse._types import FloatArray
from survfuse.cohort.cohort import Cohort
from survfuse.cohort.patient_hashes import PatientHashes
from survfuse.cohort.prior_section import learned_here
from survfuse.estimators import Fitted, outcomes
from survfuse.survival.calibration import fit_calibrator
from survfuse.survival.conformal import ConformalBound
from survfuse.survival.estimate import joined


def calibration_patients(
    fitted: Fitted,
    cohort: Cohort,
    patients: Sequence[str] | None = None,
) -> tuple[str, ...]:
    """Check and return the patients that a fitted model may be calibrated on.

    Raises
    ------
    LeakageError, CohortError, BundleError
        See :meth:`survfuse.estimator.SurvivalFusion.recalibrate`.
    """
    if fitted.trained is None:
        raise BundleError(
            "this bundle was written before survfuse kept who was trained on, so nobody can tell "
            "whether the calibration patients are others; train it again",
        )
    unit = str(fitted.summary["unit"])
    ids = other_patients(fitted.trained, unit, cohort, patients)
    modalities = fitted.transforms.with_priors(cohort).modalities
    for name in fitted.transforms.priors:
        if name not in modalities:
            continue
        learned = learned_here(modalities[name].subset(ids), cohort.spec.file(name))
        if learned is not None:
            raise LeakageError(f"calibration cohort {cohort.name!r}: {learned}")
    return ids


def other_patients(
    trained: PatientHashes,
    unit: str,
    cohort: Cohort,
    patients: Sequence[str] | None = None,
) -> tuple[str, ...]:
    """Check and return calibration patients, given who is trained on and in which unit of time.

    Raises
    ------
    LeakageError, CohortError
        See :meth:`survfuse.estimator.SurvivalFusion.recalibrate`.
    """
    where = f"calibration cohort {cohort.name!r}"
    if cohort.outcome is None:
        raise CohortError(
            f"{where} has no outcome to calibrate on; declare `outcome` in its file",
        )
    if cohort.unit != unit:
        raise CohortError(
            f"{where}: its time is in {cohort.unit}, the model's in {unit}; convert it to {unit}",
        )
    known = cohort.outcome.index[cohort.outcome["time"].notna()]
    ids = tuple(sorted(known if patients is None else cohort.check_patients(patients)))
    without = sorted(set(ids) - set(known))
    if without:
        raise CohortError(f"{where}: no outcome for {listed(without)}")
    trained.refuse(ids, where)
    if not cohort.outcome.loc[list(ids), "event"].any():
        raise CohortError(
            f"{where}: none of the {len(ids)} patients has an event; nothing can be calibrated",
        )
    return ids


def recalibrated(
    fitted: Fitted,
    cohort: Cohort,
    ids: Sequence[str],
    log_risk: FloatArray,
) -> Fitted:
    """Give the same model a calibrator (and bound) fitted on other patients.

    Parameters
    ----------
    fitted : Fitted
    cohort : Cohort
    ids : sequence of str, (patients,)
        From :func:`calibration_patients`.
    log_risk : array, (patients,)
        Their log-risk by the model.
    """
    time, event = outcomes(cohort, ids)
    calibrator = fit_calibrator("breslow_cal", time, event, log_risk)
    bound, note = None, calibrator.note
    if fitted.config.calibration.conformal is not None:
        bound = ConformalBound.fit(
            time,
            event,
            log_risk,
            calibrator,
            fitted.config.calibration.conformal,
        )
    about: dict[str, Any] = {
        "cohort": cohort.name,
        "cohort_fingerprint": cohort.fingerprint(),
        "endpoint": cohort.endpoint,
        "patients": len(ids),
        "events": int(event.sum()),
        "longest_time": float(time.max()),
    }
    if cohort.endpoint != fitted.summary["endpoint"]:
        trained = fitted.summary["endpoint"]
        note = joined(
            note,
            f"trained on {trained!r}, calibrated on {cohort.endpoint!r}: are they the same?",
        )
    summary = {**fitted.summary, "calibration_note": note, "calibration_cohort": about}
    return replace(
        fitted,
        calibrator=calibrator,
        bound=bound,
        summary=summary,
    )
