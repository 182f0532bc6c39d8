from __future__ import annotations

from dataclasses import replace

import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from small_explanations import measured_explanation, small_explanation
from survfuse._errors import InputError
from survfuse.explanations import Explanation
from survfuse.explanations.explained import Explained
from survfuse.explanations.figures import grey_terms
from survfuse.figures.contribution_figures import LOWERS, RAISES, UNSURE, signed


def drawn(
    explanation: Explanation, patient: str
) -> tuple[dict[str, tuple[float, str]], list[str], str]:
    """Width and colour of each bar, the numbers beside them, and the title."""
    ax = Figure().subplots()
    assert explanation.plot_terms(patient, ax) is ax
    names = [label.get_text() for label in ax.get_yticklabels()]
    bars = [(bar.get_width(), to_hex(bar.get_facecolor())) for bar in ax.patches]
    numbers = [text.get_text() for text in ax.texts]
    return dict(zip(names, bars, strict=False)), numbers, ax.get_title(loc="left")


def test_bars_are_the_terms_largest_first_and_the_sum_stands_below() -> None:
    explanation = small_explanation()
    bars, numbers, title = drawn(explanation, "003")
    terms = explanation.terms.loc["003"].drop("constant")
    assert {name: width for name, (width, _) in bars.items()} == pytest.approx(
        terms.to_dict()
    )
    sizes = [abs(width) for width, _ in bars.values()]
    assert sizes == sorted(sizes, reverse=True)
    assert numbers[-1] == signed(explanation.prediction.log_risk[2])
    assert numbers[-2] == signed(explanation.terms.at["003", "constant"])
    assert title == "Patient 003\nagreement not measured"


def test_colour_says_the_sign_and_grey_what_does_not_reproduce() -> None:
    bars, _, title = drawn(measured_explanation(), "003")
    assert grey_terms(measured_explanation()) == {"expression"}
    for name, (width, colour) in bars.items():
        expected = RAISES if width > 0 else LOWERS
        assert colour == (UNSURE if name == "expression" else expected)
    assert (
        title
        == "Patient 003\ngrey: does not reproduce\nnot known whether it reproduces: slides"
    )


def test_an_axis_of_its_own_is_made_where_none_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from matplotlib import pyplot

    monkeypatch.setattr(
        pyplot, "subplots", lambda **how: (None, Figure(**how).subplots())
    )
    assert (
        small_explanation().plot_terms("001").get_xlabel() == "change of the log-risk"
    )


def test_a_patient_who_is_not_explained_is_refused() -> None:
    with pytest.raises(
        InputError, match=r"no patient 'X' among the 24 explained: 001, 002"
    ):
        small_explanation().plot_terms("X")


def test_nothing_is_read_of_a_model_that_orders_nobody() -> None:
    own = small_explanation().explained
    calibrator = replace(own.fitted.calibrator, slope=0.0)
    flat = replace(own.fitted, calibrator=calibrator)
    explanation = Explanation(Explained.of(flat, own.cohort, own.ids))
    assert explanation.notes[0].startswith("out of fold the log-risks are not shown")
    assert set(explanation.check()["status"]) == {"grey"}
    assert grey_terms(explanation) == set(explanation.terms.columns[1:])
