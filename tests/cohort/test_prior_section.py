from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from builders import CohortFiles, cohort_files, patient_ids
from running import loaded
from survfuse._errors import CohortError, ConfigError, InputError, LeakageError
from survfuse._storage import sha256_text
from survfuse.cohort import (
    Cohort,
    ExpressionData,
    PriorData,
    Transforms,
    inspect,
    load_cohort,
)
from survfuse.cohort.leakage import refuse_leaks
from survfuse.config import FitConfig
from survfuse.readers.priors import Prior, write_prior

ROLE = {"points": {"role": "prior_risk", "missing": ["-9"]}}


def hand_made(**fields: Any) -> Prior:
    """Two genes of the small cohort and one that it lacks."""
    weights = np.array([0.5, -1.0, 0.25])
    genes = ("GENE1", "gene2", "ABSENT")
    own = {"name": "pan", "slope": 0.3, "slope_spread": 0.1, **fields}
    return Prior(own.pop("name"), "symbol", genes, weights, **own)


@pytest.fixture
def rna(tmp_path: Path) -> CohortFiles:
    """A small cohort of clinical variables and expression, not yet written."""
    return cohort_files(tmp_path, modalities=("clinical", "expression"))


def with_nomogram(files: CohortFiles, **columns: Any) -> CohortFiles:
    points = np.arange(len(files.patients), dtype=float)
    table = {"patient_id": files.patients["patient_id"], "points": points, **columns}
    files.tables["nomogram.csv"] = pd.DataFrame(table)
    files.spec["priors"] = {"nomogram": {"table": "nomogram.csv", "column": "points"}}
    return files


def prior_of(cohort: Cohort, name: str) -> PriorData:
    data = cohort.modalities[name]
    assert isinstance(data, PriorData)
    return data


def barcoded(files: CohortFiles) -> list[str]:
    """Give every patient a TCGA barcode, in different lengths and cases."""
    ids = [f"tcga-ab-{number:04d}-01A" for number in range(len(files.patients))]
    ids[1] = "TCGA-AB-0001"
    files.patients["patient_id"] = ids
    assert files.expression is not None
    files.expression.index = pd.Index(ids)
    return ids


def test_a_prior_of_genes_is_a_modality_of_one_number(
    rna: CohortFiles,
    tmp_path: Path,
) -> None:
    write_prior(hand_made(), tmp_path / "pan")
    rna.spec["priors"] = {"pancancer": {"prior": "pan"}}
    cohort = loaded(rna)
    assert list(cohort.modalities) == ["clinical", "expression", "pancancer"]
    data = prior_of(cohort, "pancancer")
    assert data.patients == cohort.patients
    assert data.coverage == pytest.approx(1.25 / 1.3125)
    row = cohort.summary().set_index("modality").loc["pancancer"]
    assert row[["kind", "patients", "features"]].tolist() == ["prior", 20, 1]
    assert row["note"] == (
        "prior 'pan' of expression: 2 of 3 genes, 95% of its squared weights"
    )
    assert cohort.present["pancancer"].all()
    assert cohort.problems == ()


def test_a_signature_reads_the_expression_modality_that_is_named(
    rna: CohortFiles,
    tmp_path: Path,
) -> None:
    (tmp_path / "signature.tsv").write_text("GENE1\t1\nGENE3\t-1\n")
    rna.spec["modalities"] = {"biopsy": rna.spec.pop("expression")}
    rna.spec["priors"] = {"doe": {"weights": "signature.tsv", "expression": "biopsy"}}
    data = prior_of(loaded(rna), "doe")
    assert data.source.name == "biopsy"
    assert data.places.tolist() == [0, 2]
    rna.spec["priors"]["doe"].pop("expression")
    with pytest.raises(
        CohortError,
        match=r"doe, file signature.tsv: reads the expression modality 'expression', which the "
        r"cohort does not have; the cohort has biopsy \(say which: `expression: NAME`\)",
    ):
        loaded(rna)


