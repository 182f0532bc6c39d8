from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from small_explanations import measured_explanation, small_explanation
from survfuse._errors import InputError, NotComputableError
from survfuse.decomposition.measured_agreement import Agreement, AgreementRow
from survfuse.explanations import Explanation
from survfuse.explanations.compare_halves import squared_risk_difference

HORIZON = 1095.0


def explanation(difference: float | None, alike: float | None = 0.6) -> Explanation:
    """Explanation of a model whose halves lie so far apart; 24 patients, halves of 6."""
    row = AgreementRow("prediction", "", "log-risk", alike, alike, alike, 4)
    explained = measured_explanation().explained
    agreement = Agreement(
        (row,), patients=24, half=6.0, splits=4, risk_difference=difference
    )
    fitted = replace(explained.fitted, agreement=agreement)
    return Explanation(replace(explained, fitted=fitted))


def test_the_range_is_symmetric_in_the_log_cumulative_hazard() -> None:
    table = explanation(0.8).risk_range(HORIZON)
    risk = 1 - measured_explanation().prediction.survival([HORIZON])[:, 0]
    np.testing.assert_allclose(table["risk"], risk)
    low, middle, high = (np.log(-np.log1p(-table[name])) for name in table[LOW_TO_HIGH])
    reach = 1.959964 * 0.8 / 2  # four times the patients: half the difference
    np.testing.assert_allclose(high - middle, reach, rtol=1e-5)
    np.testing.assert_allclose(middle - low, reach, rtol=1e-5)
    assert table.attrs == {"horizon": HORIZON, "unit": "days", "level": 0.95}


LOW_TO_HIGH = ["low", "risk", "high"]


def test_models_that_agree_leave_no_range() -> None:
    table = explanation(0.0).risk_range(HORIZON)
    np.testing.assert_allclose(table["low"], table["high"])


def test_a_higher_level_is_wider() -> None:
    one = explanation(0.8)
    half, most = (one.risk_range(HORIZON, level=level) for level in (0.5, 0.99))
    assert (most["high"] - most["low"] > half["high"] - half["low"]).all()


@pytest.mark.parametrize("difference", [None, "no agreement"])
def test_without_a_measurement_it_says_what_to_do(difference: Any) -> None:
    one = small_explanation() if difference else explanation(None)
    with pytest.raises(NotComputableError, match="--halves 4"):
        one.risk_range(HORIZON)


@pytest.mark.parametrize(
    ("alike", "message"),
    [
        (0.1, r"other risks altogether \(expected agreement 0\.31\)"),
        (None, "altogether$"),
    ],
)
def test_there_is_none_where_others_order_patients_otherwise(
    alike: float | None, message: str
) -> None:
    with pytest.raises(NotComputableError, match=message):
        explanation(0.8, alike).risk_range(HORIZON)


@pytest.mark.parametrize(
    ("horizon", "level", "message"),
    [(-1.0, 0.95, "horizon must be"), (HORIZON, 2.0, "level must lie between 0 and 1")],
)
def test_impossible_arguments_are_refused(
    horizon: float, level: float, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        explanation(0.8).risk_range(horizon, level=level)


def test_the_difference_is_that_of_log_cumulative_hazards() -> None:
    def model(*hazards: float) -> Any:
        survival = np.exp(-np.array(hazards))[:, None]
        prediction = SimpleNamespace(
            calibrator=SimpleNamespace(has_curves=True), survival=lambda _: survival
        )
        return SimpleNamespace(prediction=prediction)

    first, second = model(0.1, 0.2), model(0.1, 0.2 * np.e)
    pair: Any = SimpleNamespace(both=(first, second))
    assert squared_risk_difference(pair, 1.0) == pytest.approx(0.5)
    first.prediction.calibrator.has_curves = False
    assert squared_risk_difference(pair, 1.0) is None
