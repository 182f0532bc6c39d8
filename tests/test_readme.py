"""The README's example runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from survfuse.cli.template import write_template

README = Path(__file__).resolve().parents[1] / "README.md"


@pytest.mark.slow
def test_python_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Python block, on the toy cohort that `survfuse init` writes, gives metrics and curves."""
    write_template(tmp_path / "my-study")
    monkeypatch.chdir(tmp_path)
    (example,) = re.findall(
        r"```python\n(.*?)```",
        README.read_text(encoding="utf-8"),
        flags=re.S,
    )
    scope: dict[str, object] = {}
    exec(compile(example, str(README), "exec"), scope)
    assert scope["prediction"].survival([12, 36]).shape == (60, 2)  # type: ignore[attr-defined]


def test_both_commands_are_make_targets() -> None:
    """`make demo` and `make test` are on the README's first screen and in the Makefile."""
    first_screen = README.read_text(encoding="utf-8")[:2500]
    targets = (README.parent / "Makefile").read_text(encoding="utf-8")
    for name in ("demo", "test"):
        assert f"make {name}" in first_screen
        assert re.search(rf"^{name}:", targets, flags=re.M)
