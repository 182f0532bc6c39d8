"""Mean of an effect over studies, and how much it differs between them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from survfuse._errors import InputError
from survfuse.survival.argument_checks import as_floats


@dataclass(frozen=True)
class RandomEffects:
    """An effect over studies.

    Attributes
    ----------
    mean, se : float
        Mean over studies, and its standard error.
    between : float
        Standard deviation between studies.
    """

    mean: float
    se: float
    between: float


def random_effects(
    effects: npt.ArrayLike,
    errors: npt.ArrayLike,
) -> RandomEffects:
    """Mean and spread over studies by moments (DerSimonian and Laird 1986).

    Parameters
    ----------
    effects, errors : array-like, (studies,)
        Effect of each study and its standard error, > 0. With one study `between` is 0.

    Raises
    ------
    InputError
        For no study, lengths that differ, or an error that is not > 0.
    """
    value, error = as_floats(effects, "effects"), as_floats(errors, "errors")
    if not len(value) or len(value) != len(error):
        raise InputError(
            "effects and errors must have one value per study, got "
            f"{len(value)} and {len(error)}",
        )
    if not (np.isfinite(value) & np.isfinite(error) & (error > 0)).all():
        raise InputError("effects must be finite, and their standard errors > 0")
    precision = error**-2.0
    total = precision.sum()
    excess = precision @ (value - precision @ value / total) ** 2 - (len(value) - 1)
    variance = 0.0
    if len(value) > 1:
        variance = max(excess / (total - precision @ precision / total), 0.0)
    weight = 1 / (error**2 + variance)
    return RandomEffects(
        float(weight @ value / weight.sum()),
        float(weight.sum() ** -0.5),
        float(variance**0.5),
    )
