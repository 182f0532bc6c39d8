from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from builders import CohortFiles
from survfuse._errors import CohortError
from survfuse.cohort import inspect, load_cohort


def test_patients_are_sorted_and_keep_their_zeros(clinical: CohortFiles) -> None:
    clinical.patients = clinical.patients.iloc[::-1]
    cohort = load_cohort(clinical.write())
    assert cohort.patients[:3] == ("001", "002", "003")
    assert cohort.outcome is not None
    assert list(cohort.outcome.columns) == ["time", "event"]
    assert cohort.outcome.index.tolist() == list(cohort.patients)
    assert cohort.outcome["event"].tolist() == [False, True] * 10
    assert cohort.outcome["time"].dtype == np.float64


def test_censored_is_the_other_polarity(clinical: CohortFiles) -> None:
    clinical.spec["outcome"]["censored"] = clinical.spec["outcome"].pop("event")
    cohort = load_cohort(clinical.write())
    assert cohort.outcome is not None
    assert cohort.outcome["event"].tolist() == [True, False] * 10
    assert cohort.endpoint == "overall survival"


def test_words_for_the_event_are_declared(clinical: CohortFiles) -> None:
    clinical.patients["os_event"] = np.where(
        clinical.patients["os_event"] == 1,
        "deceased",
        "living",
    )
    with pytest.raises(
        CohortError,
        match=r"must be 0 or 1 .* 'deceased', 'living'.*event_values: \{deceased: 1, living: 0\}",
    ):
        load_cohort(clinical.write())
    clinical.spec["outcome"]["event_values"] = {"deceased": 1, "living": 0}
    assert load_cohort(clinical.write()).events == 10


@pytest.mark.parametrize(
    ("column", "cell", "message"),
    [
        ("os_days", "-3", "time must be > 0, got '-3' for 1 patient"),
        ("os_days", "0", "time must be > 0, got '0'"),
        ("os_days", "12a", "time must be a number, got '12a'"),
        ("os_days", "inf", "time must be a number, got 'inf'"),
        ("os_days", "1e308", r"time must be at most 1e\+30, got '1e308'"),
        ("os_days", "NA", "time is missing, got 'NA'"),
        ("os_event", "", "status is missing, got ''"),
    ],
)
def test_an_impossible_row_is_an_error_until_it_may_be_left_out(
    clinical: CohortFiles,
    column: str,
    cell: str,
    message: str,
) -> None:
    clinical.set("004", column, cell)
    place = rf"outcome, file patients.csv, column '{column}', patient 004: "
    with pytest.raises(CohortError, match=place + message):
        load_cohort(clinical.write())
    clinical.spec["outcome"]["exclude_invalid"] = True
    cohort = load_cohort(clinical.write())
    assert "004" not in cohort.patients
    assert len(cohort) == 19
    assert [(step.patients, step.events) for step in cohort.flow] == [
        (20, None),
        (19, 9),
    ]
    assert "004" in cohort.flow[-1].note
    assert [(p.severity, p.patient, p.column) for p in cohort.problems] == [
        ("warning", "004", column),
    ]


def test_a_word_nobody_explained_is_never_left_out(clinical: CohortFiles) -> None:
    clinical.set("004", "os_event", "dead")
    clinical.spec["outcome"]["exclude_invalid"] = True
    with pytest.raises(CohortError, match="got 'dead'"):
        load_cohort(clinical.write())


def test_repeated_ids_are_named_with_their_rows(clinical: CohortFiles) -> None:
    clinical.patients = pd.concat([clinical.patients, clinical.patients.iloc[[2]]])
    with pytest.raises(CohortError, match=r"patient 003: 2 rows \(data rows 3, 21\)"):
        load_cohort(clinical.write())


def test_ids_that_are_nearly_the_same_are_told(clinical: CohortFiles) -> None:
    clinical.patients["patient_id"] = [
        "3B_417",
        "3b_417_",
        *clinical.patients["patient_id"][2:],
    ]
    (problem,) = load_cohort(clinical.write()).problems
    assert (
        problem.message
        == "ids '3B_417', '3b_417_' are nearly the same; they count as 2 patients"
    )
    clinical.spec["exclude"] = ["3b_417_"]
    assert load_cohort(clinical.write()).problems == ()


