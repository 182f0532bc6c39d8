from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from survfuse.figures import plot_plan_power, plot_plan_width
from survfuse.figures.plotting import axes_of

SIZES = np.geomspace(50, 800, 9)


def test_power_has_a_curve_for_each_increment_and_a_line_at_the_planned_one():
    rows = [
        {"what": what, "patients": size, "power": size / 1000}
        for what in ("rna", "slides")
        for size in SIZES
    ]
    ax = plot_plan_power(axes_of(None, (5, 3)), pd.DataFrame(rows), 100, 0.8, 0.03)
    curves = ax.get_lines()
    assert [one.get_label() for one in curves[:2]] == ["rna", "slides"]
    assert curves[0].get_ydata()[-1] == pytest.approx(0.8)
    assert list(curves[2].get_ydata()) == [0.8, 0.8]
    assert [tick.get_text() for tick in ax.get_xticklabels()] == [
        "50",
        "100",
        "200",
        "400",
        "800",
    ]
    assert ax.get_ylabel() == "Power to show an increment of 0.03"


def test_an_interval_is_drawn_around_its_value_and_as_wide_as_it_could_be():
    table = pd.DataFrame({"patients": SIZES, "value": 0.7, "half_width": 1 / SIZES})
    table["low"], table["high"] = 0.7 - 1 / SIZES, 0.7 + 1 / SIZES
    table["half_width_high"] = 2 / SIZES
    ax = plot_plan_width(axes_of(None, (5, 3)), table, "uno_c", 100)
    assert ax.get_ylabel() == "Uno C"
    lowest = ax.get_lines()[1].get_ydata()
    assert lowest == pytest.approx(0.7 - 2 / SIZES)
