"""Units: what contradicts them, what is doubtful, and the log scale of linear ones."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from survfuse._errors import InputError
from survfuse.readers.units import LINEAR, UNITS, check_unit, log_scale, usual_share

FILE = Path("rna.csv")


def matrices(patients: int, genes: int, seed: int = 0) -> dict[str, np.ndarray]:
    """One experiment in every unit: reads of genes of very different abundance and length."""
    rng = np.random.default_rng(seed)
    mean = np.exp(rng.normal(3, 2, genes)) * np.exp(
        0.5 * rng.normal(size=(patients, genes)),
    )
    counts = rng.poisson(mean * np.exp(rng.normal(0, 0.3, (patients, 1)))).astype(float)
    rate = counts / np.exp(rng.normal(7.5, 0.7, genes))
    tpm = rate / rate.sum(axis=1, keepdims=True) * 1e6
    fpkm = rate / counts.sum(axis=1, keepdims=True) * 1e9
    log2tpm = np.log2(tpm + 1)
    varies = log2tpm.std(axis=0) > 0
    return {
        "counts": counts,
        "tpm": tpm,
        "fpkm": fpkm,
        "log2tpm": log2tpm,
        "log2counts": np.log2(counts + 1),
        "log2fpkm": np.log2(fpkm + 1),
        "vst": np.log2(counts + 9),
        "zscore": (
            (log2tpm - log2tpm.mean(axis=0)) / np.where(varies, log2tpm.std(axis=0), 1)
        )[:, varies],
    }


@pytest.mark.parametrize("genes", [20, 300])
def test_linear_log_and_standardised_units_are_told_apart_in_both_directions(
    genes: int,
) -> None:
    kinds = {"zscore": "scores", **dict.fromkeys(LINEAR, "linear")}
    for truth, values in matrices(30, genes).items():
        check_unit(values, truth, FILE)
        for declared in UNITS:
            if kinds.get(declared, "log") != kinds.get(truth, "log"):
                with pytest.raises(
                    InputError,
                    match=rf"^rna.csv: declared {declared}, but .*; correct `unit`",
                ):
                    check_unit(values, declared, FILE)


@pytest.mark.parametrize(
    ("declared", "truth", "complaint"),
    [
        (
            "counts",
            "tpm",
            "values are fractions and every patient adds up to a million; looks like TPM",
        ),
        (
            "counts",
            "log2tpm",
            "no value is large, as many genes' would be; looks like a log scale",
        ),
        ("counts", "zscore", "values are negative; looks like a log or z-score"),
        ("tpm", "counts", "every value is a whole number; looks like counts"),
        ("tpm", "log2tpm", "looks like a log scale"),
        ("fpkm", "counts", "every value is a whole number; looks like counts"),
        ("log2tpm", "tpm", "values are beyond any logarithm; looks like counts or TPM"),
        (
            "log2tpm",
            "zscore",
            r"genes have mean 0 and deviation 1; looks like z-scores",
        ),
        ("vst", "zscore", "of values are negative; looks like z-scores"),
        ("zscore", "log2tpm", "values are never negative; looks unstandardised"),
    ],
)
def test_a_contradiction_names_what_it_looks_like(
    declared: str,
    truth: str,
    complaint: str,
) -> None:
    with pytest.raises(InputError, match=complaint):
        check_unit(matrices(30, 300)[truth], declared, FILE)


def test_shallow_counts_are_no_logarithms() -> None:
    few = np.random.default_rng(0).poisson(2, (20, 50)).astype(float)
    for unit in ("log2tpm", "vst"):
        with pytest.raises(
            InputError,
            match="every value is a whole number; looks like counts",
        ):
            check_unit(few, unit, FILE)
    assert (
        "library sizes are sums over 50 genes only"
        in check_unit(few, "counts", FILE)[0]
    )


def test_a_log_scale_with_negative_values_is_no_score() -> None:
    assert check_unit(np.log2(matrices(30, 300)["tpm"] + 0.001), "log2tpm", FILE) == []
    values = matrices(30, 300)["vst"]
    values = values[:, values.min(axis=0) > 5] - 5.1
    assert (values < 0).any()
    with pytest.raises(
        InputError,
        match="genes lie far from 0; looks like a log scale",
    ):
        check_unit(values, "zscore", FILE)


def test_part_of_a_standardised_cohort_has_scores_still() -> None:
    values = matrices(60, 300)["zscore"]
    for part in (values[:15], values[40:]):
        assert check_unit(part, "zscore", FILE) == []
        with pytest.raises(InputError, match="looks like z-scores"):
            check_unit(part, "log2tpm", FILE)


@pytest.mark.parametrize(
    ("declared", "change", "doubt"),
    [
        (
            "counts",
            lambda of: of["counts"] + np.where(of["counts"] > 50, 0.5, 0),
            "taken as expected counts",
        ),
        (
            "counts",
            lambda of: np.round(of["tpm"]),
            "every patient adds up to a million: TPM or CPM",
        ),
        (
            "tpm",
            lambda of: of["tpm"][:, :150],
            r"patients sum to .* a part of the genes\?",
        ),
        ("fpkm", lambda of: of["tpm"], r"every patient adds up to a million: TPM\?"),
        (
            "tpm",
            lambda of: np.minimum(of["tpm"][:, :30] / 400, 39.5),
            r"no value is above .*: a log scale\?",
        ),
        (
            "log2tpm",
            lambda of: of["log2counts"] + 12,
            r"2\^x - 1 adds up to .* in a patient, TPM to a million",
        ),
        (
            "log2tpm",
            lambda of: of["zscore"][:3] * 3,
            "of values are negative: z-scores, or a small number",
        ),
        (
            "zscore",
            lambda of: of["zscore"] + 1.2,
            r"half of the genes have a mean at least 1\.2 deviations",
        ),
    ],
)
def test_what_is_unusual_is_a_doubt(declared: str, change: object, doubt: str) -> None:
    assert callable(change)
    (said,) = check_unit(change(matrices(30, 300)), declared, FILE)
    assert said.startswith(f"declared {declared}, but ")
    assert re.search(doubt, said), said


def test_nothing_is_concluded_from_few_values() -> None:
    few = np.array([[1.0, 2.0], [3.0, np.nan]])
    for unit in UNITS:
        if unit not in ("counts", "tpm"):
            assert check_unit(few, unit, FILE) == []
    assert check_unit(np.full((2, 3), np.nan), "tpm", FILE) == []


# -- the log scale


def test_counts_become_log2_cpm() -> None:
    counts = np.array([[0.0, 10.0, 90.0], [1.0, 1.0, 2.0]])
    expected = np.log2(counts / [[100], [4]] * 1e6 + 1)
    np.testing.assert_array_equal(log_scale(counts, "counts"), expected)
    np.testing.assert_allclose(
        log_scale(counts, "counts", usual_share(counts)),
        expected,
        rtol=1e-15,
    )


@pytest.mark.parametrize("unit", ["tpm", "fpkm"])
def test_other_linear_units_become_log2(unit: str) -> None:
    values = np.array([[0.0, 3.0, np.nan]])
    np.testing.assert_array_equal(log_scale(values, unit), [[0, 2, np.nan]])


@pytest.mark.parametrize("unit", sorted(set(UNITS) - set(LINEAR)))
def test_log_units_stay(unit: str) -> None:
    values = np.array([[-1.0, 3.0]])
    assert log_scale(values, unit) is values


def test_depth_changes_nothing_and_one_patient_does_not_touch_another() -> None:
    counts = matrices(12, 50)["counts"]
    share = usual_share(counts)
    whole = log_scale(counts, "counts", share)
    deeper = counts.copy()
    deeper[3] *= 7
    np.testing.assert_allclose(log_scale(deeper, "counts", share), whole, rtol=1e-12)
    np.testing.assert_array_equal(log_scale(counts[3:4], "counts", share), whole[3:4])


def test_a_missing_count_does_not_make_the_others_larger() -> None:
    share = np.array([0.5, 0.3, 0.2])
    counts = np.array([[50.0, 30.0, 20.0], [np.nan, 30.0, 20.0]])
    logs = log_scale(counts, "counts", share)
    np.testing.assert_allclose(logs[1, 1:], logs[0, 1:], rtol=1e-12)
    assert np.isnan(logs[1, 0])
    np.testing.assert_allclose(usual_share(counts[:1]), share)


@pytest.mark.parametrize(("base", "factor"), [(np.e, "1.442695"), (10, "3.321928")])
@pytest.mark.parametrize("unit", ["log2tpm", "log2counts", "vst"])
def test_logarithms_of_another_base_are_refused_and_the_hint_mends_them(
    base,
    factor,
    unit,
):
    tpm = matrices(30, 300)["tpm"]
    given = np.log(tpm + 1) / np.log(base)
    with pytest.raises(
        InputError,
        match=f"logarithms: multiply all values by {factor}",
    ):
        check_unit(given, unit, FILE)
    assert check_unit(given * float(factor), unit, FILE) == []


def test_quantile_normalised_logarithms_are_taken():
    values = np.sort(np.log2(matrices(30, 300)["tpm"] + 1), axis=1).mean(axis=0)
    rng = np.random.default_rng(0)
    assert (
        check_unit(
            np.array([rng.permutation(values) for _ in range(30)]),
            "log2tpm",
            FILE,
        )
        == []
    )
