"""On real cohorts: what the data checks say of HANCOCK and TCGA-LUAD."""

from __future__ import annotations

from pathlib import Path

import pytest

from survfuse.cohort import load_cohort
from survfuse.datasets import hancock, tcga_luad
from survfuse.evaluation.checks import run_data_checks


@pytest.mark.slow
def test_no_honest_column_of_hancock_is_said_to_accrue(
    shared_data: Path,
    tmp_path: Path,
) -> None:
    cohort = load_cohort(hancock(tmp_path / "os", source=shared_data / "hancock"))
    rows = {row["id"]: row for row in run_data_checks(cohort)}
    assert (
        rows["SRV008"]["evidence"]
        == "none of 21 columns grows with follow-up as an input"
    )
    doubts = {
        number for number, row in rows.items() if row["status"] in {"warning", "failed"}
    }
    assert doubts == {
        "SRV018",
        "SRV019",
    }  # older patients leave earlier; some bags hold one vector only
    assert rows["SRV019"]["evidence"].startswith("slides: 35 patients hardly differ")


@pytest.mark.slow
def test_tcga_luad_is_in_order(shared_data: Path, tmp_path: Path) -> None:
    cohort = load_cohort(tcga_luad(tmp_path / "os", source=shared_data / "tcga_luad"))
    rows = {row["id"]: row for row in run_data_checks(cohort)}
    assert {row["status"] for row in rows.values()} == {"ok", "not applicable"}
    assert (
        rows["SRV008"]["evidence"]
        == "none of 2 columns grows with follow-up as an input"
    )
