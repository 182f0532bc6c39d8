"""Simulated outcomes: a known log-risk, Weibull times, censoring, and a column that leaks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from survfuse._types import BoolArray, FloatArray
from survfuse.datasets.population import Patients
from survfuse.datasets.simulated_tissue import CLASSES

Signal = Literal["none", "additive", "interaction", "composition"]
Unit = Literal["months", "days", "years"]

SHAPE = 1.2  # Weibull shape: the hazard rises slowly
FOLLOW_UP = (24.0, 84.0)  # months; administrative censoring, uniform
DROPOUT = 0.004  # per month
# Classes of tiles whose shares change the risk, as infiltrate and a low tumour-stroma ratio do.
PROTECTS, HARMS = "immune", "stroma"
# Standard deviation of the log-risk at strength 1, set so that its own C-index is about 0.79 at 36
# % events.
_SPREAD = {"none": 0.0, "additive": 1.3, "interaction": 1.5, "composition": 1.3}
# Of one standard deviation each: clinical score, expression factors, slide factors or shares.
_ADDITIVE = (0.60, 0.58, 0.55)
_COMPOSITION = (0.40, 0.45, 0.90)
# Over patients, of the share that harms minus the share that protects.
_SHARES_MEAN, _SHARES_SD = 0.05, 0.23
_MONTH = 30.4375  # days
# Months of the 27 planned instillations: six weekly, then three weekly at 3, 6, 12, ... 36 months.
_DOSES = np.concatenate(
    [
        1.0 + np.arange(6) * 7 / _MONTH,
        *[m + np.arange(3) * 7 / _MONTH for m in (3, 6, 12, 18, 24, 30, 36)],
    ],
)


@dataclass(frozen=True)
class Draws:
    """The randomness of outcomes, drawn before the time scale is chosen.

    Attributes
    ----------
    exponential : ndarray, (patients,)
        Unit exponential: the cumulative hazard at which a patient relapses.
    censoring : ndarray, (patients,), months
    stop : ndarray, (patients,), months
        When a patient gives up treatment.
    taken : ndarray of bool, (patients, doses)
    unknown : ndarray of bool, (patients,)
        Whose number of doses was not recorded.
    """

    exponential: FloatArray
    censoring: FloatArray
    stop: FloatArray
    taken: BoolArray
    unknown: BoolArray


def draw(count: int, rng: np.random.Generator) -> Draws:
    """Draw all randomness of the outcomes of `count` patients."""
    administrative = rng.uniform(*FOLLOW_UP, count)
    return Draws(
        exponential=rng.exponential(1.0, count),
        censoring=np.minimum(administrative, rng.exponential(1 / DROPOUT, count)),
        stop=rng.exponential(60.0, count),
        taken=rng.random((count, len(_DOSES))) < 0.92,
        unknown=rng.random(count) < 0.04,
    )


def log_risk(
    patients: Patients,
    signal: Signal,
    strength: float,
    shares: FloatArray,
) -> FloatArray:
    """Give the true log-risk, (patients,), with mean about 0.

    Parameters
    ----------
    patients : Patients
    signal : {"none", "additive", "interaction", "composition"}
        `additive` sums a clinical score (age, stage, BRS), the slide factors and
        the expression factors. `interaction` sums the products of the *signs* of
        the k-th slide and the k-th expression factor and nothing else. Given either
        factor alone the product is still a fair coin, so that survival is exactly
        independent of every single modality: only the pair tells. `composition` sums a
        clinical score and the expression factors, both weaker than in `additive`, and in
        place of the slide factors the share of `HARMS` minus that of `PROTECTS`: a mean
        tile tells it, and every single tile tells its class.
    strength : float
        Multiplies the log-risk; 1 gives a concordance of 0.75 to 0.8.
    shares : ndarray, (patients, classes)
        Of each class of `CLASSES` in all tiles of a patient; read by `composition`.
    """
    spread = strength * _SPREAD[signal]
    if signal == "none":
        return np.zeros(len(patients.ids))
    scale = spread / np.sqrt(patients.slide_sign.shape[1])
    if signal == "interaction":
        risk = scale * (patients.slide_sign * patients.rna_sign).sum(axis=1)
    elif signal == "additive":
        clinical, rna, slide = _ADDITIVE
        factors = slide * patients.slide_factor.sum(axis=1)
        factors += rna * patients.rna_factor.sum(axis=1)
        risk = spread * clinical * clinical_score(patients.clinical) + scale * factors
    else:
        clinical, rna, _ = _COMPOSITION
        risk = spread * clinical * clinical_score(patients.clinical)
        risk += scale * rna * patients.rna_factor.sum(axis=1)
        harm = shares[:, CLASSES.index(HARMS)] - shares[:, CLASSES.index(PROTECTS)]
        risk += risk_per_share(strength) * (harm - _SHARES_MEAN)
    return np.asarray(risk, dtype=np.float64)


def risk_per_share(strength: float) -> float:
    """Give the log-risk that a share of 1 of `HARMS` adds, and one of `PROTECTS` takes away."""
    return strength * _SPREAD["composition"] * _COMPOSITION[2] / _SHARES_SD


def clinical_score(clinical: pd.DataFrame) -> FloatArray:
    """Give the clinical part of the additive log-risk, (patients,), of unit variance or near it."""
    age = (clinical["age"].to_numpy(dtype=float) - 71.0) / 9.5
    stage = (
        clinical["stage"]
        .map({"TaHG": -0.9, "T1HG": 0.1, "T2HG": 1.5})
        .to_numpy(dtype=float)
    )
    subtype = (
        clinical["BRS"]
        .map({"BRS1": -0.6, "BRS2": -0.2, "BRS3": 0.8})
        .to_numpy(dtype=float)
    )
    score: FloatArray = 0.6 * age + 0.8 * stage + subtype
    return score


def weibull_scale(
    risk: FloatArray,
    draws: Draws,
    event_rate: float,
) -> float:
    """Find the Weibull scale, in months, at which the share of events is nearest to `event_rate`.

    With the randomness held fixed, the number of events falls as the scale grows:
    each patient relapses before censoring exactly when the scale lies below a
    limit of their own, so the answer is an order statistic, not a search.
    """
    limit = np.sort(draws.censoring / _unit_time(risk, draws))[::-1]
    events = round(event_rate * len(limit))
    return float(np.sqrt(limit[events - 1] * limit[events]))


def _unit_time(risk: FloatArray, draws: Draws) -> FloatArray:
    time: FloatArray = (draws.exponential * np.exp(-risk)) ** (1 / SHAPE)
    return time


def observe(
    risk: FloatArray,
    draws: Draws,
    scale: float,
    *,
    leak: bool,
) -> pd.DataFrame:
    """Observe the patients until relapse or censoring.

    Returns
    -------
    DataFrame
        `time` in months (one decimal, at least 0.1), `event`, and with `leak`
        `no_instillations`: the doses received *during* that time. Doses have no
        effect whatever on relapse; whoever relapses early simply receives fewer.
    """
    relapse = scale * _unit_time(risk, draws)
    time = np.minimum(relapse, draws.censoring)
    frame = pd.DataFrame(
        {
            "time": np.maximum(time.round(1), 0.1),
            "event": (relapse <= draws.censoring).astype(int),
        },
    )
    if leak:
        until = np.minimum(time, draws.stop)
        doses = (draws.taken & (until[:, None] > _DOSES)).sum(axis=1)
        frame["no_instillations"] = np.where(draws.unknown, -1, doses)
    return frame


def in_unit(
    months: pd.Series[float],
    unit: Unit,
) -> pd.Series[float] | pd.Series[int]:
    """Convert months to whole days (at least 1) or years with three decimals (at least 0.001)."""
    if unit == "months":
        return months
    if unit == "days":
        return (months * _MONTH).round().clip(lower=1).astype(int)
    return (months / 12).round(3).clip(lower=0.001)
