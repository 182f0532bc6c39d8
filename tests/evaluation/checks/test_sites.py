from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.decomposition import PCA

from builders import CohortFiles
from running import loaded, small
from survfuse.cohort.cohort import Cohort
from survfuse.evaluation.checks import Evidence
from survfuse.evaluation.checks.sites import (
    NO_GROUPS,
    _components,
    expression_has_one_scale,
    features_do_not_identify_groups,
    outcome_does_not_follow_groups,
)
from survfuse.survival.groups import log_rank

NORTH = "north"


def files_of(root: Path, patients: int = 60) -> CohortFiles:
    """Two sites of equal size, alternating in pairs; the third is tiny."""
    return small(root, patients=patients, spec={"groups": {"site": "site"}})


def at(files: CohortFiles, site: str) -> list[str]:
    return files.patients.loc[files.patients["site"] == site, "patient_id"].tolist()


def test_sites_that_live_equally_long_are_in_order(tmp_path: Path) -> None:
    found = outcome_does_not_follow_groups(Evidence(cohort=loaded(files_of(tmp_path))))
    assert found.status == "ok"
    assert found.evidence.startswith("site (2 groups): log-rank p 0.")


def test_sites_that_do_not_are_named_with_their_events(tmp_path: Path) -> None:
    files = files_of(tmp_path)
    north = files.patients["site"] == NORTH
    files.patients["os_days"] = np.where(
        north,
        files.patients["os_days"] // 10,
        files.patients["os_days"],
    )
    cohort = loaded(files)
    found = outcome_does_not_follow_groups(Evidence(cohort=cohort))
    assert found.status == "warning"
    assert cohort.outcome is not None
    test = log_rank(
        cohort.outcome["time"],
        cohort.outcome["event"],
        cohort.groups["site"],
    )
    assert (
        f"log-rank p {test.p:.2g}; north {test.observed[0]:g} events" in found.evidence
    )
    nobody = Evidence(
        cohort=replace(cohort, outcome=cohort.outcome.assign(event=False)),
    )
    assert outcome_does_not_follow_groups(nobody)[:2] == (
        "ok",
        "site: no event while patients of different groups were at risk",
    )


def test_small_groups_are_pooled_and_the_unknown_left_out(tmp_path: Path) -> None:
    files = files_of(tmp_path)
    files.patients["site"] = files.patients["site"].astype(object)
    files.patients.loc[:8, "site"] = "a"
    files.patients.loc[9:17, "site"] = "b"
    files.patients.loc[18:20, "site"] = ""
    found = outcome_does_not_follow_groups(Evidence(cohort=loaded(files)))
    assert "site (3 groups)" in found.evidence
    assert "2 small groups" in found.evidence
    alone = replace(
        loaded(files),
        groups=pd.DataFrame({"site": "x"}, index=loaded(files).groups.index),
    )
    assert (
        "compares at least two groups"
        in outcome_does_not_follow_groups(Evidence(cohort=alone)).evidence
    )


def test_without_groups_nothing_applies(cohort: Cohort) -> None:
    for check in (outcome_does_not_follow_groups, features_do_not_identify_groups):
        assert check(Evidence(cohort=cohort))[:2] == ("not applicable", NO_GROUPS)
    assert expression_has_one_scale(Evidence(cohort=cohort)).status == "not applicable"


def test_features_without_a_site_in_them_are_in_order(tmp_path: Path) -> None:
    found = features_do_not_identify_groups(Evidence(cohort=loaded(files_of(tmp_path))))
    assert found.status == "ok"
    assert found.evidence.startswith(
        "expression tells site (2 groups) with accuracy 0.",
    )
    assert "; slides tells site (2 groups)" in found.evidence


def test_a_site_that_can_be_told_is_named_with_its_modality(tmp_path: Path) -> None:
    files = files_of(tmp_path)
    for slide, patient in zip(
        files.slides["slide_id"],
        files.slides["patient_id"],
        strict=True,
    ):  # type: ignore[index]
        files.bags[slide] += 3 * (patient in at(files, NORTH))
    found = features_do_not_identify_groups(Evidence(cohort=loaded(files)))
    assert found.status == "warning"
    assert found.evidence.startswith(
        "slides tells site (2 groups) with accuracy 1.00, the largest holds 0.5",
    )
    assert "expression" not in found.evidence


def test_small_sites_cannot_be_told(tmp_path: Path) -> None:
    files = files_of(tmp_path, patients=24)
    files.patients["site"] = [f"s{i // 9}" for i in range(24)]
    found = features_do_not_identify_groups(Evidence(cohort=loaded(files)))
    assert found[:2] == (
        "not applicable",
        "no two groups of 10 patients with slides or expression",
    )
    table = small(
        tmp_path / "t",
        modalities=("clinical",),
        spec={"groups": {"site": "site"}},
    )
    found = features_do_not_identify_groups(Evidence(cohort=loaded(table)))
    assert found[:2] == ("not applicable", "no slides and no expression")


