from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import CohortFiles, patient_ids
from survfuse._errors import CohortError
from survfuse.cohort import (
    given_folds,
    inner_folds,
    leave_one_group_out,
    load_cohort,
    make_folds,
)
from survfuse.cohort.group_folds import deal_groups, imbalance
from survfuse.cohort.splits import splits_from_folds


def outcome_of(event: object) -> SimpleNamespace:
    return SimpleNamespace(event=event)


@settings(max_examples=30, deadline=None)
@given(
    event=st.lists(st.booleans(), min_size=12, max_size=60).filter(
        lambda e: sum(e) >= 4,
    ),
    folds=st.integers(2, 4),
    seed=st.integers(0, 5),
)
def test_every_patient_is_tested_once_and_events_are_even(
    event: list[bool],
    folds: int,
    seed: int,
) -> None:
    ids = patient_ids(len(event))
    table = make_folds(ids, outcome_of(event), folds=folds, repeats=2, seed=seed)
    for _, part in table.groupby("repeat"):
        assert part["patient_id"].tolist() == ids
        sizes = np.bincount(part["fold"], minlength=folds)
        events = np.bincount(part["fold"], weights=event, minlength=folds)
        assert np.ptp(sizes) <= 1
        assert np.ptp(events) <= 1
        assert events.min() >= 1


def test_row_order_never_matters() -> None:
    ids = patient_ids(30)
    event = np.arange(30) % 3 == 0
    order = np.random.default_rng(1).permutation(30)
    first = make_folds(ids, outcome_of(event), folds=5, repeats=3, seed=7)
    second = make_folds(
        [ids[i] for i in order],
        outcome_of(event[order]),
        folds=5,
        repeats=3,
        seed=7,
    )
    pd.testing.assert_frame_equal(first, second)
    other = make_folds(ids, outcome_of(event), folds=5, repeats=3, seed=8)
    assert not first["fold"].equals(other["fold"])
    assert (
        first.query("repeat == 0")["fold"].tolist()
        != first.query("repeat == 1")["fold"].tolist()
    )


def test_a_frame_is_read_by_id() -> None:
    ids = patient_ids(8)
    frame = pd.DataFrame({"event": [True] * 4 + [False] * 4}, index=ids)
    first = make_folds(ids, frame, folds=2)
    pd.testing.assert_frame_equal(first, make_folds(ids, frame.iloc[::-1], folds=2))


def test_groups_stay_together() -> None:
    ids = patient_ids(40)
    event = np.arange(40) % 2 == 0
    site = {patient: f"s{number % 7}" for number, patient in enumerate(ids)}
    table = make_folds(ids, outcome_of(event), folds=3, seed=1, groups=site)
    table["site"] = table["patient_id"].map(site)
    assert (table.groupby("site")["fold"].nunique() == 1).all()
    assert table["fold"].nunique() == 3


@pytest.mark.parametrize(
    ("event", "folds", "message"),
    [
        ([1, 1, 0, 0], 3, "3 folds need at least 3 events, got 2"),
        ([1, 1, 0, 0], 1, "two or more folds"),
        ([1, 0, 1], 2, r"one event per patient \(4\)"),
    ],
)
def test_impossible_splits_are_refused(
    event: list[int],
    folds: int,
    message: str,
) -> None:
    with pytest.raises(CohortError, match=message):
        make_folds(patient_ids(4), outcome_of(event), folds=folds)


def test_a_group_fold_without_events_is_refused() -> None:
    site = dict(zip(patient_ids(4), ["a", "a", "b", "b"], strict=True))
    with pytest.raises(CohortError, match="fold 1 has no event"):
        make_folds(patient_ids(4), outcome_of([1, 1, 0, 0]), folds=2, groups=site)
    with pytest.raises(CohortError, match="without a group: 004"):
        make_folds(
            patient_ids(4),
            outcome_of([1, 1, 0, 0]),
            folds=2,
            groups={**site, "004": ""},
        )
    with pytest.raises(CohortError, match="3 folds need at least 3 groups"):
        make_folds(patient_ids(4), outcome_of([1, 1, 0, 1]), folds=3, groups=site)


