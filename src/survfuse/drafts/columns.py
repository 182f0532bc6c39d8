"""What the columns of a clinical table are: numbers, levels, categories, or no input at all."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pandas as pd

from survfuse._errors import listed
from survfuse.cohort.outcome_names import named_like_outcome
from survfuse.cohort.outliers import codes
from survfuse.drafts.draft import Section
from survfuse.drafts.endpoints import named_like_time
from survfuse.drafts.levels import ordered_levels
from survfuse.drafts.tables import (
    GivenTable,
    all_dates,
    all_numbers,
    known,
    numbers,
    unknown_words,
)
from survfuse.drafts.words import free_of, words_of
from survfuse.readers.matrices import MISSING

MOST_CATEGORIES = 20
FEW_CODES = 12
"""So many different small whole numbers at most may be codes."""
_COUNTS = re.compile(
    r"number|count|num|n|no|size|score|age|grade|stage|ecog|gleason|index|total|depth"
)
_ACCRUES = re.compile(
    r"instillations?|doses?|cycles?|courses?|salvage|response|responder|adjuvant|second|subsequent"
    r"|follow\w*|recurr\w*|relaps\w*|progress\w*|metastatic_?event|reoperation|crossover",
)
_OUTCOME_WORDS = {"survival", "event", "events", "censorship", "censored", "deceased"}
_GROUPS = re.compile(
    r"site|cent(er|re)|hospital|institution|batch|tss|cohort|clinic|country"
)
_FOLDS = re.compile(r"(cv_?)?folds?|split|partition")


@dataclass(frozen=True)
class ColumnGuess:
    """What a column is.

    Attributes
    ----------
    spec : dict or None
        As a cohort file writes it; None where the column is left out.
    evidence : str
        Or why it is left out.
    certain : bool
    """

    spec: dict[str, object] | None
    evidence: str
    certain: bool = True


def put_columns(
    section: Section,
    table: GivenTable,
    taken: Collection[str],
) -> None:
    """Write the columns of a table with their kinds, and notes on those that are left out.

    Parameters
    ----------
    section : Section
        The modality; `table` and `patient` are written already.
    table : GivenTable
    taken : collection of str
        Columns that have another part: ids, outcome, folds, groups.
    """
    left_out: dict[str, list[str]] = {}
    columns = Section()
    missing: set[str] = set()
    for name in map(str, table.frame):
        if name in taken:
            continue
        cells = table.frame[name]
        guess = guess_column(name, cells)
        if guess.spec is None:
            left_out.setdefault(guess.evidence, []).append(name)
            continue
        missing.update(unknown_words(cells))
        columns.add(name, guess.spec, guess.evidence, certain=guess.certain)
    section.items["columns"] = columns
    for reason, names in left_out.items():
        section.note(f"left out ({reason}): {listed(names, 20)}")
    extra = sorted(missing - set(MISSING))
    if extra:
        section.add("missing", [*MISSING, *extra], f"in its cells: {listed(extra)}")


def guess_column(name: str, cells: pd.Series[str]) -> ColumnGuess:
    """Guess the kind of one column, and whether it is known at baseline.

    Parameters
    ----------
    name : str
    cells : Series of str
    """
    filled = known(cells)
    reason = _no_input(filled)
    if reason:
        return ColumnGuess(None, reason)
    guess = _number(name, cells) if all_numbers(cells) else _category(filled)
    if guess.spec is None:
        return guess
    later = _known_later(name)
    if later:
        return ColumnGuess(
            {**guess.spec, "known": "followup", "use": False}, later, certain=False
        )
    return guess


def fold_columns(table: GivenTable, taken: Collection[str]) -> list[str]:
    """Columns that give fixed folds."""
    return _named(table, _FOLDS, taken, most=20)


def group_columns(table: GivenTable, taken: Collection[str]) -> list[str]:
    """Columns that name the site or batch of a patient."""
    return _named(table, _GROUPS, taken, most=len(table.frame) // 2)


def _named(
    table: GivenTable,
    pattern: re.Pattern[str],
    taken: Collection[str],
    most: int,
) -> list[str]:
    names = []
    for name in map(str, table.frame):
        distinct = table.frame[name].nunique()
        called = pattern.fullmatch("_".join(words_of(name)))
        if (
            called
            and name not in taken
            and 2 <= distinct <= most
            and (table.frame[name] != "").all()
        ):
            names.append(name)
    return names


def _no_input(filled: pd.Series[str]) -> str:
    """Why a column is no input; empty where it may be one."""
    distinct = filled.nunique()
    if distinct == 0:
        return "empty"
    if distinct == 1:
        return "one value"
    if all_dates(filled):
        return "dates"
    if all_numbers(filled):
        whole = filled.str.fullmatch(r"\d{4,}").all()
        return (
            "an id or number of a file" if whole and distinct == len(filled) > 5 else ""
        )
    numeric = np.isfinite(numbers(filled)).mean()
    if numeric > 0.8:
        return "numbers with words among them; correct the words"
    if distinct == len(filled) > 5:
        return "differs in every row: an id or free text"
    if distinct > MOST_CATEGORIES:
        return f"more than {MOST_CATEGORIES} different texts"
    return ""


def _known_later(name: str) -> str:
    """Why a column is not known at baseline, by its name; empty where it may be."""
    parts = words_of(name)
    if named_like_outcome(name) or free_of(name) or _OUTCOME_WORDS & {*parts}:
        return "called as outcomes are"
    if named_like_time(name):
        return "called as follow-up times are"
    later = [part for part in parts if _ACCRUES.fullmatch(part)]
    return f"by its name ({later[0]}) it accrues during follow-up" if later else ""


def _number(name: str, cells: pd.Series[str]) -> ColumnGuess:
    filled = known(cells)
    values = numbers(filled)
    spec: dict[str, object] = {"kind": "numeric"}
    coded = codes(values)
    evidence = ""
    if coded.any():
        texts = sorted(set(filled[coded]))
        spec["missing"] = texts
        evidence = (
            f"{int(coded.sum())} are {listed(texts)}, far from all others: not known?"
        )
        values = values[~coded]
    distinct = np.unique(values)
    span = f"{values.min():g} to {values.max():g}"
    evidence = f"{span}; {evidence}" if evidence else span
    if set(distinct) <= {0.0, 1.0} and not coded.any():
        return ColumnGuess({"kind": "nominal"}, "0 or 1")
    is_code = len(distinct) <= FEW_CODES and bool((distinct == np.rint(distinct)).all())
    if is_code and not coded.any():
        values_seen = listed(f"{value:g}" for value in distinct)
        if any(map(_COUNTS.fullmatch, words_of(name))):
            evidence = f"{values_seen}: counts, or levels in their order?"
            return ColumnGuess(spec, evidence, certain=False)
        evidence = (
            f"{values_seen}: codes? if they are counts or levels in order, numeric"
        )
        return ColumnGuess({"kind": "nominal"}, evidence, certain=False)
    return ColumnGuess(spec, evidence, not coded.any())


def _category(filled: pd.Series[str]) -> ColumnGuess:
    values = sorted(set(filled))
    lone = [text for text in values if re.fullmatch(r"-\d+(\.0+)?", text)]
    values = [text for text in values if text not in lone]
    unknown = list(lone)
    scale = ordered_levels(values)
    spec: dict[str, object] = {"kind": "nominal"}
    evidence = listed(values, 6)
    if scale is not None:
        name, levels, not_assessed = scale
        spec = {"kind": "ordinal", "levels": levels}
        unknown += not_assessed
        evidence = (
            "levels in their order"
            if name == "words"
            else f"levels of {name}, in order"
        )
    if unknown:
        spec["missing"] = unknown
        evidence += f"; {listed(unknown)}: not known"
    if len(values) < 2:
        return ColumnGuess(None, "one value")
    return ColumnGuess(spec, evidence, not lone)
