"""Whole groups (sites) to folds, as even as can be found, without a solver."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from survfuse._types import BoolArray, FloatArray, IntArray

DEALS = 8  # seeded deals of groups, of which the most even is taken
STEPS = 1000  # most moves and exchanges of groups per deal; a few tens are usual


def imbalance(
    event: npt.ArrayLike,
    fold: npt.ArrayLike,
) -> float:
    """How uneven folds are in events and in patients; 0 when both are even.

    Parameters
    ----------
    event : array-like of bool, (patients,)
    fold : array-like of int, (patients,)
        From 0; every fold up to the largest counts.

    Returns
    -------
    float
        Sum over folds of (events / mean - 1)² + (patients / mean - 1)².

    Examples
    --------
    >>> imbalance([1, 0, 1, 0], [0, 0, 1, 1])
    0.0
    """
    member = np.asarray(fold)
    counts = np.stack(
        [np.bincount(member, weights=np.asarray(event, float)), np.bincount(member)],
    )
    return float(((counts / counts.mean(axis=1, keepdims=True) - 1) ** 2).sum())


def deal_groups(
    event: BoolArray,
    member: IntArray,
    folds: int,
    generator: np.random.Generator,
) -> IntArray:
    """Give whole groups to folds so that events and patients are even.

    Several deals, largest groups first in a loosened order, each improved by moving
    and exchanging groups; the one of smallest :func:`imbalance` is taken.

    Parameters
    ----------
    event : array of bool, (patients,)
    member : array of int, (patients,)
        Group of each patient, from 0, none empty.
    folds : int
        At most as many as groups.
    generator : numpy Generator
        Decides between deals that are about as even.

    Returns
    -------
    array of int, (patients,)
        Fold of each patient, 0 to folds - 1.
    """
    counts = np.stack([np.bincount(member, weights=event), np.bincount(member)], axis=1)
    shares = counts / (
        np.maximum(counts.sum(axis=0), 1) / folds
    )  # (groups, 2); a fold should add up to 1
    deals = [
        _improved(_greedy(shares, folds, generator), shares, folds)
        for _ in range(DEALS)
    ]
    home = min(deals, key=lambda deal: float((_loads(deal, shares, folds) ** 2).sum()))
    return home[member]


def _greedy(
    shares: FloatArray,
    folds: int,
    generator: np.random.Generator,
) -> IntArray:
    """Give each group, largest first in a loosened order, to the fold that has least."""
    size = shares.sum(axis=1) * generator.uniform(0.5, 1.5, len(shares))
    load = np.zeros((folds, 2))
    home = np.empty(len(shares), np.int64)
    for group in np.argsort(-size, kind="stable"):
        home[group] = int(((load + shares[group]) ** 2 - load**2).sum(axis=1).argmin())
        load[home[group]] += shares[group]
    return home


def _improved(
    home: IntArray,
    shares: FloatArray,
    folds: int,
) -> IntArray:
    """Move or exchange groups as long as that lowers the sum of squared loads.

    A fold counts as a further group of size 0: to exchange with it is to move there.
    """
    home, groups = home.copy(), len(home)
    partners = np.concatenate([shares, np.zeros((folds, 2))])
    for _ in range(STEPS):
        load = _loads(home, shares, folds)
        there = np.concatenate([home, np.arange(folds)])
        gain = (
            partners[None] - shares[:, None]
        )  # what the fold of the row gets; (groups, groups + folds, 2)
        change = 2 * (gain * (load[home][:, None] - load[there][None] + gain)).sum(
            axis=2,
        )
        change[home[:, None] == there[None]] = 0
        group, partner = np.unravel_index(change.argmin(), change.shape)
        if change[group, partner] > -1e-9:
            break
        if partner < groups:
            home[partner] = home[group]
        home[group] = there[partner]
    return home


def _loads(
    home: IntArray,
    shares: FloatArray,
    folds: int,
) -> FloatArray:
    return np.stack(
        [
            np.bincount(
                home,
                weights=column,
                minlength=folds,
            )
            for column in shares.T
        ],
        axis=1,
    )
