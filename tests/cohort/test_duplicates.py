from __future__ import annotations

from builders import CohortFiles
from survfuse.cohort import inspect


def test_many_patients_under_two_ids_are_one_problem(files: CohortFiles) -> None:
    assert files.expression is not None
    for place in range(0, 18, 2):
        files.expression.iloc[place + 1] = files.expression.iloc[place]
    (problem,) = inspect(files.write()).problems
    assert problem.message == (
        "identical expression values: one patient each under several ids? 001 = 002, 003 = 004, "
        "005 = 006, 007 = 008, 009 = 010 and 4 more"
    )
    assert problem.hint.endswith("(002, 004, 006, 008, 010, 012, 014, 016, 018)")
    files.spec["exclude"] = [
        "002",
        "004",
        "006",
        "008",
        "010",
        "012",
        "014",
        "016",
        "018",
    ]
    assert inspect(files.write()).ok


def test_clinical_columns_may_be_called_as_the_outcome_is(files: CohortFiles) -> None:
    names = ["event", "time", "c", "d", "e"]
    for place, name in enumerate(names):
        files.patients[name] = [
            str((7 * row + place) % 23) for row in range(len(files.patients))
        ]
        files.spec["clinical"]["columns"][name] = {"kind": "numeric"}
    assert inspect(files.write()).ok
