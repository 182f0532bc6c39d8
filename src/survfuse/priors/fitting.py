"""A stratified ridge Cox regression of genes, pooled over cohorts, and its slope in a new one."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from survfuse._errors import InputError, NotComputableError, listed
from survfuse._types import FloatArray, IntArray
from survfuse._version import __version__
from survfuse.cohort import Cohort
from survfuse.priors.prior_sources import Source, read_sources, shared_genes
from survfuse.readers.priors import LIMIT, USUAL_SPREAD, Prior, barcode_hashes
from survfuse.survival._newton import climb
from survfuse.survival._penalty_path import given_penalties, stratified_folds
from survfuse.survival.concordance import harrell_c
from survfuse.survival.pooled_cox import LeftOut, PooledCox, leave_out
from survfuse.survival.random_effects import random_effects
from survfuse.survival.right_censored import Outcome
from survfuse.survival.stratified import StratifiedRiskSets

COMPONENTS = 100
"""Of the genes. On nine cancers, each left out, 75 to 200 gave a larger likelihood than fewer, or
all."""
FOLDS, SEED = 5, 0
"""Of the cross-validation where there is one cohort."""
NOT_FOR = (
    "patients that it was fitted on",
    "other endpoints, without thought",
    "conclusions on single genes: the weights of correlated genes are shared out",
    "effects of treatment",
)


def fit_prior(
    cohorts: Sequence[Cohort],
    *,
    name: str,
    expression: str = "expression",
    offsets: str | None = "clinical",
    penalties: npt.ArrayLike | None = None,
    components: int | None = COMPONENTS,
    mix_endpoints: bool = False,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Prior:
    """Fit weights of genes on cohorts, and find what their risk is worth in a new one.

    The log-risk is the sum of the genes that every cohort has, on a log scale and z-scored within
    each cohort, times their weights, above that of the cohort's own clinical table. Weights are
    those of a ridge Cox regression with a baseline for each cohort (Efron). The penalty is the one
    with the largest log partial likelihood in the cohorts, each left out in turn; of one cohort,
    in its inner folds.

    Parameters
    ----------
    cohorts : sequence of Cohort
        One or more.
    name : str
        Of the prior: letters, digits and _.
    expression : str
        Modality of each cohort that is read.
    offsets : str or None
        Table of each cohort, where it has one, whose ridge Cox regression is the offset.
    penalties : array-like, optional
        Penalties > 0, per event, to compare.
    components : int or None
        How many principal components of the genes the regression reads; None: all.
    mix_endpoints : bool
        Whether the cohorts may have several endpoints.
    progress : callable, optional
        Receives steps done and steps in all.

    Returns
    -------
    Prior
        Its card says what was done, and what each cohort says when it is left out.

    Raises
    ------
    InputError
        For a name that is no identifier, cohorts that cannot be used together, or that are all too
        small for a slope when they are left out.
    LeakageError
        For a patient in two cohorts, or an input that holds the outcome.
    NotComputableError
        When the mean slope in cohorts that are left out is not above 0.
    """
    if not name.isidentifier():
        raise InputError(
            f"name of a prior: expected letters, digits and _, no digit first, got {name!r}; give "
            "another (`--name`)",
        )
    sources = read_sources(cohorts, expression, offsets, mix_endpoints=mix_endpoints)
    genes, z = shared_genes(sources)
    stratum = np.repeat(np.arange(len(sources)), [len(own.z) for own in sources])
    outcome = _pooled([own.outcome for own in sources])
    offset = np.concatenate([own.offset for own in sources])
    data = z, outcome, stratum, offset
    cox = PooledCox.of(*data, components)
    part = stratum if len(sources) > 1 else _folds(outcome)
    grid = cox.grid() if penalties is None else given_penalties(penalties)
    left_out = leave_out(
        *data,
        part,
        grid,
        components=components,
        progress=progress,
    )
    penalty = float(left_out.penalties[left_out.best])
    held_out = _held_out(sources, outcome, offset, part, left_out)
    slope, spread = _slope(held_out)
    coef = cox.fit(penalty)
    patients = itertools.chain.from_iterable(own.patients for own in sources)
    return Prior(
        name,
        sources[0].gene_ids,
        genes,
        cox.weights(coef),
        cox.errors(coef, penalty),
        slope,
        spread,
        frozenset(barcode_hashes(patients).values()),
        _card(sources, outcome, cox, left_out, held_out),
        limit=LIMIT,
    )


def _pooled(outcomes: Sequence[Outcome]) -> Outcome:
    """Outcomes of all cohorts, one below the other; units may differ, for strata do not meet."""
    times = np.concatenate([own.time for own in outcomes])
    return Outcome(times, np.concatenate([own.event for own in outcomes]))


def _folds(outcome: Outcome) -> IntArray:
    """Number of each patient's fold in the cross-validation of one cohort; (patients,)."""
    masks = stratified_folds(outcome.event, FOLDS, np.random.default_rng(SEED))
    return np.asarray(np.argmax(masks, axis=0))