def test_a_column_of_another_table_is_a_risk_and_patients_without_are_absent(
    clinical: CohortFiles,
) -> None:
    files = with_nomogram(clinical)
    files.tables["nomogram.csv"] = files.tables["nomogram.csv"].astype(object).iloc[:18]
    files.tables["nomogram.csv"].loc[0, "points"] = "NA"
    cohort = loaded(files)
    data = prior_of(cohort, "nomogram")
    assert data.patients == tuple(patient_ids(18)[1:])
    assert data.prior is None
    assert data.note() == "column 'points'"
    assert cohort.present["nomogram"].tolist() == [False, *[True] * 17, False, False]


def test_a_column_with_a_role_is_a_prior_and_no_input_of_its_table(
    clinical: CohortFiles,
) -> None:
    before = loaded(clinical)
    clinical.patients["points"] = [-9, *range(19)]
    clinical.spec["clinical"]["columns"] |= ROLE
    cohort = loaded(clinical)
    assert list(cohort.modalities) == ["clinical", "points"]
    assert prior_of(cohort, "points").patients == tuple(patient_ids(20)[1:])
    table = cohort.modalities["clinical"]
    assert table.fingerprint() == before.modalities["clinical"].fingerprint()
    assert table.note() == before.modalities["clinical"].note()


def test_a_table_may_hold_nothing_but_a_risk(clinical: CohortFiles) -> None:
    clinical.patients["points"] = range(20)
    clinical.spec["clinical"]["columns"] = ROLE
    assert list(loaded(clinical).modalities) == ["points"]


def test_short_ways_of_writing_mean_the_same(rna: CohortFiles, tmp_path: Path) -> None:
    write_prior(hand_made(), tmp_path / "pan")
    prints = set()
    for given in (["pan"], {"pan": "pan"}, {"pan": {"prior": "pan"}}):
        rna.spec["priors"] = given
        prints.add(loaded(rna).fingerprint())
    del rna.spec["priors"]
    cohort = loaded(rna)
    assert cohort.fingerprint() not in prints
    prints.add(cohort.with_prior(tmp_path / "pan").fingerprint())
    prints.add(cohort.with_prior(hand_made()).fingerprint())
    prints.add(loaded(rna, priors=[tmp_path / "pan"]).fingerprint())
    assert len(prints) == 1
    other = hand_made(slope=0.4)
    assert cohort.with_prior(other).fingerprint() not in prints


@pytest.mark.parametrize(
    ("priors", "message"),
    [
        ({"p": {}}, r"exactly one of `prior: NAME_OR_FOLDER`.* got none"),
        ({"p": {"prior": "a", "weights": "b"}}, r"exactly one of.* got prior, weights"),
        ({"p": {"table": "a.csv"}}, "`table` needs `column: NAME`"),
        (
            {"p": {"prior": "a", "column": "b"}},
            "column: no field of a prior by `prior`",
        ),
        ({"p": {"table": "a", "column": "b", "genes": "symbol"}}, "genes: no field of"),
        ({"clinical": "a"}, "'clinical' is the name of another modality or prior"),
        ({"slides": "a"}, "'slides' is the name of another modality or prior"),
        ({"points": "a"}, "'points' is the name of another modality or prior"),
        ({"my-prior": "a"}, "name 'my-prior' must be letters, digits and _"),
        ({"p": {"folder": "a"}}, "folder"),
        (
            [{"prior": "a"}],
            r"expected a list of different names.*got \[{'prior': 'a'}\]",
        ),
        ([["a"]], "expected a list of different names"),
        (["a", "a"], "expected a list of different names"),
        ("a", r"expected a list of names, such as \[tcga_pancancer\].*got 'a'"),
    ],
)
def test_a_wrong_section_is_refused(
    clinical: CohortFiles,
    priors: Any,
    message: str,
) -> None:
    clinical.patients["points"] = range(20)
    clinical.spec["clinical"]["columns"] |= ROLE
    clinical.spec["priors"] = priors
    with pytest.raises(ConfigError, match=message):
        loaded(clinical)


