"""The words of a cohort file for modalities, columns and values, and what fits none of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from survfuse._errors import listed
from survfuse.cohort.cohort_data import Cohort
from survfuse.cohort.column_names import near_name
from survfuse.cohort.modalities import TableData
from survfuse.cohort.problems import Problem
from survfuse.cohort.spec import CohortSpec
from survfuse.readers.cell_text import whole

Keys = tuple[str, ...]


@dataclass(frozen=True)
class Labels:
    """Words for modalities, columns and values; whatever has none is called by its own name.

    Attributes
    ----------
    entries : mapping of tuple of str to str
        By ``(modality,)``, ``(modality, column)`` and ``(modality, column, value)``.
    """

    entries: Mapping[Keys, str] = field(default_factory=dict)

    @classmethod
    def of(cls, spec: CohortSpec) -> Labels:
        """Take the words of a cohort file."""
        entries: dict[Keys, str] = {}
        for name, section in {**spec.sections(), **spec.prior_sections()}.items():
            entries[name,] = section.label
            for column, one in (getattr(section, "columns", None) or {}).items():
                entries[name, column] = one.label
                for value, entry in one.labels.items():
                    entries[name, column, whole(value)] = entry
        return cls({keys: entry for keys, entry in entries.items() if entry})

    @classmethod
    def read(cls, records: Mapping[str, Any] | None) -> Labels:
        """Take the words of a run, as :meth:`plain` wrote them; none of a run without them."""
        entries: dict[Keys, str] = {}
        for name, modality in (records or {}).items():
            entries[name,] = modality.get("label") or ""
            for column, one in (modality.get("columns") or {}).items():
                entries[name, column] = one.get("label") or ""
                for value, entry in (one.get("values") or {}).items():
                    entries[name, column, value] = entry
        return cls({keys: entry for keys, entry in entries.items() if entry})

    def plain(self) -> dict[str, Any]:
        """The words as ``cohort.json`` holds them, by modality and column."""
        records: dict[str, Any] = {}
        for keys, entry in self.entries.items():
            modality = records.setdefault(keys[0], {"label": None, "columns": {}})
            if len(keys) == 1:
                modality["label"] = entry
                continue
            empty: dict[str, Any] = {"label": None, "values": {}}
            column = modality["columns"].setdefault(keys[1], empty)
            if len(keys) == 2:
                column["label"] = entry
            else:
                column["values"][keys[2]] = entry
        return records

    def modality(self, name: str) -> str:
        """Word for a modality."""
        return self.entries.get((name,), name)

    def column(
        self,
        modality: str,
        column: str,
    ) -> str:
        """Word for a column of a modality."""
        return self.entries.get((modality, column), column)

    def value(
        self,
        modality: str,
        column: str,
        value: str,
    ) -> str:
        """Word for a value of a column; 1.0 is the value 1."""
        return self.entries.get((modality, column, whole(value)), value)

    def cell(
        self,
        modality: str,
        column: str,
        value: object,
    ) -> str:
        """Word for a cell that a table holds as a text or as a number."""
        text = f"{value:g}" if isinstance(value, float) else str(value)
        return self.value(modality, column, text)

    def of_column(self, column: str) -> str:
        """Word for a column whose modality is not told, as of a subgroup."""
        return self.column(self._modality_of(column), column)

    def of_level(
        self,
        column: str,
        value: str,
    ) -> str:
        """Word for a value of a column whose modality is not told."""
        return self.value(self._modality_of(column), column, value)

    def _modality_of(self, column: str) -> str:
        """The modality that has words for a column or its values; the first where several have."""
        return next((keys[0] for keys in self.entries if column in keys[1:2]), "")

    def of_columns(self, modalities: Iterable[str]) -> bool:
        """Whether there is a word for any column, or value of one, of these modalities."""
        chosen = set(modalities)
        return any(len(keys) > 1 and keys[0] in chosen for keys in self.entries)

    def term(self, term: str) -> str:
        """Words for a term: a modality's main effect, or an interaction ``a*b``."""
        return " × ".join(map(self.modality, term.split("*")))


def label_problems(cohort: Cohort) -> Iterator[Problem]:
    """Warn of words for values that no patient has, which are often misspelt."""
    for name, data in cohort.modalities.items():
        if not isinstance(data, TableData):
            continue
        for column, spec in data.columns.items():
            values = [*(spec.levels or ()), *data.texts(column).dropna().unique()]
            known = dict.fromkeys(map(whole, map(str, values)))
            unused = [one for one in spec.labels if whole(one) not in known]
            if unused:
                near = [near_name(one, list(known)) for one in unused]
                yield Problem(
                    "warning",
                    name,
                    f"labels: no patient has the value {listed(map(repr, unused))}; there are "
                    f"{listed(map(repr, known))}",
                    file=cohort.spec.file(name),
                    column=column,
                    hint="; ".join(filter(None, near)),
                )
