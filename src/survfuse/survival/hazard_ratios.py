"""Hazard ratios with intervals, of a Cox regression without a penalty."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from survfuse._errors import NotComputableError
from survfuse.survival.cox import as_matrix, fit_cox
from survfuse.survival.estimate import Basis, Estimate, Z
from survfuse.survival.right_censored import Outcome

FEWEST_EVENTS = 5
"""Events per parameter below which ratios are not given (Vittinghoff and McCulloch 2007, Am J
Epidemiol 165:710: from 5 on, intervals cover nearly what they should)."""

LARGEST = 50.0
"""Logarithm of a hazard ratio, or of an end of its interval, beyond which nothing is estimated."""


def hazard_ratios(
    x: npt.ArrayLike,
    time: npt.ArrayLike,
    event: npt.ArrayLike,
    *,
    fewest: float = FEWEST_EVENTS,
) -> list[Estimate]:
    """Hazard ratio per unit of each feature, all of them in one fit.

    Maximum partial likelihood with Efron's ties; the interval is that of Wald on the scale of
    the logarithm, as R's ``summary(coxph(...))`` gives it. A penalised fit has no such interval:
    its coefficients are shrunken on purpose.

    Parameters
    ----------
    x : array-like, (patients, features)
        No missing values.
    time, event : array-like, (patients,)
    fewest : float
        Events per feature below which nothing is estimated.

    Returns
    -------
    list of Estimate
        One per feature; `value`, `low` and `high` are ratios, `se` that of the logarithm. No value
        where the interval is endless in practice, as of features that nearly determine each other.

    Raises
    ------
    NotComputableError
        With too few events, features that do not vary or only together, or a likelihood without a
        maximum.
    """
    outcome = Outcome.of(time, event)
    features = as_matrix(x, len(outcome))
    count = features.shape[1]
    if outcome.events < fewest * count:
        raise NotComputableError(
            f"{outcome.events} events for {count} parameters, fewer than {fewest:g} for each",
        )
    constant = int((np.ptp(features, axis=0) == 0).sum()) if len(features) else count
    if constant:
        raise NotComputableError(f"{constant} of {count} parameters do not vary")
    try:
        fit = fit_cox(features, outcome.time, outcome.event)
    except NotComputableError as why:
        raise NotComputableError(_reason(str(why))) from None
    if not fit.converged:
        raise NotComputableError(_reason(fit.note))
    basis, estimates = Basis(len(outcome), outcome.events), []
    for coef, se in zip(fit.coef.tolist(), fit.se.tolist(), strict=True):
        if abs(coef) + Z * se > LARGEST:
            estimates.append(
                basis.missing(f"the data hardly determine it (error {se:.3g})")
            )
            continue
        value, low, high = np.exp([coef, coef - Z * se, coef + Z * se]).tolist()
        estimates.append(basis.estimate(value, se, low, high))
    return estimates


def _reason(message: str) -> str:
    """Why a fit failed, without the advice to give a penalty."""
    return message.partition("; ")[0]
