from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from prior_cohorts import risk_cohort
from survfuse._errors import InputError, LeakageError, NotComputableError
from survfuse._storage import sha256_text
from survfuse.cohort import Cohort, Transforms, load_cohort
from survfuse.config import FitConfig
from survfuse.priors import fit_prior
from survfuse.priors.prior_sources import Source
from survfuse.readers.priors import USUAL_SPREAD, Prior, read_prior, write_prior
from survfuse.survival.cox import fit_cox
from survfuse.survival.random_effects import random_effects

PENALTIES = [0.03, 0.1, 0.3, 1.0, 3.0]


def fit(cohorts: list[Cohort], **fields: object) -> Prior:
    return fit_prior(cohorts, **{"name": "shared", "penalties": PENALTIES, **fields})


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> list[Cohort]:
    """Three cohorts with one planted risk."""
    root = tmp_path_factory.mktemp("sites")
    files = [risk_cohort(root / str(seed), seed) for seed in (1, 2, 3)]
    return [load_cohort(one.write()) for one in files]


@pytest.fixture(scope="module")
def prior(sites: list[Cohort]) -> Prior:
    return fit(sites)


def test_a_risk_that_cohorts_share_is_found(prior: Prior) -> None:
    strongest = np.argsort(-np.abs(prior.weights))[:3]
    assert sorted(prior.genes[gene] for gene in strongest) == [
        "GENE1",
        "GENE2",
        "GENE3",
    ]
    assert prior.weights[0] > 0 > prior.weights[1]
    assert prior.slope > 0.5
    assert 0 < prior.slope_spread < prior.slope
    for row in prior.card["held_out"]:
        assert row["c_low"] > 0.5
    assert prior.errors is not None
    assert (np.abs(prior.weights[:3]) > 2 * prior.errors[:3]).all()


def test_without_a_shared_risk_there_is_no_prior(tmp_path: Path) -> None:
    """Left out, these cohorts have a slope of -0.06: a prior of it would rank patients upside down."""
    cohorts = []
    for seed in range(4, 8):
        files = risk_cohort(tmp_path / str(seed), seed, effects=())
        cohorts.append(load_cohort(files.write()))
    with pytest.raises(NotComputableError, match=r"-0\.06 ± 0\.07.*predict nothing"):
        fit(cohorts)


def test_neither_order_of_cohorts_nor_of_rows_matters(
    sites: list[Cohort], prior: Prior, tmp_path: Path
) -> None:
    files = risk_cohort(tmp_path, 1)
    files.patients = files.patients.iloc[::-1]
    assert files.expression is not None
    files.expression = files.expression.sample(frac=1, random_state=0)
    other = fit([sites[2], load_cohort(files.write()), sites[1]])
    np.testing.assert_allclose(other.weights, prior.weights, atol=1e-6)
    assert other.slope == pytest.approx(prior.slope, abs=1e-5)
    assert other.slope_spread == pytest.approx(prior.slope_spread, abs=1e-5)


def test_a_unit_of_time_or_a_scale_of_genes_of_one_cohort_changes_nothing(
    prior: Prior, sites: list[Cohort], tmp_path: Path
) -> None:
    files = risk_cohort(tmp_path, 2)
    assert files.expression is not None
    files.expression = 3 + files.expression / 2
    files.patients["os_days"] /= 4.0
    other = fit([sites[0], load_cohort(files.write()), sites[2]])
    np.testing.assert_allclose(other.weights, prior.weights, atol=1e-4)


def test_genes_that_one_cohort_lacks_get_no_weight(
    sites: list[Cohort], tmp_path: Path
) -> None:
    files = risk_cohort(tmp_path, 4)
    assert files.expression is not None
    files.expression = files.expression.drop(columns=["GENE60"])[::-1]
    found = fit([sites[0], load_cohort(files.write())])
    assert "GENE60" not in found.genes
    assert len(found.genes) == 59


def test_one_cohort_is_judged_in_its_folds_and_has_the_usual_spread(
    sites: list[Cohort],
) -> None:
    found = fit(sites[:1])
    (row,) = found.card["held_out"]
    assert found.slope == pytest.approx(row["slope"])
    assert found.slope_spread == pytest.approx(np.hypot(USUAL_SPREAD, row["se"]))
    assert found.card["judged_by"] == "5 folds of the cohort"


