"""Folds by patient, stratified on the event, the same for every order of the rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from survfuse._errors import CohortError, listed
from survfuse.cohort.data import Cohort


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
    """Turn a table of folds (`patient_id, repeat, fold`) into splits: trained on all other folds of the repeat."""
    found = []
    for (repeat, fold), test in table.groupby(["repeat", "fold"], sort=True):
        rest = table[(table["repeat"] == repeat) & (table["fold"] != fold)]
        found.append(
            Split(
                int(repeat), int(fold), tuple(sorted(rest["patient_id"])), tuple(sorted(test["patient_id"]))
            )
        )
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
    between folds. With groups, whole groups are dealt, largest first, each to the
    fold that has the fewest events.

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
                "choose another share, or selection: last"
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
            f"cohort {cohort.name!r} names no folds; add `folds: {{table, column}}` or make them"
        )
    names = sorted(set(cohort.folds), key=_natural)
    if len(names) < 2:
        raise CohortError(f"expected two or more folds in the fold column, got {listed(names)}")
    number = {name: index for index, name in enumerate(names)}
    fold = np.array([number[name] for name in cohort.folds], np.int64)
    _, event = _ids_and_events(cohort, None)
    _require_events(event, fold, len(names), names)
    return pd.DataFrame({"patient_id": list(cohort.patients), "repeat": 0, "fold": fold})


def leave_one_group_out(cohort: Cohort, group: str) -> pd.DataFrame:
    """One fold per group (leave one site out), numbered in the order of the group names.

    Raises
    ------
    CohortError
        When the group is unknown, a patient has none, or a group has no event.
    """
    labels = _labels(cohort, group, list(cohort.patients))
    assert labels is not None
    names, fold = np.unique(labels, return_inverse=True)
    _, event = _ids_and_events(cohort, None)
    _require_events(event, fold, len(names), [str(name) for name in names])
    return pd.DataFrame({"patient_id": list(cohort.patients), "repeat": 0, "fold": fold})


def _natural(name: str) -> tuple[bool, float, str]:
    try:
        return (False, float(name), name)
    except ValueError:
        return (True, 0.0, name)


def _ids_and_events(cohort: Cohort | Sequence[str], outcome: Any) -> tuple[list[str], npt.NDArray[np.bool_]]:
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
            raise CohortError("folds are stratified on the event, but some patients have no outcome")
        return ids, outcome["event"].loc[ids].to_numpy(bool)
    event = np.asarray(outcome.event, bool)
    if event.shape != (len(ids),):
        raise CohortError(f"expected one event per patient ({len(ids)}), got shape {event.shape}")
    return ids, event


def _labels(
    cohort: Cohort | Sequence[str], groups: str | Mapping[str, str] | None, ids: Sequence[str]
) -> npt.NDArray[np.str_] | None:
    """Group of each patient, refusing patients without one."""
    if groups is None:
        return None
    if isinstance(groups, str):
        known = list(cohort.groups) if isinstance(cohort, Cohort) else []
        if not isinstance(cohort, Cohort) or groups not in known:
            raise CohortError(f"unknown group {groups!r}; the cohort file names {listed(known) or 'none'}")
        column: Mapping[Any, Any] = cohort.groups[groups].to_dict()
    else:
        column = groups
    without = [patient for patient in ids if not column.get(patient)]
    if without:
        raise CohortError(f"patients without a group: {listed(without)}; give them one or exclude them")
    return np.array([str(column[patient]) for patient in ids])


def _deal(event: npt.NDArray[np.bool_], folds: int, generator: np.random.Generator) -> npt.NDArray[np.int64]:
    """Deal shuffled events, then shuffled censored, to the folds in turn."""
    _require_enough(int(event.sum()), folds, "events")
    order = np.concatenate(
        [generator.permutation(np.flatnonzero(event)), generator.permutation(np.flatnonzero(~event))]
    )
    fold = np.empty(len(event), np.int64)
    fold[order] = np.arange(len(event)) % folds
    return fold


def _deal_groups(
    event: npt.NDArray[np.bool_], labels: npt.NDArray[np.str_], folds: int, generator: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Give whole groups, most events first, to the fold with fewest events, then fewest patients."""
    names, member = np.unique(labels, return_inverse=True)
    _require_enough(len(names), folds, "groups")
    events = np.bincount(member, weights=event, minlength=len(names))
    sizes = np.bincount(member, minlength=len(names))
    luck = generator.permutation(len(names))
    load = np.zeros((folds, 2))
    home = np.empty(len(names), np.int64)
    for group in np.lexsort((luck, -sizes, -events)):
        home[group] = min(range(folds), key=lambda fold: (load[fold, 0], load[fold, 1]))
        load[home[group]] += events[group], sizes[group]
    return home[member].astype(np.int64)


def _require_enough(count: int, folds: int, what: str) -> None:
    if folds < 2:
        raise CohortError(f"expected two or more folds, got {folds}")
    if count < folds:
        raise CohortError(f"{folds} folds need at least {folds} {what}, got {count}; use fewer folds")


def _require_events(
    event: npt.NDArray[np.bool_],
    fold: npt.NDArray[np.int64],
    folds: int,
    names: Sequence[str] | None = None,
) -> None:
    counts = np.bincount(fold, weights=event, minlength=folds)
    empty = [
        names[index] if names is not None else str(index) for index in np.flatnonzero(counts == 0).tolist()
    ]
    if empty:
        raise CohortError(
            f"fold {listed(empty)} has no event, so nothing can be tested there; "
            "use fewer folds or merge groups"
        )
