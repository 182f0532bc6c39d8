"""Evaluate predictions that are in memory by the code that evaluates files of predictions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from survfuse._errors import InputError, SurvfuseError, listed
from survfuse.cohort.cohort_data import Cohort
from survfuse.cohort.rows import CohortRows, is_structured, read_structured
from survfuse.evaluation.assessment_settings import Interval
from survfuse.evaluation.combine import WAYS
from survfuse.evaluation.default_horizons import default_horizons
from survfuse.evaluation.predictions import MODEL
from survfuse.evaluation.predictions import evaluate as evaluate_file
from survfuse.prediction import Prediction
from survfuse.results import Result

Predictions = Any
"""A path, a DataFrame, a Prediction, or log-risks (patients,)."""


def evaluate(
    predictions: Predictions,
    y: Any = None,
    *,
    train: Any = None,
    against: Mapping[str, Predictions] | None = None,
    reference: str | None = None,
    horizons: Sequence[float] | None = None,
    tau: float | None = None,
    unit: str = "",
    interval: str | Interval = "influence",
    draws: int = 200,
    name: str | None = None,
) -> Result:
    """Compute every metric of predictions of any program, with intervals.

    Parameters
    ----------
    predictions : path, DataFrame, Prediction, or array of log-risks (patients,)
        A file or table has the columns `patient_id`, `time`, `event`, and `log_risk` and/or
        ``survival_<t>``, as ``survfuse evaluate`` reads them.
    y : Cohort, CohortRows, DataFrame or structured array, optional
        Outcome, where the predictions have no columns `time` and `event`: of a cohort or a table
        with `patient_id`, `time` and `event` it is taken by patient, of a structured array by row.
    train : path, Cohort or structured array, optional
        Patients trained on, who give the censoring weights; the others otherwise.
    against : mapping of name to predictions, optional
        Of other models for the same patients.
    reference : str, optional
        Which of these uses clinical variables alone.
    horizons : sequence of float, optional
        Times to evaluate at, in the unit of `time`; those of the survival columns, 1, 3 and
        5 years for a `Prediction` as far as its curves go, or quartiles of follow-up.
    tau : float, optional
        End of Uno's C and of integrated scores; the last horizon by default.
    unit : str
        Of times; that of a `Prediction` or a cohort.
    interval : {"influence", "nadeau_bengio", "bootstrap"} or Interval
    draws : int
        Bootstrap resamples of calibration errors; 0: none.
    name : str, optional
        What the model is called.

    Returns
    -------
    Result
        ``result.metrics`` is a table; ``result.report(folder)`` writes the page.

    Raises
    ------
    InputError
        Names the column and the line (the first row of a table is line 2), or the units of time
        where there are several.

    Examples
    --------
    >>> y = np.array([(True, 2.0), (False, 5.0), (True, 3.0), (True, 4.0)], dtype="?, f8")
    >>> evaluate([1.2, -0.4, 0.3, 0.6], y).estimates["predictions"]["harrell_c"].value
    0.8
    """
    unit = _one_unit(unit, predictions, *(against or {}).values(), y, train)
    horizons = None if horizons is None else tuple(map(float, horizons))
    with _folder() as folder:
        write = _Writer(folder, y, horizons)
        others = {
            key: write.file(one, f"{key}: ") for key, one in (against or {}).items()
        }
        return evaluate_file(
            write.file(predictions, ""),
            train=write.training(train),
            against=others,
            reference=reference,
            horizons=horizons,
            tau=tau,
            unit=unit,
            interval=_interval(interval, draws),
            draws=draws,
            name=name,
        )


def _one_unit(unit: str, *given: Any) -> str:
    """The unit of time that everything given is in, as far as it says one."""
    units = {unit}
    for one in given:
        rows = one.cohort if isinstance(one, CohortRows) else one
        if isinstance(rows, (Cohort, Prediction)):
            units.add(rows.unit or "")
    known = sorted(units - {""})
    if len(known) > 1:
        raise InputError(
            f"unit: predictions and outcomes count time in {listed(known)}; one unit is needed: "
            "convert the times of one to the unit of the other",
        )
    return known[0] if known else ""


def _interval(interval: str | Interval, draws: int) -> Interval:
    if isinstance(interval, Interval):
        return interval
    if interval not in WAYS:
        raise InputError(
            f"interval: expected one of {', '.join(WAYS)}, got {interval!r}"
        )
    return Interval(interval, max(5 * draws, 200))  # type: ignore[arg-type]


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder for tables as files; messages do not name it."""
    with TemporaryDirectory(prefix="survfuse-") as text:
        try:
            yield Path(text)
        except SurvfuseError as error:
            file = re.escape(text) + r"/\d+/(\w+)\.csv"
            error.args = (re.sub(file, r"\1 (table)", str(error)),)
            raise


