"""Compute: what the predictions say about patients, set against what was observed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from survfuse.report.artefacts import Run
from survfuse.report.formatting import TimeAxis, duration
from survfuse.survival.curves import KaplanMeierTable, kaplan_meier_table
from survfuse.survival.groups import log_rank

SCHEMA: dict[str, tuple[str, ...]] = {
    "risk_groups": (
        "group",
        "name",
        "patients",
        "events",
        "median",
        "survival",
        "low",
        "high",
        "note",
    ),
    "risk_curves": ("group", "time", "survival", "low", "high", "at_risk", "events"),
    "at_risk": ("group", "time", "at_risk"),
    "calibration": (
        "quintile",
        "patients",
        "events",
        "predicted",
        "observed",
        "low",
        "high",
        "note",
    ),
    "times": (
        "patients",
        "with_time",
        "not_reached",
        "distinct",
        "most_common",
        "share",
        "p10",
        "p50",
        "p90",
    ),
    "time_bins": ("low", "high", "patients"),
}
GROUP_NAMES = ("low risk", "intermediate risk", "high risk")
MOST_QUANTILES = 5
FEWEST_PER_QUANTILE = 10
MOST_BINS = 20


@dataclass(frozen=True)
class Prognosis:
    """Tables by name, the log-rank test, and why an empty table is empty."""

    frames: dict[str, pd.DataFrame]
    log_rank: dict[str, Any]
    reasons: dict[str, str]


def compute(run: Run) -> Prognosis:
    """Compute the tables of `SCHEMA` from the first repeat, all folds pooled.

    Parameters
    ----------
    run : Run
        The files of a cross-validation run.
    """
    frame, horizon = run.first_repeat, run.horizon
    reasons: dict[str, str] = {}
    grouped = frame[frame["risk_group"].notna()]
    if grouped.empty:
        reasons["risk_curves"] = "predictions.csv assigns no patient to a risk group"
    elif len(grouped) < len(frame):
        reasons["risk_groups"] = (
            f"{len(frame) - len(grouped)} of {len(frame)} patients have no risk group"
        )
    calibration, reason = _calibration(frame, horizon, run.unit)
    if reason:
        reasons["calibration"] = reason
    if frame["predicted_time"].isna().all():
        reasons["time_bins"] = (
            "no patient has a predicted time: no predicted median was reached"
        )
    frames = {
        "risk_groups": _risk_groups(grouped, horizon, run.unit),
        "risk_curves": _risk_curves(grouped),
        "at_risk": _at_risk(grouped, TimeAxis.of(float(frame["time"].max()), run.unit)),
        "calibration": calibration,
        "times": _times(frame),
        "time_bins": _time_bins(frame["predicted_time"].dropna()),
    }
    return Prognosis(frames, _log_rank(grouped), reasons)


def group_name(group: int) -> str:
    """Name of a risk group, 0 being the lowest."""
    return GROUP_NAMES[group] if 0 <= group < len(GROUP_NAMES) else f"group {group}"


def observed_at(
    time: pd.Series[float],
    event: pd.Series[bool],
    horizon: float,
    unit: str,
) -> dict[str, Any]:
    """Kaplan-Meier survival at a horizon with its 95% interval, or the reason why not.

    Parameters
    ----------
    time, event : Series, (patients,)
    horizon : float
        In the unit of `time`.
    unit : str
        For the note.

    Returns
    -------
    mapping
        `survival`, `low`, `high` (NaN when not computable) and `note`.
    """
    unknown = {"survival": math.nan, "low": math.nan, "high": math.nan}
    if not len(time):
        return {**unknown, "note": "not computable: no patients"}
    table = kaplan_meier_table(time.to_numpy(float), event.to_numpy(bool))
    reached = np.flatnonzero(np.asarray(table.time) <= horizon)
    last = float(time.max())
    if last < horizon and not (len(table.survival) and table.survival[-1] == 0):
        return {
            **unknown,
            "note": f"not computable: follow-up ends at {duration(last, unit)}",
        }
    if not reached.size:
        return {**unknown, "survival": 1.0, "note": "no event yet: no interval"}
    row = int(reached[-1])
    low, high = float(table.low[row]), float(table.high[row])
    survival = float(table.survival[row])
    if survival == 1.0:
        return {**unknown, "survival": 1.0, "note": "no event yet: no interval"}
    note = "" if math.isfinite(low + high) else "no interval"
    return {"survival": survival, "low": low, "high": high, "note": note}


def _by_group(frame: pd.DataFrame) -> Iterator[tuple[int, pd.DataFrame]]:
    for group in sorted(set(frame["risk_group"].astype(int))):
        yield group, frame[frame["risk_group"] == group]


def _risk_groups(frame: pd.DataFrame, horizon: float | None, unit: str) -> pd.DataFrame:
    rows = []
    for group, part in _by_group(frame):
        at = {
            "survival": math.nan,
            "low": math.nan,
            "high": math.nan,
            "note": "no horizon",
        }
        if horizon is not None:
            at = observed_at(part["time"], part["event"], horizon, unit)
        table = kaplan_meier_table(
            part["time"].to_numpy(float),
            part["event"].to_numpy(bool),
        )
        half = np.flatnonzero(np.asarray(table.survival) <= 0.5 + 1e-12)
        median = float(table.time[half[0]]) if half.size else math.nan
        counts = {"patients": len(part), "events": int(part["event"].sum())}
        rows.append(
            {
                "group": group,
                "name": group_name(group),
                **counts,
                "median": median,
                **at,
            },
        )
    return pd.DataFrame(rows, columns=list(SCHEMA["risk_groups"]))


def _risk_curves(frame: pd.DataFrame) -> pd.DataFrame:
    parts = [
        _curve(
            group,
            kaplan_meier_table(
                part["time"].to_numpy(float),
                part["event"].to_numpy(bool),
            ),
            part,
        )
        for group, part in _by_group(frame)
    ]
    return (
        pd.concat(parts, ignore_index=True)
        if parts
        else pd.DataFrame(columns=list(SCHEMA["risk_curves"]))
    )


def _curve(group: int, table: KaplanMeierTable, part: pd.DataFrame) -> pd.DataFrame:
    """Table of one curve, from time 0 to the last patient seen, whatever rows `table` has."""
    names = ("time", "survival", "low", "high", "at_risk", "events")
    curve = pd.DataFrame(
        {name: np.asarray(getattr(table, name), float) for name in names},
    )
    start = pd.DataFrame(
        [(0.0, 1.0, 1.0, 1.0, float(len(part)), 0.0)],
        columns=list(names),
    )
    curve = pd.concat([start, curve[curve["time"] > 0]], ignore_index=True)
    last = float(part["time"].max())
    if curve["time"].iloc[-1] < last:
        end = curve.iloc[[-1]].assign(
            time=last,
            at_risk=float((part["time"] >= last).sum()),
            events=0.0,
        )
        curve = pd.concat([curve, end], ignore_index=True)
    curve.insert(0, "group", group)
    return curve


def _at_risk(frame: pd.DataFrame, axis: TimeAxis) -> pd.DataFrame:
    rows = [
        (group, tick, int((part["time"] >= tick).sum()))
        for group, part in _by_group(frame)
        for tick in axis.ticks
    ]
    return pd.DataFrame(rows, columns=list(SCHEMA["at_risk"]))


def _log_rank(frame: pd.DataFrame) -> dict[str, Any]:
    if frame.empty:
        return {
            "statistic": None,
            "degrees": None,
            "p_value": None,
            "note": "no risk groups",
        }
    test = log_rank(
        frame["time"].to_numpy(float),
        frame["event"].to_numpy(bool),
        frame["risk_group"].to_numpy(int),
    )
    return {
        "statistic": test.chi2,
        "degrees": test.df,
        "p_value": test.p,
        "note": test.note,
    }


def _calibration(
    frame: pd.DataFrame,
    horizon: float | None,
    unit: str,
) -> tuple[pd.DataFrame, str]:
    """Predicted against observed survival at one horizon, in groups of equal size by prediction."""
    columns = list(SCHEMA["calibration"])
    nothing = pd.DataFrame(columns=columns)
    if horizon is None:
        return nothing, "not computable: the run has no horizon"
    name = f"survival_{horizon:g}"
    if name not in frame or frame[name].isna().all():
        return nothing, "not computable: the calibration method gives no curve"
    told = frame[frame[name].notna()]
    groups = max(1, min(MOST_QUANTILES, len(told) // FEWEST_PER_QUANTILE))
    # Rounding ties values that differ only by arithmetic; equal predictions stay in one group.
    bins = pd.qcut(told[name].round(9), groups, labels=False, duplicates="drop").fillna(
        0,
    )
    rows = []
    for number, (_, part) in enumerate(told.groupby(bins, sort=True), start=1):
        observed = observed_at(part["time"], part["event"], horizon, unit)
        events = int((part["event"] & (part["time"] <= horizon)).sum())
        rows.append(
            {
                "quintile": number,
                "patients": len(part),
                "events": events,
                "predicted": float(part[name].mean()),
            }
            | {"observed": observed.pop("survival"), **observed},
        )
    left = len(frame) - len(told)
    note = (
        f"{left} of {len(frame)} patients have no predicted survival at this horizon"
        if left
        else ""
    )
    return pd.DataFrame(rows, columns=columns), note


def _times(frame: pd.DataFrame) -> pd.DataFrame:
    times = frame["predicted_time"].dropna()
    counts = times.round(9).value_counts()
    quantiles = [
        float(times.quantile(q)) if len(times) else math.nan for q in (0.1, 0.5, 0.9)
    ]
    most = int(counts.iloc[0]) if len(counts) else 0
    common = float(counts.index[counts == most].min()) if most > 1 else math.nan
    share = most / len(frame) if most else math.nan
    row = (
        len(frame),
        len(times),
        len(frame) - len(times),
        len(counts),
        common,
        share,
        *quantiles,
    )
    return pd.DataFrame([row], columns=list(SCHEMA["times"]))


def _time_bins(times: pd.Series[float]) -> pd.DataFrame:
    if times.empty:
        return pd.DataFrame(columns=list(SCHEMA["time_bins"]))
    edges = np.linspace(
        0,
        float(times.max()),
        min(MOST_BINS, max(5, int(math.sqrt(len(times)) * 1.5))) + 1,
    )
    patients, _ = np.histogram(times.to_numpy(float), bins=edges)
    return pd.DataFrame({"low": edges[:-1], "high": edges[1:], "patients": patients})
