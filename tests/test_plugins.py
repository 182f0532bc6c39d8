"""A package that is installed beside survfuse extends it through entry points."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PLUGIN = Path(__file__).parent / "plugin"
DOCS = Path(__file__).resolve().parents[1] / "docs"

FUSION = """
import json, sys
from pathlib import Path

from running import loaded, quick, small
from survfuse.estimator import load
from survfuse.models import FUSIONS

cohort = loaded(small(Path(sys.argv[1]) / "cohort"))
model = quick(fusion="product").fit(cohort)
bundle = model.save(Path(sys.argv[1]) / "bundle")
risk = model.predict(cohort).log_risk
same = (load(bundle).predict(cohort).log_risk == risk).all()
print(json.dumps({"known": "product" in FUSIONS, "same": bool(same), "spread": float(risk.std())}))
"""


CHECK = """
import json, sys
from pathlib import Path

from running import loaded, small
from survfuse.evaluation.checks import run_data_checks

cohort = loaded(small(Path(sys.argv[1]) / "cohort"))
rows = {row["id"]: row for row in run_data_checks(cohort)}
print(json.dumps(rows["EXA001"]))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the example package, installed as pip would for a user."""
    target = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    command += ["--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    subprocess.run([*command, "--target", str(target), str(PLUGIN)], check=True)
    return target


def run(script: str, installed: Path, folder: Path) -> dict[str, object]:
    """Run a script where the package is installed; its last line is JSON."""
    paths = [str(installed), str(Path(__file__).parent)]
    ended = subprocess.run(
        [sys.executable, "-c", script, str(folder)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    result: dict[str, object] = json.loads(ended.stdout.splitlines()[-1])
    return result


def test_a_fusion_of_another_package_trains_and_is_loaded(
    installed: Path,
    tmp_path: Path,
) -> None:
    result = run(FUSION, installed, tmp_path)
    assert result["known"]
    assert result["same"]
    assert float(str(result["spread"])) > 0


def test_a_check_of_another_package_is_run(installed: Path, tmp_path: Path) -> None:
    row = run(CHECK, installed, tmp_path)
    assert row["status"] in {"ok", "warning"}
    assert "medians" in str(row["evidence"])


def test_the_guide_shows_the_code_that_is_tested() -> None:
    page = (DOCS / "extending.md").read_text(encoding="utf-8")
    for file in (PLUGIN / "survfuse_example").glob("*_*.py"):
        if file.name != "__init__.py":
            assert file.read_text(encoding="utf-8").strip() in page, file.name
    for line in (PLUGIN / "pyproject.toml").read_text(encoding="utf-8").splitlines():
        assert line.startswith("#") or line in page, line
