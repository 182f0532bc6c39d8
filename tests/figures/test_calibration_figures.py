from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from figures.drawn import forms, new_axes, texts
from report.performed import performance
from survfuse import figures
from survfuse.results.run_tables import tables


@pytest.mark.parametrize(
    ("horizons", "panels"),
    [((36.0,), 1), ((12.0, 24.0, 36.0, 48.0, 60.0), 4)],
)
def test_one_horizon_and_five(horizons: tuple[float, ...], panels: int) -> None:
    found = tables(performance("a", horizons))
    svg = figures.smooth_calibration(
        found["smooth_calibration"],
        found["prediction_bins"],
        {"a": "model"},
        "months",
    )
    for form in forms(svg):
        told = [text.text or "" for text in form.iter("text")]
        assert sum(text.endswith(("years)", "year)")) for text in told) == panels


def curves_and_bins() -> tuple[pd.DataFrame, pd.DataFrame]:
    rows = [("a", 36.0, p, p, np.nan, np.nan) for p in (0.1, 0.2, 0.4)]
    rows += [("other", 36.0, p, 1 - p, np.nan, np.nan) for p in (0.1, 0.4)]
    columns = ["model", "horizon", "predicted", "observed", "low", "high"]
    bins = {"model": "a", "horizon": 36.0, "left": [0.0, 0.1], "right": [0.1, 0.2]}
    return (
        pd.DataFrame(rows, columns=columns),
        pd.DataFrame({**bins, "patients": [3, 12]}),
    )


def test_calibration_curves_lie_where_the_table_says() -> None:
    curves, bins = curves_and_bins()
    svg = figures.smooth_calibration(curves, bins, {"a": "model"}, "months")
    assert (
        "predicted 10%, observed 10%, predicted 20%, observed 20%, predicted 40%, observed 40%"
        in svg
    )
    assert "other" not in texts(svg)


def test_bars_below_are_the_patients_of_each_prediction() -> None:
    curves, bins = curves_and_bins()
    ax = figures.plot_calibration(new_axes(), curves, bins, {"a": "model"})
    heights = np.array([bar.get_height() for bar in ax.patches])
    np.testing.assert_allclose(heights / heights.min(), bins["patients"] / 12)
    assert (heights < 0).all()
    assert [text.get_text() for text in ax.texts] == ["12 patients"]
    assert min(ax.get_yticks()) == 0  # no observed share below 0
