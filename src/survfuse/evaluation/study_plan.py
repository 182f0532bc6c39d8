"""What a plan says: patients that an increment needs, widths of intervals, what to buy next."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil, exp
from typing import Any

import pandas as pd

from survfuse.evaluation import plan_plots
from survfuse.evaluation.plan_words import (
    ASSUMPTIONS,
    FAR,
    OWN,
    buying,
    curve_sentence,
    repeats_sentence,
)
from survfuse.evaluation.precision import Precision
from survfuse.survival.estimate import Estimate, Z

FORMAT, VERSION = "survfuse-plan", 1
AIMS = {"calibration_slope": 1.0, "observed_expected": 1.0}
"""Values around which the interval of a well calibrated model is expected."""
FARTHEST = 10  # times the pilot


@dataclass(frozen=True)
class IncrementPlan:
    """Patients that show an increment, from the precision that it has in the pilot.

    Attributes
    ----------
    what : str
        The modality, or "the whole model".
    kind : str
        What sort of model it is, for people.
    with_it, without : str
        Names of the two models.
    estimate : Estimate or None
        The increment in the pilot; above 0: better with it.
    precision : Precision or None
    patients, patients_low, patients_high : float or None
        Needed for the increment of the plan, and how few or many it may be: the 95 % interval of
        the standard error, and at least what is needed if training goes on to change as much.
    for_estimate : float or None
        Needed if the increment is what the pilot found; None where that is no gain.
    note : str
        Why there is no number.
    """

    what: str
    kind: str
    with_it: str
    without: str
    estimate: Estimate | None = None
    precision: Precision | None = None
    patients: float | None = None
    patients_low: float | None = None
    patients_high: float | None = None
    for_estimate: float | None = None
    note: str = ""


@dataclass(frozen=True)
class WidthPlan:
    """How the interval of a metric of the model narrows.

    Attributes
    ----------
    metric : str
    estimate : Estimate
        In the pilot.
    precision : Precision
        Of the metric; of its logarithm for observed over expected.
    """

    metric: str
    estimate: Estimate
    precision: Precision

    def at(self, patients: float) -> dict[str, float | None]:
        """Expected interval and half its width at a number of patients.

        The interval is that around 1 for calibration, around the value of the pilot for others.
        `half_width_low` and `half_width_high` tell how narrow or wide it may be: the 95 % interval
        of the standard error, and at least as wide as it is if training goes on to change as much.
        """
        assert self.estimate.value is not None
        value, precision = AIMS.get(self.metric, self.estimate.value), self.precision
        half = Z * precision.se(patients)
        ends = (value - half, value + half)
        if self.metric == "observed_expected":
            ends = (exp(-half), exp(half))
        width, unsure = (ends[1] - ends[0]) / 2, precision.uncertainty(patients)
        row = {"value": value, "low": ends[0], "high": ends[1], "half_width": width}
        if unsure is None:
            return {**row, "half_width_low": None, "half_width_high": None}
        cautious = precision.cautious.se(patients) / precision.se(patients)
        return {
            **row,
            "half_width_low": width * exp(-Z * unsure),
            "half_width_high": width * max(exp(Z * unsure), cautious),
        }


@dataclass(frozen=True, repr=False)
class Plan:
    """A plan for a larger study, from a pilot run.

    Attributes
    ----------
    name, endpoint : str
        Of the pilot's model, and what was predicted.
    patients, events, repeats : int
        Of the pilot.
    metric : {"uno_c", "isbs"}
        Of the increments.
    delta, power : float
        The increment to be shown, and the chance to show it.
    increments : tuple of IncrementPlan
    widths : tuple of WidthPlan
    sizes : tuple of int
        Numbers of patients at which widths are told.
    clinical : tuple of str
        Modalities that are clinical tables: not to be bought.
    measured_share : bool
        Whether the run tells how much training changes.
    curve : tuple of (float, float)
        Learning curve of the model minus the clinical variables: training patients, difference.
    """

    name: str
    endpoint: str
    patients: int
    events: int
    repeats: int
    metric: str
    delta: float
    power: float
    increments: tuple[IncrementPlan, ...]
    widths: tuple[WidthPlan, ...]
    sizes: tuple[int, ...]
    clinical: tuple[str, ...] = ()
    measured_share: bool = True
    curve: tuple[tuple[float, float], ...] = field(default=())

    def __repr__(self) -> str:
        """The two tables and the advice."""
        parts = [
            f"Plan from {self.name!r}: {self.patients} patients, {self.events} events",
            self.increments_table.drop(columns=["with", "without"]).to_string(
                index=False
            ),
            self.widths_table.to_string(index=False),
            self.buy_next,
        ]
        return "\n".join(parts)

    def events_of(self, patients: float) -> int:
        """Events among so many patients, at the event rate of the pilot."""
        return ceil(patients * self.events / self.patients - 1e-9)

    @property
    def increments_table(self) -> pd.DataFrame:
        """One row per increment.

        Returns
        -------
        DataFrame
            `what`, `kind`, `with`, `without`, the pilot's `value`, `low`, `high`; the `patients`
            needed for `delta`, their 95 % interval and `events`; the `power` of as many patients
            as the pilot had; patients needed `for_estimate`; `note`.
        """
        return pd.DataFrame([self._increment_row(one) for one in self.increments])

    def _increment_row(self, one: IncrementPlan) -> dict[str, Any]:
        found, precision = one.estimate, one.precision
        now = None if precision is None else precision.power(self.delta, self.patients)
        return {
            "what": one.what,
            "kind": one.kind,
            "with": one.with_it,
            "without": one.without,
            "value": None if found is None else found.value,
            "low": None if found is None else found.low,
            "high": None if found is None else found.high,
            "patients": whole(one.patients),
            "patients_low": whole(one.patients_low),
            "patients_high": whole(one.patients_high),
            "events": None if one.patients is None else self.events_of(one.patients),
            "power_of_pilot": now,
            "for_estimate": whole(one.for_estimate),
            "note": one.note,
        }

    @property
    def widths_table(self) -> pd.DataFrame:
        """One row per metric and size: `metric, patients, events` and those of `WidthPlan.at`."""
        rows = []
        for size in self.sizes:
            for width in self.widths:
                place = {"metric": width.metric, "patients": size}
                rows.append({**place, "events": self.events_of(size), **width.at(size)})
        return pd.DataFrame(rows)

    @property
    def buy_next(self) -> str:
        """Which modality's increment needs the fewest patients, or why that cannot be told."""
        rows = [
            one
            for one in self.increments
            if one.what not in (OWN, *self.clinical) and one.estimate is not None
        ]
        own = [one for one in rows if one.with_it == self.name]
        return buying(own or rows, self.power)

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What must hold for the numbers to come true."""
        return (
            *ASSUMPTIONS,
            curve_sentence(self.curve),
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know of this pilot."""
        notes = []
        if not self.measured_share:
            notes.append(repeats_sentence(self.repeats))
        far = [
            one.what
            for one in self.increments
            if (one.patients or 0) > FARTHEST * self.patients
        ]
        if far:
            notes.append(FAR.format(what=", ".join(dict.fromkeys(far)), times=FARTHEST))
        return tuple(notes)

    def to_dict(self) -> dict[str, Any]:
        """The plan as plain values, for JSON."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "model": self.name,
            "endpoint": self.endpoint,
            "pilot": {
                "patients": self.patients,
                "events": self.events,
                "repeats": self.repeats,
            },
            "metric": self.metric,
            "delta": self.delta,
            "power": self.power,
            "increments": plain(self.increments_table),
            "widths": plain(self.widths_table),
            "buy_next": self.buy_next,
            "assumptions": list(self.assumptions),
            "notes": list(self.notes),
        }

    plot_power = plan_plots.plot_power
    plot_width = plan_plots.plot_width


def whole(patients: float | None) -> int | None:
    """Patients rounded up; None stays."""
    return None if patients is None else ceil(patients - 1e-9)


def plain(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of plain values, None where there is none."""
    objects = table.astype(object)
    rows: Any = objects.where(table.notna(), None).to_dict("records")
    return list(rows)