def _held_out(
    sources: Sequence[Source],
    outcome: Outcome,
    offset: FloatArray,
    part: IntArray,
    left_out: LeftOut,
) -> list[dict[str, Any]]:
    """What each cohort says of the risk that was fitted without it; without numbers, why not."""
    gains, risks = left_out.gains[left_out.best], left_out.risks[left_out.best]
    rows = []
    end = 0
    for number, source in enumerate(sources):
        own = slice(end, end + len(source.patients))
        end = own.stop
        gain = gains[number] if len(sources) > 1 else gains.sum()
        row = {
            "cohort": source.name,
            "events": source.outcome.events,
            "gain": float(gain),
        }
        try:
            z = _standard(risks[own], part[own])
            row |= _row(outcome[own], z, offset[own], part[own])
        except NotComputableError as why:
            row["note"] = str(why)
        rows.append(row)
    return rows


def _standard(risk: FloatArray, part: IntArray) -> FloatArray:
    """Risk, z-scored within each part: risks of two fits have no common origin; (patients,)."""
    z = np.zeros(len(risk))
    for number in np.unique(part):
        own = part == number
        spread = risk[own].std()
        if not spread > 0:
            raise NotComputableError("the risks do not differ, so they have no slope")
        z[own] = (risk[own] - risk[own].mean()) / spread
    return z


def _row(
    outcome: Outcome,
    z: FloatArray,
    offset: FloatArray,
    part: IntArray,
) -> dict[str, Any]:
    """Slope of a standardised risk beside the offset, and its concordance alone."""
    sets = StratifiedRiskSets.of(outcome, part)
    if len(sets.event) == 0:
        raise NotComputableError("no event, so no slope can be fitted")
    end = climb(sets, z[:, None], offset, 0.0, np.zeros(1))
    if not end.converged:
        raise NotComputableError("the slope has no finite maximum: too few events")
    c = harrell_c(outcome.time, outcome.event, z)
    return {
        "slope": float(end.coef[0]),
        "se": float(end.information[0, 0] ** -0.5),
        "c": c.value,
        "c_low": c.low,
        "c_high": c.high,
    }


def _slope(held_out: Sequence[dict[str, Any]]) -> tuple[float, float]:
    """Slope that is expected in a new cohort, and its spread.

    Two cohorts may agree by chance: the variance between cohorts is averaged with the usual one,
    which counts as one cohort; of one cohort it is the usual one.
    """
    rows = [row for row in held_out if "slope" in row]
    if not rows:
        reasons = listed((f"{row['cohort']}: {row['note']}" for row in held_out), 10)
        raise InputError(
            f"no cohort, fitted without it, gives a slope ({reasons}); give larger cohorts with "
            "more events, or the largest alone",
        )
    effect = random_effects([row["slope"] for row in rows], [row["se"] for row in rows])
    if not effect.mean > 0:
        raise NotComputableError(
            f"in cohorts that it was not fitted on, the slope of the risk is {effect.mean:.2f} ± "
            f"{effect.se:.2f}: these genes predict nothing there, so no prior is written; give "
            "more cohorts, or other ones",
        )
    seen = (len(rows) - 1) * effect.between**2
    variance = (seen + USUAL_SPREAD**2) / len(rows)
    return effect.mean, float(np.hypot(variance**0.5, effect.se))


def _card(
    sources: Sequence[Source],
    outcome: Outcome,
    cox: PooledCox,
    left_out: LeftOut,
    held_out: list[dict[str, Any]],
) -> dict[str, Any]:
    gains = left_out.gains.sum(axis=1)
    notes = []
    if not gains.max() > 0:
        notes.append(
            "no penalty beats the offsets alone: these genes predict nothing here"
        )
    if left_out.best in (0, len(gains) - 1):
        notes.append("the penalty is at an end of the grid")
    method = f"{FOLDS} folds of the cohort"
    if len(sources) > 1:
        method = "leaving one cohort out"
    return {
        "survfuse": __version__,
        "endpoints": sorted({own.endpoint for own in sources}),
        "patients": len(outcome),
        "events": outcome.events,
        "cohorts": [own.card() for own in sources],
        "model": "ridge Cox regression, a baseline for each cohort, ties after Efron",
        "genes": "those that every cohort has; log scale, z-scored within the cohort, "
        f"limited to {LIMIT:g} deviations, z-scored again",
        "components": len(cox.axes.lengths),
        "penalty": float(left_out.penalties[left_out.best]),
        "penalties": left_out.penalties.tolist(),
        "gains": gains.tolist(),
        "judged_by": method,
        "held_out": held_out,
        "slope_spread_from": "variance between cohorts (DerSimonian-Laird), averaged with "
        f"{USUAL_SPREAD}² as of one more cohort, and error of the mean",
        "errors_from": "penalised information (Gray 1992); penalty, components and offset count as "
        "known, and what the ridge takes off a weight is no error",
        "not_for": list(NOT_FOR),
        "notes": notes,
    }
