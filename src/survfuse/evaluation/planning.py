"""From a pilot run: how many patients an increment needs, and how narrow intervals would be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import exp, isfinite
from pathlib import Path
from typing import Any

import numpy as np

from survfuse._errors import ConfigError, InputError, NotComputableError
from survfuse.evaluation.assessment import cards
from survfuse.evaluation.curve_errors import ISBS
from survfuse.evaluation.metric_registry import Metric
from survfuse.evaluation.plan_words import OWN
from survfuse.evaluation.precision import (
    MOST_PATIENTS,
    Parts,
    Precision,
    events_among,
    jackknifed,
    measured,
    of_difference,
    of_score,
)
from survfuse.evaluation.ranking import UNO_C
from survfuse.evaluation.run_folds import RunFolds
from survfuse.evaluation.study_plan import IncrementPlan, Plan, WidthPlan
from survfuse.results import Result
from survfuse.results.model_roles import clinical_only
from survfuse.survival.estimate import Estimate, Z

FEWEST_EVENTS = 20
MULTIPLES = (1, 2, 4, 8)
INCREMENTS: Mapping[str, Metric] = {"uno_c": UNO_C, "isbs": ISBS}
WIDTHS = ("uno_c", "calibration_slope", "observed_expected", "isbs")
PERMUTED = "permuted"
OVER = "over clinical variables"


def plan(
    result: Result | Path | str,
    delta: float = 0.03,
    power: float = 0.8,
    *,
    metric: str = "uno_c",
    patients: Sequence[int] = (),
) -> Plan:
    """Plan a larger study from a pilot run.

    Parameters
    ----------
    result : Result or path
        A cross-validation, or the folder that ``crossval -o`` wrote.
    delta : float
        Increment to be shown, on the scale of `metric`: .03 of Uno's C, say. Of the integrated
        Brier score it is how much smaller the error becomes.
    power : float
        Chance that the 95 % interval of the increment excludes 0 when the increment is `delta`.
    metric : {"uno_c", "isbs"}
        Of the increments.
    patients : sequence of int
        Further sizes at which widths are computed, beside 1, 2, 4 and 8 times the pilot.

    Returns
    -------
    Plan

    Raises
    ------
    ConfigError
        For a delta, power, metric or number of patients that cannot be.
    InputError
        Where the run has too few events, no risks of its models, or no increment.
    """
    _check(delta, power, metric, patients)
    run = result if isinstance(result, Result) else Result.read(result)
    number, events = round(run.cohort["patients"]), round(run.cohort["events"])
    if events < FEWEST_EVENTS:
        raise InputError(
            f"the pilot has {events} events among {number} patients, and {FEWEST_EVENTS} are "
            "needed: the standard errors of fewer are not known well enough to plan from; add "
            "patients or follow-up to the pilot",
        )
    models = RunFolds(run)
    return Plan(
        name=run.name,
        endpoint=run.cohort["endpoint"],
        patients=number,
        events=events,
        repeats=models.repeats,
        metric=metric,
        delta=float(delta),
        power=float(power),
        increments=tuple(_increments(run, models, metric, delta, power)),
        widths=tuple(_widths(run, models)),
        sizes=tuple(sorted({*(number * times for times in MULTIPLES), *patients})),
        clinical=_clinical(run),
        measured_share=models.known_share,
        curve=tuple(_learned(run)),
    )


def _check(
    delta: float,
    power: float,
    metric: str,
    patients: Sequence[int],
) -> None:
    if metric not in INCREMENTS:
        raise ConfigError(
            f"metric {metric!r}: expected one of {', '.join(INCREMENTS)}",
        )
    if not (isfinite(delta) and 0 < delta < 1):
        raise ConfigError(
            f"delta {delta}: expected the increment to be shown, above 0 and below 1, such as "
            "0.03",
        )
    if not 0 < power < 1:
        hint = f"; {power} % is {power / 100:g}" if 1 < power < 100 else ""
        raise ConfigError(
            f"power {power}: expected a chance above 0 and below 1, such as 0.8{hint}",
        )
    for one in patients:
        if not 1 <= one <= MOST_PATIENTS:
            raise ConfigError(
                f"patients {one}: expected a whole number from 1 to {MOST_PATIENTS:,}",
            )


def _increments(
    run: Result,
    models: RunFolds,
    metric: str,
    delta: float,
    power: float,
) -> list[IncrementPlan]:
    """Plans of every increment of the run, then of the model over the clinical variables."""
    key, clinical = f"delta_{metric}", clinical_only(run)
    rows: list[tuple[str, str, str, str, Any]] = []
    for row in run.performance.get("increment") or ():
        if not str(row["kind"]).startswith(PERMUTED):
            names = (row["modality"], row["kind"], row["with"], row["without"])
            rows.append((*map(str, names), row.get(key)))  # type: ignore[arg-type]
    for other in run.performance.get("comparisons") or ():
        if clinical is not None and other["reference"] == clinical:
            rows.append((OWN, OVER, run.name, clinical, other.get(key)))
    if not rows:
        raise InputError(
            "the run compares no model with and without a modality, and none with the clinical "
            "variables: there is no increment to plan for; run `survfuse crossval` on a cohort "
            "with two or more modalities",
        )
    return [_increment(models, metric, delta, power, *row) for row in rows]


def _increment(
    models: RunFolds,
    metric: str,
    delta: float,
    power: float,
    what: str,
    kind: str,
    with_it: str,
    without: str,
    record: Mapping[str, Any] | None,
) -> IncrementPlan:
    sign = -1.0 if metric == "isbs" else 1.0
    names = (what, kind, with_it, without)
    recorded = _estimate(record)
    if recorded is None or recorded.value is None or not recorded.se:
        why = recorded.note if recorded is not None else "the run does not hold it"
        return IncrementPlan(*names, note=f"no plan: {why or 'no standard error'}")
    value = sign * recorded.value
    ends = sorted(
        sign * one for one in (recorded.low, recorded.high) if one is not None
    )
    low, high = ends if len(ends) == 2 else (None, None)
    estimate = Estimate(value, recorded.se, low, high, recorded.n, recorded.events)
    try:
        precision = of_difference(
            INCREMENTS[metric],
            models.folds(with_it),
            models.folds(without),
            models.scale,
            known_share=models.known_share,
        ).scaled_to(recorded.se)
        needed = precision.patients_for(delta, power)
        others = [one.patients_for(delta, power) for one in precision.left_out]
        cautious = precision.cautious.patients_for(delta, power)
        gain = precision.patients_for(value, power) if value > 0 else None
    except NotComputableError as why_not:
        return IncrementPlan(*names, estimate, note=f"no plan: {why_not}")
    spread = jackknifed(np.log(others))
    return IncrementPlan(
        *names,
        estimate,
        precision,
        patients=needed,
        patients_low=needed * exp(-Z * spread),
        patients_high=max(needed * exp(Z * spread), cautious),
        for_estimate=gain,
    )


def _estimate(record: Mapping[str, Any] | None) -> Estimate | None:
    if record is None:
        return None
    names = ("value", "se", "low", "high", "n", "events")
    known: dict[str, Any] = {name: record.get(name) for name in names}
    return Estimate(**known, note=record.get("note") or "")


def _widths(run: Result, models: RunFolds) -> list[WidthPlan]:
    """How the interval of each metric of the model narrows; those that the run cannot give go."""
    widths = []
    for key in WIDTHS:
        known = run.estimates[run.name].get(key)
        if known is None or known.value is None or not known.se:
            continue
        try:
            precision = _precision(key, known, models)
        except NotComputableError:
            continue
        widths.append(WidthPlan(key, known, precision))
    return widths


def _precision(
    key: str,
    known: Estimate,
    models: RunFolds,
) -> Precision:
    """Precision of a metric of the run's model; of its logarithm for observed over expected."""
    folds = models.folds(models.run.name)
    assert known.se is not None
    if key == "observed_expected":

        def parts(patients: frozenset[str] | None) -> Parts:
            return 1 / events_among(folds, patients), 0.0

        precision = measured("score", parts, folds, known_share=True)
        assert known.value is not None
        return precision.scaled_to(known.se / known.value)
    return of_score(
        cards((key,))[0],
        folds,
        models.scale,
        known_share=models.known_share,
        kind="slope" if key == "calibration_slope" else "score",
    ).scaled_to(known.se)


def _clinical(run: Result) -> tuple[str, ...]:
    """Modalities that are clinical tables."""
    rows = run.cohort.get("modalities") or ()
    return tuple(row["name"] for row in rows if row.get("kind") == "clinical")


def _learned(run: Result) -> list[tuple[float, float]]:
    """Model minus clinical variables in Uno's C, by number of training patients."""
    table, clinical = run.learning_curve, clinical_only(run)
    if table is None or clinical is None:
        return []
    known = table[table["metric"] == "uno_c"].dropna(subset="value")
    values = known.pivot_table(index="patients", columns="model", values="value")
    if not {run.name, clinical} <= set(values.columns):
        return []
    gains = (values[run.name] - values[clinical]).dropna()
    return [(float(n), float(gain)) for n, gain in zip(gains.index, gains, strict=True)]
