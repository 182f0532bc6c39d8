"""Sizes of the models of a run, from the summaries of their fits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from survfuse.results.schema import SizeRow
from survfuse.survival.degrees_of_freedom import (
    events_per_effective,
    expected_shrinkage,
)

Summary = Mapping[str, Any]


@dataclass(frozen=True)
class Size:
    """Size of the fits of one model, over those whose effective parameters are computable.

    Attributes
    ----------
    parameters : float
        Weights, mean over all fits.
    effective, events : float or None
        Effective parameters and training events, means; None where no fit has the former.
    events_per_effective : float or None
        All events over all effective parameters; None where there are none.
    shrinkage : float or None
        Expected shrinkage of all fits together; None where they do not record what they gain.
    too_many : int
        Fits with more effective parameters than events, which are not among the above.
    note : str
        Why effective parameters are not computable, and in how many fits.
    """

    parameters: float
    effective: float | None
    events: float | None
    events_per_effective: float | None
    shrinkage: float | None
    too_many: int
    note: str

    @classmethod
    def of(cls, fits: Sequence[Summary]) -> Size | None:
        """Read the summaries of the fits; None where none states its parameters."""
        stating = [fit for fit in fits if fit.get("parameters")]
        if not stating:
            return None
        known = [fit for fit in stating if fit.get("effective_parameters") is not None]
        effective = [fit["effective_parameters"] for fit in known]
        events = [fit["events"] for fit in known]
        return cls(
            parameters=_mean([fit["parameters"] for fit in stating]) or 0.0,
            effective=_mean(effective),
            events=_mean(events),
            events_per_effective=events_per_effective(events, effective),
            shrinkage=_shrinkage(known),
            too_many=sum(bool(fit.get("effective_too_many")) for fit in stating),
            note=_note(stating, len(known)),
        )


def sizes(
    summaries: Mapping[str, Sequence[Summary]],
    models: Iterable[str],
) -> list[dict[str, Any]]:
    """Parameters, effective parameters and the events behind each, of each model.

    Parameters
    ----------
    summaries : mapping of model to sequence of mapping
        As fits left them.
    models : iterable of str
        In the order of the rows; those whose fits state no parameters are left out.

    Returns
    -------
    list of dict
        `model, fits, parameters, effective, events, events_per_effective, note`; see :class:`Size`.
    """
    rows = []
    for model in models:
        fits = summaries.get(model, ())
        size = Size.of(fits)
        if size is not None:
            values = {"model": model, "fits": len(fits), **asdict(size)}
            rows.append({key: values[key] for key in SizeRow.__annotations__})
    return rows


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _shrinkage(known: Sequence[Summary]) -> float | None:
    ratios: list[Any] = [fit.get("likelihood_ratio") for fit in known]
    if None in ratios:
        return None
    return expected_shrinkage(
        sum(fit["effective_parameters"] for fit in known),
        sum(ratios),
    )


def _note(fits: Sequence[Summary], known: int) -> str:
    notes = [
        fit.get("effective_note") or ""
        for fit in fits
        if fit.get("effective_parameters") is None
    ]
    note = next(filter(None, notes), "not recorded" if notes else "")
    return f"in {len(notes)} of {len(fits)} fits: {note}" if notes and known else note
