"""What the portal of the GDC hands out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from layouts import DAYS, PATIENTS, people, write_gdc
from survfuse._errors import ConfigError, InputError
from survfuse.cohort import load_cohort
from survfuse.drafts import Given, format_card

Study = Callable[..., Path]


@pytest.mark.parametrize("prefixed", [False, True])
def test_times_are_those_to_death_or_to_the_last_follow_up(
    study: Study, tmp_path: Path, prefixed: bool
) -> None:
    path = study("gdc", outcome=write_gdc(tmp_path / "gdc", prefixed=prefixed))
    cohort = load_cohort(path)
    table = people().table.loc[list(cohort.patients)]
    np.testing.assert_array_equal(cohort.outcome.time, (table["months"] * DAYS).round())
    assert cohort.outcome.event.tolist() == table["dead"].tolist()
    assert cohort.modalities["clinical"].features == 3


def test_counts_of_tumours_become_one_matrix(study: Study, tmp_path: Path) -> None:
    path = study("gdc", outcome=write_gdc(tmp_path / "gdc"))
    expression = load_cohort(path).modalities["expression"].expression
    assert expression.unit == "counts"
    assert len(expression.patients) == PATIENTS
    own = people().counts.loc[list(expression.patients)]
    np.testing.assert_array_equal(expression.values, own.to_numpy())
    assert "-11A" in path.read_text()  # normal tissue is left out, and said


def test_rows_that_differ_in_a_field_become_one(study: Study, tmp_path: Path) -> None:
    root = write_gdc(tmp_path / "gdc", counts=False)
    table = pd.read_csv(root / "clinical.tsv", sep="\t", dtype=str)
    table.loc[0, "days_to_last_follow_up"] = "'--"
    table.loc[0, "ajcc_pathologic_stage"] = "'--"
    table.to_csv(root / "clinical.tsv", sep="\t", index=False)
    path = study("gdc", outcome=root / "clinical.tsv")
    assert "rows of 1 cases differ" in path.read_text()
    cohort = load_cohort(path)
    assert len(cohort) == PATIENTS
    assert np.isfinite(cohort.outcome.time).all()


def test_counts_need_a_sheet_that_says_whose_they_are(tmp_path: Path) -> None:
    root = write_gdc(tmp_path / "gdc")
    next(root.glob("gdc_sample_sheet*")).unlink()
    with pytest.raises(
        ConfigError, match=r"42 files of counts, but no gdc_sample_sheet.tsv"
    ):
        format_card("gdc").draft(Given(outcome=root))


def test_a_file_of_other_genes_is_named(tmp_path: Path) -> None:
    root = write_gdc(tmp_path / "gdc")
    file = sorted(root.rglob("*augmented_star_gene_counts.tsv"))[3]
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(
        InputError, match=f"{file.name}.* has other genes .*59 against 60"
    ):
        format_card("gdc").draft(Given(outcome=root))


def test_another_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "clinical.tsv").write_text("case\tage\nA\t5\n")
    with pytest.raises(ConfigError, match="no field submitter_id, vital_status"):
        format_card("gdc").draft(Given(outcome=tmp_path))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match=r"has no clinical.tsv .*the button Clinical"):
        format_card("gdc").draft(Given(outcome=tmp_path / "empty"))
