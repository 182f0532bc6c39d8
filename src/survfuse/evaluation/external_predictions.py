"""Predictions that any program wrote, as a CSV: read, checked, and judged like our own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from survfuse._errors import InputError, listed
from survfuse._types import BoolArray, FloatArray
from survfuse.evaluation.default_horizons import MIN_AT_RISK
from survfuse.evaluation.folds import Fold, Folds, Tabulated
from survfuse.readers.delimited import layout_of
from survfuse.readers.table_files import FLAGS
from survfuse.results.csv_files import read_cells
from survfuse.survival.ties import at_or_before

NEEDED = ("patient_id", "time", "event")
ROUNDING = 1e-6  # a curve that rises or leaves [0, 1] by no more than this was rounded
LARGEST = 1e50  # of a number of a file: its square and fourth power are finite too
MOST_FOLDS = 1e6  # of a repeat or fold, counted by whatever program
MOST_HORIZONS = 6
QUARTILES = (0.25, 0.5, 0.75)


@dataclass(frozen=True)
class Foreign:
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
    """

    table: pd.DataFrame
    times: tuple[float, ...]
    notes: tuple[str, ...]

    @property
    def models(self) -> list[str]:
        """Names of the models, in the order of the file."""
        return list(dict.fromkeys(self.table["model"]))

    def folds(self, model: str, train: tuple[FloatArray, BoolArray] | None) -> Folds:
        """Predictions of one model, by repeat and fold.

        Parameters
        ----------
        model : str
        train : (time, event), optional
            Outcome of the training patients, for the censoring weights. Without it a fold
            takes the other folds of its repeat, and the patients themselves where they
            are the only fold.
        """
        own = self.table[self.table["model"] == model]
        found = []
        for (repeat, fold), part in own.groupby(["repeat", "fold"], sort=True):
            rest = own[(own["repeat"] == repeat) & (own["fold"] != fold)]
            others = (
                (rest["time"].to_numpy(float), rest["event"].to_numpy(bool))
                if len(rest)
                else None
            )
            known = others if train is None else train
            found.append(self._fold(int(str(repeat)), int(str(fold)), part, known))
        return tuple(found)

    def _fold(
        self,
        repeat: int,
        fold: int,
        part: pd.DataFrame,
        train: tuple[FloatArray, BoolArray] | None,
    ) -> Fold:
        times = [t for t in self.times if part[column(t)].notna().all()]
        survival = part[[column(t) for t in times]].to_numpy(float)
        return Fold(
            repeat,
            fold,
            patient_id=part["patient_id"].to_numpy(object),
            time=part["time"].to_numpy(float),
            event=part["event"].to_numpy(bool),
            log_risk=part["log_risk"].to_numpy(float) if "log_risk" in part else None,
            curves=Tabulated(np.array(times), survival) if times else None,
            train=train,
        )


def column(time: float) -> str:
    """Name of the survival column of a time, as we write it."""
    return f"survival_{time:g}"


def read_foreign(path: Path | str) -> Foreign:
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
    raw = _filled(Path(path))
    where = str(path)
    _require(raw, where)
    table = pd.DataFrame({"patient_id": raw["patient_id"].str.strip()})
    table.insert(0, "model", raw["model"].str.strip() if "model" in raw else "")
    for name in ("repeat", "fold"):
        table[name] = _whole(raw, name, where) if name in raw else 0
    table["time"] = _numbers(raw, "time", where)
    _refuse(~(table["time"] > 0), raw["time"], where, "time", "a time above 0")
    table["event"] = _events(raw, where)
    places: npt.NDArray[np.int64] = np.asarray(
        table.groupby(["model", "repeat", "fold"], sort=False).ngroup(),
        dtype=np.int64,
    )
    if "log_risk" in raw:
        table["log_risk"] = _numbers(raw, "log_risk", where)
    survival = _survival_columns(raw, where)
    notes = [*layout_of(Path(path)).notes(Path(path))]
    notes += _in_training(raw)
    if survival:
        values, changed = _curves(raw, survival, where, places)
        columns = pd.DataFrame(
            values,
            columns=[column(t) for t in survival],
            index=table.index,
        )
        table = pd.concat([table, columns], axis=1)
        notes += [f"{changed} survival values moved by rounding"] if changed else []
    if "log_risk" not in table and not survival:
        raise InputError(
            f"{where}: expected a column log_risk, or columns survival_<time>, found neither",
        )
    _unique(table, where)
    _lived_once(table, where)
    return Foreign(table.reset_index(drop=True), tuple(survival), tuple(notes))


def _in_training(raw: pd.DataFrame) -> list[str]:
    """Say that patients were trained on, where a file of our own predictions marks them."""
    if "in_training" not in raw:
        return []
    marked = raw.loc[
        raw["in_training"].str.strip().str.lower().isin({"1", "true"}),
        "patient_id",
    ].unique()
    if not len(marked):
        return []
    return [
        f"{len(marked)} patients were trained on (in_training: {listed(marked)}); every number of theirs is "
        "too good: leave them out",
    ]


