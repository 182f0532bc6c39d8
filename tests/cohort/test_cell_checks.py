from __future__ import annotations

from builders import CohortFiles
from survfuse.cohort import inspect
from survfuse.cohort.problems import Problem


def problems(files: CohortFiles, column: str, *cells: str) -> list[Problem]:
    """Problems of a column whose first cells are these."""
    for place, cell in enumerate(cells, start=1):
        files.set(f"{place:03d}", column, cell)
    return [one for one in inspect(files.write()).problems if one.column == column]


def test_wrong_numbers_of_one_kind_are_one_problem(clinical: CohortFiles) -> None:
    bounds = [f">{number}" for number in range(10, 30)]
    (problem,) = problems(clinical, "age", *bounds)
    assert problem.message == (
        "expected a number, got '>10', '>11', '>12', '>13', '>14' and 15 more"
    )
    assert problem.patient == "001, 002, 003, 004, 005 and 15 more"
    assert problem.hint == "this is a bound: write the number that is to be used"


def test_wrong_numbers_of_two_kinds_are_two(clinical: CohortFiles) -> None:
    one, other = problems(clinical, "age", "unknown", "12 years", "missing", "14 years")
    assert one.message == "expected a number, got 'missing', 'unknown'"
    assert one.hint.endswith("missing, unknown]")
    assert other.message == "expected a number, got '12 years', '14 years'"
    assert "a unit or letter stands after the number" in other.hint


def test_words_that_are_no_level_are_one_problem(clinical: CohortFiles) -> None:
    spelt, other = problems(clinical, "stage", "iii", "IV", "ii", "V")
    assert spelt.hint == (
        "write 'ii' as the level 'II': letter case is all that differs, 'iii' as the level "
        "'III': letter case is all that differs"
    )
    assert other.message == "expected one of ['I', 'II', 'III'], got 'IV', 'V'"
    assert "list it in `levels` at its place" in other.hint
