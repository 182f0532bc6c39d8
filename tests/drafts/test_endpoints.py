"""Times and statuses are paired by the endpoint that their names speak of."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from survfuse.drafts.endpoints import find_endpoints, status_columns, time_columns
from survfuse.drafts.tables import read_given

TIMES = [str(100 + 37 * i) for i in range(20)]
STATUS = ["0", "1"] * 10
WORDS = ["Dead" if one == "1" else "Alive" for one in STATUS]


def pairs(**columns: list[str]) -> dict[str, tuple[object, str | None]]:
    frame = pd.DataFrame(
        {name.replace("__", "."): cells for name, cells in columns.items()}
    )
    return {one.key: (one.time, one.status) for one in find_endpoints(frame)}


@pytest.mark.parametrize(
    ("time", "status", "key"),
    [
        ("OS.time", "OS", "os"),
        ("survival_months", "censorship", "os"),
        ("time", "status", "status"),
        ("months", "relapse", "rfs"),
        ("Overall Survival (Months)", "Overall Survival Status", "os"),
        ("Time_to_prog_or_FUend", "progression", "pfs"),
        ("futime", "fustat", "os"),
        ("duration", "event", "event"),
    ],
)
def test_usual_names_are_paired(time: str, status: str, key: str) -> None:
    assert pairs(**{"id": TIMES, time: TIMES, status: STATUS}) == {key: (time, status)}


def test_several_endpoints_keep_their_own_times() -> None:
    other = [str(int(one) - 50) for one in TIMES]
    made = pairs(PFI=STATUS, OS=STATUS, PFI__time=other, OS__time=TIMES)
    assert made == {"os": ("OS.time", "OS"), "pfi": ("PFI.time", "PFI")}
    assert list(made) == ["os", "pfi"]


def test_death_and_last_contact_in_two_columns() -> None:
    died = [
        time if one == "1" else "'--" for time, one in zip(TIMES, STATUS, strict=True)
    ]
    lived = [
        time if one == "0" else "'--" for time, one in zip(TIMES, STATUS, strict=True)
    ]
    made = pairs(vital_status=WORDS, days_to_death=died, days_to_last_follow_up=lived)
    first = {"first_of": ["days_to_death", "days_to_last_follow_up"]}
    assert made == {"os": (first, "vital_status")}


def test_the_time_of_events_alone_is_no_endpoint() -> None:
    died = [time if one == "1" else "" for time, one in zip(TIMES, STATUS, strict=True)]
    assert pairs(recurrence=STATUS, days_to_recurrence=died) == {}


def test_times_in_two_units_are_not_one_time() -> None:
    died = [time if one == "1" else "" for time, one in zip(TIMES, STATUS, strict=True)]
    lived = [
        time if one == "0" else "" for time, one in zip(TIMES, STATUS, strict=True)
    ]
    assert (
        pairs(vital_status=WORDS, days_to_death=died, months_to_last_follow_up=lived)
        == {}
    )


def test_freedom_of_disease_is_a_status() -> None:
    answers = ["no" if one == "1" else "yes" for one in STATUS]
    assert pairs(months=TIMES, disease_free=answers) == {
        "dfs": ("months", "disease_free")
    }


def test_dates_where_no_number_is_a_time() -> None:
    start = [f"2015-01-{day:02d}" for day in range(1, 21)]
    end = [f"2019-03-{day:02d}" for day in range(1, 21)]
    made = pairs(vital=WORDS, diagnosis=start, birth=start, last_contact=end)
    assert made == {"os": ({"from": "diagnosis", "to": "last_contact"}, "vital")}


def test_dead_and_alive_are_a_status_whatever_the_column_is_called() -> None:
    frame = pd.DataFrame(
        {"state_at_end": WORDS, "er_status": STATUS, "smoking_status": STATUS}
    )
    assert status_columns(frame) == ["state_at_end"]


def test_ages_and_years_of_diagnosis_are_no_times() -> None:
    frame = pd.DataFrame(
        {
            "age_years": TIMES,
            "days_to_birth": TIMES,
            "year_of_diagnosis": TIMES,
            "days_to_death": TIMES,
        },
    )
    assert time_columns(frame) == ["days_to_death"]


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        (
            "hancock/patients.csv",
            {"os": ("os_days", "os_event"), "rfs": ("days_to_rfs_event", "rfs_event")},
        ),
        (
            "hancock/features/targets.csv",
            {
                "os": ("days_to_last_information", "survival_status"),
                "rfs": ("days_to_rfs_event", "rfs_event"),
            },
        ),
        (
            "tcga_luad/patients.csv",
            {
                "os": ("os_days", "os_event"),
                "dss": ("dss_days", "dss_event"),
                "pfi": ("pfi_days", "pfi_event"),
            },
        ),
        ("tcga_omics/skcm/patients.csv", {"os": ("os_months", "os_event")}),
    ],
)
def test_endpoints_of_real_tables(
    shared_data: Path,
    file: str,
    expected: dict[str, tuple[str, str]],
) -> None:
    endpoints = find_endpoints(read_given(shared_data / file).frame)
    assert {one.key: (one.time, one.status) for one in endpoints} == expected
