from __future__ import annotations

import re

import numpy as np
import pytest

from survfuse.report.patient_figures import bar, icons, survival_figure
from survfuse.report.patient_outlook import Population


def facts(**changed: object) -> dict[str, object]:
    time, survival = np.array([0.0, 10.0, 20.0]), np.array([1.0, 0.8, 0.6])
    population = Population(time, survival, survival - 0.1, survival + 0.1, "all")
    curve = {"time": time, "survival": survival**2}
    own = {"population": population, "curve": curve, "unit": "months", "horizon": 12.0}
    own |= {"risk": 0.36, "average": {"risk": 0.2}, "time": None}
    return {**own, **changed}


def test_curves_are_steps_from_one_and_never_rise() -> None:
    svg = survival_figure(facts())
    for kind in ("patient", "population"):
        path = re.search(rf'class="{kind}" d="M([^"]+)"', svg)
        assert path is not None
        corners = np.array([one.split() for one in path[1].split("L")], float)
        assert corners[0, 1] == 10.0  # the upper edge: everyone is without the event
        assert (np.diff(corners[:, 1]) >= 0).all()
        assert ((np.diff(corners[:, 0]) == 0) | (np.diff(corners[:, 1]) == 0)).all()
    assert 'class="band"' in svg


def test_the_figure_says_what_it_shows() -> None:
    said = "By 12 months (1 year): this patient: 36% with the event; training patients: 20%"
    assert said in survival_figure(facts())
    assert "training patients: not known" in survival_figure(
        facts(average={"risk": None})
    )


def test_without_a_curve_the_predicted_time_is_marked() -> None:
    svg = survival_figure(facts(curve=None, time=10.0))
    assert re.search(r'class="patient" d="M207.0 198.0v-14"', svg)
    assert 'class="patient"' not in survival_figure(facts(curve=None))


def test_a_curve_without_interval_has_no_band() -> None:
    population = Population(
        np.array([0.0, 9.0]), np.array([1.0, 0.5]), None, None, "all"
    )
    assert "band" not in survival_figure(facts(population=population))


@pytest.mark.parametrize(
    ("share", "filled"), [(0, 0), (0.004, 0), (0.736, 74), (1, 100)]
)
def test_a_hundred_patients_are_drawn(share: float, filled: int) -> None:
    svg = icons(share, "a <text>")
    assert svg.count('class="event"') == filled
    assert svg.count('class="free"') == 100 - filled
    assert 'aria-label="a &lt;text&gt;"' in svg


def test_bars_lie_on_the_side_of_their_sign() -> None:
    assert '<rect class="raises" x="50.0" y="1" width="24.0"' in bar(1.0, 2.0)
    assert '<rect class="lowers" x="2.0" y="1" width="48.0"' in bar(-2.0, 2.0)
    assert '<rect class="grey" x="50.0" y="1" width="48.0"' in bar(9.0, 2.0, grey=True)
    assert 'width="0.0"' in bar(0.0, 0.0)
