"""What the figures share: their width, rows of a table, how a model looks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from survfuse.report.formatting import known
from survfuse.report.svg import BLUE, GREY, MUTED, ORANGE

WIDTH = 9.0  # inches; the page shows figures at most this wide
NOT_COMPUTABLE = "not computable"


class Look(NamedTuple):
    """How one model is drawn, told apart by shape as well as by colour."""

    colour: str
    marker: str
    dashes: Any


LOOKS = {
    "model": Look(BLUE, "D", "solid"),
    "clinical only": Look(ORANGE, "s", (0, (6, 2))),
    "other": Look(GREY, "^", (0, (1, 1))),
    "comparator": Look(MUTED, "o", (0, (2, 1.5))),
}


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of a table as mappings."""
    return [
        {str(key): value for key, value in row.items()}
        for row in frame.to_dict("records")
    ]


def banded(row: dict[str, Any]) -> bool:
    """Tell whether a row has both ends of its interval."""
    return known(row["low"]) and known(row["high"])


def name_rows(axes: Any, lines: Sequence[Mapping[str, Any]]) -> None:
    """Write the text of each line at its height, headings bold, the first at the top."""
    axes.set_yticks([line["y"] for line in lines], [line["text"] for line in lines])
    axes.set_ylim(lines[-1]["y"] + 0.6, -0.6)
    for tick, line in zip(axes.get_yticklabels(), lines, strict=True):
        tick.set_fontweight("bold" if line["heading"] else "normal")
