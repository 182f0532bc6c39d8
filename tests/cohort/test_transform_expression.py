from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from survfuse._errors import TransformError
from survfuse.cohort import ExpressionData
from survfuse.cohort.gene_choice import read_gene_list, read_gmt
from survfuse.cohort.transform_expression import ExpressionTransform
from survfuse.config import FitConfig
from survfuse.readers.expression import Expression

TRAIN = tuple(f"p{row}" for row in range(8))


def data_of(
    values: Any,
    genes: list[str] | None = None,
    unit: str = "vst",
) -> ExpressionData:
    matrix = np.asarray(values, np.float32)
    names = tuple(genes or [f"G{column}" for column in range(matrix.shape[1])])
    patients = tuple(f"p{row}" for row in range(len(matrix)))
    expression = Expression(matrix, names, patients, unit, "symbol", "memory", "")
    return ExpressionData("expression", expression, patients)


def random_data(patients: int = 10, genes: int = 30, seed: int = 0) -> ExpressionData:
    generator = np.random.default_rng(seed)
    factor = generator.normal(size=(patients, 2)) @ generator.normal(size=(2, genes))
    return data_of(7 + factor + 0.3 * generator.normal(size=(patients, genes)))


def fit(data: ExpressionData, **config: Any) -> ExpressionTransform:
    return ExpressionTransform.fit(
        data,
        TRAIN,
        FitConfig(**{"expression_components": None, **config}),
    )


def test_genes_are_standardised_on_training_patients() -> None:
    data = random_data()
    values, coverage, remarks = fit(data).apply(data, TRAIN)
    np.testing.assert_allclose(values.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(values.std(axis=0), 1, rtol=1e-5)
    assert coverage.tolist() == [1.0] * 8
    assert remarks == []


def test_components_are_those_of_the_covariance() -> None:
    data = random_data()
    transform = fit(data, expression_components=3)
    scaled = fit(data).apply(data, TRAIN)[0].astype(np.float64)
    eigenvalues, axes = np.linalg.eigh(scaled.T @ scaled)
    scores = scaled @ axes[:, ::-1][:, :3] / np.sqrt(eigenvalues[-1] / 8)
    values, _, _ = transform.apply(data, TRAIN)
    np.testing.assert_allclose(np.abs(values), np.abs(scores), atol=1e-4)
    assert values[:, 0].std() == pytest.approx(1, rel=1e-5)
    assert transform.components is not None
    strongest = np.abs(transform.components).argmax(axis=1)
    assert (transform.components[np.arange(3), strongest] > 0).all()


def test_few_patients_give_few_components() -> None:
    transform = fit(random_data(), expression_components=32)
    assert len(transform.features) == 7
    assert transform.notes == (
        "expression: 7 components, not 32: 8 training patients give no more",
    )


def test_the_most_variable_genes_are_kept_in_file_order() -> None:
    values = np.tile(np.arange(8.0)[:, None], (1, 4)) * [1, 5, 2, 5]
    transform = fit(data_of(values), expression_top=2)
    assert transform.genes == ("G1", "G3")
    assert fit(data_of(values), expression_top=1).genes == ("G1",)  # a tie goes by name


def test_a_gene_list_chooses(tmp_path: Path) -> None:
    path = tmp_path / "genes.txt"
    path.write_text("# mine\nG3\nG1\n\nTP53\n")
    transform = fit(random_data(), expression_genes=path)
    assert transform.genes == ("G1", "G3")
    assert transform.notes == ("expression: 1 listed genes are not measured: TP53",)
    path.write_text("ENSG0001\n")
    with pytest.raises(
        TransformError,
        match=r"none of its 1 genes \(ENSG0001\) is measured",
    ):
        fit(random_data(), expression_genes=path)
    path.write_text("\n")
    with pytest.raises(TransformError, match="names no gene"):
        read_gene_list(path)


def test_gene_sets_are_mean_z_scores(tmp_path: Path) -> None:
    path = tmp_path / "sets.gmt"
    path.write_text(
        "A\turl\tG0\tG1\tG2\tG3\tG4\tTP53\nB\turl\tG5\tG6\nC\turl\t"
        + "\t".join(f"G{i}" for i in range(9)),
    )
    data = random_data()
    transform = fit(data, expression_gene_sets=path)
    assert transform.features == ("A", "C")
    assert transform.notes == (
        "expression: gene sets with under 5 measured genes dropped: B",
    )
    genes = fit(data).apply(data, TRAIN)[0]
    expected = np.stack([genes[:, :5].mean(axis=1), genes[:, :9].mean(axis=1)], axis=1)
    np.testing.assert_allclose(transform.apply(data, TRAIN)[0], expected, atol=1e-6)
    about, tensors = transform.state()
    again = ExpressionTransform.from_state(about, tensors)
    assert (
        again.apply(data, TRAIN)[0].tobytes()
        == transform.apply(data, TRAIN)[0].tobytes()
    )


def test_gene_sets_to_be_weighed_come_as_their_genes(tmp_path: Path) -> None:
    path = tmp_path / "sets.gmt"
    path.write_text(
        "A\turl\tG8\tG1\tG2\tG3\tG4\nB\turl\tG5\tG6\nC\turl\tG1\tG3\tG7\tG8\tG4",
    )
    data = random_data()
    transform = fit(
        data,
        expression_gene_sets=path,
        expression_encoder="gene_set",
        fusion="concat",
    )
    assert transform.features == transform.genes == ("G1", "G2", "G3", "G4", "G7", "G8")
    assert transform.set_names == ("A", "C")
    assert transform.members == ((0, 1, 2, 3, 5), (0, 2, 3, 4, 5))
    genes = fit(data).apply(data, TRAIN)[0]
    values = transform.apply(data, TRAIN)[0]
    np.testing.assert_array_equal(values, genes[:, [1, 2, 3, 4, 7, 8]])
    again = ExpressionTransform.from_state(*transform.state())
    assert again.members == transform.members
    assert again.apply(data, TRAIN)[0].tobytes() == values.tobytes()
    averaged = fit(data, expression_gene_sets=path)
    assert averaged.members == ()
    assert "set_names" not in averaged.state()[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("A\turl", "line 1: expected NAME<tab>DESCRIPTION<tab>GENE"),
        ("A\tu\tG1\nA\tu\tG2", "line 2: gene set 'A' appears twice"),
        ("A\tu\tX\tY", "none of its gene sets has 5 genes"),
        ("\n", "holds no gene set"),
    ],
)
def test_a_wrong_gene_set_file_is_refused(
    tmp_path: Path,
    text: str,
    message: str,
) -> None:
    path = tmp_path / "sets.gmt"
    path.write_text(text)
    with pytest.raises(TransformError, match=message):
        fit(random_data(), expression_gene_sets=path)
    with pytest.raises(TransformError, match="no such file"):
        read_gmt(tmp_path / "absent.gmt")


