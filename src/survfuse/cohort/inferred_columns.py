"""Kinds of the columns of a DataFrame, where nobody declared them: inferred, and always said."""

from __future__ import annotations

import datetime
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from survfuse._errors import listed
from survfuse.cohort.outcome_names import named_like_outcome
from survfuse.cohort.problems import Place
from survfuse.cohort.spec import ColumnSpec
from survfuse.readers.cell_text import is_number, whole
from survfuse.readers.matrices import MISSING

MOST_CODES = 10
MOSTLY = 0.8
"""Share of numbers from which a column of texts is one of numbers, some mistyped."""
"""Whole numbers of so few values may be codes of categories."""
FEWEST_TEXTS = 10
"""So many texts, all different, are ids or free text."""
_ID = re.compile(r"(.*[_ .-])?(id|ids|uuid|guid|identifier|barcode|mrn)", re.IGNORECASE)
_DATES = (datetime.date, datetime.time, datetime.timedelta)

Declared = Mapping[str, Any]


@dataclass
class ColumnKinds:
    """What the columns of a table are taken for.

    Attributes
    ----------
    columns : dict of str to dict
        Fields of :class:`~survfuse.cohort.spec.ColumnSpec`, in the order of the table.
    inferred : dict of str to list of str
        Columns that nobody declared, by kind.
    left_out : dict of str to str
        Columns that are no input, and why.
    codes : dict of str to str
        Columns of few whole numbers, taken as numbers, and their values.
    refused : list of str
        Columns that nobody declared and that are called as outcomes are.
    """

    columns: dict[str, dict[str, Any]] = field(default_factory=dict)
    inferred: dict[str, list[str]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    codes: dict[str, str] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """Columns whose kind was inferred: ``numeric age, bmi; nominal sex``."""
        parts = [f"{kind} {listed(names, 40)}" for kind, names in self.inferred.items()]
        return "; ".join(parts)


@dataclass(frozen=True)
class _Rules:
    """Of which table, and for what; see :func:`kinds_of`."""

    clinical: bool
    learning: bool


def kinds_of(
    frame: pd.DataFrame,
    texts: pd.DataFrame,
    declared: Declared,
    used: Mapping[str, str],
    followup: Collection[str] = (),
    *,
    clinical: bool,
    learning: bool = True,
) -> ColumnKinds:
    """Infer what the columns of a table are.

    Numbers are numeric; ordered categories ordinal; truths, texts and other categories nominal.
    What cannot be an input (dates, ids, free text, one value) is left out.

    Parameters
    ----------
    frame : DataFrame
        Without the column of ids.
    texts : DataFrame of str
        The same columns as text.
    declared : mapping of str to str or mapping
        Kinds or fields by column, which win.
    used : mapping of str to str
        Columns that hold something else, and what: the outcome, folds or groups.
    followup : collection of str
        Columns that are said to be known only during follow-up, whatever they are called.
    clinical : bool
        Whether this is the clinical table: of another table, numbers are kept though they are one
        value, and few whole numbers (mutations, copy numbers) are no doubt.
    learning : bool
        Whether there is an outcome. Of patients to be predicted, columns of one value are kept.
    """
    kinds, rules = ColumnKinds(), _Rules(clinical, learning)
    for name, column in frame.items():
        named = named_like_outcome(str(name)) and name not in followup
        _add(kinds, str(name), column, texts[name], declared, used, rules, named)
    return kinds


def _add(
    kinds: ColumnKinds,
    name: str,
    column: pd.Series[Any],
    texts: pd.Series[str],
    declared: Declared,
    used: Mapping[str, str],
    rules: _Rules,
    like_outcome: bool,
) -> None:
    """Decide about one column."""
    if name in declared:
        kinds.columns[name] = as_fields(declared[name])
        return
    known = [text for text in texts if text not in MISSING]
    reason = used.get(name) or _no_input(name, column, known, rules)
    if reason:
        kinds.left_out[name] = reason
    elif like_outcome:
        kinds.refused.append(name)
    else:
        fields = _fields(column, known)
        kinds.columns[name] = fields
        kinds.inferred.setdefault(fields["kind"], []).append(name)
        if rules.clinical and fields["kind"] == "numeric":
            values = set(map(whole, set(known)))
            if _are_codes(values):
                kinds.codes[name] = ", ".join(sorted(values, key=float))


def as_fields(declared: str | Mapping[str, Any] | ColumnSpec) -> dict[str, Any]:
    """Fields of a declared column: ``"nominal"`` is short for ``{"kind": "nominal"}``."""
    if isinstance(declared, ColumnSpec):
        return declared.model_dump(mode="json", exclude_unset=True)
    return {"kind": declared} if isinstance(declared, str) else dict(declared)


def _no_input(
    name: str,
    column: pd.Series[Any],
    known: Sequence[str],
    rules: _Rules,
) -> str:
    """Why a column is no input; empty where it may be one."""
    kind = column.dtype.kind if hasattr(column.dtype, "kind") else "O"
    if kind in "Mm" or _all_are(column, _DATES):
        return "dates or durations; write how long before time zero, as a number"
    numeric = _is_numeric(column)
    different = len(set(known))
    if different < 2 and rules.learning and (rules.clinical or not numeric):
        return f"one value, {known[0]!r}" if different else "no value"
    single = different == len(known) >= FEWEST_TEXTS
    if single and _ID.fullmatch(name):
        return "an id"
    is_text = not (numeric or isinstance(column.dtype, pd.CategoricalDtype))
    if single and is_text and not _are_numbers(known):
        return (
            f"{different} different texts in {len(known)} patients: an id, or free text"
        )
    return ""


def _fields(column: pd.Series[Any], known: Sequence[str]) -> dict[str, Any]:
    """Kind of a column, and levels of ordered categories."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        if not column.cat.ordered:
            return {"kind": "nominal"}
        return {
            "kind": "ordinal",
            "levels": [str(one) for one in column.cat.categories],
        }
    if pd.api.types.is_bool_dtype(column.dtype):
        return {"kind": "nominal"}
    if _is_numeric(column) or _are_numbers(known):
        return {"kind": "numeric"}
    return {"kind": "nominal"}


def _are_numbers(known: Sequence[str]) -> bool:
    """Whether texts are numbers, but for some of many: those are then refused as cells."""
    numbers = sum(is_number(text.replace(",", "")) for text in known)
    if len(set(known)) <= MOST_CODES:
        return all(map(is_number, known))
    return numbers >= MOSTLY * len(known)


def _is_numeric(column: pd.Series[Any]) -> bool:
    is_bool = pd.api.types.is_bool_dtype(column.dtype)
    return pd.api.types.is_numeric_dtype(column.dtype) and not is_bool


def _all_are(column: pd.Series[Any], types: tuple[type, ...]) -> bool:
    """Whether every known cell of a column of objects is of some types."""
    if column.dtype != object:
        return False
    known = column.dropna()
    return not known.empty and all(isinstance(cell, types) for cell in known)


def _are_codes(values: Collection[str]) -> bool:
    """Whether numbers may be codes: three to ten different whole ones."""
    return 2 < len(values) <= MOST_CODES and all(
        re.fullmatch(r"[+-]?\d+", one) for one in values
    )


def say_kinds(kinds: ColumnKinds, place: Place) -> None:
    """Report what was inferred, left out and refused; nothing is decided in silence."""
    if kinds.refused:
        names = listed(map(repr, kinds.refused), 20)
        first = kinds.refused[0]
        place.error(
            f"{names}: called as outcomes are, and not declared",
            hint=f"drop it; or say what it is: columns={{{first!r}: 'numeric'}} if it is known at "
            f"time zero, columns={{{first!r}: {{'kind': 'numeric', 'use': False}}}} if it is not",
        )
    if kinds.text:
        place.warning(
            f"kinds inferred: {kinds.text}",
            hint="columns={NAME: 'nominal'} where one is wrong; "
            "{'kind': 'ordinal', 'levels': [...]} for ordered levels",
        )
    if kinds.codes:
        parts = [f"{name} ({values})" for name, values in kinds.codes.items()]
        first, values = next(iter(kinds.codes.items()))
        levels = values.split(", ")
        place.warning(
            f"whole numbers of few values, taken as numbers: {listed(parts, 40)}",
            hint=f"if they are codes, columns={{{first!r}: 'nominal'}}; if ordered levels, "
            f"columns={{{first!r}: {{'kind': 'ordinal', 'levels': {levels}}}}}",
        )
    if kinds.left_out:
        parts = [f"{name} ({why})" for name, why in kinds.left_out.items()]
        place.warning(
            f"no input: {listed(parts, 40)}",
            hint="declared in `columns=`, it is one",
        )
