from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import survfuse as sf
from running import loaded, small
from survfuse._errors import ConfigError, InputError
from survfuse.cohort import inspect


def test_a_file_and_its_cohort_are_judged_alike(tmp_path: Path) -> None:
    files = small(tmp_path)
    cohort, path = loaded(files), files.write()
    of_file, of_cohort = sf.validate(path), sf.validate(cohort)
    assert of_file.ok
    assert of_cohort.ok
    assert set(of_file.problems) == set(of_cohort.problems)
    assert set(of_cohort.tables) == {*inspect(path).tables, "checks"}
    for name, table in of_file.tables.items():
        pd.testing.assert_frame_equal(of_cohort.tables[name], table)
    assert "SRV008" in set(of_file.tables["checks"]["id"])


def test_an_inspection_is_short(tmp_path: Path) -> None:
    found = sf.validate(small(tmp_path).write())
    assert repr(found).startswith("Inspection: 24 patients, ")
    assert len(repr(found).splitlines()) <= 10
    page = found._repr_html_()
    assert "expression" in page


def test_a_cohort_that_cannot_be_used_says_so(tmp_path: Path) -> None:
    files = small(tmp_path)
    files.set("003", "os_days", "-4")
    found = sf.validate(files.write())
    assert not found.ok
    assert repr(found).startswith("Inspection: cannot be used; 1 errors, ")
    assert "003" in repr(found)
    assert "checks" not in found.tables
    files.spec["outcome"]["tiem"] = "os_days"
    assert "cannot be used" in sf.validate(files.write())._repr_html_()


def test_problems_are_escaped_on_a_page(tmp_path: Path) -> None:
    files = small(tmp_path)
    files.set("003", "os_days", "<b>4</b>")
    assert "<b>4" not in sf.validate(files.write())._repr_html_()


def test_what_is_no_cohort_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected a Cohort or the path .*, got list"):
        sf.validate([1])  # type: ignore[arg-type]
    cohort = loaded(small(tmp_path))
    with pytest.raises(InputError, match="verify and priors are for cohort files"):
        sf.validate(cohort, verify=True)
    with pytest.raises(ConfigError, match="no input is called 'doses'"):
        sf.validate(cohort, allow_followup=["doses"])
