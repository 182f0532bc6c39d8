from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from builders import CohortFiles, cohort_files, patient_ids
from running import loaded
from survfuse._errors import InputError, TransformError
from survfuse._storage import read_tensors, to_json, write_tensors
from survfuse.cohort import BatchSource, Cohort, ExpressionData, PriorData, Transforms
from survfuse.cohort.drift import Drift
from survfuse.cohort.transform_prior import PriorTransform
from survfuse.config import FitConfig
from survfuse.readers.expression import Expression
from survfuse.readers.priors import USUAL_SLOPE, USUAL_SPREAD, Prior

TRAIN = patient_ids(12)
CONFIG = FitConfig.of(modalities=("pan",))


def hand_made(**fields: Any) -> Prior:
    """Two genes of the small cohort and one that it lacks."""
    genes = ("GENE1", "gene2", "ABSENT")
    weights = np.array([0.5, -1.0, 2.0])
    return Prior("pan", "symbol", genes, weights, **fields)


@pytest.fixture
def rna(tmp_path: Path) -> CohortFiles:
    """A small cohort of clinical variables and expression, not yet written."""
    return cohort_files(tmp_path, modalities=("clinical", "expression"))


@pytest.fixture
def cohort(rna: CohortFiles) -> Cohort:
    """The same with a prior."""
    return loaded(rna).with_prior(hand_made(slope=0.3, slope_spread=0.1, limit=2.0))


def again(
    transforms: Transforms,
    change: Callable[[dict[str, Any], dict[str, Any]], None] = lambda _, __: None,
) -> Transforms:
    """Save and read transforms, changed in between."""
    about, tensors = transforms.state()
    about = json.loads(to_json(about))
    change(about["modalities"][0]["state"], tensors)
    return Transforms.from_state(about, tensors)


def test_the_risk_is_the_weighted_sum_of_z_scores_of_the_training_patients(
    rna: CohortFiles,
    cohort: Cohort,
) -> None:
    assert rna.expression is not None
    transforms = Transforms.fit(cohort, TRAIN, CONFIG)
    assert transforms.kinds == {"pan": "prior"}
    assert transforms.feature_names == {"pan": ("risk",)}
    values = rna.expression.to_numpy(np.float32).astype(np.float64)
    first, second = values[:, 0], values[:, 1]
    scores = []
    for gene in (first, second):
        z = np.clip((gene - gene[:12].mean()) / gene[:12].std(), -2, 2)
        scores.append((z - z[:12].mean()) / z[:12].std())
    risk = 0.5 * scores[0] - scores[1]
    expected = (risk - risk[:12].mean()) / risk[:12].std()
    prepared = transforms.apply(cohort)
    np.testing.assert_allclose(prepared.vectors["pan"][:, 0], expected, rtol=1e-5)
    np.testing.assert_array_equal(prepared.coverage["pan"], 1)
    assert prepared.report.empty
    prior = transforms.priors["pan"]
    assert prior.slope == pytest.approx(0.3 * (1.25 / 5.25) ** 0.5)
    assert prior.slope_spread == 0.1
    assert prior.notes == (
        "pan: 1 gene(s) have the same name but for letter case, version or punctuation, and are "
        "taken for the same: GENE2 for gene2",
        "pan: 2 of 3 genes of prior 'pan', which hold 24% of its squared weights",
    )
    assert transforms.notes == prior.notes


def test_the_risk_of_four_patients_by_hand() -> None:
    """A has mean 2 and deviation 1, B 2 and 2; the risks -3, 3, -1, 1 have deviation √5."""
    values = np.array([[1, 0], [3, 4], [3, 0], [1, 4], [4, 2], [2, np.nan]], np.float32)
    ids = tuple("abcdef")
    matrix = Expression(values, ("A", "B"), ids, "zscore", "symbol", "", "")
    prior = Prior("hand", "symbol", ("A", "B"), np.array([1.0, 2.0]))
    data = PriorData.of_genes("hand", prior, ExpressionData("rna", matrix, ids))
    fitted = PriorTransform.fit(data, ids[:4], 0.0)
    assert (fitted.mean, fitted.sd) == (0, pytest.approx(5**0.5))
    rows, coverage, remarks = fitted.apply(data, ids)
    np.testing.assert_allclose(rows[:, 0] * 5**0.5, [-3, 3, -1, 1, 2, 0], rtol=1e-6)
    assert coverage is not None
    assert coverage.tolist() == [1, 1, 1, 1, 1, 0.2]
    detail = "80.0% of the squared weights; training means used"
    assert remarks == [("f", "hand", "", "missing genes", detail)]


