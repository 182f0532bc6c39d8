"""The outcome table: who had the event and when, with every impossible row reported."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from survfuse._errors import listed
from survfuse.cohort.data import FlowStep
from survfuse.cohort.problems import Problems
from survfuse.cohort.sources import Sources
from survfuse.cohort.spec import OutcomeSpec
from survfuse.readers.tables import FLAGS

Floats = npt.NDArray[np.float64]

LEAVE_OUT = (
    "correct the table, or set outcome.exclude_invalid: true to leave such patients out, counted and listed"
)


@dataclass(frozen=True)
class OutcomeTable:
    """What the outcome table gives.

    Attributes
    ----------
    frame : DataFrame
        `time` (float) and `event` (bool) of the valid patients, by id.
    listed : tuple of str
        Every id of the table, valid or not.
    flow : tuple of FlowStep
        From the rows of the table to the valid patients.
    """

    frame: pd.DataFrame
    listed: tuple[str, ...]
    flow: tuple[FlowStep, ...]


def read_outcome(
    spec: OutcomeSpec, sources: Sources, *, exclude: Collection[str] = (), required: bool = True
) -> OutcomeTable | None:
    """Read the outcome table.

    Parameters
    ----------
    spec : OutcomeSpec
        Where it lies and what its columns mean.
    sources : Sources
        Reads it and collects problems.
    exclude : collection of str
        Ids left out before anything is checked.
    required : bool
        False accepts an absent table or absent columns (None is returned, with
        a warning) and only warns of rows without a valid outcome.
    """
    if not required and not _there(spec, sources):
        return None
    cells = sources.by_patient(spec.table, spec.patient, "outcome")
    if cells is None:
        return None
    time_cells = sources.column(cells, spec.time, spec.table, "outcome")
    status_cells = sources.column(cells, spec.status, spec.table, "outcome")
    if time_cells is None or status_cells is None:
        return None
    keep = ~cells.index.isin(list(exclude))
    reader = _Rows(spec, sources.problems, lenient=spec.exclude_invalid or not required, required=required)
    time = reader.times(time_cells[keep])
    event = reader.events(status_cells[keep])
    valid = np.isfinite(time) & np.isfinite(event)
    frame = pd.DataFrame({"time": time, "event": event == 1}, index=time_cells.index[keep])
    flow = _flow(len(cells), frame, valid, reader.left_out)
    frame = frame[valid]
    _suspect_unit(spec, frame["time"], sources.problems)
    if required and not frame["event"].any():
        sources.problems.error(
            "outcome",
            f"none of the {len(frame)} valid patients has the event",
            file=spec.table,
            column=spec.status,
            hint="check the polarity: `event` (1 = event) or `censored` (1 = censored)",
        )
    return OutcomeTable(frame, tuple(cells.index), flow)


def _there(spec: OutcomeSpec, sources: Sources) -> bool:
    """Whether an outcome that is not required can be read at all; warns when not."""
    quiet = Sources(sources.root, Problems())
    frame = quiet.table(spec.table, spec.patient, "outcome") if sources.path(spec.table).exists() else None
    absent = [spec.table] if frame is None else [c for c in (spec.time, spec.status) if c not in frame]
    if absent:
        sources.problems.warning("outcome", f"none read: no {listed(absent)}", file=spec.table)
    return not absent


class _Rows:
    """Parses the two columns, reporting each kind of wrong cell once with its patients."""

    def __init__(self, spec: OutcomeSpec, problems: Problems, *, lenient: bool, required: bool) -> None:
        self.spec = spec
        self.required = required
        self.problems = problems
        self.lenient = lenient
        self.left_out: dict[str, str] = {}  # patient -> reason

    def times(self, cells: pd.Series[str]) -> Floats:
        """Parse times, NaN where invalid."""
        missing = cells.isin(self.spec.missing).to_numpy(bool)
        time = pd.to_numeric(cells.mask(missing), errors="coerce").to_numpy(np.float64, na_value=np.nan)
        unreadable = ~np.isfinite(time) & ~missing
        negative = np.isfinite(time) & (time <= 0)
        self._report(cells, missing, self.spec.time, "time is missing")
        self._report(cells, unreadable, self.spec.time, "time must be a number")
        self._report(cells, negative, self.spec.time, "time must be > 0")
        return np.where(negative | unreadable, np.nan, time)

    def events(self, cells: pd.Series[str]) -> Floats:
        """1 where the event happened, 0 where censored, NaN where invalid."""
        own = {word: float(bit) for word, bit in (self.spec.event_values or {}).items()}
        missing = (cells.isin(self.spec.missing) & ~cells.isin(own)).to_numpy(bool)
        lowered = cells.str.lower().map(FLAGS)
        status = np.asarray(cells.map(own).fillna(lowered), np.float64)
        self._report(cells, missing, self.spec.status, "status is missing")
        for word in sorted(set(cells[np.isnan(status) & ~missing])):
            note = self.problems.error if self.required else self.problems.warning
            note(
                "outcome",
                f"status must be 0 or 1 (or true, false), got {word!r}",
                patients=cells.index[cells == word],
                file=self.spec.table,
                column=self.spec.status,
                hint=f"say what it means: event_values: {{{word}: 1}} (or 0); or list it in outcome.missing",
            )
        return status if self.spec.event is not None else np.subtract(1.0, status)

    def _report(self, cells: pd.Series[str], wrong: npt.NDArray[np.bool_], column: str, text: str) -> None:
        if not wrong.any():
            return
        shown = listed(sorted({repr(cell) for cell in cells[wrong]}))
        note = self.problems.warning if self.lenient else self.problems.error
        note(
            "outcome",
            f"{text}, got {shown} for {int(wrong.sum())} patient(s)" + ("; left out" if self.lenient else ""),
            patients=cells.index[wrong],
            file=self.spec.table,
            column=column,
            hint="" if self.lenient else LEAVE_OUT,
        )
        self.left_out.update({str(patient): f"{column}: {text}" for patient in cells.index[wrong]})


def _flow(
    rows: int, frame: pd.DataFrame, valid: npt.NDArray[np.bool_], left_out: dict[str, str]
) -> tuple[FlowStep, ...]:
    """Count patients from the rows of the table to those with a valid outcome."""
    steps = [FlowStep("in the outcome table", rows, None)]
    if rows > len(frame):
        steps.append(FlowStep("not excluded by id", len(frame), None))
    note = ""
    if left_out:
        reasons: dict[str, list[str]] = {}
        for patient, reason in sorted(left_out.items()):
            reasons.setdefault(reason, []).append(patient)
        note = "; ".join(f"{reason} ({len(ids)}): {listed(ids, 100)}" for reason, ids in reasons.items())
    steps.append(FlowStep("valid outcome", int(valid.sum()), int(frame["event"][valid].sum()), note))
    return tuple(steps)


def _suspect_unit(spec: OutcomeSpec, time: pd.Series[float], problems: Problems) -> None:
    """Warn when the longest follow-up fits another unit better than the declared one."""
    if time.empty:
        return
    longest = float(time.max())
    looks = {
        "years": "months or days" if longest > 150 else "",
        "months": "days" if longest > 1200 else "",
        "days": "months" if longest < 130 else "",
    }[spec.unit]
    if looks:
        problems.warning(
            "outcome",
            f"unit is declared as {spec.unit}, but the longest time is {longest:g}: looks like {looks}",
            file=spec.table,
            column=spec.time,
            hint="correct outcome.unit if so",
        )