def read_outcome(path: Path | str) -> tuple[FloatArray, BoolArray]:
    """Read times and events of training patients: a CSV with columns `time` and `event`."""
    raw = _filled(Path(path))
    absent = [name for name in ("time", "event") if name not in raw]
    if absent:
        raise InputError(
            f"{path}: expected column(s) {listed(absent)}, the file has {listed(raw.columns, 12)}"
            f"{_of_censoring(raw)}",
        )
    time = _numbers(raw, "time", str(path))
    _refuse(~(time > 0), raw["time"], str(path), "time", "a time above 0")
    return time.to_numpy(float), _events(raw, str(path)).to_numpy(bool)


def choose_horizons(
    foreign: Foreign,
    given: Sequence[float] | None,
) -> tuple[tuple[float, ...], float, list[str]]:
    """Horizons and τ of an evaluation, and what a reader should know of the choice.

    Given ones are kept. Otherwise the times of the survival columns (three of them where
    there are many), or the quartiles of follow-up; none later than what a tenth of the
    patients is followed for. This looks at follow-up, never at predictions. τ is the
    last horizon.
    """
    if given:
        horizons = tuple(sorted({float(h) for h in given}))
        if not all(np.isfinite(h) and h > 0 for h in horizons):
            raise InputError(f"horizons must be finite and > 0, got {listed(given)}")
        if len({column(h) for h in horizons}) < len(horizons):  # they name metrics
            raise InputError(
                f"horizons must differ in their first 6 digits, got {listed(given)}",
            )
        return horizons, horizons[-1], []
    time = foreign.table["time"].to_numpy(float)
    reach = float(np.quantile(time, 1 - MIN_AT_RISK, method="higher"))
    if not foreign.times:
        rounded = {float(f"{np.quantile(time, q):.3g}") for q in QUARTILES}
        horizons = tuple(sorted({min(h, float(time.max())) for h in rounded}))
        return (
            horizons,
            horizons[-1],
            ["horizons: quartiles of follow-up, because none were given"],
        )
    within = at_or_before(np.array(foreign.times), reach)
    kept = [t for t, keep in zip(foreign.times, within, strict=True) if keep] or [
        foreign.times[0],
    ]
    dropped = len(foreign.times) - len(kept)
    notes = (
        [f"{dropped} survival columns beyond {reach:g}, which a tenth is followed for"]
        if dropped
        else []
    )
    if len(kept) > MOST_HORIZONS:
        kept = sorted({kept[int(q * (len(kept) - 1))] for q in QUARTILES})
        notes.append(
            f"horizons: {listed(f'{t:g}' for t in kept)} of {len(foreign.times)} survival columns",
        )
    return tuple(kept), kept[-1], notes


def _filled(path: Path) -> pd.DataFrame:
    frame = read_cells(path)
    if frame.empty:
        raise InputError(f"{path}: holds no rows")
    return frame


def _require(raw: pd.DataFrame, where: str) -> None:
    absent = [name for name in NEEDED if name not in raw]
    if absent:
        raise InputError(
            f"{where}: expected column(s) {listed(absent)}, the file has {listed(raw.columns, 12)}; "
            f"rename yours to patient_id, time, event, log_risk, survival_<time>, and add the outcome "
            f"where it is not there (`predict` writes none){_of_censoring(raw)}",
        )
    _refuse(
        raw["patient_id"].str.strip() == "",
        raw["patient_id"],
        where,
        "patient_id",
        "an id",
    )


def _of_censoring(raw: pd.DataFrame) -> str:
    """Say that a column of the censored is no column of events, where the file has one instead."""
    names = [name for name in raw.columns if "cens" in str(name).casefold()]
    if "event" in raw or not names:
        return ""
    return f"; {names[0]} may mark the censored with 1: event is then 1 - {names[0]}, not a new name for it"


def _numbers(raw: pd.DataFrame, name: str, where: str) -> pd.Series[float]:
    values = raw[name].map(_number).astype(float)
    _refuse(~(values.abs() <= LARGEST), raw[name], where, name, "a finite number")
    return values


def _number(cell: str) -> float:
    """Read exactly what was written, NaN where it is no number."""
    try:
        return _plain(cell)
    except ValueError:
        return np.nan


def _plain(text: str) -> float:
    if "_" in text:  # Python reads 1_0 as 10
        raise ValueError(text)
    return float(text)


def _whole(raw: pd.DataFrame, name: str, where: str) -> pd.Series[int]:
    values = raw[name].map(_number).astype(float)
    whole = (values.abs() <= MOST_FOLDS) & (values == np.floor(values))
    _refuse(~whole, raw[name], where, name, "a whole number")
    return values.astype(int)


def _events(raw: pd.DataFrame, where: str) -> pd.Series[bool]:
    values = raw["event"].str.strip().str.lower().map(FLAGS)
    _refuse(values.isna(), raw["event"], where, "event", "1 (event) or 0 (censored)")
    return values == 1