def test_excluded_patients_are_not_checked(clinical: CohortFiles) -> None:
    clinical.set("004", "os_days", "-3")
    clinical.spec["exclude"] = ["004", "nobody"]
    cohort = load_cohort(clinical.write())
    assert "004" not in cohort.patients
    assert [step.step for step in cohort.flow] == [
        "in the outcome table",
        "not excluded by id",
        "valid outcome",
    ]
    assert "no such patient" in cohort.problems[0].message


def test_a_cohort_without_events_is_refused(clinical: CohortFiles) -> None:
    clinical.patients["os_event"] = 0
    with pytest.raises(
        CohortError,
        match="none of the 20 valid patients has the event",
    ):
        load_cohort(clinical.write())


@pytest.mark.parametrize(
    ("unit", "longest", "looks"),
    [
        ("years", 151, "months or weeks"),
        ("days", 120, "months or weeks"),
        ("months", 3000, "days"),
        ("months", 7, "years"),
        ("days", 3000, ""),
    ],
)
def test_an_unlikely_unit_is_a_warning(
    clinical: CohortFiles,
    unit: str,
    longest: int,
    looks: str,
) -> None:
    clinical.patients["os_days"] = np.linspace(1, longest, 20)
    clinical.spec["outcome"]["unit"] = unit
    messages = [problem.message for problem in load_cohort(clinical.write()).problems]
    assert bool(messages) == bool(looks)
    assert all(message.endswith(f"looks like {looks}") for message in messages)


def test_a_mistyped_time_is_named_with_its_patient(clinical: CohortFiles) -> None:
    clinical.set("004", "os_days", "99999")
    found = inspect(clinical.write()).problems
    assert [(p.severity, p.patient, p.column) for p in found] == [
        ("warning", "004", "os_days"),
    ]
    assert "99999 days is far beyond the next longest time" in found[0].message


def test_censored_patients_whose_time_stands_elsewhere_are_told(
    clinical: CohortFiles,
) -> None:
    censored = clinical.patients["os_event"] == 0
    clinical.patients["os_days"] = (
        clinical.patients["os_days"].astype(str).mask(censored, "")
    )
    clinical.spec["outcome"]["exclude_invalid"] = True
    found = inspect(clinical.write()).problems[-1]
    assert (
        "none of the 10 patients with a time is censored, and 10 censored ones have no time"
        in found.message
    )
    assert "time: {first_of: [os_days, COLUMN]}" in found.hint


def test_an_absent_column_is_named_with_the_nearest(clinical: CohortFiles) -> None:
    clinical.spec["outcome"]["time"] = "os_day"
    with pytest.raises(
        CohortError,
        match=r"column 'os_day': no such column.*did you mean 'os_days'",
    ):
        load_cohort(clinical.write())


def test_an_outcome_is_needed_for_training(clinical: CohortFiles) -> None:
    del clinical.spec["outcome"]
    with pytest.raises(CohortError, match="no outcome section"):
        load_cohort(clinical.write())


def test_prediction_needs_no_outcome(clinical: CohortFiles) -> None:
    del clinical.spec["outcome"]
    cohort = load_cohort(clinical.write(), need_outcome=False)
    assert len(cohort) == 20
    assert cohort.outcome is None
    assert cohort.endpoint is None


def test_prediction_accepts_a_table_without_outcome_columns(
    clinical: CohortFiles,
) -> None:
    clinical.patients = clinical.patients.drop(columns="os_event")
    cohort = load_cohort(clinical.write(), need_outcome=False)
    assert cohort.outcome is None
    assert "no os_event" in cohort.problems[0].message


def test_prediction_keeps_patients_whose_outcome_is_not_known(
    clinical: CohortFiles,
) -> None:
    clinical.set("004", "os_days", "")
    cohort = load_cohort(clinical.write(), need_outcome=False)
    assert len(cohort) == 20
    assert cohort.outcome is not None
    assert np.isnan(cohort.outcome.loc["004", "time"])
    assert not cohort.outcome.loc["004", "event"]


def test_inspection_tells_everything_at_once(clinical: CohortFiles) -> None:
    clinical.set("004", "os_days", "-3")
    clinical.set("005", "os_event", "dead")
    clinical.set("006", "age", "old")
    clinical.set("007", "stage", "IX")
    found = inspect(clinical.write())
    assert not found.ok
    assert [problem.patient for problem in found.problems] == [
        "004",
        "005",
        "006",
        "007",
    ]
    assert found.tables["problems"]["severity"].tolist() == ["error"] * 4
    assert found.tables["modalities"]["patients"].tolist() == [18]