def test_the_card_counts_and_holds_no_patient(
    prior: Prior, sites: list[Cohort], tmp_path: Path
) -> None:
    card = prior.card
    assert card["endpoints"] == ["overall survival"]
    assert card["patients"] == 240
    assert card["events"] == sum(site.events for site in sites)
    assert [own["name"] for own in card["cohorts"]] == ["site1", "site2", "site3"]
    for own, site in zip(card["cohorts"], sites, strict=True):
        assert own["offset"][0] == "age"
        assert own["sha256"] == sha256_text(site.fingerprint())
    folder = write_prior(prior, tmp_path / "prior")
    text = (folder / "prior.json").read_text() + repr(
        (folder / "prior.safetensors").read_bytes()
    )
    for patient in sites[0].patients:
        assert patient not in text
    assert prior.patients == frozenset()


def test_tcga_patients_are_kept_as_hashes(tmp_path: Path) -> None:
    ids = "TCGA-{seed:02d}-{number:04d}-01A"
    files = risk_cohort(tmp_path / "t", 5, ids=ids)
    found = fit([load_cohort(files.write())])
    assert len(found.patients) == 80
    assert sha256_text("TCGA-05-0007") in found.patients
    folder = write_prior(found, tmp_path / "prior")
    assert read_prior(folder).patients == found.patients
    assert "TCGA" not in json.dumps(json.loads((folder / "prior.json").read_text()))


def test_the_offset_takes_what_the_table_explains(tmp_path: Path) -> None:
    files = risk_cohort(tmp_path, 6, effects=())
    table = files.patients
    noise = np.random.default_rng(0).normal(size=(2, 80))
    table["os_days"] = 6000 - 60 * table["age"] + (300 * noise[0]).round()
    assert files.expression is not None
    files.expression["GENE1"] = 6 + (table["age"].to_numpy() - 60) / 10 + noise[1] / 3
    cohort = load_cohort(files.write())
    without = fit([cohort], offsets=None)
    assert without.slope > 0.7
    with pytest.raises(
        NotComputableError, match=r"slope of the risk is -0\.00 ± 0\.16"
    ):
        fit([cohort])
    assert without.card["cohorts"][0]["offset"] == []


def test_a_cohort_reads_the_risk_that_was_judged(
    prior: Prior, sites: list[Cohort]
) -> None:
    """The modality of a new cohort is the risk of `held_out`, and its slope is found again."""
    left_out = fit(sites[:2], penalties=[prior.card["penalty"]])
    cohort = sites[2].with_prior(left_out)
    everyone = cohort.patients
    transforms = Transforms.fit(cohort, everyone, FitConfig.of(modalities=["shared"]))
    z = transforms.apply(cohort, everyone).vectors["shared"][:, 0].astype(float)
    source = Source.of(sites[2], "expression", "clinical")
    risk = source.z @ left_out.weights
    np.testing.assert_allclose(z, (risk - risk.mean()) / risk.std(), atol=1e-5)
    outcome = source.outcome
    again = fit_cox(z, outcome.time, outcome.event, offset=source.offset)
    row = prior.card["held_out"][2]
    assert again.coef[0] == pytest.approx(row["slope"], rel=1e-3)
    assert again.se[0] == pytest.approx(row["se"], rel=1e-2)


def test_the_spread_is_between_that_of_the_cohorts_and_the_usual_one(
    prior: Prior,
) -> None:
    rows = prior.card["held_out"]
    effect = random_effects([row["slope"] for row in rows], [row["se"] for row in rows])
    assert prior.slope == effect.mean
    variance = (2 * effect.between**2 + USUAL_SPREAD**2) / 3
    assert prior.slope_spread == pytest.approx(np.sqrt(variance + effect.se**2))


def test_the_penalty_has_the_largest_gain(prior: Prior) -> None:
    card = prior.card
    assert card["penalty"] == card["penalties"][int(np.argmax(card["gains"]))]
    held_out = sum(row["gain"] for row in card["held_out"])
    assert held_out == pytest.approx(max(card["gains"]))


def test_progress_ends_with_all_steps(sites: list[Cohort]) -> None:
    steps: list[tuple[int, int]] = []
    fit(sites[:2], progress=lambda done, of: steps.append((done, of)))
    assert steps == [(1, 2), (2, 2)]


