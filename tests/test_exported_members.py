from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import survfuse

HEAVY = (
    "torch",
    "pandas",
    "numpy",
    "scipy",
    "sklearn",
    "matplotlib",
    "h5py",
    "pyarrow",
)


def test_the_front_door_is_complete() -> None:
    source = ast.parse(Path(survfuse.__file__).read_text())
    shown = {
        alias.asname or alias.name
        for node in ast.walk(source)
        if isinstance(node, ast.If)
        for line in ast.walk(node)
        if isinstance(line, ast.ImportFrom)
        for alias in line.names
    }
    assert set(survfuse.__all__) == shown | {"__version__"}
    assert survfuse.__all__ == sorted(survfuse.__all__)


@pytest.mark.parametrize("name", survfuse.__all__)
def test_every_public_name_is_there_and_explained(name: str) -> None:
    thing = getattr(survfuse, name)
    assert name in dir(survfuse)
    if name != "__version__":
        assert thing.__doc__


def test_there_is_nothing_else() -> None:
    with pytest.raises(
        AttributeError,
        match=r"^module 'survfuse' has no attribute 'explian'$",
    ):
        _ = survfuse.explian


@pytest.mark.parametrize("name", ["losses", "metrics"])
def test_the_thin_doors_are_complete(name: str) -> None:
    module = getattr(survfuse, name)
    assert module.__all__
    for member in module.__all__:
        assert getattr(module, member).__doc__


def loaded_by(*lines: str) -> set[str]:
    """Heavy packages that a fresh interpreter holds after these lines."""
    code = "\n".join(
        [
            *lines,
            "import sys",
            f"print([name for name in {HEAVY!r} if name in sys.modules])",
        ],
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(ast.literal_eval(done.stdout.splitlines()[-1]))


def test_importing_survfuse_costs_nothing() -> None:
    assert loaded_by("import survfuse", "survfuse.__version__") == set()


@pytest.mark.parametrize("words", [["--help"], ["crossval", "--help"], ["--version"]])
def test_help_loads_no_torch(words: list[str]) -> None:
    told = loaded_by(
        "import sys",
        "from survfuse.cli import main",
        f"sys.argv = {['survfuse', *words]!r}",
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code",
    )
    assert told == set()
