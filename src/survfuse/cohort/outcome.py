"""The outcome table: who had the event and when, with every impossible row reported."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from survfuse._errors import listed
from survfuse._types import BoolArray, FloatArray
from survfuse.cohort.cohort_data import FlowStep
from survfuse.cohort.follow_up_times import Fault, missing_cells, read_times
from survfuse.cohort.members import without
from survfuse.cohort.problems import Place
from survfuse.cohort.sources import Sources
from survfuse.cohort.spec import OutcomeSpec, TimeSpan
from survfuse.cohort.status_column import (
    as_list,
    doubt_of_name,
    doubt_of_shares,
    doubt_of_texts,
    hint,
    meanings,
)
from survfuse.cohort.time_units import doubted_unit, far_times
from survfuse.readers.cell_text import named_spellings, spellings

LEAVE_OUT = (
    "correct the table, or set outcome.exclude_invalid: true to leave such patients out, counted "
    "and listed"
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
    spec: OutcomeSpec,
    sources: Sources,
    *,
    exclude: Collection[str] = (),
    required: bool = True,
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
    if not required and not _is_readable(spec, sources):
        return None
    table = sources.by_patient(spec.table, spec.patient, "outcome")
    if table is None:
        return None
    columns = {}
    for name in spec.columns:
        cells = table.column(name, "outcome")
        if cells is not None:
            columns[name] = cells
    if len(columns) < len(spec.columns):
        return None
    keep = ~table.cells.index.isin(list(exclude))
    ids = table.cells.index[keep]
    place = sources.problems.at("outcome", spec.table, table.id_column)
    same = spellings(ids)
    if same:
        place.warning(
            f"ids {named_spellings(same)} are nearly the same; they count as "
            f"{sum(map(len, same))} patients",
            hint="if they are one patient, keep one row, or list one under `exclude:` of the "
            "cohort file",
        )
    reader = _Rows(spec, place, required=required)
    time = reader.times({name: columns[name][keep] for name in spec.time_columns})
    event = reader.events(columns[spec.status][keep])
    valid = np.isfinite(time) & np.isfinite(event)
    frame = pd.DataFrame({"time": time, "event": event == 1}, index=ids)
    flow = _flow(len(table.cells), frame, valid, reader.left_out)
    frame = frame[valid]
    if not frame.empty and not reader.unclear:
        _check_times(spec, frame, place)
        censored = event == 0
        lost = 0 if np.isfinite(time[censored]).any() else int(censored.sum())
        if lost > 1:
            replace(place, column=spec.time_name).warning(
                f"none of the {len(frame)} patients with a time is censored, and {lost} censored "
                "ones have no time: is theirs in another column?",
                hint="name it (days to last follow-up) after that of the events: "
                f"time: {{first_of: {as_list((*spec.time_columns, 'COLUMN'))}}}",
            )
        if required:
            _check_polarity(spec, frame["event"], lost > 1, place)
    return OutcomeTable(frame, tuple(table.cells.index), flow)


def _is_readable(spec: OutcomeSpec, sources: Sources) -> bool:
    """Whether an outcome that is not required can be read at all; warns when not."""
    absent = [str(spec.table)]
    if sources.path(spec.table).exists():
        quiet = sources.quiet()
        rule = quiet.rule(spec.patient)
        frame = quiet.table(spec.table, str(rule), "outcome")
        if frame is not None:
            absent = without(spec.columns, map(str, frame))
    if absent:
        place = sources.problems.at("outcome", spec.table)
        place.warning(f"none read: no {listed(absent)}")
    return not absent


class _Rows:
    """Parses the two columns, reporting each kind of wrong cell once with its patients."""

    def __init__(
        self,
        spec: OutcomeSpec,
        place: Place,
        *,
        required: bool,
    ) -> None:
        self.spec = spec
        self.place = place
        self.required = required
        self.lenient = spec.exclude_invalid or not required
        self.left_out: dict[str, str] = {}  # patient -> reason
        self.unclear = False  # whether the meaning of a status is still to be said

    def times(self, columns: Mapping[str, pd.Series[str]]) -> FloatArray:
        """Read times, NaN where invalid."""
        times = read_times(self.spec, columns, self.place)
        for question in times.unclear:
            self.unclear = True
            replace(self.place, column=question.column).report(
                "error" if self.required else "warning",
                f"{question.text}, such as {listed(question.cells.unique())}",
                hint=question.hint,
            )
        for fault in times.faults:
            self._report(fault)
        return times.values

    def events(self, cells: pd.Series[str]) -> FloatArray:
        """1 where the event happened, 0 where censored, NaN where invalid."""
        bits = meanings(self.spec, cells).to_numpy(np.float64)
        missing = missing_cells(self.spec, cells) & np.isnan(bits)
        self._report(Fault(self.spec.status, "status is missing", cells[missing]))
        unlisted = cells[np.isnan(bits) & ~missing]
        if len(unlisted):
            self._ask(cells[~missing], unlisted)
        return bits if self.spec.event is not None else 1.0 - bits

    def _ask(
        self,
        cells: pd.Series[str],
        unlisted: pd.Series[str],
    ) -> None:
        """Ask what a status means that the dictionary does not have."""
        self.unclear = True
        unknown = sorted(set(unlisted))
        expected = "a word that event_values lists"
        if self.spec.has_sides:
            expected = "a word that happened or censored lists"
        elif self.spec.words is None:
            expected = "0 or 1 (or true, false)"
        replace(self.place, column=self.spec.status).report(
            "error" if self.required else "warning",
            f"status must be {expected}, got {listed(map(repr, unknown), 8)} for "
            f"{len(unlisted)} patient(s)",
            patients=unlisted.index,
            hint=hint(self.spec, sorted(set(cells)), unknown),
        )

    def _report(self, fault: Fault) -> None:
        """Report patients of wrong cells: left out, or an error."""
        wrong = fault.cells
        if wrong.empty:
            return
        kinds = sorted(set(wrong))
        message = (
            f"{fault.text}, got {listed(map(repr, kinds))} for {len(wrong)} patient(s)"
        )
        place = replace(self.place, column=fault.column)
        if self.lenient:
            place.warning(
                f"{message}; left out",
                patients=wrong.index,
                hint=fault.hint,
            )
        else:
            place.error(
                message,
                patients=wrong.index,
                hint=fault.hint or LEAVE_OUT,
            )
        reason = f"{fault.column}: {fault.text}"
        self.left_out |= dict.fromkeys(map(str, wrong.index), reason)


def _flow(
    rows: int,
    frame: pd.DataFrame,
    valid: BoolArray,
    left_out: dict[str, str],
) -> tuple[FlowStep, ...]:
    """Count patients from the rows of the table to those with a valid outcome."""
    steps = [FlowStep("in the outcome table", rows, None)]
    if rows > len(frame):
        steps.append(FlowStep("not excluded by id", len(frame), None))
    reasons: dict[str, list[str]] = {}
    for patient, reason in sorted(left_out.items()):
        reasons.setdefault(reason, []).append(patient)
    notes = [
        f"{reason} ({len(ids)}): {listed(ids, 100)}" for reason, ids in reasons.items()
    ]
    events = int(frame["event"][valid].sum())
    steps.append(FlowStep("valid outcome", int(valid.sum()), events, "; ".join(notes)))
    return tuple(steps)


def _check_times(
    spec: OutcomeSpec,
    frame: pd.DataFrame,
    place: Place,
) -> None:
    """Doubt times far beyond all others, and the unit."""
    place = replace(place, column=spec.time_name)
    time = frame["time"].to_numpy(float)
    far = far_times(time)
    if far.any():
        longest = listed(f"{one:g}" for one in time[far])
        place.warning(
            f"{longest} {spec.unit} is far beyond the next longest time, {time[~far].max():g}",
            patients=frame.index[far],
            hint="correct the table where this is a typing error",
        )
    dates = isinstance(spec.time, TimeSpan)  # turned into the unit here
    doubt = "" if dates else doubted_unit(time, spec.unit)
    if doubt:
        place.warning(
            doubt,
            hint="correct outcome.unit if so (weeks: multiply by 7 and declare days)",
        )


def _check_polarity(
    spec: OutcomeSpec,
    event: pd.Series[bool],
    lost: bool,
    place: Place,
) -> None:
    """Refuse an outcome without events, and doubt which status is the event."""
    place = replace(place, column=spec.status)
    hint = "check the polarity: `event` (1 = event) or `censored` (1 = censored)"
    if not event.any():
        place.error(f"none of the {len(event)} valid patients has the event", hint=hint)
    shares = "" if lost else doubt_of_shares(int(event.sum()), len(event))
    for doubt in (shares, doubt_of_name(spec), doubt_of_texts(spec)):
        if doubt:
            place.warning(doubt, hint=hint)