def changed(cohort: Cohort, **fields: object) -> Cohort:
    return replace(cohort, **fields)


def test_cohorts_that_do_not_fit_together_are_refused(
    sites: list[Cohort], tmp_path: Path
) -> None:
    first, second = sites[:2]
    with pytest.raises(InputError, match="at least one"):
        fit([])
    with pytest.raises(InputError, match="hold the same patients and values"):
        fit([first, changed(first, name="again")])
    with pytest.raises(InputError, match="two cohorts are called 'site1'"):
        fit([first, changed(second, name="site1")])
    with pytest.raises(LeakageError, match=r"'site1' and 'half' share 40 patient"):
        fit([first, changed(first.subset(first.patients[:40]), name="half")])
    with pytest.raises(
        InputError, match=r"'rna' is no expression modality .* expression"
    ):
        fit([first], expression="rna")
    with pytest.raises(InputError, match="offset 'expression': expected a table"):
        fit([first], offsets="expression")
    with pytest.raises(InputError, match="cohort 'site1': no outcome"):
        fit([changed(first, outcome=None)])
    with pytest.raises(InputError, match="offset 'klinik': no cohort has this table"):
        fit([first, second], offsets="klinik")
    with pytest.raises(InputError, match=r"letters.*, got 'my-prior'.*--name"):
        fit([first], name="my-prior")
    few = first.subset(first.patients[:20])
    with pytest.raises(InputError, match=r"events in 1 cohort\(s\); a prior needs 20"):
        fit([few])


def test_a_tcga_patient_under_two_sample_ids_is_one_patient(tmp_path: Path) -> None:
    cohorts = []
    for seed, sample in ((7, "01A"), (8, "06b")):
        ids = "tcga-aa-{number:04d}-" + sample
        files = risk_cohort(tmp_path / sample, seed, ids=ids)
        cohorts.append(load_cohort(files.write()))
    with pytest.raises(LeakageError, match=r"share 80 patient.*TCGA-AA-0000"):
        fit(cohorts)


def test_endpoints_are_not_mixed_unless_allowed(
    sites: list[Cohort], tmp_path: Path
) -> None:
    files = risk_cohort(tmp_path, 9)
    files.spec["outcome"]["endpoint"] = "progression"
    other = load_cohort(files.write())
    with pytest.raises(InputError, match="site9: 'progression': expected one endpoint"):
        fit([sites[0], other])
    found = fit([sites[0], other], mix_endpoints=True)
    assert found.card["endpoints"] == ["overall survival", "progression"]


def test_other_gene_ids_and_too_few_genes_are_refused(
    sites: list[Cohort], tmp_path: Path
) -> None:
    files = risk_cohort(tmp_path / "e", 9)
    assert files.expression is not None
    files.expression.columns = [f"ENSG{n:011d}" for n in range(60)]
    files.spec["expression"]["genes"] = "ensembl"
    with pytest.raises(InputError, match="one kind of gene ids"):
        fit([sites[0], load_cohort(files.write())])
    files = risk_cohort(tmp_path / "f", 9, genes=49)
    with pytest.raises(
        InputError, match=r"49 genes are in every cohort \(site1: 60, site9: 49\)"
    ):
        fit([sites[0], load_cohort(files.write())])


def test_a_column_of_follow_up_is_no_offset(tmp_path: Path) -> None:
    files = risk_cohort(tmp_path, 9)
    files.spec["clinical"]["columns"]["age"]["known"] = "followup"
    with pytest.raises(LeakageError, match="cohort 'site9': clinical: 'age' accrue"):
        fit([load_cohort(files.write())])


def test_a_cohort_without_events_gives_no_slope_and_says_why(
    sites: list[Cohort],
) -> None:
    outcome = sites[2].outcome
    assert outcome is not None
    silent = changed(sites[2], outcome=outcome.assign(event=False))
    found = fit([*sites[:2], silent])
    row = found.card["held_out"][2]
    assert row["note"] == "no event, so no slope can be fitted"
    assert "slope" not in row
    assert found.slope > 0.5


def test_when_no_cohort_gives_a_slope_each_says_why(sites: list[Cohort]) -> None:
    one = sites[1].subset(sites[1].patients[:1])
    message = r"\(site1: the risks do not differ.*, site2: .*\); give larger cohorts"
    with pytest.raises(InputError, match=message):
        fit([sites[0], one])
