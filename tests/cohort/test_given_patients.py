from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from running import loaded, small
from survfuse._errors import InputError
from survfuse.cohort import Cohort
from survfuse.cohort.given_patients import outcome_or_patients, rows_of


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    folder: Path = tmp_path_factory.mktemp("cohort")
    return loaded(small(folder, patients=12))


def test_ids_choose_among_the_rows(cohort: Cohort) -> None:
    wanted = [cohort.patients[3], cohort.patients[1]]
    assert rows_of(cohort, patients=wanted).patients == tuple(wanted)
    assert rows_of(cohort[:4], patients=wanted).patients == tuple(wanted)


def test_ids_outside_the_rows_are_refused(cohort: Cohort) -> None:
    """They may be those that were held out."""
    with pytest.raises(
        InputError,
        match=r"^patients: 006 are of the cohort, but not among the 4 rows of X",
    ):
        rows_of(cohort[:4], patients=["001", "006"])


@pytest.mark.parametrize("kind", [list, tuple, np.array, pd.Index, pd.Series])
def test_ids_may_stand_in_the_place_of_the_outcome(kind: type) -> None:
    given = kind(["001", "002"])
    assert outcome_or_patients(given, None) == (None, ["001", "002"])


def test_no_ids_are_ids_that_training_refuses() -> None:
    assert outcome_or_patients([], None) == (None, [])


@pytest.mark.parametrize("y", ["001", [1, 2], np.ones(2), 7])
def test_other_things_are_neither(y: object) -> None:
    with pytest.raises(InputError, match=r"^y: expected a structured array"):
        outcome_or_patients(y, None)


def test_the_unit_is_that_of_the_cohort(cohort: Cohort) -> None:
    assert rows_of(cohort, unit="days").cohort is cohort
    with pytest.raises(InputError, match=r"^unit: the cohort counts in days, not in"):
        rows_of(cohort, unit="months")
