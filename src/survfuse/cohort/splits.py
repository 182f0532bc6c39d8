"""Folds by patient, stratified on the event, the same for every order of the rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from survfuse._errors import CohortError, listed
from survfuse.cohort.cohort_data import Cohort
from survfuse.cohort.group_folds import deal_groups

REST = "rest"


@dataclass(frozen=True)
class Split:
    """Who is trained on and who is tested in one fold of one repeat; nobody is both.

    Attributes
    ----------
    repeat, fold : int
    train, test : tuple of str
        Ids, sorted. `train` is everyone else of the repeat where folds partition the
        cohort; a splits file or another cohort may say otherwise.
    """

    repeat: int
    fold: int
    train: tuple[str, ...]
    test: tuple[str, ...]


def splits_from_folds(table: pd.DataFrame) -> tuple[Split, ...]:
    """Turn folds (`patient_id, repeat, fold`) into splits: trained on all other folds of the repeat."""
    found = []
    for repeat, whole in table.groupby("repeat", sort=True):
        for fold in np.unique(whole["fold"]):
            tested = whole["fold"] == fold
            train, test = (
                tuple(sorted(whole.loc[rows, "patient_id"]))
                for rows in (~tested, tested)
            )
            found.append(Split(int(str(repeat)), int(fold), train, test))
    return tuple(found)


def make_folds(
    cohort: Cohort | Sequence[str],
    outcome: Any = None,
    *,
    folds: int = 5,
    repeats: int = 1,
    seed: int = 0,
    groups: str | Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Split patients into folds, each with its share of the events.

    Events are dealt to the folds in turn after a seeded shuffle of the sorted ids,
    then the censored, so that neither events nor patients differ by more than one
    between folds. With groups (sites), whole groups are dealt so that the folds are as
    even as can be found: the sum over folds of the squared relative deviations from
    the mean count, of events plus of patients, is made small by several seeded
    deals, largest groups first, each improved by moving and exchanging groups until
    nothing helps (:func:`survfuse.cohort.group_folds.imbalance`).

    Parameters
    ----------
    cohort : Cohort or sequence of str
        The patients.
    outcome : DataFrame indexed by id with a column `event`, or object with `.event` in the order of the ids
        Needed when `cohort` is a sequence of ids.
    folds, repeats : int
        Folds of a split; independent splits.
    seed : int
        Same seed, same folds.
    groups : str or mapping of id to group, optional
        Patients of one group (a site) stay together: the name of one of the
        cohort's groups, or the group of each patient.

    Returns
    -------
    DataFrame
        `patient_id`, `repeat` and `fold` (the fold in which the patient is tested), sorted.

    Raises
    ------
    CohortError
        When there are fewer events (or groups with events) than folds.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> table = make_folds(["c", "a", "b", "d"], SimpleNamespace(event=[1, 0, 1, 0]), folds=2)
    >>> table.groupby("fold").size().tolist()
    [2, 2]
    """
    ids, event = _ids_and_events(cohort, outcome)
    order = np.argsort(np.array(ids, dtype=object))
    ids = [ids[row] for row in order]
    event = event[order]
    labels = _labels(cohort, groups, ids)
    tables = []
    for repeat in range(repeats):
        generator = np.random.default_rng([seed, repeat])
        fold = (
            _deal(event, folds, generator)
            if labels is None
            else _deal_groups(event, labels, folds, generator)
        )
        _require_events(event, fold, folds)
        tables.append(pd.DataFrame({"patient_id": ids, "repeat": repeat, "fold": fold}))
    return pd.concat(tables, ignore_index=True)


def inner_folds(event: npt.ArrayLike, n: int, seed: int) -> npt.NDArray[np.int64]:
    """Deal training patients into inner folds, stratified on the event.

    Parameters
    ----------
    event : array-like of bool, (patients,)
        Row order matters here: give the patients sorted by id.
    n : int
        Folds.
    seed : int

    Returns
    -------
    array, (patients,)
        Fold of each patient, 0 to n - 1.

    Raises
    ------
    CohortError
        When there are fewer events than folds.
    """
    flags = np.asarray(event, bool)
    events = int(flags.sum())
    if events < n:
        hint = (
            f"set model.selection.folds={events}"
            if events > 1
            else "train on more with the event"
        )
        raise CohortError(
            f"{n} inner folds need at least {n} training patients with the event, got {events}; {hint}",
        )
    fold = _deal(flags, n, np.random.default_rng([seed, n]))
    _require_events(flags, fold, n)
    return fold


