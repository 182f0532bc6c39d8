from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from builders import CohortFiles
from survfuse._errors import CohortError, ConfigError
from survfuse.cohort import inspect, load_cohort


@pytest.fixture
def dated(clinical: CohortFiles) -> CohortFiles:
    """A cohort whose times are between two dates."""
    days = pd.to_timedelta(clinical.patients.pop("os_days"), unit="D")
    start = pd.Timestamp("2010-01-31")
    clinical.patients["diagnosis"] = start.strftime("%Y-%m-%d")
    clinical.patients["last_contact"] = (start + days).dt.strftime("%Y-%m-%d")
    clinical.spec["outcome"]["time"] = {"from": "diagnosis", "to": "last_contact"}
    return clinical


@pytest.fixture
def two_columns(clinical: CohortFiles) -> CohortFiles:
    """A cohort whose events and censored patients have their times in two columns."""
    event = clinical.patients["os_event"] == 1
    days = clinical.patients.pop("os_days").astype(str)
    clinical.patients["days_to_death"] = days.where(event, "")
    clinical.patients["days_to_last_follow_up"] = days.mask(event, "")
    columns = ["days_to_death", "days_to_last_follow_up"]
    clinical.spec["outcome"]["time"] = {"first_of": columns}
    return clinical


def times(files: CohortFiles) -> list[float]:
    outcome = load_cohort(files.write()).outcome
    assert outcome is not None
    return outcome["time"].tolist()


@pytest.mark.parametrize(
    ("unit", "days"),
    [("days", 1.0), ("months", 365.25 / 12), ("years", 365.25)],
)
def test_dates_are_turned_into_the_unit(
    clinical: CohortFiles,
    dated: CohortFiles,
    unit: str,
    days: float,
) -> None:
    dated.spec["outcome"]["unit"] = unit
    start, end = dated.patients["diagnosis"], dated.patients["last_contact"]
    expected = (pd.to_datetime(end) - pd.to_datetime(start)).dt.days / days
    assert times(dated) == pytest.approx(expected.tolist(), rel=1e-12)


def test_the_days_of_dates_are_those_of_numbers(dated: CohortFiles) -> None:
    numbers = load_cohort(dated.write()).fingerprint()
    start, end = dated.patients["diagnosis"], dated.patients["last_contact"]
    dated.patients["os_days"] = (pd.to_datetime(end) - pd.to_datetime(start)).dt.days
    dated.spec["outcome"]["time"] = "os_days"
    assert load_cohort(dated.write()).fingerprint() == numbers


@pytest.mark.parametrize(
    ("column", "cell", "message"),
    [
        (
            "last_contact",
            "2010-01-31",
            r"'diagnosis to last_contact', patient 004: time must be > 0, got "
            r"'2010-01-31 to 2010-01-31' for 1 patient\(s\) \(correct the dates",
        ),
        (
            "last_contact",
            "2009-12-31",
            "patient 004: time must be > 0, got '2010-01-31 to 2009-12-31'",
        ),
        (
            "last_contact",
            "2015-03",
            "patient 004: expected a date with its day, got '2015-03' .*the 15th of a month",
        ),
        ("diagnosis", "2009", "expected a date with its day, got '2009'"),
        ("diagnosis", "", "column 'diagnosis', patient 004: date is missing, got ''"),
        (
            "diagnosis",
            "01.02.2009",
            "expected a date like the others, %Y-%m-%d, got '01.02.2009'",
        ),
        ("diagnosis", "40179", "got '40179' .*a spreadsheet's number of a day"),
        ("diagnosis", "unknown", "got 'unknown' .*outcome.missing: .*unknown"),
    ],
)
def test_what_is_no_time_between_two_dates_is_named(
    dated: CohortFiles,
    column: str,
    cell: str,
    message: str,
) -> None:
    dated.set("004", column, cell)
    with pytest.raises(CohortError, match=message):
        load_cohort(dated.write())
    dated.spec["outcome"]["exclude_invalid"] = True
    assert "004" not in load_cohort(dated.write()).patients


