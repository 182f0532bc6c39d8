"""docs/figures.md runs, and names every figure."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import matplotlib
import pytest

from maps.drawn_maps import drawn_map
from report.conftest import build_run
from report.performed import add_performance
from small_explanations import bundle_folder, cohort_file
from survfuse.estimator import Prediction
from survfuse.explanations import Explanation
from survfuse.results import Result

PAGE = Path(__file__).resolve().parents[2] / "docs" / "figures.md"


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Figures of pyplot without a window, closed in the end."""
    from matplotlib import pyplot

    monkeypatch.setattr(Explanation, "slide_maps", lambda *_: {"S1": drawn_map()})
    with matplotlib.rc_context({"figure.max_open_warning": 0}):
        pyplot.switch_backend("agg")
        yield pyplot
        pyplot.close("all")


def test_the_examples_run(
    closed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_performance(build_run(tmp_path / "run"))
    shutil.copytree(bundle_folder(), tmp_path / "bundle")
    shutil.copytree(cohort_file().parent, tmp_path / "cohort")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for example in re.findall(
        r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL
    ):
        exec(example, names)
    assert (tmp_path / "figure-2.pdf").stat().st_size > 10_000
    assert len(closed.get_fignums()) == 9


@pytest.mark.parametrize("kind", [Result, Prediction, Explanation])
def test_every_method_that_draws_is_named(kind: type) -> None:
    page = PAGE.read_text(encoding="utf-8")
    methods = [name for name in dir(kind) if name.startswith("plot_")]
    assert methods
    assert [name for name in methods if f"{name}(" not in page] == []
