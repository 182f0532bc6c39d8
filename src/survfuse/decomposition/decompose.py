"""The terms of a log-risk: those of its parts added up, and averaged over members."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from survfuse._types import FloatArray
from survfuse.decomposition.parts import Effects, Part
from survfuse.decomposition.readings import Readings, Term
from survfuse.decomposition.training_reference import Reference


@dataclass(frozen=True, eq=False)
class Decomposition:
    """Terms of the log-risk of some patients.

    Attributes
    ----------
    effects : mapping of term to array, (patients,)
        The constant ``()`` first, then main effects, pairs, and larger sets; they add up to the
        log-risk.
    errors : mapping of term to array, (patients,)
        Standard error of each term that is an average over draws; at most that much where several
        parts or members are added, which share their draws.
    spread : mapping of term to array, (patients,)
        Standard deviation of each term over the members of an ensemble; empty for one member.
    """

    effects: Mapping[Term, FloatArray]
    errors: Mapping[Term, FloatArray]
    spread: Mapping[Term, FloatArray]


def decompose(
    members: Sequence[Sequence[Part]],
    readings: Readings,
    reference: Reference,
) -> Decomposition:
    """Split a log-risk into terms.

    Parameters
    ----------
    members : sequence of sequences of Part
        Parts of each member of an ensemble; the log-risk is the mean of the members' sums.
    readings : Readings
        Of the patients.
    reference : Reference
        Of the training patients.
    """
    order = list(readings.values)
    terms: list[Effects] = []
    errors: Effects = {}
    zeros = np.zeros(len(readings))
    for parts in members:
        total: Effects = {(): zeros}  # also of a stack whose terms all have weight 0
        for part in parts:
            effects, uncertain = part.effects(readings, reference)
            _add(total, effects, order)
            _add(errors, uncertain, order)
        terms.append(total)
    names = sorted(set().union(*terms), key=lambda term: _rank(term, order))
    mean, spread = {}, {}
    for term in names:
        stacked = np.stack([own.get(term, zeros) for own in terms])
        mean[term] = stacked.mean(axis=0)
        if len(members) > 1:
            spread[term] = stacked.std(axis=0, ddof=1)
    shared = {term: error / len(members) for term, error in errors.items()}
    return Decomposition(mean, shared, spread)


def shapley_values(effects: Mapping[Term, FloatArray]) -> dict[str, FloatArray]:
    """Shapley value of each modality: its main effect and its share of each interaction.

    An interaction is shared equally by its modalities (Harsanyi 1963); the values add up to the
    log-risk above the constant.
    """
    values: dict[str, FloatArray] = {}
    for term, effect in effects.items():
        for name in term:
            values[name] = values.get(name, 0.0) + effect / len(term)
    return values


def _add(
    total: Effects,
    more: Effects,
    order: Sequence[str],
) -> None:
    for term, effect in more.items():
        key = tuple(sorted(term, key=order.index))
        total[key] = total[key] + effect if key in total else effect


def _rank(term: Term, order: Sequence[str]) -> tuple[int, list[int]]:
    return len(term), [order.index(name) for name in term]
