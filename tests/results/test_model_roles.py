from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from report.conftest import build_run, edit
from survfuse.results import Result
from survfuse.results.model_roles import clinical_only, main_roles, model_table

Builder = Callable[..., Path]


@pytest.fixture
def make_run(tmp_path: Path) -> Builder:
    def make(**options: Any) -> Path:
        return build_run(tmp_path / "out", **options)

    return make


def test_the_main_model_comes_first_then_the_baseline(make_run: Builder) -> None:
    run = Result.read(make_run(comparators={"a": 1.0, "ridge:clinical": 2.0}))
    assert main_roles(run) == {run.name: "model", "ridge:clinical": "clinical only"}
    table = model_table(run)
    first = table.drop_duplicates("model")
    assert first["model"].tolist() == [run.name, "ridge:clinical", "a"]
    assert first["role"].tolist() == ["model", "clinical only", "comparator"]
    for row in table.to_dict("records"):
        assert row["value"] == run.estimates[row["model"]][row["metric"]].value


def test_the_run_names_its_baseline(make_run: Builder) -> None:
    out = make_run(comparators={"x": 1.0})
    edit(out / "run.json", lambda run: run.update(clinical="x"))
    assert clinical_only(Result.read(out)) == "x"
    edit(out / "run.json", lambda run: run.update(clinical=None))
    assert clinical_only(Result.read(out)) is None


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["network:clinical", "ridge:clinical"], "ridge:clinical"),
        (["clinical + RNA", "clinical rna ridge", "permuted clinical"], None),
        (["clinical only (ridge Cox)"], "clinical only (ridge Cox)"),
        (["preclinical"], None),
    ],
)
def test_a_baseline_is_found_by_its_name(
    make_run: Builder,
    names: list[str],
    expected: str | None,
) -> None:
    out = make_run(comparators=dict.fromkeys(names, 1.0))
    edit(out / "run.json", lambda run: run.pop("clinical"))
    assert clinical_only(Result.read(out)) == expected