def test_dates_with_two_readings_are_asked_for(dated: CohortFiles) -> None:
    # the days 1 to 12 of every month can be months as well
    dated.patients["diagnosis"] = "05/06/2009"
    dated.patients["last_contact"] = [f"{day:02d}/03/2015" for day in range(1, 21)]
    with pytest.raises(CohortError) as caught:
        load_cohort(dated.write())
    text = str(caught.value)
    assert (
        "column 'diagnosis': dates can be read in 2 ways, %d/%m/%Y and %m/%d/%Y" in text
    )
    assert "'last_contact'" not in text
    assert "time: {from: diagnosis, to: last_contact, format: '%d/%m/%Y'}" in text
    dated.spec["outcome"]["time"]["format"] = "%d/%m/%Y"
    assert (
        times(dated)[0]
        == (pd.Timestamp("2015-03-01") - pd.Timestamp("2009-06-05")).days
    )


@pytest.mark.parametrize(
    ("time", "message"),
    [
        ({"from": "a", "to": "a"}, "`from` and `to` must be two columns"),
        ({"from": "a", "too": "b"}, "time.too: unknown field; did you mean 'to'"),
        ({"from": "a", "to": "b", "format": "%m/%Y"}, "expected day, month and year"),
        ({"first_of": ["a"]}, "first_of: Tuple should have at least 2 items"),
        ({"first_of": ["a", "a"]}, "list each column once"),
    ],
)
def test_a_time_that_cannot_be_is_refused(
    clinical: CohortFiles,
    time: dict[str, Any],
    message: str,
) -> None:
    clinical.spec["outcome"]["time"] = time
    with pytest.raises(ConfigError, match=message):
        load_cohort(clinical.write())


def test_the_first_column_that_is_known_is_the_time(two_columns: CohortFiles) -> None:
    one, other = (
        two_columns.patients[name] for name in two_columns.patients.columns[-2:]
    )
    expected = one.where(one != "", other).astype(float)
    assert times(two_columns) == expected.tolist()
    assert load_cohort(two_columns.write()).problems == ()


def test_two_times_that_differ_are_told(two_columns: CohortFiles) -> None:
    two_columns.set("002", "days_to_last_follow_up", "17")
    cohort = load_cohort(two_columns.write())
    (problem,) = cohort.problems
    assert problem.patient == "002"
    assert problem.column == "days_to_last_follow_up"
    assert "1 patient(s) have a time here and in an earlier column" in problem.message
    assert cohort.outcome is not None
    assert cohort.outcome.loc["002", "time"] == float(
        two_columns.patients["days_to_death"][1]
    )


@pytest.mark.parametrize(
    ("column", "cell", "message"),
    [
        (
            "days_to_death",
            "-3",
            "'days_to_death', patient 002: time must be > 0, got '-3'",
        ),
        ("days_to_death", "", "column 'days_to_death', patient 002: time is missing"),
        (
            "days_to_death",
            "x",
            "'days_to_death', patient 002: time must be a number, got 'x'",
        ),
    ],
)
def test_a_wrong_time_names_its_own_column(
    two_columns: CohortFiles,
    column: str,
    cell: str,
    message: str,
) -> None:
    two_columns.set("002", column, cell)
    with pytest.raises(CohortError, match=message):
        load_cohort(two_columns.write())


@pytest.mark.parametrize("fixture", ["dated", "two_columns"])
def test_columns_of_the_time_are_never_inputs(
    fixture: str,
    request: pytest.FixtureRequest,
) -> None:
    files: CohortFiles = request.getfixturevalue(fixture)
    column = files.patients.columns[-1]
    files.spec["clinical"]["columns"][column] = {"kind": "nominal"}
    with pytest.raises(CohortError, match=f"'{column}': this column is the outcome"):
        load_cohort(files.write())


def test_an_absent_column_of_dates_is_named(dated: CohortFiles) -> None:
    dated.spec["outcome"]["time"]["to"] = "last_contakt"
    with pytest.raises(
        CohortError, match=r"'last_contakt'.*did you mean 'last_contact'"
    ):
        load_cohort(dated.write())


def test_an_outcome_that_is_not_needed_may_have_impossible_dates(
    dated: CohortFiles,
    tmp_path: Path,
) -> None:
    dated.set("004", "last_contact", "soon")
    found = inspect(dated.write(), need_outcome=False)
    assert [problem.severity for problem in found.problems] == ["warning"]
    assert found.cohort is not None
    assert "004" in found.cohort.patients


def test_a_date_in_place_of_a_time_asks_for_that_of_time_zero(
    dated: CohortFiles,
) -> None:
    dated.spec["outcome"]["time"] = "last_contact"
    with pytest.raises(CohortError) as caught:
        load_cohort(dated.write())
    assert "this is a date" in str(caught.value)
    assert "time: {from: COLUMN, to: last_contact}" in str(caught.value)
