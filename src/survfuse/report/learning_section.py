"""The learning curve of a run: its table by model and size, and what its last step says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from survfuse.report.wording import sentence

CURVE_METRICS = ("uno_c", "delta_uno_c", "isbs", "delta_isbs")


def learning_curve(
    rows: Iterable[Mapping[str, Any]],
    record: Sequence[Mapping[str, Any]] | None,
    model: str,
) -> dict[str, Any] | None:
    """Group the rows of the table `learning_curve` by model and size.

    Parameters
    ----------
    rows : iterable of mapping
    record : sequence of mapping or None
        As recorded.
    model : str
        The model that the run is about.

    Returns
    -------
    mapping or None
        `says` (a sentence) and `rows`, each with `model`, `patients`, `events`, `subsamples` and
        `cells` in the order of `CURVE_METRICS`. None where nothing was recorded.
    """
    if record is None:
        return None
    rows, sizes = list(rows), []
    for _, group in groupby(rows, lambda row: (row["model"], row["patients"])):
        part = list(group)
        cells = {row["metric"]: row for row in part}
        place = {
            key: part[0][key] for key in ("model", "patients", "events", "subsamples")
        }
        sizes.append({**place, "cells": [cells.get(key) for key in CURVE_METRICS]})
    return {"says": learning_curve_says(rows, model), "rows": sizes}


def learning_curve_says(
    rows: Sequence[Mapping[str, Any]],
    model: str,
) -> str:
    """Say in one sentence what the last step of the learning curve brought.

    Parameters
    ----------
    rows : sequence of mapping
        Rows of the table `learning_curve`.
    model : str
        The model that the run is about.
    """
    own = [row for row in rows if row["model"] == model]
    computed = [row for row in own if row["metric"] == "uno_c" and row["subsamples"]]
    steps = [row for row in own if row["metric"] == "delta_uno_c"]
    stepped = bool(steps) and len(computed) > 1
    return sentence(
        "learning_curve",
        step=steps[-1] if stepped else None,
        before=computed[-2]["patients"] if stepped else None,
    )
