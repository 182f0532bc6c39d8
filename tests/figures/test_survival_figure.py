from __future__ import annotations

import numpy as np
import pandas as pd

from figures.drawn import line, new_axes
from survfuse.figures import plot_survival


def test_intervals_lie_below_the_curves_and_only_where_both_ends_are_known() -> None:
    curves = pd.DataFrame(
        {
            "patient_id": ["a", "a", "b", "b"],
            "time": [0.0, 50.0, 0.0, 50.0],
            "survival": [1.0, 0.1, 1.0, 0.7],
        }
    )
    ends = {"patient_id": ["a", "b"], "low": [5.0, 20.0], "high": [40.0, np.nan]}
    ax = plot_survival(
        new_axes(), curves, "months", intervals=pd.DataFrame(ends).assign(level=0.8)
    )
    for patient, table in curves.groupby("patient_id"):
        np.testing.assert_array_equal(line(ax, str(patient))[1], table["survival"])
    below = [one for one in ax.lines if max(one.get_ydata()) < 0]
    assert [list(one.get_xdata()) for one in below] == [[5.0, 40.0]]
    assert below[0].get_color() == ax.lines[0].get_color()
    assert ax.texts[0].get_text().startswith("80% of such patients")
