from __future__ import annotations

from typing import Any

import pytest

from report.performed import explanations
from report.reading import Page
from survfuse.cohort.labels import Labels
from survfuse.report.explanation_section import uses


def facts(labels: Labels = Labels(), **changed: Any) -> dict[str, Any]:  # noqa: B008
    record = {**explanations(), **changed}
    found = uses(record["shares"] or (), record["agreement"] or (), record, labels)
    assert found is not None
    return found


def test_each_term_has_its_share_and_agreement() -> None:
    found = facts()
    assert [row["name"] for row in found["terms"]] == [
        "clinical",
        "slides",
        "clinical × slides",
    ]
    slides = found["terms"][1]
    assert (slides["share"], slides["agreement"]["status"]) == (0.31, "grey")
    assert [row["name"] for row in found["parts"]] == [
        "log-risks as a whole",
        "the 50 largest weights of rna",
        "maps of the tiles of slides",
    ]


def test_words_of_the_cohort_file_name_terms_and_parts() -> None:
    found = facts(Labels({("slides",): "Tissue", ("rna",): "RNA-seq"}))
    assert found["terms"][2]["name"] == "clinical × Tissue"
    assert found["parts"][1]["name"] == "the 50 largest weights of RNA-seq"


def test_the_sentence_says_what_not_to_read() -> None:
    assert facts()["says"] == (
        "Do not read slides, the 50 largest weights of rna, maps of the tiles of slides: another "
        "cohort of this size would give others."
    )
    good = [row for row in explanations()["agreement"] if row["status"] != "grey"]
    assert facts(agreement=good)["says"].startswith(
        "Models of two halves of the patients explain alike what could be compared"
    )
    unknown = [row for row in good if row["agreement"] is None]
    assert "nothing in common" in facts(agreement=unknown)["says"]


def test_it_is_said_where_agreement_was_not_measured() -> None:
    found = facts(agreement=None, note="it takes 8 fits of networks")
    assert found["says"].startswith("Whether another cohort would give the same")
    assert found["note"] == "it takes 8 fits of networks"
    assert [row["agreement"] for row in found["terms"]] == [None] * 3


def test_an_early_run_has_no_such_facts() -> None:
    assert uses((), (), None, Labels()) is None


@pytest.mark.slow
def test_the_page_greys_what_does_not_reproduce(full: Page) -> None:
    assert "Do not read slides, the 50 largest weights of rna" in full.text
    assert "71.0% (60.0 to 80.0)" in full.text
    assert "−2.0% (−10.0 to 6.0)" in full.text
    grey = [tag for tag, of in full.tags if tag == "tr" and of.get("class") == "grey"]
    assert len(grey) == 3
