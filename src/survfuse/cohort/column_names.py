"""Columns of a table by name, and ids that are none."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

import numpy as np
import pandas as pd

from survfuse._errors import listed
from survfuse.cohort.problems import Place
from survfuse.readers.cell_text import only_difference, refuse_strange


def has_column(
    frame: pd.DataFrame,
    name: str,
    place: Place,
) -> bool:
    """Whether a table has a column; a problem with the nearest name where it does not."""
    if name in frame:
        return True
    names = list(frame.columns)
    place.error(
        f"no such column; the table has {listed(map(repr, names), 12)}",
        hint=only_difference([name], names) or near_name(name, names),
    )
    return False


def check_ids(ids: pd.Series[str], place: Place) -> None:
    """Note ids that are empty, have spaces around them or hold characters that nobody can see."""
    with place.problems.catch(place.where):
        refuse_strange(place.file, ids, f"{place.column!r} in data row")
    stripped = ids.str.strip()
    empty = stripped == ""
    if empty.any():
        place.error(
            f"no id in data row {listed(np.flatnonzero(empty) + 1)}",
            hint="every row needs a patient id",
        )
    spaced = ids[~empty & (ids != stripped)]
    if len(spaced):
        place.error(
            "ids have spaces around them",
            patients=map(repr, spaced),
            hint="remove the spaces",
        )


def near_name(name: str, known: Sequence[str]) -> str:
    """Hint at a known name that differs only a little; empty text when there is none."""
    plain = {one.strip().casefold(): one for one in known}
    near = difflib.get_close_matches(name.strip().casefold(), plain, n=1)
    return f"did you mean {plain[near[0]]!r}?" if near else ""
