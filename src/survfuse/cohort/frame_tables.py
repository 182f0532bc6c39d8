"""Tables in memory that the sections of a cohort share, each under the name of its file."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from survfuse._errors import CohortError, listed
from survfuse.cohort.anndata_input import (
    is_anndata,
    is_mudata,
    split_mudata,
    table_or_obs,
)
from survfuse.cohort.column_names import near_name
from survfuse.cohort.frame_hints import FrameProblems
from survfuse.cohort.frame_texts import (
    PATIENT,
    series_table,
    text_table,
    with_ids,
)
from survfuse.cohort.memory_sources import Memory
from survfuse.cohort.problems import Problems

WHERE = "Cohort.from_frames"
OUTCOME, CLINICAL, OBS = "outcome (DataFrame)", "clinical (DataFrame)", "obs (AnnData)"
Named = Mapping[str, Any]


@dataclass
class FrameInput:
    """What :meth:`Cohort.from_frames` was given; the fields are described there."""

    outcome: Any
    time: str | Named | None
    event: str | Named | None
    censored: str | Named | None
    unit: str | None
    patient: str | None
    clinical: Any
    columns: Named
    expression: Any
    expression_unit: str | None
    genes: str
    layer: str | None
    orientation: str
    tables: Named
    bags: Named
    encoder: str | Mapping[str, str] | None
    mpp: float | Mapping[str, float] | None
    groups: Any
    folds: Any
    followup: Collection[str]
    missing: Sequence[str] | None
    match: str | None
    rows: str
    duplicates: str
    name: str
    options: dict[str, Any]
    """Fields of the outcome section: endpoint, horizons, event_values, exclude_invalid."""
    exclude: Collection[str]


@dataclass
class FrameTables:
    """The tables that were given, as they are and as text.

    Attributes
    ----------
    given : FrameInput
    memory : Memory
        What stands for files.
    problems : Problems
        Where problems go.
    frames : dict of str to DataFrame
        Tables as they were given, with a column of ids, by the name of their file.
    """

    given: FrameInput
    memory: Memory = field(default_factory=Memory)
    problems: Problems = field(default_factory=FrameProblems)
    frames: dict[str, pd.DataFrame] = field(default_factory=dict)

    @property
    def patient(self) -> str:
        """Column of patient ids in every table."""
        return self.given.patient or PATIENT

    def put(self, file: str, frame: pd.DataFrame) -> None:
        """Keep a table under the name of its file, as it is and as text."""
        whole = with_ids(frame, self.given.patient, file)
        self.frames[file] = whole
        self.memory.tables[file] = text_table(whole, self.patient, file)

    def take_frames(self) -> None:
        """Keep the tables that sections share: of the outcome, of the clinical columns, ``obs``."""
        given, holder = self.given, self.given.expression
        if is_mudata(holder):
            expression, others = split_mudata(holder)
            twice = sorted(set(others) & set(given.tables))
            if twice:
                raise CohortError(
                    f"tables: {listed(map(repr, twice))} is also a modality of the MuData",
                )
            tables = {**others, **given.tables}
            given = replace(given, expression=expression, tables=tables)
        has_obs = is_mudata(holder) or is_anndata(holder)
        if given.outcome is None and given.time is not None and has_obs:
            given = replace(given, outcome=holder)
        self.given = given
        if given.outcome is not None:
            self.put(OUTCOME, table_or_obs(given.outcome, "outcome"))
        if isinstance(given.clinical, (list, tuple)):
            known = set(self.frames.get(OUTCOME, ()))
            if has_obs and not set(map(str, given.clinical)) <= known:
                self.put(OBS, table_or_obs(holder, "expression"))
        elif given.clinical is not None and given.clinical is not given.outcome:
            self.put(CLINICAL, table_or_obs(given.clinical, "clinical"))

    def holder(self, columns: Collection[str]) -> str:
        """The table that has these columns, of the outcome or of ``obs``."""
        if self.patient in columns:
            raise CohortError(
                f"clinical: {self.patient!r} is the column of patient ids; leave it out",
            )
        for file in (OUTCOME, OBS):
            if file in self.frames and set(columns) <= set(self.frames[file]):
                return file
        known: list[str] = []
        for frame in self.frames.values():
            known += map(str, frame)
        unknown = [column for column in columns if column not in known]
        near = near_name(unknown[0], known) if unknown else ""
        raise CohortError(
            f"clinical: a list names columns of `outcome` or of the `obs` of an AnnData, of which "
            f"{listed(map(repr, unknown))} is none{'; ' if near else ''}{near}; otherwise give a "
            "table",
        )

    def groups(self) -> dict[str, dict[str, Any]]:
        """Sections of groups, by name."""
        given = self.given.groups
        if isinstance(given, str):
            given = [given]
        if isinstance(given, pd.Series):
            given = {str(given.name or "group"): given}
        if not isinstance(given, Mapping):
            given = {str(name): name for name in given or ()}
        sections = {}
        for name, group in given.items():
            sections[str(name)] = self._column(group, str(name), f"groups[{name!r}]")
        return sections

    def folds(self) -> dict[str, Any]:
        """The section of folds; empty where none are given."""
        given = self.given.folds
        return {} if given is None else self._column(given, "fold", "folds")

    def _column(self, given: Any, name: str, what: str) -> dict[str, Any]:
        """A section that names a column of a table, or a Series."""
        if not isinstance(given, str):
            file = f"{what} (Series)"
            table = series_table(given, name, self.patient, what)
            self.put(file, table.set_index(self.patient))
            return {"table": file, "column": name, "patient": self.patient}
        for file, frame in self.frames.items():
            if given in frame and "(Series)" not in file:
                return {"table": file, "column": given, "patient": self.patient}
        known: list[str] = []
        for frame in self.frames.values():
            known += map(str, frame)
        near = near_name(given, known)
        raise CohortError(
            f"{what}: neither `outcome` nor `clinical` has the column {given!r}"
            f"{'; ' if near else ''}{near}; give a Series by patient, or one of "
            f"{listed(map(repr, dict.fromkeys(known)), 12)}",
        )