@pytest.mark.parametrize(
    "column",
    [
        {"kind": "nominal"},
        {"kind": "numeric", "known": "followup"},
        {"kind": "numeric", "use": False},
    ],
)
def test_a_risk_is_a_number_known_at_baseline(
    clinical: CohortFiles,
    column: Mapping[str, Any],
) -> None:
    clinical.spec["clinical"]["columns"]["age"] = {"role": "prior_risk", **column}
    with pytest.raises(ConfigError, match="numeric and known at baseline"):
        loaded(clinical)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"prior": "nowhere"},
            r"p: .*nowhere: no prior; expected a folder .* come with",
        ),
        ({"weights": "nowhere.tsv"}, r"p: .*nowhere.tsv"),
        ({"table": "nowhere.csv", "column": "x"}, r"p: .*nowhere.csv"),
        ({"table": "patients.csv", "column": "poins"}, "did you mean 'points'"),
        ({"table": "patients.csv", "column": "os_days"}, "this column is the outcome"),
        (
            {"table": "patients.csv", "column": "sex"},
            r"p, file patients.csv, column 'sex', patient 001.*: expected a number .* got 'F'",
        ),
        (
            {"prior": "entrez"},
            "names genes by entrez, expression modality 'expression' by symb",
        ),
        (
            {"prior": "strange"},
            r"of the 3 genes of prior 'strange' \(A, B, C\) expression has 0, with 0% of the "
            r"squared weights; its genes are called GENE1, GENE2, GENE3 and 9 more .*gene_suffix",
        ),
    ],
)
def test_what_cannot_be_read_is_a_problem_that_says_where(
    rna: CohortFiles,
    tmp_path: Path,
    given: Mapping[str, Any],
    message: str,
) -> None:
    weights = np.array([0.5, -1.0, 0.25])
    write_prior(
        Prior("entrez", "entrez", ("1", "2", "3"), weights), tmp_path / "entrez"
    )
    write_prior(Prior("strange", "symbol", tuple("ABC"), weights), tmp_path / "strange")
    rna.patients["points"] = range(20)
    rna.spec["priors"] = {"p": given}
    with pytest.raises(CohortError, match=message):
        loaded(rna)


def test_cross_validated_predictions_are_no_prior(clinical: CohortFiles) -> None:
    """Each risk knows the outcomes of the other patients, which a fold would hold out."""
    number = np.arange(20)
    with_nomogram(clinical, repeat=0, fold=number % 5, log_risk=number % 7)
    with pytest.raises(
        CohortError, match=r"column 'points': these are predictions of a cross-val"
    ):
        loaded(clinical)
    clinical.tables["nomogram.csv"]["fold"] = 0  # of one model, for another cohort
    assert "nomogram" in loaded(clinical).modalities


def test_risks_of_other_patients_are_refused(rna: CohortFiles) -> None:
    others = [f"X{patient}" for patient in rna.patients["patient_id"]]
    files = with_nomogram(rna)
    files.tables["nomogram.csv"]["patient_id"] = others
    with pytest.raises(
        CohortError,
        match=r"nomogram, file nomogram.csv: none of its 20 patients \('X001'",
    ):
        loaded(files)


@pytest.mark.parametrize("use", [False, True])
def test_a_column_of_followup_is_no_prior(clinical: CohortFiles, use: bool) -> None:
    clinical.patients["points"] = np.random.default_rng(0).normal(size=20)
    late = {"kind": "numeric", "known": "followup", "use": use}
    clinical.spec["clinical"]["columns"]["points"] = late
    clinical.spec["priors"] = {"p": {"table": "patients.csv", "column": "points"}}
    message = (
        r"p, file patients.csv, column 'points': clinical declares .*known: followup"
    )
    with pytest.raises(CohortError, match=message):
        loaded(clinical, allow_followup=["points", "p"])


def test_a_shipped_name_is_no_folder_beside_the_program(
    rna: CohortFiles,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "elsewhere" / "tcga_pancancer").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "elsewhere")
    rna.spec["priors"] = ["tcga_pancancer"]
    with pytest.raises(CohortError, match=r"genes of prior .tcga_pancancer."):
        loaded(rna)


def test_few_of_the_genes_are_a_doubt(rna: CohortFiles) -> None:
    genes = ("GENE1", "A", "B")
    prior = Prior("pan", "symbol", genes, np.array([1.0, 1.0, 1.0]))
    cohort = loaded(rna).with_prior(prior, "few")
    (problem,) = cohort.problems
    assert problem.severity == "warning"
    assert problem.where == "few"
    assert "expression has 1, with 33% of the squared weights" in problem.message