def holdout(event: npt.ArrayLike, share: float, seed: int) -> npt.NDArray[np.bool_]:
    """Draw a share of the patients, events and censored alike.

    Parameters
    ----------
    event : array of bool, (patients,)
    share : float
        Of the patients, in (0, 1).
    seed : int
        Same seed, same patients.

    Returns
    -------
    array of bool, (patients,)

    Raises
    ------
    CohortError
        When either side would be left without an event.
    """
    happened = np.asarray(event, dtype=bool)
    generator = np.random.default_rng(seed)
    held = np.zeros(len(happened), dtype=bool)
    for kind in (True, False):
        members = generator.permutation(np.flatnonzero(happened == kind))
        held[members[: round(share * len(members))]] = True
    for side, name in ((held, "held out"), (~held, "left to train on")):
        if not happened[side].any():
            raise CohortError(
                f"holdout_fraction {share:g}: of {happened.sum()} events none is {name}; "
                "choose another share, or selection: last",
            )
    return held


def given_folds(cohort: Cohort) -> pd.DataFrame:
    """Folds that the cohort file names, numbered from 0 in the order of their names.

    Returns
    -------
    DataFrame
        As :func:`make_folds`, with repeat 0.

    Raises
    ------
    CohortError
        When the cohort file names none, only one, or one without an event.
    """
    if cohort.folds is None:
        raise CohortError(
            f"cohort {cohort.name!r} names no folds; add `folds: {{table, column}}` or make them",
        )
    names = sorted(set(cohort.folds), key=_natural)
    if len(names) < 2:
        raise CohortError(
            f"expected two or more folds in the fold column, got {listed(names)}",
        )
    number = {name: index for index, name in enumerate(names)}
    fold = np.array([number[name] for name in cohort.folds], np.int64)
    _, event = _ids_and_events(cohort, None)
    _require_events(event, fold, len(names), names)
    return pd.DataFrame(
        {"patient_id": list(cohort.patients), "repeat": 0, "fold": fold},
    )


def leave_one_group_out(
    cohort: Cohort,
    group: str,
    *,
    min_events: int = 1,
) -> pd.DataFrame:
    """One fold per group (leave one site out), numbered in the order of the group names.

    Groups with fewer than `min_events` events, on which nothing could be scored
    alone, are tested together in one last fold. Should that fold still hold no
    event, its patients are trained on and predicted, but no concordance can be
    computed there.

    Parameters
    ----------
    cohort : Cohort
    group : str
        One of the cohort's groups.
    min_events : int
        Fewest events of a group with a fold of its own.

    Returns
    -------
    DataFrame
        As :func:`make_folds`, with repeat 0, and `group`: who is left out in the fold;
        for the pooled groups ``rest (a, b)``.

    Raises
    ------
    CohortError
        When the group is unknown, a patient has none, fewer than two folds come
        about, or all events lie in one of them.
    """
    if min_events < 1:
        raise CohortError(f"min_events must be 1 or more, got {min_events}")
    labels = _labels(cohort, group, list(cohort.patients))
    assert labels is not None
    _, event = _ids_and_events(cohort, None)
    names, member = np.unique(labels, return_inverse=True)
    events = np.bincount(member, weights=event)
    pooled = events < min_events
    told = [str(name) for name in names[~pooled]]
    if pooled.any():
        told.append(f"{REST} ({', '.join(names[pooled].tolist())})")
    number = np.where(pooled, len(told) - 1, np.cumsum(~pooled) - 1)
    fold = number[member].astype(np.int64)
    _require_trainable(event, fold, told, group)
    return pd.DataFrame(
        {
            "patient_id": list(cohort.patients),
            "repeat": 0,
            "fold": fold,
            "group": [told[place] for place in fold.tolist()],
        },
    )


