"""Evaluate a predictions file that any program wrote, by the same functions as our own models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd

from survfuse._errors import InputError, listed
from survfuse._storage import sha256_file
from survfuse.evaluation.assessment_settings import DEFAULT, Interval, Scale
from survfuse.evaluation.external_predictions import (
    ExternalPredictions,
    choose_horizons,
    column,
    read_external,
    read_outcome,
)
from survfuse.evaluation.folds import (
    Folds,
    Pooled,
    TimeEvent,
    patients_of,
    repeats_of,
)
from survfuse.evaluation.sanity import file_notes, model_notes
from survfuse.evaluation.scoring import judge_models
from survfuse.evaluation.versions import versions
from survfuse.results import Result
from survfuse.results.schema import CohortRecord, Performance, RunRecord
from survfuse.survival.curves import follow_up_median

MODEL = "predictions"
OWN_COLUMNS = [
    "patient_id",
    "repeat",
    "fold",
    "time",
    "event",
    "log_risk",
    "predicted_time",
]
NOT_RUN = {"optimism": None, "seeds": None, "permuted_outcome": None, "external": None}


def evaluate(
    path: Path | str,
    *,
    train: Path | str | None = None,
    against: Mapping[str, Path | str] | None = None,
    reference: str | None = None,
    horizons: Sequence[float] | None = None,
    tau: float | None = None,
    unit: str = "",
    interval: Interval | None = None,
    draws: int = 200,
    name: str | None = None,
    command: str = "",
) -> Result:
    """Compute every metric of a predictions file.

    Parameters
    ----------
    path : path
        See :func:`survfuse.evaluation.external_predictions.read_external`. With `repeat` and `fold`
        columns it is taken for a cross-validation; without, for one model tested once.
    train : path, optional
        CSV with the `time` and `event` of the patients trained on, who then give the
        censoring weights; otherwise the other folds of a repeat, or the test patients
        themselves where there is one fold.
    against : mapping of name to path, optional
        Predictions of other models for the same patients.
    reference : str, optional
        The clinical-only model among `against` or the models of the file.
    horizons : sequence of float, optional
        Times to evaluate at, in the unit of `time`; the survival columns', or quartiles of
        follow-up.
    tau : float, optional
        End of Uno's C and of integrated scores; the last horizon by default.
    unit : str
        Of times, for people; what a column `unit` of the file says by default.
    interval : Interval, optional
    draws : int
        Bootstrap resamples behind intervals of ICI and calibration bands.
    name : str, optional
        What the model is called; its name in the file, or "predictions".
    command : str
        For the record.

    Returns
    -------
    Result
        As of a cross-validation, without checks; ``write(folder)`` and
        ``report(folder)`` work.

    Raises
    ------
    InputError
        Names the file, the column and the line.
    """
    predictions = read_external(path)
    unit = _unit(str(path), unit, predictions)
    training = None if train is None else read_outcome(train)
    models = _Models(training, list(predictions.notes))
    own = name or predictions.models[0] or MODEL
    models.add_all(own, predictions)
    for label, file in (against or {}).items():
        models.add_file(label, file)
    if reference is not None and reference not in models.folds:
        raise InputError(
            f"no predictions called {reference!r}; there are {listed(models.folds, 12)}",
        )
    scale, notes = _scale(predictions, horizons, tau, interval or DEFAULT, draws)
    last = scale.horizons[-1]
    folds = {}
    for label, own_folds in models.folds.items():
        folds[label], ranked = _ranked(label, own_folds, last)
        notes += ranked
    scores = judge_models(folds, own, reference, scale)
    notes += file_notes(folds[own], unit, training)
    for label, own_folds in folds.items():
        harrell = scores.estimates[label]["harrell_c"]
        notes += model_notes(label, own_folds, last, harrell)
    notes.append(_source_of_weights(train, folds[own]))
    return Result(
        name=own,
        models=models.tables,
        folds=folds,
        estimates=scores.estimates,
        checks=[],
        cohort=_cohort(str(path), folds[own], scale, unit),
        record=_record(own, reference, path, command, [*models.notes, *notes]),
        performance=cast(Performance, {**scores.performance, **NOT_RUN}),
    )


@dataclass
class _Models:
    """Models that are evaluated together.

    Attributes
    ----------
    training : (time, event) or None
        Outcome of the training patients.
    notes : list of str
        On the files.
    folds, tables : dict by name of the model
    """

    training: TimeEvent | None
    notes: list[str]
    folds: dict[str, Folds] = field(default_factory=dict)
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)

    def add(
        self,
        name: str,
        predictions: ExternalPredictions,
        model: str,
    ) -> None:
        """Add a model of a file under a name."""
        if name in self.folds:
            raise InputError(f"two sets of predictions are called {name!r}")
        self.folds[name] = predictions.folds(model, self.training)
        table = predictions.of_model(model)
        if "log_risk" not in table:
            table["log_risk"] = np.nan
        table = table.assign(predicted_time=np.nan, event=table["event"].astype(int))
        self.tables[name] = table[[*OWN_COLUMNS, *map(column, predictions.times)]]

    def add_all(
        self,
        name: str,
        predictions: ExternalPredictions,
    ) -> None:
        """Add all models of a file, the first of them under `name`."""
        first, *others = predictions.models
        self.add(name, predictions, first)
        for other in others:
            self.add(other or MODEL, predictions, other)

    def add_file(self, name: str, path: Path | str) -> None:
        """Add the only model of a file."""
        predictions = read_external(path)
        if len(predictions.models) > 1:
            raise InputError(
                f"{path}: expected one model beside the other, got {listed(predictions.models)};"
                " keep the rows of one of them (column model)",
            )
        self.notes += [f"{name}: {note}" for note in predictions.notes]
        self.add(name, predictions, predictions.models[0])


def _unit(
    path: str,
    given: str,
    predictions: ExternalPredictions,
) -> str:
    """Unit of the times: given, or of the file."""
    own = predictions.unit
    if given and own and given != own:
        raise InputError(
            f"{path}: its column unit says {own}, and {given} was given; leave out the wrong one",
        )
    return given or own


def _scale(
    predictions: ExternalPredictions,
    horizons: Sequence[float] | None,
    tau: float | None,
    interval: Interval,
    draws: int,
) -> tuple[Scale, list[str]]:
    chosen, end, notes = choose_horizons(predictions, horizons)
    if tau is not None and not (np.isfinite(tau) and tau > 0):
        raise InputError(f"tau must be a finite number > 0, got {tau}")
    if draws < 0:
        raise InputError(f"draws must be 0 or more, got {draws}")
    scale = Scale(chosen, end if tau is None else float(tau), interval, draws)
    if times := predictions.times:
        scale = replace(scale, times=times)
        notes.append(
            f"isbs and integrated_ipa: over the survival columns, from {times[0]:g} on",
        )
    return scale, notes


def _ranked(
    name: str,
    folds: Folds,
    horizon: float,
) -> tuple[Folds, list[str]]:
    """Give predictions without log-risks the order of their curves, with a note."""
    if any(fold.log_risk is not None or fold.curves is None for fold in folds):
        return folds, []
    last = min(horizon, *(fold.known_curves.last for fold in folds))
    ranked = [replace(fold, log_risk=-fold.survival([last])[:, 0]) for fold in folds]
    note = f"{name}: ranked by predicted risk at {last:g}: the file has no log_risk"
    return tuple(ranked), [note]


def _cohort(
    path: str,
    folds: Folds,
    scale: Scale,
    unit: str,
) -> CohortRecord:
    n, events = patients_of(folds)
    first = Pooled(repeats_of(folds)[0]).outcome
    return {
        "name": Path(path).stem,
        "endpoint": "event",
        "unit": unit or "time units",
        "patients": n,
        "events": events,
        "flow": [
            {
                "step": "in the predictions file",
                "patients": n,
                "events": events,
                "note": "",
            },
        ],
        "modalities": [],
        "patterns": [],
        "follow_up_median": follow_up_median(first.time, first.event),
        "horizons": list(scale.horizons),
        "tau": scale.tau,
        "problems": [],
    }


def _record(
    name: str,
    reference: str | None,
    path: Path | str,
    command: str,
    notes: list[str],
) -> RunRecord:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return {
        "model": name,
        "clinical": reference,
        "started": now,
        "finished": now,
        "versions": versions(),
        "seeds": {},
        "command": command,
        "hashes": {"input": sha256_file(path)},
        "notes": notes,
    }


def _source_of_weights(
    train: Path | str | None,
    folds: Folds,
) -> str:
    if train is not None:
        return f"censoring weights from the patients of {Path(train).name}"
    if any(fold.train is not None for fold in folds):
        return "censoring weights of a fold from the patients of the other folds of its repeat"
    return "censoring weights from the test patients themselves: no training patients were given"