def test_priors_in_python_have_a_name_of_their_own(rna: CohortFiles) -> None:
    cohort = loaded(rna)
    with pytest.raises(
        CohortError, match=r"'expression': expected a name .* no modality"
    ):
        cohort.with_prior(hand_made(), "expression")
    with pytest.raises(
        CohortError, match="prior 'my-prior': expected a name of letters"
    ):
        cohort.with_prior(hand_made(name="my-prior"))
    with pytest.raises(CohortError, match="reads the expression modality 'rna'"):
        cohort.with_prior(hand_made(), expression="rna")
    with pytest.raises(InputError, match="nowhere: no prior"):
        cohort.with_prior("nowhere")


def test_priors_of_a_call_have_names_that_nothing_has(
    rna: CohortFiles,
    tmp_path: Path,
) -> None:
    folder = write_prior(hand_made(name="expression"), tmp_path / "one")
    with pytest.raises(ConfigError, match="prior 'expression': the cohort file has"):
        loaded(rna, priors=[folder])
    folder = write_prior(hand_made(name="a-b"), tmp_path / "two")
    with pytest.raises(InputError, match=r"'a-b' .*must be letters, digits and _"):
        loaded(rna, priors=[folder])
    folder = write_prior(hand_made(), tmp_path / "three")
    with pytest.raises(InputError, match="prior 'pan' is given twice"):
        loaded(rna, priors=[folder, folder])


def test_a_prior_that_was_learned_from_the_patients_is_refused(
    rna: CohortFiles,
    tmp_path: Path,
) -> None:
    ids = barcoded(rna)
    hashes = frozenset(
        map(sha256_text, ("TCGA-AB-0000", "TCGA-AB-0001", "TCGA-ZZ-0000"))
    )
    folder = write_prior(hand_made(patients=hashes), tmp_path / "pan")
    message = (
        r"pan.*: the prior 'pan' was learned from 2 patient\(s\) of this cohort.*\(fit a prior "
        r"without their cohorts \(`survfuse prior fit`\)"
    )
    with pytest.raises(LeakageError, match=message) as refused:
        loaded(rna, priors=[folder])
    assert f"patient {ids[1]}, {ids[0]}" in str(refused.value)
    inspection = inspect(rna.write(), priors=[folder])
    assert [problem.severity for problem in inspection.problems] == ["error"]
    with pytest.raises(LeakageError, match=message):
        loaded(rna).with_prior(folder)
    path = rna.write()
    cohort = load_cohort(path, need_outcome=False, priors=[folder])
    with pytest.raises(LeakageError, match=message):
        Transforms.fit(cohort, cohort.patients, FitConfig())
    others = FitConfig.of(modalities=("clinical", "expression"))
    assert Transforms.fit(cohort, cohort.patients, others).priors == {}
    rest = cohort.subset(ids[2:])
    fitted = Transforms.fit(rest, ids[2:], FitConfig())
    report = fitted.apply(cohort).report.set_index("modality")
    assert report.loc["pan", "kind"] == "in training of the prior"
    assert "2 of these patients" in report.loc["pan", "detail"]


def test_another_prior_of_the_same_name_hides_no_patient(
    rna: CohortFiles,
    tmp_path: Path,
) -> None:
    """A cohort that names other weights is predicted with those of training."""
    ids = barcoded(rna)
    hashes = frozenset([sha256_text("TCGA-AB-0001")])
    write_prior(hand_made(patients=hashes), tmp_path / "learned")
    write_prior(hand_made(name="other"), tmp_path / "other")
    rna.spec["priors"] = {"pan": {"prior": "other"}}
    other = loaded(rna)
    del rna.spec["priors"]
    train = loaded(rna).subset(ids[2:]).with_prior(tmp_path / "learned")
    fitted = Transforms.fit(train, train.patients, FitConfig())
    assert fitted.known_to_priors(other, ids[:4]).tolist() == [
        False,
        True,
        False,
        False,
    ]
    assert "in training of the prior" in set(fitted.apply(other).report["kind"])
    with pytest.raises(LeakageError, match=rf"patient {ids[1]}: .*was learned from 1"):
        refuse_leaks(other.with_priors_of(train), ())


