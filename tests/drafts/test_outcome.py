"""Units of follow-up are said by a name, or by lengths that fit no other."""

from __future__ import annotations

import numpy as np
import pytest

from survfuse.drafts.guess import Blank, Guess
from survfuse.drafts.outcome import guess_unit

DAYS = np.arange(20.0, 3020.0, 30.0)


@pytest.mark.parametrize("unit", ["days", "months", "years"])
def test_a_name_says_the_unit(unit: str) -> None:
    times = DAYS / {"days": 1, "months": 30.4375, "years": 365.25}[unit]
    assert guess_unit(times, unit) == Guess(
        unit, f"by its name; longest {times.max():g}"
    )


def test_a_name_that_the_times_contradict_is_to_be_checked() -> None:
    guess = guess_unit(DAYS, "months")
    assert isinstance(guess, Guess)
    assert (guess.value, guess.certain) == ("months", False)
    assert "looks like days" in guess.evidence


def test_long_whole_numbers_can_only_be_days() -> None:
    guess = guess_unit(DAYS)
    assert isinstance(guess, Guess)
    assert (guess.value, guess.certain) == ("days", False)
    assert guess.evidence == "longest 2990: no other unit fits, whole days"


def test_a_length_that_fits_two_units_is_a_blank() -> None:
    blank = guess_unit(np.linspace(0.7, 25.3, 50))
    assert isinstance(blank, Blank)
    assert [choice.value for choice in blank.choices] == ["months", "years"]


def test_weeks_are_no_unit() -> None:
    blank = guess_unit(DAYS / 7, "weeks")
    assert isinstance(blank, Blank)
    assert blank.what == "days, after the times are multiplied by 7"


def test_without_a_time_nothing_is_guessed() -> None:
    assert guess_unit(np.array([np.nan, -1.0])) == Blank("days, months or years")
