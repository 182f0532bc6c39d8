"""Tables of predicted against observed: risk groups, calibration, predicted times."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from survfuse.figures.formatting import TimeAxis, duration
from survfuse.results.risk_groups import HAZARD, MEDIAN, hazard_cells, median_cells
from survfuse.survival.curves import KaplanMeierTable, kaplan_meier_table
from survfuse.survival.groups import log_rank

if TYPE_CHECKING:
    from survfuse.results.result import Result

COLUMNS = {
    "risk_groups": " ".join(
        ("group name patients events survival low high note", *MEDIAN, *HAZARD),
    ),
    "risk_curves": "group time survival low high at_risk events censored",
    "at_risk": "group time at_risk",
    "calibration": "quintile patients events predicted observed low high note",
    "times": "patients with_time not_reached distinct most_common share p10 p50 p90",
    "time_bins": "low high patients",
}
SCHEMA = {name: tuple(columns.split()) for name, columns in COLUMNS.items()}
GROUP_NAMES = ("low risk", "intermediate risk", "high risk")
MOST_QUANTILES = 5
FEWEST_PER_QUANTILE = 10
MOST_BINS = 20


class Prognosis(NamedTuple):
    """Tables by name, the log-rank test, and why an empty table is empty."""

    frames: dict[str, pd.DataFrame]
    log_rank: dict[str, Any]
    reasons: dict[str, str]


def compute(run: Result) -> Prognosis:
    """Compute the tables of `SCHEMA` from the first repeat, all folds pooled.

    Parameters
    ----------
    run : Result
    """
    frame, horizon, unit = run.first_repeat, run.horizon, run.unit
    reasons: dict[str, str] = {}
    grouped = frame.dropna(subset="risk_group").astype({"risk_group": int})
    if grouped.empty:
        reasons["risk_curves"] = "predictions.csv assigns no patient to a risk group"
    elif len(grouped) < len(frame):
        lost = len(frame) - len(grouped)
        reasons["risk_groups"] = f"{lost} of {len(frame)} patients have no risk group"
    calibration, reason = _calibration(frame, horizon, unit)
    if reason:
        reasons["calibration"] = reason
    if frame["predicted_time"].isna().all():
        reasons["time_bins"] = (
            "no patient has a predicted time: no predicted median was reached"
        )
    rows: dict[str, list[Any]] = {"risk_groups": [], "risk_curves": [], "at_risk": []}
    ticks = TimeAxis.of(float(frame["time"].max()), unit).ticks
    hazards = hazard_cells(grouped)
    for group, part in grouped.groupby("risk_group"):
        number = int(str(group))
        row = _risk_group(number, part, horizon, unit)
        rows["risk_groups"].append(row | hazards[number])
        rows["risk_curves"] += _curve(number, part)
        rows["at_risk"] += [
            (number, tick, int((part["time"] >= tick).sum())) for tick in ticks
        ]
    rows["calibration"] = calibration
    rows["times"] = [_times(frame)]
    rows["time_bins"] = _time_bins(frame["predicted_time"].dropna())
    frames = {
        name: pd.DataFrame(rows[name], columns=list(SCHEMA[name])) for name in SCHEMA
    }
    return Prognosis(frames, _log_rank(grouped), reasons)


def group_name(group: int) -> str:
    """Name of a risk group, 0 being the lowest."""
    return GROUP_NAMES[group] if 0 <= group < len(GROUP_NAMES) else f"group {group}"


def _kaplan_meier(
    time: pd.Series[float],
    event: pd.Series[bool],
) -> KaplanMeierTable:
    return kaplan_meier_table(time.to_numpy(float), event.to_numpy(bool))


def observed_at(
    time: pd.Series[float],
    event: pd.Series[bool],
    horizon: float,
    unit: str,
) -> dict[str, Any]:
    """Kaplan-Meier survival at a horizon with its 95 % interval, or the reason why not.

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
    observed: dict[str, Any] = dict.fromkeys(("survival", "low", "high"), math.nan)
    if not len(time):
        return observed | {"note": "not computable: no patients"}
    table, last = _kaplan_meier(time, event), float(time.max())
    everyone_died = len(table.survival) > 0 and table.survival[-1] == 0
    if last < horizon and not everyone_died:
        return observed | {
            "note": f"not computable: follow-up ends at {duration(last, unit)}",
        }
    row = int(np.searchsorted(table.time, horizon, side="right")) - 1
    if row < 0 or table.survival[row] == 1:
        return observed | {"survival": 1.0, "note": "no event yet: no interval"}
    for name in observed:
        observed[name] = float(getattr(table, name)[row])
    note = "" if math.isfinite(observed["low"] + observed["high"]) else "no interval"
    return observed | {"note": note}


