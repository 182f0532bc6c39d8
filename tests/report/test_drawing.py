from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from figures.drawn import forms, marks, texts
from survfuse import figures
from survfuse.report.drawing import draw_figures
from survfuse.report.report_tables import compute_tables
from survfuse.results import Result


@pytest.fixture(scope="module")
def drawn(run_folder: Path) -> dict[str, str]:
    return draw_figures(compute_tables(Result.read(run_folder)))


def test_every_figure_is_well_formed_in_two_widths(drawn: dict[str, str]) -> None:
    assert drawn.keys() == {
        "patterns",
        "forest",
        "risk_groups",
        "grouped_calibration",
        "times",
    }
    for svg in drawn.values():
        assert [one.get("class") for one in forms(svg)] == [
            "drawing wide",
            "drawing narrow",
        ]


def test_text_stays_text_and_is_told_to_those_who_cannot_see(
    drawn: dict[str, str],
) -> None:
    for svg in drawn.values():
        assert "<text" in svg
        assert "role='img'" in svg
        assert re.search(r"aria-label=\"[^\"]{20,}\"", svg)
    assert "network, concat fusion" in texts(drawn["forest"])
    assert "clinical variables alone (ridge Cox)" in texts(drawn["forest"])
    assert "high risk" in drawn["risk_groups"]


def test_ids_are_unique_over_the_page_and_references_resolve(
    drawn: dict[str, str],
) -> None:
    page = "".join(drawn.values())
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:url\(#|href="#)([^)"]+)', page)) == set(ids)


def test_nothing_points_outside(drawn: dict[str, str]) -> None:
    for svg in drawn.values():
        assert "http" not in svg
        assert "<metadata" not in svg


def test_numbers_at_risk_and_counts_are_the_tables(
    run_folder: Path,
    drawn: dict[str, str],
) -> None:
    tables = compute_tables(Result.read(run_folder))
    told = texts(drawn["risk_groups"])
    for amount in tables["at_risk"]["at_risk"]:
        assert str(amount) in told
    counts = set(texts(drawn["patterns"]))
    assert {str(n) for n in tables["patterns"]["patients"]} <= counts


def test_calibration_points_lie_where_the_table_says(
    run_folder: Path,
    drawn: dict[str, str],
) -> None:
    table = compute_tables(Result.read(run_folder))["calibration"]
    uses = marks(drawn["grouped_calibration"])
    assert len(uses) == len(table)
    x = pd.Series([float(use.get("x", "nan")) for use in uses])
    y = pd.Series([float(use.get("y", "nan")) for use in uses])
    assert x.corr(table["predicted"]) == pytest.approx(1, abs=1e-6)
    assert y.corr(table["observed"]) == pytest.approx(-1, abs=1e-6)


def test_odd_names_are_drawn_as_they_are() -> None:
    names = [
        "$\\frac{1}{0}$",
        "<script>alert(1)</script>",
        "模型 🙂",
        "a\nb\x07",
        "x" * 200,
    ]
    rows = [(name, "comparator", "uno_c", 0.6, 0.5, 0.7) for name in names]
    models = pd.DataFrame(
        rows,
        columns=["model", "role", "metric", "value", "low", "high"],
    )
    svg = figures.forest(models)
    assert "<script" not in svg
    assert {
        "$\\frac{1}{0}$",
        "<script>alert(1)</script>",
        "模型 🙂",
        "a b\N{REPLACEMENT CHARACTER}",
    } <= set(texts(svg))


def test_a_model_without_a_number_says_so_in_the_figure() -> None:
    rows = [
        ("a", "model", "uno_c", None, None, None),
        ("b", "comparator", "uno_c", 0.6, None, None),
    ]
    models = pd.DataFrame(
        rows,
        columns=["model", "role", "metric", "value", "low", "high"],
    )
    assert "not computable" in figures.forest(models)


def test_many_patterns_are_cut_to_the_most_frequent() -> None:
    names = [f"m{i}" for i in range(5)]
    rows = [
        (tuple(names[j] for j in range(5) if i >> j & 1), 40 - i) for i in range(31)
    ]
    svg = figures.patterns(
        pd.DataFrame(rows, columns=["modalities", "patients"]),
        names,
    )
    assert svg.count("none: 40") == 2  # once in each width
    assert f": {40 - figures.MOST_PATTERNS}" not in svg
