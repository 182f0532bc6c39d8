"""The cohort file that tables in memory would have, and the tables that stand for its files."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from survfuse._errors import CohortError, ConfigError, listed
from survfuse.cohort.anndata_input import (
    is_anndata,
    matrix_table,
    named_matrix,
)
from survfuse.cohort.column_names import near_name
from survfuse.cohort.frame_tables import CLINICAL, OUTCOME, WHERE, FrameTables
from survfuse.cohort.inferred_columns import as_fields, kinds_of, say_kinds
from survfuse.cohort.memory_bags import TemporaryStores
from survfuse.cohort.spec import CohortSpec, OutcomeSpec
from survfuse.cohort.spec.cohort_file import TOP_LEVEL
from survfuse.config import build


@dataclass
class Draft(FrameTables):
    """A cohort file in the making.

    Attributes
    ----------
    inferred : dict of str to str
        Columns whose kind was inferred, by modality.
    stores : TemporaryStores or None
        Where bags are packed.
    """

    inferred: dict[str, str] = field(default_factory=dict)
    stores: TemporaryStores | None = None
    _sections: dict[str, Any] = field(default_factory=dict)

    def spec(self) -> CohortSpec:
        """Describe the tables as a cohort file would.

        Raises
        ------
        CohortError
            When an argument is not what was expected, or lists what is wrong with columns.
        """
        self.take_frames()
        given = self.given
        outcome = self._outcome()
        groups, folds = self.groups(), self.folds()
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
            self.put(file, frame)
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
            self._table("clinical", self.holder(chosen), used, chosen)
            return
        file = CLINICAL if CLINICAL in self.frames else OUTCOME
        self._table("clinical", file, used, None)

    def _table(
        self,
        name: str,
        file: str,
        used: Mapping[str, str],
        chosen: Sequence[str] | None,
    ) -> None:
        """Add a section of a table, whose columns are declared or inferred."""
        frame = self.frames[file].drop(columns=self.patient)
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
        kind = "AnnData" if is_anndata(given.expression) else "DataFrame"
        file = f"expression ({kind})"
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
        _check_scale(what, section)
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

    def _check_names(self) -> None:
        """Refuse two modalities of one name, or a name that has its own argument."""
        names = [*self.given.tables, *self.given.bags]
        for name in names:
            own = name in ("clinical", "expression")
            own = own or (name == "slides" and name in self.given.tables)
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


def _check_scale(what: str, section: Mapping[str, Any]) -> None:
    """Refuse an encoder that is no name, and µm per px that are none."""
    encoder, mpp = section.get("encoder", ""), section.get("mpp", 1.0)
    if not isinstance(encoder, str):
        raise CohortError(f"{what}: encoder: expected a name, got {encoder!r}")
    if not isinstance(mpp, (int, float)) or not 0 < mpp < math.inf:
        raise CohortError(f"{what}: mpp: expected µm per px above 0, got {mpp!r}")