def _risk_group(
    group: int,
    part: pd.DataFrame,
    horizon: float | None,
    unit: str,
) -> dict[str, Any]:
    row: dict[str, Any] = {
        "group": group,
        "name": group_name(group),
        "patients": len(part),
        "events": int(part["event"].sum()),
        "note": "no horizon",
        **median_cells(part),
    }
    if horizon is not None:
        row |= observed_at(part["time"], part["event"], horizon, unit)
    return row


def _curve(
    group: int,
    part: pd.DataFrame,
) -> list[dict[str, Any]]:
    """Rows of one curve, from time 0 over every time of an event or a censoring."""
    table = _kaplan_meier(part["time"], part["event"])
    names = ("time", "survival", "low", "high", "at_risk", "events")
    curve = pd.DataFrame(
        {name: np.asarray(getattr(table, name), float) for name in names},
    )
    start = dict.fromkeys(names, 1.0) | {
        "time": 0.0,
        "at_risk": float(len(part)),
        "events": 0.0,
        "censored": 0.0,
    }
    following = curve["at_risk"].shift(-1, fill_value=0.0)
    curve["censored"] = curve["at_risk"] - curve["events"] - following
    rows: list[Any] = [start, *curve[curve["time"] > 0].to_dict("records")]
    return [{"group": group, **row} for row in rows]


def _log_rank(frame: pd.DataFrame) -> dict[str, Any]:
    if frame.empty:
        return {
            **dict.fromkeys(("statistic", "degrees", "p_value")),
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
) -> tuple[list[dict[str, Any]], str]:
    """Predicted against observed survival at a horizon, in groups of equal size by prediction."""
    if horizon is None:
        return [], "not computable: the run has no horizon"
    name = f"survival_{horizon:g}"
    if name not in frame or frame[name].isna().all():
        return [], "not computable: the calibration method gives no curve"
    known = frame.dropna(subset=name)
    groups = max(1, min(MOST_QUANTILES, len(known) // FEWEST_PER_QUANTILE))
    # Rounding ties values that differ only by arithmetic; equal predictions stay in one group.
    bins = pd.qcut(
        known[name].round(9),
        groups,
        labels=False,
        duplicates="drop",
    ).fillna(0)
    rows = []
    for number, (_, part) in enumerate(known.groupby(bins), start=1):
        observed = observed_at(part["time"], part["event"], horizon, unit)
        row = {
            "quintile": number,
            "patients": len(part),
            "events": int((part["event"] & (part["time"] <= horizon)).sum()),
            "predicted": float(part[name].mean()),
            "observed": observed["survival"],
        }
        rows.append({**observed, **row})
    lost = len(frame) - len(known)
    note = f"{lost} of {len(frame)} patients have no predicted survival at this horizon"
    return rows, note if lost else ""


def _times(frame: pd.DataFrame) -> dict[str, Any]:
    times = frame["predicted_time"].dropna()
    counts = times.round(9).value_counts()
    most = int(counts.max()) if len(counts) else 0
    p10, p50, p90 = times.quantile([0.1, 0.5, 0.9])
    return {
        "patients": len(frame),
        "with_time": len(times),
        "not_reached": len(frame) - len(times),
        "distinct": len(counts),
        "most_common": float(counts.index[counts == most].min())
        if most > 1
        else math.nan,
        "share": most / len(frame) if most else math.nan,
        "p10": p10,
        "p50": p50,
        "p90": p90,
    }


def _time_bins(times: pd.Series[float]) -> list[tuple[float, float, int]]:
    if times.empty:
        return []
    bins = min(MOST_BINS, max(5, int(math.sqrt(len(times)) * 1.5)))
    patients, edges = np.histogram(
        times,
        bins=bins,
        range=(0, float(times.max())),
    )
    return list(zip(edges[:-1], edges[1:], patients, strict=True))
