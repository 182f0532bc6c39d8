from __future__ import annotations

import re
from pathlib import Path

import pytest

from patients import explained, ordered
from survfuse._errors import InputError
from survfuse.report import patient_files
from survfuse.report.patient_files import page_names, write_pages

RECORD = {"cohort": "tiny <cohort>"}


def test_a_page_each_and_a_list_that_leads_to_them(tmp_path: Path) -> None:
    steps: list[int] = []
    written = write_pages(
        tmp_path, ordered(), RECORD, step=lambda what, done, of: steps.append(done)
    )
    assert steps == list(range(24))
    assert written["failed"] == {}
    assert written["files"]["004"] == "pages/004.html"
    files = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.html")}
    assert files == {written["index"], *written["files"].values()}
    index = (tmp_path / written["index"]).read_text(encoding="utf-8")
    assert "tiny &lt;cohort&gt;" in index
    linked = re.findall(r'href="(\d+\.html)"', index)
    assert sorted(linked) == sorted(
        Path(name).name for name in written["files"].values()
    )
    risks = [
        float(one.replace("−", "-")) for one in re.findall(r'r">([+−]?\d\.\d+)<', index)
    ]
    assert risks == sorted(risks, reverse=True)


def test_without_curves_the_list_has_log_risks_alone(tmp_path: Path) -> None:
    explanation = explained(tmp_path, calibration="km_rank")
    written = write_pages(tmp_path, explanation, RECORD)
    index = (tmp_path / written["index"]).read_text(encoding="utf-8")
    assert index.count('<td class="r">–</td>') == 24
    assert "nan" not in index


def test_one_page_that_fails_costs_one_page(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def page(explanation: object, patient: str, **_: object) -> str:
        if patient == "007":
            raise InputError("a <reason>")
        return patient

    monkeypatch.setattr(patient_files, "patient_page", page)
    written = write_pages(tmp_path, ordered(), RECORD)
    assert written["failed"] == {"007": "a <reason>"}
    assert "007" not in written["files"]
    index = (tmp_path / written["index"]).read_text(encoding="utf-8")
    assert "no page: a &lt;reason&gt;" in index
    assert "007.html" not in index


def test_names_of_files_are_safe_and_differ() -> None:
    odd = ["../x", "a/b", "a_b", "A_B", "index", "é", "con.txt", "p" * 200, "", "a\nb"]
    names = page_names(odd)
    assert list(names) == odd
    lowered = [name.casefold() for name in names.values()]
    assert len(set(lowered)) == len(odd)
    assert "index.html" not in lowered
    for name in names.values():
        assert re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*\.html", name)
        assert len(name) < 120
    assert names["a_b"] == "a_b.html"


def test_a_model_that_orders_nobody_has_no_risk_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = write_pages(tmp_path, ordered(), RECORD)
    index = (tmp_path / written["index"]).read_text(encoding="utf-8")
    assert index.count("<td>intermediate</td>") > 0
    monkeypatch.setattr(patient_files, "is_flat", lambda fitted: True)
    (tmp_path / "flat").mkdir()
    written = write_pages(tmp_path / "flat", ordered(), RECORD)
    index = (tmp_path / "flat" / written["index"]).read_text(encoding="utf-8")
    assert not re.search("<td>(low|intermediate|high)</td>", index)