def _refuse(
    wrong: npt.ArrayLike,
    cells: pd.Series[str],
    where: str,
    name: str,
    expected: str,
) -> None:
    rows = np.flatnonzero(np.asarray(wrong, dtype=bool))
    if len(rows):
        more = f", and {len(rows) - 1} more rows" if len(rows) > 1 else ""
        raise InputError(
            f"{where}: column {name}, line {cells.index[rows[0]]}: expected {expected}, "
            f"got {cells.iloc[rows[0]]!r}{more}",
        )


def _survival_columns(raw: pd.DataFrame, where: str) -> dict[float, str]:
    """Columns by their time, rising."""
    found: dict[float, str] = {}
    for name in raw.columns:
        if not str(name).startswith("survival_"):
            continue
        text = re.sub(r"^survival_", "", str(name))
        try:
            time = _plain(text)
        except ValueError:
            raise InputError(
                f"{where}: column {name}: expected survival_<time>, such as survival_36",
            ) from None
        if not (np.isfinite(time) and time >= 0):
            raise InputError(
                f"{where}: column {name}: the time must be finite and >= 0",
            )
        if time in found or (time and column(time) in {column(t) for t in found}):
            raise InputError(
                f"{where}: columns {found.get(time, name)} and {name} name one time",
            )
        if time > 0:  # S(0) = 1 holds for everyone
            found[time] = str(name)
    return dict(sorted(found.items()))


def _curves(
    raw: pd.DataFrame,
    columns: dict[float, str],
    where: str,
    places: npt.NDArray[np.int64],
) -> tuple[FloatArray, int]:
    """Survival (patients, times), within [0, 1] and never rising; how many values were rounded to be so.

    A column may be blank for all patients of a fold (a time its model knows nothing of).
    """
    values = np.stack(
        [_or_blank(raw, name, where, places) for name in columns.values()],
        axis=1,
    )
    names = list(columns.values())
    outside = np.argwhere((values < -ROUNDING) | (values > 1 + ROUNDING))
    if len(outside):
        row, at = outside[0]
        raise InputError(
            f"{where}: column {names[at]}, line {raw.index[row]}: survival must lie in [0, 1], "
            f"got {values[row, at]:g} ({len(outside)} values); is this a risk or a percentage?",
        )
    clipped = np.clip(values, 0.0, 1.0)
    tidy = np.fmin.accumulate(clipped, axis=1)  # over blank columns too
    rising = np.argwhere(clipped > tidy + ROUNDING)
    if len(rising):
        row, at = rising[0]
        before = int(np.nanargmin(clipped[row, :at]))
        raise InputError(
            f"{where}: line {raw.index[row]}: survival must not rise, but {names[before]} is "
            f"{clipped[row, before]:g} and {names[at]} is {clipped[row, at]:g} ({len(rising)} places); "
            "are these probabilities of the event instead?",
        )
    tidy[np.isnan(values)] = np.nan
    return tidy, int((tidy != values)[~np.isnan(values)].sum())


def _or_blank(
    raw: pd.DataFrame,
    name: str,
    where: str,
    places: npt.NDArray[np.int64],
) -> FloatArray:
    """Read numbers, NaN in folds where all are blank."""
    cells = raw[name]
    values = cells.map(_number).to_numpy(float)
    blank = np.isnan(values)
    blank[blank] = cells[blank].str.strip().str.lower().isin(["", "nan", "na"])
    whole = (np.bincount(places, weights=blank) == np.bincount(places))[places]
    _refuse(
        ~(np.abs(values) <= LARGEST) & ~whole,
        cells,
        where,
        name,
        "a finite number",
    )
    return np.where(whole, np.nan, values)


def _unique(table: pd.DataFrame, where: str) -> None:
    keys = ["model", "repeat", "patient_id"]
    twice = table[table.duplicated(keys)]
    if len(twice):
        raise InputError(
            f"{where}: line {twice.index[0]}: patient {twice['patient_id'].iloc[0]!r} stands there "
            f"twice ({len(twice)} such rows); one row per patient, or a column `repeat` or `model` that "
            "tells them apart",
        )


def _lived_once(table: pd.DataFrame, where: str) -> None:
    """Refuse a patient whose outcome is told otherwise in another repeat of the same model."""
    first = table.groupby(["model", "patient_id"])[["time", "event"]].transform("first")
    same = np.isclose(table["time"], first["time"], rtol=1e-6, atol=0) & (
        table["event"] == first["event"]
    )
    other = table[~same]
    if len(other):
        line, row = other.index[0], other.iloc[0]
        before = first.loc[line]
        raise InputError(
            f"{where}: line {line}: patient {row['patient_id']!r} has time {row['time']:g} and event "
            f"{int(row['event'])}, in an earlier repeat {before['time']:g} and {int(before['event'])} "
            f"({len(other)} such rows); one outcome per patient",
        )