def test_a_risk_from_a_model_of_these_patients_is_refused(
    clinical: CohortFiles,
) -> None:
    files = with_nomogram(clinical, in_training=["1", "True", *["0"] * 17, ""])
    with pytest.raises(
        LeakageError,
        match=r"nomogram, file nomogram.csv, column 'in_training', patient 001, 002: the prior "
        r"was learned from 2 patient\(s\) of this cohort",
    ):
        loaded(files)
    assert prior_of(loaded(files, need_outcome=False), "nomogram").in_training == {
        "001",
        "002",
    }
    files.spec["exclude"] = ["001", "002"]
    assert len(loaded(files)) == 18
    files.tables["nomogram.csv"].loc[5, "in_training"] = "maybe"
    with pytest.raises(
        CohortError, match=r"patient 006: says which .*1 or 0, got 'maybe'"
    ):
        loaded(files)


def test_a_risk_that_is_the_outcome_is_refused(tmp_path: Path) -> None:
    files = with_nomogram(cohort_files(tmp_path, patients=80, modalities=("clinical",)))
    files.tables["nomogram.csv"]["points"] = -files.patients["os_days"] / 30.4
    with pytest.raises(LeakageError, match=r"nomogram.*the outcome under another name"):
        loaded(files)
    cohort = loaded(files, allow_followup=["nomogram"])
    config = FitConfig.of(allow_followup=("nomogram",))
    assert Transforms.fit(cohort, cohort.patients, config).dims["nomogram"] == 1


def test_two_patients_may_have_one_risk(clinical: CohortFiles) -> None:
    files = with_nomogram(clinical)
    files.tables["nomogram.csv"]["points"] = [1.0, 2.0] * 10
    assert loaded(files).problems == ()


def test_priors_of_another_cohort_are_added_where_the_genes_are(
    rna: CohortFiles,
    tmp_path: Path,
) -> None:
    plain = loaded(rna)
    cohort = plain.with_prior(hand_made())
    assert list(plain.with_priors_of(cohort).modalities)[-1] == "pan"
    assert cohort.with_priors_of(cohort) is cohort
    (tmp_path / "other").mkdir()
    bare = loaded(cohort_files(tmp_path / "other", modalities=("clinical",)))
    assert bare.with_priors_of(cohort) is bare


def test_a_real_cohort_knows_the_barcodes_and_the_genes_of_a_prior(
    shared_data: Path,
    tmp_path: Path,
) -> None:
    folder = shared_data / "tcga_omics" / "paad"
    outcome = {"patient": "case_id", "time": "os_months", "event": "os_event"}
    spec = {
        "name": "paad",
        "outcome": {"table": f"{folder}/patients.csv", "unit": "months", **outcome},
        "expression": {"path": f"{folder}/rna_z.parquet", "unit": "zscore"},
    }
    path = tmp_path / "cohort.yaml"
    path.write_text(yaml.safe_dump(spec))
    plain = load_cohort(path)
    expression = plain.modalities["expression"]
    assert isinstance(expression, ExpressionData)
    genes = expression.expression.genes[:50]
    prior = Prior("pan", "symbol", (*genes, "ABSENT"), np.ones(51))
    cohort = plain.with_prior(prior)
    assert prior_of(cohort, "pan").coverage == pytest.approx(50 / 51)
    transforms = Transforms.fit(
        cohort, cohort.patients, FitConfig.of(modalities=("pan",))
    )
    risk = transforms.apply(cohort).vectors["pan"][:, 0]
    z_scores = expression.values()[:, :50].astype(float)
    z_scores = (z_scores - z_scores.mean(axis=0)) / z_scores.std(axis=0)
    assert np.corrcoef(risk, z_scores.sum(axis=1))[0, 1] == pytest.approx(1)
    known = frozenset(map(sha256_text, plain.patients[::2]))
    with pytest.raises(
        LeakageError, match=rf"was learned from {len(known)} patient\(s\)"
    ):
        plain.with_prior(replace(prior, patients=known))
