from __future__ import annotations

import ast
from pathlib import Path

import pytest

import survfuse

ROOT = Path(survfuse.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))


def imports(node: ast.AST) -> set[str]:
    """Top-level packages that the statements of a tree import."""
    found = set()
    for line in ast.walk(node):
        if isinstance(line, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in line.names}
        elif isinstance(line, ast.ImportFrom):
            found.add((line.module or "").partition(".")[0])
    return found


@pytest.mark.parametrize(
    "path",
    FILES,
    ids=[path.relative_to(ROOT).as_posix() for path in FILES],
)
def test_a_file_explains_itself_and_pickles_nothing(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree)
    assert not imports(tree) & {
        "pickle",
        "joblib",
        "dill",
        "cloudpickle",
        "lifelines",
        "sksurv",
    }
    assert not [
        line
        for line in ast.walk(tree)
        if isinstance(line, ast.ImportFrom) and line.level
    ]


@pytest.mark.parametrize(
    "name",
    ["_errors", "_types", "_registry", "config", "__init__"],
)
def test_the_ground_floor_is_light(name: str) -> None:
    body = ast.parse((ROOT / f"{name}.py").read_text()).body
    top = set().union(
        *(
            imports(node)
            for node in body
            if isinstance(node, ast.Import | ast.ImportFrom)
        ),
    )
    assert not top & {"torch", "pandas", "scipy", "sklearn", "matplotlib", "h5py"}


def test_tests_mirror_the_source() -> None:
    here = Path(__file__).parent
    rooms = {path.relative_to(here).parts[0] for path in here.rglob("test_*.py")}
    for name in ("config", "bundle", "estimator", "paper", "fit_summary"):
        assert f"test_{name}.py" in rooms
    source = here.parent / "src" / "survfuse"
    assert {
        path.name for path in source.iterdir() if (path / "__init__.py").exists()
    } <= rooms
