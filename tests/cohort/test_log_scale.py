"""Counts, TPM and FPKM: what a model reads of them, in training and at prediction."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from survfuse.cohort import ExpressionData
from survfuse.cohort.transform_expression import ExpressionTransform
from survfuse.config import FitConfig
from survfuse.readers.expression import Expression

TRAIN = tuple(f"p{row}" for row in range(8))


def data_of(
    values: np.ndarray,
    unit: str = "counts",
    genes: list[str] | None = None,
) -> ExpressionData:
    names = tuple(genes or [f"G{column}" for column in range(values.shape[1])])
    patients = tuple(f"p{row}" for row in range(len(values)))
    expression = Expression(
        values.astype(np.float32),
        names,
        patients,
        unit,
        "symbol",
        "memory",
        "",
    )
    return ExpressionData("expression", expression, patients)


def fit(data: ExpressionData, **config: Any) -> ExpressionTransform:
    return ExpressionTransform.fit(
        data,
        TRAIN,
        FitConfig(**{"expression_components": None, **config}),
    )


@pytest.fixture
def counts() -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.poisson(
        np.exp(rng.normal(4, 1, 30)) * rng.uniform(0.5, 2, (10, 1)),
        (10, 30),
    ).astype(float)


def logged(counts: np.ndarray) -> np.ndarray:
    return np.log2(counts / counts.sum(axis=1, keepdims=True) * 1e6 + 1)


def test_counts_are_read_as_standardised_log2_cpm(counts: np.ndarray) -> None:
    values, _, remarks = fit(data_of(counts)).apply(data_of(counts), TRAIN)
    logs = logged(counts)[:8]
    np.testing.assert_allclose(
        values,
        (logs - logs.mean(axis=0)) / logs.std(axis=0),
        atol=1e-5,
    )
    assert remarks == []


def test_depth_changes_nothing(counts: np.ndarray) -> None:
    transform = fit(data_of(counts), expression_components=3)
    deeper = counts * np.arange(1, 11)[:, None]
    np.testing.assert_allclose(
        transform.apply(data_of(deeper), TRAIN)[0],
        transform.apply(data_of(counts), TRAIN)[0],
        atol=1e-5,
    )


def test_the_library_is_the_whole_matrix_whatever_genes_are_chosen(
    counts: np.ndarray,
) -> None:
    transform = fit(data_of(counts), expression_top=4, expression_scaling="none")
    values, _, _ = transform.apply(data_of(counts), TRAIN)
    chosen = [int(gene.removeprefix("G")) for gene in transform.genes]
    np.testing.assert_allclose(values, logged(counts)[:8, chosen], atol=1e-5)


def test_only_training_patients_teach_the_usual_share(counts: np.ndarray) -> None:
    other = counts.copy()
    other[8:] = other[8:, ::-1] * 9
    before, after = fit(data_of(counts)).state(), fit(data_of(other)).state()
    assert before[0] == after[0]
    for name, tensor in before[1].items():
        np.testing.assert_array_equal(tensor, after[1][name])


def test_fewer_genes_at_prediction_are_said_and_do_not_move_the_others(
    counts: np.ndarray,
) -> None:
    transform = fit(data_of(counts), expression_clip=None)
    whole, _, _ = transform.apply(data_of(counts), ["p9"])
    largest = int(counts.sum(axis=0).argmax())
    keep = [column for column in range(30) if column != largest]
    fewer = data_of(counts[:, keep], genes=[f"G{column}" for column in keep])
    part, coverage, remarks = transform.apply(fewer, ["p9"])
    share = counts[:8, largest] / counts[:8].sum(axis=1)
    assert remarks[0] == (
        "",
        "expression",
        "",
        "library size",
        f"1 of 30 training genes are not in this matrix; they held {share.mean():.1%} of the training reads, "
        "and library sizes are estimated from the other genes",
    )
    assert coverage.tolist() == [29 / 30]
    own = counts[9, largest] / counts[9].sum()
    shift = np.log2((1 - share.mean()) / (1 - own)) / transform.sd
    np.testing.assert_allclose((part - whole)[0, keep], shift[keep], atol=1e-3)


def test_more_genes_at_prediction_change_nothing(counts: np.ndarray) -> None:
    transform = fit(data_of(counts))
    more = np.concatenate([np.full((10, 1), 1e5), counts], axis=1)
    values, _, remarks = transform.apply(
        data_of(more, genes=["NEW", *(f"G{c}" for c in range(30))]),
        TRAIN,
    )
    np.testing.assert_array_equal(values, transform.apply(data_of(counts), TRAIN)[0])
    assert remarks == []


@pytest.mark.parametrize("unit", ["tpm", "fpkm"])
def test_other_linear_units_are_read_as_log2(counts: np.ndarray, unit: str) -> None:
    transform = fit(data_of(counts, unit), expression_scaling="none")
    values, _, _ = transform.apply(data_of(counts, unit), TRAIN)
    np.testing.assert_allclose(values, np.log2(counts[:8] + 1), rtol=1e-6)
    again = ExpressionTransform.from_state(*transform.state())
    assert again.apply(data_of(counts, unit), TRAIN)[0].tobytes() == values.tobytes()


def test_it_is_kept_in_the_state(counts: np.ndarray) -> None:
    transform = fit(data_of(counts), expression_components=3)
    again = ExpressionTransform.from_state(*transform.state())
    before = transform.apply(data_of(counts), TRAIN)[0]
    assert again.apply(data_of(counts), TRAIN)[0].tobytes() == before.tobytes()


def test_a_linear_scale_can_be_kept_and_a_state_of_old_kept_it(
    counts: np.ndarray,
) -> None:
    transform = fit(data_of(counts), expression_log=False, expression_scaling="none")
    assert transform.notes == (
        "expression: raw counts are read as they are: they carry each sample's depth",
    )
    values, _, _ = transform.apply(data_of(counts), TRAIN)
    np.testing.assert_array_equal(values, counts[:8])
    about, tensors = transform.state()
    assert "log_scale" not in about
    assert "library_share" not in tensors
    old = ExpressionTransform.from_state(about, tensors)
    np.testing.assert_array_equal(old.apply(data_of(counts), TRAIN)[0], counts[:8])


def test_checks_compare_samples_on_the_log_scale(counts: np.ndarray) -> None:
    np.testing.assert_allclose(data_of(counts).log_values(), logged(counts), rtol=1e-6)
    vst = data_of(counts, "vst")
    np.testing.assert_array_equal(vst.log_values(), vst.values())
    one = replace(data_of(counts), patients=("p3",))
    np.testing.assert_allclose(one.log_values(), logged(counts)[3:4], rtol=1e-6)
