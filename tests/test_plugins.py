"""A package that is installed beside survfuse extends it through entry points (docs/extending.md)."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import survfuse
from running import FOLDS, SETTINGS, small
from slide_files import tiny_slide
from survfuse._errors import SurvfuseError

PLUGIN = Path(__file__).parent / "plugin"
GROUPS = ("fusions", "estimators", "metrics", "checks", "readers", "encoders")
FUSION = "--set=model.fusion="
OTHERS = tuple(setting for setting in SETTINGS if not setting.startswith(FUSION))
RUN = (
    *OTHERS,
    *FOLDS,
    "--set=horizons=[400, 900]",
    "--set=crossval.networks=false",
    "--set=crossval.controls=false",
    "--set=crossval.robustness=false",
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the example package, installed as pip would for a user."""
    target = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    command += ["--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    subprocess.run([*command, "--target", str(target), str(PLUGIN)], check=True)
    return target


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cohort whose features of slides are files of the example's format."""
    files = small(tmp_path_factory.mktemp("cohort"))
    assert files.slides is not None
    files.slides["slide_id"] += ".NUMBERS"  # the ending is no part of a slide's name
    bags, files.bags = files.bags, {}
    path = files.write()
    for slide, values in bags.items():
        name = path.parent / "features" / slide
        np.savetxt(name.with_suffix(".numbers"), values)
    return path


def run(site: Path, *words: object, code: int = 0) -> str:
    """Run a command of survfuse where a package is installed; return all that it prints."""
    ended = subprocess.run(
        [sys.executable, "-m", "survfuse", *map(str, words)],
        env={**os.environ, "PYTHONPATH": str(site)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert ended.returncode == code, ended.stdout
    return ended.stdout


def read(path: Path) -> Any:
    """Read a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def test_fusion_reader_metric_and_check_in_one_run(
    site: Path,
    cohort: Path,
    tmp_path: Path,
) -> None:
    out = tmp_path / "run"
    run(site, "crossval", cohort, "-o", out, "-q", *RUN, f"{FUSION}maximum")
    metrics = read(out / "metrics.json")["default:maximum"]
    risks = pd.read_csv(out / "predictions.csv").groupby("fold")["log_risk"].mean()
    assert metrics["mean_risk"]["value"] == pytest.approx(risks.mean())
    assert metrics["uno_c"]["value"] is not None
    (row,) = [row for row in read(out / "checks.json") if row["id"] == "EXA001"]
    assert row["status"] in {"ok", "warning"}
    assert "medians" in row["evidence"]
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "Mean log-risk" in page
    assert "Somebody is followed for longer than the median time." in page
    assert "https://example.org/EXA001" in page


def test_a_fusion_keeps_the_contract_of_all(site: Path) -> None:
    """The tests of every registered fusion see that of the package, too."""
    words = ["-q", "-p", "no:cacheprovider", "-k", "TestContract and maximum"]
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", *words, "tests/models/test_fusion.py"],
        cwd=PLUGIN.parents[1],
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout
    assert " passed" in ended.stdout


@pytest.mark.parametrize("fusion", ["maximum", "first_feature"])
def test_a_bundle_holds_a_model_of_another_package(
    site: Path,
    cohort: Path,
    tmp_path: Path,
    fusion: str,
) -> None:
    bundle, table = tmp_path / "bundle", tmp_path / "risks.csv"
    chosen = f"{FUSION}{fusion}"
    run(site, "train", cohort, "-o", bundle, "-q", *OTHERS, chosen)
    run(site, "predict", bundle, cohort, "-o", table)
    risk = pd.read_csv(table, index_col="patient_id")["log_risk"]
    assert risk.nunique() > 5
    if fusion == "first_feature":
        patients = pd.read_csv(cohort.parent / "patients.csv", index_col="patient_id")
        assert risk.corr(patients["age"]) == pytest.approx(1)
    with pytest.raises(SurvfuseError, match=f"unknown fusion '{fusion}'"):
        survfuse.load(bundle)


def test_an_estimator_is_a_term_of_the_stack(
    site: Path,
    cohort: Path,
    tmp_path: Path,
) -> None:
    config, bundle = tmp_path / "config.yaml", tmp_path / "bundle"
    terms = {"age": {"fusion": "first_feature", "modalities": ["clinical"]}}
    stack = {"bags": "mean", "terms": terms}
    config.write_text(json.dumps({"model": {"fusion": "anchored", "stack": stack}}))
    chosen = ("--config", config, *OTHERS)
    out = run(site, "train", cohort, "-o", bundle, *chosen)
    assert re.search(r"\W age +\W", out)  # a row of the table of weights
    weights = read(bundle / "summary.json")["anchored"]["weights"]
    assert weights["age"]["start"] == 1
    run(site, "predict", bundle, cohort, "-o", tmp_path / "risks.csv")
    state = read(bundle / "model.json")["model"]
    assert [term["name"] for term in state["models"]] == ["age"]
    assert state["models"][0]["model"] == {"weight": 1.0}
    with pytest.raises(SurvfuseError, match="unknown fusion 'first_feature'"):
        survfuse.load(bundle)


def test_an_estimator_is_cross_validated(
    site: Path,
    cohort: Path,
    tmp_path: Path,
) -> None:
    out = tmp_path / "run"
    chosen = f"{FUSION}first_feature"
    run(site, "crossval", cohort, "-o", out, "-q", *RUN, chosen)
    table = pd.read_csv(out / "predictions.csv", dtype={"patient_id": str})
    own = table.set_index("patient_id")
    ages = pd.read_csv(cohort.parent / "patients.csv", dtype={"patient_id": str})
    ages = ages.set_index("patient_id")["age"]
    for _, fold in own.groupby("fold"):
        assert fold["log_risk"].corr(ages[fold.index]) == pytest.approx(1)


def test_a_check_is_run_by_validate(site: Path, cohort: Path, tmp_path: Path) -> None:
    run(site, "validate", cohort, "--json", tmp_path / "told.json")
    numbers = [row["id"] for row in read(tmp_path / "told.json")["checks"]]
    assert numbers[0] == "EXA001"
    assert "SRV013" in numbers


def test_a_format_is_packed(site: Path, cohort: Path, tmp_path: Path) -> None:
    run(site, "pack", cohort, "-o", tmp_path / "store.bags")
    features = np.load(tmp_path / "store.bags" / "features.npy")
    files = sorted((cohort.parent / "features").glob("*.numbers"))
    expected = np.concatenate([np.loadtxt(file, np.float32) for file in files])
    assert features.shape == expected.shape
    np.testing.assert_allclose(features.sum(), expected.sum(), rtol=1e-3)


def test_an_encoder_encodes_the_tiles_of_a_slide(site: Path, tmp_path: Path) -> None:
    tiny_slide(tmp_path / "slides" / "P1.tif", 640, tissue=[(64, 64, 512, 512)])
    (tmp_path / "slides.csv").write_text("slide_id,patient_id\nP1,P1\n")
    section = "{table: slides.csv, images: slides, features: features}"
    (tmp_path / "cohort.yaml").write_text(f"name: t\nslides: {section}\n")
    chosen = ("--encoder", "Mean-colour", "--no-pack", "-q")
    run(site, "extract", tmp_path / "cohort.yaml", *chosen)
    features = survfuse.readers.read_features(tmp_path / "features" / "P1.h5")
    assert features.encoder == "mean_colour"
    assert features.dim == 3
    red, green, blue = features.values.astype(float).mean(axis=0)
    assert green < blue < red  # pink tissue


def test_doctor_lists_plugins(site: Path, tmp_path: Path) -> None:
    run(site, "doctor", "--json", tmp_path / "told.json")
    found = read(tmp_path / "told.json")
    plugins = {name: row for name, row in found.items() if name.startswith("survfuse.")}
    assert {name.split(":")[0] for name in plugins} == {f"survfuse.{g}" for g in GROUPS}
    for row in plugins.values():
        assert row == {"status": "ok", "detail": "survfuse-example 1.0"}


def test_a_plugin_that_fails_is_named(tmp_path: Path) -> None:
    statements = {
        "absent": "import no_such_module",
        "broken": "1 / 0",
        "twice": "from survfuse.models.fusion import FUSIONS, Fusion\n"
        "FUSIONS.register('concat', summary='x', source='x')(Fusion)",
    }
    for name, statement in statements.items():
        (tmp_path / f"{name}_module.py").write_text(statement)
        about = tmp_path / f"{name}_package-2.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}-package\nVersion: 2.0\n"
        )
        points = f"[survfuse.fusions]\n{name} = {name}_module\n"
        (about / "entry_points.txt").write_text(points)
    run(tmp_path, "doctor", "--json", tmp_path / "told.json")
    found = read(tmp_path / "told.json")
    for name, reason in {
        "absent": "ModuleNotFoundError: No module named 'no_such_module'",
        "broken": "ZeroDivisionError: division by zero",
        "twice": "ValueError: fusion 'concat' is registered twice",
    }.items():
        row = found[f"survfuse.fusions: {name}"]
        assert row["status"] == "BROKEN"
        assert row["detail"] == (
            f"package '{name}-package' has the plug-in '{name}' (survfuse.fusions), but its "
            f"module {name}_module cannot be imported: {reason}; repair or uninstall the package"
        )
    cohort = small(tmp_path / "cohort").write()
    out = run(tmp_path, "train", cohort, "-o", tmp_path / "b", *SETTINGS, code=2)
    assert re.search(r"package '\w+-package' has the plug-in", " ".join(out.split()))


def test_the_guide_shows_the_code_that_is_tested() -> None:
    docs = Path(__file__).resolve().parents[1] / "docs"
    page = (docs / "extending.md").read_text(encoding="utf-8")
    files = [PLUGIN / "pyproject.toml", *(PLUGIN / "survfuse_example").glob("*_*.py")]
    assert len(files) == 2 + len(GROUPS)  # `__init__.py` is one of them
    for file in files:
        if file.name != "__init__.py":
            assert f"\n{file.read_text(encoding='utf-8').strip()}\n```" in page, file
    for group in GROUPS:
        assert f"| `survfuse.{group}` |" in page
