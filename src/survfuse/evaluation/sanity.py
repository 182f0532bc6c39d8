"""Notes on predictions that look other than their columns say: unit, order and direction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from scipy.stats import spearmanr

from survfuse._errors import listed
from survfuse.cohort.time_units import SHORTEST, doubted_unit, far_times
from survfuse.evaluation.folds import Fold, Tabulated, TimeEvent
from survfuse.survival.estimate import Estimate

FAR_RISK = 20.0  # distance of a log-risk from the median over the next largest one
# Follow-up over the last survival column; a year has 12 months, a month 30 days.
BEYOND = 5
ALIKE = 0.5  # rank correlation of the log-risks and the curves of one model


def file_notes(
    folds: Sequence[Fold],
    unit: str,
    training: TimeEvent | None,
) -> Iterator[str]:
    """Notes on the unit of a file's times.

    Parameters
    ----------
    folds : sequence of Fold
        Of the first model.
    unit : str
        That follow-up is said to have.
    training : (time, event), optional
        Outcome of the training patients.
    """
    time = np.concatenate([fold.time for fold in folds])
    median, longest = float(np.median(time)), float(time.max())
    named = unit.strip().casefold()
    if named in SHORTEST and (doubt := doubted_unit(time, named)):
        yield doubt
    curves = [fold.curves.times for fold in folds if isinstance(fold.curves, Tabulated)]
    times = np.concatenate(curves) if curves else np.array([median])
    first, last = float(times.min()), float(times.max())
    if first > longest or median > BEYOND * last:
        yield (
            f"follow-up has median {median:g} and ends at {longest:g}, the survival columns"
            f" tell of {first:g} to {last:g}: are both in one unit?"
        )
    if training is not None:
        end = float(training[0].max())
        ratios = float(np.median(training[0])) / median, end / longest
        if min(ratios) > BEYOND or max(ratios) < 1 / BEYOND:
            yield (
                f"follow-up ends at {longest:g}, that of the training patients at {end:g}:"
                " are both in one unit?"
            )


def model_notes(
    name: str,
    folds: Sequence[Fold],
    horizon: float,
    concordance: Estimate,
) -> Iterator[str]:
    """Notes on the values, the order and the direction of a model's predictions.

    Parameters
    ----------
    name : str
        The model.
    folds : sequence of Fold
    horizon : float
        At which curves rank, or at their last time where that is earlier.
    concordance : Estimate
        Harrell's C.
    """
    if far := list(dict.fromkeys(_far_values(folds))):
        yield f"{name}: far beyond all others, so perhaps mistyped: {listed(far)}"
    correlation = _rank_correlation(folds, horizon)
    if correlation is not None and correlation < ALIKE:
        yield (
            f"{name}: log_risk and the survival columns rank patients differently (rank correlation"
            f" {correlation:.2f}); concordance and AUC judge log_risk, all else the curves"
        )
    if concordance.high is not None and concordance.high < 0.5:
        yield (
            f"{name}: patients with larger log_risk had later events (Harrell C"
            f" {concordance.value:.3f}); expected larger = earlier: is the column a predicted time"
            " or a survival, or event 1 if censored?"
        )


def _far_values(folds: Sequence[Fold]) -> Iterator[str]:
    """Times and log-risks of a few patients that lie far beyond those of all others."""
    for fold in folds:
        columns = [("time", fold.time, far_times(fold.time))]
        if fold.log_risk is not None:
            distance = np.abs(fold.log_risk - np.median(fold.log_risk))
            columns.append(("log_risk", fold.log_risk, far_times(distance, FAR_RISK)))
        for column, values, far in columns:
            for patient, value in zip(fold.patient_id[far], values[far], strict=True):
                yield f"{column} {value:g} of {patient}"


def _rank_correlation(
    folds: Sequence[Fold],
    horizon: float,
) -> float | None:
    """Mean rank correlation of the log-risks and the curves; None without both."""
    correlations = []
    for fold in folds:
        if fold.log_risk is None or fold.curves is None:
            return None
        risk = 1 - fold.survival([min(horizon, fold.curves.last)])[:, 0]
        if np.ptp(risk) > 0 and np.ptp(fold.log_risk) > 0:
            correlations.append(spearmanr(fold.log_risk, risk).statistic)
    return float(np.mean(correlations)) if correlations else None