class _Writer:
    """Writes what is in memory as the files that are evaluated.

    Parameters
    ----------
    folder : path
    y : object
        Outcome, for predictions without one.
    horizons : sequence of float or None
        At which survival of a `Prediction` is written.
    """

    def __init__(
        self,
        folder: Path,
        y: Any,
        horizons: Sequence[float] | None,
    ) -> None:
        self.folder, self.y, self.horizons = folder, y, horizons
        self.count = 0

    def file(
        self,
        predictions: Predictions,
        where: str,
    ) -> Path:
        """File of some predictions; that of a path is its own."""
        if isinstance(predictions, (str, Path)):
            if self.y is not None:
                raise InputError(
                    f"{where}y: expected none beside a file, which has columns time and event",
                )
            return Path(predictions)
        table = self._table(predictions, where)
        if self.y is not None:
            table = _with_outcome(table, self.y, where)
        return self._write(table, MODEL)

    def training(self, train: Any) -> Path | None:
        """File of the outcome of the training patients."""
        if train is None or isinstance(train, (str, Path)):
            return None if train is None else Path(train)
        y = train.y if isinstance(train, (Cohort, CohortRows)) else train
        event, time = read_structured(y)
        return self._write(pd.DataFrame({"time": time, "event": event}), "train")

    def _table(
        self,
        predictions: Any,
        where: str,
    ) -> pd.DataFrame:
        if isinstance(predictions, pd.DataFrame):
            return predictions
        if isinstance(predictions, Prediction):
            table = predictions.frame(self._horizons(predictions))
            if predictions.in_training is not None:
                table["in_training"] = predictions.in_training.astype(int)
            return table
        risk = np.asarray(predictions, dtype=np.float64)
        if risk.ndim != 1:
            raise InputError(
                f"{where}predictions: expected a path, a DataFrame, a Prediction or log-risks "
                f"(patients,), got an array of shape {risk.shape}",
            )
        width = len(str(len(risk)))
        ids = [f"row {row:0{width}d}" for row in range(len(risk))]
        return pd.DataFrame({"patient_id": ids, "log_risk": risk})

    def _horizons(self, prediction: Prediction) -> Sequence[float]:
        if self.horizons is not None or not prediction.calibrator.has_curves:
            return self.horizons or ()
        return default_horizons(prediction.unit, prediction.curves.last)

    def _write(
        self,
        table: pd.DataFrame,
        stem: str,
    ) -> Path:
        self.count += 1
        folder = self.folder / str(self.count)
        folder.mkdir()
        path = folder / f"{stem}.csv"
        table.to_csv(path, index=False)
        return path


def _with_outcome(
    table: pd.DataFrame,
    y: Any,
    where: str,
) -> pd.DataFrame:
    """Predictions with the outcome of each row."""
    present = {"time", "event"} & set(table.columns)
    if present:
        raise InputError(
            f"{where}y: the predictions have {listed(sorted(present))} already; leave one of both",
        )
    if is_structured(y):
        event, time = read_structured(y)
        if len(event) != len(table):
            raise InputError(
                f"{where}y: expected {len(table)} outcomes, got {len(event)}"
            )
        return table.assign(time=time, event=event.astype(int))
    known = _by_patient(y, where)
    if "patient_id" not in table:
        raise InputError(f"{where}predictions: expected a column patient_id")
    ids = table["patient_id"].astype(str)
    unknown = ids[~ids.isin(known.index)]
    if len(unknown):
        raise InputError(
            f"{where}y: no outcome of {len(unknown)} patient(s): {listed(unknown)}"
        )
    rows = known.loc[list(ids)]
    return table.assign(
        time=rows["time"].to_numpy(),
        event=rows["event"].to_numpy(),
    )


def _by_patient(y: Any, where: str) -> pd.DataFrame:
    """Outcome by patient, of those whose outcome is known."""
    if isinstance(y, CohortRows):
        y = y.cohort
    if isinstance(y, Cohort):
        if y.outcome is None:
            raise InputError(f"{where}y: cohort {y.name!r} has no outcome")
        return y.outcome.dropna(subset="time")
    if isinstance(y, pd.DataFrame) and {"patient_id", "time", "event"} <= set(
        y.columns
    ):
        table = y.assign(patient_id=y["patient_id"].astype(str)).set_index("patient_id")
        twice = table.index[table.index.duplicated()]
        if len(twice):
            raise InputError(f"{where}y: more than one row of {listed(twice)}")
        return table
    raise InputError(
        f"{where}y: expected a cohort, a structured array, or a DataFrame with patient_id, time "
        f"and event, got {type(y).__name__}",
    )
