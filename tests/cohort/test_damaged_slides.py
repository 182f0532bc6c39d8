from __future__ import annotations

from pathlib import Path

import pytest

from damaging import damage
from running import small
from survfuse._errors import CohortError
from survfuse.cohort import load_cohort
from survfuse.cohort.damaged_slides import load_undamaged


def test_everyone_is_there_where_nothing_is_damaged(tmp_path: Path) -> None:
    cohort, damaged = load_undamaged(small(tmp_path).write())
    assert (len(cohort.patients), damaged) == (24, {})
    assert cohort.outcome is not None


def test_a_feature_file_that_is_no_array_costs_its_patient(tmp_path: Path) -> None:
    path = small(tmp_path).write()
    (tmp_path / "features" / "004_3.npy").write_bytes(b"nothing")
    with pytest.raises(CohortError, match="slide '004_3'"):
        load_cohort(path, need_outcome=False)
    cohort, damaged = load_undamaged(path)
    assert sorted({*cohort.patients, *damaged}) == [f"{n:03d}" for n in range(1, 25)]
    assert list(damaged) == ["004"]
    assert damaged["004"].startswith("slide '004_3' of patient '004': ")


def test_a_damaged_tile_of_a_packed_store_costs_its_patient(tmp_path: Path) -> None:
    files = small(tmp_path)
    load_cohort(files.write())
    (cache,) = tmp_path.glob(".survfuse/*.bags")
    store = cache.rename(
        tmp_path / "slides.bags"
    )  # a store of its own is never packed anew
    files.spec["slides"] = {"packed": "slides.bags"}
    damage(store, "004")
    cohort, damaged = load_undamaged(files.write())
    assert list(damaged) == ["004"]
    assert "the features of slide '004_3' of patient '004'" in damaged["004"]
    assert "004" not in cohort.patients


def test_other_errors_stay(tmp_path: Path) -> None:
    files = small(tmp_path)
    files.set("003", "age", "old")
    with pytest.raises(CohortError, match="age"):
        load_undamaged(files.write())
    files.spec["slides"] = {"packed": "nowhere.bags"}
    with pytest.raises(CohortError, match=r"nowhere\.bags"):
        load_undamaged(files.write())