@pytest.mark.parametrize("shape", [(60, 8), (40, 300)])
def test_components_are_those_of_scikit_learn(shape: tuple[int, int]) -> None:
    values = np.random.default_rng(0).normal(size=shape) * np.arange(1, shape[1] + 1)
    ours = _components(values)
    theirs = PCA(ours.shape[1], svd_solver="full").fit_transform(values)
    np.testing.assert_allclose(
        np.abs(ours),
        np.abs(theirs),
        rtol=1e-6,
        atol=1e-6 * np.abs(theirs).max(),
    )


def test_a_shifted_site_is_named(tmp_path: Path) -> None:
    files = files_of(tmp_path)
    fine = expression_has_one_scale(Evidence(cohort=loaded(files)))
    assert fine.status == "ok"
    assert fine.evidence.startswith("expression median by site: 5.")
    assert files.expression is not None
    files.expression.loc[at(files, NORTH)] += 2
    found = expression_has_one_scale(Evidence(cohort=loaded(files)))
    assert found.status == "warning"
    assert "expression median by site: " in found.evidence
    assert "(north), usual deviation" in found.evidence
    assert "range" not in found.evidence


def test_a_shift_smaller_than_samples_differ_is_in_order(tmp_path: Path) -> None:
    """Significant in many samples, but no other scale."""
    files = files_of(tmp_path, patients=400)
    assert files.expression is not None
    files.expression.loc[at(files, NORTH)] += 0.2
    medians = files.expression.median(axis=1)
    north = files.patients.set_index("patient_id")["site"].eq(NORTH)
    assert stats.kruskal(medians[north], medians[~north]).pvalue < 1e-5
    assert expression_has_one_scale(Evidence(cohort=loaded(files))).status == "ok"


def test_several_group_columns_share_the_error(tmp_path: Path) -> None:
    """A p between 0.005 and 0.01 is a doubt of one column, and none of two."""
    cohort = loaded(files_of(tmp_path))
    rng = np.random.default_rng(0)
    assert cohort.outcome is not None
    while True:
        site = rng.permutation(cohort.groups["site"].to_numpy())
        p = log_rank(cohort.outcome["time"], cohort.outcome["event"], site).p
        if p is not None and 0.005 < p < 0.01:
            break
    one = replace(cohort, groups=cohort.groups.assign(site=site))
    two = replace(cohort, groups=one.groups.assign(batch="x"))
    assert outcome_does_not_follow_groups(Evidence(cohort=one)).status == "warning"
    assert outcome_does_not_follow_groups(Evidence(cohort=two)).status == "ok"


def test_a_stretched_site_is_named(tmp_path: Path) -> None:
    files = files_of(tmp_path)
    assert files.expression is not None
    north = at(files, NORTH)
    files.expression.loc[north] = 6 + 3 * (files.expression.loc[north] - 6)
    found = expression_has_one_scale(Evidence(cohort=loaded(files)))
    assert found.status == "warning"
    assert found.evidence.startswith("expression interquartile range by site: ")


def test_another_cohort_is_compared_over_shared_genes(tmp_path: Path) -> None:
    ours, theirs = (
        small(tmp_path / "a", patients=30),
        small(tmp_path / "b", patients=30, seed=1),
    )
    assert theirs.expression is not None
    theirs.expression = theirs.expression.iloc[:, ::-1].assign(
        OTHER=20.0,
    )  # a gene that ours has not
    cohort = loaded(ours)
    same = expression_has_one_scale(Evidence(cohort=cohort, external=loaded(theirs)))
    assert same.status == "ok"
    assert "expression median by cohort: " in same.evidence
    theirs.expression += 3
    found = expression_has_one_scale(Evidence(cohort=cohort, external=loaded(theirs)))
    assert found.status == "warning"
    assert "(training) to 8." in found.evidence
    strange = theirs.expression.rename(columns=lambda gene: f"X{gene}")
    theirs.expression = strange
    assert (
        expression_has_one_scale(
            Evidence(cohort=cohort, external=loaded(theirs)),
        ).status
        == "not applicable"
    )


def test_pure_chance_rarely_tells_a_site(tmp_path: Path) -> None:
    """The binomial bound holds: labels dealt anew are told in none of 20 cohorts."""
    cohort = loaded(files_of(tmp_path))
    rng = np.random.default_rng(5)
    found = []
    for _ in range(20):
        dealt = cohort.groups.assign(
            site=rng.permutation(cohort.groups["site"].to_numpy()),
        )
        found.append(
            features_do_not_identify_groups(
                Evidence(cohort=replace(cohort, groups=dealt)),
            ).status,
        )
    assert found == ["ok"] * 20
    assert (
        stats.binom.sf(39, 60, 0.5) < 0.01
    )  # what the bound asks: far more than half of 60