def test_repeated_ids_are_refused() -> None:
    with pytest.raises(CohortError, match="ids are repeated"):
        make_folds(["a", "a"], outcome_of([1, 1]), folds=2)


def test_inner_folds_are_stratified() -> None:
    event = np.arange(20) < 7
    fold = inner_folds(event, 3, seed=4)
    assert np.bincount(fold, weights=event).tolist() == [3, 2, 2]
    np.testing.assert_array_equal(fold, inner_folds(event, 3, seed=4))


def test_too_few_events_for_inner_folds_name_the_setting_that_helps() -> None:
    event = np.arange(20) < 7
    told = "^8 inner folds need at least 8 training patients with the event, got 7; set model.selection.folds=7$"
    with pytest.raises(CohortError, match=told):
        inner_folds(event, 8, seed=0)
    assert np.bincount(inner_folds(event, 7, seed=0), weights=event).tolist() == [1] * 7


def test_given_folds_are_numbered_in_order(clinical: CohortFiles) -> None:
    clinical.patients["fold"] = [["10", "9"][number // 2 % 2] for number in range(20)]
    path = clinical.write()
    with pytest.raises(CohortError, match="names no folds"):
        given_folds(load_cohort(path))
    clinical.spec["folds"] = {"table": "patients.csv", "column": "fold"}
    table = given_folds(load_cohort(clinical.write()))
    assert table["fold"].tolist()[:4] == [1, 1, 0, 0]
    assert table["repeat"].unique().tolist() == [0]


def test_one_site_is_left_out_at_a_time(clinical: CohortFiles) -> None:
    clinical.spec["groups"] = {"site": "site"}
    cohort = load_cohort(clinical.write())
    table = leave_one_group_out(cohort, "site")
    assert table["fold"].tolist()[:4] == [0, 0, 1, 1]
    assert make_folds(cohort, folds=2, groups="site")["fold"].nunique() == 2
    with pytest.raises(
        CohortError,
        match="unknown group 'ward'; the cohort file names site",
    ):
        leave_one_group_out(cohort, "ward")


def test_a_given_fold_without_events_is_named(clinical: CohortFiles) -> None:
    clinical.patients["fold"] = [
        "events" if event else "rest" for event in clinical.patients["os_event"]
    ]
    clinical.spec["folds"] = {"table": "patients.csv", "column": "fold"}
    with pytest.raises(CohortError, match="fold rest has no event"):
        given_folds(load_cohort(clinical.write()))


def sites(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Thirty sites of 2 to 60 patients, as TCGA has them, a third with the event; (labels, event)."""
    generator = np.random.default_rng(seed)
    sizes = np.clip(np.exp(generator.normal(2.3, 0.9, 30)).round().astype(int), 2, 60)
    labels = np.repeat(np.arange(30), sizes)
    return labels, generator.random(len(labels)) < 0.35


@pytest.mark.parametrize("seed", range(6))
def test_sites_of_real_sizes_are_dealt_evenly(seed: int) -> None:
    labels, event = sites(seed)
    ids = patient_ids(len(labels))
    groups = {one: f"site {label}" for one, label in zip(ids, labels, strict=True)}
    table = make_folds(
        ids,
        outcome_of(event),
        folds=5,
        repeats=2,
        seed=seed,
        groups=groups,
    )
    for _, part in table.groupby("repeat"):
        fold = part["fold"].to_numpy()
        assert np.ptp(np.bincount(fold, weights=event)) <= 1
        assert np.ptp(np.bincount(fold)) <= 3
        assert part.groupby(part["patient_id"].map(groups))["fold"].nunique().max() == 1
    same = make_folds(
        ids[::-1],
        outcome_of(event[::-1]),
        folds=5,
        repeats=2,
        seed=seed,
        groups=groups,
    )
    pd.testing.assert_frame_equal(table, same)
    halves = [part["fold"].to_numpy() for _, part in table.groupby("repeat")]
    together = [np.equal.outer(half, half) for half in halves]
    assert (together[0] != together[1]).any(), (
        "repeats are different splits, not the same one renumbered"
    )


def test_dealing_reaches_the_best_of_all_deals_of_few_groups() -> None:
    """Every one of the 3^8 deals of eight groups is tried; none is more even."""
    generator = np.random.default_rng(3)
    labels = np.repeat(np.arange(8), [2, 3, 5, 7, 11, 13, 17, 19])
    event = generator.random(len(labels)) < 0.4
    found = imbalance(event, deal_groups(event, labels, 3, generator))
    every = (
        np.array([number // 3**place % 3 for place in range(8)])
        for number in range(3**8)
    )
    best = min(imbalance(event, deal[labels]) for deal in every if len(set(deal)) == 3)
    assert found == pytest.approx(best, abs=1e-12)


def test_imbalance_counts_events_and_patients() -> None:
    assert imbalance([1, 1, 0, 0], [0, 0, 1, 1]) == 2  # events 2 and 0, patients even
    assert imbalance([1, 0, 1], [0, 0, 1]) == pytest.approx(2 / 9)  # patients 2 and 1


def test_splits_train_on_the_other_folds_of_their_repeat() -> None:
    table = make_folds(patient_ids(12), outcome_of([1, 0] * 6), folds=3, repeats=2)
    splits = splits_from_folds(table)
    assert [(s.repeat, s.fold) for s in splits] == [
        (r, f) for r in range(2) for f in range(3)
    ]
    for split in splits:
        assert sorted(split.train + split.test) == patient_ids(12)
        assert (
            list(split.test)
            == table.query(f"repeat == {split.repeat} & fold == {split.fold}")[
                "patient_id"
            ].tolist()
        )


def test_sites_with_too_few_events_are_tested_together(clinical: CohortFiles) -> None:
    clinical.spec["groups"] = {"site": "site"}
    names = [
        *"aaaaaaaa",
        *"bbbbbb",
        "c",
        "c",
        "d",
        "d",
        "e",
        "e",
    ]  # every second patient has the event
    clinical.patients["site"] = names
    clinical.patients.loc[clinical.patients["site"] == "c", "os_event"] = 0
    cohort = load_cohort(clinical.write())
    told = leave_one_group_out(cohort, "site", min_events=2)
    assert told.groupby("fold")["group"].first().tolist() == [
        "a",
        "b",
        "rest (c, d, e)",
    ]
    assert told["fold"].tolist() == [0] * 8 + [1] * 6 + [2] * 6
    told = leave_one_group_out(cohort, "site")
    assert told.groupby("fold")["group"].first().tolist() == [
        "a",
        "b",
        "d",
        "e",
        "rest (c)",
    ]
    splits = splits_from_folds(told)
    assert [len(s.test) for s in splits] == [8, 6, 2, 2, 2]
    assert not cohort.outcome.loc[list(splits[-1].test), "event"].any()


@pytest.mark.parametrize(
    ("site", "least", "message"),
    [
        (
            ["a"] * 20,
            1,
            "leaving one site out needs two or more folds, got a; use make_folds",
        ),
        (["a"] * 10 + ["b"] * 10, 9, r"two or more folds, got rest \(a, b\)"),
        (
            ["ab"[number % 2] for number in range(20)],
            1,
            "all 10 events lie in site b; without it",
        ),
        (["a"] * 20, 0, "min_events must be 1 or more, got 0"),
    ],
)
def test_sites_that_cannot_be_left_out_are_refused(
    clinical: CohortFiles,
    site: list[str],
    least: int,
    message: str,
) -> None:
    clinical.spec["groups"] = {"site": "site"}
    clinical.patients["site"] = site
    with pytest.raises(CohortError, match=message):
        leave_one_group_out(load_cohort(clinical.write()), "site", min_events=least)
