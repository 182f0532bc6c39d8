"""Median times of the risk groups and hazard ratios between them, with 95 % intervals."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from survfuse._errors import NotComputableError
from survfuse.survival.hazard_ratios import hazard_ratios
from survfuse.survival.median_time import median_time

MEDIAN = ("median", "median_low", "median_high", "median_at_risk", "median_note")
HAZARD = ("hazard_ratio", "hazard_low", "hazard_high", "hazard_note")
REFERENCE = "reference"


def median_cells(part: pd.DataFrame) -> dict[str, Any]:
    """Median time of one group with its interval.

    Parameters
    ----------
    part : DataFrame
        `time` and `event` of its patients.

    Returns
    -------
    dict
        Cells of `MEDIAN`; NaN where the curve, or an end of its interval, does not reach one half.
        At risk: patients who were followed as long as the median, without the event before.
    """
    estimate = median_time(part["time"].to_numpy(float), part["event"].to_numpy(bool))
    values = [estimate.value, estimate.low, estimate.high]
    at_risk = None
    if estimate.value is not None:
        at_risk = int((part["time"] >= estimate.value).sum())
    numbers = [math.nan if value is None else value for value in [*values, at_risk]]
    return dict(zip(MEDIAN, [*numbers, estimate.note], strict=True))


def hazard_cells(grouped: pd.DataFrame) -> dict[int, dict[str, Any]]:
    """Hazard ratio of each group against the lowest, from one Cox fit on the groups.

    The groups are taken as given: the ratio describes these patients, and its interval does not
    hold how else the cut-offs could have fallen.

    Parameters
    ----------
    grouped : DataFrame
        `time`, `event` and `risk_group` (int) of patients.

    Returns
    -------
    dict of int to dict
        Cells of `HAZARD` of each group: 1 of the lowest, NaN and the reason where nothing can be
        estimated.
    """
    groups = sorted(set(grouped["risk_group"].astype(int)))
    if not groups:
        return {}
    lowest, others = groups[0], groups[1:]
    cells = {lowest: _cells(1.0, math.nan, math.nan, REFERENCE)}
    if not others:
        return cells
    events = grouped.groupby("risk_group")["event"].sum()
    if events[lowest] == 0:
        why = "not computable: the lowest group has no event"
        return cells | {group: _cells(*[math.nan] * 3, why) for group in others}
    members = grouped["risk_group"].to_numpy()[:, None] == np.array(others)
    time, event = grouped["time"].to_numpy(float), grouped["event"].to_numpy(bool)
    try:
        estimates = hazard_ratios(members.astype(float), time, event)
    except NotComputableError as error:
        why = f"not computable: {error}"
        return cells | {group: _cells(*[math.nan] * 3, why) for group in others}
    for group, one in zip(others, estimates, strict=True):
        cells[group] = _cells(one.value, one.low, one.high, one.note)
    return cells


def _cells(*values: Any) -> dict[str, Any]:
    return dict(zip(HAZARD, values, strict=True))
