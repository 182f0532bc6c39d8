"""The outcome table: who had the event and when, with every impossible row reported."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from survfuse._errors import listed
from survfuse.cohort.cohort_data import FlowStep
from survfuse.cohort.outliers import LARGEST
from survfuse.cohort.problems import Problems
from survfuse.cohort.sources import Sources
from survfuse.cohort.spec import OutcomeSpec
from survfuse.cohort.status_column import (
    as_list,
    doubt_of_name,
    doubt_of_shares,
    doubt_of_words,
    hint,
    meanings,
)
from survfuse.cohort.time_units import doubted_unit, far_times
from survfuse.readers.cell_text import (
    instead_of_number,
    reads_unknown,
    spellings,
    whole,
    whole_cells,
)

Floats = npt.NDArray[np.float64]

NO_NUMBER = "time must be a number"
LEAVE_OUT = "correct the table, or set outcome.exclude_invalid: true to leave such patients out, counted and listed"


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
    for same in spellings(cells.index[keep]):
        sources.problems.warning(
            "outcome",
            f"ids {listed(map(repr, same))} are nearly the same; they count as {len(same)} patients",
            file=spec.table,
            column=spec.patient,
            hint="if they are one patient, keep one row, or list one under `exclude:` of the cohort file",
        )
    reader = _Rows(
        spec,
        sources.problems,
        lenient=spec.exclude_invalid or not required,
        required=required,
    )
    time = reader.times(time_cells[keep])
    event = reader.events(status_cells[keep])
    valid = np.isfinite(time) & np.isfinite(event)
    frame = pd.DataFrame(
        {"time": time, "event": event == 1},
        index=time_cells.index[keep],
    )
    flow = _flow(len(cells), frame, valid, reader.left_out)
    frame = frame[valid]
    if not frame.empty and not reader.asked:
        lost = _censored_without_time(time, event)
        _doubts(spec, frame, sources.problems, lost, required=required)
    return OutcomeTable(frame, tuple(cells.index), flow)


def _there(spec: OutcomeSpec, sources: Sources) -> bool:
    """Whether an outcome that is not required can be read at all; warns when not."""
    quiet = Sources(sources.root, Problems())
    frame = (
        quiet.table(spec.table, spec.patient, "outcome")
        if sources.path(spec.table).exists()
        else None
    )
    absent = (
        [spec.table]
        if frame is None
        else [c for c in (spec.time, spec.status) if c not in frame]
    )
    if absent:
        sources.problems.warning(
            "outcome",
            f"none read: no {listed(absent)}",
            file=spec.table,
        )
    return not absent


class _Rows:
    """Parses the two columns, reporting each kind of wrong cell once with its patients."""

    def __init__(
        self,
        spec: OutcomeSpec,
        problems: Problems,
        *,
        lenient: bool,
        required: bool,
    ) -> None:
        self.spec = spec
        self.required = required
        self.problems = problems
        self.lenient = lenient
        self.left_out: dict[str, str] = {}  # patient -> reason
        self.asked = False  # whether the meaning of a status is still to be said

    def times(self, cells: pd.Series[str]) -> Floats:
        """Parse times, NaN where invalid."""
        missing = self._missing(cells)
        time = pd.to_numeric(cells.mask(missing), errors="coerce").to_numpy(
            np.float64,
            na_value=np.nan,
        )
        unreadable = ~np.isfinite(time) & ~missing
        negative = np.isfinite(time) & (time <= 0)
        self._report(cells, missing, self.spec.time, "time is missing")
        self._report(cells, unreadable, self.spec.time, NO_NUMBER)
        self._report(cells, negative, self.spec.time, "time must be > 0")
        huge = np.isfinite(time) & (time > LARGEST)
        self._report(cells, huge, self.spec.time, f"time must be at most {LARGEST:g}")
        return np.where(negative | unreadable | huge, np.nan, time)

    def events(self, cells: pd.Series[str]) -> Floats:
        """1 where the event happened, 0 where censored, NaN where invalid."""
        status = meanings(self.spec, cells)
        missing = self._missing(cells) & status.isna().to_numpy(bool)
        self._report(cells, missing, self.spec.status, "status is missing")
        unlisted = status.isna() & ~missing
        if unlisted.any():
            self._ask(cells[~missing], cells[unlisted])
        bits = np.asarray(status, np.float64)
        return bits if self.spec.event is not None else np.subtract(1.0, bits)

    def _missing(self, cells: pd.Series[str]) -> npt.NDArray[np.bool_]:
        return whole_cells(cells).isin({*map(whole, self.spec.missing)}).to_numpy(bool)

    def _ask(self, cells: pd.Series[str], unlisted: pd.Series[str]) -> None:
        """Ask what words mean that the dictionary does not have."""
        self.asked = True
        words = sorted(set(unlisted))
        given = self.spec.event_values
        expected = (
            "be 0 or 1 (or true, false)"
            if given is None
            else "be a word that event_values lists"
        )
        note = self.problems.error if self.required else self.problems.warning
        note(
            "outcome",
            f"status must {expected}, got {listed(map(repr, words), 8)} for {len(unlisted)} patient(s)",
            patients=unlisted.index,
            file=self.spec.table,
            column=self.spec.status,
            hint=hint(self.spec, sorted(set(cells)), words),
        )

    def _instead(self, cells: list[str]) -> str:
        """Say what cells are that should have been times."""
        unknown = [cell for cell in cells if reads_unknown(cell)]
        if unknown:
            return f"if it means 'not known', outcome.missing: {as_list((*self.spec.missing, *unknown))}"
        return instead_of_number(cells[0])

    def _report(
        self,
        cells: pd.Series[str],
        wrong: npt.NDArray[np.bool_],
        column: str,
        text: str,
    ) -> None:
        if not wrong.any():
            return
        kinds = sorted(set(cells[wrong]))
        shown = listed(map(repr, kinds))
        instead = self._instead(kinds) if text == NO_NUMBER else ""
        note = self.problems.warning if self.lenient else self.problems.error
        note(
            "outcome",
            f"{text}, got {shown} for {int(wrong.sum())} patient(s)"
            + ("; left out" if self.lenient else ""),
            patients=cells.index[wrong],
            file=self.spec.table,
            column=column,
            hint=instead or ("" if self.lenient else LEAVE_OUT),
        )
        self.left_out.update(
            {str(patient): f"{column}: {text}" for patient in cells.index[wrong]},
        )


def _flow(
    rows: int,
    frame: pd.DataFrame,
    valid: npt.NDArray[np.bool_],
    left_out: dict[str, str],
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
        note = "; ".join(
            f"{reason} ({len(ids)}): {listed(ids, 100)}"
            for reason, ids in reasons.items()
        )
    steps.append(
        FlowStep(
            "valid outcome",
            int(valid.sum()),
            int(frame["event"][valid].sum()),
            note,
        ),
    )
    return tuple(steps)


def _censored_without_time(time: Floats, event: Floats) -> int:
    """Count the censored where none of them has a time, as in a column `days_to_death`."""
    censored = event == 0
    lost = int(censored.sum())
    return 0 if lost < 2 or np.isfinite(time[censored]).any() else lost


def _doubts(
    spec: OutcomeSpec,
    frame: pd.DataFrame,
    problems: Problems,
    lost: int,
    *,
    required: bool,
) -> None:
    """Refuse an outcome without events; doubt its unit and its polarity."""
    time = frame["time"].to_numpy(float)
    far = far_times(time)
    if far.any():
        shown = listed(f"{one:g}" for one in time[far])
        problems.warning(
            "outcome",
            f"{shown} {spec.unit} is far beyond the next longest time, {time[~far].max():g}",
            patients=frame.index[far],
            file=spec.table,
            column=spec.time,
            hint="correct the table where this is a typing error",
        )
    unit = doubted_unit(time, spec.unit)
    if unit:
        hint = "correct outcome.unit if so (weeks: multiply by 7 and declare days)"
        problems.warning("outcome", unit, file=spec.table, column=spec.time, hint=hint)
    hint = "check the polarity: `event` (1 = event) or `censored` (1 = censored)"
    if required and not frame["event"].any():
        text = f"none of the {len(frame)} valid patients has the event"
        problems.error("outcome", text, file=spec.table, column=spec.status, hint=hint)
    if lost:
        problems.warning(
            "outcome",
            f"none of the {len(frame)} patients with a time is censored, and {lost} censored ones have no "
            "time: is theirs in another column?",
            file=spec.table,
            column=spec.time,
            hint="put the time of the censored (last follow-up) and of the events into one column",
        )
    shares = "" if lost else doubt_of_shares(int(frame["event"].sum()), len(frame))
    for doubt in (shares, doubt_of_name(spec), doubt_of_words(spec)):
        if doubt and required:
            problems.warning(
                "outcome",
                doubt,
                file=spec.table,
                column=spec.status,
                hint=hint,
            )
