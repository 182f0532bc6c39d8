from __future__ import annotations

from pathlib import Path

import pytest

from survfuse._errors import ConfigError
from survfuse.cohort.spec import ExpressionSpec, SlidesSpec, TableSpec, load_spec

DESIGN = """
name: example
outcome: {table: patients.csv, patient: patient_id, time: os_days, unit: days, event: os_event,
  horizons: [365, 730.5]}
clinical:
  table: patients.csv
  columns:
    age:   {kind: numeric}
    stage: {kind: ordinal, levels: [I, II, No, 01]}
    sex:   nominal
    doses: {kind: numeric, known: followup, use: no}
  missing: ["", "NA", -1]
expression: {path: rna.csv.gz, unit: log2tpm, genes: symbol}
modalities:
  blood: {table: blood.csv}
  stains: {features: stains/, slides: stains.csv}
  protein: {path: rppa.csv, unit: zscore}
slides: {table: slides.csv, features: features/, encoder: uni}
groups: {site: site}
folds: {table: patients.csv, column: fold}
exclude: [001]
"""
OUTCOME = "name: x\noutcome: {table: p.csv, time: t, unit: days, event: e}\n"


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "cohort.yaml"
    path.write_text(text)
    return path


def test_the_documented_file_is_read_and_every_word_stays_text(tmp_path: Path) -> None:
    spec = load_spec(written(tmp_path, DESIGN))
    assert spec.exclude == ("001",)
    assert spec.clinical is not None
    assert spec.clinical.columns is not None
    assert spec.clinical.columns["stage"].levels == ("I", "II", "No", "01")
    assert spec.clinical.columns["sex"].kind == "nominal"
    assert not spec.clinical.columns["doses"].use
    assert spec.clinical.missing == ("", "NA", "-1")
    assert spec.outcome is not None
    assert spec.outcome.horizons == (365.0, 730.5)
    assert list(spec.sections()) == [
        "clinical",
        "expression",
        "blood",
        "stains",
        "protein",
        "slides",
    ]


def test_a_modality_is_what_its_keys_say(tmp_path: Path) -> None:
    modalities = load_spec(written(tmp_path, DESIGN)).modalities
    assert isinstance(modalities["blood"], TableSpec)
    assert isinstance(modalities["protein"], ExpressionSpec)
    stains = modalities["stains"]
    assert isinstance(stains, SlidesSpec)
    assert stains.table is not None
    assert stains.table.file == Path("stains.csv")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: x\nname: y", "key 'name' appears twice"),
        ("name: x\noutcom: {}", "unknown field; did you mean 'outcome'"),
        ("[a]", "expected a mapping"),
        ("a: [", "not YAML"),
        ("name: x\n", "no modality"),
        (
            "name: x\noutcome: {table: p, time: t, unit: days}",
            "exactly one of `event: COLUMN`",
        ),
        (
            "name: x\noutcome: {table: p, time: t, unit: days, event: e, censored: c}",
            "exactly one of `event",
        ),
        (
            "name: x\noutcome: {table: p, time: t, unit: weeks, event: e}",
            "unit: Input should be 'days'",
        ),
        (OUTCOME + "clinical: {table: p.csv}", "declare `columns`"),
        (
            OUTCOME + "clinical: {table: p.csv, columns: {a: ordinal}}",
            "`levels`, lowest first",
        ),
        (
            OUTCOME
            + "clinical: {table: p, columns: {a: {kind: ordinal, levels: [x, x]}}}",
            "different words",
        ),
        (OUTCOME + "slides: {table: s.csv}", "exactly one of `features"),
        (OUTCOME + "slides: {features: f}", "needs `table"),
        (OUTCOME + "modalities: {slides: {table: s.csv}}", "has its own section"),
        (OUTCOME + "modalities: {a-b: {table: s.csv}}", "must be letters"),
        (
            OUTCOME + "modalities: {b: {table: s.csv, colums: [a]}}",
            "colums: unknown field",
        ),
        (OUTCOME + "expression: {path: r.csv, unit: rpkm}", "expression.unit"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_spec(written(tmp_path, text))


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: no such file"):
        load_spec(tmp_path / "nowhere.yaml")


ENDPOINTS = """
name: x
outcomes:
  os: {table: p.csv, time: OS.time, unit: days, event: OS, endpoint: overall survival}
  pfi: {table: p.csv, time: {first_of: [PFI.time, OS.time]}, unit: days, event: PFI}
clinical: {table: p.csv, columns: {age: numeric}}
"""


def test_one_of_several_endpoints_is_chosen(tmp_path: Path) -> None:
    spec = load_spec(written(tmp_path, ENDPOINTS))
    assert spec.outcome is None
    assert spec.answers == ("OS.time", "OS", "PFI.time", "PFI")
    pfi = spec.choose("pfi")
    assert pfi.outcome is not None
    assert (pfi.outcome.status, pfi.outcome.label, pfi.chosen) == ("PFI", "pfi", "pfi")
    assert set(pfi.answers) == set(spec.answers)
    chosen = spec.choose("os").outcome
    assert chosen is not None
    assert chosen.label == "overall survival"
    assert pfi.choose(None) == pfi
    assert spec.choose(None, required=False).outcome is None


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (None, "has 2 endpoints, os, pfi; choose one: `--endpoint os`"),
        ("dss", "has no endpoint 'dss'; it has os, pfi"),
    ],
)
def test_an_endpoint_is_never_guessed(
    tmp_path: Path,
    name: str | None,
    message: str,
) -> None:
    spec = load_spec(written(tmp_path, ENDPOINTS))
    with pytest.raises(ConfigError, match=message):
        spec.choose(name)


def test_the_only_endpoint_is_taken(tmp_path: Path) -> None:
    lines = [line for line in ENDPOINTS.splitlines() if "pfi:" not in line]
    spec = load_spec(written(tmp_path, "\n".join(lines))).choose(None)
    assert spec.chosen == "os"


def test_an_endpoint_of_a_file_with_one_outcome_is_refused(tmp_path: Path) -> None:
    spec = load_spec(written(tmp_path, DESIGN))
    with pytest.raises(ConfigError, match="one `outcome:` and no `outcomes:`"):
        spec.choose("os")
    both = ENDPOINTS + "outcome: {table: p.csv, time: t, unit: days, event: e}\n"
    with pytest.raises(ConfigError, match="for one endpoint or `outcomes` for several"):
        load_spec(written(tmp_path, both))


def test_ids_are_given_by_name_or_with_what_is_taken(tmp_path: Path) -> None:
    text = DESIGN.replace("{table: blood.csv}", "{table: b.csv, patient: {take: 12}}")
    spec = load_spec(written(tmp_path, text + "match: tcga\n"))
    assert spec.outcome is not None
    assert str(spec.outcome.patient) == "patient_id"
    assert spec.match == "tcga"
    blood = spec.modalities["blood"].patient
    assert blood is not None
    assert blood.within("id", "tcga").model_dump() == {
        "column": "id",
        "take": 12,
        "match": None,
    }
    both = text.replace("{take: 12}", "{take: 12, match: tcga}")
    with pytest.raises(ConfigError, match="say `take` or `match`, not both"):
        load_spec(written(tmp_path, both))
