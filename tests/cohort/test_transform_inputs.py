from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import survfuse as sf
from builders import cohort_files
from survfuse.cohort import transform_inputs as module
from survfuse.cohort.table_columns import CategoryColumn, NumberColumn
from survfuse.cohort.transform_inputs import in_blocks, input_sizes, mean_inputs
from survfuse.cohort.transforms import Transforms
from survfuse.config import FitConfig


@pytest.fixture
def cohort(tmp_path: Path) -> sf.Cohort:
    files = cohort_files(tmp_path)
    files.expression.iloc[3, 2] = 14.0  # beyond the limit of z-scores
    files.expression = files.expression.drop(index="005")
    return sf.load_cohort(files.write())


@pytest.mark.parametrize("at_once", [1, 10_000])
def test_means_are_those_of_who_has_the_modality(
    cohort: sf.Cohort,
    at_once: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = FitConfig.of(expression_clip=2.0, expression_components=3)
    transforms = Transforms.fit(cohort, cohort.patients, config)
    prepared = transforms.apply(cohort)
    monkeypatch.setattr(module, "VALUES_AT_ONCE", at_once)
    means = mean_inputs(transforms, cohort, prepared)
    assert {name: len(mean) for name, mean in means.items()} == input_sizes(transforms)
    assert set(means) == {"clinical", "expression"}
    np.testing.assert_allclose(
        means["clinical"], prepared.vectors["clinical"].mean(axis=0), atol=1e-7
    )
    expression = transforms.fitted["expression"]
    assert len(means["expression"]) == 12
    assert np.abs(means["expression"]).max() > 0.01  # what the limit took
    components = expression.of_z_scores(means["expression"][None])[0]
    has = prepared.present["expression"]
    assert has.sum() == 19
    expected = prepared.vectors["expression"][has].mean(axis=0)
    np.testing.assert_allclose(components, expected, atol=1e-6)


def test_a_modality_that_nobody_has_has_no_mean(cohort: sf.Cohort) -> None:
    transforms = Transforms.fit(cohort, cohort.patients, FitConfig())
    prepared = transforms.apply(cohort, ["005"])
    assert set(mean_inputs(transforms, cohort, prepared)) == {"clinical"}


@pytest.mark.parametrize("encoder", ["mlp", "gene_set"])
def test_weights_of_genes_are_the_transpose_of_what_is_read(
    cohort: sf.Cohort,
    encoder: str,
    tmp_path: Path,
) -> None:
    path = tmp_path / "sets.gmt"
    sets = [[f"GENE{n}" for n in range(first, first + 6)] for first in (1, 4)]
    path.write_text(
        "".join(f"S{k}\t\t" + "\t".join(own) + "\n" for k, own in enumerate(sets))
    )
    config = FitConfig.of(
        fusion="concat",
        expression_gene_sets=path,
        expression_encoder=encoder,
    )
    transforms = Transforms.fit(cohort, cohort.patients, config)
    expression, data = transforms.fitted["expression"], cohort.modalities["expression"]
    z_scores = expression.z_scores(data, data.patients)
    weights = np.random.default_rng(0).normal(size=(2, len(expression.features)))
    left = expression.of_z_scores(z_scores) @ weights.T
    np.testing.assert_allclose(
        left, z_scores @ expression.to_genes(weights).T, atol=1e-12
    )


def test_blocks_hold_everyone_once() -> None:
    ids = [str(number) for number in range(7)]
    assert [list(block) for block in in_blocks(ids, module.VALUES_AT_ONCE // 3)] == [
        ["0", "1", "2"],
        ["3", "4", "5"],
        ["6"],
    ]


def test_known_values_are_those_that_are_read() -> None:
    number = NumberColumn(
        "height",
        170.0,
        10.0,
        150.0,
        190.0,
        False,
        False,
        None,
        True,
        100.0,
        250.0,
        (999.0,),
    )
    given = np.array([np.nan, 160.0, 99.0, 251.0, 999.0, 195.0])
    assert number.known(given).tolist() == [False, True, False, False, False, True]
    old = dataclasses.replace(number, limited=False)
    assert old.known(given).tolist() == [False, True, True, True, True, True]
    category = CategoryColumn("site", ("a", "b"), (0.5, 0.5), ("c",))
    cells = pd.Series(["a", "c", "d", None], dtype=object)
    assert category.known(cells).tolist() == [True, False, False, False]
    pooled = CategoryColumn("site", ("a", "b"), (0.4, 0.4, 0.2), ("c", "e"), True)
    assert pooled.known(cells).tolist() == [True, True, False, False]
