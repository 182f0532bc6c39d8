"""Predictions that any program wrote, as a CSV: read, checked, and evaluated like our own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from survfuse._errors import InputError, listed
from survfuse._types import FloatArray, IntArray
from survfuse.evaluation.default_horizons import MIN_AT_RISK
from survfuse.evaluation.folds import Folds, Place, Tabulated, TimeEvent, folds_of
from survfuse.readers.delimited import layout_of
from survfuse.readers.table_files import FLAGS
from survfuse.results.csv_files import read_cells
from survfuse.survival.ties import at_or_before

NEEDED = ("patient_id", "time", "event")
PREFIX = "survival_"
ROUNDING = 1e-6  # a curve that rises or leaves [0, 1] by no more than this was rounded
LARGEST = 1e50  # of a number of a file: its square and fourth power are finite too
MOST_FOLDS = 1e6  # of a repeat or fold, counted by whatever program
MOST_HORIZONS = 6
QUARTILES = (0.25, 0.5, 0.75)
BLANK = ["", "nan", "na"]
UNITS = ("days", "months", "years")


@dataclass(frozen=True)
class ExternalPredictions:
    """A predictions file, read.

    Attributes
    ----------
    table : DataFrame
        `model` (empty where the file has none), `patient_id`, `repeat`, `fold`,
        `time`, `event`, and `log_risk` and ``survival_<t>`` where the file has them.
    times : tuple of float
        Times of the survival columns, rising.
    notes : tuple of str
        What was done to the values.
    unit : str
        Of times, as a column `unit` says; empty where the file has none.
    """

    table: pd.DataFrame
    times: tuple[float, ...]
    notes: tuple[str, ...]
    unit: str = ""

    @property
    def models(self) -> list[str]:
        """Names of the models, in the order of the file."""
        return list(dict.fromkeys(self.table["model"]))

    def of_model(self, model: str) -> pd.DataFrame:
        """Rows of one model."""
        rows = self.table[self.table["model"] == model]
        return rows.drop(columns="model").reset_index(drop=True)

    def folds(
        self,
        model: str,
        train: TimeEvent | None,
    ) -> Folds:
        """Predictions of one model, by repeat and fold.

        Parameters
        ----------
        model : str
        train : (time, event), optional
            Outcome of the training patients, for the censoring weights. Without it a fold
            takes the other folds of its repeat, and the patients themselves where they
            are the only fold.
        """
        table = self.of_model(model)
        names = [column(time) for time in self.times]
        curves: dict[Place, Tabulated | None] = {}
        for place, part in table.groupby(["repeat", "fold"])[names]:
            filled = part.notna().all().to_numpy(bool)
            times = np.array(self.times)[filled]
            survival = part.to_numpy(float)[:, filled]
            tabulated = Tabulated(times, survival) if len(times) else None
            curves[place] = tabulated  # type: ignore[index]
        training = None if train is None else dict.fromkeys(curves, train)
        return folds_of(table, curves, training)


def column(time: float) -> str:
    """Name of the survival column of a time, as we write it."""
    return f"{PREFIX}{time:g}"


def read_external(path: Path | str) -> ExternalPredictions:
    """Read a predictions file.

    Parameters
    ----------
    path : path
        CSV with `patient_id`, `time` (> 0), `event` (1 = event, 0 = censored), and
        `log_risk` (larger = earlier) or ``survival_<t>`` columns or both; `repeat`, `fold`
        and `model` where there are several.

    Raises
    ------
    InputError
        Names the column and the line of the file.
    """
    cells = _Cells.read(Path(path))
    cells.require(
        NEEDED,
        "; rename yours to patient_id, time, event, log_risk, survival_<time>, and add the outcome"
        " where it is not there (`predict` writes none)",
    )
    ids = cells.text("patient_id")
    cells.refuse(ids == "", "patient_id", "an id")
    table = pd.DataFrame({"model": cells.text("model"), "patient_id": ids})
    for name in ("repeat", "fold"):
        table[name] = cells.whole_numbers(name) if name in cells.raw else 0
    table["time"], table["event"] = cells.times(), cells.events()
    if "log_risk" in cells.raw:
        table["log_risk"] = cells.numbers("log_risk")
    columns = cells.survival_columns()
    notes = [*layout_of(Path(path)).notes(Path(path)), *cells.training_notes()]
    if columns:
        place = table.groupby(["model", "repeat", "fold"], sort=False).ngroup()
        values, changed = cells.curves(columns, place.to_numpy(np.int64))
        names = [column(time) for time in columns]
        curves = pd.DataFrame(
            values,
            columns=names,
            index=table.index,
        )
        table = pd.concat([table, curves], axis=1)
        if changed:
            notes.append(f"{changed} survival values moved by rounding")
    elif "log_risk" not in table:
        raise InputError(
            f"{path}: expected a column log_risk, or columns survival_<time>, found neither",
        )
    _require_unique(table, path)
    _require_one_outcome(table, path)
    table = table.reset_index(drop=True)
    return ExternalPredictions(table, tuple(columns), tuple(notes), cells.unit())


def read_outcome(path: Path | str) -> TimeEvent:
    """Read times and events of training patients: a CSV with columns `time` and `event`."""
    cells = _Cells.read(Path(path))
    cells.require(("time", "event"))
    return cells.times().to_numpy(float), cells.events().to_numpy(bool)


def choose_horizons(
    predictions: ExternalPredictions,
    given: Sequence[float] | None,
) -> tuple[tuple[float, ...], float, list[str]]:
    """Horizons and τ of an evaluation, and what a reader should know of the choice.

    Given ones are kept. Otherwise the times of the survival columns (three of them where
    there are many), or the quartiles of follow-up; none later than what a tenth of the
    patients is followed for. This looks at follow-up, never at predictions. τ is the
    last horizon.
    """
    time = predictions.table["time"].to_numpy(float)
    notes: list[str] = []
    if given:
        horizons = _given_horizons(given)
    elif predictions.times:
        reach = float(np.quantile(time, 1 - MIN_AT_RISK, method="higher"))
        horizons, notes = _of_columns(np.array(predictions.times), reach)
    else:
        quartiles = [float(f"{np.quantile(time, q):.3g}") for q in QUARTILES]
        horizons = np.unique(np.minimum(quartiles, time.max())).tolist()
        notes = ["horizons: quartiles of follow-up, because none were given"]
    return tuple(horizons), horizons[-1], notes


def _given_horizons(given: Sequence[float]) -> list[float]:
    horizons = sorted({float(h) for h in given})
    if not all(np.isfinite(h) and h > 0 for h in horizons):
        raise InputError(f"horizons must be finite and > 0, got {listed(given)}")
    if len({column(h) for h in horizons}) < len(horizons):  # they name metrics
        raise InputError(
            f"horizons must differ in their first 6 digits, got {listed(given)}",
        )
    return horizons


def _of_columns(
    times: FloatArray,
    reach: float,
) -> tuple[list[float], list[str]]:
    """Times of survival columns up to `reach`, or three of many, with notes."""
    within = at_or_before(times, reach)
    horizons = times[within] if within.any() else times[:1]
    notes = []
    if dropped := len(times) - len(horizons):
        notes.append(
            f"{dropped} survival columns beyond {reach:g}, which a tenth is followed for",
        )
    if len(horizons) > MOST_HORIZONS:
        rows = {int(q * (len(horizons) - 1)) for q in QUARTILES}
        horizons = horizons[sorted(rows)]
        names = listed(f"{t:g}" for t in horizons)
        notes.append(f"horizons: {names} of {len(times)} survival columns")
    return horizons.tolist(), notes


@dataclass(frozen=True)
class _Cells:
    """Cells of a file as text, indexed by line, and their conversion or refusal."""

    path: Path
    raw: pd.DataFrame

    @classmethod
    def read(cls, path: Path) -> _Cells:
        frame = read_cells(path)
        if frame.empty:
            raise InputError(f"{path}: holds no rows")
        return cls(path, frame)

    def require(
        self,
        names: Sequence[str],
        hint: str = "",
    ) -> None:
        absent = [name for name in names if name not in self.raw]
        if not absent:
            return
        censoring = [n for n in self.raw.columns if "cens" in str(n).casefold()]
        if censoring and "event" in absent:
            hint += (
                f"; {censoring[0]} may mark the censored with 1: event is then"
                f" 1 - {censoring[0]}, not a new name for it"
            )
        raise InputError(
            f"{self.path}: expected column(s) {listed(absent)}, the file has"
            f" {listed(self.raw.columns, 12)}{hint}",
        )

    def refuse(
        self,
        wrong: npt.ArrayLike,
        name: str,
        expected: str,
    ) -> None:
        rows = np.flatnonzero(np.asarray(wrong, dtype=bool))
        if len(rows):
            more = f", and {len(rows) - 1} more rows" if len(rows) > 1 else ""
            raise InputError(
                f"{self.path}: column {name}, line {self.raw.index[rows[0]]}: expected {expected}, "
                f"got {self.raw[name].iloc[rows[0]]!r}{more}",
            )

    def text(self, name: str) -> pd.Series[str]:
        """Stripped text; empty where the file has no such column."""
        if name in self.raw:
            return self.raw[name].str.strip()
        return pd.Series(
            "",
            index=self.raw.index,
            dtype=object,
        )

    def lower(self, name: str) -> pd.Series[str]:
        return self.text(name).str.lower()

    def numbers(self, name: str) -> pd.Series[float]:
        values = self.raw[name].map(_number).astype(float)
        self.refuse(~(values.abs() <= LARGEST), name, "a finite number")
        return values

    def times(self) -> pd.Series[float]:
        values = self.numbers("time")
        self.refuse(~(values > 0), "time", "a time above 0")
        return values

    def whole_numbers(self, name: str) -> pd.Series[int]:
        values = self.raw[name].map(_number).astype(float)
        whole = (values.abs() <= MOST_FOLDS) & (values == np.floor(values))
        self.refuse(~whole, name, "a whole number")
        return values.astype(int)

    def events(self) -> pd.Series[bool]:
        values = self.lower("event").map(FLAGS)
        self.refuse(values.isna(), "event", "1 (event) or 0 (censored)")
        return values == 1

    def unit(self) -> str:
        """Unit of the times; empty where the file names none, or has `unit` for something else."""
        units = sorted(set(self.lower("unit")))
        if not set(units) <= set(UNITS):
            return ""
        if len(units) > 1:
            raise InputError(
                f"{self.path}: column unit: expected one unit of time, got {listed(units)}",
            )
        return units[0]

    def training_notes(self) -> list[str]:
        """Say that patients were trained on, where a file of our own predictions marks them."""
        rows = self.lower("in_training").isin({"1", "true"})
        marked = self.raw.loc[rows, "patient_id"].unique()
        if not len(marked):
            return []
        return [
            f"{len(marked)} patients were trained on (in_training: {listed(marked)}); every number"
            " of theirs is too good: leave them out",
        ]

    def survival_columns(self) -> dict[float, str]:
        """Names of the survival columns by their time, rising."""
        columns: dict[float, str] = {}
        for name in map(str, self.raw.columns):
            if not name.startswith(PREFIX):
                continue
            time = _number(name.removeprefix(PREFIX))
            at = f"{self.path}: column {name}: "
            if np.isnan(time):
                raise InputError(f"{at}expected survival_<time>, such as survival_36")
            if not (np.isfinite(time) and time >= 0):
                raise InputError(f"{at}the time must be finite and >= 0")
            if time in columns or column(time) in map(column, columns):
                raise InputError(
                    f"{self.path}: columns {columns.get(time, name)} and {name} name one time",
                )
            if time > 0:  # S(0) = 1 holds for everyone
                columns[time] = name
        return dict(sorted(columns.items()))

    def curves(
        self,
        columns: dict[float, str],
        place: IntArray,
    ) -> tuple[FloatArray, int]:
        """Survival (patients, times), within [0, 1] and never rising; how many values were rounded.

        A column may be blank for all patients of a fold (a time its model knows nothing of).
        """
        names = list(columns.values())
        values = np.stack([self._or_blank(name, place) for name in names], axis=1)
        outside = np.argwhere((values < -ROUNDING) | (values > 1 + ROUNDING))
        for row, at in outside[:1]:
            raise InputError(
                f"{self.path}: column {names[at]}, line {self.raw.index[row]}: survival must lie in"
                f" [0, 1], got {values[row, at]:g} ({len(outside)} values); is this a risk or a"
                " percentage?",
            )
        clipped = np.clip(values, 0.0, 1.0)
        falling = np.fmin.accumulate(clipped, axis=1)  # over blank columns too
        rising = np.argwhere(clipped > falling + ROUNDING)
        for row, at in rising[:1]:
            before = int(np.nanargmin(clipped[row, :at]))
            raise InputError(
                f"{self.path}: line {self.raw.index[row]}: survival must not rise, but"
                f" {names[before]} is {clipped[row, before]:g} and {names[at]} is"
                f" {clipped[row, at]:g} ({len(rising)} places); are these probabilities of the"
                " event instead?",
            )
        falling[np.isnan(values)] = np.nan
        changed = (falling != values) & ~np.isnan(values)
        return falling, int(changed.sum())

    def _or_blank(
        self,
        name: str,
        place: IntArray,
    ) -> FloatArray:
        """Read numbers, NaN in folds where all are blank."""
        values = self.raw[name].map(_number).to_numpy(float)
        blank = np.isnan(values) & self.lower(name).isin(BLANK).to_numpy(bool)
        all_blank = (np.bincount(place, weights=blank) == np.bincount(place))[place]
        wrong = ~(np.abs(values) <= LARGEST) & ~all_blank
        self.refuse(wrong, name, "a finite number")
        return np.where(all_blank, np.nan, values)


def _number(cell: str) -> float:
    """Read exactly what was written, NaN where it is no number; Python reads 1_0 as 10."""
    try:
        return np.nan if "_" in cell else float(cell)
    except ValueError:
        return np.nan


def _require_unique(
    table: pd.DataFrame,
    path: Path | str,
) -> None:
    """Refuse a patient with two rows in one repeat of a model."""
    twice = table[table.duplicated(["model", "repeat", "patient_id"])]
    if len(twice):
        raise InputError(
            f"{path}: line {twice.index[0]}: patient {twice['patient_id'].iloc[0]!r} stands there "
            f"twice ({len(twice)} such rows); one row per patient, or a column `repeat` or `model`"
            " that tells them apart",
        )


def _require_one_outcome(
    table: pd.DataFrame,
    path: Path | str,
) -> None:
    """Refuse a patient whose outcome is another one in another repeat of the same model."""
    first = table.groupby(["model", "patient_id"])[["time", "event"]].transform("first")
    same_time = np.isclose(
        table["time"],
        first["time"],
        rtol=1e-6,
        atol=0,
    )
    other = table[~(same_time & (table["event"] == first["event"]))]
    if len(other):
        line, row = other.index[0], other.iloc[0]
        before = first.loc[line]
        raise InputError(
            f"{path}: line {line}: patient {row['patient_id']!r} has time {row['time']:g} and event"
            f" {int(row['event'])}, in an earlier repeat {before['time']:g} and"
            f" {int(before['event'])} ({len(other)} such rows); one outcome per patient",
        )
