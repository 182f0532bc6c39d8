from __future__ import annotations

import doctest
import math

import pytest

from survfuse.figures import formatting
from survfuse.report import names, wording


def test_examples_in_the_documentation_hold() -> None:
    for module, least in ((formatting, 10), (names, 4), (wording, 0)):
        result = doctest.testmod(module)
        assert result.attempted > least
        assert result.failed == 0


@pytest.mark.parametrize(
    ("span", "unit", "drawn", "last"),
    [
        (2000, "days", "years", 5.0),
        (400, "days", "months", 12.0),
        (60, "days", "days", 56.0),
        (119, "months", "months", 96.0),
        (0.9, "years", "years", 0.75),
        (30, "years", "years", 30.0),
    ],
)
def test_time_axis_reads_in_a_fitting_unit(
    span: float,
    unit: str,
    drawn: str,
    last: float,
) -> None:
    axis = formatting.TimeAxis.of(span, unit)
    assert axis.unit == drawn
    assert axis.ticks[0] == 0
    assert axis.ticks[-1] <= span * 1.001
    assert 2 <= len(axis.ticks) <= formatting.MOST_TICKS + 1
    assert float(axis.labels[-1]) == pytest.approx(last)


def test_a_long_span_still_has_few_ticks() -> None:
    for span in (1.0, 7.3, 90.0, 1234.0, 9e5):
        for unit in ("days", "months", "years"):
            assert (
                1
                <= len(formatting.TimeAxis.of(span, unit).ticks)
                <= formatting.MOST_TICKS + 1
            )


def test_what_is_not_there_is_a_dash() -> None:
    for write in (
        formatting.number,
        formatting.count,
        formatting.percent,
        formatting.p_value,
        formatting.plain,
    ):
        assert write(None) == write(math.nan) == formatting.MISSING
    assert formatting.interval(0.5, None) == formatting.MISSING
    assert formatting.duration(None, "days") == formatting.MISSING


def test_years_stand_beside_days_of_either_year() -> None:
    assert formatting.duration(1825, "days") == "1,825 days (5 years)"
    assert formatting.duration(365, "days") == "365 days (1 year)"
    assert formatting.duration(1, "years") == "1 year"
    assert formatting.duration(400, "days") == "400 days"
