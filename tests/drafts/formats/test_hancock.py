"""The tables of HANCOCK, as its repository has them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from survfuse._errors import ConfigError
from survfuse.cohort import load_cohort
from survfuse.drafts import Given, format_card

Study = Callable[..., Path]


def test_the_real_tables(study: Study, shared_data: Path) -> None:
    path = study("hancock", outcome=shared_data / "hancock/features")
    cohort = load_cohort(path, endpoint="os")
    assert (len(cohort), cohort.outcome.event.sum()) == (763, 213)
    assert cohort.modalities["clinical"].features == 19
    assert len(cohort.modalities["blood"].patients) == 763 - 71
    relapse = load_cohort(path, endpoint="rfs")
    assert (len(relapse), relapse.outcome.event.sum()) == (751, 292)


def test_a_table_that_is_absent_is_named(tmp_path: Path) -> None:
    (tmp_path / "clinical.csv").write_text("patient_id,sex\n001,0\n")
    with pytest.raises(
        ConfigError, match=r"has no targets.csv: .*HANCOCK_MultimodalDataset"
    ):
        format_card("hancock").draft(Given(outcome=tmp_path))