def test_missing_genes_take_the_training_mean_and_are_reported() -> None:
    data = random_data()
    transform = fit(data, expression_min_coverage=0.5)
    values = np.array(data.expression.values)
    values[9, :6] = np.nan
    fewer = data_of(values[:, :27])
    vector, coverage, remarks = transform.apply(fewer, ["p8", "p9"])
    assert coverage.tolist() == [0.9, 0.7]
    np.testing.assert_allclose(vector[:, 27:], 0, atol=1e-7)
    assert remarks[1] == (
        "p9",
        "expression",
        "",
        "missing genes",
        "9 of 30 genes; training means used",
    )
    with pytest.raises(
        TransformError,
        match=r"1 patient\(s\) have too few of the 30 training genes: p9 \(70.0%\)",
    ):
        fit(data).apply(fewer, ["p8", "p9"])


def test_genes_may_come_in_another_order() -> None:
    data = random_data()
    transform = fit(data, expression_components=3)
    order = np.random.default_rng(1).permutation(30)
    shuffled = data_of(data.expression.values[:, order], [f"G{i}" for i in order])
    assert (
        transform.apply(shuffled, TRAIN)[0].tobytes()
        == transform.apply(data, TRAIN)[0].tobytes()
    )


def test_constant_and_unmeasured_genes_are_dropped_and_noted() -> None:
    values = np.array(random_data().expression.values)
    values[:, 0] = 3.7
    values[:8, 1] = np.nan
    values[0, 2] = np.nan
    transform = fit(data_of(values))
    assert transform.genes[0] == "G2"
    assert transform.notes == (
        "expression: 1 genes without any training value dropped: G1",
        "expression: 1 genes constant in training dropped: G0",
    )
    assert transform.apply(data_of(values), TRAIN)[0][0, 0] == 0
    with pytest.raises(
        TransformError,
        match="no gene varies among the 8 training patients",
    ):
        fit(data_of(np.ones((8, 3))))


def test_another_unit_is_refused() -> None:
    transform = fit(random_data())
    with pytest.raises(
        TransformError,
        match="trained on unit 'vst', this cohort has 'tpm'; convert it",
    ):
        transform.check(data_of(np.ones((2, 30)), unit="tpm"))


def test_published_z_scores_are_read_without_their_long_tails() -> None:
    plain = random_data().expression.values - 7
    far = plain.copy()
    far[9, 0] = 7000  # not a training patient
    data = data_of(far, unit="zscore")
    transform = fit(data)
    values, _, _ = transform.apply(data, data.patients)
    assert np.abs(values).max() < 20
    again = ExpressionTransform.from_state(*transform.state())
    np.testing.assert_array_equal(again.apply(data, data.patients)[0], values)
    logged = data_of(far, unit="vst")
    assert fit(logged).tails is None
    unlimited = fit(logged, expression_clip=None)
    assert np.abs(unlimited.apply(logged, data.patients)[0]).max() > 1000


def test_no_gene_is_further_from_training_than_the_limit() -> None:
    values = random_data().expression.values.copy()
    values[9, 0] = 1e6
    data = data_of(values)
    free, limited = fit(data, expression_clip=None), fit(data, expression_clip=3.0)
    assert limited.clip == 3
    assert free.clip is None
    far, near = (one.apply(data, data.patients)[0] for one in (free, limited))
    np.testing.assert_allclose(near, np.clip(far, -3, 3), rtol=1e-6)
    again = ExpressionTransform.from_state(*limited.state())
    np.testing.assert_array_equal(again.apply(data, data.patients)[0], near)


def test_a_patient_with_many_genes_limited_is_remarked() -> None:
    values = random_data().expression.values.copy()
    values[9] += 1000
    data = data_of(values)
    remarks = fit(data).apply(data, data.patients)[2]
    genes = values.shape[1]
    detail = f"{genes} of {genes} genes limited to 5 deviations"
    assert (data.patients[9], data.name, "", "far from training", detail) in remarks


def test_a_damaged_limit_is_refused() -> None:
    state, arrays = fit(random_data()).state()
    with pytest.raises(TransformError, match="clip must be a number > 0, got -1"):
        ExpressionTransform.from_state({**state, "clip": -1}, arrays)
