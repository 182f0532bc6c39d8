"""What a fit leaves behind, and the two that make one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from survfuse._storage import sha256_text, to_json
from survfuse._types import FloatArray
from survfuse.cohort.cohort import Cohort
from survfuse.cohort.drift import Drift
from survfuse.cohort.patient_hashes import PatientHashes
from survfuse.cohort.transforms import Transforms, check_followup
from survfuse.config import FitConfig
from survfuse.fitting.bench import Bench
from survfuse.fitting.choices import log_risks, risk_cuts, training_patients
from survfuse.models.network import FusionNetwork
from survfuse.survival.calibration import Calibrator, fit_calibrator
from survfuse.survival.conformal import ConformalBound
from survfuse.training import Hook


@dataclass(frozen=True)
class Fitted:
    """Everything that was learned from the training patients.

    Attributes
    ----------
    config : FitConfig
    transforms : Transforms
    networks : tuple of FusionNetwork, (members,)
    calibrator : Calibrator
    risk_cuts : array, (groups - 1,)
        Tertiles of the training risks, out of fold where they were made.
    summary : mapping
        Patients, events, unit, epochs, versions: plain values for people and JSON.
    trained : PatientHashes or None
        Who was trained on; None in bundles that older versions wrote.
    drift : Drift or None
        What training patients look like; None in bundles that older versions wrote.
    bound : ConformalBound or None
        Where the configuration asks for one.
    """

    config: FitConfig
    transforms: Transforms
    networks: tuple[FusionNetwork, ...]
    calibrator: Calibrator
    risk_cuts: FloatArray
    summary: Mapping[str, Any]
    trained: PatientHashes | None = None
    drift: Drift | None = None
    bound: ConformalBound | None = None


def fit_model(
    cohort: Cohort,
    patients: Sequence[str] | None,
    config: FitConfig,
    *,
    hooks: tuple[Hook, ...] = (),
    folder: Path | None = None,
) -> Fitted:
    """Fit transforms, networks and calibration on `patients` of `cohort`.

    Parameters
    ----------
    cohort : Cohort
    patients : sequence of str, optional
        Training patients; everyone with an outcome by default.
    config : FitConfig
    hooks : tuple of Hook
        Watchers of every training run.
    folder : path, optional
        Where checkpoints are kept while fitting, to be resumed from.

    Raises
    ------
    CohortError
        Without outcome, with unknown patients, or with too few events to select on.
    LeakageError
        When a column that is known only during follow-up would be an input.
    """
    check_followup(cohort, config)
    bench = Bench(cohort, training_patients(cohort, patients), config, hooks, folder)
    config = bench.search()
    choice = bench.choose()
    made = choice.made or bench.refit(choice.epochs)
    log_risk = log_risks(made.networks, made.source, config)
    calibrator = fit_calibrator(
        config.calibration.method,
        bench.time,
        bench.event,
        log_risk,
        out_of_fold=choice.out_of_fold,
        fold=None if choice.out_of_fold is None else bench.inner,
    )
    fitted = Fitted(
        config=config,
        transforms=made.transforms,
        networks=made.networks,
        calibrator=calibrator,
        risk_cuts=risk_cuts(log_risk, choice.out_of_fold, bench.inner),
        summary=bench.summary(made, choice, calibrator, log_risk),
        trained=PatientHashes.with_data(cohort, bench.ids, made.transforms.dims),
        drift=Drift.fit(made.source),
        bound=bench.bound(choice, log_risk, calibrator),
    )
    bench.clear()
    return fitted


def watched_log_risks(
    cohort: Cohort,
    train: Sequence[str],
    watched: Sequence[str],
    config: FitConfig,
    *,
    hooks: tuple[Hook, ...] = (),
    folder: Path | None = None,
) -> FloatArray:
    """Log-risk of other patients after each epoch of a training on `train`, to its last epoch.

    Parameters
    ----------
    cohort : Cohort
    train, watched : sequence of str
        Nobody may be both.
    config : FitConfig
        All of its `epochs` are trained; nothing stops early.
    hooks, folder
        As in :func:`fit_model`.

    Returns
    -------
    array, (epochs, watched)
        Mean over members, in the order of `watched`.

    Raises
    ------
    CohortError
        As :func:`fit_model`.
    """
    training_patients(cohort, train)
    check_followup(cohort, config)
    bench = Bench(
        cohort,
        training_patients(cohort, [*train, *watched]),
        config,
        hooks,
        folder,
    )
    bench.identity = sha256_text(
        to_json([bench.identity, sorted(watched)]),
    )  # ids alone do not tell who
    seen = np.isin(np.array(bench.ids, dtype=object), np.array(watched, dtype=object))
    part = bench.part(~seen, seen)
    runs = [
        bench.trained(
            part,
            f"member {member + 1}, watched",
            config.epochs,
            seed,
            patient=False,
        )[1]
        for member, seed in enumerate(bench.seeds)
    ]
    bench.clear()
    risks = np.mean(
        [run.validation_log_risk for run in runs],
        axis=0,
    )  # (epochs, watched sorted by id)
    place = {patient: row for row, patient in enumerate(sorted(watched))}
    return np.asarray(risks[:, [place[patient] for patient in watched]])