def test_columns_are_standardised_by_the_training_patients(
    clinical: CohortFiles,
) -> None:
    clinical.patients["points"] = [0, 10, *[""] * 8, *[5] * 10]
    clinical.spec["clinical"]["columns"]["points"] = {"role": "prior_risk"}
    cohort = loaded(clinical)
    config = FitConfig.of(modalities=("points",))
    transforms = Transforms.fit(cohort, ["001", "002", "003"], config)
    prepared = transforms.apply(cohort, ["002", "001", "003", "020"])
    assert prepared.vectors["points"][:, 0].tolist() == [1, -1, 0, 0]
    assert prepared.present["points"].tolist() == [True, True, False, True]
    assert prepared.coverage == {}
    prior = again(transforms).priors["points"]
    assert (prior.mean, prior.sd) == (5, 5)
    assert (prior.slope, prior.slope_spread) == (USUAL_SLOPE, USUAL_SPREAD)
    assert prior.genes is None


def test_z_scores_are_limited_as_those_that_the_prior_was_fitted_on() -> None:
    """Of 0, 0, 0, 0, 5 the z-scores are -1/2 and 2; limited to 1 they are -1/2 and 1."""
    values = np.array([[0], [0], [0], [0], [5], [11], [np.nan]], np.float32)
    ids = tuple("abcdefg")
    matrix = Expression(values, ("A",), ids, "zscore", "symbol", "", "")
    weights = np.array([2.0])
    rows = {}
    for limit in (None, 1.0):
        prior = Prior("hand", "symbol", ("A",), weights, limit=limit)
        data = PriorData.of_genes("hand", prior, ExpressionData("rna", matrix, ids))
        fitted = PriorTransform.fit(data, ids[:5], 0.0)
        rows[limit] = fitted.apply(data, ids)[0][:, 0]
        assert fitted.genes is not None
        assert fitted.genes.limited_mean == pytest.approx(0 if limit is None else -0.2)
        assert fitted.genes.limited_sd == pytest.approx(1 if limit is None else 0.6)
    np.testing.assert_allclose(rows[None], [*[-0.5] * 4, 2, 5, 0], rtol=1e-6)
    np.testing.assert_allclose(rows[1.0], [*[-0.5] * 4, 2, 2, 0], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("limit", [None, 2.0])
@pytest.mark.parametrize("unit", ["log2tpm", "tpm", "counts"])
def test_what_is_saved_gives_the_same_bits(
    rna: CohortFiles,
    tmp_path: Path,
    unit: str,
    limit: float | None,
) -> None:
    assert rna.expression is not None
    if unit != "log2tpm":
        rna.expression = (2**rna.expression).round(0 if unit == "counts" else 4)
        rna.spec["expression"]["unit"] = unit
        if unit == "tpm":
            rna.expression = rna.expression.mul(
                1e6 / rna.expression.sum(axis=1), axis=0
            )
    prior = hand_made(patients=frozenset({"a" * 64}), limit=limit)
    cohort = loaded(rna).with_prior(prior)
    transforms = Transforms.fit(cohort, TRAIN, CONFIG)
    about, tensors = transforms.state()
    write_tensors(tmp_path / "t.safetensors", tensors, {})
    read = Transforms.from_state(
        json.loads(to_json(about)),
        read_tensors(tmp_path / "t.safetensors")[0],
    )
    first, second = transforms.apply(cohort), read.apply(cohort)
    assert first.vectors["pan"].tobytes() == second.vectors["pan"].tobytes()
    assert np.ptp(first.vectors["pan"]) > 1
    assert read.notes == transforms.notes
    genes = read.priors["pan"].genes
    assert genes is not None
    assert genes.prior.patients == {"a" * 64}
    assert genes.prior.limit == limit
    assert (genes.scale is None) == (unit == "log2tpm")


def test_counts_are_read_on_a_log_scale(rna: CohortFiles) -> None:
    assert rna.expression is not None
    rna.expression = (2**rna.expression).round()
    rna.spec["expression"]["unit"] = "counts"
    cohort = loaded(rna).with_prior(hand_made())
    before = Transforms.fit(cohort, TRAIN, CONFIG).apply(cohort).vectors["pan"]
    # half the depth of one sample is no risk
    rna.expression.loc["020"] *= 2
    cohort = loaded(rna).with_prior(hand_made())
    after = Transforms.fit(cohort, TRAIN, CONFIG).apply(cohort).vectors["pan"]
    np.testing.assert_allclose(before, after, atol=1e-5)


def test_test_patients_change_nothing_that_is_learned(rna: CohortFiles) -> None:
    assert rna.expression is not None
    states = []
    for shift in (0, 5):
        rna.expression.loc[patient_ids(20)[12:]] += shift
        cohort = loaded(rna).with_prior(hand_made())
        transforms = Transforms.fit(cohort, TRAIN, CONFIG)
        about, tensors = transforms.state()
        states.append(to_json([about, {k: v.tolist() for k, v in tensors.items()}]))
    assert states[0] == states[1]
    rna.expression.loc["001"] += 1
    cohort = loaded(rna).with_prior(hand_made())
    about, tensors = Transforms.fit(cohort, TRAIN, CONFIG).state()
    assert to_json([about, {k: v.tolist() for k, v in tensors.items()}]) != states[0]


def test_a_gene_that_is_missing_counts_as_the_mean(rna: CohortFiles) -> None:
    cohort = loaded(rna).with_prior(hand_made())
    transforms = Transforms.fit(cohort, TRAIN, CONFIG)
    assert rna.expression is not None
    # the mean of training, which no rounding to float32 may change much
    rna.expression["GENE1"] = rna.expression["GENE1"].iloc[:12].mean()
    mean = transforms.apply(loaded(rna)).vectors["pan"]
    del rna.expression["GENE1"]
    less = transforms.apply(loaded(rna))
    np.testing.assert_allclose(less.vectors["pan"], mean, atol=1e-5)
    np.testing.assert_allclose(less.coverage["pan"], 0.8)
    missing = less.report[less.report["kind"] == "missing genes"]
    assert len(missing) == 20
    assert (
        missing["detail"].iloc[0] == "20.0% of the squared weights; training means used"
    )
    rna.expression["GENE1"] = 1.0
    del rna.expression["GENE2"]
    with pytest.raises(
        TransformError,
        match=r"pan: 20 patient\(s\) have too few of the 2 genes that training had \(GENE1, "
        r"GENE2\).* 001 \(20.0%\).*at least 80% are needed \(expression_min_coverage\)",
    ):
        transforms.apply(loaded(rna))
    lenient = FitConfig.of(modalities=("pan",), expression_min_coverage=0.1)
    fitted = Transforms.fit(cohort, TRAIN, lenient)
    assert np.isfinite(fitted.apply(loaded(rna)).vectors["pan"]).all()


def test_a_cohort_that_does_not_name_the_prior_has_it_by_its_genes(
    rna: CohortFiles,
    cohort: Cohort,
) -> None:
    plain = loaded(rna)
    transforms = again(Transforms.fit(cohort, TRAIN, FitConfig()))
    assert transforms.modalities == ("clinical", "expression", "pan")
    named, unnamed = transforms.apply(cohort), transforms.apply(plain)
    for name, values in named.vectors.items():
        assert values.tobytes() == unnamed.vectors[name].tobytes()
        np.testing.assert_array_equal(named.present[name], unnamed.present[name])
    without = {k: v for k, v in plain.modalities.items() if k != "expression"}
    absent = transforms.apply(replace(plain, modalities=without))
    assert not absent.present["pan"].any()
    assert not absent.vectors["pan"].any()
    assert np.isnan(absent.coverage["pan"]).all()


def test_a_bundle_keeps_its_weights_where_a_cohort_names_others(
    rna: CohortFiles,
    cohort: Cohort,
) -> None:
    transforms = Transforms.fit(cohort, TRAIN, CONFIG)
    same = loaded(rna).with_prior(hand_made(slope=0.9))
    assert transforms.apply(same).report.empty
    weights = np.array([3.0, -1.0, 2.0])
    other = loaded(rna).with_prior(replace(hand_made(), weights=weights))
    prepared, before = transforms.apply(other), transforms.apply(cohort)
    assert prepared.vectors["pan"].tobytes() == before.vectors["pan"].tobytes()
    (remark,) = prepared.report.itertuples(index=False)
    assert remark.kind == "weights"
    assert remark.detail == (
        "prior 'pan' of this cohort has others; those of training are used"
    )


def test_a_prior_that_is_lost_is_not_computed_again(cohort: Cohort) -> None:
    transforms = Transforms.fit(cohort, TRAIN, FitConfig())
    data = cohort.modalities["pan"].subset(())
    lost = replace(cohort, modalities={**cohort.modalities, "pan": data})
    prepared = transforms.apply(lost)
    assert not prepared.present["pan"].any()
    assert prepared.present["expression"].all()


def test_another_kind_of_risk_or_matrix_is_refused(
    rna: CohortFiles,
    cohort: Cohort,
) -> None:
    transforms = Transforms.fit(cohort, TRAIN, CONFIG)
    rna.patients["pan"] = range(20)
    rna.spec["clinical"]["columns"]["pan"] = {"role": "prior_risk"}
    column = loaded(rna)
    with pytest.raises(
        TransformError, match=r"was prior 'pan' of genes .* it is column 'pan'"
    ):
        transforms.apply(column)
    with pytest.raises(
        TransformError, match="was a column in training, here it is prior"
    ):
        Transforms.fit(column, TRAIN, CONFIG).apply(cohort)
    del rna.spec["clinical"]["columns"]["pan"]
    rna.spec["expression"]["unit"] = "vst"
    with pytest.raises(
        TransformError, match="unit 'log2tpm', expression of this cohort has 'v"
    ):
        transforms.apply(loaded(rna))


def test_a_risk_that_does_not_vary_cannot_be_learned_from(
    clinical: CohortFiles,
) -> None:
    clinical.patients["points"] = [1] * 12 + [2] * 8
    clinical.spec["clinical"]["columns"]["points"] = {"role": "prior_risk"}
    cohort = loaded(clinical)
    with pytest.raises(
        TransformError, match="points: the risk does not vary among the 12"
    ):
        Transforms.fit(cohort, TRAIN, FitConfig())


def test_genes_that_do_not_vary_are_left_out(rna: CohortFiles) -> None:
    assert rna.expression is not None
    rna.expression.loc[TRAIN, "GENE1"] = 1.0
    transforms = Transforms.fit(loaded(rna).with_prior(hand_made()), TRAIN, CONFIG)
    genes = transforms.priors["pan"].genes
    assert genes is not None
    assert genes.prior.genes == ("GENE2",)
    assert transforms.notes[1:] == (
        "pan: 1 genes constant in training dropped: GENE1",
        "pan: 1 of 3 genes of prior 'pan', which hold 19% of its squared weights",
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda s, _: s.update(sd=0.0),
            "sd, slope and slope_spread: expected numbers above 0",
        ),
        (lambda s, _: s.update(slope_spread=0), "slope_spread: expected numbers above"),
        (lambda s, _: s.update(slope=-0.1), "slope_spread: expected numbers above 0"),
        (lambda s, _: s.update(mean="1"), "mean: expected a finite number, got '1'"),
        (
            lambda s, _: s.update(slope=None),
            "slope: expected a finite number, got None",
        ),
        (lambda s, _: s["genes"].update(genes=["A", "A"]), "expected genes, each once"),
        (lambda s, _: s["genes"].update(gene_ids="x"), "expected genes, each once, by"),
        (lambda s, _: s["genes"].update(min_coverage=2.0), "min_coverage as a share"),
        (
            lambda s, _: s["genes"].update(limit=0),
            "limit: expected a number above 0 or",
        ),
        (
            lambda s, _: s["genes"].update(limit="2"),
            "limit: expected a finite number, got",
        ),
        (lambda _, t: t["pan/limited_sd"].fill(0), "expected deviations above 0"),
        (lambda s, _: s["genes"].update(modality=3), "names: expected a list of texts"),
        (
            lambda s, _: s["genes"].update(patients="a"),
            "patients: expected a list of te",
        ),
        (lambda s, _: s["genes"].update(genes=["A"]), "'weights': expected 1 floats"),
        (lambda _, t: t.pop("pan/weights"), "array 'weights' is missing"),
        (lambda _, t: t["pan/sd"].fill(0), "expected deviations above 0"),
        (lambda _, t: t["pan/mean"].fill(np.nan), "holds NaN"),
    ],
)
def test_a_damaged_state_is_refused(
    cohort: Cohort,
    change: Callable[[dict[str, Any], dict[str, Any]], None],
    message: str,
) -> None:
    transforms = Transforms.fit(cohort, TRAIN, CONFIG)
    with pytest.raises(InputError, match=f"modality 'pan': .*{message}"):
        again(transforms, change)


