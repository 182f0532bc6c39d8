"""Values lost on purpose: how many, which, and that they are lost as a file would lose them."""

from __future__ import annotations

import itertools
from math import sqrt
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from builders import CohortFiles, cohort_files
from survfuse._errors import ConfigError
from survfuse.cohort import Cohort, TableData, Transforms, load_cohort
from survfuse.cohort.ablation import lose_modalities, lose_values, with_readers
from survfuse.config import FitConfig
from survfuse.readers.priors import Prior

SIGMAS = 4.5


def clinical(cohort: Cohort) -> TableData:
    data = cohort.modalities["clinical"]
    assert isinstance(data, TableData)
    return data


def lost_cells(data: TableData, share: float, seed: int = 1) -> pd.DataFrame:
    """Whether each cell of the table is not known after the loss."""
    after = lose_values(data, share, seed)
    texts = pd.DataFrame({name: after.texts(name) for name in after.columns})
    return texts.reindex(data.frame.index).isna()


@pytest.fixture
def cohort(tmp_path: Path) -> Cohort:
    return load_cohort(cohort_files(tmp_path, patients=60).write())


def test_each_cell_is_lost_with_the_same_chance(tmp_path: Path) -> None:
    data = clinical(
        load_cohort(
            cohort_files(tmp_path, patients=2000, modalities=("clinical",)).write(),
        ),
    )
    for share in (0.25, 0.5, 0.75):
        lost = lost_cells(data, share).to_numpy()
        bound = SIGMAS * sqrt(share * (1 - share) / len(lost))
        assert (abs(lost.mean(axis=0) - share) <= bound).all(), "in every column"
        both = (lost[:, 0] & lost[:, 1]).mean()
        assert abs(both - share**2) <= SIGMAS * sqrt(
            share**2 * (1 - share**2) / len(lost),
        ), "independently"


def test_losses_are_nested_and_have_their_ends(cohort: Cohort) -> None:
    data = clinical(cohort)
    lost = [lost_cells(data, share).to_numpy() for share in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert not lost[0].any()
    assert lost[-1].all()
    for less, more in itertools.pairwise(lost):
        assert not (less & ~more).any()
        assert (more & ~less).any()
    everything = lose_values(data, 1.0, seed=1)
    assert everything.patients == ()
    assert everything.blank == data.patients
    assert data.patients == cohort.patients, "the table itself is left alone"


def test_who_else_is_there_and_in_which_order_changes_no_loss(cohort: Cohort) -> None:
    data = clinical(cohort)
    whole = lost_cells(data, 0.5)
    few = data.subset(cohort.patients[10:30])
    pd.testing.assert_frame_equal(lost_cells(few, 0.5), whole.loc[list(few.patients)])
    turned = TableData(
        data.name,
        data.frame[::-1],
        data.columns,
        data.missing,
        data.kind,
    )
    pd.testing.assert_frame_equal(lost_cells(turned, 0.5).loc[whole.index], whole)
    narrow = TableData(
        data.name,
        data.frame[["sex"]],
        {"sex": data.columns["sex"]},
        data.missing,
        data.kind,
    )
    pd.testing.assert_series_equal(lost_cells(narrow, 0.5)["sex"], whole["sex"])
    assert not lost_cells(data, 0.5, seed=2).equals(whole)


def test_a_lost_value_is_one_that_the_file_does_not_have(tmp_path: Path) -> None:
    """The oracle: blank the same cells in the file, and read it again."""
    files = files_with_gaps(tmp_path)
    intact = load_cohort(files.write())
    lost = lost_cells(clinical(intact), 0.6)
    for patient, row in lost.iterrows():
        for column in row.index[row]:
            files.set(str(patient), str(column), "")
    read = load_cohort(files.write())
    table = lose_values(clinical(intact), 0.6, seed=1)
    assert table.patients == clinical(read).patients
    assert sorted(table.blank) == sorted(clinical(read).blank) != []
    transforms = Transforms.fit(
        intact,
        intact.patients,
        FitConfig(modalities=("clinical", "expression")),
    )
    spoilt = Cohort(
        **{**vars_of(intact), "modalities": {**intact.modalities, "clinical": table}},
    )
    ours, theirs = (transforms.apply(one, intact.patients) for one in (spoilt, read))
    np.testing.assert_array_equal(ours.vectors["clinical"], theirs.vectors["clinical"])
    np.testing.assert_array_equal(ours.present["clinical"], theirs.present["clinical"])
    assert ours.report.equals(theirs.report)


def files_with_gaps(root: Path) -> CohortFiles:
    files = cohort_files(root, patients=40, modalities=("clinical", "expression"))
    for patient, column in (("003", "age"), ("004", "sex"), ("009", "stage")):
        files.set(patient, column, "")
    return files


def vars_of(cohort: Cohort) -> dict[str, object]:
    return {name: getattr(cohort, name) for name in Cohort.__dataclass_fields__}


def test_modalities_are_lost_by_everyone(cohort: Cohort) -> None:
    less = lose_modalities(cohort, ["slides", "clinical"])
    assert list(less.modalities) == ["expression"]
    assert less.patients == cohort.patients
    assert list(lose_modalities(cohort, list(cohort.modalities)).present) == []


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_outside_its_range_is_refused(cohort: Cohort, share: float) -> None:
    with pytest.raises(
        ConfigError,
        match=rf"^share of values to lose must lie in \[0, 1\], got {share}$",
    ):
        lose_values(clinical(cohort), share, seed=1)


def test_a_prior_goes_with_the_expression_it_is_computed_from(cohort: Cohort) -> None:
    prior = Prior("pan", "symbol", ("GENE1", "GENE2"), np.array([1.0, -1.0]))
    with_prior = cohort.with_prior(prior)
    assert with_readers(with_prior, "expression") == ["expression", "pan"]
    assert with_readers(with_prior, "pan") == ["pan"]
    transforms = Transforms.fit(with_prior, cohort.patients, FitConfig())
    for lost, left in (
        (["pan"], ["clinical", "expression", "slides"]),
        (["expression"], ["clinical", "slides", "pan"]),
        (["expression", "pan"], ["clinical", "slides"]),
    ):
        present = transforms.apply(lose_modalities(with_prior, lost)).present
        assert [name for name in present if present[name].all()] == left
        assert not any(present[name].any() for name in lost)
