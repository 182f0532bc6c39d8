from __future__ import annotations

import numpy as np

import viewed
from survfuse.cohort import load_cohort
from survfuse.viewer.patient_table import (
    Column,
    PatientTable,
    numbers,
    of_cohort,
    patients_of,
    risk_groups,
)


def test_numbers_are_short_and_what_is_not_known_is_none() -> None:
    column = numbers("risk", "Risk", np.array([1 / 3, np.nan, -np.inf, 2e9]), "")
    assert column.values == [0.333333, None, None, 2e9]


def test_filters_are_offered_where_they_can_choose() -> None:
    two = Column("site", "Site", "text", ["b", "a", None, "a"]).described()
    assert two["choices"] == ["a", "b"]
    assert Column("site", "Site", "text", ["a", "a"]).described()["choices"] == []
    many = [str(number) for number in range(41)]
    assert Column("note", "Note", "text", many).described()["choices"] == []
    assert patients_of(["a", "b"]).described()["choices"] == []
    assert numbers("x", "X", np.array([1.0, 2.0]), "", filtered=True).described()[
        "range"
    ]
    assert not numbers(
        "x", "X", np.array([1.0, np.nan]), "", filtered=True
    ).described()["range"]


def test_risk_groups_have_names() -> None:
    assert risk_groups([0, 2, np.nan]).values == ["low risk", "high risk", None]


def test_a_cohort_gives_sites_and_slides() -> None:
    cohort = load_cohort(viewed.cohort_file(), need_outcome=False)
    site, slides = of_cohort(cohort, ("003", "001", "002"))
    assert (site.title, site.values) == ("site", ["south", "north", "north"])
    assert slides.values == [1, 2, 0]


def test_facts_of_a_patient() -> None:
    table = PatientTable(
        [patients_of(["a", "b"]), numbers("x", "X", np.arange(2.0), "y")]
    )
    assert table.facts("b") == [
        {"title": "X", "kind": "number", "value": 1.0, "says": "y"}
    ]
