"""Weights of the terms of a stack, in plain values for its summary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from survfuse._types import FloatArray
from survfuse.survival.estimate import Z


@dataclass(frozen=True)
class Gain:
    """What a term adds to the out-of-fold log-likelihood of the other terms.

    Attributes
    ----------
    value : float
        With the term minus without it.
    needed : float
        For the term to have a weight.
    """

    value: float
    needed: float

    def __str__(self) -> str:
        """One sentence that says why a term is out.

        >>> str(Gain(0.414, 1.92))
        'out of fold it adds 0.41 to the log-likelihood of the other terms; 1.92 is needed'
        """
        added = f"{self.value:.2f}".replace("-", "−")
        return (
            f"out of fold it adds {added} to the log-likelihood of the other terms; "
            f"{self.needed:.2f} is needed"
        )


def weight_records(
    names: Sequence[str],
    weights: FloatArray,
    start: FloatArray,
    errors: FloatArray | None = None,
    gains: Mapping[str, Gain] | None = None,
) -> dict[str, dict[str, float | None]]:
    """Weight of every term, where it started, and its 95 % interval.

    Parameters
    ----------
    names : sequence of str
    weights, start : array, (terms,)
    errors : array, (terms,), optional
        Standard errors; without one (not finite, or 0) a weight has no interval.
    gains : mapping of term to Gain, optional

    Returns
    -------
    dict of term to dict
        `value, start, low, high`, the interval cut at 0; `gain, needed` of those in `gains`.
    """
    if errors is None:
        errors = np.full(len(names), np.nan)
    records: dict[str, dict[str, float | None]] = {}
    for name, value, first, error in zip(names, weights, start, errors, strict=True):
        record: dict[str, float | None] = {"value": float(value), "start": float(first)}
        record |= {"low": None, "high": None}
        if np.isfinite(error) and error > 0:
            record["low"] = max(float(value - Z * error), 0.0)
            record["high"] = float(value + Z * error)
        if gains and name in gains:
            record |= {"gain": gains[name].value, "needed": gains[name].needed}
        records[name] = record
    return records
