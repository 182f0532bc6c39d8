"""Judge a predictions file that any program wrote, by the same functions as our own models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from survfuse._errors import InputError, listed
from survfuse._storage import sha256_file
from survfuse.evaluation.assessment_settings import Scale
from survfuse.evaluation.combine import Interval
from survfuse.evaluation.external_predictions import (
    Foreign,
    choose_horizons,
    column,
    read_foreign,
    read_outcome,
)
from survfuse.evaluation.folds import Folds, patients_of, repeats_of
from survfuse.evaluation.sanity import (
    declared_unit,
    mistyped,
    other_order,
    other_training,
    other_unit,
    reversed_risk,
)
from survfuse.evaluation.scoring import Judged, judge_models
from survfuse.evaluation.versions import versions
from survfuse.results import Result
from survfuse.results.schema import CohortRecord, RunRecord
from survfuse.survival.curves import follow_up_median

MODEL = "predictions"


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
        See :func:`survfuse.evaluation.external_predictions.read_foreign`. With `repeat` and `fold`
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
        Times to judge at, in the unit of `time`; the survival columns', or quartiles of
        follow-up.
    tau : float, optional
        End of Uno's C and of integrated scores; the last horizon by default.
    unit : str
        Of times, for people.
    interval : Interval, optional
    draws : int
        Bootstrap resamples behind intervals of ICI and calibration bands.
    name : str, optional
        What the model is called; the file's own word, or "predictions".
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
    foreign = read_foreign(path)
    own = name or foreign.models[0] or MODEL
    known = None if train is None else read_outcome(train)
    models = {own: foreign.folds(foreign.models[0], known)}
    tables = {own: _table(foreign, foreign.models[0])}
    notes = list(foreign.notes)
    for other in foreign.models[1:]:
        _add(models, tables, other or MODEL, foreign, other, known)
    for word, file in (against or {}).items():
        beside = read_foreign(file)
        if len(beside.models) > 1:
            raise InputError(
                f"{file}: expected one model beside the other, got {listed(beside.models)}; keep the "
                "rows of one of them (column model)",
            )
        notes += [f"{word}: {note}" for note in beside.notes]
        _add(models, tables, word, beside, beside.models[0], known)
    if reference is not None and reference not in models:
        raise InputError(
            f"no predictions called {reference!r}; there are {listed(models, 12)}",
        )
    chosen, end, told = choose_horizons(foreign, horizons)
    if tau is not None and not (np.isfinite(tau) and tau > 0):
        raise InputError(f"tau must be a finite number > 0, got {tau}")
    if draws < 0:
        raise InputError(f"draws must be 0 or more, got {draws}")
    scale = Scale(
        chosen,
        end if tau is None else float(tau),
        interval or Interval(),
        draws,
    )
    if foreign.times:
        scale = replace(scale, times=foreign.times)
        told += [
            f"isbs and integrated_ipa: over the survival columns, from {foreign.times[0]:g} on",
        ]
    ranked = {
        word: _ranked(folds, scale.horizons[-1]) for word, folds in models.items()
    }
    told += [f"{word}: ranked by {how}" for word, (_, how) in ranked.items() if how]
    models = {word: folds for word, (folds, _) in ranked.items()}
    judged = judge_models(models, own, reference, scale)
    told += declared_unit(models[own], unit)
    told += other_unit(models[own])
    told += [] if known is None else other_training(models[own], known[0])
    for word, folds in models.items():
        told += mistyped(word, folds)
        told += other_order(word, folds, scale.horizons[-1])
        told += reversed_risk(word, judged.estimates[word]["harrell_c"])
    return Result(
        name=own,
        models=tables,
        folds=models,
        estimates=judged.estimates,
        checks=[],
        cohort=_cohort(str(path), models[own], scale, unit),
        record=_record(
            own,
            reference,
            path,
            command,
            [*notes, *told, *_training(train, models[own])],
        ),
        performance=_performance(judged),
    )


def _add(
    models: dict[str, Folds],
    tables: dict[str, pd.DataFrame],
    name: str,
    foreign: Foreign,
    model: str,
    train: Any,
) -> None:
    if name in models:
        raise InputError(f"two sets of predictions are called {name!r}")
    models[name], tables[name] = foreign.folds(model, train), _table(foreign, model)


def _ranked(folds: Folds, horizon: float) -> tuple[Folds, str]:
    """Give predictions without log-risks the order of their curves, and say so."""
    if any(fold.log_risk is not None or fold.curves is None for fold in folds):
        return folds, ""
    last = min(horizon, *(fold.known_curves.last for fold in folds))
    made = tuple(replace(fold, log_risk=-fold.survival([last])[:, 0]) for fold in folds)
    return made, f"predicted risk at {last:g}: the file has no log_risk"


def _table(foreign: Foreign, model: str) -> pd.DataFrame:
    """Predictions of one model, with the columns of a predictions file of ours."""
    own = (
        foreign.table[foreign.table["model"] == model]
        .drop(columns="model")
        .reset_index(drop=True)
    )
    if "log_risk" not in own:
        own["log_risk"] = np.nan
    own["predicted_time"] = np.nan
    first = [
        "patient_id",
        "repeat",
        "fold",
        "time",
        "event",
        "log_risk",
        "predicted_time",
    ]
    return own.assign(event=own["event"].astype(int))[
        [*first, *map(column, foreign.times)]
    ]


def _cohort(path: str, folds: Folds, scale: Scale, unit: str) -> CohortRecord:
    n, events = patients_of(folds)
    first = repeats_of(folds)[0]
    time = np.concatenate([fold.time for fold in first])
    event = np.concatenate([fold.event for fold in first])
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
        "follow_up_median": follow_up_median(time, event),
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


def _training(train: Path | str | None, folds: Folds) -> list[str]:
    if train is not None:
        return [f"censoring weights from the patients of {Path(train).name}"]
    if any(fold.train is not None for fold in folds):
        return [
            "censoring weights of a fold from the patients of the other folds of its repeat",
        ]
    return [
        "censoring weights from the test patients themselves: no training patients were given",
    ]


def _performance(judged: Judged) -> Any:
    none = {"optimism": None, "seeds": None, "permuted_outcome": None, "external": None}
    return {**judged.performance, **none}
