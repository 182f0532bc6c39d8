from __future__ import annotations

from survfuse.survival.estimate import Estimate


def test_an_estimate_is_shown_with_its_interval_and_what_it_rests_on() -> None:
    one = Estimate(0.6123, 0.03, 0.551, 0.673, 120, 40, "restricted to 5 years")
    assert str(one) == "0.612 [0.551, 0.673], n=120, events=40"
    assert repr(one) == f"Estimate({one}; restricted to 5 years)"


def test_an_estimate_without_a_value_says_why() -> None:
    one = Estimate(None, None, None, None, 12, 0, "no events")
    assert repr(one) == "Estimate(not computable, n=12, events=0; no events)"
    assert (
        repr(Estimate(1.0, None, None, None, 12, 3))
        == "Estimate(1.000, n=12, events=3)"
    )


def test_the_page_of_an_estimate_is_escaped() -> None:
    page = Estimate(0.5, None, None, None, 1, 1, "<b>", "<i>")._repr_html_()
    assert "<b>" not in page
    assert "&lt;i&gt;" in page
