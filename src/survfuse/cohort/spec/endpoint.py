"""The section of an endpoint: who had the event, and when."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from survfuse.cohort.spec.base import Section, refuse_same
from survfuse.cohort.spec.patient_column import Patient, PatientColumn
from survfuse.cohort.table_file import Table
from survfuse.readers.dates import is_date_format
from survfuse.readers.matrices import MISSING


class TimeSpan(Section):
    """A time as two columns of dates, ``{from: diagnosis, to: last_contact}``."""

    start: str = Field(alias="from")
    """Column of the dates of time zero."""
    end: str = Field(alias="to")
    """Column of the dates of the event, or of the end of follow-up."""
    format: str | None = None
    """How both are written, such as `%d/%m/%Y`; needed where that is not plain."""

    @classmethod
    def suggestions(cls) -> Mapping[str, str]:
        """Names as a cohort file writes them."""
        return {"from": "from", "to": "to", "format": "format"}

    @model_validator(mode="after")
    def _check(self) -> TimeSpan:
        if self.start == self.end:
            raise ValueError("`from` and `to` must be two columns")
        if self.format is not None and not is_date_format(self.format):
            raise ValueError(
                f"format: expected day, month and year, such as %d/%m/%Y, got {self.format!r}",
            )
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that make the time."""
        return self.start, self.end


class FirstOf(Section):
    """A time as the first of several columns that is not missing."""

    first_of: Annotated[tuple[str, ...], Field(min_length=2)]
    """Columns in their order, such as `[days_to_death, days_to_last_follow_up]`."""

    @model_validator(mode="after")
    def _check(self) -> FirstOf:
        if len(set(self.first_of)) < len(self.first_of):
            raise ValueError("first_of: list each column once")
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that make the time."""
        return self.first_of


def _time(given: Any) -> Any:
    """Choose what a mapping is by its keys."""
    if not isinstance(given, Mapping):
        return given
    kind = FirstOf if "first_of" in given else TimeSpan
    return kind.model_validate(given)


Time = Annotated[
    str | TimeSpan | FirstOf,
    BeforeValidator(_time, json_schema_input_type=str | TimeSpan | FirstOf),
]
"""Field that says where the time is."""


class StatusWords(Section):
    """A status column with all its words.

    A cohort file writes ``{column: vital_status, happened: [Dead], censored: [Alive]}``.
    """

    column: str
    """The column."""
    happened: Annotated[tuple[str, ...], Field(min_length=1)]
    """Every word that means that the event happened."""
    censored: Annotated[tuple[str, ...], Field(min_length=1)]
    """Every word that means that it did not until the end of follow-up."""

    @model_validator(mode="after")
    def _check(self) -> StatusWords:
        both = sorted(set(self.happened) & set(self.censored))
        if both:
            raise ValueError(f"{both[0]!r} stands under both happened and censored")
        refuse_same("happened, censored", (*self.happened, *self.censored))
        return self


def _status(given: Any) -> Any:
    return StatusWords.model_validate(given) if isinstance(given, Mapping) else given


Status = Annotated[
    str | StatusWords,
    BeforeValidator(_status, json_schema_input_type=str | StatusWords),
]
"""Field that names a status column."""


def _bit(given: Any) -> Any:
    return {"0": 0, "1": 1}.get(given, given) if isinstance(given, str) else given


class OutcomeSpec(Section):
    """Who had the event, and when. The polarity is said, never guessed."""

    table: Table
    """Table with one row per patient."""
    patient: Patient = PatientColumn(column="patient_id")
    """Column of patient ids."""
    time: Time
    """Follow-up times, > 0: a column, `{from: DATE, to: DATE}`, or `{first_of: [COLUMNS]}`."""
    unit: Literal["days", "months", "years"]
    """Unit of `time`; what dates are turned into."""
    event: Status | None = None
    """Column in which 1 means that the event happened at `time`, or a column with its words;
    exactly one of `event` and `censored`."""
    censored: Status | None = None
    """Column in which 1 means that follow-up ended at `time` without the event, or a column with
    its words."""
    event_values: dict[str, Annotated[Literal[0, 1], BeforeValidator(_bit)]] | None = (
        None
    )
    """What every word in that column means, as 0 or 1 of that column: {deceased: 1, living: 0}.
    Where it is given, no other word (not even 0, 1, true, false) has a meaning."""
    endpoint: str = ""
    """Name of the endpoint for tables and figures, such as "overall survival"."""
    horizons: tuple[float, ...] | None = None
    """Times, in `unit`, at which survival is predicted."""
    exclude_invalid: bool = False
    """Leave out patients without a possible time and event, counted and listed, instead of
    refusing."""
    missing: tuple[str, ...] = MISSING
    """Cells that mean "not known"."""

    @property
    def _given_status(self) -> str | StatusWords:
        given = self.event if self.event is not None else self.censored
        assert given is not None
        return given

    @property
    def status(self) -> str:
        """The column that holds the status, whichever its polarity."""
        given = self._given_status
        return given if isinstance(given, str) else given.column

    @property
    def has_sides(self) -> bool:
        """Whether the words of the status are given as those of the event and of censoring."""
        return isinstance(self._given_status, StatusWords)

    @property
    def words(self) -> Mapping[str, int] | None:
        """What every word of that column means, as 0 or 1 of it; None where 0 and 1 say it."""
        given = self._given_status
        if isinstance(given, str):
            return self.event_values
        event = int(self.event is not None)
        happened = dict.fromkeys(given.happened, event)
        return {**happened, **dict.fromkeys(given.censored, 1 - event)}

    @property
    def time_columns(self) -> tuple[str, ...]:
        """Columns that make the time."""
        return (self.time,) if isinstance(self.time, str) else self.time.columns

    @property
    def time_name(self) -> str:
        """What holds the time, for messages."""
        if isinstance(self.time, TimeSpan):
            return " to ".join(self.time.columns)
        if isinstance(self.time, FirstOf):
            return f"first of {', '.join(self.time.columns)}"
        return self.time

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that hold the outcome: times and status."""
        return tuple(dict.fromkeys((*self.time_columns, self.status)))

    @property
    def label(self) -> str:
        """The endpoint's name; the status column's where none is given."""
        return self.endpoint or self.status

    @model_validator(mode="after")
    def _check(self) -> OutcomeSpec:
        if (self.event is None) == (self.censored is None):
            raise ValueError(
                "say exactly one of `event: COLUMN` (1 = the event happened) and "
                "`censored: COLUMN` (1 = censored); the polarity is never guessed",
            )
        if self.event_values is not None:
            if not self.event_values:
                raise ValueError(
                    "event_values: list every word of the column, each with 0 or 1, or leave it "
                    "out",
                )
            if self.has_sides:
                raise ValueError(
                    "event_values: the words are given with `happened` and `censored`; leave one "
                    "of the two out",
                )
        refuse_same("event_values", self.event_values or ())
        if not min(self.horizons or (1.0,)) > 0:
            raise ValueError("horizons must be > 0")
        return self
