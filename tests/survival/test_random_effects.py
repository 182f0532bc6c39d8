from __future__ import annotations

import numpy as np
import pytest
from statsmodels.stats.meta_analysis import combine_effects

from survfuse._errors import InputError
from survfuse.survival.random_effects import random_effects

EFFECTS = np.array([0.19, 0.0, 0.25, 0.29, 0.65, 0.12, 0.51])
ERRORS = np.array([0.09, 0.12, 0.06, 0.07, 0.12, 0.08, 0.12])


def test_agrees_with_statsmodels() -> None:
    own = random_effects(EFFECTS, ERRORS)
    other = combine_effects(EFFECTS, ERRORS**2, method_re="dl")
    assert own.mean == pytest.approx(other.mean_effect_re, rel=1e-9)
    assert own.se == pytest.approx(other.sd_eff_w_re, rel=1e-9)
    assert own.between**2 == pytest.approx(other.tau2, rel=1e-9)
    assert own.between > 0.1


def test_studies_that_differ_by_chance_alone_have_a_common_effect() -> None:
    own = random_effects(EFFECTS, 5 * ERRORS)
    other = combine_effects(EFFECTS, (5 * ERRORS) ** 2)
    assert own.between == 0
    assert own.mean == pytest.approx(other.mean_effect_fe, rel=1e-9)
    assert own.se == pytest.approx(other.sd_eff_w_fe, rel=1e-9)


def test_one_study_is_its_own_mean() -> None:
    own = random_effects([0.3], [0.1])
    assert (own.mean, own.between) == (pytest.approx(0.3), 0.0)
    assert own.se == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("effects", "errors", "message"),
    [
        ([], [], "one value per study, got 0 and 0"),
        ([0.1], [0.1, 0.2], "one value per study, got 1 and 2"),
        ([0.1], [0.0], "errors > 0"),
        ([np.inf], [0.1], "finite"),
    ],
)
def test_what_is_no_effect_is_refused(
    effects: list[float], errors: list[float], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        random_effects(effects, errors)