def _require_trainable(
    event: npt.NDArray[np.bool_],
    fold: npt.NDArray[np.int64],
    told: Sequence[str],
    group: str,
) -> None:
    if len(told) < 2:
        raise CohortError(
            f"leaving one {group} out needs two or more folds, got {listed(told)}; use make_folds",
        )
    counts = np.bincount(fold, weights=event, minlength=len(told))
    if counts.max() == counts.sum():
        raise CohortError(
            f"all {int(counts.sum())} events lie in {group} {told[int(counts.argmax())]}; "
            "without it there is nothing to train on",
        )


def _natural(name: str) -> tuple[bool, float, str]:
    try:
        return (False, float(name), name)
    except ValueError:
        return (True, 0.0, name)


def _ids_and_events(
    cohort: Cohort | Sequence[str],
    outcome: Any,
) -> tuple[list[str], npt.NDArray[np.bool_]]:
    if isinstance(cohort, Cohort):
        ids = list(cohort.patients)
        outcome = cohort.outcome if outcome is None else outcome
    else:
        ids = [str(patient) for patient in cohort]
    if outcome is None:
        raise CohortError("folds are stratified on the event, but no outcome is known")
    if len(set(ids)) < len(ids):
        raise CohortError("folds are made by patient, but ids are repeated")
    if isinstance(outcome, pd.DataFrame):
        if "time" in outcome and outcome["time"].loc[ids].isna().any():
            raise CohortError(
                "folds are stratified on the event, but some patients have no outcome",
            )
        return ids, outcome["event"].loc[ids].to_numpy(bool)
    event = np.asarray(outcome.event, bool)
    if event.shape != (len(ids),):
        raise CohortError(
            f"expected one event per patient ({len(ids)}), got shape {event.shape}",
        )
    return ids, event


def _labels(
    cohort: Cohort | Sequence[str],
    groups: str | Mapping[str, str] | None,
    ids: Sequence[str],
) -> npt.NDArray[np.str_] | None:
    """Group of each patient, refusing patients without one."""
    if groups is None:
        return None
    if isinstance(groups, str):
        known = list(cohort.groups) if isinstance(cohort, Cohort) else []
        if not isinstance(cohort, Cohort) or groups not in known:
            raise CohortError(
                f"unknown group {groups!r}; the cohort file names {listed(known) or 'none'} "
                f"(say there `groups: {{{groups}: COLUMN}}`, a column of the outcome's table)",
            )
        column: Mapping[Any, Any] = cohort.groups[groups].to_dict()
    else:
        column = groups
    without = [patient for patient in ids if not column.get(patient)]
    if without:
        raise CohortError(
            f"patients without a group: {listed(without)}; give them one or exclude them",
        )
    return np.array([str(column[patient]) for patient in ids])


def _deal(
    event: npt.NDArray[np.bool_],
    folds: int,
    generator: np.random.Generator,
) -> npt.NDArray[np.int64]:
    """Deal shuffled events, then shuffled censored, to the folds in turn."""
    _require_enough(int(event.sum()), folds, "events")
    order = np.concatenate(
        [
            generator.permutation(np.flatnonzero(event)),
            generator.permutation(np.flatnonzero(~event)),
        ],
    )
    fold = np.empty(len(event), np.int64)
    fold[order] = np.arange(len(event)) % folds
    return fold


def _deal_groups(
    event: npt.NDArray[np.bool_],
    labels: npt.NDArray[np.str_],
    folds: int,
    generator: np.random.Generator,
) -> npt.NDArray[np.int64]:
    """Deal whole groups, evenly in events and patients."""
    names, member = np.unique(labels, return_inverse=True)
    _require_enough(len(names), folds, "groups")
    return deal_groups(event, member, folds, generator)


def _require_enough(count: int, folds: int, what: str) -> None:
    if folds < 2:
        raise CohortError(f"expected two or more folds, got {folds}")
    if count < folds:
        raise CohortError(
            f"{folds} folds need at least {folds} {what}, got {count}; use fewer folds",
        )


def _require_events(
    event: npt.NDArray[np.bool_],
    fold: npt.NDArray[np.int64],
    folds: int,
    names: Sequence[str] | None = None,
) -> None:
    counts = np.bincount(fold, weights=event, minlength=folds)
    empty = [
        names[index] if names is not None else str(index)
        for index in np.flatnonzero(counts == 0).tolist()
    ]
    if empty:
        raise CohortError(
            f"fold {listed(empty)} has no event, so nothing can be tested there; "
            "use fewer folds or merge groups",
        )