def test_batches_and_drift_read_a_prior_as_a_table_of_one_column(
    cohort: Cohort,
) -> None:
    transforms = Transforms.fit(cohort, cohort.patients, CONFIG)
    source = BatchSource(cohort, transforms, cohort.patients)
    batch = source.batch([1, 0])
    assert batch.vectors["pan"].shape == (2, 1)
    drift = Drift.fit(source)
    assert list(drift.usual) == ["pan"]
    assert not drift.judge(source, None).outside["pan"].any()


def test_a_prior_learns_the_same_whatever_the_order_of_patients(cohort: Cohort) -> None:
    data: Any = cohort.modalities["pan"]
    forward = PriorTransform.fit(data, TRAIN, 0.5)
    backward = PriorTransform.fit(data, TRAIN[::-1], 0.5)
    assert forward.mean == pytest.approx(backward.mean, abs=1e-12)
    assert forward.sd == pytest.approx(backward.sd)


def test_a_risk_far_from_training_is_limited_and_remarked(
    rna: CohortFiles,
    cohort: Cohort,
) -> None:
    transforms = Transforms.fit(cohort, TRAIN, CONFIG)
    narrow = replace(transforms.priors["pan"], sd=1e-3)
    rows, _, remarks = narrow.apply(cohort.modalities["pan"], list(cohort.patients))
    assert np.abs(rows).max() == 5
    far = {remark[0] for remark in remarks if remark[3] == "far from training"}
    assert far == set(np.array(cohort.patients)[np.abs(rows[:, 0]) == 5])
