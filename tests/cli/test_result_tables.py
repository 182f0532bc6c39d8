from __future__ import annotations

import pytest

from survfuse.cli.result_tables import print_weights
from survfuse.results.term_weights import weight_table

FITS = [
    {"repeat": 0, "fold": fold, "term": term, "value": value, **fields}
    for fold, bag in enumerate((0.0, 0.6))
    for term, value, fields in (
        ("clinical", 0.9 + fold / 5, {"start": 1, "low": 0.5, "high": 1.5}),
        ("slides", bag, {"start": 1, "gain": 0.4, "needed": 1.92}),
        ("clinical*slides", 0.0, {"start": 0, "note": "a reason"}),
    )
]


def lines(text: str) -> list[list[str]]:
    """Cells of the lines of a table."""
    rows = [line.strip("│┃").split("│") for line in text.splitlines()]
    return [[cell.strip() for cell in row] for row in rows if len(row) > 1]


def test_the_weights_of_a_run_are_one_table(capsys: pytest.CaptureFixture[str]) -> None:
    print_weights(weight_table(FITS))
    out = capsys.readouterr().out
    clinical, slides, *_ = lines(out)
    assert clinical == [
        *("clinical", "1", "1.00", "0.90 to 1.10", "[0.50, 1.50]", "0 of 2", ""),
    ]
    assert slides[:6] == ["slides", "1", "0.30", "0.00 to 0.60", "", "1 of 2"]
    assert slides[6].startswith("out of fold it adds 0.40 to")
    assert out.endswith("pairs of weight 0 in every fit: clinical*slides\n")


def test_the_weights_of_one_fit_have_no_range(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_weights(weight_table(FITS[:3]))
    clinical, slides, *_ = lines(capsys.readouterr().out)
    assert clinical == ["clinical", "1", "0.90", "[0.50, 1.50]", ""]
    assert slides[:4] == ["slides", "1", "0.00", ""]


def test_weights_of_an_early_bundle_have_neither_start_nor_interval(
    capsys: pytest.CaptureFixture[str],
) -> None:
    early = [{"repeat": 0, "fold": 0, "term": "clinical", "value": 1.04}]
    print_weights(weight_table(early))
    assert lines(capsys.readouterr().out) == [["clinical", "", "1.04", "", ""]]
