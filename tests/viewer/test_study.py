from __future__ import annotations

import pytest

import viewed
from survfuse._errors import InputError
from survfuse.cohort.labels import Labels
from survfuse.viewer.study import described_terms


def test_slides_are_found_by_patient_and_name() -> None:
    study = viewed.study()
    slide = study.slide("001", ("slides", viewed.SECOND))
    assert (slide.tiles, slide.image is not None) == (96, True)
    with pytest.raises(
        InputError, match="no slide '001_0' of 'slides'; there are: slides 003"
    ):
        study.slide("003", ("slides", viewed.FIRST))
    with pytest.raises(InputError, match="no such patient: '999'"):
        study.slide("999", ("slides", viewed.FIRST))


def test_terms_have_the_words_of_the_cohort_file() -> None:
    labels = Labels({("clinical",): "routine data"})
    values = {"constant": 0.5, "clinical": 0.1, "clinical*slides": -0.2}
    about = described_terms(values, {"clinical"}, {}, labels)
    rows = about["rows"]
    assert [row["name"] for row in rows] == ["routine data × slides", "routine data"]
    assert [row["grey"] for row in rows] == [False, True]
    assert about["constant"] == 0.5
    assert about["total"] == pytest.approx(0.4)
