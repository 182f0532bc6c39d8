"""Cohorts from tables in memory: the cohort file that they would have, and their cells."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from survfuse._errors import CohortError, ConfigError, listed
from survfuse.cohort.anndata_input import (
    is_anndata,
    is_mudata,
    matrix_table,
    named_matrix,
    split_mudata,
    table_or_obs,
)
from survfuse.cohort.column_names import near_name
from survfuse.cohort.frame_texts import (
    PATIENT,
    series_table,
    text_table,
    with_ids,
)
from survfuse.cohort.inferred_columns import as_fields, kinds_of, say_kinds
from survfuse.cohort.memory_bags import TemporaryStores
from survfuse.cohort.memory_sources import Memory, MemorySources
from survfuse.cohort.problems import Problems
from survfuse.cohort.spec import CohortSpec, OutcomeSpec
from survfuse.cohort.spec.cohort_file import TOP_LEVEL
from survfuse.config import build

if TYPE_CHECKING:
    from survfuse.cohort.cohort_data import Cohort
    from survfuse.readers.bags import BagStore

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


def cohort_of(
    given: FrameInput,
    *,
    allow_followup: Collection[str] = (),
    priors: Collection[Path | str] = (),
) -> Cohort:
    """Make a cohort of tables in memory, by the code that reads cohort files.

    Raises
    ------
    CohortError, ConfigError, LeakageError
        As :func:`~survfuse.cohort.load_cohort`.
    """
    from survfuse.cohort.assembly import assemble
    from survfuse.cohort.leakage import refuse_leaks
    from survfuse.cohort.modalities import BagData, TableData
    from survfuse.cohort.prior_section import named_priors

    draft = Draft(given)
    try:
        spec = draft.spec().with_priors(named_priors(priors))
        sources = MemorySources(draft.memory, draft.problems, spec.match)
        cohort = assemble(
            spec,
            sources,
            need_outcome=spec.outcome is not None,
            allow_followup=allow_followup,
        )
        draft.problems.raise_errors(WHERE)
        if cohort is None:
            raise CohortError(f"{WHERE}: no patient can be used")
        if cohort.outcome is not None:
            refuse_leaks(cohort, allow_followup, WHERE)
    except BaseException:
        draft.remove_stores()
        raise
    modalities = dict(cohort.modalities)
    stores: list[BagStore] = []
    for name, data in modalities.items():
        if isinstance(data, TableData) and draft.inferred.get(name):
            modalities[name] = replace(data, inferred=draft.inferred[name])
        elif isinstance(data, BagData) and draft.is_temporary(name):
            stores.append(data.store)
    if stores and draft.stores is not None:
        draft.stores.keep_for(stores)
    return replace(cohort, modalities=modalities)


def declared_columns(cohort: Cohort) -> dict[str, dict[str, Any]]:
    """What each column of the tables of a cohort is; see :attr:`Cohort.columns`."""
    from survfuse.cohort.modalities import TableData

    columns = {}
    for data in cohort.modalities.values():
        if isinstance(data, TableData):
            for name, one in data.columns.items():
                own = one.model_dump(mode="json", exclude_defaults=True)
                columns[name] = {"kind": one.kind, **own}
    return columns


@dataclass
class Draft:
    """A cohort file in the making, and the tables that stand for its files."""

    given: FrameInput
    memory: Memory = field(default_factory=Memory)
    problems: Problems = field(default_factory=Problems)
    inferred: dict[str, str] = field(default_factory=dict)
    stores: TemporaryStores | None = None
    _frames: dict[str, pd.DataFrame] = field(default_factory=dict)
    _sections: dict[str, Any] = field(default_factory=dict)

    @property
    def patient(self) -> str:
        """Column of patient ids in every table."""
        return self.given.patient or PATIENT

    def spec(self) -> CohortSpec:
        """Describe the tables as a cohort file would.

        Raises
        ------
        CohortError
            When an argument is not what was expected, or lists what is wrong with columns.
        """
        self._take_frames()
        given = self.given
        outcome = self._outcome()
        groups, folds = self._groups(), self._folds()
        used = {str(group["column"]): "a group" for group in groups.values()}
        if folds:
            used[str(folds["column"])] = "the folds"
        if outcome is not None:
            used |= dict.fromkeys(outcome.columns, "the outcome")
        self._check_names()
        self._clinical(used)
        self._expression()
        for name, table in given.tables.items():
            file = f"{name} (DataFrame)"
            frame = matrix_table(table, given.patient, f"tables[{name!r}]")
            self._put(file, frame)
            self._table(name, file, used, None)
        for name, bags in given.bags.items():
            self._bags(name, bags)
        self._mark_followup()
        top = {
            name: self._sections.pop(name)
            for name in TOP_LEVEL
            if name in self._sections
        }
        values: dict[str, Any] = {
            "name": given.name,
            "match": given.match,
            "exclude": [str(patient) for patient in given.exclude],
            "modalities": self._sections,
            "groups": groups,
            **top,
        }
        if outcome is not None:
            values["outcome"] = outcome
        if folds:
            values["folds"] = folds
        try:
            return build(CohortSpec, values, where=WHERE)
        except ConfigError:
            self.problems.raise_errors(WHERE)
            raise

    def is_temporary(self, name: str) -> bool:
        """Whether the bags of a modality were packed into a temporary folder."""
        return self.stores is not None and f"{name} (arrays)" in self.memory.stores

    def remove_stores(self) -> None:
        """Remove what was packed."""
        if self.stores is not None:
            self.stores.remove()

    # -- tables

    def _put(self, file: str, frame: pd.DataFrame) -> None:
        """Keep a table under the name of its file, as it is and as text."""
        whole = with_ids(frame, self.given.patient, file)
        self._frames[file] = whole
        self.memory.tables[file] = text_table(whole, self.patient, file)

    def _take_frames(self) -> None:
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
            self._put(OUTCOME, table_or_obs(given.outcome, "outcome"))
        if isinstance(given.clinical, (list, tuple)):
            known = set(self._frames.get(OUTCOME, ()))
            if has_obs and not set(map(str, given.clinical)) <= known:
                self._put(OBS, table_or_obs(holder, "expression"))
        elif given.clinical is not None and given.clinical is not given.outcome:
            self._put(CLINICAL, table_or_obs(given.clinical, "clinical"))

    # -- sections

    def _outcome(self) -> OutcomeSpec | None:
        given = self.given
        if given.outcome is None:
            if (
                given.time is not None
                or given.event is not None
                or given.censored is not None
            ):
                raise CohortError(
                    f"{WHERE}: `time`, `event` and `censored` name columns of `outcome`, which was "
                    "not given",
                )
            return None
        names = {"time": given.time, "unit": given.unit}
        lacking = [name for name, value in names.items() if value is None]
        if lacking:
            raise CohortError(
                f"{WHERE}: {' and '.join(f'`{name}`' for name in lacking)} must be said: "
                "time='COLUMN', unit='days', 'months' or 'years'",
            )
        values: dict[str, Any] = {
            "table": OUTCOME,
            "patient": self.patient,
            "time": given.time,
            "unit": given.unit,
            "event": given.event,
            "censored": given.censored,
            **given.options,
            **self._missing(),
        }
        values = {name: value for name, value in values.items() if value is not None}
        return build(OutcomeSpec, values, where="outcome")

    def _missing(self) -> dict[str, Any]:
        missing = self.given.missing
        return {} if missing is None else {"missing": [str(token) for token in missing]}

    def _clinical(self, used: Mapping[str, str]) -> None:
        given = self.given
        if given.clinical is None:
            return
        if isinstance(given.clinical, (list, tuple)):
            chosen = list(map(str, given.clinical))
            self._table("clinical", self._holder(chosen), used, chosen)
            return
        file = CLINICAL if CLINICAL in self._frames else OUTCOME
        self._table("clinical", file, used, None)

    def _holder(self, columns: Collection[str]) -> str:
        """The table that has these columns, of the outcome or of ``obs``."""
        for file in (OUTCOME, OBS):
            if file in self._frames and set(columns) <= set(self._frames[file]):
                return file
        known: list[str] = []
        for frame in self._frames.values():
            known += map(str, frame)
        unknown = [column for column in columns if column not in known]
        near = near_name(unknown[0], known) if unknown else ""
        raise CohortError(
            f"clinical: a list names columns of `outcome` or of the `obs` of an AnnData, of which "
            f"{listed(map(repr, unknown))} is none{'; ' if near else ''}{near}; otherwise give a "
            "table",
        )

    def _table(
        self,
        name: str,
        file: str,
        used: Mapping[str, str],
        chosen: Sequence[str] | None,
    ) -> None:
        """Add a section of a table, whose columns are declared or inferred."""
        frame = self._frames[file].drop(columns=self.patient)
        if chosen is not None:
            frame = frame[list(chosen)]
        place = self.problems.at(name, file)
        kinds = kinds_of(
            frame,
            self.memory.tables[file],
            self.given.columns,
            used,
            self.given.followup,
            clinical=name == "clinical",
            learning=self.given.outcome is not None,
        )
        say_kinds(kinds, place)
        if kinds.text:
            self.inferred[name] = kinds.text
        if not kinds.columns:
            place.error(
                "no column of it is an input",
                hint="declare one: columns={NAME: 'numeric'}",
            )
            return
        self._sections[name] = {
            "table": file,
            "patient": self.patient,
            "columns": kinds.columns,
            "rows": self.given.rows,
            **self._missing(),
        }

    def _expression(self) -> None:
        given = self.given
        if given.expression is None:
            return
        file = (
            "expression (AnnData)"
            if is_anndata(given.expression)
            else "expression (DataFrame)"
        )
        if given.expression_unit is None:
            raise CohortError(
                f"{WHERE}: say what the numbers of `expression` are: expression_unit='log2tpm', "
                "'tpm', 'counts', 'log2counts', 'vst', 'fpkm', 'log2fpkm' or 'zscore'",
            )
        self._sections["expression"] = {
            "path": file,
            "unit": given.expression_unit,
            "genes": given.genes,
            "orientation": given.orientation,
            "duplicates": given.duplicates,
            "rows": given.rows,
        }
        with self.problems.catch("expression"):
            self.memory.matrices[file] = named_matrix(
                given.expression,
                given.patient,
                given.layer,
                given.orientation,
                file,
            )
            return
        del self._sections["expression"]

    def _bags(self, name: str, bags: Any) -> None:
        """Add a section of bags: packed now, or a store that is packed already."""
        given, what = self.given, f"bags[{name!r}]"
        section: dict[str, Any] = {}
        for key, value in (("encoder", given.encoder), ("mpp", given.mpp)):
            one = value.get(name) if isinstance(value, Mapping) else value
            section |= {} if one is None else {key: one}
        if isinstance(bags, (str, Path)):
            self._sections[name] = {"packed": str(Path(bags).absolute()), **section}
            return
        if not isinstance(bags, Mapping):
            raise CohortError(
                f"{what}: expected a dict {{patient: array or path}} or the path of a packed store "
                f"(NAME.bags), got {type(bags).__name__}",
            )
        if self.stores is None:
            self.stores = TemporaryStores()
        place = self.problems.at(name, f"{name} (arrays)")
        packed = self.stores.pack(
            name,
            bags,
            section.get("encoder"),
            section.get("mpp"),
            place,
        )
        if packed is not None:
            self.memory.stores[f"{name} (arrays)"] = packed
            self._sections[name] = {"packed": f"{name} (arrays)", **section}

    # -- groups and folds

    def _groups(self) -> dict[str, dict[str, Any]]:
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

    def _folds(self) -> dict[str, Any]:
        given = self.given.folds
        return {} if given is None else self._column(given, "fold", "folds")

    def _column(self, given: Any, name: str, what: str) -> dict[str, Any]:
        """A section that names a column of a table, or a Series."""
        if not isinstance(given, str):
            file = f"{what} (Series)"
            table = series_table(given, name, self.patient, what)
            self._put(file, table.set_index(self.patient))
            return {"table": file, "column": name, "patient": self.patient}
        for file, frame in self._frames.items():
            if given in frame and "(Series)" not in file:
                return {"table": file, "column": given, "patient": self.patient}
        known: list[str] = []
        for frame in self._frames.values():
            known += map(str, frame)
        near = near_name(given, known)
        raise CohortError(
            f"{what}: neither `outcome` nor `clinical` has the column {given!r}"
            f"{'; ' if near else ''}{near}; give a Series by patient, or one of "
            f"{listed(map(repr, dict.fromkeys(known)), 12)}",
        )

    # -- checks of names

    def _check_names(self) -> None:
        """Refuse two modalities of one name, or a name that has its own argument."""
        names = [*self.given.tables, *self.given.bags]
        for name in names:
            own = name in ("clinical", "expression") or (
                name == "slides" and name in (self.given.tables)
            )
            if own or names.count(name) > 1:
                raise CohortError(
                    f"{name!r}: the name of another modality, or of an argument of its own; give "
                    "it another name",
                )

    def _mark_followup(self) -> None:
        """Mark columns known during follow-up only, and refuse declared ones that nobody has."""
        found: set[str] = set()
        for section in self._sections.values():
            columns = section.get("columns", {})
            found |= set(columns)
            for name in self.given.followup:
                if name in columns:
                    columns[name] = {**as_fields(columns[name]), "known": "followup"}
        asked: Iterable[str] = (*self.given.columns, *self.given.followup)
        for name in dict.fromkeys(asked):
            if name not in found:
                what = "columns" if name in self.given.columns else "followup"
                self.problems.at(what, column=str(name)).error(
                    f"no table has this column as an input; they have {listed(sorted(found), 12)}",
                    hint=near_name(str(name), sorted(found)),
                )
