"""Folds by patient, stratified on the event, the same for every order of the rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from survfuse._errors import CohortError, listed
from survfuse._types import BoolArray, IntArray
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
    """Turn folds (`patient_id, repeat, fold`) into splits: all other folds are trained on."""
    splits = []
    for repeat, whole in table.groupby("repeat", sort=True):
        for fold in np.unique(whole["fold"]):
            tested = whole["fold"] == fold
            train = tuple(sorted(whole["patient_id"][~tested]))
            test = tuple(sorted(whole["patient_id"][tested]))
            splits.append(Split(int(str(repeat)), int(fold), train, test))
    return tuple(splits)


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
    outcome : DataFrame or object with `.event`
        Indexed by id, with a column `event`; or events in the order of the ids. Needed
        when `cohort` is a sequence of ids.
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
    event = _events(cohort, outcome).sort_index()
    ids = list(event.index)
    labels = None if groups is None else _labels(cohort, groups, ids)
    tables = []
    for repeat in range(repeats):
        generator = np.random.default_rng([seed, repeat])
        fold = _deal(event.to_numpy(), labels, folds, generator)
        _require_events(event.to_numpy(), fold, list(map(str, range(folds))))
        tables.append(_table(ids, fold, repeat))
    return pd.concat(tables, ignore_index=True)


def _table(
    ids: Sequence[str],
    fold: IntArray,
    repeat: int = 0,
) -> pd.DataFrame:
    return pd.DataFrame({"patient_id": list(ids), "repeat": repeat, "fold": fold})


def inner_folds(
    event: npt.ArrayLike,
    n: int,
    seed: int,
) -> IntArray:
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
        hint = "train on more with the event"
        if events > 1:
            hint = f"set model.selection.folds={events}"
        raise CohortError(
            f"{n} inner folds need at least {n} training patients with the event, got {events}; "
            f"{hint}",
        )
    fold = _deal(flags, None, n, np.random.default_rng([seed, n]))
    _require_events(flags, fold, list(map(str, range(n))))
    return fold


def holdout(
    event: npt.ArrayLike,
    share: float,
    seed: int,
) -> BoolArray:
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
    fold = pd.Index(names).get_indexer(pd.Index(cohort.folds)).astype(np.int64)
    _require_events(_events(cohort).to_numpy(), fold, names)
    return _table(cohort.patients, fold)


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
    labels = _labels(cohort, group, cohort.patients)
    event = _events(cohort).to_numpy()
    names, member = np.unique(labels, return_inverse=True)
    pooled = np.bincount(member, weights=event) < min_events
    alone = names[~pooled].tolist()
    if pooled.any():
        alone.append(f"{REST} ({', '.join(names[pooled].tolist())})")
    number = np.where(pooled, len(alone) - 1, np.cumsum(~pooled) - 1)
    fold = number[member].astype(np.int64)
    if len(alone) < 2:
        raise CohortError(
            f"leaving one {group} out needs two or more folds, got {listed(alone)}; use make_folds",
        )
    counts = np.bincount(fold, weights=event)
    if counts.max() == counts.sum():
        raise CohortError(
            f"all {int(counts.sum())} events lie in {group} {alone[int(counts.argmax())]}; "
            "without it there is nothing to train on",
        )
    table = _table(cohort.patients, fold)
    table["group"] = np.array(alone, dtype=object)[fold]
    return table


def _natural(name: str) -> tuple[bool, float, str]:
    try:
        return (False, float(name), name)
    except ValueError:
        return (True, 0.0, name)


def _events(
    cohort: Cohort | Sequence[str],
    outcome: Any = None,
) -> pd.Series[bool]:
    """Who has the event, by patient."""
    ids = list(map(str, cohort.patients if isinstance(cohort, Cohort) else cohort))
    if isinstance(cohort, Cohort) and outcome is None:
        outcome = cohort.outcome
    if outcome is None:
        raise CohortError("folds are stratified on the event, but no outcome is known")
    if len(set(ids)) < len(ids):
        raise CohortError("folds are made by patient, but ids are repeated")
    if isinstance(outcome, pd.DataFrame):
        outcome = outcome.loc[ids]
        if "time" in outcome and outcome["time"].isna().any():
            raise CohortError(
                "folds are stratified on the event, but some patients have no outcome",
            )
    event = np.asarray(outcome.event, bool)
    if event.shape != (len(ids),):
        raise CohortError(
            f"expected one event per patient ({len(ids)}), got shape {event.shape}",
        )
    return pd.Series(event, index=pd.Index(ids, dtype=object))


def _labels(
    cohort: Cohort | Sequence[str],
    groups: str | Mapping[str, str],
    ids: Sequence[str],
) -> npt.NDArray[np.str_]:
    """Group of each patient, refusing patients without one."""
    if isinstance(groups, str):
        known = cohort.groups if isinstance(cohort, Cohort) else pd.DataFrame()
        if groups not in known:
            raise CohortError(
                f"unknown group {groups!r}; the cohort file names {listed(known) or 'none'} "
                f"(say there `groups: {{{groups}: COLUMN}}`, a column of the outcome's table)",
            )
        column: Mapping[Any, Any] = known[groups].to_dict()
    else:
        column = groups
    labels = [column.get(patient) or "" for patient in ids]
    without = [patient for patient, label in zip(ids, labels, strict=True) if not label]
    if without:
        raise CohortError(
            f"patients without a group: {listed(without)}; give them one or exclude them",
        )
    return np.array(labels, dtype=str)


def _deal(
    event: BoolArray,
    labels: npt.NDArray[np.str_] | None,
    folds: int,
    generator: np.random.Generator,
) -> IntArray:
    """Deal shuffled events, then shuffled censored, in turn; or whole groups evenly."""
    names, member = np.unique(event if labels is None else labels, return_inverse=True)
    count, what = int(event.sum()), "events"
    if labels is not None:
        count, what = len(names), "groups"
    if folds < 2:
        raise CohortError(f"expected two or more folds, got {folds}")
    if count < folds:
        raise CohortError(
            f"{folds} folds need at least {folds} {what}, got {count}; use fewer folds",
        )
    if labels is not None:
        return deal_groups(event, member, folds, generator)
    happened = generator.permutation(np.flatnonzero(event))
    censored = generator.permutation(np.flatnonzero(~event))
    fold = np.empty(len(event), np.int64)
    fold[np.concatenate([happened, censored])] = np.arange(len(event)) % folds
    return fold


def _require_events(
    event: BoolArray,
    fold: IntArray,
    names: Sequence[str],
) -> None:
    counts = np.bincount(
        fold,
        weights=event,
        minlength=len(names),
    )
    empty = np.array(names, dtype=object)[counts == 0]
    if len(empty):
        raise CohortError(
            f"fold {listed(empty)} has no event, so nothing can be tested there; "
            "use fewer folds or merge groups",
        )
